//! The operations: what each needs, and the function that answers it.

mod access;
mod archive;
mod backfills;
mod common;
mod images;
mod lifecycle;
mod policies;
mod pull;
mod pull_through;
mod registry;
mod repositories;
mod scanning;
pub mod shared;
mod signing;
mod tags;
mod templates;
mod uploads;

pub(crate) use lifecycle::candidates;

use crate::layers::Layers;
use honmaru_base::ApiError;
use honmaru_machine::{Access, AsyncHandler, BoxFuture, Call, Handler, Operation, State, Tx};
use honmaru_wire::tree::Tree;
use serde_json::Value;
use std::sync::Arc;

macro_rules! access_of {
    ($kind:ident, $name:literal) => {
        |state: &State, call: &Call, input: &Value| -> Vec<Access> {
            access::$kind(state, call, input, concat!("ecr:", $name))
        }
    };
}

macro_rules! read {
    ($name:literal, $kind:ident, $handler:path) => {
        Operation {
            name: $name,
            access: access_of!($kind, $name),
            handler: Handler::Read(|state: &State, call: &Call, input: Value| {
                Ok($handler(state, call, Tree::from_tree(input))?.into_tree())
            }),
        }
    };
}

macro_rules! write {
    ($name:literal, $kind:ident, $handler:path) => {
        Operation {
            name: $name,
            access: access_of!($kind, $name),
            handler: Handler::Write(|tx: &mut Tx<'_>, call: &Call, input: Value| {
                Ok($handler(tx, call, Tree::from_tree(input))?.into_tree())
            }),
        }
    };
}

macro_rules! waits {
    ($layers:ident, $name:literal, $kind:ident, $handler:path) => {
        Operation {
            name: $name,
            access: access_of!($kind, $name),
            handler: Handler::Async(waits($layers, $handler)),
        }
    };
}

fn waits<In, Out, F>(
    layers: &Arc<dyn Layers>,
    handler: impl Fn(Arc<dyn Layers>, Call, In) -> F + Send + Sync + 'static,
) -> AsyncHandler
where
    In: Tree + 'static,
    Out: Tree + 'static,
    F: Future<Output = Result<Out, ApiError>> + Send + 'static,
{
    let layers = layers.clone();
    Arc::new(move |call, input| -> BoxFuture<Result<Value, ApiError>> {
        let answer = handler(layers.clone(), call, In::from_tree(input));
        Box::pin(async move { Ok(answer.await?.into_tree()) })
    })
}

/// Every operation that this service implements, over a keeper of blobs.
pub fn operations(layers: &Arc<dyn Layers>) -> Vec<Operation> {
    let mut all = tagging();
    all.extend([
        read!("BatchCheckLayerAvailability", repository, uploads::check_availability),
        write!("BatchDeleteImage", repository, images::batch_delete),
        waits!(layers, "BatchGetImage", pull, pull::batch_get),
        read!(
            "BatchGetRepositoryScanningConfiguration",
            repositories,
            scanning::batch_get
        ),
        waits!(layers, "CompleteLayerUpload", repository, uploads::complete),
        waits!(layers, "CreatePullThroughCacheRule", registry, pull_through::create),
        write!("CreateRepository", creation, repositories::create),
        write!("CreateRepositoryCreationTemplate", template, templates::create),
        write!("DeleteLifecyclePolicy", repository, lifecycle::delete),
        write!("DeletePullThroughCacheRule", registry, pull_through::delete),
        write!("DeleteRegistryPolicy", registry, policies::delete_registry),
        write!("DeleteRepository", repository, repositories::delete),
        write!("DeleteRepositoryCreationTemplate", registry, templates::delete),
        write!("DeleteRepositoryPolicy", repository, policies::delete_repository),
        read!("DeleteSigningConfiguration", registry, signing::delete),
        write!(
            "DeregisterPullTimeUpdateExclusion",
            registry,
            registry::deregister_exclusion
        ),
        read!(
            "DescribeImageReplicationStatus",
            repository,
            registry::replication_status
        ),
        read!("DescribeImageScanFindings", repository, scanning::findings),
        read!("DescribeImageSigningStatus", repository, signing::status),
        read!("DescribeImages", repository, images::describe),
        read!("DescribePullThroughCacheRules", registry, pull_through::describe),
        read!("DescribeRegistry", registry, registry::describe),
        read!("DescribeReplicationBackfillResults", registry, backfills::results),
        read!("DescribeRepositories", repositories, repositories::describe),
        read!("DescribeRepositoryCreationTemplates", registry, templates::describe),
        read!("GetAccountSetting", setting, registry::get_setting),
        write!("GetAuthorizationToken", registry, registry::authorization_token),
        write!("GetDownloadUrlForLayer", repository, uploads::download_url),
        read!("GetLifecyclePolicy", repository, lifecycle::get),
        read!("GetLifecyclePolicyPreview", repository, lifecycle::get_preview),
        read!("GetRegistryPolicy", registry, policies::get_registry),
        read!("GetRegistryScanningConfiguration", registry, scanning::get_registry),
        read!("GetRepositoryPolicy", repository, policies::get),
        read!("GetSigningConfiguration", registry, signing::get),
        waits!(layers, "InitiateLayerUpload", repository, uploads::initiate),
        read!("ListImageReferrers", referrers, images::referrers),
        read!("ListImages", repository, images::list),
        read!("ListPullTimeUpdateExclusions", registry, registry::list_exclusions),
        read!("ListReplicationBackfills", registry, backfills::list),
        read!("ListTagsForResource", resource, tags::list),
        write!("PutAccountSetting", setting, registry::put_setting),
        waits!(layers, "PutImage", repository, images::put),
        write!("PutImageScanningConfiguration", repository, scanning::put),
        write!("PutImageTagMutability", repository, repositories::put_mutability),
        write!("PutLifecyclePolicy", repository, lifecycle::put),
        write!("PutRegistryPolicy", registry, policies::put_registry),
        write!("PutRegistryScanningConfiguration", registry, scanning::put_registry),
        write!("PutReplicationConfiguration", registry, registry::put_replication),
        write!(
            "RegisterPullTimeUpdateExclusion",
            registry,
            registry::register_exclusion
        ),
        write!("SetRepositoryPolicy", repository, policies::set_repository),
        read!("StartImageScan", repository, scanning::start),
        write!("StartLifecyclePolicyPreview", repository, lifecycle::start_preview),
        write!("StartReplicationBackfill", registry, backfills::start),
        write!("StopReplicationBackfill", registry, backfills::stop),
        write!("UpdateImageStorageClass", repository, archive::update),
        waits!(layers, "UpdatePullThroughCacheRule", registry, pull_through::update),
        write!("UpdateRepositoryCreationTemplate", template, templates::update),
        waits!(layers, "UploadLayerPart", repository, uploads::append),
        waits!(layers, "ValidatePullThroughCacheRule", registry, pull_through::validate),
    ]);
    all
}

/// Those of them that change tags: they need no data plane, and the Resource Groups Tagging API calls them.
pub fn tagging() -> Vec<Operation> {
    vec![
        write!("TagResource", resource, tags::tag),
        write!("UntagResource", resource, tags::untag),
    ]
}
