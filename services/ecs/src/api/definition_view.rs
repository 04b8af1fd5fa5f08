//! A task definition as the API shows it.
//!
//! It is written straight from the row: its JSON is the answer of RegisterTaskDefinition.

use crate::model::{ContainerDefinition, Tag, TaskDefinition};
use crate::names::task_definition_arn;
use honmaru_base::{Scope, Time};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Ref: ECS `TaskDefinition`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View<'a> {
    task_definition_arn: String,
    container_definitions: &'a [ContainerDefinition],
    family: &'a str,
    revision: u32,
    volumes: Vec<Volume<'a>>,
    status: &'static str,
    requires_attributes: Vec<Attribute<'a>>,
    placement_constraints: &'a [Value],
    compatibilities: &'a [String],
    registered_at: f64,
    registered_by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_role_arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_role_arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_mode: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_platform: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    cpu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    memory: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deregistered_at: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_requested_at: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ephemeral_storage: Option<EphemeralStorage>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    requires_compatibilities: &'a [String],
}

#[derive(Serialize)]
struct Volume<'a> {
    name: &'a str,
    host: Host<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Host<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    source_path: Option<&'a str>,
}

#[derive(Serialize)]
struct Attribute<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct EphemeralStorage {
    #[serde(rename = "sizeInGiB")]
    size_in_gib: u32,
}

/// The API has sizes as texts.
fn as_text<S: Serializer>(size: &Option<u32>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&size.unwrap_or_default())
}

impl<'a> View<'a> {
    pub(super) fn of(scope: &Scope, definition: &'a TaskDefinition) -> Self {
        let d = definition;
        let volume = |volume: &'a crate::model::Volume| Volume {
            name: &volume.name,
            host: Host {
                source_path: volume.host.as_ref().and_then(|host| host.source_path.as_deref()),
            },
        };
        Self {
            task_definition_arn: task_definition_arn(scope, &d.family, d.revision),
            container_definitions: &d.containers,
            family: &d.family,
            revision: d.revision,
            volumes: d.volumes.iter().map(volume).collect(),
            status: d.status.as_str(),
            requires_attributes: d.requires_attributes.iter().map(|name| Attribute { name }).collect(),
            placement_constraints: &d.placement_constraints,
            compatibilities: &d.compatibilities,
            registered_at: d.registered_at.as_epoch_s(),
            registered_by: &d.registered_by,
            task_role_arn: d.task_role_arn.as_deref(),
            execution_role_arn: d.execution_role_arn.as_deref(),
            network_mode: d.network_mode.as_deref(),
            runtime_platform: d.runtime_platform.as_ref(),
            cpu: d.cpu,
            memory: d.memory,
            deregistered_at: d.deregistered_at.map(Time::as_epoch_s),
            delete_requested_at: d.delete_requested_at.map(Time::as_epoch_s),
            ephemeral_storage: d
                .ephemeral_storage_gib
                .map(|size_in_gib| EphemeralStorage { size_in_gib }),
            requires_compatibilities: &d.requires_compatibilities,
        }
    }
}

/// The answer of RegisterTaskDefinition.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Registered<'a> {
    pub(super) task_definition: View<'a>,
    pub(super) tags: &'a [Tag],
}
