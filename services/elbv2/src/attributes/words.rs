//! How AWS refuses attributes: hardly two keys in the same words.

use super::{Attribute, Owner, REQUEST_HEADER_NAMES, Values};
use crate::error::{invalid_configuration, unsupported, validation};
use honmaru_base::ApiError;

/// Keys of target groups that none here have: those of Lambda functions and of Gateway Load Balancers.
const OTHER_GROUP_KEYS: [&str; 3] = [
    "lambda.multi_value_headers.enabled",
    "target_failover.on_deregistration",
    "target_failover.on_unhealthy",
];

/// A key that a request names twice. Of listeners no answer is known; theirs is that of load balancers.
pub(super) fn twice(owner: Owner, key: &str) -> String {
    match owner {
        Owner::HttpGroup | Owner::TcpGroup => format!("Target group attribute keys must be unique: '[{key}]'"),
        _ => format!("Attribute key '{key}' has been specified more than once"),
    }
}

/// A key that the owner has not got: one of others of its kind, or of nobody.
pub(super) fn not_of(owner: Owner, protocol: &str, key: &str, value: &str) -> ApiError {
    let is_of = |owner: Owner| owner.rows().any(|row| row.key == key);
    match owner {
        Owner::HttpGroup | Owner::TcpGroup
            if is_of(Owner::HttpGroup) || is_of(Owner::TcpGroup) || OTHER_GROUP_KEYS.contains(&key) =>
        {
            // AWS answers with a name of its own.
            let told = match key {
                "lambda.multi_value_headers.enabled" => "lambda.headers.multiple_values.enabled",
                key => key,
            };
            invalid_configuration(format!(
                "A target group with {protocol} protocol does not support the attribute {told}"
            ))
        }
        Owner::HttpListener if REQUEST_HEADER_NAMES.contains(&key) => {
            let is_token = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            match value.chars().all(is_token) {
                true => unsupported(format!(
                    "Listener attribute '{key}' with value '{value}' is not supported"
                )),
                false => validation(format!("The value of '{key}' contains invalid characters")),
            }
        }
        Owner::HttpListener | Owner::TcpListener | Owner::TlsListener
            if is_of(Owner::HttpListener) || is_of(Owner::TcpListener) || REQUEST_HEADER_NAMES.contains(&key) =>
        {
            invalid_configuration("The provided listener attribute is not supported")
        }
        _ => validation(format!("{} attribute key '{key}' is not recognized", owner.what())),
    }
}

/// A value that the key does not take.
pub(super) fn unfit(owner: Owner, row: &Attribute, value: &str) -> String {
    let key = row.key;
    let number = value.parse::<u64>().ok();
    match (key, row.values) {
        ("load_balancing.cross_zone.enabled", Values::OneOf(["true"])) if value == "false" => {
            format!("The value for '{key}' must always be 'true' for an Application Load Balancer")
        }
        (_, Values::Switch | Values::OneOf(["true"])) => {
            format!("The value of '{key}' must be 'true' or 'false', but was '{value}'")
        }
        ("client_keep_alive.seconds", Values::Range(low, high)) => {
            format!("The value of '{key}' must be an integer between {low} and {high}")
        }
        // AWS says so of seconds.
        ("idle_timeout.timeout_seconds", Values::Range(low, _)) if number == Some(0) => {
            format!("The value of '{key}' cannot be less than {low} characters")
        }
        ("idle_timeout.timeout_seconds", Values::Range(_, high)) if number.is_some() => {
            format!("The value of '{key}' cannot be greater than {high} characters")
        }
        ("secondary_ips.auto_assigned.per_subnet", Values::Range(low, high)) => {
            format!("Valid range for the number of secondary IP addresses is from '{low}-{high}'")
        }
        (_, Values::Range(low, high) | Values::ZeroOr(low, high)) => {
            format!("'{key}' value '{value}' must be between '{low}-{high}' inclusive")
        }
        (_, Values::OffOr(low, high)) if key.ends_with(".percentage") && number.is_some_and(|number| number > high) => {
            format!("'{key}' must be 'off' or an integer from {low} to {high} inclusive")
        }
        (_, Values::OffOr(..)) => format!("The value of '{key}' must be 'off' or a positive integer"),
        ("routing.http.desync_mitigation_mode", _) => {
            format!("'{value}' must be one of [defensive, monitor, strictest]")
        }
        ("dns_record.client_routing_policy", _) => format!("'{value}' is not a valid value for '{key}'"),
        ("routing.http.xff_header_processing.mode", _) => {
            format!("'{key}' must be set as 'preserve', 'append', or 'remove'")
        }
        ("load_balancing.algorithm.type", _) => {
            "'Load balancer algorithm' must be one of [round_robin, weighted_random, least_outstanding_requests]"
                .to_owned()
        }
        ("load_balancing.algorithm.anomaly_mitigation", _) => format!("'{key}' must be one of [off, on]"),
        ("load_balancing.cross_zone.enabled", _) => {
            format!("'{key}' must be one of use_load_balancer_configuration,true,false")
        }
        (_, Values::OneOf(["", values @ ..])) => format!(
            "The value of '{key}' must be from the following: [{}], but was '{value}'",
            values.join(", ")
        ),
        (_, Values::OneOf(values)) => unknown(owner, key, value, &format!("must be one of: {}", values.join(", "))),
        (_, Values::Text(max)) => unknown(owner, key, value, &format!("cannot be longer than '{max}' characters")),
    }
}

/// Where AWS's words are not known.
fn unknown(owner: Owner, key: &str, value: &str, wanted: &str) -> String {
    let what = owner.what();
    format!("{what} attribute value '{value}' is not valid for '{key}': it {wanted}")
}
