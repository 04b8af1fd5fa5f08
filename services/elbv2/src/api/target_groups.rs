//! Target groups.
//!
//! What is wrong with health checks and protocol versions is said in AWS's words, as badmintoncryer/cdk-preflight
//! recorded them in September 2026 (`pf-elbv2-tg-*`, `pf-elbv2-hc-timeout-interval`, `pf-elbv2-tcp-health-check-path`).

use super::limits::TARGET_GROUPS_MAX;
use super::page::page;
use super::{group_kinds, group_stickiness, tags};
use crate::attributes;
use crate::error::{self, validation};
use crate::glue;
use crate::machine::{group_owner, group_users, load_balancer_arns, remove_target, target_group};
use crate::model::{HealthSettings, LoadBalancer, Target, TargetGroup};
use crate::names;
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State, Tx};

/// What may be said about health checks, in Create and in Modify.
#[derive(Debug, Default)]
struct Wanted {
    protocol: Option<String>,
    port: Option<String>,
    is_enabled: Option<bool>,
    path: Option<String>,
    interval_s: Option<i32>,
    timeout_s: Option<i32>,
    healthy: Option<i32>,
    unhealthy: Option<i32>,
    matcher: Option<types::Matcher>,
}

fn is_tcp(protocol: &str) -> bool {
    matches!(protocol, "TCP" | "TLS")
}

/// Defaults by the group's protocol. Ref: CreateTargetGroup.
fn default_health(protocol: &str, version: Option<&str>) -> HealthSettings {
    let check = if is_tcp(protocol) { "TCP" } else { "HTTP" };
    HealthSettings {
        is_enabled: true,
        protocol: check.to_owned(),
        port: "traffic-port".to_owned(),
        path: default_path(check, version),
        interval_s: 30,
        timeout_s: default_timeout(protocol, check),
        healthy_threshold: 5,
        unhealthy_threshold: 2,
        matcher: default_matcher(protocol, check, version),
    }
}

/// Ref: CreateTargetGroup `HealthCheckTimeoutSeconds`, ALB and NLB guides, "Health checks".
fn default_timeout(group_protocol: &str, check: &str) -> u32 {
    match (is_tcp(group_protocol), check) {
        (true, "HTTP") => 6,
        (true, _) => 10,
        (false, _) => 5,
    }
}

fn default_path(check: &str, version: Option<&str>) -> Option<String> {
    match (check, version) {
        ("TCP", _) => None,
        (_, Some("GRPC")) => Some("/AWS.ALB/healthcheck".to_owned()),
        _ => Some("/".to_owned()),
    }
}

fn default_matcher(protocol: &str, check: &str, version: Option<&str>) -> Option<String> {
    match (check, version) {
        ("TCP", _) => None,
        (_, Some("GRPC")) => Some("12".to_owned()),
        _ if is_tcp(protocol) => Some("200-399".to_owned()),
        _ => Some("200".to_owned()),
    }
}

