//! Resource policies: what AWS services may put into the groups of an account.
//!
//! They are kept and told, and never asked: they hold for calls of AWS services only, of which none calls here. Ref:
//! PutResourcePolicy: "Policy only applies when operations are invoked by Amazon Web Services service principals (not
//! IAM users, roles, or cross-account principals"; who those are is the matter of IAM's policies.

use crate::machine::group_exists;
use crate::model::{ResourcePolicy, attached_key};
use crate::names::{group_arn, group_of_arn, invalid, no_group};
use crate::types;
use honmaru_base::{ApiError, Scope, uuid};
use honmaru_identity::{Policy, PolicyKind};
use honmaru_machine::{Call, State, Tx};
use honmaru_wire::page;
use serde_json::Value;

/// Ref: CloudWatch Logs quotas: "Up to 10 CloudWatch Logs resource policies per Region per account"; PutResourcePolicy:
/// those that are attached to a group do not count.
const POLICIES_MAX: usize = 10;
/// Ref: DescribeResourcePolicies, `limit`: 1 to 50.
const PAGE_MAX: usize = 50;
/// Ref: PutResourcePolicy: "Policy only supports logs:PutLogEvents and logs:CreateLogStream actions".
const ACTIONS: [&str; 2] = ["logs:putlogevents", "logs:createlogstream"];

/// A policy writes a list of one without brackets, if it likes.
fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// Refuses what is no resource policy.
fn check(document: &str) -> Result<(), ApiError> {
    let Ok(parsed) = serde_json::from_str::<Value>(document) else {
        return Err(invalid("This resource policy contains invalid Json"));
    };
    if Policy::parse(document, PolicyKind::Resource).is_err() {
        return Err(invalid(
            "Error occurred while parsing accessPolicy. Please check if the accessPolicy has been constructed correctly using \
             IAM grammar.",
        ));
    }
    // Patterns such as `logs:*` are common in what tools write, and mean these two.
    let is_known = |action: &str| {
        let action = action.to_ascii_lowercase();
        ACTIONS
            .iter()
            .any(|known| honmaru_identity::matches_pattern(&action, known))
    };
    let actions = list(&parsed["Statement"])
        .iter()
        .flat_map(|statement| list(&statement["Action"]));
    match actions.filter_map(Value::as_str).find(|action| !is_known(action)) {
        Some(action) => Err(invalid(format!(
            "The resource policy has an action that it cannot have: {action}"
        ))),
        None => Ok(()),
    }
}

fn view(scope: &Scope, policy: &ResourcePolicy) -> types::ResourcePolicy {
    let is_attached = policy.group.is_some();
    types::ResourcePolicy {
        policy_name: policy.name.clone(),
        policy_document: Some(policy.document.clone()),
        last_updated_time: Some(policy.updated_at.as_ms()),
        policy_scope: Some(if is_attached { "RESOURCE" } else { "ACCOUNT" }.to_owned()),
        resource_arn: policy.group.as_ref().map(|group| group_arn(scope, group)),
        revision_id: is_attached.then(|| policy.revision.clone()),
    }
}

/// The members of a statement, in the order in which AWS tells them.
const MEMBERS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

/// A list of one, without its brackets.
fn bare(value: &Value) -> &Value {
    match value {
        Value::Array(list) => match &list[..] {
            [one] => one,
            _ => value,
        },
        one => one,
    }
}

