//! What others ask of IAM: whose key, which policies, which role; and the administrator of the first start.

use crate::issuer::{is_plain, issuer_key};
use crate::managed::{AwsManaged, aws_managed};
use crate::model::{
    ARN, AccessKey, AccessKeyUse, Entity, Group, Holder, ManagedPolicy, OidcProvider, Role, RoleUse, USER, User,
    iam_arn, key_of,
};
use honmaru_base::{AccountId, Arn, Scope};
use honmaru_identity::{
    KeyKind, Policy, PolicyError, access_key_id, account_of_access_key_id, cached_policy, secret_access_key, unique_id,
};
use honmaru_machine::{Principal, PrincipalKind, State, Tx};
use std::sync::Arc;

/// The name of the user that the first start creates.
pub const ADMINISTRATOR: &str = "administrator";
const ADMINISTRATOR_POLICY: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

/// IAM's scope in an account.
pub(crate) fn scope_of(account: &AccountId) -> Scope {
    Scope {
        account: account.clone(),
        region: "us-east-1".parse().expect("a valid region"),
    }
    .global()
}

/// A long-term access key and whose it is.
#[derive(Debug, Clone)]
pub struct KeyOwner<'a> {
    /// The owning account.
    pub account: AccountId,
    /// The owning user.
    pub user: &'a User,
    /// The key with its secret, and whether it is active.
    pub key: &'a AccessKey,
}

/// The owner of a long-term access key: two map lookups, as the id carries its account.
pub fn access_key<'a>(state: &'a State, access_key_id: &str) -> Option<KeyOwner<'a>> {
    let account = account_of_access_key_id(access_key_id)?;
    let scope = scope_of(&account);
    let key = state.get::<AccessKey>(&scope, access_key_id)?;
    let user = state.get::<User>(&scope, &key.user)?;
    Some(KeyOwner { account, user, key })
}

/// The principal of a user that signed with one of its keys.
pub fn user_principal(account: &AccountId, user: &User, access_key_id: &str) -> Principal {
    Principal {
        account: account.clone(),
        arn: user.entity.arn.clone(),
        user_id: user.entity.id.clone(),
        kind: PrincipalKind::User {
            name: user.entity.name.clone(),
        },
        access_key_id: access_key_id.to_owned(),
        tags: user.entity.tags.clone(),
        session_policies: Vec::new(),
        session: None,
    }
}

/// The role of a name in an account.
pub fn role_of_name<'a>(state: &'a State, account: &AccountId, name: &str) -> Option<&'a Role> {
    state.get(&scope_of(account), &key_of(name))
}

/// The user of a name in an account.
pub fn user_of_name<'a>(state: &'a State, account: &AccountId, name: &str) -> Option<&'a User> {
    state.get(&scope_of(account), &key_of(name))
}

/// The OIDC provider of an issuer (its URL, letter by letter) in an account.
pub fn oidc_provider<'a>(state: &'a State, account: &AccountId, issuer: &str) -> Option<&'a OidcProvider> {
    let provider: &OidcProvider = state.get(&scope_of(account), issuer_key(issuer)?)?;
    Some(provider).filter(|provider| provider.is_plain == is_plain(issuer))
}

/// The role that an ARN names, in whichever account.
pub fn role_by_arn<'a>(state: &'a State, arn: &str) -> Option<(AccountId, &'a Role)> {
    let parsed: Arn = arn.parse().ok()?;
    if parsed.service != "iam" {
        return None;
    }
    let account: AccountId = parsed.account.parse().ok()?;
    let name = parsed.resource.strip_prefix("role/")?.rsplit('/').next()?;
    let role = role_of_name(state, &account, name)?;
    (role.entity.arn == arn).then_some((account, role))
}

/// The default document of a managed policy: AWS's, or a customer's in the ARN's account.
pub fn document_of<'a>(state: &'a State, arn: &str) -> Option<&'a str> {
    managed_document(state, arn).map(Document::text)
}

/// A policy that allows nothing.
pub const NOTHING: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;