/// Applies and checks what is wanted.
fn settle(
    health: &mut HealthSettings,
    wanted: Wanted,
    target_type: &str,
    group_protocol: &str,
    version: Option<&str>,
) -> Result<(), ApiError> {
    if let Some(protocol) = wanted.protocol {
        match (protocol.as_str(), is_tcp(group_protocol)) {
            ("HTTP" | "HTTPS", _) | ("TCP", true) => {}
            (other, is_tcp) => {
                let known = if is_tcp { "HTTP, HTTPS, TCP" } else { "HTTP, HTTPS" };
                return Err(validation(format!(
                    "Health check protocol '{other}' must be one of '{known}'"
                )));
            }
        }
        if protocol != health.protocol {
            health.path = default_path(&protocol, version);
            health.matcher = default_matcher(group_protocol, &protocol, version);
            health.timeout_s = default_timeout(group_protocol, &protocol);
            health.protocol = protocol;
        }
    }
    if let Some(port) = wanted.port {
        let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
        if port != "traffic-port" && !is_port {
            return Err(validation(format!(
                "Health check port '{port}' must be within '1-65535' or 'traffic-port'"
            )));
        }
        health.port = port;
    }
    if let Some(is_enabled) = wanted.is_enabled {
        if !is_enabled {
            return Err(validation(format!(
                "Health check enabled must be true for target groups with target type '{target_type}'"
            )));
        }
        health.is_enabled = is_enabled;
    }
    if let Some(path) = wanted.path {
        if health.protocol == "TCP" {
            return Err(validation("Health check paths are not supported for TCP health checks"));
        }
        if !path.starts_with('/') || path.len() > 1_024 {
            return Err(validation(format!(
                "Health check path '{path}' must start with '/' and be at most 1024 characters"
            )));
        }
        health.path = Some(path);
    }
    for (member, wanted, low, high, to) in [
        (
            "healthCheckIntervalSeconds",
            wanted.interval_s,
            5,
            300,
            &mut health.interval_s,
        ),
        (
            "healthCheckTimeoutSeconds",
            wanted.timeout_s,
            2,
            120,
            &mut health.timeout_s,
        ),
        (
            "healthyThresholdCount",
            wanted.healthy,
            2,
            10,
            &mut health.healthy_threshold,
        ),
        (
            "unhealthyThresholdCount",
            wanted.unhealthy,
            2,
            10,
            &mut health.unhealthy_threshold,
        ),
    ] {
        let Some(wanted) = wanted else { continue };
        error::check_range(member, wanted, low, high)?;
        *to = wanted.unsigned_abs();
    }
    if health.timeout_s >= health.interval_s && !is_tcp(group_protocol) || health.timeout_s > health.interval_s {
        return Err(validation(match wanted.timeout_s {
            Some(_) => format!(
                "Health check timeout '{}' must be smaller than the interval '{}'",
                health.timeout_s, health.interval_s
            ),
            // Seen: terraform-linters/tflint-ruleset-aws issue 404, where nobody named a timeout.
            None => "Health check interval must be greater than the timeout.".to_owned(),
        }));
    }
    if let Some(matcher) = wanted.matcher {
        set_matcher(health, matcher, group_protocol, version)?;
    }
    Ok(())
}

