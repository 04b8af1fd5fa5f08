//! Listeners.

use super::actions::{self, Place};
use super::limits::LISTENERS_MAX;
use super::page::page;
use super::target_groups::port_number;
use super::{alpn, certificates, load_balancers, ssl, tags};
use crate::attributes::{self, Owner};
use crate::error::{self, unsupported, validation};
use crate::model::{Listener, ListenerFailure, LoadBalancer, Rule};
use crate::names;
use crate::types;
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Call, State, Tx};
use honmaru_wire::tree::Tree;

/// The listener of that ARN, or `ListenerNotFound`, or `ValidationError` for what is no such ARN.
pub(super) fn get<'a>(state: &'a State, call: &Call, arn: &str) -> Result<&'a Listener, ApiError> {
    names::check_arn("listener", "listener", arn)?;
    state
        .get::<Listener>(&call.scope, arn)
        .ok_or_else(error::listener_not_found)
}

pub(super) fn is_tls(protocol: &str) -> bool {
    matches!(protocol, "HTTPS" | "TLS")
}

fn owner(protocol: &str) -> Owner {
    match protocol {
        "TCP" => Owner::TcpListener,
        "TLS" => Owner::TlsListener,
        _ => Owner::HttpListener,
    }
}

fn check_protocol(balancer: &LoadBalancer, protocol: &str) -> Result<(), ApiError> {
    match (balancer.kind.as_str(), protocol) {
        ("application", "HTTP" | "HTTPS") | ("network", "TCP" | "TLS") => Ok(()),
        ("network", "UDP" | "TCP_UDP" | "QUIC" | "TCP_QUIC") => Err(ApiError::new(
            "UnsupportedProtocol",
            format!("Listener protocol '{protocol}' is not supported by Honmaru"),
        )),
        // Recorded by badmintoncryer/cdk-preflight, `pf-elbv2-listener-protocol-lb-type`.
        ("application", _) => Err(validation(format!(
            "Listener protocol '{protocol}' must be one of 'HTTP, HTTPS'"
        ))),
        _ => Err(validation(format!(
            "Listener protocol '{protocol}' must be one of 'TCP, QUIC, TCP_QUIC, UDP, TCP_UDP, TLS'"
        ))),
    }
}

/// What TLS needs: exactly one default certificate and a policy; nothing of it for plain listeners.
fn check_tls(
    state: &State,
    call: &Call,
    protocol: &str,
    given: Option<Vec<types::Certificate>>,
    policy: Option<&String>,
) -> Result<Vec<String>, ApiError> {
    let given = given.unwrap_or_default();
    if !is_tls(protocol) {
        if !given.is_empty() {
            return Err(validation(format!(
                "A certificate cannot be specified for {protocol} listeners"
            )));
        }
        if policy.is_some() {
            // AWS spells it so. Recorded by badmintoncryer/cdk-preflight, `pf-elbv2-listener-sslpolicy-secure-only`.
            return Err(validation(format!(
                "An SSL policy cannot be specifed for {protocol} listeners"
            )));
        }
        return Ok(Vec::new());
    }
    match &given[..] {
        [] => Err(validation(format!(
            "A certificate must be specified for {protocol} listeners"
        ))),
        [one] => {
            if let Some(policy) = policy {
                ssl::check(policy)?;
            }
            Ok(vec![certificates::check(state, call, one)?])
        }
        more => Err(certificates::more_than_one(more.len())),
    }
}

