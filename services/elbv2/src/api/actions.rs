//! Actions of rules and listeners: checked, and stored with every default filled in.
//!
//! The texts are AWS's, where badmintoncryer/cdk-preflight recorded them in September 2026 (`pf-elbv2-action-*`,
//! `pf-elbv2-listener-*`, `pf-elbv2-rule-actions-*`).

use super::limits::GROUPS_PER_ACTION_MAX;
use super::{foreign, group_limit, group_stickiness};
use crate::error::{invalid_action, invalid_configuration, named_group_not_found, unsupported, validation};
use crate::machine::load_balancer_arns;
use crate::model::{LoadBalancer, TargetGroup};
use crate::{names, types};
use honmaru_base::{ApiError, Scope};
use honmaru_machine::State;
use honmaru_wire::tree::Tree;
use serde_json::Value;

/// Where actions are for.
pub(super) struct Place<'a> {
    pub(super) scope: &'a Scope,
    pub(super) balancer: &'a LoadBalancer,
    /// The listener's protocol.
    pub(super) protocol: &'a str,
    /// The listener or the rule whose actions are replaced.
    pub(super) instead_of: Option<&'a str>,
}

/// Checks the actions of a rule and returns them in their order, as trees.
pub(super) fn normalize(
    state: &State,
    place: &Place<'_>,
    mut actions: Vec<types::Action>,
) -> Result<Vec<Value>, ApiError> {
    if actions.is_empty() {
        // Seen: hashicorp/terraform-provider-aws issue 40022.
        return Err(validation("An action must be specified"));
    }
    if actions.len() > 1 {
        if actions.iter().any(|action| action.order.is_none()) {
            return Err(validation(
                "When you specify multiple actions, you must specify an order for each action",
            ));
        }
        let mut orders: Vec<i32> = actions.iter().filter_map(|action| action.order).collect();
        orders.sort_unstable();
        orders.dedup();
        if orders.len() != actions.len() {
            return Err(validation("Each action must have a unique order"));
        }
    }
    for action in &actions {
        if action.order.is_some_and(|order| !(1..=50_000).contains(&order)) {
            return Err(validation("Action order must be between '1' and '50000'"));
        }
        if is_authentication(action) && place.protocol != "HTTPS" {
            return Err(invalid_configuration(format!(
                "Actions of type '{}' require an HTTPS listener",
                action.r#type
            )));
        }
    }
    actions.sort_by_key(|action| action.order.unwrap_or(0));
    check_last(&actions)?;
    if let Some(action) = actions.iter().find(|action| is_authentication(action)) {
        return Err(unsupported(format!("action type '{}' is not supported", action.r#type)));
    }
    let [action] = &mut actions[..] else {
        let types: Vec<&str> = actions.iter().map(|action| action.r#type.as_str()).collect();
        return Err(invalid_action(format!(
            "Action types '{}' cannot be specified together",
            types.join(",")
        )));
    };
    let is_application = place.balancer.kind == "application";
    match action.r#type.as_str() {
        "forward" => forward(state, place, action)?,
        "redirect" if is_application => redirect(place, action)?,
        "fixed-response" if is_application => fixed_response(action)?,
        other => {
            return Err(invalid_action(format!(
                "The action type '{other}' is not valid with {} load balancer",
                place.balancer.kind
            )));
        }
    }
    foreign::check_action(action)?;
    Ok(actions.into_iter().map(Tree::into_tree).collect())
}

fn is_authentication(action: &types::Action) -> bool {
    matches!(
        action.r#type.as_str(),
        "authenticate-oidc" | "authenticate-cognito" | "jwt-validation"
    )
}

/// Whether the action that routes comes after those that authenticate. Its code is not recorded.
fn check_last(actions: &[types::Action]) -> Result<(), ApiError> {
    let Some((last, others)) = actions.split_last().filter(|(last, _)| is_authentication(last)) else {
        return Ok(());
    };
    match others.iter().find(|action| !is_authentication(action)) {
        Some(routing) => Err(invalid_action(format!(
            "An action of type '{}' must have a higher order than all other actions",
            routing.r#type
        ))),
        None => Err(unsupported(format!("action type '{}' is not supported", last.r#type))),
    }
}

fn forward(state: &State, place: &Place<'_>, action: &mut types::Action) -> Result<(), ApiError> {
    let mut config = action.forward_config.take().unwrap_or_default();
    let mut tuples = config.target_groups.take().unwrap_or_default();
    match (&action.target_group_arn, &tuples[..]) {
        (None, []) => return Err(validation("A target group ARN must be specified")),
        (Some(arn), []) => {
            tuples.push(types::TargetGroupTuple {
                target_group_arn: Some(arn.clone()),
                weight: Some(1),
            });
        }
        (Some(arn), [only]) if only.target_group_arn.as_ref() == Some(arn) => {}
        (Some(_), _) => {
            return Err(validation(
                "You can specify both a target group list and a top-level target group ARN only if the ARNs match",
            ));
        }
        (None, _) => {}
    }
    let is_application = place.balancer.kind == "application";
    if tuples.len() > GROUPS_PER_ACTION_MAX {
        return Err(ApiError::new(
            "TooManyUniqueTargetGroupsPerLoadBalancer",
            format!("You cannot specify more than {GROUPS_PER_ACTION_MAX} target groups per action"),
        ));
    }
    weigh(&mut tuples)?;
    let mut groups = Vec::with_capacity(tuples.len());
    for tuple in &tuples {
        let arn = tuple.target_group_arn.as_deref().unwrap_or("");
        names::check_arn("targetgroup", "target group", arn)?;
        let group = state
            .get::<TargetGroup>(place.scope, arn)
            .ok_or_else(|| named_group_not_found(arn))?;
        groups.push(group);
    }
    check_groups(state, place, &groups)?;
    let named = groups.iter().map(|group| group.arn.as_str());
    group_limit::check(state, place.scope, place.balancer, named, place.instead_of)?;
    let mut arns: Vec<_> = tuples.iter().map(|tuple| tuple.target_group_arn.clone()).collect();
    arns.sort();
    arns.dedup();
    if arns.len() != tuples.len() {
        return Err(validation(
            "A target group can only be specified once in a forward action",
        ));
    }
    let mut stickiness = config.target_group_stickiness_config.take().unwrap_or_default();
    let is_sticky = stickiness.enabled.unwrap_or(false);
    match (is_sticky, stickiness.duration_seconds) {
        (_, Some(_)) if !is_application => {
            return Err(validation(format!(
                "Target group stickiness duration cannot be configured on load balancers of type '{}'",
                place.balancer.kind
            )));
        }
        // Ref: NLB guide, "Listeners", which says that it is not supported, and not in which words.
        (true, None) if place.protocol == "TLS" => {
            return Err(validation("Target group stickiness is not supported for TLS listeners"));
        }
        (true, None) if is_application => {
            return Err(validation(
                "You must provide a duration when enabling target group stickiness",
            ));
        }
        (_, Some(duration)) if !(1..=604_800).contains(&duration) => {
            return Err(validation(
                "Target group stickiness duration must be between 1 and 604800 seconds",
            ));
        }
        _ => {}
    }
    group_stickiness::check_groups(&groups, is_sticky)?;
    stickiness.enabled = Some(is_sticky);
    let is_told = is_application || is_sticky || tuples.len() > 1;
    config.target_group_stickiness_config = is_told.then_some(stickiness);
    action.target_group_arn = match &tuples[..] {
        [only] => only.target_group_arn.clone(),
        _ => None,
    };
    config.target_groups = Some(tuples);
    action.forward_config = Some(config);
    Ok(())
}

/// Fills in and checks weights: several groups need one each. Seen: "The weight for each target group ...", aws/aws-cdk
/// issue 24805.
fn weigh(tuples: &mut [types::TargetGroupTuple]) -> Result<(), ApiError> {
    if let [only] = tuples {
        let weight = only.weight.unwrap_or(1);
        only.weight = Some(weight);
        return match weight {
            1..=999 => Ok(()),
            _ => Err(validation(
                "The weight for the target group must be between 1 and 999, inclusive",
            )),
        };
    }
    let fits = |tuple: &types::TargetGroupTuple| tuple.weight.is_some_and(|weight| (0..=999).contains(&weight));
    match tuples.iter().all(fits) {
        true => Ok(()),
        false => Err(validation(
            "The weight for each target group must be between 0 and 999, inclusive",
        )),
    }
}

/// The ARNs of the groups that are not as they should be.
fn without<'a>(groups: &[&'a TargetGroup], is_right: impl Fn(&TargetGroup) -> bool) -> Vec<&'a str> {
    let wrong = groups.iter().filter(|group| !is_right(group));
    wrong.map(|group| group.arn.as_str()).collect()
}

fn incompatible(arns: &[&str]) -> ApiError {
    ApiError::new(
        "IncompatibleProtocols",
        format!(
            "The listener and the following target groups have incompatible protocols: {}",
            arns.join(", ")
        ),
    )
}

/// Whether target groups fit a listener.
fn check_groups(state: &State, place: &Place<'_>, groups: &[&TargetGroup]) -> Result<(), ApiError> {
    let wrong = without(groups, |group| match place.protocol {
        "HTTP" | "HTTPS" => matches!(group.protocol.as_str(), "HTTP" | "HTTPS"),
        "TCP" => group.protocol == "TCP",
        "TLS" => matches!(group.protocol.as_str(), "TCP" | "TLS"),
        _ => false,
    });
    if !wrong.is_empty() {
        return Err(incompatible(&wrong));
    }
    // Ref: NLB guide, "Listeners": "For TLS listeners, you can't add both TCP target groups and TLS target groups". The
    // words of AWS's refusal are not recorded: these are those of the nearest one.
    if place.protocol == "TLS" {
        let first = groups.first().map(|group| group.protocol.as_str());
        let wrong = without(groups, |group| Some(group.protocol.as_str()) == first);
        if !wrong.is_empty() {
            return Err(incompatible(&wrong));
        }
    }
    let wrong = without(groups, |group| group.vpc_id == place.balancer.vpc_id);
    if !wrong.is_empty() {
        return Err(invalid_configuration(format!(
            "The following target groups are in a different VPC than load balancer '{}': {}",
            place.balancer.arn,
            wrong.join(", ")
        )));
    }
    groups.iter().try_for_each(|group| check_group(state, place, group))
}

/// Whether a target group's version fits a listener, and the group is free or the load balancer's own.
fn check_group(state: &State, place: &Place<'_>, group: &TargetGroup) -> Result<(), ApiError> {
    if place.protocol == "HTTP" && matches!(group.protocol_version.as_deref(), Some("HTTP2" | "GRPC")) {
        return Err(invalid_action(format!(
            "Listener protocol 'HTTP' is not supported with a target group with the protocol-version '{}'",
            group.protocol_version.as_deref().unwrap_or_default()
        )));
    }
    let others = load_balancer_arns(state, place.scope, &group.arn);
    if others.iter().any(|arn| *arn != place.balancer.arn) {
        return Err(ApiError::new(
            "TargetGroupAssociationLimit",
            format!(
                "The following target groups cannot be associated with more than one load balancer: {}",
                group.arn
            ),
        ));
    }
    Ok(())
}

fn redirect(place: &Place<'_>, action: &mut types::Action) -> Result<(), ApiError> {
    let Some(config) = &mut action.redirect_config else {
        return Err(needs(&action.r#type, "RedirectConfig"));
    };
    if !matches!(config.status_code.as_str(), "HTTP_301" | "HTTP_302") {
        return Err(validation("The redirect status code must be 'HTTP_301' or 'HTTP_302'"));
    }
    let fill = |member: &mut Option<String>, default: &str, max: usize| match member {
        Some(value) if value.chars().count() > max => Err(validation(format!(
            "A redirect component cannot be longer than '{max}' characters"
        ))),
        Some(_) => Ok(()),
        None => {
            *member = Some(default.to_owned());
            Ok(())
        }
    };
    fill(&mut config.protocol, "#{protocol}", 128)?;
    fill(&mut config.host, "#{host}", 128)?;
    fill(&mut config.port, "#{port}", 128)?;
    fill(&mut config.path, "/#{path}", 128)?;
    fill(&mut config.query, "#{query}", 128)?;
    let value = |member: &Option<String>| member.clone().unwrap_or_default();
    let (protocol, port, path) = (value(&config.protocol), value(&config.port), value(&config.path));
    if !matches!(protocol.as_str(), "HTTP" | "HTTPS" | "#{protocol}") {
        return Err(validation(format!("Redirect protocol '{protocol}' is not valid")));
    }
    if port != "#{port}" && !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(invalid_action(
            "The Port parameter must be either an integer between 1 and 65535 or '#{port}'.",
        ));
    }
    if !is_redirect_path(&path) {
        return Err(invalid_action(
            "The Path parameter must be a valid path, should start with a '/', and may contain up to one of each of these \
             placeholders: '#{path}', '#{host}', '#{port}'.",
        ));
    }
    if place.protocol == "HTTPS" && protocol == "HTTP" {
        return Err(invalid_action("You cannot redirect HTTPS to HTTP."));
    }
    let is_loop = matches!(protocol.as_str(), "#{protocol}")
        && value(&config.host) == "#{host}"
        && port == "#{port}"
        && path == "/#{path}";
    if is_loop {
        return Err(invalid_action(
            "The redirect configuration is not valid because it creates a loop.",
        ));
    }
    Ok(())
}

/// An absolute path, with each of the three placeholders at most once and no other.
fn is_redirect_path(path: &str) -> bool {
    let mut rest = path.to_owned();
    for placeholder in ["#{path}", "#{host}", "#{port}"] {
        rest = rest.replacen(placeholder, "", 1);
    }
    path.starts_with('/') && !rest.contains("#{")
}

/// Of an action without the settings of its type. Seen: hashicorp/terraform issue 32620.
fn needs(kind: &str, config: &str) -> ApiError {
    invalid_action(format!(
        "For actions of type '{kind}', you must specify the following fields: '{config}'"
    ))
}

/// In the order in which AWS names them.
const CONTENT_TYPES: &[&str] = &[
    "text/html",
    "application/json",
    "application/javascript",
    "text/css",
    "text/plain",
];

fn fixed_response(action: &mut types::Action) -> Result<(), ApiError> {
    let Some(config) = &mut action.fixed_response_config else {
        return Err(needs(&action.r#type, "FixedResponseConfig"));
    };
    let is_status = config
        .status_code
        .parse::<u16>()
        .is_ok_and(|code| matches!(code, 200..=299 | 400..=599));
    if !is_status {
        return Err(validation(format!(
            "Fixed response status code '{}' must be 2XX, 4XX or 5XX",
            config.status_code
        )));
    }
    if let Some(kind) = &config.content_type
        && !CONTENT_TYPES.contains(&kind.as_str())
    {
        return Err(invalid_action(format!(
            "The ContentType must be one of:'{}'.",
            CONTENT_TYPES.join("', '")
        )));
    }
    if config
        .message_body
        .as_ref()
        .is_some_and(|body| body.chars().count() > 1_024)
    {
        return Err(validation(
            "Fixed response message body cannot be longer than '1024' characters",
        ));
    }
    Ok(())
}