fn set_matcher(
    health: &mut HealthSettings,
    matcher: types::Matcher,
    group_protocol: &str,
    version: Option<&str>,
) -> Result<(), ApiError> {
    if health.protocol == "TCP" {
        return Err(validation(
            "A matcher is not supported for health checks with protocol 'TCP'",
        ));
    }
    let (codes, low, high, what) = match (version, matcher.http_code, matcher.grpc_code) {
        (Some("GRPC"), None, codes) => (codes.unwrap_or_default(), 0, 99, "GRPC"),
        (Some("GRPC"), ..) => {
            return Err(validation(
                "A GrpcCode matcher must be specified for protocol version 'GRPC'",
            ));
        }
        (_, Some(_), Some(_)) => return Err(validation("An HttpCode matcher must be specified")),
        (_, codes, _) => {
            let high = if is_tcp(group_protocol) { 599 } else { 499 };
            (codes.unwrap_or_default(), 200, high, "HTTP")
        }
    };
    // As AWS answered Terraform's provider, which sends an empty one when a health check's protocol is changed from TCP
    // and no matcher is named. Ref: hashicorp/terraform issue 16690.
    if codes.trim().is_empty() {
        return Err(validation(format!("Health check matcher {what} code cannot be empty")));
    }
    let is_code = |text: &str| {
        text.trim()
            .parse::<u32>()
            .is_ok_and(|code| (low..=high).contains(&code))
    };
    let fits = codes.split(',').all(|part| match part.split_once('-') {
        Some((from, to)) => is_code(from) && is_code(to),
        None => is_code(part),
    });
    if !fits {
        return Err(validation(format!(
            "Health check matcher {what} code '{codes}' must be within '{low}-{high}' inclusive"
        )));
    }
    health.matcher = Some(codes);
    Ok(())
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateTargetGroupInput,
) -> Result<types::CreateTargetGroupOutput, ApiError> {
    let scope = &call.scope;
    names::check("target group", &input.name)?;
    let target_type = input.target_type.clone().unwrap_or_else(|| "instance".to_owned());
    group_kinds::check(&input, &target_type)?;
    let protocol = input
        .protocol
        .ok_or_else(|| validation("A protocol must be specified"))?;
    let port = match input.port {
        Some(port) => port_number(port)?,
        None => return Err(validation("A port must be specified")),
    };
    let vpc_id = input.vpc_id.ok_or_else(|| validation("A VPC ID must be specified"))?;
    glue::check_vpc(tx, scope, &vpc_id)?;
    // Terraform's provider sends an empty version when it means none; so AWS understands it.
    let wanted_version = input.protocol_version.filter(|version| !version.is_empty());
    let protocol_version = match (is_tcp(&protocol), wanted_version) {
        (true, None) => None,
        (true, Some(_)) => {
            return Err(validation(format!(
                "You cannot specify the protocol version for a target group with the '{protocol}' protocol"
            )));
        }
        (false, None) => Some("HTTP1".to_owned()),
        (false, Some(version)) if matches!(version.as_str(), "HTTP1" | "HTTP2" | "GRPC") => Some(version),
        (false, Some(version)) => {
            return Err(validation(format!(
                "Target group protocol version '{version}' must be one of '[HTTP2, HTTP1, GRPC]'"
            )));
        }
    };
    let mut health = default_health(&protocol, protocol_version.as_deref());
    let wanted = Wanted {
        protocol: input.health_check_protocol,
        port: input.health_check_port,
        is_enabled: input.health_check_enabled,
        path: input.health_check_path,
        interval_s: input.health_check_interval_seconds,
        timeout_s: input.health_check_timeout_seconds,
        healthy: input.healthy_threshold_count,
        unhealthy: input.unhealthy_threshold_count,
        matcher: input.matcher,
    };
    let version = protocol_version.as_deref();
    settle(&mut health, wanted, &target_type, &protocol, version)?;
    let tags = tags::from_input(input.tags)?;

    if let Some((_, existing)) = tx.find::<TargetGroup>(scope, "name", &input.name).next() {
        let is_same = existing.target_type == target_type
            && existing.protocol == protocol
            && existing.protocol_version == protocol_version
            && existing.port == port
            && existing.vpc_id == vpc_id
            && existing.health == health
            && existing.tags == tags;
        if !is_same {
            return Err(ApiError::new(
                "DuplicateTargetGroupName",
                format!(
                    "A target group with the same name '{}' exists, but with different settings",
                    input.name
                ),
            ));
        }
        let view = view(existing, load_balancer_arns(tx, scope, &existing.arn));
        return Ok(types::CreateTargetGroupOutput {
            target_groups: Some(vec![view]),
        });
    }
    if tx.list::<TargetGroup>(scope).count() >= TARGET_GROUPS_MAX {
        return Err(ApiError::new(
            "TooManyTargetGroups",
            "The maximum number of target groups has been reached",
        ));
    }
    let arn = names::arn(scope, format!("targetgroup/{}/{}", input.name, names::id(tx.rng())));
    let mut row = TargetGroup {
        arn: arn.clone(),
        name: input.name,
        target_type,
        protocol,
        protocol_version,
        port,
        vpc_id,
        health,
        attributes: Default::default(),
        tags,
    };
    if row.target_type == "instance" && is_tcp(&row.protocol) {
        // Ref: `TargetGroupAttribute`: of IP addresses the default is another one. No instance is ever registered here.
        row.attributes
            .insert("preserve_client_ip.enabled".to_owned(), "true".to_owned());
    }
    let view = view(&row, Vec::new());
    tx.put(scope, &arn, row);
    Ok(types::CreateTargetGroupOutput {
        target_groups: Some(vec![view]),
    })
}

