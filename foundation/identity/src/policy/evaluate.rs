//! The decision. Ref: IAM User Guide, "Policy evaluation logic", "Evaluating identity-based policies with
//! resource-based policies", "... with permissions boundaries", "... with session policies", "Cross-account policy
//! evaluation logic".

use crate::policy::document::{Effect, Policy, Statement};
use crate::policy::principal::Grant;
use crate::policy::{Caller, CallerKind, Context};
use std::sync::Arc;

/// The kind of policy that decided, or that was missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Policies of the user, its groups, or the role.
    Identity,
    /// The resource's own policy.
    Resource,
    /// The permissions boundary.
    Boundary,
    /// The session's policies.
    Session,
}

/// What the policies say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Every layer that must allow does, and none denies.
    Allow,
    /// A statement denies.
    ExplicitDeny(Layer),
    /// No statement of this layer allows.
    ImplicitDeny(Layer),
}

/// One action on one resource.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub caller: &'a Caller<'a>,
    /// The action, for example `ecs:RunTask`.
    pub action: &'a str,
    /// The resource's ARN, or `*`.
    pub resource: &'a str,
    /// The account that owns the resource; empty when nobody owns it (`*`): the caller's own.
    pub resource_account: &'a str,
    /// The values for conditions and variables.
    pub context: &'a dyn Context,
    /// Whether the resource's policy must allow even within an account, as a role's trust policy must.
    pub resource_policy_required: bool,
}

/// All policies that take part.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// Of the user and its groups, or of the role.
    pub identity: Vec<Arc<Policy>>,
    /// The permissions boundary, where there is one.
    pub boundary: Option<Arc<Policy>>,
    /// Session policies; an empty list does not limit.
    pub session: Vec<Arc<Policy>>,
    /// The resource's policy, where there is one.
    pub resource: Option<Arc<Policy>>,
    /// The policy of what holds the resource, where there is one: a registry's, for its repositories. It says who may as
    /// the resource's own does.
    pub holder: Option<Arc<Policy>>,
}

/// What one layer says.
#[derive(Default)]
struct Verdict {
    allows: bool,
    denies: bool,
}

impl Policy {
    /// What the document says alone: Deny when a statement denies, Allow when one allows, else nothing. Statements
    /// with principals count where they name the caller.
    pub fn effect(&self, request: &Request<'_>) -> Option<Effect> {
        let action = request.action.to_ascii_lowercase();
        let mut effect = None;
        for statement in &self.statements {
            if statement.applies(request, &action) && statement.reaches(request.caller) {
                effect = Some(statement.effect);
                if statement.effect == Effect::Deny {
                    break;
                }
            }
        }
        effect
    }
}

impl Policy {
    /// The numbers of the statements, from 0, that have this effect on the request.
    pub fn statements_with(&self, effect: Effect, request: &Request<'_>) -> Vec<usize> {
        let action = request.action.to_ascii_lowercase();
        let matching = self.statements.iter().enumerate().filter(|(_, statement)| {
            statement.effect == effect && statement.reaches(request.caller) && statement.applies(request, &action)
        });
        matching.map(|(number, _)| number).collect()
    }
}

impl Statement {
    /// Whether action, resource and conditions match; the principal is left to [`Statement::grant`].
    fn applies(&self, request: &Request<'_>, action: &str) -> bool {
        self.actions.matches(action)
            && self
                .resources
                .as_ref()
                .is_none_or(|resources| resources.matches(|pattern| pattern.matches(request.resource, request.context)))
            && self.conditions.iter().all(|condition| condition.holds(request.context))
    }

    /// How directly the statement names the caller. Without a Principal it is the caller's own.
    fn grant(&self, caller: &Caller<'_>) -> Grant {
        let Some(principals) = &self.principals else {
            return Grant::Direct;
        };
        let grant = principals
            .entries
            .iter()
            .map(|entry| entry.grant(caller))
            .max()
            .unwrap_or(Grant::None);
        match (principals.negated, grant) {
            (false, grant) => grant,
            (true, Grant::None) => Grant::Role,
            (true, _) => Grant::None,
        }
    }

    /// Whether the statement means the caller, a boundary aside.
    fn reaches(&self, caller: &Caller<'_>) -> bool {
        match self.effect {
            Effect::Allow => self.grant(caller) > Grant::None,
            Effect::Deny => self.denies(caller, false),
        }
    }

