//! The policy simulator. Ref: IAM API Reference, SimulatePrincipalPolicy, SimulateCustomPolicy.

use super::common::{Answer, page};
use crate::errors::{invalid_input, no_such_entity};
use crate::machine::{document_of, role_by_arn, scope_of};
use crate::model::{Entity, Group, User, key_of};
use crate::types;
use honmaru_identity::{
    Caller, CallerKind, Context, Decision, Effect, Layer, Place, Policies, Policy, PolicyKind, Request, evaluate,
    statement_places,
};
use honmaru_machine::{Call, State};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most results of one call: actions times resources.
const RESULTS_MAX: usize = 10_000;

/// One policy that takes part, with the name and type that MatchedStatements shows.
struct Source {
    id: String,
    kind: &'static str,
    policy: Arc<Policy>,
    /// Where each statement stands.
    places: Vec<(Place, Place)>,
}

impl Source {
    fn parse(id: String, kind: &'static str, document: &str, policy_kind: PolicyKind) -> Answer<Self> {
        Ok(Self {
            id,
            kind,
            policy: parse(document, policy_kind)?,
            places: statement_places(document),
        })
    }

    fn resource(document: Option<String>) -> Answer<Option<Self>> {
        let parse = |document: String| {
            Self::parse(
                "ResourcePolicy".to_owned(),
                "Resource Policy",
                &document,
                PolicyKind::Resource,
            )
        };
        document.map(parse).transpose()
    }

    /// The statements of that effect on the request, as MatchedStatements shows them.
    fn matched(&self, effect: Effect, request: &Request<'_>) -> Vec<types::Statement> {
        let position = |place: &Place| types::Position {
            line: i32::try_from(place.line).ok(),
            column: i32::try_from(place.column).ok(),
        };
        let numbers = self.policy.statements_with(effect, request).into_iter();
        numbers
            .map(|number| {
                let places = self.places.get(number);
                types::Statement {
                    source_policy_id: Some(self.id.clone()),
                    source_policy_type: Some(self.kind.to_owned()),
                    start_position: places.map(|(start, _)| position(start)),
                    end_position: places.map(|(_, end)| position(end)),
                }
            })
            .collect()
    }
}

/// Everything that the two simulations have in common.
struct Simulation {
    identity: Vec<Source>,
    boundary: Option<Arc<Policy>>,
    resource: Option<Source>,
    actions: Vec<String>,
    resources: Vec<String>,
    context: BTreeMap<String, Vec<String>>,
    /// Who is simulated to call; of documents alone nobody in particular.
    caller_arn: Option<String>,
    resource_owner: Option<String>,
}

fn parse(document: &str, kind: PolicyKind) -> Answer<Arc<Policy>> {
    Policy::parse(document, kind)
        .map(Arc::new)
        .map_err(|error| invalid_input(error.to_string()))
}

fn inputs(list: Option<Vec<String>>) -> Answer<Vec<Source>> {
    let sources = list.unwrap_or_default().into_iter().enumerate().map(|(i, document)| {
        Source::parse(
            format!("PolicyInputList.{}", i + 1),
            "IAM Policy",
            &document,
            PolicyKind::Identity,
        )
    });
    sources.collect()
}

fn context(entries: Option<Vec<types::ContextEntry>>) -> BTreeMap<String, Vec<String>> {
    let entries = entries.unwrap_or_default().into_iter();
    entries
        .filter_map(|e| {
            Some((
                e.context_key_name?.to_lowercase(),
                e.context_key_values.unwrap_or_default(),
            ))
        })
        .collect()
}

fn entity_sources(state: &State, noun: &str, entity: &Entity, out: &mut Vec<Source>) -> Answer<()> {
    for (name, document) in &entity.inline {
        let id = format!("{noun}_{}_{name}", entity.name);
        out.push(Source::parse(id, "IAM Policy", document, PolicyKind::Stored)?);
    }
    for arn in &entity.attached {
        if let Some(document) = document_of(state, arn) {
            let id = arn.rsplit('/').next().unwrap_or(arn).to_owned();
            out.push(Source::parse(id, "IAM Policy", document, PolicyKind::Stored)?);
        }
    }
    Ok(())
}