/// A port of the API, 1 to 65,535.
pub(super) fn port_number(port: i32) -> Result<u16, ApiError> {
    error::check_range("port", port, 1, 65_535)?;
    u16::try_from(port).map_err(|_| validation("A port must be within '1-65535'"))
}

/// Deleting what does not exist succeeds.
pub(super) fn delete(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteTargetGroupInput,
) -> Result<types::DeleteTargetGroupOutput, ApiError> {
    let (scope, arn) = (&call.scope, &input.target_group_arn);
    if !load_balancer_arns(tx, scope, arn).is_empty() {
        return Err(error::resource_in_use(format!(
            "Target group '{arn}' is currently in use by a listener or a rule"
        )));
    }
    let targets: Vec<String> = tx
        .find::<Target>(scope, "group", arn)
        .map(|(key, _)| key.to_owned())
        .collect();
    for key in targets {
        remove_target(tx, scope, &key);
    }
    tx.delete::<TargetGroup>(scope, arn);
    Ok(types::DeleteTargetGroupOutput {})
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeTargetGroupsInput,
) -> Result<types::DescribeTargetGroupsOutput, ApiError> {
    let scope = &call.scope;
    let (arns, wanted) = (
        input.target_group_arns.unwrap_or_default(),
        input.names.unwrap_or_default(),
    );
    let given = usize::from(!arns.is_empty())
        + usize::from(!wanted.is_empty())
        + usize::from(input.load_balancer_arn.is_some());
    if given > 1 {
        return Err(validation(
            "Target group ARNs, names and a load balancer ARN cannot be specified at the same time",
        ));
    }
    let mut users = group_users(state, scope);
    let mut rows = Vec::new();
    for arn in &arns {
        rows.push(target_group(state, scope, arn)?);
    }
    for name in &wanted {
        let found = state.find::<TargetGroup>(scope, "name", name).next();
        rows.push(found.map(|(_, row)| row).ok_or_else(error::target_group_not_found)?);
    }
    if let Some(balancer) = &input.load_balancer_arn {
        if state.get::<LoadBalancer>(scope, balancer).is_none() {
            return Err(error::load_balancer_not_found(balancer));
        }
        let is_of_it = |row: &TargetGroup| users.get(&row.arn).is_some_and(|users| users.contains(balancer));
        rows.extend(
            state
                .list::<TargetGroup>(scope)
                .map(|(_, row)| row)
                .filter(|row| is_of_it(row)),
        );
    } else if arns.is_empty() && wanted.is_empty() {
        rows.extend(state.list::<TargetGroup>(scope).map(|(_, row)| row));
    }
    let (rows, next_marker) = page(rows, |row| row.arn.clone(), input.marker.as_deref(), input.page_size)?;
    let target_groups = rows
        .into_iter()
        .map(|row| view(row, users.remove(&row.arn).unwrap_or_default()))
        .collect();
    Ok(types::DescribeTargetGroupsOutput {
        target_groups: Some(target_groups),
        next_marker,
    })
}

pub(super) fn modify(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::ModifyTargetGroupInput,
) -> Result<types::ModifyTargetGroupOutput, ApiError> {
    let scope = &call.scope;
    let mut row = target_group(tx, scope, &input.target_group_arn)?.clone();
    let wanted = Wanted {
        protocol: input.health_check_protocol,
        port: input.health_check_port,
        is_enabled: input.health_check_enabled,
        path: input.health_check_path,
        interval_s: input.health_check_interval_seconds,
        timeout_s: input.health_check_timeout_seconds,
        healthy: input.healthy_threshold_count,
        unhealthy: input.unhealthy_threshold_count,
        matcher: input.matcher,
    };
    let version = row.protocol_version.as_deref();
    settle(&mut row.health, wanted, &row.target_type, &row.protocol, version)?;
    let view = view(&row, load_balancer_arns(tx, scope, &row.arn));
    tx.put(scope, &input.target_group_arn, row);
    Ok(types::ModifyTargetGroupOutput {
        target_groups: Some(vec![view]),
    })
}

