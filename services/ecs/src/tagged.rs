//! The tagged resources of this service, for whoever looks at the tags of all services.

use crate::model::{Cluster, LastStatus, Service, ServiceStatus, Tag, Task, TaskDefinition};
use crate::names::{
    cluster_arn, revision_number, service_arn, service_key, task_arn, task_definition_arn, task_definition_key,
};
use honmaru_base::Scope;
use honmaru_machine::State;
use std::collections::BTreeMap;

fn map(tags: &[Tag]) -> BTreeMap<String, String> {
    tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}

/// ARN and tags of every cluster, service, task and task definition of a scope that has tags and is not gone.
pub fn tagged(state: &State, scope: &Scope) -> impl Iterator<Item = (String, BTreeMap<String, String>)> {
    let clusters = state.list::<Cluster>(scope).filter(|(_, row)| row.active);
    let clusters = clusters.map(|(_, row)| (cluster_arn(scope, &row.name), map(&row.tags)));
    let services = state
        .list::<Service>(scope)
        .filter(|(_, row)| row.status != ServiceStatus::Inactive);
    let services = services.map(|(_, row)| (service_arn(scope, &row.cluster, &row.name), map(&row.tags)));
    let tasks = state
        .list::<Task>(scope)
        .filter(|(_, row)| row.last_status != LastStatus::Stopped);
    let tasks = tasks.map(|(_, row)| (task_arn(scope, &row.cluster, &row.id), map(&row.tags)));
    let definitions = state.list::<TaskDefinition>(scope);
    let definitions =
        definitions.map(|(_, row)| (task_definition_arn(scope, &row.family, row.revision), map(&row.tags)));
    let all = clusters.chain(services).chain(tasks).chain(definitions);
    all.filter(|(_, tags)| !tags.is_empty())
}

/// The tags of the resource of an ARN; nothing when there is none.
pub(crate) fn tags_of<'s>(state: &'s State, scope: &Scope, arn: &str) -> Option<&'s [Tag]> {
    let mut parts = arn.splitn(6, ':').nth(5)?.split('/');
    let tags = match (parts.next()?, parts.next()?, parts.next()) {
        ("cluster", name, None) => &state.get::<Cluster>(scope, name)?.tags,
        ("service", cluster, Some(name)) => &state.get::<Service>(scope, &service_key(cluster, name))?.tags,
        ("task", cluster, Some(id)) => {
            &state
                .get::<Task>(scope, id)
                .filter(|task| task.cluster == cluster)?
                .tags
        }
        ("task-definition", name, None) => {
            let (family, revision) = name.split_once(':')?;
            let key = task_definition_key(family, revision_number(revision)?);
            &state.get::<TaskDefinition>(scope, &key)?.tags
        }
        _ => return None,
    };
    Some(tags)
}
