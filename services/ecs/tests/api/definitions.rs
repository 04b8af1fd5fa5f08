//! Task definitions.

use crate::lab::{Lab, definition, network};
use serde_json::{Value, json};

/// Changes one member of the container, or of the definition when the path starts at its root.
pub fn with(path: &str, value: Value) -> Value {
    let mut input = definition("web");
    let target = input
        .pointer_mut(path.rsplit_once('/').map_or("", |(parent, _)| parent))
        .expect("the parent is there");
    let name = path.rsplit('/').next().expect("a name");
    target
        .as_object_mut()
        .expect("a structure")
        .insert(name.to_owned(), value);
    input
}

fn other_architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "X86_64"
    } else {
        "ARM64"
    }
}

/// Terraform compares what it sent with what it reads, and registers anew when a member is gone. Ref: the container
/// definitions that terraform-aws-modules/ecs writes; AWS keeps both lists of capabilities.
#[test]
fn what_was_said_to_be_off_is_shown_again() {
    let mut lab = Lab::new();
    let mut input = definition("web");
    let container = &mut input["containerDefinitions"][0];
    container["privileged"] = json!(false);
    container["disableNetworking"] = json!(false);
    container["interactive"] = json!(false);
    container["linuxParameters"] = json!({ "capabilities": { "drop": ["NET_RAW"] }, "initProcessEnabled": false });
    let made = lab.ok("RegisterTaskDefinition", input);
    let read = lab.ok("DescribeTaskDefinition", json!({ "taskDefinition": "web" }));
    for answer in [made, read] {
        let shown = &answer["taskDefinition"]["containerDefinitions"][0];
        assert_eq!(shown["privileged"], false, "{shown}");
        assert_eq!(shown["disableNetworking"], false, "{shown}");
        assert_eq!(shown["interactive"], false, "{shown}");
        assert_eq!(
            shown["linuxParameters"],
            json!({ "capabilities": { "add": [], "drop": ["NET_RAW"] }, "initProcessEnabled": false })
        );
    }
}

#[test]
fn task_definitions_are_checked() {
    let mut lab = Lab::new();
    let c = "/containerDefinitions/0";
    let mut secret = with(&format!("{c}/secrets"), json!([{ "name": "A", "valueFrom": "arn" }]));
    secret["executionRoleArn"] = json!("execution");
    let mut windows = with(
        "/runtimePlatform",
        json!({ "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE" }),
    );
    (windows["cpu"], windows["memory"]) = (json!("1024"), json!("2048"));
    let cases: Vec<(Value, &str)> = vec![
        (
            with("/memory", json!("4096")),
            "No Fargate configuration exists for given values: ",
        ),
        (
            with("/networkMode", json!("bridge")),
            "Fargate only supports network mode",
        ),
        (with("/family", json!("a b")), "Family contains invalid characters."),
        (
            with("/containerDefinitions", json!([])),
            "Container list cannot be empty.",
        ),
        (
            with(&format!("{c}/essential"), json!(false)),
            "doesn't have any essential container",
        ),
        (
            with(&format!("{c}/image"), json!("")),
            "Container.image should not be null or empty.",
        ),
        (
            with(&format!("{c}/cpu"), json!(512)),
            "The sum of all container 'cpu' values",
        ),
        (
            with(&format!("{c}/memory"), json!(1024)),
            "is greater than for the task.",
        ),
        (secret, "Container.secrets"),
        (
            with(&format!("{c}/privileged"), json!(true)),
            "setting be \u{2018}false\u{2019} at the container level.",
        ),
        (
            with(&format!("{c}/logConfiguration"), json!({ "logDriver": "splunk" })),
            "Supported log drivers: awslogs.",
        ),
        (
            with(
                &format!("{c}/logConfiguration"),
                json!({ "logDriver": "awslogs", "options": {} }),
            ),
            "Log driver awslogs requires options: awslogs-region, awslogs-group",
        ),
        (
            with(
                &format!("{c}/logConfiguration"),
                json!({ "logDriver": "awslogs", "options": {
                    "awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p" } }),
            ),
            "execution role ARN to support log driver awslogs",
        ),
        (
            with(
                &format!("{c}/dependsOn"),
                json!([{ "containerName": "web", "condition": "START" }]),
            ),
            "Container dependencies should not have a cycle",
        ),
        (
            with(
                &format!("{c}/portMappings"),
                json!([{ "containerPort": 80, "hostPort": 81 }]),
            ),
            "must match",
        ),
        (
            with(
                &format!("{c}/mountPoints"),
                json!([{ "sourceVolume": "v", "containerPath": "/v" }]),
            ),
            "Unknown volume",
        ),
        (
            with(&format!("{c}/healthCheck"), json!({ "command": ["curl"] })),
            "must start with CMD or CMD-SHELL",
        ),
        (
            windows,
            "operatingSystemFamily WINDOWS_SERVER_2022_CORE is not supported",
        ),
        (
            with("/runtimePlatform", json!({ "cpuArchitecture": other_architecture() })),
            "is not supported by Honmaru.",
        ),
        (
            with("/ephemeralStorage", json!({ "sizeInGiB": 5 })),
            "EphemeralStorage size should be at least 21",
        ),
    ];
    for (input, text) in cases {
        let (code, message) = lab.err("RegisterTaskDefinition", input);
        assert_eq!(code, "ClientException", "{message}");
        assert!(message.contains(text), "`{message}` does not contain `{text}`");
    }
    assert_eq!(
        lab.ok("ListTaskDefinitions", json!({}))["taskDefinitionArns"],
        json!([]),
        "nothing is half done"
    );
}

