//! The rows that ECR keeps.

mod image;
mod registry;
mod replication;
mod repository;

pub(crate) use image::LAYER_LEFT_LIFE_S;
pub use image::{Archive, Content, Image, IndexEntry, LayerLink, Pull, Tag, UpstreamCheck};
pub use registry::{Backfill, BackfillState, CreationTemplate, PullThroughRule, PullTimeExclusion, Registry};
pub use replication::{OtherCloud, ReplicationJob, ReplicationResult};
pub use repository::{LifecycleAction, Mutability, MutabilityFilter, Preview, PreviewEntry, Repository};
