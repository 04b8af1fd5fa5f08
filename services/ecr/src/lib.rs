//! Amazon ECR: repositories, images and what belongs to a private registry.
//!
//! Not here: blobs and manifests' bytes (the store, through [`Layers`]), the distribution protocol (the registry plane,
//! which asks the functions of this crate).
//! Invariants: an image's row is written only when the repository has every blob that it names; a tag names an image
//! that exists; tokens are checked without any row per token.

#![forbid(unsafe_code)]

mod api;
mod backfill;
mod errors;
mod layers;
mod lifecycle;
mod machine;
mod model;
mod mutability;
mod names;
mod reconcile;
mod tagged;
mod token;
pub mod types;
mod wildcard;

pub use api::{operations, shared, tagging};
pub use layers::{Appended, Change, Completed, Kept, Layers, Look, NotPulled, Parts, Secret};
pub use machine::{
    DeleteProblem, ManifestInfo, ManifestProblem, NewImage, Parcel, ParcelManifest, PutImage, Reference,
    RegistryAction, Undelivered, Upstream, admit, are_live, begin_check, create_repository, creation_access,
    delete_image, delete_repository, drop_parcel, due_parcels, get_repository, give_up_layers, give_up_left_layers,
    has_blobs, holders_of, import_access, index_entry, is_check_due, is_layer_in_use, is_pull_excluded, link_layer,
    may_create, mounts_blobs, needs_record, parcel, parcel_arrived, parcel_undelivered, put_image, record_pull,
    referrers, registry_access, registry_code, repository_access, resolve_image, select_platform, set_other_clouds,
    tags_of, tags_page, token_access, unlink_layer, untag_image, upstream_of, with_tags_of,
};
pub use model::{
    Archive, Backfill, BackfillState, Content, CreationTemplate, Image, IndexEntry, LayerLink, LifecycleAction,
    Mutability, MutabilityFilter, OtherCloud, Preview, PreviewEntry, Pull, PullThroughRule, PullTimeExclusion,
    Registry, ReplicationJob, ReplicationResult, Repository, Tag, UpstreamCheck,
};
pub use names::{
    is_own_registry, is_repository_name, is_tag, registry_host, repository_arn, repository_of, repository_uri,
    scope_of_host,
};
pub use tagged::tagged;
pub use token::{
    LAYER_TOKEN_PARAMETER, LAYER_URL_LIFE_S, TOKEN_LIFE_S, TOKEN_USER, TokenError, TokenKey, authorization_token,
    check_authorization, check_layer_token, check_registry_token, password_of, registry_token,
};

use honmaru_machine::{Reconciler, State};

/// The service's name in botocore.
pub const SERVICE: &str = "ecr";

/// Adds this service's tables.
pub fn register(state: &mut State) {
    state.register::<Repository>();
    state.register::<Image>();
    state.register::<Tag>();
    state.register::<LayerLink>();
    state.register::<Pull>();
    state.register::<Registry>();
    state.register::<PullThroughRule>();
    state.register::<CreationTemplate>();
    state.register::<PullTimeExclusion>();
    state.register::<UpstreamCheck>();
    state.register::<Backfill>();
    state.register::<OtherCloud>();
    state.register::<ReplicationJob>();
    state.register::<ReplicationResult>();
    state.register::<TokenKey>();
}

/// This service's controllers.
pub fn reconcilers() -> Vec<Box<dyn Reconciler>> {
    vec![
        Box::new(reconcile::LifecycleRunner),
        Box::new(reconcile::LayerExpiry::default()),
        Box::new(backfill::BackfillRunner),
    ]
}
