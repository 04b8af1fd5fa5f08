//! Goal: what a caller does wrong is told in the words that AWS has for it, where those are known, with the documented
//! code; and bounds are where the API reference has them.

mod lab;

use lab::{Lab, definition, network};
use serde_json::{Value, json};

fn run(more: Value) -> Value {
    let mut input = json!({ "taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network() });
    if let (Some(all), Value::Object(more)) = (input.as_object_mut(), more) {
        all.extend(more);
    }
    input
}

#[test]
fn a_task_definition_is_refused_in_known_words() {
    let mut lab = Lab::new();
    let container = |name: &str, more: Value| {
        let mut container = json!({ "name": name, "image": "localhost:4566/web:1", "essential": false });
        if let (Some(all), Value::Object(more)) = (container.as_object_mut(), more) {
            all.extend(more);
        }
        container
    };
    let main = || container("main", json!({ "essential": true }));
    let waits = |condition: &str, other: &str| {
        let on = json!([{ "containerName": other, "condition": condition }]);
        container("late", json!({ "dependsOn": on }))
    };
    let eleven: Vec<Value> = (0..11)
        .map(|n| container(&format!("c{n}"), json!({ "essential": true })))
        .collect();
    for (containers, expected) in [
        (
            json!([main(), main()]),
            "Container names must be unique within a Task Definition.",
        ),
        (json!(eleven), "Too many containers."),
        (
            json!([main(), waits("SUCCESS", "main")]),
            "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
        ),
        (
            json!([main(), waits("START", "nobody")]),
            "Cannot depend on container + 'nobody' because it does not exist",
        ),
        (
            json!([main(), waits("START", "late")]),
            "Container dependencies should not have a cycle",
        ),
        (
            json!([main(), container("big", json!({ "memory": 1_024 }))]),
            "The 'memory' setting for container 'big' is greater than for the task.",
        ),
        (
            json!([main(), container("slow", json!({ "startTimeout": 121 }))]),
            "Container.startTimeout can be at most 120 seconds on Fargate.",
        ),
    ] {
        let mut input = definition("web");
        input["containerDefinitions"] = containers;
        let (code, text) = lab.err("RegisterTaskDefinition", input);
        assert_eq!((code.as_str(), text.as_str()), ("ClientException", expected));
    }
    let mut input = definition("web");
    (input["cpu"], input["memory"]) = (json!("512"), json!("512"));
    let (_, text) = lab.err("RegisterTaskDefinition", input);
    assert_eq!(
        text,
        "No Fargate configuration exists for given values: 512 CPU, 512 memory. See the Amazon ECS documentation for \
         the valid values."
    );
    let mut input = definition("web");
    input["placementConstraints"] = json!([{ "type": "memberOf", "expression": "attribute:x == y" }]);
    let (_, text) = lab.err("RegisterTaskDefinition", input);
    assert!(
        text.ends_with("do not support constraints"),
        "an expression that nobody looks at: {text}"
    );
    lab.register("web");
    let (code, text) = lab.err("DescribeTaskDefinition", json!({ "taskDefinition": "web:x" }));
    assert_eq!(
        (code.as_str(), text.as_str()),
        ("InvalidParameterException", "Invalid revision number. Number: x")
    );
}

#[test]
fn what_a_run_may_say_has_its_bounds() {
    let mut lab = Lab::new();
    lab.register("web");
    let value = |length: usize| {
        let environment = json!([{ "name": "A", "value": "\u{e4}".repeat(length) }]);
        json!({ "overrides": { "containerOverrides": [{ "name": "web", "environment": environment }] } })
    };
    let frame = value(0)["overrides"].to_string().len();
    lab.ok("RunTask", run(value(8_192 - frame)));
    let (code, text) = lab.err("RunTask", run(value(8_193 - frame)));
    assert_eq!(
        (code.as_str(), text.as_str()),
        (
            "InvalidParameterException",
            "Container Overrides length must be at most 8192"
        )
    );
    lab.ok(
        "RunTask",
        run(json!({ "startedBy": "\u{e4}".repeat(128), "count": 10 })),
    );
    let (_, text) = lab.err("RunTask", run(json!({ "startedBy": "x".repeat(129) })));
    assert_eq!(text, "startedBy longer than 128.");
    for count in [0, 11] {
        let (code, _) = lab.err("RunTask", run(json!({ "count": count })));
        assert_eq!(code, "InvalidParameterException");
    }
    let (_, text) = lab.err(
        "RunTask",
        run(json!({ "overrides": { "cpu": "512", "memory": "512" } })),
    );
    assert!(text.contains("512 CPU, 512 memory"), "{text}");
}

#[test]
fn tags_have_their_characters_and_aws_its_own() {
    let mut lab = Lab::new();
    let tag = |key: &str, value: &str| json!([{ "key": key, "value": value }]);
    let (code, text) = lab.err("CreateCluster", json!({ "clusterName": "c", "tags": tag("a", "b,c") }));
    assert_eq!(code, "InvalidParameterException");
    assert!(text.starts_with("Some tags contain invalid characters."), "{text}");
    lab.ok(
        "CreateCluster",
        json!({ "clusterName": "c", "tags": tag("\u{fc}ber all", "a_b.c/d=e+f-g:h@i 1") }),
    );

    lab.register("web");
    let fifty: Vec<Value> = (0..50)
        .map(|n| json!({ "key": format!("k{n}"), "value": "" }))
        .collect();
    let run = run(json!({ "tags": fifty, "enableECSManagedTags": true }));
    let arn = lab.ok("RunTask", run)["tasks"][0]["taskArn"].clone();
    // 50 of the caller's and one of AWS's, which does not count.
    lab.ok(
        "TagResource",
        json!({ "resourceArn": arn.clone(), "tags": tag("k0", "new") }),
    );
    let (_, text) = lab.err(
        "TagResource",
        json!({ "resourceArn": arn.clone(), "tags": tag("k50", "") }),
    );
    assert!(text.contains("50"), "{text}");
    let (code, _) = lab.err(
        "UntagResource",
        json!({ "resourceArn": arn.clone(), "tagKeys": ["aws:ecs:clusterName"] }),
    );
    assert_eq!(code, "InvalidParameterException");
    lab.ok(
        "UntagResource",
        json!({ "resourceArn": arn.clone(), "tagKeys": ["k1"] }),
    );
    let tags = lab.ok("ListTagsForResource", json!({ "resourceArn": arn }))["tags"].clone();
    assert_eq!(tags.as_array().map(Vec::len), Some(50));
}

#[test]
fn a_provider_in_use_stays() {
    let mut lab = Lab::new();
    let put = |providers: Value| json!({ "cluster": "default", "capacityProviders": providers, "defaultCapacityProviderStrategy": [] });
    lab.ok("PutClusterCapacityProviders", put(json!(["FARGATE", "FARGATE_SPOT"])));
    lab.register("web");
    lab.ok(
        "CreateService",
        json!({
            "serviceName": "shop", "taskDefinition": "web", "desiredCount": 1, "networkConfiguration": network(),
            "capacityProviderStrategy": [{ "capacityProvider": "FARGATE_SPOT", "weight": 1 }],
        }),
    );
    lab.run(2_000, |_| true);
    let (code, text) = lab.err("PutClusterCapacityProviders", put(json!(["FARGATE"])));
    assert_eq!(
        (code.as_str(), text.as_str()),
        (
            "ResourceInUseException",
            "The specified capacity provider is in use and cannot be removed."
        )
    );
    lab.ok("PutClusterCapacityProviders", put(json!(["FARGATE_SPOT"])));
    lab.ok("DeleteService", json!({ "service": "shop", "force": true }));
    let (code, _) = lab.err("PutClusterCapacityProviders", put(json!([])));
    assert_eq!(code, "ResourceInUseException", "a service that drains still uses it");
    lab.run(10_000, |_| true);
    lab.ok("PutClusterCapacityProviders", put(json!([])));
}
