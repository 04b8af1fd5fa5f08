//! Keys, roles and policies.

use super::images::statements;
use crate::control::{Control, Finding, Outcome, Owner, Scope, Severity, act, fail, pass, run};
use crate::facts::{Facts, Identity, epoch_s, last_part, list, text, texts};
use crate::layers::Layer;
use serde_json::Value;
use std::collections::BTreeMap;

pub const CONTROLS: &[Control] = &[
    Control {
        id: "A-01",
        title: "root has no keys, and who signs in with a password has a second factor",
        owner: Owner::You,
        severity: Severity::High,
        layer: Layer::Access,
        scope: Scope::Cloud,
        refs: &["IAM.4", "IAM.5"],
        check: root_and_passwords,
    },
    Control {
        id: "A-02",
        title: "access keys are at most 90 days old",
        owner: Owner::You,
        severity: Severity::Medium,
        layer: Layer::Access,
        scope: Scope::Cloud,
        refs: &["IAM.3", "IAM.22"],
        check: key_age,
    },
    Control {
        id: "A-03",
        title: "no policy of yours and no role allows everything",
        owner: Owner::You,
        severity: Severity::High,
        layer: Layer::Access,
        scope: Scope::Cloud,
        refs: &["IAM.1"],
        check: everything,
    },
    Control {
        id: "A-04",
        title: "each service has a task role of its own, apart from the execution role",
        owner: Owner::You,
        severity: Severity::Medium,
        layer: Layer::Access,
        scope: Scope::App,
        refs: &[],
        check: own_roles,
    },
    Control {
        id: "A-05",
        title: "roles for tokens of others (OIDC) say for whom and from where",
        owner: Owner::You,
        severity: Severity::High,
        layer: Layer::Access,
        scope: Scope::Cloud,
        refs: &[],
        check: federated,
    },
];

const KEY_DAYS_MAX: f64 = 90.0;
const DAY_S: f64 = 24.0 * 60.0 * 60.0;
const ADMINISTRATOR_ACCESS: &str = "arn:aws:iam::aws:policy/AdministratorAccess";
const ROOT: &str = "<root_account>";

fn identity(facts: &Facts, look: impl Fn(&Identity) -> Vec<Finding>) -> Vec<Finding> {
    match &facts.identity {
        Err(reason) => Finding::unseen(reason),
        Ok(identity) => look(identity),
    }
}

fn is_on(row: &Value, field: &str) -> bool {
    text(row, field).eq_ignore_ascii_case("true")
}

fn root_and_passwords(facts: &Facts) -> Vec<Finding> {
    identity(facts, |identity| {
        let mut findings = Vec::new();
        for row in &identity.credentials {
            let user = text(row, "user");
            if user == ROOT {
                let keys = ["access_key_1_active", "access_key_2_active"].map(|field| is_on(row, field));
                let seen = format!("access_key_1_active: {}, access_key_2_active: {}", keys[0], keys[1]);
                findings.push(Finding::new(
                    "root",
                    if keys.contains(&true) {
                        fail(
                            seen,
                            act("make a user for each person and program, then delete root's keys"),
                        )
                    } else {
                        pass(seen)
                    },
                ));
            } else if is_on(row, "password_enabled") {
                let seen = format!("password_enabled: true, mfa_active: {}", text(row, "mfa_active"));
                findings.push(Finding::new(
                    user,
                    if is_on(row, "mfa_active") {
                        pass(seen)
                    } else {
                        fail(
                            seen,
                            run(
                                "nothing signs in with passwords here: take it away, or give the user a second factor",
                                format!("aws iam delete-login-profile --user-name {user}"),
                            ),
                        )
                    },
                ));
            }
        }
        if findings.is_empty() {
            return Finding::unseen("the credential report has no row for root");
        }
        findings
    })
}

