//! The access advisor: which services somebody's policies grant, and when they were used last.
//! Ref: IAM User Guide, "Refine permissions in AWS using last accessed information".
//!
//! A report is made when it is fetched, of what is known then: a job is COMPLETED at once.

use super::common::{Answer, page, scope};
use crate::accesses::{AccessJob, JOB_LIFE_S, LastUse, ServiceAccess, TRACKED_S};
use crate::errors::{invalid_input, no_such_entity};
use crate::machine::{Document, customer_policy, managed_document, own_documents};
use crate::managed::aws_managed;
use crate::model::{ATTACHED, Entity, Group, Holder, Role, User, key_of};
use crate::types;
use honmaru_base::{Scope, Time, uuid};
use honmaru_identity::Policy;
use honmaru_machine::{Call, State, Tx};
use std::sync::Arc;

/// Reports that an account may have at a time; the oldest goes first.
const JOBS_MAX: usize = 1_000;

/// A service of this cloud.
struct Service {
    /// As policies name it.
    namespace: &'static str,
    /// botocore's name.
    model: &'static str,
    /// As the Service Authorization Reference calls it.
    name: &'static str,
}

const fn service(namespace: &'static str, model: &'static str, name: &'static str) -> Service {
    Service { namespace, model, name }
}

/// In the order of the namespaces, which is the order of reports.
const SERVICES: [Service; 11] = [
    service("cloudtrail", "cloudtrail", "AWS CloudTrail"),
    service("ec2", "ec2", "Amazon EC2"),
    service("ecr", "ecr", "Amazon Elastic Container Registry"),
    service("ecr-public", "ecr-public", "Amazon Elastic Container Registry Public"),
    service("ecs", "ecs", "Amazon Elastic Container Service"),
    service("elasticloadbalancing", "elbv2", "AWS Elastic Load Balancing"),
    service("iam", "iam", "AWS Identity and Access Management"),
    service("logs", "logs", "Amazon CloudWatch Logs"),
    service("sts", "sts", "AWS Security Token Service"),
    service("tag", "resourcegroupstaggingapi", "Amazon Resource Group Tagging API"),
    service("wafv2", "wafv2", "AWS WAF V2"),
];

/// What a report is about.
struct Subject<'a> {
    /// Whose permissions.
    policies: Vec<Arc<Policy>>,
    /// Who can use them.
    entities: Vec<(&'static str, &'a Entity)>,
}

fn unknown(arn: &str) -> honmaru_base::ApiError {
    no_such_entity(format!("The entity with ARN {arn} cannot be found."))
}

/// A user, group or role of the caller's account by its ARN.
fn holder_of<'a, H: Holder>(state: &'a State, scope: &Scope, arn: &str) -> Option<&'a H> {
    let rest = arn.split_once(&format!(":{}/", H::NOUN))?.1;
    let name = rest.rsplit('/').next()?;
    state
        .get::<H>(scope, &key_of(name))
        .filter(|row| row.entity().arn == arn)
}

fn members<'a>(state: &'a State, scope: &'a Scope, group: &str) -> Vec<(&'static str, &'a Entity)> {
    let users = state.list::<User>(scope);
    let members = users.filter(|(_, user)| user.groups.contains(group));
    members.map(|(_, user)| ("USER", &user.entity)).collect()
}