pub(crate) fn managed_document<'a>(state: &'a State, arn: &str) -> Option<Document<'a>> {
    match aws_managed(arn) {
        Some(policy) => Some(Document::Aws(policy)),
        None => customer_policy(state, arn)?.document().map(Document::Own),
    }
}

/// One stored policy document.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Document<'a> {
    /// AWS's.
    Aws(&'static AwsManaged),
    /// An inline policy's, or a customer managed one's.
    Own(&'a str),
}

impl<'a> Document<'a> {
    pub(crate) fn text(self) -> &'a str {
        match self {
            Self::Aws(policy) => policy.document,
            Self::Own(text) => text,
        }
    }

    pub(crate) fn compiled(self) -> Result<Arc<Policy>, PolicyError> {
        match self {
            Self::Aws(policy) => policy.compiled(),
            Self::Own(text) => cached_policy(text),
        }
    }
}

/// The customer managed policy of an ARN.
pub(crate) fn customer_policy<'a>(state: &'a State, arn: &str) -> Option<&'a ManagedPolicy> {
    let account: AccountId = arn.split(':').nth(4)?.parse().ok()?;
    let scope = scope_of(&account);
    let key = state
        .find::<ManagedPolicy>(&scope, ARN, arn)
        .next()
        .map(|(key, _)| key.to_owned())?;
    state.get(&scope, &key)
}

/// The policies of a principal, compiled.
#[derive(Debug, Clone, Default)]
pub struct PolicySources {
    /// Inline and attached policies of the user and its groups, or of the role.
    pub identity: Vec<Arc<Policy>>,
    /// The permissions boundary.
    pub boundary: Option<Arc<Policy>>,
    /// What limits the session: each of them must allow.
    pub session: Vec<Arc<Policy>>,
}

/// The policies of a principal as they are stored.
#[derive(Debug, Default)]
pub(crate) struct Documents<'a> {
    pub(crate) identity: Vec<Document<'a>>,
    pub(crate) boundary: Option<Document<'a>>,
    pub(crate) session: Vec<Document<'a>>,
}

/// The documents of the identity policies, of the boundary and of the session policies of a principal.
pub(crate) fn documents<'a>(state: &'a State, principal: &'a Principal) -> Documents<'a> {
    let scope = scope_of(&principal.account);
    let mut documents = Documents::default();
    match &principal.kind {
        PrincipalKind::User { name } | PrincipalKind::FederatedUser { user: Some(name), .. } => {
            if let Some(user) = state.get::<User>(&scope, &key_of(name)) {
                collect(state, &user.entity, &mut documents);
                for group in user.groups.iter().filter_map(|key| state.get::<Group>(&scope, key)) {
                    collect(state, &group.entity, &mut documents);
                }
            }
        }
        PrincipalKind::AssumedRole { role, .. } => {
            if let Some(role) = state.get::<Role>(&scope, &key_of(role)) {
                collect(state, &role.entity, &mut documents);
            }
        }
        // Whoever root federates may do whatever the session's policies let through.
        PrincipalKind::FederatedUser { user: None, .. } => {
            documents.identity.extend(managed_document(state, ADMINISTRATOR_POLICY));
        }
        PrincipalKind::Root | PrincipalKind::Anonymous => {}
    }
    let inline = principal.session_policies.iter();
    documents.session.extend(inline.map(|text| Document::Own(text)));
    // Looked up at each call, so that a session is limited by what the policy says then. One that is gone allows nothing.
    let arns = principal.session.iter().flat_map(|session| &session.policy_arns);
    let managed = arns.map(|arn| managed_document(state, arn).unwrap_or(Document::Own(NOTHING)));
    documents.session.extend(managed);
    documents
}

/// The documents that an entity has itself, inline and attached.
pub(crate) fn own_documents<'a>(state: &'a State, entity: &'a Entity) -> impl Iterator<Item = Document<'a>> {
    let inline = entity.inline.values().map(|text| Document::Own(text));
    let attached = entity.attached.iter().filter_map(|arn| managed_document(state, arn));
    inline.chain(attached)
}

