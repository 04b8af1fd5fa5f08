//! Inline and attached policies, which users, groups and roles hold alike.

use super::common::{
    Answer, attachable, change, check_arn, check_document, encoded, holder, modifiable, page, size_of,
};
use crate::errors::{limit_exceeded, no_such_entity};
use crate::model::{Group, Holder, Role, User};
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State, Tx};

fn attach<H: Holder>(tx: &mut Tx<'_>, call: &Call, name: &str, arn: String) -> Answer<()> {
    let attached = &holder::<H>(tx, call, name)?.entity().attached;
    if attached.len() >= H::ATTACHED_MAX && !attached.contains(&arn) {
        let mut noun = H::NOUN.to_owned();
        noun[..1].make_ascii_uppercase();
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for PoliciesPer{noun}: {}",
            H::ATTACHED_MAX
        )));
    }
    attachable(tx, call, &arn)?;
    change::<H>(tx, call, name, |row| {
        row.entity_mut().attached.insert(arn);
    })
}

fn detach<H: Holder>(tx: &mut Tx<'_>, call: &Call, name: &str, arn: &str) -> Answer<()> {
    if !holder::<H>(tx, call, name)?.entity().attached.contains(arn) {
        check_arn(arn, "policy")?;
        return Err(no_such_entity(format!("Policy {arn} was not found.")));
    }
    change::<H>(tx, call, name, |row| {
        row.entity_mut().attached.remove(arn);
    })
}

fn put_inline<H: Holder>(tx: &mut Tx<'_>, call: &Call, name: &str, policy: String, document: String) -> Answer<()> {
    let entity = holder::<H>(tx, call, name)?.entity();
    check_document(&document)?;
    let others = entity
        .inline
        .iter()
        .filter(|(other, _)| **other != policy)
        .map(|(_, text)| size_of(text))
        .sum::<usize>();
    if others + size_of(&document) > H::INLINE_BYTES_MAX {
        let max = H::INLINE_BYTES_MAX;
        return Err(limit_exceeded(format!(
            "Maximum policy size of {max} bytes exceeded for {} {name}",
            H::NOUN
        )));
    }
    change::<H>(tx, call, name, |row| {
        row.entity_mut().inline.insert(policy, document);
    })
}

fn no_inline<H: Holder>(policy: &str) -> ApiError {
    no_such_entity(format!("The {} policy with name {policy} cannot be found.", H::NOUN))
}

fn inline_of<H: Holder>(state: &State, call: &Call, name: &str, policy: &str) -> Answer<String> {
    let entity = holder::<H>(state, call, name)?.entity();
    entity
        .inline
        .get(policy)
        .map(|document| encoded(document))
        .ok_or_else(|| no_inline::<H>(policy))
}

fn delete_inline<H: Holder>(tx: &mut Tx<'_>, call: &Call, name: &str, policy: &str) -> Answer<()> {
    if !holder::<H>(tx, call, name)?.entity().inline.contains_key(policy) {
        return Err(no_inline::<H>(policy));
    }
    change::<H>(tx, call, name, |row| {
        row.entity_mut().inline.remove(policy);
    })
}