    /// Whether a Deny reaches the caller. A role or user is reached through its account as well; one that
    /// NotPrincipal excepts must be excepted itself: its account is not enough, nor is the role of a session.
    /// Ref: "AWS JSON policy elements: NotPrincipal": the session's ARN stands beside the role's and the account's.
    /// Whoever has a permissions boundary is never excepted (the same page, key points).
    fn denies(&self, caller: &Caller<'_>, has_boundary: bool) -> bool {
        match &self.principals {
            Some(principals) if principals.negated && has_boundary => true,
            Some(principals) if principals.negated => !principals
                .entries
                .iter()
                .any(|entry| entry.grant(caller) == Grant::Direct),
            Some(_) | None => self.grant(caller) > Grant::None,
        }
    }
}

fn verdict<'p>(policies: impl IntoIterator<Item = &'p Arc<Policy>>, request: &Request<'_>, action: &str) -> Verdict {
    let mut verdict = Verdict::default();
    for statement in policies.into_iter().flat_map(|policy| &policy.statements) {
        let known = match statement.effect {
            Effect::Allow => verdict.allows,
            Effect::Deny => verdict.denies,
        };
        if !known && statement.applies(request, action) {
            match statement.effect {
                Effect::Allow => verdict.allows = true,
                Effect::Deny => verdict.denies = true,
            }
        }
    }
    verdict
}

fn resource_verdict(policies: &Policies, request: &Request<'_>, action: &str) -> (Grant, bool) {
    let (mut grant, mut denies) = (Grant::None, false);
    let has_boundary = policies.boundary.is_some();
    let policies = policies.resource.iter().chain(&policies.holder);
    for statement in policies.flat_map(|policy| &policy.statements) {
        match statement.effect {
            Effect::Allow => {
                let named = statement.grant(request.caller);
                if named > grant && statement.applies(request, action) {
                    grant = named;
                }
            }
            Effect::Deny => {
                denies |= statement.denies(request.caller, has_boundary) && statement.applies(request, action)
            }
        }
    }
    (grant, denies)
}

/// Decides about one action on one resource.
pub fn evaluate(request: &Request<'_>, policies: &Policies) -> Decision {
    let action = request.action.to_ascii_lowercase();
    let caller = request.caller;
    let identity = verdict(&policies.identity, request, &action);
    let boundary = verdict(&policies.boundary, request, &action);
    let session = verdict(&policies.session, request, &action);
    let (granted, resource_denies) = resource_verdict(policies, request, &action);

    let denied = [
        (identity.denies, Layer::Identity),
        (resource_denies, Layer::Resource),
        (boundary.denies, Layer::Boundary),
        (session.denies, Layer::Session),
    ];
    if let Some((_, layer)) = denied.into_iter().find(|(denies, _)| *denies) {
        return Decision::ExplicitDeny(layer);
    }

    let boundary_allows = policies.boundary.is_none() || boundary.allows;
    let session_allows = policies.session.is_empty() || session.allows;
    let limits = || match (boundary_allows, session_allows) {
        (false, _) => Decision::ImplicitDeny(Layer::Boundary),
        (true, false) => Decision::ImplicitDeny(Layer::Session),
        (true, true) => Decision::Allow,
    };
    match caller.kind {
        // Services and strangers have no policies of their own.
        CallerKind::Service | CallerKind::Federated | CallerKind::Anonymous => {
            return if granted > Grant::None {
                Decision::Allow
            } else {
                Decision::ImplicitDeny(Layer::Resource)
            };
        }
        CallerKind::Root | CallerKind::User | CallerKind::AssumedRole | CallerKind::FederatedUser => {}
    }
    let identity_allows = identity.allows || caller.kind == CallerKind::Root;
    let same_account = request.resource_account.is_empty() || request.resource_account == caller.account;
    if !same_account || request.resource_policy_required {
        if granted == Grant::None {
            return Decision::ImplicitDeny(Layer::Resource);
        }
        if !same_account {
            return if identity_allows {
                limits()
            } else {
                Decision::ImplicitDeny(Layer::Identity)
            };
        }
    }
    // Within one account a grant by the resource is enough; how far it reaches depends on whom it names.
    match (granted, caller.kind) {
        (Grant::Direct, _) | (Grant::Role, CallerKind::User | CallerKind::Root) => Decision::Allow,
        (Grant::Role, _) => limits(),
        (Grant::Account | Grant::None, _) if identity_allows => limits(),
        (Grant::Account | Grant::None, _) => Decision::ImplicitDeny(Layer::Identity),
    }
}
