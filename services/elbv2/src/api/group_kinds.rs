//! Target groups that nobody serves here: what AWS refuses of them is refused in its words, the rest by name.
//!
//! Recorded by badmintoncryer/cdk-preflight in September 2026: `pf-elbv2-lambda-target-protocol`, `pf-elbv2-tg-lambda-*`,
//! `pf-elbv2-tg-ipv6-*`, `pf-elbv2-tg-alb-target-type-protocol`, `pf-elbv2-tg-geneve-port`,
//! `pf-elbv2-tg-target-control-port-scope`.

use crate::error::{invalid_configuration, unsupported, validation};
use crate::types::CreateTargetGroupInput;
use honmaru_base::ApiError;

/// Ref: CreateTargetGroup `Port`, of the GENEVE protocol.
const GENEVE_PORT: i32 = 6_081;

pub(super) fn check(input: &CreateTargetGroupInput, target_type: &str) -> Result<(), ApiError> {
    let protocol = input.protocol.as_deref();
    if target_type == "lambda" {
        check_lambda(input)?;
    }
    if input.ip_address_type.as_deref() == Some("ipv6") {
        return Err(match (target_type, protocol) {
            ("lambda", _) => invalid_configuration("Target type 'lambda' is not supported with an IPv6 target group"),
            (_, Some(protocol @ ("QUIC" | "TCP_QUIC"))) => invalid_configuration(format!(
                "Protocol '{protocol}' is not supported with an IPv6 target group"
            )),
            _ => unsupported("IP address type 'ipv6' is not supported"),
        });
    }
    match (target_type, protocol) {
        ("alb", Some(protocol @ ("HTTP" | "HTTPS"))) => Err(invalid_configuration(format!(
            "Target type 'alb' is not supported for target groups with {protocol} protocol"
        ))),
        ("lambda" | "alb", _) => Err(unsupported(format!("target type '{target_type}' is not supported"))),
        (_, Some("HTTP" | "HTTPS")) if input.target_control_port.is_some() => {
            Err(unsupported("a target control port is not supported"))
        }
        _ if input.target_control_port.is_some() => Err(invalid_configuration("Target control port is not supported")),
        (_, Some("GENEVE")) if input.port.is_some_and(|port| port != GENEVE_PORT) => Err(validation(format!(
            "Port must be {GENEVE_PORT} for GENEVE target groups."
        ))),
        (_, None | Some("HTTP" | "HTTPS" | "TCP" | "TLS")) => Ok(()),
        (_, Some(other)) => Err(unsupported(format!("target group protocol '{other}' is not supported"))),
    }
}

/// A Lambda function has no address.
fn check_lambda(input: &CreateTargetGroupInput) -> Result<(), ApiError> {
    let given = [
        ("Protocol", input.protocol.is_some()),
        ("Port", input.port.is_some()),
        ("VPC ID", input.vpc_id.is_some()),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((what, _)) => Err(validation(format!(
            "{what} cannot be specified for target groups with target type 'lambda'"
        ))),
        None => Ok(()),
    }
}