#[test]
fn revisions_are_numbered_described_and_deleted() {
    let mut lab = Lab::new();
    let first = lab.ok("RegisterTaskDefinition", definition("web"));
    assert_eq!(first["taskDefinition"]["revision"], 1);
    assert_eq!(first["taskDefinition"]["compatibilities"], json!(["EC2", "FARGATE"]));
    assert_eq!(
        first["taskDefinition"]["containerDefinitions"][0]["portMappings"][0]["hostPort"],
        80
    );
    lab.register("web");
    assert_eq!(
        lab.ok("DescribeTaskDefinition", json!({ "taskDefinition": "web" }))["taskDefinition"]["revision"],
        2
    );
    lab.ok("DeregisterTaskDefinition", json!({ "taskDefinition": "web:2" }));
    assert_eq!(
        lab.ok("DescribeTaskDefinition", json!({ "taskDefinition": "web" }))["taskDefinition"]["revision"],
        1
    );
    let inactive = lab.ok("DescribeTaskDefinition", json!({ "taskDefinition": "web:2" }));
    assert_eq!(inactive["taskDefinition"]["status"], "INACTIVE");
    let unknown = (
        "ClientException".to_owned(),
        "Unable to describe task definition.".to_owned(),
    );
    assert_eq!(
        lab.err("DescribeTaskDefinition", json!({ "taskDefinition": "web:9" })),
        unknown
    );
    let deleted = lab.ok(
        "DeleteTaskDefinitions",
        json!({ "taskDefinitions": ["web:1", "web:2"] }),
    );
    assert_eq!(deleted["failures"][0]["reason"], "ACTIVE");
    lab.settle();
    assert_eq!(
        lab.err("DescribeTaskDefinition", json!({ "taskDefinition": "web:2" })),
        unknown
    );
    lab.register("web");
    let next = lab.ok("DescribeTaskDefinition", json!({ "taskDefinition": "web" }));
    assert_eq!(next["taskDefinition"]["revision"], 3, "a number is never used again");
}

#[test]
fn a_revision_has_one_name() {
    let mut lab = Lab::new();
    lab.register("web");
    lab.ok("RunTask", {
        json!({ "taskDefinition": "web:1", "launchType": "FARGATE", "networkConfiguration": network() })
    });
    let prefix = "arn:aws:ecs:us-east-1:000000000000:task-definition";
    // To a policy that speaks of `web:1` these are others.
    for other in ["web:01", "web:+1", "web:001"] {
        let run = json!({ "taskDefinition": other, "launchType": "FARGATE", "networkConfiguration": network() });
        assert_eq!(lab.err("RunTask", run).1, "TaskDefinition not found.", "{other}");
        for operation in ["DescribeTaskDefinition", "DeregisterTaskDefinition"] {
            lab.err(operation, json!({ "taskDefinition": other }));
        }
        let arn = format!("{prefix}/{other}");
        let tags = json!({ "resourceArn": arn, "tags": [{ "key": "a", "value": "b" }] });
        assert_eq!(lab.err("TagResource", tags).0, "InvalidParameterException", "{other}");
    }
    lab.ok("DeregisterTaskDefinition", json!({ "taskDefinition": "web:1" }));
    let gone = lab.ok("DeleteTaskDefinitions", json!({ "taskDefinitions": ["web:01"] }));
    assert_eq!(gone["failures"][0]["reason"], "INVALID_ARN");
}
