//! Security policies. The list says what the edge really does for each: TLS 1.2 and 1.3 by rustls; policies that
//! would also allow older versions are accepted and serve TLS 1.2 and newer.

use super::page::page;
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State};

/// The default of CreateListener.
pub(super) const DEFAULT: &str = "ELBSecurityPolicy-2016-08";

const NAMES: &[&str] = &[
    "ELBSecurityPolicy-2016-08",
    "ELBSecurityPolicy-FS-1-2-2019-08",
    "ELBSecurityPolicy-FS-1-2-Res-2020-10",
    "ELBSecurityPolicy-TLS-1-2-2017-01",
    "ELBSecurityPolicy-TLS-1-2-Ext-2018-06",
    "ELBSecurityPolicy-TLS13-1-2-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
];

const CIPHERS_13: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];
const CIPHERS_12: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];

/// Checks a policy's name: `SSLPolicyNotFound`.
pub(super) fn check(name: &str) -> Result<(), ApiError> {
    if NAMES.contains(&name) {
        return Ok(());
    }
    Err(ApiError::new(
        "SSLPolicyNotFound",
        format!("SSL policy '{name}' not found"),
    ))
}

fn policy(name: &str) -> types::SslPolicy {
    let ciphers = CIPHERS_13.iter().chain(CIPHERS_12).zip(1..);
    types::SslPolicy {
        name: Some(name.to_owned()),
        ssl_protocols: Some(vec!["TLSv1.2".to_owned(), "TLSv1.3".to_owned()]),
        ciphers: Some(
            ciphers
                .map(|(name, priority)| types::Cipher {
                    name: Some((*name).to_owned()),
                    priority: Some(priority),
                })
                .collect(),
        ),
        supported_load_balancer_types: Some(vec!["application".to_owned(), "network".to_owned()]),
    }
}

pub(super) fn describe(
    _: &State,
    _: &Call,
    input: types::DescribeSSLPoliciesInput,
) -> Result<types::DescribeSSLPoliciesOutput, ApiError> {
    let names = input.names.unwrap_or_default();
    for name in &names {
        check(name)?;
    }
    let policies: Vec<types::SslPolicy> = NAMES
        .iter()
        .filter(|name| names.is_empty() || names.iter().any(|n| n == *name))
        .map(|n| policy(n))
        .collect();
    let key = |policy: &types::SslPolicy| policy.name.clone().unwrap_or_default();
    let (policies, next_marker) = page(policies, key, input.marker.as_deref(), input.page_size)?;
    Ok(types::DescribeSSLPoliciesOutput {
        ssl_policies: Some(policies),
        next_marker,
    })
}