fn view(row: &TargetGroup, load_balancer_arns: Vec<String>) -> types::TargetGroup {
    let number = |value: u32| i32::try_from(value).ok();
    let health = &row.health;
    let is_grpc = row.protocol_version.as_deref() == Some("GRPC");
    types::TargetGroup {
        target_group_arn: Some(row.arn.clone()),
        target_group_name: Some(row.name.clone()),
        protocol: Some(row.protocol.clone()),
        port: Some(i32::from(row.port)),
        vpc_id: Some(row.vpc_id.clone()),
        health_check_protocol: Some(health.protocol.clone()),
        health_check_port: Some(health.port.clone()),
        health_check_enabled: Some(health.is_enabled),
        health_check_interval_seconds: number(health.interval_s),
        health_check_timeout_seconds: number(health.timeout_s),
        healthy_threshold_count: number(health.healthy_threshold),
        unhealthy_threshold_count: number(health.unhealthy_threshold),
        health_check_path: health.path.clone(),
        matcher: health.matcher.clone().map(|codes| match is_grpc {
            true => types::Matcher {
                http_code: None,
                grpc_code: Some(codes),
            },
            false => types::Matcher {
                http_code: Some(codes),
                grpc_code: None,
            },
        }),
        load_balancer_arns: Some(load_balancer_arns),
        target_type: Some(row.target_type.clone()),
        protocol_version: row.protocol_version.clone(),
        ip_address_type: Some("ipv4".to_owned()),
        target_control_port: None,
    }
}

fn attributes_view(row: &TargetGroup) -> Vec<types::TargetGroupAttribute> {
    attributes::all(group_owner(&row.protocol), &row.attributes)
        .into_iter()
        .map(|(key, value)| types::TargetGroupAttribute {
            key: Some(key),
            value: Some(value),
        })
        .collect()
}

pub(super) fn describe_attributes(
    state: &State,
    call: &Call,
    input: types::DescribeTargetGroupAttributesInput,
) -> Result<types::DescribeTargetGroupAttributesOutput, ApiError> {
    let row = target_group(state, &call.scope, &input.target_group_arn)?;
    Ok(types::DescribeTargetGroupAttributesOutput {
        attributes: Some(attributes_view(row)),
    })
}

pub(super) fn modify_attributes(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::ModifyTargetGroupAttributesInput,
) -> Result<types::ModifyTargetGroupAttributesOutput, ApiError> {
    let mut row = target_group(tx, &call.scope, &input.target_group_arn)?.clone();
    let owner = group_owner(&row.protocol);
    let asked = input.attributes.into_iter();
    let mut asked: Vec<(String, String)> = asked
        .map(|attribute| (attribute.key.unwrap_or_default(), attribute.value.unwrap_or_default()))
        .collect();
    // What is wrong with the type is said before what is wrong with switching it on.
    asked.sort_by_key(|(key, _)| key != "stickiness.type");
    for (key, value) in &asked {
        attributes::check_stickiness(&row.protocol, key, value)?;
    }
    let was_sticky = row.is_sticky();
    attributes::change(owner, &row.protocol, &mut row.attributes, asked)?;
    if row.is_sticky() && !was_sticky {
        group_stickiness::check_uses(tx, &call.scope, &row.arn)?;
    }
    let attributes = attributes_view(&row);
    tx.put(&call.scope, &input.target_group_arn, row);
    Ok(types::ModifyTargetGroupAttributesOutput {
        attributes: Some(attributes),
    })
}
