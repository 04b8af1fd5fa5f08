//! Whether a call is allowed: the principal's policies, the resource's and the session's, evaluated on every call.

use crate::machine::{identity_policies, role_of_name, user_of_name};
use crate::refusal;
use honmaru_base::{ApiError, Scope, Time};
use honmaru_identity::{
    AuthError, CallContext, Caller, CallerKind, Decision, Denied, Layer, Policies, ProtocolFamily, Request,
    cached_policy, evaluate,
};
use honmaru_machine::{Access, Call, Principal, PrincipalKind, State};

/// A principal as policies see it; [`CallerParts::caller`] borrows from it.
#[derive(Debug, Clone)]
pub struct CallerParts<'a> {
    principal: &'a Principal,
    role_arn: Option<&'a str>,
}

/// Looks up what policies must know about a principal beyond the principal itself.
pub fn caller_parts<'a>(state: &'a State, principal: &'a Principal) -> CallerParts<'a> {
    let role_arn = match &principal.kind {
        PrincipalKind::AssumedRole { role, .. } => {
            role_of_name(state, &principal.account, role).map(|role| role.entity.arn.as_str())
        }
        PrincipalKind::FederatedUser { user: Some(user), .. } => {
            user_of_name(state, &principal.account, user).map(|user| user.entity.arn.as_str())
        }
        PrincipalKind::FederatedUser { user: None, .. }
        | PrincipalKind::Root
        | PrincipalKind::User { .. }
        | PrincipalKind::Anonymous => None,
    };
    CallerParts { principal, role_arn }
}

impl CallerParts<'_> {
    /// The caller.
    pub fn caller(&self) -> Caller<'_> {
        let principal = self.principal;
        let session = principal.session.as_ref();
        let (kind, user_name) = match &principal.kind {
            PrincipalKind::Root => (CallerKind::Root, None),
            PrincipalKind::User { name } => (CallerKind::User, Some(name.as_str())),
            PrincipalKind::AssumedRole { .. } => (CallerKind::AssumedRole, None),
            PrincipalKind::FederatedUser { .. } => (CallerKind::FederatedUser, None),
            PrincipalKind::Anonymous => return Caller::anonymous(),
        };
        Caller {
            kind,
            account: principal.account.as_str(),
            arn: &principal.arn,
            role_arn: self.role_arn,
            user_id: &principal.user_id,
            user_name,
            tags: &principal.tags,
            source_identity: session.and_then(|session| session.source_identity.as_deref()),
            is_temporary: principal.access_key_id.starts_with("ASIA"),
            token_issued_at: session.map(|session| session.issued_at),
            federated_provider: session.and_then(|session| session.federated_provider.as_deref()),
            mfa_at: session.and_then(|session| session.mfa_at),
        }
    }
}