/// Only what identity policies grant counts: neither resource policies nor boundaries. Ref: "Things to know about last
/// accessed information".
fn subject<'a>(state: &'a State, scope: &'a Scope, arn: &'a str) -> Option<Subject<'a>> {
    let (documents, entities): (Vec<Document<'a>>, _) = if let Some(user) = holder_of::<User>(state, scope, arn) {
        let groups = user.groups.iter().filter_map(|key| state.get::<Group>(scope, key));
        let of_groups = groups.flat_map(|group| own_documents(state, &group.entity));
        let all = own_documents(state, &user.entity).chain(of_groups).collect();
        (all, vec![("USER", &user.entity)])
    } else if let Some(role) = holder_of::<Role>(state, scope, arn) {
        (
            own_documents(state, &role.entity).collect(),
            vec![("ROLE", &role.entity)],
        )
    } else if let Some(group) = holder_of::<Group>(state, scope, arn) {
        let entities = members(state, scope, &key_of(&group.entity.name));
        (own_documents(state, &group.entity).collect(), entities)
    } else {
        let is_own = || customer_policy(state, arn).is_some() && arn.split(':').nth(4) == Some(scope.account.as_str());
        if aws_managed(arn).is_none() && !is_own() {
            return None;
        }
        let mut entities: Vec<(&str, &Entity)> = Vec::new();
        entities.extend(
            state
                .find::<User>(scope, ATTACHED, arn)
                .map(|(_, user)| ("USER", &user.entity)),
        );
        entities.extend(
            state
                .find::<Role>(scope, ATTACHED, arn)
                .map(|(_, role)| ("ROLE", &role.entity)),
        );
        for (key, _) in state.find::<Group>(scope, ATTACHED, arn) {
            entities.extend(members(state, scope, key));
        }
        entities.sort_by(|(_, a), (_, b)| a.arn.cmp(&b.arn));
        entities.dedup_by(|(_, a), (_, b)| a.arn == b.arn);
        (managed_document(state, arn).into_iter().collect(), entities)
    };
    Some(Subject {
        // One that cannot be read grants nothing.
        policies: documents
            .into_iter()
            .filter_map(|document| document.compiled().ok())
            .collect(),
        entities,
    })
}

impl Subject<'_> {
    fn grants(&self, namespace: &str) -> bool {
        self.policies.iter().any(|policy| policy.grants(namespace))
    }

    fn allows(&self, action: &str) -> bool {
        self.policies.iter().any(|policy| policy.may_allow(action))
    }
}

/// What an entity did with a service in the tracking period.
fn used<'a>(state: &'a State, scope: &Scope, entity: &Entity, namespace: &str, now: Time) -> Option<&'a ServiceAccess> {
    let row = state.get::<ServiceAccess>(scope, &ServiceAccess::key(&entity.id, namespace))?;
    Some(row).filter(|row| is_tracked(&row.last, now))
}

fn is_tracked(last: &LastUse, now: Time) -> bool {
    last.at.plus_s(TRACKED_S) > now
}

fn day(at: Time) -> f64 {
    at.as_epoch_s().floor()
}

pub(super) fn generate(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::GenerateServiceLastAccessedDetailsRequest,
) -> Answer<types::GenerateServiceLastAccessedDetailsResponse> {
    let scope = scope(call);
    if !input.arn.starts_with("arn:") {
        return Err(invalid_input(format!("ARN {} is not valid.", input.arn)));
    }
    if subject(tx, &scope, &input.arn).is_none() {
        return Err(unknown(&input.arn));
    }
    let now = tx.now();
    let mut jobs: Vec<(Time, String)> = tx
        .list::<AccessJob>(&scope)
        .map(|(id, job)| (job.created_at, id.to_owned()))
        .collect();
    jobs.sort();
    let surplus = (jobs.len() + 1).saturating_sub(JOBS_MAX);
    for (at, (created_at, id)) in jobs.iter().enumerate() {
        if at < surplus || created_at.plus_s(JOB_LIFE_S) <= now {
            tx.delete::<AccessJob>(&scope, id);
        }
    }
    let id = uuid(tx.rng());
    let job = AccessJob {
        arn: input.arn,
        with_actions: input.granularity.as_deref() == Some("ACTION_LEVEL"),
        created_at: now,
    };
    tx.put(&scope, &id, job);
    Ok(types::GenerateServiceLastAccessedDetailsResponse { job_id: Some(id) })
}

/// A job of the caller's account and whom it is about.
fn job<'a>(state: &'a State, scope: &'a Scope, id: &str, now: Time) -> Answer<(&'a AccessJob, Subject<'a>)> {
    let job = state
        .get::<AccessJob>(scope, id)
        .filter(|job| job.created_at.plus_s(JOB_LIFE_S) > now)
        .ok_or_else(|| no_such_entity(format!("Job with id {id} cannot be found.")))?;
    let subject = subject(state, scope, &job.arn).ok_or_else(|| unknown(&job.arn))?;
    Ok((job, subject))
}

