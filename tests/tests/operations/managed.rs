//! Goal: who has an AWS managed policy may do here what its name says. Method: a user has the policy alone, an input in
//! which every member is there goes to each operation, and what that asks for is authorised.

use super::{call, services};
use honmaru_base::SeededRng;
use honmaru_identity::ProtocolFamily;
use honmaru_machine::{Call, Operation, State, Tx};
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

/// Does it as the account's root.
fn done(state: &mut State, operations: &[Operation], name: &str, input: Value) {
    let operation = operations.iter().find(|operation| operation.name == name);
    let operation = operation.expect("it is implemented");
    let (call, mut rng) = (call(), SeededRng::from_u64(7));
    let mut tx = Tx::new(state, call.now, &mut rng);
    let answer = operation.handler.write(&mut tx, &call, input).expect("it writes");
    answer.expect("it is done");
    tx.commit();
}

/// A text for each place of an input, of the form that the place has.
fn text(service: &str, path: &str) -> &'static str {
    let resource = match service {
        "ecr" => "arn:aws:ecr:us-east-1:111111111111:repository/x",
        "wafv2" if path == ".ResourceArn" => {
            "arn:aws:elasticloadbalancing:us-east-1:111111111111:loadbalancer/app/x/0123456789abcdef"
        }
        "wafv2" => "arn:aws:wafv2:us-east-1:111111111111:regional/webacl/x/y",
        _ => "x",
    };
    match path {
        _ if path.ends_with("RoleArn") => "arn:aws:iam::111111111111:role/x",
        _ if path.to_ascii_lowercase().ends_with("arn") => resource,
        ".Path" | ".NewPath" => "/",
        _ => "x",
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
        let user = honmaru_iam::user_of_name(&state, &call().principal.account, "one").expect("it was made");
        let principal = honmaru_iam::user_principal(&call().principal.account, user, "AKIAIOSFODNN7EXAMPLE");
        let caller = Call { principal, ..call() };
        let model = honmaru_wire::service(service).expect("its model is embedded");
        for operation in of(service) {
            if !begins.iter().any(|begin| operation.name.starts_with(begin)) {
                continue;
            }
            let modelled = model.operation(operation.name).expect("it is modelled");
            let input = honmaru_wire::leaves(model, modelled, Side::Input, &|path| text(service, path).to_owned());
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
