//! Certificates of HTTPS and TLS listeners. There is no certificate store yet (ACM): every certificate is unknown.

use super::listeners;
use crate::error;
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State, Tx};

/// Looks a certificate up: `CertificateNotFound` until there is a store of certificates.
pub(super) fn check(certificate: &types::Certificate) -> Result<String, ApiError> {
    let arn = certificate.certificate_arn.as_deref().unwrap_or("");
    if arn.is_empty() {
        return Err(error::validation("A certificate ARN must be specified"));
    }
    Err(error::certificate_not_found(arn))
}

pub(super) fn add(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::AddListenerCertificatesInput,
) -> Result<types::AddListenerCertificatesOutput, ApiError> {
    let listener = listeners::get(tx, call, &input.listener_arn)?;
    if !listeners::is_tls(&listener.protocol) {
        return Err(error::validation(
            "A certificate cannot be specified for this listener's protocol",
        ));
    }
    let mut arns = listener.certificates.clone();
    for certificate in &input.certificates {
        if certificate.is_default.is_some() {
            return Err(error::validation("IsDefault cannot be specified"));
        }
        arns.push(check(certificate)?);
    }
    arns.dedup();
    tx.update::<crate::model::Listener>(&call.scope, &input.listener_arn, |row| row.certificates = arns);
    Ok(types::AddListenerCertificatesOutput {
        certificates: Some(input.certificates),
    })
}

pub(super) fn remove(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::RemoveListenerCertificatesInput,
) -> Result<types::RemoveListenerCertificatesOutput, ApiError> {
    let listener = listeners::get(tx, call, &input.listener_arn)?;
    let gone: Vec<String> = input
        .certificates
        .into_iter()
        .filter_map(|it| it.certificate_arn)
        .collect();
    if listener
        .certificates
        .first()
        .is_some_and(|default| gone.contains(default))
    {
        return Err(error::not_permitted(
            "The default certificate cannot be removed from a listener",
        ));
    }
    tx.update::<crate::model::Listener>(&call.scope, &input.listener_arn, |row| {
        row.certificates.retain(|arn| !gone.contains(arn));
    });
    Ok(types::RemoveListenerCertificatesOutput {})
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeListenerCertificatesInput,
) -> Result<types::DescribeListenerCertificatesOutput, ApiError> {
    let listener = listeners::get(state, call, &input.listener_arn)?;
    let certificates = listener
        .certificates
        .iter()
        .enumerate()
        .map(|(at, arn)| types::Certificate {
            certificate_arn: Some(arn.clone()),
            is_default: Some(at == 0),
        });
    Ok(types::DescribeListenerCertificatesOutput {
        certificates: Some(certificates.collect()),
        next_marker: None,
    })
}