/// The last of some uses and who it was.
fn latest<'a>(uses: impl Iterator<Item = (&'a Entity, &'a LastUse)>) -> Option<(&'a Entity, &'a LastUse)> {
    uses.max_by_key(|(_, last)| last.at)
}

fn shown(
    state: &State,
    call: &Call,
    subject: &Subject<'_>,
    service: &Service,
    with_actions: bool,
) -> types::ServiceLastAccessed {
    let (scope, now) = (scope(call), call.now);
    let entities = subject.entities.iter().map(|(_, entity)| *entity);
    let uses: Vec<(&Entity, &ServiceAccess)> = entities
        .filter_map(|entity| Some((entity, used(state, &scope, entity, service.namespace, now)?)))
        .collect();
    let last = latest(uses.iter().map(|(entity, row)| (*entity, &row.last)));
    let actions = || {
        let model = honmaru_wire::service(service.model);
        let operations = model.into_iter().flat_map(|model| model.operations());
        let granted = operations.map(|operation| operation.name()).filter(|name| {
            let action = format!("{}:{name}", service.namespace).to_ascii_lowercase();
            subject.allows(&action)
        });
        let tracked = granted.map(|name| {
            let of_action = uses
                .iter()
                .filter_map(|(entity, row)| Some((*entity, row.actions.get(name)?)));
            let last = latest(of_action.filter(|(_, last)| is_tracked(last, now)));
            types::TrackedActionLastAccessed {
                action_name: Some(name.to_owned()),
                last_accessed_entity: last.map(|(entity, _)| entity.arn.clone()),
                last_accessed_time: last.map(|(_, last)| day(last.at)),
                last_accessed_region: last.map(|(_, last)| last.region.clone()),
            }
        });
        tracked.collect()
    };
    types::ServiceLastAccessed {
        service_name: service.name.to_owned(),
        last_authenticated: last.map(|(_, last)| day(last.at)),
        service_namespace: service.namespace.to_owned(),
        last_authenticated_entity: last.map(|(entity, _)| entity.arn.clone()),
        last_authenticated_region: last.map(|(_, last)| last.region.clone()),
        total_authenticated_entities: i32::try_from(uses.len()).ok(),
        tracked_actions_last_accessed: with_actions.then(actions),
    }
}

pub(super) fn get(
    state: &State,
    call: &Call,
    input: types::GetServiceLastAccessedDetailsRequest,
) -> Answer<types::GetServiceLastAccessedDetailsResponse> {
    let scope = scope(call);
    let (job, subject) = job(state, &scope, &input.job_id, call.now)?;
    let granted = SERVICES.iter().filter(|service| subject.grants(service.namespace));
    let keyed = granted.map(|service| (service.namespace.to_owned(), service));
    let page = page(keyed, input.marker.as_deref(), input.max_items)?;
    let services = page.items.into_iter();
    Ok(types::GetServiceLastAccessedDetailsResponse {
        job_status: "COMPLETED".to_owned(),
        job_type: Some(
            if job.with_actions {
                "ACTION_LEVEL"
            } else {
                "SERVICE_LEVEL"
            }
            .to_owned(),
        ),
        job_creation_date: job.created_at.as_epoch_s(),
        services_last_accessed: services
            .map(|service| shown(state, call, &subject, service, job.with_actions))
            .collect(),
        job_completion_date: job.created_at.as_epoch_s(),
        is_truncated: page.is_truncated,
        marker: page.marker,
        error: None,
    })
}

