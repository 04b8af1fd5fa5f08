//! The OCI distribution specification 1.1 over the image store: pull, push, discovery, deletion.
//!
//! Not here: who calls, whether they may, and which repositories, tags and manifests exist. A [`Repositories`] knows;
//! the ECR service implements it. No AWS name appears here.
//! Invariants: a manifest is acknowledged only when its bytes, everything that it names, and its entry are durable;
//! bodies stream with a bounded amount of memory; what a request cannot have leaves no trace.

#![forbid(unsafe_code)]

mod blobs;
mod body;
mod cache;
mod converted;
mod discovery;
mod error;
mod housekeeping;
mod manifests;
mod negotiate;
mod registry;
mod repositories;
mod response;
mod route;
mod shown;
mod uploads;
mod upstream;

pub use body::RegistryBody;
pub use error::{ErrorCode, RegistryError, unauthorized};
pub use housekeeping::{
    Finding, FindingKind, Freed, HousekeepingError, RegistryUsage, RepositoryUsage, UsageTotal, VerifyEvent,
    VerifySummary,
};
pub use registry::{Registry, RegistryLimits};
pub use repositories::{
    Action, HeldManifest, Holding, ManifestRef, NewManifest, Referrer, Repositories, Resolved, ShownBlob, TagPage,
    Unlinked, Upstream,
};
pub use route::{Route, Target};
