//! Whatever text a stranger sends as a policy, and whatever a policy is asked: an answer, and no panic; and what must
//! hold for every policy.

use honmaru_identity::{
    Caller, CallerKind, Decision, Layer, Policies, Policy, PolicyKind, Request, evaluate, matches_pattern,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const KINDS: [PolicyKind; 4] = [
    PolicyKind::Identity,
    PolicyKind::Resource,
    PolicyKind::Trust,
    PolicyKind::Stored,
];

/// JSON made of the words of the policy language, in any wrong order.
fn near_policies() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "2012-10-17",
        "Allow",
        "Deny",
        "*",
        "ecs:*",
        "ecs:RunTask",
        "sts:AssumeRole",
        "${aws:username}",
        "${",
        "arn:aws:ecs:*:*:cluster/${aws:username}",
        "arn:aws:iam::111122223333:root",
        "true",
        "10.0.0.0/8",
        "10",
        "",
    ]);
    let names = prop::sample::select(vec![
        "Version",
        "Statement",
        "Sid",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Principal",
        "NotPrincipal",
        "Condition",
        "AWS",
        "Service",
        "StringLike",
        "ForAllValues:StringEqualsIfExists",
        "Bool",
        "IpAddress",
        "NumericLessThan",
        "DateEquals",
        "BinaryEquals",
        "ArnLike",
        "Null",
        "aws:username",
        "x",
    ]);
    let leaf = prop_oneof![
        words.prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from)
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..7)
                .prop_map(|members| Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

/// A statement that is well formed.
fn statements() -> impl Strategy<Value = Value> {
    let effect = prop::sample::select(vec!["Allow", "Deny"]);
    let action = prop::sample::select(vec!["*", "ecs:*", "ecs:Run*", "iam:GetUser", "ecs:?unTask"]);
    let resource = prop::sample::select(vec![
        "*",
        "arn:aws:ecs:*:*:cluster/*",
        "arn:aws:ecs:*:*:cluster/${aws:username}",
    ]);
    let action_name = prop::sample::select(vec!["Action", "NotAction"]);
    let resource_name = prop::sample::select(vec!["Resource", "NotResource"]);
    let operator = prop::sample::select(vec![
        "StringEquals",
        "StringNotEquals",
        "StringLikeIfExists",
        "ForAnyValue:StringLike",
    ]);
    (
        effect,
        action_name,
        action,
        resource_name,
        resource,
        prop::option::of((operator, "[abc*?]{0,3}")),
    )
        .prop_map(|(effect, action_name, action, resource_name, resource, condition)| {
            let mut statement = json!({"Effect": effect, action_name: action, resource_name: resource});
            if let Some((operator, value)) = condition {
                statement["Condition"] = json!({operator: {"app:k": value}});
            }
            statement
        })
}

fn decide(policies: &Policies, action: &str, resource: &str, context: &BTreeMap<String, Vec<String>>) -> Decision {
    let caller = Caller {
        kind: CallerKind::User,
        account: "111122223333",
        arn: "arn:aws:iam::111122223333:user/ada",
        user_name: Some("ada"),
        ..Caller::anonymous()
    };
    let request = Request {
        caller: &caller,
        action,
        resource,
        resource_account: "111122223333",
        context,
        resource_policy_required: false,
    };
    evaluate(&request, policies)
}

fn policy(statements: &[Value]) -> Arc<Policy> {
    let text = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    Arc::new(Policy::parse(&text, PolicyKind::Stored).unwrap_or_else(|error| panic!("{text}: {error}")))
}

/// Wildcards the slow and obvious way.
fn matches_slowly(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some(('*', rest)), _) => (0..=text.len()).any(|n| matches_slowly(rest, &text[n..])),
        (Some(('?', rest)), Some((_, after))) => matches_slowly(rest, after),
        (Some((p, rest)), Some((t, after))) => p == t && matches_slowly(rest, after),
        (Some(_), None) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_text_is_a_policy_or_is_refused(text in ".{0,200}") {
        for kind in KINDS {
            let _ = Policy::parse(&text, kind);
        }
    }

    #[test]
    fn near_policies_are_policies_or_are_refused(document in near_policies()) {
        for kind in KINDS {
            if let Ok(policy) = Policy::parse(&document.to_string(), kind) {
                let policies = Policies { identity: vec![Arc::new(policy)], ..Policies::default() };
                let _ = decide(&policies, "ecs:RunTask", "arn:aws:ecs:us-east-1:111122223333:cluster/ada", &BTreeMap::new());
            }
        }
    }

    #[test]
    fn wildcards_match_what_the_slow_way_matches(pattern in "[ab*?é]{0,8}", text in "[abé]{0,8}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(matches_pattern(&pattern, &text), matches_slowly(&chars(&pattern), &chars(&text)));
    }

    /// What must hold whatever the policies say.
    #[test]
    fn the_laws_of_evaluation(
        identity in prop::collection::vec(statements(), 0..5),
        limit in prop::collection::vec(statements(), 0..5),
        action in prop::sample::select(vec!["ecs:RunTask", "iam:GetUser", "s3:GetObject"]),
        resource in prop::sample::select(vec!["*", "arn:aws:ecs:us-east-1:111122223333:cluster/ada"]),
        value in prop::option::of("[abc]{0,2}"),
    ) {
        let context: BTreeMap<String, Vec<String>> =
            value.into_iter().map(|value| ("app:k".to_owned(), vec![value])).collect();
        let decide = |policies: &Policies| decide(policies, action, resource, &context);
        let (granted, limiting) = (policy(&identity), policy(&limit));
        let alone = Policies { identity: vec![granted.clone()], ..Policies::default() };
        let base = decide(&alone);

        // The order of statements means nothing.
        let reversed: Vec<Value> = identity.iter().rev().cloned().collect();
        prop_assert_eq!(decide(&Policies { identity: vec![policy(&reversed)], ..Policies::default() }), base);

        // A Deny of everything always wins.
        let deny = policy(&[json!({"Effect": "Deny", "Action": "*", "Resource": "*"})]);
        let denied = Policies { identity: vec![granted.clone(), deny], ..Policies::default() };
        prop_assert_eq!(decide(&denied), Decision::ExplicitDeny(Layer::Identity));

        // Boundaries and session policies never allow more.
        for limited in [
            Policies { boundary: Some(limiting.clone()), ..alone.clone() },
            Policies { session: vec![limiting.clone()], ..alone.clone() },
        ] {
            if decide(&limited) == Decision::Allow {
                prop_assert_eq!(base, Decision::Allow);
            }
        }

        // Whoever is limited by a policy is allowed exactly what both allow.
        let other = decide(&Policies { identity: vec![limiting.clone()], ..Policies::default() });
        let both = decide(&Policies { boundary: Some(limiting), ..alone });
        prop_assert_eq!(both == Decision::Allow, base == Decision::Allow && other == Decision::Allow);
    }
}

