//! The OCI distribution specification over the image store.
