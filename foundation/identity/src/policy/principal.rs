//! The Principal and NotPrincipal elements. Ref: IAM User Guide, "AWS JSON policy elements: Principal".

use crate::policy::{Caller, CallerKind};

/// One entry of a Principal element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PrincipalEntry {
    /// `"*"` or `{"AWS": "*"}`.
    Anyone,
    /// An account, by its id or by `arn:aws:iam::ID:root`.
    Account(String),
    /// A user, role, role session or federated user, by its ARN; a user or a role also by its unique id.
    Arn(String),
    /// A service.
    Service(String),
    /// An identity provider.
    Federated(String),
    /// A canonical user id of s3; nobody here has one.
    Canonical,
}

/// How directly an entry names a caller. The order is the order of strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grant {
    /// Not at all.
    None,
    /// Its account: the account's own policies decide further.
    Account,
    /// Its role, or the user behind a federated user: boundaries and session policies still limit a session.
    Role,
    /// The user or the session itself, or everyone.
    Direct,
}

impl PrincipalEntry {
    /// An entry `text` under `kind` (`AWS`, `Service`, ...). An error is the text that IAM answers.
    pub(crate) fn parse(kind: &str, text: &str) -> Result<Self, String> {
        let invalid = || format!("Invalid principal in policy: \"{kind}\":\"{text}\"");
        match kind {
            "AWS" if text == "*" => Ok(Self::Anyone),
            "AWS" if is_account(text) => Ok(Self::Account(text.to_owned())),
            "AWS" => {
                let parts: Vec<&str> = text.splitn(6, ':').collect();
                match parts[..] {
                    ["arn", _, "iam", "", account, "root"] if is_account(account) => {
                        Ok(Self::Account(account.to_owned()))
                    }
                    ["arn", _, "iam" | "sts", "", account, name]
                        if is_account(account)
                            && ["user/", "role/", "assumed-role/", "federated-user/"]
                                .iter()
                                .any(|kind| name.strip_prefix(kind).is_some_and(|name| !name.is_empty()))
                            && !name.contains(['*', '?']) =>
                    {
                        Ok(Self::Arn(text.to_owned()))
                    }
                    // A unique id stands also where the user or role was deleted.
                    [id] if id.len() == 21 && (id.starts_with("AIDA") || id.starts_with("AROA")) => {
                        Ok(Self::Arn(text.to_owned()))
                    }
                    _ => Err(invalid()),
                }
            }
            "Service" if !text.is_empty() && !text.contains(['*', '?']) => Ok(Self::Service(text.to_owned())),
            "Federated" if !text.is_empty() => Ok(Self::Federated(text.to_owned())),
            "CanonicalUser" if !text.is_empty() => Ok(Self::Canonical),
            "Service" | "Federated" | "CanonicalUser" => Err(invalid()),
            kind => Err(format!("Unsupported principal type: {kind}")),
        }
    }

    /// Whether a role may trust it. An error is the text that IAM answers.
    ///
    /// AWS knows the names of all its services; here every name may be one that looks like them. That an identity
    /// provider is there nobody asks.
    pub(crate) fn check_trusted(&self) -> Result<(), String> {
        match self {
            Self::Service(name) if labels(name) < SERVICE_LABELS_MIN => {
                Err(format!("Invalid principal in policy: \"SERVICE\":\"{name}\""))
            }
            Self::Federated(name) if labels(name) < DOMAIN_LABELS_MIN && !is_provider(name) => {
                Err("Federated principals must be valid domain names or SAML metadata ARNs".to_owned())
            }
            Self::Anyone
            | Self::Account(_)
            | Self::Arn(_)
            | Self::Service(_)
            | Self::Federated(_)
            | Self::Canonical => Ok(()),
        }
    }

    pub(crate) fn grant(&self, caller: &Caller<'_>) -> Grant {
        match (self, caller.kind) {
            // Ref: "AWS JSON policy elements: Principal", IAM role principals: boundaries and session policies do not
            // limit what a wildcard grants.
            (Self::Anyone, _) => Grant::Direct,
            (Self::Account(id), CallerKind::Root) if id == caller.account => Grant::Direct,
            (Self::Account(id), CallerKind::User | CallerKind::AssumedRole | CallerKind::FederatedUser)
                if id == caller.account =>
            {
                Grant::Account
            }
            (Self::Arn(arn), CallerKind::User | CallerKind::AssumedRole | CallerKind::FederatedUser)
                if arn == caller.arn =>
            {
                Grant::Direct
            }
            (Self::Arn(arn), CallerKind::AssumedRole | CallerKind::FederatedUser)
                if Some(arn.as_str()) == caller.role_arn =>
            {
                Grant::Role
            }
            (Self::Arn(id), CallerKind::User) if id == caller.user_id => Grant::Direct,
            (Self::Arn(id), CallerKind::AssumedRole) if caller.user_id.split(':').next() == Some(id.as_str()) => {
                Grant::Role
            }
            (Self::Service(name), CallerKind::Service) if name == caller.arn => Grant::Direct,
            (Self::Federated(name), CallerKind::Federated) if name == caller.arn => Grant::Direct,
            (Self::Account(_) | Self::Arn(_) | Self::Service(_) | Self::Federated(_) | Self::Canonical, _) => {
                Grant::None
            }
        }
    }
}

/// A service has a name within AWS's domain: `ecs-tasks.amazonaws.com`, not `amazonaws.com`.
const SERVICE_LABELS_MIN: usize = 3;
const DOMAIN_LABELS_MIN: usize = 2;

/// The parts of a domain name; none where it is not one.
fn labels(name: &str) -> usize {
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if name.split('.').all(is_label) {
        name.split('.').count()
    } else {
        0
    }
}

/// Whether a text is the ARN of an identity provider of IAM.
fn is_provider(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts[..], ["arn", _, "iam", "", account, resource] if is_account(account)
        && ["oidc-provider/", "saml-provider/"]
            .iter()
            .any(|kind| resource.strip_prefix(kind).is_some_and(|name| !name.is_empty())))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}