#[test]
fn a_document_that_is_nested_too_deep_is_refused() {
    for open in ["[", "{\"Statement\":", "{\"Statement\":["] {
        assert!(Policy::parse(&open.repeat(20_000), PolicyKind::Stored).is_err());
    }
    let long = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, " ".repeat(200_000));
    assert!(Policy::parse(&long, PolicyKind::Stored).is_err());
}

/// Texts as CreateRole and CreatePolicy answered them to others (aws/aws-cdk#5732, boogy/iam-policy-validator#172).
#[test]
fn what_is_refused_is_refused_in_iams_words() {
    let text = |document: Value, kind| {
        let refused = Policy::parse(&document.to_string(), kind);
        refused.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let trust = json!({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}});
    assert_eq!(
        text(trust, PolicyKind::Trust),
        r#"AssumeRolepolicy contained an invalid principal: "STAR":"*"."#
    );
    for (document, expected) in [
        (json!({"probe": "malformed-not-a-trust-policy"}), "Unknown field probe"),
        (
            json!({"statement": [], "version": "2012-10-17"}),
            "Unknown field statement",
        ),
        (
            json!({"Statement": {"Effect": "Allow", "_comment": "x"}}),
            "Unknown field _comment",
        ),
        (json!({"Version": "2012-10-17"}), "Missing required field Statement"),
    ] {
        assert_eq!(text(document.clone(), PolicyKind::Trust), expected);
        assert_eq!(text(document, PolicyKind::Identity), "Syntax errors in policy.");
    }
    for action in ["*:Untag*", "ec?:RunTask", "*:*"] {
        let identity = json!({"Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}});
        assert_eq!(
            text(identity, PolicyKind::Identity),
            "Action vendors (e.g., aws, ec2, etc.) must not contain wildcards."
        );
    }
    for (statement, expected) in [
        (
            json!({"Sid": "Assume Role to Access S3 Bucket"}),
            "The following Statement Ids are invalid: Assume Role to Access S3 Bucket",
        ),
        (
            json!({"Principal": {"AWS": []}}),
            "The passed in policy has a statement with no principals!",
        ),
        (
            json!({"Principal": {}}),
            "Missing required field Principal cannot be empty!",
        ),
    ] {
        assert_eq!(text(json!({"Statement": statement}), PolicyKind::Trust), expected);
    }
    for (condition, expected) in [
        (
            json!({"NumericEquals": {"app:k": "ten"}}),
            "The policy failed legacy parsing",
        ),
        (
            json!({"NotIpAddress": {"app:k": "here"}}),
            "The policy failed legacy parsing",
        ),
        (
            json!({"ArnLike": {"app:k": "role/x"}}),
            "The policy failed legacy parsing",
        ),
        (json!({"BinaryEquals": {"app:k": "?"}}), "Syntax errors in policy."),
        (
            json!({"ArnLike": {"app:k": ["*", "arn:aws:iam::*:role/x", "${app:arn}"]}}),
            "",
        ),
    ] {
        let statement = json!({"Effect": "Deny", "Action": "iam:*", "Resource": "*", "Condition": condition});
        let document = json!({"Version": "2012-10-17", "Statement": statement});
        assert_eq!(text(document, PolicyKind::Identity), expected, "{condition}");
    }
    let kept = json!({"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*",
        "Condition": {"ArnLike": {"app:k": "role/x"}}}});
    assert_eq!(text(kept, PolicyKind::Stored), "");
    for (resource, expected) in [
        (
            "arn:aws:iam::${aws:PrincipalAccount}:role/x",
            "The policy failed legacy parsing",
        ),
        ("arn:aws:iam::*:role/${aws:PrincipalAccount}", ""),
    ] {
        let statement = json!({"Effect": "Deny", "Action": "iam:*", "Resource": resource});
        let document = json!({"Version": "2012-10-17", "Statement": statement});
        assert_eq!(text(document, PolicyKind::Identity), expected, "{resource}");
    }
    let trusts = |action: &str| {
        let statement = json!({"Effect": "Allow", "Action": [action], "Principal": {"Service": "a.amazonaws.com"}});
        text(json!({"Statement": statement}), PolicyKind::Trust)
    };
    for action in [
        "sts:AssumeRole",
        "sts:SetContext",
        "sts:TagSession",
        "sts:SetSourceIdentity",
    ] {
        assert_eq!(trusts(action), "", "{action}");
    }
    for action in [
        "sts:TagSessions",
        "sts:Assume",
        "ecs:RunTask",
        "sts:*",
        "sts:AssumeRole*",
        "sts:assumerole",
        "sts:AssumeRoot",
        "sts:GetCallerIdentity",
        "sts:GetSessionToken",
    ] {
        assert_eq!(
            trusts(action),
            "AssumeRole policy may only specify STS AssumeRole actions.",
            "{action}"
        );
    }
    // As AWS says since its root user is a resource (AssumeRoot).
    let iam = |resource: &str| {
        let resource = format!("arn:aws:iam::111122223333:{resource}");
        text(
            json!({"Statement": {"Effect": "Deny", "Action": "iam:*", "Resource": resource}}),
            PolicyKind::Identity,
        )
    };
    for resource in ["*", "root", "role/*", "user/${aws:username}", "oidc-provider/x"] {
        assert_eq!(iam(resource), "", "{resource}");
    }
    for resource in ["*/cdk-*", "*app*", "role", "r*/x", "roots", "robot/x", ""] {
        assert!(
            iam(resource).starts_with("IAM resource path must either be \"*\", root, or start with user/, federated-"),
            "{resource}"
        );
    }
}

/// As AWS took and refused them from others who tried it with GitHub's issuer.
#[test]
fn whoever_trusts_a_shared_issuer_says_whom() {
    const GITHUB: &str = "token.actions.githubusercontent.com";
    let refused = |issuer: &str, condition: Value| {
        let principal = json!({"Federated": format!("arn:aws:iam::111122223333:oidc-provider/{issuer}")});
        let action = ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"];
        let trust =
            json!({"Statement": {"Effect": "Allow", "Action": action, "Principal": principal, "Condition": condition}});
        let parsed = Policy::parse(&trust.to_string(), PolicyKind::Trust);
        parsed.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let key = |claim: &str| format!("{GITHUB}:{claim}");
    let said = "Trust policy with trusted principal arn:aws:iam::111122223333:oidc-provider/\
                token.actions.githubusercontent.com must evaluate, using StringEquals, StringLike or \
                StringEqualsIgnoreCase, token.actions.githubusercontent.com:sub or \
                token.actions.githubusercontent.com:job_workflow_ref which is not scoped to all.";
    for condition in [
        json!({}),
        json!({"StringEquals": {key("aud"): "sts.amazonaws.com"}}),
        json!({"StringLike": {key("sub"): "*"}}),
        json!({"StringEquals": {key("sub"): "*"}}),
        json!({"StringNotLike": {key("sub"): "repo:a/b:*"}}),
        json!({"StringLikeIfExists": {key("sub"): "repo:a/b:*"}}),
        json!({"StringEquals": {key("repository"): "a/b"}}),
    ] {
        assert_eq!(refused(GITHUB, condition.clone()), said, "{condition}");
    }
    for condition in [
        json!({"StringLike": {key("sub"): "repo:*"}}),
        json!({"StringLike": {key("sub"): ["repo:a/b:*", "*"]}}),
        json!({"StringEqualsIgnoreCase": {key("SUB"): "repo:a/b:ref:refs/heads/main"}}),
        json!({"StringEquals": {key("job_workflow_ref"): "a/b/.github/workflows/ci.yml@refs/heads/main"}}),
    ] {
        assert_eq!(refused(GITHUB, condition.clone()), "", "{condition}");
    }
    assert_eq!(refused("token.example.com", json!({})), "");
    assert_ne!(
        refused("gitlab.com", json!({"StringEquals": {"gitlab.com:aud": "x"}})),
        ""
    );
    assert_eq!(
        refused("oidc.vercel.com", json!({"StringEquals": {"oidc.vercel.com:aud": "x"}})),
        ""
    );
    let cognito = |condition: Option<Value>| {
        let mut statement = json!({"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
            "Principal": {"Federated": "cognito-identity.amazonaws.com"}});
        if let Some(condition) = condition {
            statement["Condition"] = condition;
        }
        let trust = json!({ "Statement": statement }).to_string();
        let parsed = Policy::parse(&trust, PolicyKind::Trust);
        parsed.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(
        cognito(None),
        "A condition block must be present for the Cognito provider"
    );
    let audience = json!({"StringEquals": {"cognito-identity.amazonaws.com:aud": "us-east-1:0"}});
    assert_eq!(cognito(Some(audience)), "");
}