fn key_age(facts: &Facts) -> Vec<Finding> {
    identity(facts, |identity| {
        let mut findings = Vec::new();
        for row in &identity.credentials {
            for number in 1..=2 {
                if !is_on(row, &format!("access_key_{number}_active")) {
                    continue;
                }
                let made = text(row, &format!("access_key_{number}_last_rotated"));
                let used = text(row, &format!("access_key_{number}_last_used_date"));
                let user = text(row, "user");
                let seen = format!("key {number} made {made}, last used {used}");
                let age = epoch_s(made).map(|at_s| (facts.now_s - at_s) / DAY_S);
                let outcome = match age {
                    None => Outcome::NotAssessed(format!("the credential report does not say how old it is: `{made}`")),
                    Some(days) if days <= KEY_DAYS_MAX => pass(seen),
                    Some(days) => fail(
                        format!("{seen}: {} days old", days.floor()),
                        run(
                            "make a new key, give it to the programs, then switch the old one off \
                             (`aws iam update-access-key --status Inactive`)",
                            format!("aws iam create-access-key --user-name {user}"),
                        ),
                    ),
                };
                findings.push(Finding::new(format!("{user}, key {number}"), outcome));
            }
        }
        if findings.is_empty() {
            let reason = "nobody has an access key that is on".to_owned();
            return vec![Finding::new("-", Outcome::NotApplicable(reason))];
        }
        findings
    })
}

/// Whether a statement of a policy allows all actions on all resources.
fn allows_everything(policy: &Value) -> bool {
    statements(policy).any(|statement| {
        let has_all = |member: &str| {
            texts(&statement[member])
                .iter()
                .any(|text| text == "*" || text == "*:*")
        };
        text(statement, "Effect") == "Allow" && has_all("Action") && has_all("Resource")
    })
}

fn everything(facts: &Facts) -> Vec<Finding> {
    identity(facts, |identity| {
        let (mut findings, mut looked) = (Vec::new(), 0);
        let mut found = |subject: String, seen: &str, command: Option<String>| {
            let what = "allow what is needed, by name";
            let fix = match command {
                Some(command) => run(format!("{what}, then take this away"), command),
                None => act(what),
            };
            findings.push(Finding::new(subject, fail(seen, fix)));
        };
        for policy in &identity.policies {
            looked += 1;
            let in_force = list(policy, "PolicyVersionList").find(|version| version["IsDefaultVersion"] == true);
            if in_force.is_some_and(|version| allows_everything(&version["Document"])) {
                found(
                    format!("policy {}", text(policy, "PolicyName")),
                    "Allow * on *, and no condition takes part in this look",
                    None,
                );
            }
        }
        for (kind, option, holders, name, inline) in [
            ("user", "--user-name", &identity.users, "UserName", "UserPolicyList"),
            (
                "group",
                "--group-name",
                &identity.groups,
                "GroupName",
                "GroupPolicyList",
            ),
            ("role", "--role-name", &identity.roles, "RoleName", "RolePolicyList"),
        ] {
            for holder in holders {
                let holder_name = text(holder, name);
                for policy in list(holder, inline) {
                    looked += 1;
                    if allows_everything(&policy["PolicyDocument"]) {
                        let policy = text(policy, "PolicyName");
                        found(
                            format!("{kind} {holder_name}"),
                            &format!("inline policy `{policy}`: Allow * on *"),
                            Some(format!(
                                "aws iam delete-{kind}-policy {option} {holder_name} --policy-name {policy}"
                            )),
                        );
                    }
                }
                // Of people one must be able to do everything; a role is what programs have.
                let attached = list(holder, "AttachedManagedPolicies");
                let is_administrator = attached
                    .into_iter()
                    .any(|p| text(p, "PolicyArn") == ADMINISTRATOR_ACCESS);
                looked += usize::from(kind == "role");
                if kind == "role" && is_administrator {
                    found(
                        format!("role {holder_name}"),
                        "AdministratorAccess is attached",
                        Some(format!(
                            "aws iam detach-role-policy --role-name {holder_name} --policy-arn {ADMINISTRATOR_ACCESS}"
                        )),
                    );
                }
            }
        }
        if findings.is_empty() {
            let outcome = if looked == 0 {
                Outcome::NotApplicable("there are no policies of your own and no roles".to_owned())
            } else {
                pass(format!("none of {looked} policies and roles: no Allow * on *"))
            };
            return vec![Finding::new("policies", outcome)];
        }
        findings
    })
}

