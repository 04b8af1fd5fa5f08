//! The request context: the values that conditions and variables look at.
//! Ref: IAM User Guide, "AWS global condition context keys".

use crate::policy::{Caller, CallerKind};
use honmaru_base::Time;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Values by condition key.
pub trait Context {
    /// The values of a key, which is given in lower case; nothing when the request has no such key.
    fn values(&self, key: &str) -> Option<Vec<String>>;
}

impl Context for BTreeMap<String, Vec<String>> {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        self.get(key).cloned()
    }
}

/// The context of an API call. Global keys are computed when a condition asks for them.
#[derive(Debug, Clone, Copy)]
pub struct CallContext<'a> {
    /// Who calls.
    pub caller: &'a Caller<'a>,
    /// When the call was received.
    pub now: Time,
    /// Where it came from.
    pub source_ip: Option<IpAddr>,
    /// The `User-Agent` header.
    pub user_agent: &'a str,
    /// The `Referer` header.
    pub referer: &'a str,
    /// Whether it came over TLS.
    pub secure: bool,
    /// The region that the call works on.
    pub region: &'a str,
    /// The account that owns the resource.
    pub resource_account: &'a str,
    /// Keys of this request: `aws:RequestTag/...`, `aws:ResourceTag/...`, `aws:TagKeys` and the service's own.
    pub extra: &'a [(String, Vec<String>)],
}

impl CallContext<'_> {
    /// The global keys that a call may have, as AWS writes them; `aws:PrincipalTag/...` aside.
    pub const GLOBAL_KEYS: [&'static str; 22] = [
        "aws:CurrentTime",
        "aws:EpochTime",
        "aws:SecureTransport",
        "aws:SourceIp",
        "aws:UserAgent",
        "aws:Referer",
        "aws:RequestedRegion",
        "aws:ResourceAccount",
        "aws:ViaAWSService",
        "aws:PrincipalIsAWSService",
        "aws:PrincipalServiceName",
        "aws:PrincipalServiceNamesList",
        "aws:PrincipalType",
        "aws:PrincipalArn",
        "aws:PrincipalAccount",
        "aws:userid",
        "aws:username",
        "aws:SourceIdentity",
        "aws:TokenIssueTime",
        "aws:FederatedProvider",
        "aws:MultiFactorAuthPresent",
        "aws:MultiFactorAuthAge",
    ];
}

impl Context for CallContext<'_> {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        let extra = self.extra.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        if let Some((_, values)) = extra {
            return Some(values.clone());
        }
        let caller = self.caller;
        let one = |value: &str| Some(vec![value.to_owned()]);
        let flag = |value: bool| Some(vec![value.to_string()]);
        let anonymous = caller.kind == CallerKind::Anonymous;
        match key {
            "aws:currenttime" => Some(vec![self.now.rfc3339()]),
            "aws:epochtime" => Some(vec![self.now.as_ms().div_euclid(1_000).to_string()]),
            "aws:securetransport" => flag(self.secure),
            "aws:sourceip" => self.source_ip.map(|ip| vec![ip.to_canonical().to_string()]),
            "aws:useragent" if !self.user_agent.is_empty() => one(self.user_agent),
            "aws:referer" if !self.referer.is_empty() => one(self.referer),
            "aws:requestedregion" => one(self.region),
            "aws:resourceaccount" if !self.resource_account.is_empty() => one(self.resource_account),
            "aws:viaawsservice" => flag(false),
            "aws:principalisawsservice" if !anonymous => flag(caller.kind == CallerKind::Service),
            "aws:principalservicename" | "aws:principalservicenameslist" if caller.kind == CallerKind::Service => {
                one(caller.arn)
            }
            "aws:principaltype" => one(caller.kind.principal_type()),
            // Ref: "aws:PrincipalArn": a role for its sessions, but a federated user for its own.
            "aws:principalarn" if caller.kind == CallerKind::AssumedRole => one(caller.role_arn.unwrap_or(caller.arn)),
            "aws:principalarn" if !anonymous => one(caller.arn),
            // Ref: the same page: these two are in anonymous requests, too.
            "aws:principalaccount" | "aws:userid" if anonymous => one("anonymous"),
            "aws:principalaccount" if !caller.account.is_empty() => one(caller.account),
            "aws:userid" if !caller.user_id.is_empty() => one(caller.user_id),
            "aws:username" => caller.user_name.map(|name| vec![name.to_owned()]),
            "aws:sourceidentity" => caller.source_identity.map(|name| vec![name.to_owned()]),
            "aws:tokenissuetime" => caller.token_issued_at.map(|at| vec![at.rfc3339()]),
            "aws:federatedprovider" => caller.federated_provider.map(|arn| vec![arn.to_owned()]),
            // Only temporary credentials carry it. Ref: "AWS global condition context keys", aws:MultiFactorAuthPresent.
            "aws:multifactorauthpresent" if caller.is_temporary => flag(caller.mfa_at.is_some()),
            "aws:multifactorauthage" => caller.mfa_at.map(|at| {
                let seconds = self.now.as_ms().saturating_sub(at.as_ms()).max(0) / 1_000;
                vec![seconds.to_string()]
            }),
            key => {
                let tag = key.strip_prefix("aws:principaltag/")?;
                let (_, value) = caller.tags.iter().find(|(name, _)| name.eq_ignore_ascii_case(tag))?;
                one(value)
            }
        }
    }
}
