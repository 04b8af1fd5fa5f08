//! Actions of rules and listeners: checked, and stored with every default filled in.

use super::limits::GROUPS_PER_ACTION_MAX;
use crate::error::{invalid_configuration, named_group_not_found, unsupported, validation};
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
}

/// Checks the actions of a rule and returns them in their order, as trees.
pub(super) fn normalize(
    state: &State,
    place: &Place<'_>,
    mut actions: Vec<types::Action>,
) -> Result<Vec<Value>, ApiError> {
    if actions.is_empty() {
        return Err(validation("At least one action must be specified"));
    }
    if actions.len() > 1 {
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
        if matches!(
            action.r#type.as_str(),
            "authenticate-oidc" | "authenticate-cognito" | "jwt-validation"
        ) {
            return Err(match place.protocol {
                "HTTPS" => unsupported(format!("action type '{}' is not supported", action.r#type)),
                _ => invalid_configuration(format!("Actions of type '{}' require an HTTPS listener", action.r#type)),
            });
        }
    }
    actions.sort_by_key(|action| action.order.unwrap_or(0));
    let [action] = &mut actions[..] else {
        return Err(invalid_configuration(
            "Exactly one action of type 'forward', 'redirect' or 'fixed-response' must be specified",
        ));
    };
    let is_application = place.balancer.kind == "application";
    match action.r#type.as_str() {
        "forward" => forward(state, place, action)?,
        "redirect" if is_application => redirect(place, action)?,
        "fixed-response" if is_application => fixed_response(action)?,
        other => {
            return Err(invalid_configuration(format!(
                "Actions of type '{other}' are not supported for load balancers of type '{}'",
                place.balancer.kind
            )));
        }
    }
    Ok(actions.into_iter().map(Tree::into_tree).collect())
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
                "You cannot specify both a target group ARN and a different list of target groups in a forward action",
            ));
        }
        (None, _) => {}
    }
    let is_application = place.balancer.kind == "application";
    let max = if is_application { GROUPS_PER_ACTION_MAX } else { 1 };
    if tuples.len() > max {
        return Err(ApiError::new(
            "TooManyUniqueTargetGroupsPerLoadBalancer",
            format!("A forward action can have at most '{max}' target groups"),
        ));
    }
    for tuple in &mut tuples {
        let arn = tuple.target_group_arn.as_deref().unwrap_or("");
        names::check_arn("targetgroup", "target group", arn)?;
        let group = state
            .get::<TargetGroup>(place.scope, arn)
            .ok_or_else(|| named_group_not_found(arn))?;
        check_group(state, place, group)?;
        let weight = tuple.weight.unwrap_or(1);
        if !(0..=999).contains(&weight) {
            return Err(validation(format!(
                "Target group weight '{weight}' must be between '0' and '999'"
            )));
        }
        tuple.weight = Some(weight);
    }
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
        (true, None) => return Err(validation("A duration must be specified for target group stickiness")),
        (_, Some(duration)) if !(1..=604_800).contains(&duration) => {
            return Err(validation(format!(
                "Stickiness duration '{duration}' must be between '1' and '604800'"
            )));
        }
        _ => {}
    }
    stickiness.enabled = Some(is_sticky);
    config.target_group_stickiness_config = is_application.then_some(stickiness);
    action.target_group_arn = match &tuples[..] {
        [only] => only.target_group_arn.clone(),
        _ => None,
    };
    config.target_groups = Some(tuples);
    action.forward_config = Some(config);
    Ok(())
}

/// Whether a target group fits a listener, and is free or the load balancer's own.
fn check_group(state: &State, place: &Place<'_>, group: &TargetGroup) -> Result<(), ApiError> {
    let fits = match place.protocol {
        "HTTP" | "HTTPS" => matches!(group.protocol.as_str(), "HTTP" | "HTTPS"),
        "TCP" => group.protocol == "TCP",
        "TLS" => matches!(group.protocol.as_str(), "TCP" | "TLS"),
        _ => false,
    };
    if !fits {
        return Err(ApiError::new(
            "IncompatibleProtocols",
            format!(
                "The specified target group with protocol '{}' is not compatible with a listener of protocol '{}'",
                group.protocol, place.protocol
            ),
        ));
    }
    if place.protocol == "HTTP" && matches!(group.protocol_version.as_deref(), Some("HTTP2" | "GRPC")) {
        return Err(invalid_configuration(format!(
            "Listener protocol 'HTTP' is not supported with a target group with the protocol-version '{}'",
            group.protocol_version.as_deref().unwrap_or_default()
        )));
    }
    if group.vpc_id != place.balancer.vpc_id {
        return Err(invalid_configuration(format!(
            "The target group '{}' and the load balancer are in different VPCs",
            group.arn
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
        return Err(validation("A redirect configuration must be specified"));
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
        return Err(validation(format!("Redirect port '{port}' is not valid")));
    }
    if !path.starts_with('/') {
        return Err(validation(format!("Redirect path '{path}' must start with '/'")));
    }
    if place.protocol == "HTTPS" && protocol == "HTTP" {
        return Err(invalid_configuration("Redirecting from HTTPS to HTTP is not supported"));
    }
    let is_loop = matches!(protocol.as_str(), "#{protocol}")
        && value(&config.host) == "#{host}"
        && port == "#{port}"
        && path == "/#{path}";
    if is_loop {
        return Err(invalid_configuration(
            "The redirect configuration is not valid because it creates a loop: at least one of protocol, host, port or path must change",
        ));
    }
    Ok(())
}

const CONTENT_TYPES: &[&str] = &[
    "text/plain",
    "text/css",
    "text/html",
    "application/javascript",
    "application/json",
];

fn fixed_response(action: &mut types::Action) -> Result<(), ApiError> {
    let Some(config) = &mut action.fixed_response_config else {
        return Err(validation("A fixed response configuration must be specified"));
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
        return Err(validation(format!(
            "Fixed response content type '{kind}' must be one of: {}",
            CONTENT_TYPES.join(", ")
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
