//! Goal: every implemented operation with an idempotency token keeps it. Method: the model names the operations, and
//! each must have a rule (its own tests are with its service).

use std::collections::BTreeSet;

#[test]
fn every_operation_with_a_token_has_a_rule() {
    let ruled: BTreeSet<(&str, &str)> = honmaru_ecs::TOKEN_RULES
        .iter()
        .map(|rule| ("ecs", rule.operation))
        // Its token is kept with what it made.
        .chain([("logs", "PutQueryDefinition")])
        .collect();
    let mut with_token = BTreeSet::new();
    for (service, operations) in super::services() {
        let model = honmaru_wire::service(service).expect("its model is embedded");
        for operation in &operations {
            let modelled = model.operation(operation.name).expect("it is modelled");
            if modelled.idempotency_token().is_some() {
                with_token.insert((service, operation.name));
            }
        }
    }
    // CreateService documents its token; the model does not mark it.
    with_token.insert(("ecs", "CreateService"));
    assert_eq!(with_token, ruled);
}