fn own_roles(facts: &Facts) -> Vec<Finding> {
    let services = match &facts.services {
        Err(reason) => return Finding::unseen(reason),
        Ok(services) => services,
    };
    let role_of = |arn: &str, member: &str| -> Option<String> {
        let definition = facts
            .definitions
            .iter()
            .flatten()
            .find(|definition| definition.arn == arn)?;
        Some(text(&definition.raw, member).to_owned())
    };
    let mut holders: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for service in services {
        if let Some(role) = role_of(text(&service.raw, "taskDefinition"), "taskRoleArn").filter(|role| !role.is_empty())
        {
            holders.entry(role).or_default().push(&service.name);
        }
    }
    crate::control::each(&facts.services, "there is no service", |service| {
        let arn = text(&service.raw, "taskDefinition");
        let (Some(task), Some(execution)) = (role_of(arn, "taskRoleArn"), role_of(arn, "executionRoleArn")) else {
            let reason = format!("task definition {} could not be read", last_part(arn));
            return Finding::new(&service.name, Outcome::NotAssessed(reason));
        };
        let others: Vec<&str> = holders
            .get(&task)
            .into_iter()
            .flatten()
            .copied()
            .filter(|name| *name != service.name)
            .collect();
        let fix = || act("give its task definition a `taskRoleArn` of its own; `honmaru deploy` does so by itself");
        let outcome = if task.is_empty() {
            pass("no taskRoleArn: the app has no rights at all")
        } else if task == execution {
            fail(
                format!("taskRoleArn and executionRoleArn are both {}", last_part(&task)),
                fix(),
            )
        } else if !others.is_empty() {
            fail(
                format!("taskRoleArn {} is that of {}, too", last_part(&task), others.join(", ")),
                fix(),
            )
        } else {
            pass(format!(
                "taskRoleArn: {}, executionRoleArn: {}",
                last_part(&task),
                last_part(&execution)
            ))
        };
        Finding::new(&service.name, outcome)
    })
}

fn federated(facts: &Facts) -> Vec<Finding> {
    identity(facts, |identity| {
        let mut findings = Vec::new();
        for role in &identity.roles {
            for statement in statements(&role["AssumeRolePolicyDocument"]) {
                let from_oidc = texts(&statement["Principal"]["Federated"])
                    .iter()
                    .any(|principal| principal.contains(":oidc-provider/"));
                if text(statement, "Effect") != "Allow" || !from_oidc {
                    continue;
                }
                let name = text(role, "RoleName");
                let (audience, subject) = (condition(statement, ":aud"), condition(statement, ":sub"));
                let loose = |values: &[String]| values.is_empty() || values.iter().any(|value| is_loose(value));
                let seen = format!("aud: {}; sub: {}", shown(&audience), shown(&subject));
                let outcome = if loose(&audience) || loose(&subject) {
                    fail(
                        seen,
                        run(
                            "name the audience and the repository (or user) in the conditions of its trust policy",
                            format!(
                                "aws iam update-assume-role-policy --role-name {name} --policy-document file://trust.json"
                            ),
                        ),
                    )
                } else {
                    pass(seen)
                };
                findings.push(Finding::new(format!("role {name}"), outcome));
            }
        }
        if findings.is_empty() {
            let reason = "no role is for tokens of others".to_owned();
            return vec![Finding::new("-", Outcome::NotApplicable(reason))];
        }
        findings
    })
}

/// The values of a claim in the conditions that compare texts.
fn condition(statement: &Value, claim: &str) -> Vec<String> {
    let operators = statement["Condition"].as_object().into_iter().flatten();
    operators
        .filter(|(operator, _)| {
            let operator = operator.rsplit(':').next().unwrap_or(operator);
            ["StringEquals", "StringLike", "StringEqualsIgnoreCase"].contains(&operator)
        })
        .flat_map(|(_, keys)| keys.as_object().into_iter().flatten())
        .filter(|(key, _)| key.ends_with(claim))
        .flat_map(|(_, values)| texts(values))
        .collect()
}

/// Whether a pattern takes everybody: the whole of it, or the organisation of `repo:org/name:...`.
fn is_loose(value: &str) -> bool {
    let value = value.strip_prefix("repo:").unwrap_or(value);
    value.starts_with('*')
        || value
            .split(':')
            .next()
            .is_some_and(|repository| repository.ends_with("/*"))
}

