//! The requirements of the OCI distribution specification 1.1, each a test named after it, over HTTP; a module for each
//! of its workflows.
//! Ref: opencontainers/distribution-spec, spec.md, v1.1.

mod blobs;
mod errors;
mod management;
mod manifests;
mod mirrors;
mod negotiation;
mod pull;
mod referrers;
#[path = "../support/mod.rs"]
mod support;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
