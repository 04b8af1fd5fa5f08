//! Everything of an account at once: GetAccountAuthorizationDetails, and the credential report.

use super::account::Nothing;
use super::common::{Answer, boundary_of, encoded, page, scope, tags_out};
use super::policies::{aws_shape, aws_version, shape as policy_shape, version_shape};
use super::profiles;
use super::roles::last_used;
use crate::machine::scope_of;
use crate::managed::all_aws_managed;
use crate::mfa::devices_of;
use crate::model::{
    AccessKey, AccessKeyUse, Entity, Group, InstanceProfile, ManagedPolicy, ROLE, Role, USER, User, key_of,
};
use crate::password::{LoginProfile, PasswordPolicy, policy_of};
use crate::signing::SigningCertificate;
use crate::trust::trust_of;
use crate::types;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use honmaru_base::{Scope, Time};
use honmaru_machine::{Call, State};

/// One row of the answer; rows of all kinds share its pages.
enum Detail {
    User(types::UserDetail),
    Group(types::GroupDetail),
    Role(types::RoleDetail),
    Policy(types::ManagedPolicyDetail),
}

fn inline(entity: &Entity) -> Option<Vec<types::PolicyDetail>> {
    let policies = entity.inline.iter().map(|(name, document)| types::PolicyDetail {
        policy_name: Some(name.clone()),
        policy_document: Some(encoded(document)),
    });
    Some(policies.collect())
}

fn attached(entity: &Entity) -> Option<Vec<types::AttachedPolicy>> {
    let policies = entity.attached.iter().map(|arn| types::AttachedPolicy {
        policy_name: arn.rsplit('/').next().map(str::to_owned),
        policy_arn: Some(arn.clone()),
    });
    Some(policies.collect())
}

fn user(state: &State, scope: &Scope, user: &User) -> types::UserDetail {
    let entity = &user.entity;
    let groups = user.groups.iter().filter_map(|key| state.get::<Group>(scope, key));
    types::UserDetail {
        path: Some(entity.path.clone()),
        user_name: Some(entity.name.clone()),
        user_id: Some(entity.id.clone()),
        arn: Some(entity.arn.clone()),
        create_date: Some(entity.created_at.as_epoch_s().floor()),
        user_policy_list: inline(entity),
        group_list: Some(groups.map(|group| group.entity.name.clone()).collect()),
        attached_managed_policies: attached(entity),
        permissions_boundary: boundary_of(entity.boundary.as_ref()),
        tags: Some(tags_out(&entity.tags)),
    }
}

fn group(group: &Group) -> types::GroupDetail {
    let entity = &group.entity;
    types::GroupDetail {
        path: Some(entity.path.clone()),
        group_name: Some(entity.name.clone()),
        group_id: Some(entity.id.clone()),
        arn: Some(entity.arn.clone()),
        create_date: Some(entity.created_at.as_epoch_s().floor()),
        group_policy_list: inline(entity),
        attached_managed_policies: attached(entity),
    }
}

fn role(state: &State, call: &Call, scope: &Scope, role: &Role) -> types::RoleDetail {
    let entity = &role.entity;
    let profiles = state
        .find::<InstanceProfile>(scope, ROLE, &key_of(&entity.name))
        .map(|(_, row)| profiles::shape(state, call, row));
    types::RoleDetail {
        path: Some(entity.path.clone()),
        role_name: Some(entity.name.clone()),
        role_id: Some(entity.id.clone()),
        arn: Some(entity.arn.clone()),
        create_date: Some(entity.created_at.as_epoch_s().floor()),
        assume_role_policy_document: Some(encoded(&trust_of(state, role))),
        instance_profile_list: Some(profiles.collect()),
        role_policy_list: inline(entity),
        attached_managed_policies: attached(entity),
        permissions_boundary: boundary_of(entity.boundary.as_ref()),
        tags: Some(tags_out(&entity.tags)),
        role_last_used: Some(last_used(state, role)),
    }
}