/// The policies, the boundary and the ARN of a user, group or role: of the very ARN that permission was asked for.
fn source_of(state: &State, call: &Call, arn: &str) -> Answer<(Vec<Source>, Option<String>)> {
    let missing = || no_such_entity("Unable to retrieve specified IAM entity.");
    let mut sources = Vec::new();
    let scope = scope_of(&call.scope.account);
    let mut parts = arn.splitn(6, ':').skip(4);
    let (account, resource) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if account != call.scope.account.as_str() {
        return Err(missing());
    }
    let (kind, name) = resource.split_once('/').ok_or_else(missing)?;
    let key = key_of(name.rsplit('/').next().unwrap_or_default());
    match kind {
        "user" => {
            let user = state.get::<User>(&scope, &key).filter(|user| user.entity.arn == arn);
            let user = user.ok_or_else(missing)?;
            entity_sources(state, "user", &user.entity, &mut sources)?;
            for group in user.groups.iter().filter_map(|key| state.get::<Group>(&scope, key)) {
                entity_sources(state, "group", &group.entity, &mut sources)?;
            }
            Ok((sources, user.entity.boundary.clone()))
        }
        "group" => {
            let group = state.get::<Group>(&scope, &key).filter(|group| group.entity.arn == arn);
            let group = group.ok_or_else(missing)?;
            entity_sources(state, "group", &group.entity, &mut sources)?;
            Ok((sources, None))
        }
        "role" => {
            let (_, role) = role_by_arn(state, arn).ok_or_else(missing)?;
            entity_sources(state, "role", &role.entity, &mut sources)?;
            Ok((sources, role.entity.boundary.clone()))
        }
        _ => Err(invalid_input(format!(
            "Invalid Entity Arn: {arn} does not clearly define entity type and name."
        ))),
    }
}

pub(super) fn principal(
    state: &State,
    call: &Call,
    input: types::SimulatePrincipalPolicyRequest,
) -> Answer<types::SimulatePolicyResponse> {
    let (mut identity, boundary) = source_of(state, call, &input.policy_source_arn)?;
    identity.extend(inputs(input.policy_input_list)?);
    let given = input
        .permissions_boundary_policy_input_list
        .and_then(|list| list.into_iter().next());
    let document = given.or_else(|| boundary.and_then(|arn| document_of(state, &arn).map(str::to_owned)));
    let simulation = Simulation {
        identity,
        boundary: document
            .map(|document| parse(&document, PolicyKind::Stored))
            .transpose()?,
        resource: Source::resource(input.resource_policy)?,
        actions: input.action_names,
        resources: input.resource_arns.unwrap_or_default(),
        context: context(input.context_entries),
        caller_arn: Some(input.caller_arn.unwrap_or(input.policy_source_arn)),
        resource_owner: input.resource_owner,
    };
    run(call, &simulation, input.marker.as_deref(), input.max_items)
}

pub(super) fn custom(
    _state: &State,
    call: &Call,
    input: types::SimulateCustomPolicyRequest,
) -> Answer<types::SimulatePolicyResponse> {
    let boundary = input
        .permissions_boundary_policy_input_list
        .and_then(|list| list.into_iter().next());
    let simulation = Simulation {
        identity: inputs(Some(input.policy_input_list))?,
        boundary: boundary
            .map(|document| parse(&document, PolicyKind::Identity))
            .transpose()?,
        resource: Source::resource(input.resource_policy)?,
        actions: input.action_names,
        resources: input.resource_arns.unwrap_or_default(),
        context: context(input.context_entries),
        caller_arn: input.caller_arn,
        resource_owner: input.resource_owner,
    };
    run(call, &simulation, input.marker.as_deref(), input.max_items)
}

/// What a request's context holds: the entries, and what follows from the caller.
struct Entries<'a> {
    given: &'a BTreeMap<String, Vec<String>>,
    caller: &'a Caller<'a>,
}

impl Context for Entries<'_> {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        self.given.get(key).cloned().or_else(|| match key {
            "aws:username" => self.caller.user_name.map(|name| vec![name.to_owned()]),
            "aws:principalarn" if !self.caller.arn.is_empty() => Some(vec![self.caller.arn.to_owned()]),
            "aws:principalaccount" if !self.caller.arn.is_empty() => Some(vec![self.caller.account.to_owned()]),
            _ => None,
        })
    }
}