fn collect<'a>(state: &'a State, entity: &'a Entity, documents: &mut Documents<'a>) {
    documents.identity.extend(own_documents(state, entity));
    if let Some(arn) = &entity.boundary {
        // A boundary that is gone allows nothing; DeletePolicy refuses to let that happen.
        documents.boundary = Some(managed_document(state, arn).unwrap_or(Document::Own(NOTHING)));
    }
}

/// The identity policies, the boundary and the session policies of a principal. An error means that a stored document does not compile;
/// the call must then be refused, because that document may deny it.
pub fn identity_policies(state: &State, principal: &Principal) -> Result<PolicySources, PolicyError> {
    let documents = documents(state, principal);
    let identity = documents.identity.into_iter().map(Document::compiled);
    Ok(PolicySources {
        identity: identity.collect::<Result<_, _>>()?,
        boundary: documents.boundary.map(Document::compiled).transpose()?,
        session: documents
            .session
            .into_iter()
            .map(Document::compiled)
            .collect::<Result<_, _>>()?,
    })
}

/// Remembers when a key was used; not durable.
pub fn note_access_key_use(tx: &mut Tx<'_>, account: &AccountId, access_key_id: &str, service: &str, region: &str) {
    let at = tx.now();
    let row = AccessKeyUse {
        at,
        service: service.to_owned(),
        region: region.to_owned(),
    };
    tx.put(&scope_of(account), access_key_id, row);
}

/// Remembers when a role was used, if it is still there; not durable.
pub fn note_role_use(tx: &mut Tx<'_>, account: &AccountId, role: &str, region: &str) {
    let (at, scope, key) = (tx.now(), scope_of(account), key_of(role));
    if tx.get::<Role>(&scope, &key).is_some() {
        let region = region.to_owned();
        tx.put(&scope, &key, RoleUse { at, region });
    }
}

/// A new access key of a user, by the user's row key.
pub(crate) fn new_access_key(tx: &mut Tx<'_>, account: &AccountId, user: &str) -> AccessKey {
    let created_at = tx.now();
    let id = access_key_id(KeyKind::LongTerm, account, tx.rng());
    let secret = secret_access_key(tx.rng());
    let key = AccessKey {
        id: id.clone(),
        secret,
        user: user.to_owned(),
        active: true,
        created_at,
    };
    tx.put(&scope_of(account), &id, key.clone());
    key
}

/// A new entity; its caller writes it.
pub(crate) fn new_entity<H: Holder>(tx: &mut Tx<'_>, account: &AccountId, path: &str, name: &str) -> Entity {
    let created_at = tx.now();
    Entity {
        path: path.to_owned(),
        name: name.to_owned(),
        id: unique_id(H::ID_PREFIX, tx.rng()),
        arn: iam_arn(account, H::NOUN, path, name),
        created_at,
        inline: Default::default(),
        attached: Default::default(),
        boundary: None,
        tags: Vec::new(),
    }
}

/// Sees to it that an account has the user [`ADMINISTRATOR`] with AdministratorAccess and an active access key, and
/// returns that key: id and secret. Changes nothing when all is there.
pub fn ensure_administrator(tx: &mut Tx<'_>, account: &AccountId) -> (String, String) {
    let scope = scope_of(account);
    let row_key = key_of(ADMINISTRATOR);
    if tx.get::<User>(&scope, &row_key).is_none() {
        let mut entity = new_entity::<User>(tx, account, "/", ADMINISTRATOR);
        entity.attached.insert(ADMINISTRATOR_POLICY.to_owned());
        tx.put(
            &scope,
            &row_key,
            User {
                entity,
                groups: Default::default(),
            },
        );
    }
    let existing = tx
        .find::<AccessKey>(&scope, USER, &row_key)
        .map(|(_, key)| key)
        .find(|key| key.active)
        .cloned();
    let key = existing.unwrap_or_else(|| new_access_key(tx, account, &row_key));
    (key.id, key.secret)
}
