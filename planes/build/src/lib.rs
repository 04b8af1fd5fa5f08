//! A directory to an image, and the image to a registry. `buildah` does both; this crate drives it and explains what
//! went wrong.
//!
//! Not here: what becomes of the image. Invariant: builds use a storage of their own, never the user's.

#![forbid(unsafe_code)]

mod base_image;
mod buildah;
mod dockerfile;
mod error;
mod inspect;
mod stages;

pub use base_image::{BUSYBOX_IMAGE, ensure_base_images};
pub use buildah::{Builder, Pushed, Transport, step_of};
pub use dockerfile::{Finding, check_dockerfile, find_dockerfile};
pub use error::BuildError;
pub use inspect::ImageFacts;
pub use stages::{BuildSettings, base_images, unused_arguments};