fn shown(values: &[String]) -> String {
    if values.is_empty() {
        "anything".to_owned()
    } else {
        values.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{edited, status_of};
    use serde_json::json;

    fn with(change: impl Fn(&mut Identity)) -> Facts {
        edited(|facts| change(facts.identity.as_mut().expect("seen")))
    }

    #[test]
    fn root_and_second_factors() {
        assert_eq!(status_of(&with(|_| {}), "A-01", "root"), "pass");
        let root = with(|identity| identity.credentials[0]["access_key_1_active"] = json!("true"));
        assert_eq!(status_of(&root, "A-01", "root"), "fail");
        let ann = |mfa: &'static str| {
            with(move |identity| {
                let row = json!({ "user": "ann", "password_enabled": "true", "mfa_active": mfa });
                identity.credentials.push(row);
            })
        };
        assert_eq!(status_of(&ann("false"), "A-01", "ann"), "fail");
        assert_eq!(status_of(&ann("true"), "A-01", "ann"), "pass");
        assert_eq!(
            status_of(&with(|identity| identity.credentials.clear()), "A-01", "-"),
            "not-assessed"
        );
    }

    #[test]
    fn old_keys() {
        let made =
            |at: &'static str| with(move |identity| identity.credentials[1]["access_key_1_last_rotated"] = json!(at));
        // The sample's now is the twelfth day of 1970.
        assert_eq!(
            status_of(&made("1970-01-02T00:00:00Z"), "A-02", "administrator, key 1"),
            "pass"
        );
        assert_eq!(
            status_of(&made("1969-10-01T00:00:00Z"), "A-02", "administrator, key 1"),
            "fail"
        );
        assert_eq!(status_of(&made("N/A"), "A-02", "administrator, key 1"), "not-assessed");
    }

    #[test]
    fn policies_that_allow_everything() {
        assert_eq!(status_of(&with(|_| {}), "A-03", "policies"), "pass");
        let all = json!({ "Statement": { "Effect": "Allow", "Action": ["*"], "Resource": "*" } });
        let customer = with(|identity| {
            identity
                .policies
                .push(json!({ "PolicyName": "mine", "PolicyVersionList": [
                { "IsDefaultVersion": true, "Document": all }] }));
        });
        assert_eq!(status_of(&customer, "A-03", "policy mine"), "fail");
        let inline = with(|identity| {
            identity.roles[0]["RolePolicyList"] = json!([{ "PolicyName": "p", "PolicyDocument": all }]);
        });
        assert_eq!(status_of(&inline, "A-03", "role shop-task"), "fail");
        let attached = with(|identity| {
            identity.roles[0]["AttachedManagedPolicies"] = json!([{ "PolicyArn": ADMINISTRATOR_ACCESS }]);
        });
        assert_eq!(status_of(&attached, "A-03", "role shop-task"), "fail");
        let narrow = json!({ "Statement": { "Effect": "Allow", "Action": "s3:*", "Resource": "*" } });
        let narrow = with(|identity| {
            identity.roles[0]["RolePolicyList"] = json!([{ "PolicyName": "p", "PolicyDocument": narrow }]);
        });
        assert_eq!(status_of(&narrow, "A-03", "policies"), "pass");
    }

    #[test]
    fn roles_of_services() {
        assert_eq!(status_of(&edited(|_| {}), "A-04", "shop"), "pass");
        let same = edited(|facts| {
            let raw = &mut facts.definitions.as_mut().expect("seen")[0].raw;
            raw["taskRoleArn"] = raw["executionRoleArn"].clone();
        });
        assert_eq!(status_of(&same, "A-04", "shop"), "fail");
        let shared = edited(|facts| {
            let services = facts.services.as_mut().expect("seen");
            let mut other = services[0].clone();
            other.name = "other".to_owned();
            services.push(other);
        });
        assert_eq!(status_of(&shared, "A-04", "shop"), "fail");
    }

    #[test]
    fn trust_in_tokens_of_others() {
        let role = |condition: Value| {
            with(move |identity| {
                identity
                    .roles
                    .push(json!({ "RoleName": "ci", "AssumeRolePolicyDocument": { "Statement": [{
                    "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition,
                    "Principal": { "Federated": "arn:aws:iam::000000000000:oidc-provider/git.example" } }] } }));
            })
        };
        let claims = |aud: &str, sub: &str| json!({ "StringEquals": { "git.example:aud": aud }, "StringLike": { "git.example:sub": sub } });
        for (condition, wanted) in [
            (json!({}), "fail"),
            (json!({ "StringEquals": { "git.example:aud": "a" } }), "fail"),
            (claims("a", "*"), "fail"),
            (claims("a", "repo:me/*"), "fail"),
            (claims("a", "repo:me/*:ref:refs/heads/main"), "fail"),
            (claims("a", "repo:me/shop:*"), "pass"),
        ] {
            assert_eq!(
                status_of(&role(condition.clone()), "A-05", "role ci"),
                wanted,
                "{condition}"
            );
        }
        assert_eq!(status_of(&with(|_| {}), "A-05", "-"), "not-applicable");
    }
}