/// The texts were recorded by badmintoncryer/cdk-preflight, `pf-elbv2-listener-mtls-*`.
fn check_mutual(protocol: &str, wanted: Option<&types::MutualAuthenticationAttributes>) -> Result<(), ApiError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let mode = wanted.mode.as_deref().unwrap_or("off");
    if mode != "off" && !is_tls(protocol) {
        return Err(validation(
            "Mutual Authentication cannot be set for non secure listeners",
        ));
    }
    if !matches!(mode, "off" | "passthrough" | "verify") {
        return Err(validation("Mutual Authentication mode required not found"));
    }
    if mode == "verify" && wanted.trust_store_arn.as_ref().is_none_or(String::is_empty) {
        return Err(validation(
            "Mutual Authentication mode verify requires a trust store arn",
        ));
    }
    let of_verify = [
        (
            wanted.ignore_client_certificate_expiry == Some(true),
            "ignoring client certificate expiry",
        ),
        (
            wanted.advertise_trust_store_ca_names.as_deref() == Some("on"),
            "advertise trust store ca names",
        ),
    ];
    match of_verify.iter().find(|(is_wanted, _)| *is_wanted && mode != "verify") {
        Some((_, what)) => Err(validation(format!(
            "Mutual Authentication mode {mode} does not support {what}"
        ))),
        None if mode == "off" => Ok(()),
        None => Err(unsupported(format!(
            "mutual authentication mode '{mode}' is not supported"
        ))),
    }
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateListenerInput,
) -> Result<types::CreateListenerOutput, ApiError> {
    let scope = &call.scope;
    let balancer = load_balancers::get(tx, call, &input.load_balancer_arn)?.clone();
    let protocol = input
        .protocol
        .ok_or_else(|| validation("A listener protocol must be specified"))?;
    let port = port_number(
        input
            .port
            .ok_or_else(|| validation("A listener port must be specified"))?,
    )?;
    check_protocol(&balancer, &protocol)?;
    check_mutual(&protocol, input.mutual_authentication.as_ref())?;
    let certificates = check_tls(tx, call, &protocol, input.certificates, input.ssl_policy.as_ref())?;
    let alpn_policy = alpn::check(&balancer.kind, &protocol, input.alpn_policy)?;
    let tags = tags::from_input(input.tags)?;
    let place = Place {
        scope,
        balancer: &balancer,
        protocol: &protocol,
        instead_of: None,
    };
    let default_actions = actions::normalize(tx, &place, input.default_actions)?;
    let existing = tx
        .find::<Listener>(scope, "load_balancer", &balancer.arn)
        .map(|(_, listener)| listener);
    let (mut count, mut same_port) = (0, None);
    for listener in existing {
        count += 1;
        if listener.port == port {
            same_port = Some(listener);
        }
    }
    if let Some(existing) = same_port {
        let is_same_tls = existing.certificates.first() == certificates.first()
            && input
                .ssl_policy
                .as_ref()
                .is_none_or(|policy| existing.ssl_policy.as_ref() == Some(policy));
        let is_same = existing.protocol == protocol && existing.default_actions == default_actions;
        if is_same && is_same_tls && existing.tags == tags {
            return Ok(types::CreateListenerOutput {
                listeners: Some(vec![view(existing)]),
            });
        }
        return Err(duplicate(&balancer));
    }
    if count >= LISTENERS_MAX {
        return Err(ApiError::new(
            "TooManyListeners",
            "The maximum number of listeners has been reached",
        ));
    }
    let path = format!("{}/{}", names::path(&balancer.arn), names::id(tx.rng()));
    let arn = names::arn(scope, format!("listener/{path}"));
    let default_rule_arn = names::arn(scope, format!("listener-rule/{path}/{}", names::id(tx.rng())));
    let row = Listener {
        arn: arn.clone(),
        load_balancer_arn: balancer.arn.clone(),
        ssl_policy: is_tls(&protocol).then(|| input.ssl_policy.unwrap_or_else(|| ssl::DEFAULT.to_owned())),
        protocol,
        port,
        certificates,
        alpn_policy,
        default_actions,
        default_rule_arn,
        attributes: Default::default(),
        tags,
    };
    let view = view(&row);
    tx.put(scope, &arn, row);
    Ok(types::CreateListenerOutput {
        listeners: Some(vec![view]),
    })
}

fn duplicate(balancer: &LoadBalancer) -> ApiError {
    ApiError::new(
        "DuplicateListener",
        format!(
            "A listener already exists on this port for this load balancer '{}'",
            balancer.arn
        ),
    )
}

pub(super) fn modify(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::ModifyListenerInput,
) -> Result<types::ModifyListenerOutput, ApiError> {
    let scope = &call.scope;
    let mut row = get(tx, call, &input.listener_arn)?.clone();
    let balancer = load_balancers::get(tx, call, &row.load_balancer_arn)?.clone();
    let protocol = input.protocol.as_deref().unwrap_or(&row.protocol);
    check_mutual(protocol, input.mutual_authentication.as_ref())?;
    let is_other_protocol = input
        .protocol
        .as_ref()
        .is_some_and(|protocol| *protocol != row.protocol);
    if let Some(protocol) = input.protocol {
        check_protocol(&balancer, &protocol)?;
        row.protocol = protocol;
    }
    if let Some(port) = input.port {
        row.port = port_number(port)?;
        let mut others = tx.find::<Listener>(scope, "load_balancer", &balancer.arn);
        if others.any(|(arn, other)| arn != row.arn && other.port == row.port) {
            return Err(duplicate(&balancer));
        }
    }
    if is_other_protocol || input.certificates.is_some() || input.ssl_policy.is_some() {
        let certificates = input.certificates;
        if is_tls(&row.protocol) && certificates.is_none() && !row.certificates.is_empty() {
            if let Some(policy) = &input.ssl_policy {
                ssl::check(policy)?;
            }
        } else {
            let default = check_tls(tx, call, &row.protocol, certificates, input.ssl_policy.as_ref())?;
            let is_kept = !default.is_empty() && !row.certificates.is_empty();
            // Another default certificate leaves the list beside it as it is.
            let listed = row.certificates.split_off(usize::from(is_kept));
            row.certificates = if is_kept { [default, listed].concat() } else { default };
        }
        row.ssl_policy = is_tls(&row.protocol).then(|| {
            input
                .ssl_policy
                .or(row.ssl_policy)
                .unwrap_or_else(|| ssl::DEFAULT.to_owned())
        });
    }
    if input.alpn_policy.is_some() || !is_tls(&row.protocol) {
        row.alpn_policy = alpn::check(&balancer.kind, &row.protocol, input.alpn_policy)?;
    }
    let place = Place {
        scope,
        balancer: &balancer,
        protocol: &row.protocol,
        instead_of: Some(&input.listener_arn),
    };
    match input.default_actions {
        Some(actions) => row.default_actions = actions::normalize(tx, &place, actions)?,
        None if is_other_protocol => {
            let actions = row
                .default_actions
                .iter()
                .cloned()
                .map(types::Action::from_tree)
                .collect();
            row.default_actions = actions::normalize(tx, &place, actions)?;
        }
        None => {}
    }
    let view = view(&row);
    tx.put(scope, &input.listener_arn, row);
    Ok(types::ModifyListenerOutput {
        listeners: Some(vec![view]),
    })
}

