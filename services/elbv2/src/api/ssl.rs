//! Security policies, as far as the edge carries them out: TLS 1.2 with the GCM suites and TLS 1.3, by rustls. The lists
//! say what is really served. A policy that promises what cannot be (older versions, post-quantum key exchange, a
//! FIPS-validated module, CNSA suites alone) is refused by its name; the default of the API alone is taken without its
//! TLS 1.0 and 1.1.

use super::page::page;
use crate::error;
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State};

/// The default of CreateListener.
pub(super) const DEFAULT: &str = "ELBSecurityPolicy-2016-08";

const V12: &str = "TLSv1.2";
const V13: &str = "TLSv1.3";

/// The policies that are served, and the versions of each. Ref: ALB guide, "Security policies for your Application Load
/// Balancer".
const SERVED: &[(&str, &[&str])] = &[
    (DEFAULT, &[V12]),
    ("ELBSecurityPolicy-FS-1-2-2019-08", &[V12]),
    ("ELBSecurityPolicy-FS-1-2-Res-2019-08", &[V12]),
    ("ELBSecurityPolicy-FS-1-2-Res-2020-10", &[V12]),
    ("ELBSecurityPolicy-TLS-1-2-2017-01", &[V12]),
    ("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", &[V12]),
    ("ELBSecurityPolicy-TLS13-1-2-2021-06", &[V12, V13]),
    ("ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", &[V12, V13]),
    ("ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06", &[V12, V13]),
    ("ELBSecurityPolicy-TLS13-1-2-Res-2021-06", &[V12, V13]),
    ("ELBSecurityPolicy-TLS13-1-3-2021-06", &[V13]),
];

/// Policies of AWS whose point are versions of TLS that nobody should speak any more.
const OLD: &[&str] = &[
    "ELBSecurityPolicy-2015-05",
    "ELBSecurityPolicy-TLS-1-0-2015-04",
    "ELBSecurityPolicy-TLS-1-1-2017-01",
    "ELBSecurityPolicy-FS-2018-06",
    "ELBSecurityPolicy-FS-1-1-2019-08",
    "ELBSecurityPolicy-TLS13-1-0-2021-06",
    "ELBSecurityPolicy-TLS13-1-1-2021-06",
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

/// Checks a policy's name: `SSLPolicyNotFound`, or why one of AWS's is not served.
pub(super) fn check(name: &str) -> Result<(), ApiError> {
    if SERVED.iter().any(|(served, _)| *served == name) {
        return Ok(());
    }
    let dated = name.strip_prefix("ELBSecurityPolicy-").unwrap_or_default();
    let why = if OLD.contains(&name) {
        "TLS 1.0 and 1.1 are"
    } else if dated.contains("-FIPS-") {
        "a FIPS-validated cryptographic module is"
    } else if dated.contains("-PQ-") {
        "post-quantum key exchange is"
    } else if dated.contains("RFC9151") {
        "RFC 9151 is"
    } else {
        return Err(ApiError::new(
            "SSLPolicyNotFound",
            format!("SSL policy '{name}' not found"),
        ));
    };
    Err(error::unsupported(format!("SSL policy '{name}': {why} not supported")))
}

/// The versions that a listener with that policy speaks; none for a listener without one.
pub(crate) fn versions(name: Option<&str>) -> impl Iterator<Item = &'static str> {
    let found = SERVED.iter().find(|(served, _)| Some(*served) == name);
    found.map_or(&[][..], |(_, versions)| versions).iter().copied()
}

fn policy(name: &str, versions: &[&str]) -> types::SslPolicy {
    let of = |version: &str, ciphers: &'static [&'static str]| {
        let is_there = versions.contains(&version);
        ciphers.iter().filter(move |_| is_there)
    };
    let ciphers = of(V13, CIPHERS_13).chain(of(V12, CIPHERS_12)).zip(1..);
    types::SslPolicy {
        name: Some(name.to_owned()),
        ssl_protocols: Some(versions.iter().map(|version| (*version).to_owned()).collect()),
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
    let policies: Vec<types::SslPolicy> = SERVED
        .iter()
        .filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name))
        .map(|(name, versions)| policy(name, versions))
        .collect();
    let key = |policy: &types::SslPolicy| policy.name.clone().unwrap_or_default();
    let (policies, next_marker) = page(policies, key, input.marker.as_deref(), input.page_size)?;
    Ok(types::DescribeSSLPoliciesOutput {
        ssl_policies: Some(policies),
        next_marker,
    })
}
