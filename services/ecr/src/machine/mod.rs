//! Changes to repositories and images, for the API, for the registry and for the controllers.

mod access;
mod creator;
mod image;
mod manifest;
mod outbound;
mod pull_through;
mod registry;
mod replicate;
mod repository;

pub(crate) use access::{POLICY_ACTIONS_V1, POLICY_SCOPE, POLICY_SCOPE_V1, any_access, under_policy};
pub use access::{creation_access, import_access, registry_access, repository_access, token_access, with_tags_of};
pub use creator::may_create;
pub use image::{
    DeleteProblem, ManifestInfo, Reference, delete_image, give_up_layers, give_up_left_layers, has_blobs, index_entry,
    is_pull_excluded, link_layer, needs_record, put_image, record_pull, referrers, resolve_image, select_platform,
    tags_of, tags_page, unlink_layer, untag_image,
};
pub(crate) use image::{archive_image, find_image, restore_image};
pub use manifest::{ManifestProblem, NewImage, PutImage};

pub(crate) use outbound::{Copied, copied, leaves, outstanding};
pub use outbound::{
    Parcel, ParcelManifest, Undelivered, drop_parcel, due_parcels, parcel, parcel_arrived, parcel_undelivered,
    set_other_clouds,
};
pub use pull_through::{Upstream, begin_check, is_check_due, upstream_of};
pub use registry::{RegistryAction, admit, are_live, holders_of, is_layer_in_use, mounts_blobs, registry_code};
pub(crate) use replicate::{copy_image, destinations, replicate_again};
pub use repository::{create_repository, delete_repository, get_repository};