/// Checks every action on every resource that an operation needs. The error is the protocol's access denied, with
/// AWS's text.
pub fn authorize(state: &State, call: &Call, accesses: &[Access], family: ProtocolFamily) -> Result<(), ApiError> {
    if accesses.is_empty() {
        return Ok(());
    }
    let parts = caller_parts(state, &call.principal);
    let caller = parts.caller();
    if accesses.iter().any(|access| barred(&caller, &access.action)) {
        return Err(AuthError::unknown_key().to_api_error(family));
    }
    let denied = |access: &Access, resource: &str, decision| {
        let denied = Denied {
            caller: call.principal.arn.clone(),
            action: access.action.clone(),
            resource: resource.to_owned(),
            decision,
        };
        denied.to_api_error(family)
    };
    let first = |access: &Access| access.resources.first().cloned().unwrap_or_else(|| "*".to_owned());
    let anything = "*".to_owned();
    let mut policies = Policies::default();
    match identity_policies(state, &call.principal) {
        Ok(sources) => {
            policies.identity = sources.identity;
            policies.boundary = sources.boundary;
            policies.session = sources.session;
        }
        // A document that cannot be read may hold a Deny.
        Err(_) => {
            let access = &accesses[0];
            return Err(denied(access, &first(access), Decision::ExplicitDeny(Layer::Identity)));
        }
    }
    for access in accesses {
        let compiled = |text: &Option<String>| text.as_deref().map(cached_policy).transpose();
        let (Ok(resource), Ok(holder)) = (compiled(&access.resource_policy), compiled(&access.holder_policy)) else {
            return Err(denied(access, &first(access), Decision::ExplicitDeny(Layer::Resource)));
        };
        (policies.resource, policies.holder) = (resource, holder);
        // Whoever names nothing needs the permission for everything.
        let resources = match access.resources.as_slice() {
            [] => std::slice::from_ref(&anything),
            named => named,
        };
        for resource in resources {
            let resource_account = owner_of(resource, caller.account);
            let context = CallContext {
                caller: &caller,
                now: call.now,
                source_ip: call.source_ip,
                user_agent: &call.user_agent,
                referer: &call.referer,
                secure: call.secure,
                region: call.scope.region.as_str(),
                resource_account,
                extra: &access.context,
            };
            let request = Request {
                caller: &caller,
                action: &access.action,
                resource,
                resource_account,
                context: &context,
                // Only the trust policy lets anybody become a role.
                resource_policy_required: is_role_session(&access.action) && !is_federated_user(resource),
            };
            match evaluate(&request, &policies) {
                Decision::Allow => {}
                decision @ (Decision::ExplicitDeny(_) | Decision::ImplicitDeny(_)) => {
                    let mut error = denied(access, resource, decision);
                    if family == ProtocolFamily::Ec2
                        && let Some(encoded) = refusal::seal(state, call, access, &request, &context, decision)
                    {
                        error.message.push_str(" Encoded authorization failure message: ");
                        error.message.push_str(&encoded);
                    }
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// The same for what a service does of itself in the name of a role: `session` is the role's, the user agent is the
/// service's name, and no request came from anywhere.
pub fn authorize_service(
    state: &State,
    service: &str,
    session: Principal,
    scope: &Scope,
    accesses: &[Access],
    now: Time,
) -> Result<(), ApiError> {
    let call = Call {
        scope: scope.clone(),
        principal: session,
        request_id: String::new(),
        now,
        source_ip: None,
        user_agent: service.to_owned(),
        referer: String::new(),
        host: String::new(),
        secure: true,
    };
    authorize(state, &call, accesses, ProtocolFamily::Json)
}

/// What temporary credentials of users may not call, whatever the policies say; AWS answers as if the token were
/// invalid. Ref: STS API Reference, GetSessionToken: such a session, without a second factor, calls no IAM API and of
/// STS only AssumeRole and GetCallerIdentity; GetFederationToken: no IAM API, and of STS only GetCallerIdentity.
fn barred(caller: &Caller<'_>, action: &str) -> bool {
    // What no call is named after is a permission only.
    let is_iam = action.starts_with("iam:") && action != "iam:PassRole";
    let is_sts = action.starts_with("sts:");
    match caller.kind {
        CallerKind::User if caller.is_temporary => {
            is_iam && caller.mfa_at.is_none() || is_sts && !is_role_session(action)
        }
        CallerKind::FederatedUser => is_iam || is_sts,
        CallerKind::Root
        | CallerKind::User
        | CallerKind::AssumedRole
        | CallerKind::Service
        | CallerKind::Federated
        | CallerKind::Anonymous => false,
    }
}

/// Whether it is what GetFederationToken works on, which has no policy of its own.
fn is_federated_user(resource: &str) -> bool {
    resource.contains(":federated-user/")
}

fn is_role_session(action: &str) -> bool {
    matches!(action, "sts:AssumeRole" | "sts:TagSession" | "sts:SetSourceIdentity")
}

/// The account in an ARN. What nobody owns (`*`, AWS's managed policies) counts as the caller's.
fn owner_of<'a>(resource: &'a str, caller_account: &'a str) -> &'a str {
    let account = resource
        .strip_prefix("arn:")
        .and_then(|rest| rest.split(':').nth(3))
        .unwrap_or_default();
    if account.len() == 12 { account } else { caller_account }
}