/// Removes a listener with its rules.
pub(super) fn remove(tx: &mut Tx<'_>, scope: &Scope, arn: &str) {
    let rules: Vec<String> = tx
        .find::<Rule>(scope, "listener", arn)
        .map(|(arn, _)| arn.to_owned())
        .collect();
    for rule in rules {
        tx.delete::<Rule>(scope, &rule);
    }
    tx.delete::<ListenerFailure>(scope, arn);
    tx.delete::<Listener>(scope, arn);
}

pub(super) fn delete(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteListenerInput,
) -> Result<types::DeleteListenerOutput, ApiError> {
    get(tx, call, &input.listener_arn)?;
    remove(tx, &call.scope, &input.listener_arn);
    Ok(types::DeleteListenerOutput {})
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeListenersInput,
) -> Result<types::DescribeListenersOutput, ApiError> {
    let arns = input.listener_arns.unwrap_or_default();
    let mut rows: Vec<&Listener> = Vec::new();
    match (&input.load_balancer_arn, arns.is_empty()) {
        (Some(_), false) => {
            return Err(validation(
                "A load balancer ARN and listener ARNs cannot be specified at the same time",
            ));
        }
        (Some(balancer), true) => {
            load_balancers::get(state, call, balancer)?;
            rows.extend(
                state
                    .find::<Listener>(&call.scope, "load_balancer", balancer)
                    .map(|(_, row)| row),
            );
        }
        (None, false) => {
            for arn in &arns {
                rows.push(get(state, call, arn)?);
            }
        }
        (None, true) => {
            return Err(validation(
                "You must specify either listener ARNs or a load balancer ARN",
            ));
        }
    }
    let (rows, next_marker) = page(rows, |row| row.arn.clone(), input.marker.as_deref(), input.page_size)?;
    Ok(types::DescribeListenersOutput {
        listeners: Some(rows.into_iter().map(view).collect()),
        next_marker,
    })
}

fn view(row: &Listener) -> types::Listener {
    let default = row.certificates.first();
    types::Listener {
        listener_arn: Some(row.arn.clone()),
        load_balancer_arn: Some(row.load_balancer_arn.clone()),
        port: Some(i32::from(row.port)),
        protocol: Some(row.protocol.clone()),
        certificates: default.map(|arn| {
            vec![types::Certificate {
                certificate_arn: Some(arn.clone()),
                is_default: None,
            }]
        }),
        ssl_policy: row.ssl_policy.clone(),
        default_actions: Some(
            row.default_actions
                .iter()
                .cloned()
                .map(types::Action::from_tree)
                .collect(),
        ),
        alpn_policy: row.alpn_policy.clone().map(|policy| vec![policy]),
        mutual_authentication: is_tls(&row.protocol).then(|| types::MutualAuthenticationAttributes {
            mode: Some("off".to_owned()),
            ..Default::default()
        }),
    }
}

fn attributes_view(row: &Listener) -> Vec<types::ListenerAttribute> {
    attributes::all(owner(&row.protocol), &row.attributes)
        .into_iter()
        .map(|(key, value)| types::ListenerAttribute {
            key: Some(key),
            value: Some(value),
        })
        .collect()
}

pub(super) fn describe_attributes(
    state: &State,
    call: &Call,
    input: types::DescribeListenerAttributesInput,
) -> Result<types::DescribeListenerAttributesOutput, ApiError> {
    let row = get(state, call, &input.listener_arn)?;
    Ok(types::DescribeListenerAttributesOutput {
        attributes: Some(attributes_view(row)),
    })
}

pub(super) fn modify_attributes(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::ModifyListenerAttributesInput,
) -> Result<types::ModifyListenerAttributesOutput, ApiError> {
    let mut row = get(tx, call, &input.listener_arn)?.clone();
    let asked = input.attributes.into_iter();
    let asked = asked.map(|attribute| (attribute.key.unwrap_or_default(), attribute.value.unwrap_or_default()));
    attributes::change(
        owner(&row.protocol),
        &row.protocol,
        &mut row.attributes,
        asked.collect(),
    )?;
    let attributes = attributes_view(&row);
    tx.put(&call.scope, &input.listener_arn, row);
    Ok(types::ModifyListenerAttributesOutput {
        attributes: Some(attributes),
    })
}