fn policy(policy: types::Policy, versions: Vec<types::PolicyVersion>) -> types::ManagedPolicyDetail {
    types::ManagedPolicyDetail {
        policy_name: policy.policy_name,
        policy_id: policy.policy_id,
        arn: policy.arn,
        path: policy.path,
        default_version_id: policy.default_version_id,
        attachment_count: policy.attachment_count,
        permissions_boundary_usage_count: policy.permissions_boundary_usage_count,
        is_attachable: policy.is_attachable,
        description: policy.description,
        create_date: policy.create_date,
        update_date: policy.update_date,
        policy_version_list: Some(versions),
    }
}

pub(super) fn all(
    state: &State,
    call: &Call,
    input: types::GetAccountAuthorizationDetailsRequest,
) -> Answer<types::GetAccountAuthorizationDetailsResponse> {
    let scope = scope(call);
    let filter = input.filter.unwrap_or_default();
    let wants = |kind: &str| filter.is_empty() || filter.iter().any(|wanted| wanted == kind);
    let mut rows: Vec<(String, Detail)> = Vec::new();
    if wants("User") {
        let users = state.list::<User>(&scope);
        rows.extend(users.map(|(key, row)| (format!("1/{key}"), Detail::User(user(state, &scope, row)))));
    }
    if wants("Group") {
        let groups = state.list::<Group>(&scope);
        rows.extend(groups.map(|(key, row)| (format!("2/{key}"), Detail::Group(group(row)))));
    }
    if wants("Role") {
        let roles = state.list::<Role>(&scope);
        rows.extend(roles.map(|(key, row)| (format!("3/{key}"), Detail::Role(role(state, call, &scope, row)))));
    }
    if wants("LocalManagedPolicy") {
        rows.extend(state.list::<ManagedPolicy>(&scope).map(|(_, row)| {
            let versions = row.versions.iter().rev();
            let versions = versions.map(|version| version_shape(version, row.default_version, true));
            let detail = policy(policy_shape(state, &scope, row), versions.collect());
            (format!("4/{}", row.arn), Detail::Policy(detail))
        }));
    }
    if wants("AWSManagedPolicy") {
        // Of AWS's own, those that the account uses.
        rows.extend(all_aws_managed().iter().filter_map(|row| {
            let shape = aws_shape(state, &scope, row);
            let is_used = shape.attachment_count > Some(0) || shape.permissions_boundary_usage_count > Some(0);
            let detail = is_used.then(|| policy(shape, vec![aws_version(row, true)]))?;
            Some((format!("5/{}", row.arn), Detail::Policy(detail)))
        }));
    }
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    let page = page(rows.into_iter(), input.marker.as_deref(), input.max_items)?;
    let (mut users, mut groups, mut roles, mut policies) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for detail in page.items {
        match detail {
            Detail::User(detail) => users.push(detail),
            Detail::Group(detail) => groups.push(detail),
            Detail::Role(detail) => roles.push(detail),
            Detail::Policy(detail) => policies.push(detail),
        }
    }
    Ok(types::GetAccountAuthorizationDetailsResponse {
        user_detail_list: Some(users),
        group_detail_list: Some(groups),
        role_detail_list: Some(roles),
        policies: Some(policies),
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

/// The report is made when it is fetched: there is nothing to wait for.
pub(super) fn generate_report(_: &State, _: &Call, _: Nothing) -> Answer<types::GenerateCredentialReportResponse> {
    Ok(types::GenerateCredentialReportResponse {
        state: Some("COMPLETE".to_owned()),
        description: None,
    })
}

/// Ref: IAM User Guide, "Generate credential reports for your AWS account".
const COLUMNS: &str = "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,\
    password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,\
    access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,\
    access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,\
    cert_1_last_rotated,cert_2_active,cert_2_last_rotated";

pub(super) fn report(state: &State, call: &Call, _: Nothing) -> Answer<types::GetCredentialReportResponse> {
    let scope = scope_of(&call.scope.account);
    let policy = policy_of(state, &scope);
    let root = Reported {
        name: "<root_account>",
        arn: &format!("arn:aws:iam::{}:root", call.scope.account),
        created: "N/A".to_owned(),
        // When the password was set and until when it counts, the report never says of the root user.
        password: ["false", "N/A", "not_supported", "not_supported"].map(str::to_owned),
        has_mfa: false,
        keys: Vec::new(),
        certificates: Vec::new(),
    };
    let mut lines = vec![COLUMNS.to_owned(), root.line()];
    for (key, user) in state.list::<User>(&scope) {
        let keys = state.find::<AccessKey>(&scope, USER, key).map(|(id, key)| {
            let used = state.get::<AccessKeyUse>(&scope, id);
            let of_use = |get: fn(&AccessKeyUse) -> String| used.map_or_else(|| "N/A".to_owned(), get);
            [
                key.active.to_string(),
                moment(key.created_at),
                of_use(|used| moment(used.at)),
                of_use(|used| used.region.clone()),
                of_use(|used| used.service.clone()),
            ]
        });
        let certificates = state.find::<SigningCertificate>(&scope, USER, key);
        let entity = &user.entity;
        let reported = Reported {
            name: &entity.name,
            arn: &entity.arn,
            created: moment(entity.created_at),
            password: password(state.get(&scope, key), policy),
            has_mfa: !devices_of(state, &scope, &entity.name).is_empty(),
            keys: keys.collect(),
            certificates: certificates
                .map(|(_, row)| [row.active.to_string(), moment(row.uploaded_at)])
                .collect(),
        };
        lines.push(reported.line());
    }
    Ok(types::GetCredentialReportResponse {
        content: Some(STANDARD.encode(lines.join("\n"))),
        report_format: Some("text/csv".to_owned()),
        generated_time: Some(call.now.as_epoch_s().floor()),
    })
}

/// A moment as the report writes it: in whole seconds, with its distance from UTC, which tools read letter by letter.
fn moment(at: Time) -> String {
    const SECONDS: usize = "2026-11-23T13:47:35".len();
    let text = at.rfc3339();
    format!("{}+00:00", text.get(..SECONDS).unwrap_or(&text))
}

/// What the report says of somebody's password: whether there is one, when it was used and set, and until when another one
/// must be chosen. No password is ever used: nothing signs in with one.
fn password(profile: Option<&LoginProfile>, policy: Option<&PasswordPolicy>) -> [String; 4] {
    let none = || "N/A".to_owned();
    let Some(profile) = profile else {
        return ["false".to_owned(), none(), none(), none()];
    };
    let expires_at = policy.and_then(|policy| policy.expires_at(profile.changed_at));
    [
        "true".to_owned(),
        "no_information".to_owned(),
        moment(profile.changed_at),
        expires_at.map_or_else(none, moment),
    ]
}

/// What a line of the report is about.
struct Reported<'a> {
    name: &'a str,
    arn: &'a str,
    created: String,
    password: [String; 4],
    has_mfa: bool,
    keys: Vec<[String; 5]>,
    certificates: Vec<[String; 2]>,
}

impl Reported<'_> {
    fn line(self) -> String {
        let mut cells = vec![self.name.to_owned(), self.arn.to_owned(), self.created];
        cells.extend(self.password);
        cells.push(self.has_mfa.to_string());
        for number in 0..2 {
            match self.keys.get(number) {
                Some(key) => cells.extend(key.iter().cloned()),
                None => cells.extend(["false", "N/A", "N/A", "N/A", "N/A"].map(str::to_owned)),
            }
        }
        for number in 0..2 {
            match self.certificates.get(number) {
                Some(certificate) => cells.extend(certificate.iter().cloned()),
                None => cells.extend(["false", "N/A"].map(str::to_owned)),
            }
        }
        cells.join(",")
    }
}