pub(super) fn get_with_entities(
    state: &State,
    call: &Call,
    input: types::GetServiceLastAccessedDetailsWithEntitiesRequest,
) -> Answer<types::GetServiceLastAccessedDetailsWithEntitiesResponse> {
    let (scope, namespace) = (scope(call), input.service_namespace.as_str());
    let (job, subject) = job(state, &scope, &input.job_id, call.now)?;
    let entities = match subject.grants(namespace) {
        true => subject.entities.as_slice(),
        false => &[],
    };
    // The most recent first. Ref: GetServiceLastAccessedDetailsWithEntities.
    let mut keyed: Vec<(String, types::EntityDetails)> = entities
        .iter()
        .map(|(kind, entity)| {
            let at = used(state, &scope, entity, namespace, call.now).map(|row| row.last.at);
            let ago_ms = at.map_or(i64::MAX, |at| i64::MAX - at.as_ms());
            let details = types::EntityDetails {
                entity_info: types::EntityInfo {
                    arn: entity.arn.clone(),
                    name: entity.name.clone(),
                    r#type: (*kind).to_owned(),
                    id: entity.id.clone(),
                    path: Some(entity.path.clone()),
                },
                last_authenticated: at.map(day),
            };
            (format!("{ago_ms:020}/{}", entity.arn), details)
        })
        .collect();
    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
    let page = page(keyed.into_iter(), input.marker.as_deref(), input.max_items)?;
    Ok(types::GetServiceLastAccessedDetailsWithEntitiesResponse {
        job_status: "COMPLETED".to_owned(),
        job_creation_date: job.created_at.as_epoch_s(),
        job_completion_date: job.created_at.as_epoch_s(),
        entity_details_list: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
        error: None,
    })
}

/// The policies of one entity that grant a service.
fn granting(state: &State, kind: &str, entity: &Entity, namespace: &str) -> Vec<types::PolicyGrantingServiceAccess> {
    let grants = |document: Document<'_>| document.compiled().is_ok_and(|policy| policy.grants(namespace));
    let inline = entity.inline.iter().filter(|(_, text)| grants(Document::Own(text)));
    let inline = inline.map(|(name, _)| types::PolicyGrantingServiceAccess {
        policy_name: name.clone(),
        policy_type: "INLINE".to_owned(),
        policy_arn: None,
        entity_type: Some(kind.to_owned()),
        entity_name: Some(entity.name.clone()),
    });
    let attached = entity
        .attached
        .iter()
        .filter(|arn| managed_document(state, arn).is_some_and(grants));
    // Of managed policies it is not said who has them. Ref: `PolicyGrantingServiceAccess`.
    let attached = attached.map(|arn| types::PolicyGrantingServiceAccess {
        policy_name: arn.rsplit('/').next().unwrap_or(arn).to_owned(),
        policy_type: "MANAGED".to_owned(),
        policy_arn: Some(arn.clone()),
        entity_type: None,
        entity_name: None,
    });
    inline.chain(attached).collect()
}

pub(super) fn list_granting(
    state: &State,
    call: &Call,
    input: types::ListPoliciesGrantingServiceAccessRequest,
) -> Answer<types::ListPoliciesGrantingServiceAccessResponse> {
    let (scope, arn) = (scope(call), input.arn.as_str());
    let mut entities: Vec<(&str, &Entity)> = Vec::new();
    if let Some(user) = holder_of::<User>(state, &scope, arn) {
        entities.push(("USER", &user.entity));
        let groups = user.groups.iter().filter_map(|key| state.get::<Group>(&scope, key));
        entities.extend(groups.map(|group| ("GROUP", &group.entity)));
    } else if let Some(role) = holder_of::<Role>(state, &scope, arn) {
        entities.push(("ROLE", &role.entity));
    } else if let Some(group) = holder_of::<Group>(state, &scope, arn) {
        entities.push(("GROUP", &group.entity));
    } else {
        return Err(unknown(arn));
    }
    let entries = input
        .service_namespaces
        .into_iter()
        .enumerate()
        .map(|(number, namespace)| {
            let policies = entities
                .iter()
                .flat_map(|(kind, entity)| granting(state, kind, entity, &namespace))
                .collect();
            let entry = types::ListPoliciesGrantingServiceAccessEntry {
                service_namespace: Some(namespace),
                policies: Some(policies),
            };
            (format!("{number:04}"), entry)
        });
    let page = page(entries, input.marker.as_deref(), None)?;
    Ok(types::ListPoliciesGrantingServiceAccessResponse {
        policies_granting_service_access: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}
