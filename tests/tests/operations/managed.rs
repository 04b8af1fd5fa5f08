//! Goal: who has an AWS managed policy may do here what its name says. Method: a user has the policy alone, an input in
//! which every member is there goes to each operation, and what that asks for is authorised.

use super::services;
use honmaru_base::{Scope, SeededRng, Time};
use honmaru_identity::ProtocolFamily;
use honmaru_machine::{Call, Operation, Principal, PrincipalKind, State, Tx};
use honmaru_wire::Side;
use serde_json::{Value, json};

/// A policy, its service, and how the names of the operations begin that it allows.
const POLICIES: [(&str, &str, &[&str]); 10] = [
    ("IAMFullAccess", "iam", &[""]),
    ("IAMReadOnlyAccess", "iam", &["Get", "List", "Simulate"]),
    ("AmazonECS_FullAccess", "ecs", &[""]),
    ("AmazonEC2ContainerRegistryFullAccess", "ecr", &[""]),
    ("CloudWatchLogsFullAccess", "logs", &[""]),
    (
        "CloudWatchLogsReadOnlyAccess",
        "logs",
        &["Describe", "Get", "Filter", "StartLiveTail"],
    ),
    ("ElasticLoadBalancingFullAccess", "elbv2", &[""]),
    ("ElasticLoadBalancingReadOnly", "elbv2", &["Describe"]),
    ("AWSWAFFullAccess", "wafv2", &[""]),
    (
        "AWSWAFReadOnlyAccess",
        "wafv2",
        &["Get", "List", "Describe", "CheckCapacity"],
    ),
];

const ACCOUNT: &str = "111111111111";

fn call(principal: Principal) -> Call {
    Call {
        scope: Scope::new(ACCOUNT, "us-east-1").expect("both are valid"),
        principal,
        request_id: String::new(),
        now: Time::from_ms(1_800_000_000_000),
        source_ip: None,
        user_agent: String::new(),
        host: String::new(),
        secure: false,
    }
}

fn root() -> Principal {
    let account: honmaru_base::AccountId = ACCOUNT.parse().expect("an account");
    Principal {
        arn: format!("arn:aws:iam::{ACCOUNT}:root"),
        user_id: ACCOUNT.to_owned(),
        account,
        kind: PrincipalKind::Root,
        access_key_id: String::new(),
        tags: Vec::new(),
        session_policies: Vec::new(),
        session: None,
    }
}

/// Does it as the account's root.
fn done(state: &mut State, operations: &[Operation], name: &str, input: Value) {
    let operation = operations.iter().find(|operation| operation.name == name);
    let operation = operation.expect("it is implemented");
    let (call, mut rng) = (call(root()), SeededRng::from_u64(7));
    let mut tx = Tx::new(state, call.now, &mut rng);
    let answer = operation.handler.write(&mut tx, &call, input).expect("it writes");
    answer.expect("it is done");
    tx.commit();
}

/// A text for each place of an input, of the form that the place has.
fn text(service: &str, path: &str) -> String {
    let resource = match service {
        "ecr" => format!("arn:aws:ecr:us-east-1:{ACCOUNT}:repository/x"),
        "wafv2" if path == ".ResourceArn" => {
            format!("arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/app/x/0123456789abcdef")
        }
        "wafv2" => format!("arn:aws:wafv2:us-east-1:{ACCOUNT}:regional/webacl/x/y"),
        _ => "x".to_owned(),
    };
    match path {
        _ if path.ends_with("RoleArn") => format!("arn:aws:iam::{ACCOUNT}:role/x"),
        _ if path.to_ascii_lowercase().ends_with("arn") => resource,
        ".Path" | ".NewPath" => "/".to_owned(),
        _ => "x".to_owned(),
    }
}

#[test]
fn who_has_a_managed_policy_may_do_what_it_is_for() {
    let services = services();
    let of = |wanted: &str| &services.iter().find(|(name, _)| *name == wanted).expect("a service").1;
    let (mut refused, mut allowed) = (Vec::new(), 0);
    for (policy, service, begins) in POLICIES {
        let mut state = State::new();
        honmaru_cloud::register_all(&mut state);
        let arn = format!("arn:aws:iam::aws:policy/{policy}");
        done(&mut state, of("iam"), "CreateUser", json!({ "UserName": "one" }));
        let input = json!({ "UserName": "one", "PolicyArn": arn });
        done(&mut state, of("iam"), "AttachUserPolicy", input);
        let user = honmaru_iam::user_of_name(&state, &root().account, "one").expect("it was made");
        let caller = call(honmaru_iam::user_principal(
            &root().account,
            user,
            "AKIAIOSFODNN7EXAMPLE",
        ));
        let model = honmaru_wire::service(service).expect("its model is embedded");
        for operation in of(service) {
            if !begins.iter().any(|begin| operation.name.starts_with(begin)) {
                continue;
            }
            let modelled = model.operation(operation.name).expect("it is modelled");
            let input = honmaru_wire::leaves(model, modelled, Side::Input, &|path| text(service, path));
            let mut accesses = (operation.access)(&state, &caller, &input);
            // Whoever gives a role away needs more than the service's policy.
            accesses.retain(|access| access.action != "iam:PassRole");
            match honmaru_iam::authorize(&state, &caller, &accesses, ProtocolFamily::Json) {
                Ok(()) => allowed += 1,
                Err(error) => refused.push(format!("{policy}: {}", error.message)),
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(allowed > 300, "{allowed} operations");
}
