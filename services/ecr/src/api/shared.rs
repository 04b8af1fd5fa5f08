//! The operations that a public registry has in common with a private one, over trees: `ecr-public` answers with them,
//! for a call whose scope is the account's public registry and whose `registryId` is an account.

pub use super::common::{merge_tags, page};
pub use super::images::refuse_page;
use super::{images, policies, uploads, waits};
use crate::layers::Layers;
use honmaru_base::ApiError;
use honmaru_machine::{Access, AsyncHandler, Call, State, Tx};
use honmaru_wire::tree::Tree;
use serde_json::Value;
use std::sync::Arc;

macro_rules! reads {
    ($name:ident, $handler:path, $what:literal) => {
        #[doc = $what]
        pub fn $name(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
            Ok($handler(state, call, Tree::from_tree(input))?.into_tree())
        }
    };
}

macro_rules! writes {
    ($name:ident, $handler:path, $what:literal) => {
        #[doc = $what]
        pub fn $name(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
            Ok($handler(tx, call, Tree::from_tree(input))?.into_tree())
        }
    };
}

macro_rules! asks {
    ($name:ident, $handler:path, $what:literal) => {
        #[doc = $what]
        pub fn $name(layers: &Arc<dyn Layers>) -> AsyncHandler {
            waits(layers, $handler)
        }
    };
}

/// What it takes to set a repository's policy as things are.
pub fn policy_access(state: &State, call: &Call, input: &Value) -> Vec<Access> {
    super::access::repository(state, call, input, "ecr:SetRepositoryPolicy")
}

reads!(
    check_layers,
    uploads::check_availability,
    "BatchCheckLayerAvailability."
);
reads!(describe_images, images::describe, "DescribeImages.");
reads!(get_policy, policies::get, "GetRepositoryPolicy.");
writes!(delete_images, images::batch_delete, "BatchDeleteImage.");
writes!(delete_policy, policies::delete_repository, "DeleteRepositoryPolicy.");
writes!(set_policy, policies::set_repository, "SetRepositoryPolicy.");
asks!(begin_upload, uploads::initiate, "InitiateLayerUpload.");
asks!(append_upload, uploads::append, "UploadLayerPart.");
asks!(complete_upload, uploads::complete, "CompleteLayerUpload.");
asks!(put_image, images::put, "PutImage.");
