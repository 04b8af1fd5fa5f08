//! The operations: what each needs, and the function that answers it.

mod catalog;
mod images;
mod registry;
mod repositories;
mod tags;

use crate::access;
use crate::alias::account_of;
use crate::place::scope_of;
use honmaru_base::{ApiError, Scope};
use honmaru_ecr::{Layers, shared};
use honmaru_machine::{Access, AsyncHandler, Call, Handler, Operation, State, Tx};
use honmaru_wire::tree::Tree;
use serde_json::{Value, json};
use std::future::ready;
use std::sync::Arc;

macro_rules! access_of {
    ($kind:ident, $name:literal) => {
        |state: &State, call: &Call, input: &Value| -> Vec<Access> {
            access::$kind(state, call, input, concat!("ecr-public:", $name))
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

/// A read that `ecr` answers.
macro_rules! shared_read {
    ($name:literal, $handler:path) => {
        Operation {
            name: $name,
            access: access_of!(repository, $name),
            handler: Handler::Read(|state: &State, call: &Call, input: Value| {
                let (call, input) = in_registry(call, input)?;
                $handler(state, &call, input)
            }),
        }
    };
}

/// A write that `ecr` answers.
macro_rules! shared_write {
    ($name:literal, $handler:path) => {
        Operation {
            name: $name,
            access: access_of!(repository, $name),
            handler: Handler::Write(|tx: &mut Tx<'_>, call: &Call, input: Value| {
                let (call, input) = in_registry(call, input)?;
                $handler(tx, &call, input)
            }),
        }
    };
}

/// What `ecr` answers after a wait.
macro_rules! shared_wait {
    ($layers:ident, $name:literal, $handler:path) => {
        Operation {
            name: $name,
            access: access_of!(repository, $name),
            handler: waits($handler($layers)),
        }
    };
}

fn waits(handler: AsyncHandler) -> Handler {
    Handler::Async(Arc::new(move |call, input| match in_registry(&call, input) {
        Ok((call, input)) => handler(call, input),
        Err(error) => Box::pin(ready(Err(error))),
    }))
}

/// The registry that a call means: its account's, or that of the account or alias that it names.
pub(crate) fn registry_of(call: &Call, id: Option<&str>) -> Result<Scope, ApiError> {
    let account = match id {
        None => Some(call.scope.account.clone()),
        Some(id) => id.parse().ok().or_else(|| account_of(id)),
    };
    let missing = || {
        let id = id.unwrap_or_default();
        ApiError::new(
            "RegistryNotFoundException",
            format!("The registry with id '{id}' does not exist"),
        )
    };
    Ok(scope_of(account.ok_or_else(missing)?))
}

/// The call as `ecr` takes it: in the registry's scope, which its `registryId` names too.
fn in_registry(call: &Call, mut input: Value) -> Result<(Call, Value), ApiError> {
    let scope = registry_of(call, access::text(&input, "registryId"))?;
    if let Some(members) = input.as_object_mut() {
        members.insert("registryId".to_owned(), json!(scope.account));
    }
    let mut call = call.clone();
    call.scope = scope;
    Ok((call, input))
}

/// SetRepositoryPolicy, without a look at whether the caller may set another policy afterwards.
pub fn set_policy(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let (call, input) = in_registry(call, input)?;
    shared::set_policy(tx, &call, input)
}

/// What it takes to set a repository's policy as things are.
pub fn policy_access(state: &State, call: &Call, input: &Value) -> Vec<Access> {
    access::repository(state, call, input, "ecr-public:SetRepositoryPolicy")
}

/// Every operation that this service implements, over a keeper of blobs.
pub fn operations(layers: &Arc<dyn Layers>) -> Vec<Operation> {
    let mut all = tagging();
    all.extend([
        shared_read!("BatchCheckLayerAvailability", shared::check_layers),
        shared_write!("BatchDeleteImage", shared::delete_images),
        shared_wait!(layers, "CompleteLayerUpload", shared::complete_upload),
        write!("CreateRepository", repository, repositories::create),
        write!("DeleteRepository", repository, repositories::delete),
        shared_write!("DeleteRepositoryPolicy", shared::delete_policy),
        read!("DescribeImageTags", repository, images::describe_tags),
        shared_read!("DescribeImages", shared::describe_images),
        read!("DescribeRegistries", registry, registry::describe),
        read!("DescribeRepositories", repositories, repositories::describe),
        write!("GetAuthorizationToken", token, registry::authorization_token),
        read!("GetRegistryCatalogData", registry, catalog::get_registry),
        read!("GetRepositoryCatalogData", repository, catalog::get),
        shared_read!("GetRepositoryPolicy", shared::get_policy),
        shared_wait!(layers, "InitiateLayerUpload", shared::begin_upload),
        read!("ListTagsForResource", resource, tags::list),
        shared_wait!(layers, "PutImage", shared::put_image),
        write!("PutRegistryCatalogData", registry, catalog::put_registry),
        write!("PutRepositoryCatalogData", repository, catalog::put),
        shared_write!("SetRepositoryPolicy", shared::set_policy),
        shared_wait!(layers, "UploadLayerPart", shared::append_upload),
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
