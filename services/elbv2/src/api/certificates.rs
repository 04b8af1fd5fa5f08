//! Certificates of HTTPS and TLS listeners: server certificates of IAM; there is no ACM. A listener has a default one,
//! the first of its row, and a list beside it, in which the default one may stand once more.

use super::limits::CERTIFICATES_MAX;
use super::listeners;
use super::page::page;
use crate::error;
use crate::model::Listener;
use crate::types;
use honmaru_base::{ApiError, Arn};
use honmaru_machine::{Call, State, Tx};
use std::collections::BTreeSet;

/// The keys that a listener can serve with. Ref: ALB guide, "SSL certificates"; RSA of 1,024 bits and secp521r1, which
/// AWS takes too, are none that the edge's TLS has.
const KEY_ALGORITHMS: [&str; 5] = ["RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1"];

/// Looks a certificate up: one of the caller's own account that a listener can serve with.
pub(super) fn check(state: &State, call: &Call, certificate: &types::Certificate) -> Result<String, ApiError> {
    let arn = certificate.certificate_arn.as_deref().unwrap_or("");
    if arn.is_empty() {
        return Err(error::validation("A certificate ARN must be specified"));
    }
    let parsed: Arn = arn
        .parse()
        .map_err(|_| error::validation(format!("Certificate ARN '{arn}' is not valid")))?;
    if !matches!(parsed.service.as_str(), "iam" | "acm") {
        return Err(error::validation(format!("Certificate ARN '{arn}' is not valid")));
    }
    let found = honmaru_iam::server_certificate(state, arn).filter(|_| parsed.account == call.scope.account.as_str());
    let row = found.ok_or_else(|| error::certificate_not_found(arn))?;
    let is_qualified = row.names.iter().any(|name| name.trim_end_matches('.').contains('.'));
    if is_qualified && KEY_ALGORITHMS.contains(&row.key_algorithm.as_str()) {
        return Ok(arn.to_owned());
    }
    // Seen: crossplane-contrib/provider-upjet-aws issue 338.
    Err(ApiError::new(
        "UnsupportedCertificate",
        format!(
            "The certificate '{arn}' must have a fully-qualified domain name, a supported signature, and a supported key \
             size."
        ),
    )
    .with_status(400))
}

/// Seen: aws/aws-cdk issue 3757.
pub(super) fn more_than_one(count: usize) -> ApiError {
    ApiError::new(
        "TooManyCertificates",
        format!("Up to '1' certificate ARNs can be specified, but '{count}' were specified"),
    )
}

/// The listener of that ARN, if it speaks TLS.
fn secure<'a>(state: &'a State, call: &Call, arn: &str) -> Result<&'a Listener, ApiError> {
    let listener = listeners::get(state, call, arn)?;
    if listeners::is_tls(&listener.protocol) {
        return Ok(listener);
    }
    Err(error::validation(format!(
        "A certificate cannot be specified for {} listeners",
        listener.protocol
    )))
}

pub(super) fn add(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::AddListenerCertificatesInput,
) -> Result<types::AddListenerCertificatesOutput, ApiError> {
    let listener = secure(tx, call, &input.listener_arn)?;
    // Ref: AddListenerCertificates, Certificates: "You can specify one certificate per call."
    let [certificate] = &input.certificates[..] else {
        return Err(match input.certificates.len() {
            0 => error::validation("A certificate must be specified"),
            count => more_than_one(count),
        });
    };
    if certificate.is_default.is_some() {
        return Err(error::validation("IsDefault cannot be specified"));
    }
    let arn = check(tx, call, certificate)?;
    let listed = listener.certificates.get(1..).unwrap_or_default();
    // Ref: AddListenerCertificates: "If the certificate is already in the certificate list, the call is successful but
    // the certificate is not added again."
    if !listed.contains(&arn) {
        let of_balancer = tx.find::<Listener>(&call.scope, "load_balancer", &listener.load_balancer_arn);
        let listed: BTreeSet<&String> = of_balancer
            .flat_map(|(_, listener)| listener.certificates.iter().skip(1))
            .collect();
        if listed.len() >= CERTIFICATES_MAX && !listed.contains(&arn) {
            return Err(ApiError::new(
                "TooManyCertificates",
                "The maximum number of certificates has been reached",
            ));
        }
        let arn = arn.clone();
        tx.update::<Listener>(&call.scope, &input.listener_arn, |row| row.certificates.push(arn));
    }
    Ok(types::AddListenerCertificatesOutput {
        certificates: Some(vec![view(&arn, false)]),
    })
}

pub(super) fn remove(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::RemoveListenerCertificatesInput,
) -> Result<types::RemoveListenerCertificatesOutput, ApiError> {
    let listener = secure(tx, call, &input.listener_arn)?;
    let gone = input.certificates.into_iter().filter_map(|it| it.certificate_arn);
    let gone: BTreeSet<String> = gone.collect();
    if let Some((default, listed)) = listener.certificates.split_first()
        && gone.contains(default)
        && !listed.contains(default)
    {
        return Err(error::not_permitted(
            "The default certificate cannot be removed from a listener",
        ));
    }
    tx.update::<Listener>(&call.scope, &input.listener_arn, |row| {
        let mut at = 0;
        row.certificates.retain(|arn| {
            at += 1;
            at == 1 || !gone.contains(arn)
        });
    });
    Ok(types::RemoveListenerCertificatesOutput {})
}

/// Ref: DescribeListenerCertificates: a default certificate that is in the list, too, "appears twice in the results".
pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeListenerCertificatesInput,
) -> Result<types::DescribeListenerCertificatesOutput, ApiError> {
    let listener = listeners::get(state, call, &input.listener_arn)?;
    let rows: Vec<(usize, &String)> = listener.certificates.iter().enumerate().collect();
    // The place within the row: the default one comes first, whatever it is called.
    let key = |(at, arn): &(usize, &String)| format!("{}{arn}", if *at == 0 { '0' } else { '1' });
    let (rows, next_marker) = page(rows, key, input.marker.as_deref(), input.page_size)?;
    Ok(types::DescribeListenerCertificatesOutput {
        certificates: Some(rows.into_iter().map(|(at, arn)| view(arn, at == 0)).collect()),
        next_marker,
    })
}

fn view(arn: &str, is_default: bool) -> types::Certificate {
    types::Certificate {
        certificate_arn: Some(arn.to_owned()),
        is_default: Some(is_default),
    }
}