fn object<'a>(members: impl Iterator<Item = (&'a str, String)>) -> String {
    let members: Vec<String> = members
        .map(|(name, text)| format!("{}:{text}", Value::from(name)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// A document as DescribeResourcePolicies tells it: with a version, with the members of statements in AWS's order, and
/// lists of one without brackets. Recorded in localstack/localstack,
/// tests/aws/services/logs/test_logs_resource_policies.snapshot.json; PutResourcePolicy answers with what it was given.
fn told(document: &str) -> String {
    let Ok(Value::Object(parsed)) = serde_json::from_str::<Value>(document) else {
        return document.to_owned();
    };
    let statement = |statement: &Value| {
        object(MEMBERS.into_iter().filter_map(|name| {
            let value = statement.get(name)?;
            let text = match value {
                Value::Object(principals) if name.ends_with("Principal") => object(
                    principals
                        .iter()
                        .map(|(kind, who)| (kind.as_str(), bare(who).to_string())),
                ),
                Value::Object(_) => value.to_string(),
                value => bare(value).to_string(),
            };
            Some((name, text))
        }))
    };
    let statements = parsed.get("Statement").map(list).unwrap_or_default();
    let statements: Vec<String> = statements.iter().map(statement).collect();
    let version = parsed
        .get("Version")
        .map_or("\"2008-10-17\"".to_owned(), Value::to_string);
    let id = parsed.get("Id").map(|id| ("Id", id.to_string()));
    let members = [("Version", version)].into_iter().chain(id);
    object(members.chain([("Statement", format!("[{}]", statements.join(",")))]))
}

/// The revision that the caller thinks there is must be the one that there is.
fn expect(found: Option<&ResourcePolicy>, expected: Option<&str>) -> Result<(), ApiError> {
    if found.map(|policy| policy.revision.as_str()) == expected {
        return Ok(());
    }
    Err(ApiError::new(
        "OperationAbortedException",
        "The resource policy was changed by another request: expectedRevisionId is not its revision.",
    ))
}

pub(super) fn put(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutResourcePolicyRequest,
) -> Result<types::PutResourcePolicyResponse, ApiError> {
    let document = input
        .policy_document
        .ok_or_else(|| invalid("policyDocument is required."))?;
    check(&document)?;
    let (group, key) = match (&input.resource_arn, &input.policy_name) {
        (Some(arn), _) => {
            let group = group_of_arn(&call.scope, arn)?;
            if !group_exists(tx, &call.scope, &group) {
                return Err(no_group());
            }
            let key = attached_key(&group);
            expect(
                tx.get::<ResourcePolicy>(&call.scope, &key),
                input.expected_revision_id.as_deref(),
            )?;
            (Some(group), key)
        }
        (None, Some(name)) if is_name(name) => (None, name.clone()),
        (None, Some(_)) => return Err(invalid("The specified policyName is invalid.")),
        (None, None) => return Err(invalid("Either policyName or resourceArn is required.")),
    };
    let is_new = tx.get::<ResourcePolicy>(&call.scope, &key).is_none();
    let of_account = |tx: &Tx<'_>| {
        let all = tx.list::<ResourcePolicy>(&call.scope);
        all.filter(|(_, policy)| policy.group.is_none()).count()
    };
    if group.is_none() && is_new && of_account(tx) >= POLICIES_MAX {
        return Err(ApiError::new("LimitExceededException", "Resource limit exceeded."));
    }
    let row = ResourcePolicy {
        name: input.policy_name,
        group,
        document,
        updated_at: tx.now(),
        revision: uuid(tx.rng()),
    };
    let policy = view(&call.scope, &row);
    tx.put(&call.scope, &key, row);
    Ok(types::PutResourcePolicyResponse {
        revision_id: policy.revision_id.clone(),
        resource_policy: Some(policy),
    })
}

/// NUL begins the keys of policies that are attached. Ref: none for the length; it is that of IAM's policy names.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.chars().any(char::is_control)
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeResourcePoliciesRequest,
) -> Result<types::DescribeResourcePoliciesResponse, ApiError> {
    let of_group = input
        .resource_arn
        .as_deref()
        .map(|arn| group_of_arn(&call.scope, arn))
        .transpose()?;
    // Ref: DescribeResourcePolicies, `policyScope`: "When not specified, defaults to ACCOUNT".
    let attached = of_group.is_some() || input.policy_scope.as_deref() == Some("RESOURCE");
    let max = input.limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE_MAX);
    let asked = state
        .list::<ResourcePolicy>(&call.scope)
        .filter(|(_, policy)| policy.group.is_some() == attached && (of_group.is_none() || policy.group == of_group));
    let page = page(asked, |(key, _)| key, input.next_token.as_deref(), max)
        .map_err(|_| invalid("The specified nextToken is invalid."))?;
    let policies = page.items.into_iter().map(|(_, policy)| types::ResourcePolicy {
        policy_document: Some(told(&policy.document)),
        ..view(&call.scope, policy)
    });
    Ok(types::DescribeResourcePoliciesResponse {
        resource_policies: Some(policies.collect()),
        next_token: page.next,
    })
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteResourcePolicyRequest) -> Result<(), ApiError> {
    let (key, what) = match (input.resource_arn, input.policy_name) {
        (Some(arn), _) => {
            let key = attached_key(&group_of_arn(&call.scope, &arn)?);
            if let Some(found) = tx.get::<ResourcePolicy>(&call.scope, &key) {
                expect(Some(found), input.expected_revision_id.as_deref())?;
            }
            (key, format!("There is no resource policy for {arn}."))
        }
        (None, Some(name)) => (name.clone(), format!("Policy with name [{name}] does not exist.")),
        (None, None) => return Err(invalid("Either policyName or resourceArn is required.")),
    };
    let deleted = tx.delete::<ResourcePolicy>(&call.scope, &key).map(drop);
    deleted.ok_or_else(|| ApiError::new("ResourceNotFoundException", what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::{call, in_tx};

    const DOCUMENT: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"Service": ["delivery.logs.amazonaws.com"]},
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}]}"#;

    fn of_account(name: &str) -> types::PutResourcePolicyRequest {
        types::PutResourcePolicyRequest {
            policy_name: Some(name.to_owned()),
            policy_document: Some(DOCUMENT.to_owned()),
            ..Default::default()
        }
    }

    fn names(tx: &Tx<'_>, input: types::DescribeResourcePoliciesRequest) -> Vec<String> {
        let found = describe(tx, &call(), input).expect("policies").resource_policies;
        found
            .into_iter()
            .flatten()
            .filter_map(|policy| policy.policy_name)
            .collect()
    }

    #[test]
    fn an_account_has_ten_and_each_is_replaced_by_its_name() {
        in_tx(|tx| {
            for n in 0..POLICIES_MAX {
                put(tx, &call(), of_account(&format!("p{n}"))).expect("there is room");
            }
            let refused = put(tx, &call(), of_account("one-more")).expect_err("there is none");
            assert_eq!(refused.code, "LimitExceededException");
            put(tx, &call(), of_account("p3")).expect("it is there already");
            assert_eq!(names(tx, Default::default()).len(), POLICIES_MAX);
            let gone = types::DeleteResourcePolicyRequest {
                policy_name: Some("p3".to_owned()),
                ..Default::default()
            };
            delete(tx, &call(), gone.clone()).expect("it is there");
            let again = delete(tx, &call(), gone).expect_err("it is gone");
            assert_eq!(again.code, "ResourceNotFoundException");
            assert!(!names(tx, Default::default()).contains(&"p3".to_owned()));
        });
    }

    #[test]
    fn a_groups_policy_is_changed_by_whoever_knows_its_revision() {
        in_tx(|tx| {
            let arn = group_arn(&call().scope, "g");
            let attach = |revision: Option<&str>| types::PutResourcePolicyRequest {
                resource_arn: Some(arn.clone()),
                expected_revision_id: revision.map(str::to_owned),
                ..of_account("attached")
            };
            let early = put(tx, &call(), attach(Some("x"))).expect_err("there is none yet");
            assert_eq!(early.code, "OperationAbortedException");
            let first = put(tx, &call(), attach(None)).expect("the first").revision_id;
            assert!(put(tx, &call(), attach(None)).is_err(), "there is one now");
            let second = put(tx, &call(), attach(first.as_deref()))
                .expect("the second")
                .revision_id;
            assert!(second.is_some() && second != first);
            // It is none of the account's.
            assert!(names(tx, Default::default()).is_empty());
            let of_group = types::DescribeResourcePoliciesRequest {
                resource_arn: Some(arn.clone()),
                ..Default::default()
            };
            assert_eq!(names(tx, of_group), ["attached"]);
            let mut elsewhere = attach(None);
            elsewhere.resource_arn = Some(group_arn(&call().scope, "none"));
            assert_eq!(
                put(tx, &call(), elsewhere).expect_err("no such group").code,
                "ResourceNotFoundException"
            );
        });
    }

    #[test]
    fn documents_are_told_as_aws_tells_them() {
        in_tx(|tx| {
            let given = r#"{"Statement":[{"Action":"logs:*","Effect":"Allow","Principal":{"Service":["route53.amazonaws.com"]},"Resource":"*"}]}"#;
            let input = types::PutResourcePolicyRequest {
                policy_document: Some(given.to_owned()),
                ..of_account("p")
            };
            let answer = put(tx, &call(), input).expect("a policy").resource_policy;
            assert_eq!(answer.and_then(|policy| policy.policy_document).as_deref(), Some(given));
            let found = describe(tx, &call(), Default::default())
                .expect("policies")
                .resource_policies;
            let told: Vec<_> = found
                .into_iter()
                .flatten()
                .filter_map(|policy| policy.policy_document)
                .collect();
            assert_eq!(
                told,
                [
                    r#"{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"route53.amazonaws.com"},"Action":"logs:*","Resource":"*"}]}"#
                ]
            );
        });
        let many = r#"{"Version":"2012-10-17","Id":"i","Statement":[{"Sid":"s","Effect":"Deny","Principal":"*","Action":["logs:PutLogEvents","logs:CreateLogStream"],"Resource":["*"],"Condition":{"StringEquals":{"aws:SourceAccount":["1"]}}}]}"#;
        assert_eq!(told(many), many.replace(r#"["*"]"#, r#""*""#));
    }

    #[test]
    fn what_is_no_resource_policy_is_refused() {
        let with = |from: &str, to: &str| check(&DOCUMENT.replace(from, to)).map_err(|error| error.code);
        assert_eq!(with("", ""), Ok(()));
        assert_eq!(with("logs:PutLogEvents", "logs:Put*"), Ok(()));
        let refused = Err("InvalidParameterException".to_owned());
        assert_eq!(with("logs:PutLogEvents", "logs:GetLogEvents"), refused);
        assert_eq!(with("logs:PutLogEvents", "s3:PutObject"), refused);
        assert_eq!(with("\"Principal\"", "\"Other\""), refused);
        assert_eq!(with("}]}", ""), refused);
    }
}