/// The seven operations for one kind of holder, over its generated request types.
macro_rules! operations {
    ($module:ident, $row:ident, $name:ident, $attach:ident, $detach:ident, $list_attached:ident => $attached:ident,
     $put:ident, $get:ident => $got:ident, $list:ident => $listed:ident, $delete:ident) => {
        pub(in crate::api) mod $module {
            use super::*;
            use crate::api::Done;

            pub(in crate::api) fn attach(tx: &mut Tx<'_>, call: &Call, input: types::$attach) -> Answer<Done> {
                modifiable_holder::<$row>(tx, call, &input.$name)?;
                super::attach::<$row>(tx, call, &input.$name, input.policy_arn)?;
                Ok(Done)
            }

            pub(in crate::api) fn detach(tx: &mut Tx<'_>, call: &Call, input: types::$detach) -> Answer<Done> {
                modifiable_holder::<$row>(tx, call, &input.$name)?;
                super::detach::<$row>(tx, call, &input.$name, &input.policy_arn)?;
                Ok(Done)
            }

            pub(in crate::api) fn list_attached(
                state: &State,
                call: &Call,
                input: types::$list_attached,
            ) -> Answer<types::$attached> {
                let entity = holder::<$row>(state, call, &input.$name)?.entity();
                let prefix = input.path_prefix.as_deref().unwrap_or("/");
                let rows = entity
                    .attached
                    .iter()
                    .filter(|arn| path_of(arn).starts_with(prefix))
                    .map(|arn| {
                        let item = types::AttachedPolicy {
                            policy_name: arn.rsplit('/').next().map(str::to_owned),
                            policy_arn: Some(arn.clone()),
                        };
                        (arn.clone(), item)
                    });
                let page = page(rows, input.marker.as_deref(), input.max_items)?;
                Ok(types::$attached {
                    attached_policies: Some(page.items),
                    is_truncated: page.is_truncated,
                    marker: page.marker,
                })
            }

            pub(in crate::api) fn put_inline(tx: &mut Tx<'_>, call: &Call, input: types::$put) -> Answer<Done> {
                modifiable_holder::<$row>(tx, call, &input.$name)?;
                super::put_inline::<$row>(tx, call, &input.$name, input.policy_name, input.policy_document)?;
                Ok(Done)
            }

            pub(in crate::api) fn get_inline(state: &State, call: &Call, input: types::$get) -> Answer<types::$got> {
                let policy_document = inline_of::<$row>(state, call, &input.$name, &input.policy_name)?;
                Ok(types::$got {
                    $name: input.$name,
                    policy_name: input.policy_name,
                    policy_document,
                })
            }

            pub(in crate::api) fn list_inline(
                state: &State,
                call: &Call,
                input: types::$list,
            ) -> Answer<types::$listed> {
                let entity = holder::<$row>(state, call, &input.$name)?.entity();
                let rows = entity.inline.keys().map(|name| (name.clone(), name.clone()));
                let page = page(rows, input.marker.as_deref(), input.max_items)?;
                Ok(types::$listed {
                    policy_names: page.items,
                    is_truncated: page.is_truncated,
                    marker: page.marker,
                })
            }

            pub(in crate::api) fn delete_inline(tx: &mut Tx<'_>, call: &Call, input: types::$delete) -> Answer<Done> {
                modifiable_holder::<$row>(tx, call, &input.$name)?;
                super::delete_inline::<$row>(tx, call, &input.$name, &input.policy_name)?;
                Ok(Done)
            }
        }
    };
}

/// Service-linked roles are AWS's to change; users and groups are always the customer's.
fn modifiable_holder<H: Holder>(state: &State, call: &Call, name: &str) -> Answer<()> {
    if H::NOUN == Role::NOUN {
        modifiable(state, call, name)
    } else {
        Ok(())
    }
}

/// The path in a policy's ARN: `/service-role/` in `arn:aws:iam::aws:policy/service-role/X`.
pub(super) fn path_of(arn: &str) -> &str {
    let rest = arn.split_once(":policy").map_or("/", |(_, rest)| rest);
    rest.rfind('/').and_then(|end| rest.get(..=end)).unwrap_or("/")
}

operations!(user, User, user_name, AttachUserPolicyRequest, DetachUserPolicyRequest,
    ListAttachedUserPoliciesRequest => ListAttachedUserPoliciesResponse, PutUserPolicyRequest,
    GetUserPolicyRequest => GetUserPolicyResponse, ListUserPoliciesRequest => ListUserPoliciesResponse,
    DeleteUserPolicyRequest);
operations!(group, Group, group_name, AttachGroupPolicyRequest, DetachGroupPolicyRequest,
    ListAttachedGroupPoliciesRequest => ListAttachedGroupPoliciesResponse, PutGroupPolicyRequest,
    GetGroupPolicyRequest => GetGroupPolicyResponse, ListGroupPoliciesRequest => ListGroupPoliciesResponse,
    DeleteGroupPolicyRequest);
operations!(role, Role, role_name, AttachRolePolicyRequest, DetachRolePolicyRequest,
    ListAttachedRolePoliciesRequest => ListAttachedRolePoliciesResponse, PutRolePolicyRequest,
    GetRolePolicyRequest => GetRolePolicyResponse, ListRolePoliciesRequest => ListRolePoliciesResponse,
    DeleteRolePolicyRequest);
