//! Who calls, as policies see it.

use honmaru_base::Time;

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerKind {
    /// The account's root user.
    Root,
    /// An IAM user.
    User,
    /// A role session.
    AssumedRole,
    /// A federated user of GetFederationToken.
    FederatedUser,
    /// An AWS service; [`Caller::arn`] holds its name, for example `ecs-tasks.amazonaws.com`.
    Service,
    /// A web identity; [`Caller::arn`] holds the ARN of its OIDC provider.
    Federated,
    /// Nobody that is known.
    Anonymous,
}

impl CallerKind {
    /// The value of `aws:PrincipalType`.
    pub(crate) fn principal_type(self) -> &'static str {
        match self {
            CallerKind::Root => "Account",
            CallerKind::User => "User",
            CallerKind::AssumedRole => "AssumedRole",
            CallerKind::Service => "AWSService",
            CallerKind::FederatedUser | CallerKind::Federated => "FederatedUser",
            CallerKind::Anonymous => "Anonymous",
        }
    }
}

/// The identity behind a request.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// What it is.
    pub kind: CallerKind,
    /// Its account; empty for services and strangers.
    pub account: &'a str,
    /// Its ARN as GetCallerIdentity shows it.
    pub arn: &'a str,
    /// The ARN of the role behind a role session, or of the IAM user behind a federated user.
    pub role_arn: Option<&'a str>,
    /// Its unique id.
    pub user_id: &'a str,
    /// The name of an IAM user.
    pub user_name: Option<&'a str>,
    /// Principal tags.
    pub tags: &'a [(String, String)],
    /// The source identity of a session.
    pub source_identity: Option<&'a str>,
    /// Whether it signed with temporary credentials.
    pub is_temporary: bool,
    /// When the temporary credentials were issued.
    pub token_issued_at: Option<Time>,
    /// The ARN of the OIDC provider that a session came from.
    pub federated_provider: Option<&'a str>,
    /// When a second factor was proven for the temporary credentials; nothing when none was.
    pub mfa_at: Option<Time>,
}

impl<'a> Caller<'a> {
    /// A service, for example `ecs-tasks.amazonaws.com`.
    pub fn service(name: &'a str) -> Self {
        Self {
            kind: CallerKind::Service,
            arn: name,
            ..Self::anonymous()
        }
    }

    /// A web identity of the OIDC provider with that ARN.
    pub fn federated(provider_arn: &'a str) -> Self {
        Self {
            kind: CallerKind::Federated,
            arn: provider_arn,
            is_temporary: true,
            ..Self::anonymous()
        }
    }

    /// Nobody that is known.
    pub fn anonymous() -> Self {
        Self {
            kind: CallerKind::Anonymous,
            account: "",
            arn: "anonymous",
            role_arn: None,
            user_id: "",
            user_name: None,
            tags: &[],
            source_identity: None,
            is_temporary: false,
            token_issued_at: None,
            federated_provider: None,
            mfa_at: None,
        }
    }
}