fn run(
    call: &Call,
    simulation: &Simulation,
    marker: Option<&str>,
    max_items: Option<i32>,
) -> Answer<types::SimulatePolicyResponse> {
    let everything = vec!["*".to_owned()];
    let resources = if simulation.resources.is_empty() {
        &everything
    } else {
        &simulation.resources
    };
    // Ref: SimulatePrincipalPolicy, SimulateCustomPolicy, `CallerArn`: a resource policy needs a user who calls.
    let arn = simulation.caller_arn.as_deref();
    if simulation.resource.is_some() && !arn.is_some_and(|arn| arn.contains(":user/")) {
        return Err(invalid_input(
            "CallerArn must be an ARN of an IAM user when a resource policy is given.",
        ));
    }
    if simulation.actions.len().saturating_mul(resources.len()) > RESULTS_MAX {
        return Err(invalid_input(format!(
            "At most {RESULTS_MAX} results can be simulated at once."
        )));
    }
    let user_name = arn.and_then(|arn| arn.split_once(":user/")?.1.rsplit('/').next());
    let role_arn = arn.filter(|_| user_name.is_none());
    let caller = Caller {
        kind: if role_arn.is_some() {
            CallerKind::AssumedRole
        } else {
            CallerKind::User
        },
        account: call.scope.account.as_str(),
        arn: arn.unwrap_or_default(),
        role_arn,
        user_name,
        ..Caller::anonymous()
    };
    let context = Entries {
        given: &simulation.context,
        caller: &caller,
    };
    let policies = Policies {
        identity: simulation.identity.iter().map(|source| source.policy.clone()).collect(),
        boundary: simulation.boundary.clone(),
        session: Vec::new(),
        resource: simulation.resource.as_ref().map(|source| source.policy.clone()),
        holder: None,
    };
    let missing = missing_keys(simulation, &context);
    let mut rows = Vec::new();
    for action in &simulation.actions {
        if action != "*" && !action.contains(':') {
            return Err(invalid_input(format!("Invalid action: {action}")));
        }
        for resource in resources {
            let owner = simulation
                .resource_owner
                .as_deref()
                .and_then(|owner| owner.split(':').nth(4));
            let request = Request {
                caller: &caller,
                action,
                resource,
                resource_account: owner.unwrap_or_default(),
                context: &context,
                resource_policy_required: false,
            };
            let result = result_of(simulation, &policies, &request, &missing);
            rows.push((format!("{:06}", rows.len()), result));
        }
    }
    let page = page(rows.into_iter(), marker, max_items)?;
    Ok(types::SimulatePolicyResponse {
        evaluation_results: Some(page.items),
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

/// Keys that the policies ask for and the request does not have.
fn missing_keys(simulation: &Simulation, context: &dyn Context) -> Vec<String> {
    let policies = simulation
        .identity
        .iter()
        .map(|s| &s.policy)
        .chain(&simulation.boundary)
        .chain(simulation.resource.as_ref().map(|source| &source.policy));
    let keys = once_each(policies.flat_map(|policy| policy.context_keys()));
    keys.into_iter()
        .filter(|key| context.values(&key.to_ascii_lowercase()).is_none())
        .collect()
}

fn result_of(
    simulation: &Simulation,
    policies: &Policies,
    request: &Request<'_>,
    missing: &[String],
) -> types::EvaluationResult {
    let decision = evaluate(request, policies);
    let wanted = match decision {
        Decision::Allow => Some(Effect::Allow),
        Decision::ExplicitDeny(_) => Some(Effect::Deny),
        Decision::ImplicitDeny(_) => None,
    };
    let sources = simulation.resource.iter().chain(&simulation.identity);
    let matched: Vec<types::Statement> = match wanted {
        Some(effect) => sources.flat_map(|source| source.matched(effect, request)).collect(),
        None => Vec::new(),
    };
    let boundary = simulation
        .boundary
        .as_ref()
        .map(|policy| types::PermissionsBoundaryDecisionDetail {
            allowed_by_permissions_boundary: Some(policy.effect(request) == Some(Effect::Allow)),
        });
    let eval_decision = match decision {
        Decision::Allow => "allowed",
        Decision::ExplicitDeny(_) => "explicitDeny",
        Decision::ImplicitDeny(Layer::Identity | Layer::Resource | Layer::Boundary | Layer::Session) => "implicitDeny",
    };
    // Told again by resource where the caller named one.
    let specific = types::ResourceSpecificResult {
        eval_resource_name: request.resource.to_owned(),
        eval_resource_decision: eval_decision.to_owned(),
        matched_statements: Some(matched.clone()),
        missing_context_values: Some(missing.to_vec()),
        permissions_boundary_decision_detail: boundary.clone(),
        ..Default::default()
    };
    types::EvaluationResult {
        // Decisions by kind of policy, which only a call across accounts has.
        eval_decision_details: Some(BTreeMap::new()),
        eval_action_name: request.action.to_owned(),
        eval_resource_name: Some(request.resource.to_owned()),
        eval_decision: eval_decision.to_owned(),
        matched_statements: Some(matched),
        missing_context_values: Some(missing.to_vec()),
        permissions_boundary_decision_detail: boundary,
        resource_specific_results: Some(vec![specific]).filter(|_| !simulation.resources.is_empty()),
        ..Default::default()
    }
}

/// Keys without repetition, in whatever case they come.
fn once_each(keys: impl Iterator<Item = String>) -> Vec<String> {
    let mut known = BTreeSet::new();
    keys.filter(|key| known.insert(key.to_ascii_lowercase())).collect()
}

fn keys(sources: &[Source]) -> types::GetContextKeysForPolicyResponse {
    let keys = once_each(sources.iter().flat_map(|source| source.policy.context_keys()));
    types::GetContextKeysForPolicyResponse {
        context_key_names: Some(keys),
    }
}

pub(super) fn keys_of_custom(
    _state: &State,
    _call: &Call,
    input: types::GetContextKeysForCustomPolicyRequest,
) -> Answer<types::GetContextKeysForPolicyResponse> {
    Ok(keys(&inputs(Some(input.policy_input_list))?))
}

pub(super) fn keys_of_principal(
    state: &State,
    call: &Call,
    input: types::GetContextKeysForPrincipalPolicyRequest,
) -> Answer<types::GetContextKeysForPolicyResponse> {
    let (mut sources, _) = source_of(state, call, &input.policy_source_arn)?;
    sources.extend(inputs(input.policy_input_list)?);
    Ok(keys(&sources))
}
