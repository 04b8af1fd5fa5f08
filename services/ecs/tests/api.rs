//! Goal: the API answers as AWS does. Method: calls through the operations, as the wire makes them.

mod lab;

use honmaru_contract::node::{Health, ImageSource, StopReason, TaskGoal, TaskPhase};
use honmaru_ecs::{LastStatus, Task};
use honmaru_machine::Access;
use lab::{Lab, definition, network};
use serde_json::{Value, json};

#[test]
fn a_missing_service_is_called_as_it_was_asked_for() {
    let mut lab = Lab::new();
    let long = "arn:aws:ecs:us-east-1:000000000000:service/default/nope";
    let answer = lab.ok("DescribeServices", json!({ "services": ["nope", long] }));
    // Without the cluster: what amazon-ecs-deploy-task-definition's users see ("arn:...:service/NAME is MISSING").
    let short = "arn:aws:ecs:us-east-1:000000000000:service/nope";
    let missing = |arn: &str| json!({ "arn": arn, "reason": "MISSING" });
    assert_eq!(answer["failures"], json!([missing(short), missing(long)]));
}

#[test]
fn clusters_live_and_die() {
    let mut lab = Lab::empty();
    assert_eq!(
        lab.ok("DescribeClusters", json!({}))["failures"][0]["reason"],
        "MISSING"
    );
    let not_found = ("ClusterNotFoundException".to_owned(), "Cluster not found.".to_owned());
    assert_eq!(lab.err("ListTasks", json!({})), not_found);
    let cluster = lab.ok(
        "CreateCluster",
        json!({ "clusterName": "blue", "tags": [{ "key": "a", "value": "b" }] }),
    );
    assert_eq!(
        cluster["cluster"]["clusterArn"],
        "arn:aws:ecs:us-east-1:000000000000:cluster/blue"
    );
    assert_eq!(
        lab.ok("CreateCluster", json!({ "clusterName": "blue" }))["cluster"]["tags"][0]["key"],
        "a"
    );
    assert_eq!(
        lab.err(
            "DescribeContainerInstances",
            json!({ "cluster": "blue", "containerInstances": [] })
        ),
        (
            "InvalidParameterException".to_owned(),
            "Container instance cannot be empty.".to_owned()
        )
    );
    assert_eq!(
        lab.err("CreateCluster", json!({ "clusterName": "no spaces" })).0,
        "InvalidParameterException"
    );
    assert_eq!(
        lab.ok("ListClusters", json!({}))["clusterArns"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let gone = lab.ok("DeleteCluster", json!({ "cluster": "blue" }));
    assert_eq!(gone["cluster"]["status"], "INACTIVE");
    assert_eq!(lab.ok("ListClusters", json!({}))["clusterArns"], json!([]));
    assert_eq!(
        lab.ok("DescribeClusters", json!({ "clusters": ["blue"] }))["clusters"][0]["status"],
        "INACTIVE"
    );
}

#[test]
fn a_cluster_with_services_or_tasks_cannot_be_deleted() {
    let mut lab = Lab::new();
    lab.register("web");
    lab.ok(
        "RunTask",
        json!({ "taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network() }),
    );
    assert_eq!(
        lab.err("DeleteCluster", json!({ "cluster": "default" })).0,
        "ClusterContainsTasksException"
    );
    lab.ok("CreateService", lab::balanced("s", "web", 0));
    assert_eq!(
        lab.err("DeleteCluster", json!({ "cluster": "default" })).0,
        "ClusterContainsServicesException"
    );
}

/// Changes one member of the container, or of the definition when the path starts at its root.
fn with(path: &str, value: Value) -> Value {
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
            "At least one essential container",
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
        (
            with(&format!("{c}/secrets"), json!([{ "name": "A", "valueFrom": "arn" }])),
            "Container.secrets",
        ),
        (
            with(&format!("{c}/privileged"), json!(true)),
            "'privileged' is not supported",
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
            with(
                "/runtimePlatform",
                json!({ "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE" }),
            ),
            "not supported",
        ),
        (
            with("/runtimePlatform", json!({ "cpuArchitecture": other_architecture() })),
            "is not supported by Honmaru.",
        ),
        (
            with("/ephemeralStorage", json!({ "sizeInGiB": 5 })),
            "Ephemeral storage size must be between",
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
fn run_task_says_what_is_wrong() {
    let mut lab = Lab::new();
    lab.register("web");
    lab.ok(
        "RegisterTaskDefinition",
        json!({
            "family": "old", "containerDefinitions": [{ "name": "a", "image": "b", "memory": 64 }],
        }),
    );
    // Registered as at AWS; but the machine is everybody's.
    lab.ok(
        "RegisterTaskDefinition",
        json!({
            "family": "host", "networkMode": "none", "containerDefinitions": [{ "name": "a", "image": "b", "memory": 64 }],
            "volumes": [{ "name": "root", "host": { "sourcePath": "/" } }],
        }),
    );
    let run = |extra: Value| {
        let mut input = json!({ "taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network() });
        input
            .as_object_mut()
            .expect("a structure")
            .extend(extra.as_object().expect("a structure").clone());
        input
    };
    let cases = [
        (
            run(json!({ "taskDefinition": "none" })),
            "ClientException",
            "TaskDefinition not found.",
        ),
        (
            run(json!({ "count": 11 })),
            "InvalidParameterException",
            "between 1 and 10",
        ),
        (
            run(json!({ "cluster": "none" })),
            "ClusterNotFoundException",
            "Cluster not found.",
        ),
        (
            run(json!({ "taskDefinition": "old" })),
            "InvalidParameterException",
            "does not support launch_type FARGATE",
        ),
        (
            run(json!({ "networkConfiguration": null })),
            "InvalidParameterException",
            "Network Configuration must be",
        ),
        (
            run(json!({ "taskDefinition": "old", "launchType": "EC2" })),
            "ClientException",
            "Network mode 'bridge'",
        ),
        (
            json!({ "taskDefinition": "host", "launchType": "EC2" }),
            "ClientException",
            "Volume 'root' with host.sourcePath",
        ),
        (
            run(json!({ "platformVersion": "0.1" })),
            "PlatformUnknownException",
            "does not exist",
        ),
        (
            run(json!({ "overrides": { "containerOverrides": [{ "name": "nope" }] } })),
            "InvalidParameterException",
            "Override for container named nope is not a container in the TaskDefinition.",
        ),
        (
            run(json!({ "capacityProviderStrategy": [{ "capacityProvider": "FARGATE", "weight": 1 }] })),
            "InvalidParameterException",
            "Specifying both a launch type and capacity provider strategy",
        ),
    ];
    for (input, code, text) in cases {
        let (found, message) = lab.err("RunTask", input);
        assert_eq!(found, code, "{message}");
        assert!(message.contains(text), "`{message}` does not contain `{text}`");
    }
    assert_eq!(lab.state.list::<Task>(&Lab::scope()).count(), 0, "nothing is half done");
}

#[test]
fn memory_is_not_promised_twice() {
    let mut lab = Lab::new();
    let mut big = definition("big");
    big["cpu"] = json!("1024");
    big["memory"] = json!("3072");
    lab.ok("RegisterTaskDefinition", big);
    let run =
        json!({ "taskDefinition": "big", "count": 4, "launchType": "FARGATE", "networkConfiguration": network() });
    let answer = lab.ok("RunTask", run);
    assert_eq!(
        answer["tasks"].as_array().map(Vec::len),
        Some(2),
        "8 GiB hold two tasks of 3 GiB"
    );
    assert_eq!(answer["failures"][1]["reason"], "RESOURCE:MEMORY");
}

#[test]
fn a_client_token_runs_tasks_once() {
    let mut lab = Lab::new();
    lab.register("web");
    let run = json!({ "taskDefinition": "web", "count": 2, "clientToken": "t", "launchType": "FARGATE",
        "networkConfiguration": network() });
    let first = lab.ok("RunTask", run.clone());
    assert_eq!(
        lab.ok("RunTask", run.clone())["tasks"][0]["taskArn"],
        first["tasks"][0]["taskArn"]
    );
    let mut other = run;
    other["count"] = json!(1);
    assert_eq!(lab.err("RunTask", other).0, "ConflictException");
    assert_eq!(lab.state.list::<Task>(&Lab::scope()).count(), 2);
}

#[test]
fn a_client_token_creates_a_service_once() {
    let mut lab = Lab::new();
    lab.register("web");
    let mut create = lab::balanced("s", "web", 0);
    create["clientToken"] = json!("t");
    let first = lab.ok("CreateService", create.clone());
    let same = lab.ok("CreateService", create.clone());
    assert_eq!(same["service"]["serviceArn"], first["service"]["serviceArn"]);
    assert_eq!(same["service"]["createdAt"], first["service"]["createdAt"]);
    let conflict = (
        "InvalidParameterException".to_owned(),
        "Creation of service was not idempotent.".to_owned(),
    );
    // Another input, also under another name; and the same input with another token.
    for (member, value) in [
        ("desiredCount", json!(1)),
        ("serviceName", json!("other")),
        ("clientToken", json!("u")),
    ] {
        let mut other = create.clone();
        other[member] = value;
        assert_eq!(lab.err("CreateService", other), conflict, "{member}");
    }
    create["clientToken"] = json!("t".repeat(37));
    assert_eq!(lab.err("CreateService", create.clone()).0, "InvalidParameterException");
    // The token is one of the log's records: a restart remembers it.
    create["clientToken"] = json!("t");
    create["desiredCount"] = json!(2);
    let mut after = Lab::empty();
    lab::replay(&mut after.state, &lab.records);
    assert_eq!(after.err("CreateService", create), conflict);
}

#[test]
fn a_task_lives_its_life() {
    let mut lab = Lab::new();
    let mut input = definition("job");
    input["containerDefinitions"][0]["environment"] =
        json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }]);
    lab.ok("RegisterTaskDefinition", input);
    let run = lab.ok(
        "RunTask",
        json!({
            "taskDefinition": "job", "launchType": "FARGATE", "networkConfiguration": network(), "startedBy": "me",
            "overrides": { "containerOverrides": [{ "name": "web", "command": ["sh"],
                "environment": [{ "name": "B", "value": "3" }, { "name": "C", "value": "4" }] }] },
        }),
    );
    let arn = run["tasks"][0]["taskArn"].clone();
    let id = arn
        .as_str()
        .and_then(|arn| arn.rsplit('/').next())
        .expect("an id")
        .to_owned();
    assert_eq!(run["tasks"][0]["lastStatus"], "PROVISIONING");
    let describe = |lab: &mut Lab| lab.ok("DescribeTasks", json!({ "tasks": [arn.clone()] }))["tasks"][0].clone();

    lab.settle();
    let task = describe(&mut lab);
    assert_eq!(task["lastStatus"], "PENDING");
    assert_eq!(task["attachments"][0]["details"][4]["value"], "172.31.0.4");
    let spec = honmaru_ecs::node_tasks(&lab.state, lab::NODE)
        .remove(&id)
        .expect("the node must run it");
    assert_eq!(
        (spec.goal, spec.cpu_units, spec.memory_mib),
        (TaskGoal::Run, Some(256), Some(512))
    );
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        spec.containers[0].environment,
        [pair("A", "1"), pair("B", "3"), pair("C", "4")]
    );
    assert_eq!(spec.containers[0].command, Some(vec!["sh".to_owned()]));
    assert!(matches!(spec.containers[0].source, ImageSource::Remote { .. }));

    lab.report(&id, TaskPhase::Preparing, Health::Unknown);
    assert_eq!(describe(&mut lab)["lastStatus"], "PENDING");
    lab.report(&id, TaskPhase::Running, Health::Unknown);
    assert_eq!(describe(&mut lab)["lastStatus"], "RUNNING");
    assert_eq!(
        lab.ok("ListTasks", json!({ "startedBy": "me" }))["taskArns"],
        json!([arn])
    );

    let stopped = lab.ok("StopTask", json!({ "task": id, "reason": "enough" }));
    assert_eq!(stopped["task"]["desiredStatus"], "STOPPED");
    let spec = honmaru_ecs::node_tasks(&lab.state, lab::NODE)
        .remove(&id)
        .expect("the node must stop it");
    assert_eq!(spec.goal, TaskGoal::Stop);
    lab.report(
        &id,
        TaskPhase::Stopped {
            reason: StopReason::Asked,
        },
        Health::Unknown,
    );
    let task = describe(&mut lab);
    assert_eq!(
        (&task["lastStatus"], &task["stopCode"]),
        (&json!("STOPPED"), &json!("UserInitiated"))
    );
    assert_eq!(
        (&task["stoppedReason"], &task["containers"][0]["exitCode"]),
        (&json!("enough"), &json!(143))
    );
    assert!(honmaru_ecs::node_tasks(&lab.state, lab::NODE).is_empty());
    assert_eq!(lab.ok("ListTasks", json!({}))["taskArns"], json!([]));
    assert_eq!(
        lab.ok("ListTasks", json!({ "desiredStatus": "STOPPED" }))["taskArns"],
        json!([arn])
    );

    lab.now = lab.now.plus_s(3_601);
    lab.settle();
    assert_eq!(
        lab.ok("DescribeTasks", json!({ "tasks": [arn.clone()] }))["failures"][0]["reason"],
        "MISSING"
    );
}

#[test]
fn a_restarted_node_loses_what_it_ran_and_nothing_else() {
    let mut lab = Lab::new();
    lab.register("web");
    let run = |lab: &mut Lab| {
        let input = json!({ "taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network() });
        let answer = lab.ok("RunTask", input);
        let id = answer["tasks"][0]["taskArn"]
            .as_str()
            .and_then(|arn| arn.rsplit('/').next())
            .map(str::to_owned);
        lab.settle();
        id.expect("an id")
    };
    let running = run(&mut lab);
    lab.report(&running, TaskPhase::Running, Health::Unknown);
    let waiting = run(&mut lab);
    lab.observe_node(4_096, 8_192, "boot-2", Vec::new());
    let task = |lab: &Lab, id: &str| lab.state.get::<Task>(&Lab::scope(), id).expect("it is kept").clone();
    assert_eq!(task(&lab, &running).last_status, LastStatus::Stopped);
    assert!(
        task(&lab, &running)
            .stop
            .expect("a reason")
            .reason
            .contains("was restarted")
    );
    assert_eq!(
        task(&lab, &waiting).last_status,
        LastStatus::Pending,
        "it never was on the node: it starts now"
    );
}

#[test]
fn execute_command_needs_its_flag_and_a_running_container() {
    let mut lab = Lab::new();
    lab.register("web");
    let run = |lab: &mut Lab, execute: bool| {
        let answer = lab.ok(
            "RunTask",
            json!({ "taskDefinition": "web", "launchType": "FARGATE",
            "networkConfiguration": network(), "enableExecuteCommand": execute }),
        );
        lab.settle();
        answer["tasks"][0]["taskArn"]
            .as_str()
            .and_then(|arn| arn.rsplit('/').next())
            .expect("an id")
            .to_owned()
    };
    let without = run(&mut lab, false);
    lab.report(&without, TaskPhase::Running, Health::Unknown);
    let command = |id: &str| json!({ "task": id, "command": "sh", "interactive": true });
    assert!(
        lab.err("ExecuteCommand", command(&without))
            .1
            .contains("execute command was not enabled")
    );
    let with = run(&mut lab, true);
    assert_eq!(
        lab.err("ExecuteCommand", command(&with)).0,
        "TargetNotConnectedException"
    );
    lab.report(&with, TaskPhase::Running, Health::Unknown);
    let answer = lab.ok("ExecuteCommand", command(&with));
    let id = answer["session"]["sessionId"].as_str().expect("an id").to_owned();
    assert_eq!(
        answer["session"]["streamUrl"],
        format!("ws://localhost:4566/v1/data-channel/{id}")
    );
    let (_, session) = honmaru_ecs::find_session(&lab.state, &id).expect("the lead must find it");
    assert_eq!(answer["session"]["tokenValue"], session.token);
    assert!(
        !lab.records.iter().any(|r| r.kind == "ecs.session"),
        "a token is never written to the log"
    );
    lab.now = lab.now.plus_s(601);
    lab.settle();
    assert!(honmaru_ecs::find_session(&lab.state, &id).is_none());
}

#[test]
fn pages_and_tags_work() {
    let mut lab = Lab::new();
    for family in ["a", "b", "c"] {
        lab.register(family);
    }
    let page = lab.ok("ListTaskDefinitionFamilies", json!({ "maxResults": 2 }));
    assert_eq!(page["families"], json!(["a", "b"]));
    let rest = lab.ok(
        "ListTaskDefinitionFamilies",
        json!({ "maxResults": 2, "nextToken": page["nextToken"] }),
    );
    assert_eq!((&rest["families"], rest.get("nextToken")), (&json!(["c"]), None));
    assert_eq!(
        lab.err("ListTaskDefinitionFamilies", json!({ "nextToken": "x" })).1,
        "Invalid token."
    );
    let arn = "arn:aws:ecs:us-east-1:000000000000:cluster/default";
    lab.ok(
        "TagResource",
        json!({ "resourceArn": arn, "tags": [{ "key": "k", "value": "v" }] }),
    );
    assert_eq!(
        lab.ok("ListTagsForResource", json!({ "resourceArn": arn }))["tags"],
        json!([{ "key": "k", "value": "v" }])
    );
    lab.ok("UntagResource", json!({ "resourceArn": arn, "tagKeys": ["k"] }));
    assert_eq!(
        lab.ok("ListTagsForResource", json!({ "resourceArn": arn }))["tags"],
        json!([])
    );
    assert_eq!(
        lab.err("TagResource", json!({ "resourceArn": "nonsense", "tags": [] }))
            .0,
        "InvalidParameterException"
    );
}

#[test]
fn a_cluster_promises_neither_encryption_nor_records_of_sessions() {
    let mut lab = Lab::new();
    for configuration in [
        json!({ "executeCommandConfiguration": { "kmsKeyId": "key" } }),
        json!({ "executeCommandConfiguration": {
            "logging": "OVERRIDE", "logConfiguration": { "cloudWatchLogGroupName": "sessions" } } }),
        json!({ "managedStorageConfiguration": { "fargateEphemeralStorageKmsKeyId": "key" } }),
    ] {
        let input = json!({ "clusterName": "c", "configuration": configuration });
        let (code, message) = lab.err("CreateCluster", input);
        assert_eq!(code, "ClientException");
        assert!(message.ends_with("is not supported by Honmaru."), "{message}");
        let (code, _) = lab.err(
            "UpdateCluster",
            json!({ "cluster": "default", "configuration": configuration }),
        );
        assert_eq!(code, "ClientException");
    }
    let plain = json!({ "executeCommandConfiguration": { "logging": "DEFAULT" } });
    let made = lab.ok("CreateCluster", json!({ "clusterName": "c", "configuration": plain }));
    assert_eq!(made["cluster"]["configuration"], plain);
}

#[test]
fn identifiers_of_another_cluster_and_of_no_task_are_refused() {
    let mut lab = Lab::new();
    lab.ok("CreateCluster", json!({ "clusterName": "other" }));
    lab.register("web");
    let run = json!({ "cluster": "other", "taskDefinition": "web", "launchType": "FARGATE",
        "networkConfiguration": network() });
    let task = lab.ok("RunTask", run)["tasks"][0].clone();
    let arn = task["taskArn"].as_str().expect("an ARN").to_owned();
    // AWS names every container, though nothing was overridden.
    assert_eq!(task["overrides"]["containerOverrides"], json!([{ "name": "web" }]));

    let elsewhere = "Invalid identifier: Identifier is for cluster other. Your cluster is default";
    let short = "taskId length should be one of [32,36]";
    let service = "arn:aws:ecs:us-east-1:000000000000:service/other/web";
    for (name, input, message) in [
        ("DescribeTasks", json!({ "tasks": [arn] }), elsewhere),
        ("DescribeTasks", json!({ "tasks": ["abc"] }), short),
        ("StopTask", json!({ "task": arn }), elsewhere),
        ("StopTask", json!({ "task": "abc" }), short),
        ("GetTaskProtection", json!({ "tasks": ["abc"] }), short),
        (
            "ExecuteCommand",
            json!({ "task": "abc", "command": "sh", "interactive": true }),
            "task length should be one of [32,36]",
        ),
        ("DescribeServices", json!({ "services": [service] }), elsewhere),
        ("UpdateService", json!({ "service": service }), elsewhere),
        ("DeleteService", json!({ "service": service }), elsewhere),
    ] {
        let found = lab.err(name, input);
        assert_eq!(
            found,
            ("InvalidParameterException".to_owned(), message.to_owned()),
            "{name}"
        );
    }
    let found = lab.ok("DescribeTasks", json!({ "cluster": "other", "tasks": [arn] }));
    assert_eq!(found["tasks"][0]["taskArn"], json!(arn));
}

/// The values of a condition key; nothing when it is absent.
fn key<'a>(access: &'a honmaru_machine::Access, name: &str) -> Option<Vec<&'a str>> {
    let (_, values) = access.context.iter().find(|(key, _)| key == name)?;
    Some(values.iter().map(String::as_str).collect())
}

// Ref: Service Authorization Reference, "Actions, resources, and condition keys for Amazon Elastic Container Service".
#[test]
fn condition_keys_are_those_of_the_reference() {
    let mut lab = Lab::new();
    let prefix = "arn:aws:ecs:us-east-1:000000000000:";
    let definition = json!({
        "family": "app", "cpu": ".5 vCPU", "memory": "1GB", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc",
        "containerDefinitions": [{ "name": "c", "image": "i" }],
    });
    let asked = lab.asked("RegisterTaskDefinition", definition.clone());
    assert_eq!(asked[0].resources, [format!("{prefix}task-definition/app:*")]);
    assert_eq!(key(&asked[0], "ecs:task-cpu"), Some(vec!["512"]));
    assert_eq!(key(&asked[0], "ecs:task-memory"), Some(vec!["1024"]));
    assert_eq!(key(&asked[0], "ecs:privileged"), Some(vec!["false"]));
    assert_eq!(key(&asked[0], "ecs:compute-compatibility"), Some(vec!["FARGATE"]));
    let privileged = json!({ "family": "app", "containerDefinitions": [{ "name": "c", "privileged": true }] });
    let asked = lab.asked("RegisterTaskDefinition", privileged);
    assert_eq!(key(&asked[0], "ecs:privileged"), Some(vec!["true"]));
    lab.ok("RegisterTaskDefinition", definition);

    let run = lab.asked("RunTask", json!({ "taskDefinition": "app" }));
    assert_eq!(key(&run[0], "ecs:enable-execute-command"), Some(vec!["false"]));
    assert_eq!(key(&run[0], "ecs:task-cpu"), Some(vec!["512"]), "of the definition");
    assert_eq!(key(&run[0], "ecs:capacity-provider"), None);
    let run = lab.asked(
        "RunTask",
        json!({ "taskDefinition": "app", "enableExecuteCommand": true, "overrides": { "cpu": "1024" },
            "capacityProviderStrategy": [{ "capacityProvider": "FARGATE" }] }),
    );
    assert_eq!(key(&run[0], "ecs:enable-execute-command"), Some(vec!["true"]));
    assert_eq!(key(&run[0], "ecs:task-cpu"), Some(vec!["1024"]), "of the call");
    let fargate = format!("{prefix}capacity-provider/FARGATE");
    assert_eq!(key(&run[0], "ecs:capacity-provider"), Some(vec![fargate.as_str()]));
    let start = lab.asked(
        "StartTask",
        json!({ "taskDefinition": "app", "containerInstances": ["i1"] }),
    );
    let instance = format!("{prefix}container-instance/default/i1");
    assert_eq!(key(&start[0], "ecs:container-instances"), Some(vec![instance.as_str()]));

    let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-1"], "assignPublicIp": "ENABLED" } });
    let service = json!({ "serviceName": "web", "taskDefinition": "app", "desiredCount": 0, "launchType": "FARGATE",
        "networkConfiguration": network, "enableExecuteCommand": true });
    let create = &lab.asked("CreateService", service.clone())[0];
    for (name, value) in [
        ("ecs:enable-execute-command", "true"),
        ("ecs:enable-ecs-managed-tags", "false"),
        ("ecs:propagate-tags", "NONE"),
        ("ecs:subnet", "subnet-1"),
        ("ecs:auto-assign-public-ip", "true"),
        ("ecs:enable-ebs-volumes", "false"),
        ("ecs:enable-service-connect", "false"),
        ("ecs:enable-vpc-lattice", "false"),
        ("ecs:task-memory", "1024"),
    ] {
        assert_eq!(key(create, name), Some(vec![value]), "{name}");
    }
    let arn = format!("{prefix}task-definition/app:1");
    assert_eq!(key(create, "ecs:task-definition"), Some(vec![arn.as_str()]));
    lab.ok("CreateService", service);
    let update = &lab.asked("UpdateService", json!({ "service": "web" }))[0];
    assert_eq!(
        key(update, "ecs:enable-execute-command"),
        Some(vec!["true"]),
        "as it is"
    );
    assert_eq!(key(update, "ecs:task-definition"), Some(vec![arn.as_str()]));

    let setting = &lab.asked(
        "PutAccountSetting",
        json!({ "name": "containerInsights", "value": "enabled" }),
    )[0];
    assert_eq!(key(setting, "ecs:account-setting"), Some(vec!["containerInsights"]));
}

// Terraform's provider takes a setting back by "disabled", and goes on when AWS says these words (its resource
// aws_ecs_account_setting_default).
#[test]
fn long_arns_cannot_be_turned_off() {
    let mut lab = Lab::new();
    for name in [
        "containerInstanceLongArnFormat",
        "serviceLongArnFormat",
        "taskLongArnFormat",
    ] {
        let setting = |value: &str| json!({ "name": name, "value": value });
        lab.ok("PutAccountSettingDefault", setting("enabled"));
        let (code, message) = lab.err("PutAccountSettingDefault", setting("disabled"));
        assert_eq!(code, "InvalidParameterException");
        assert_eq!(message, "You can no longer disable Long Arn settings");
    }
}

#[test]
fn calls_ask_for_the_resources_of_the_reference() {
    let lab = Lab::new();
    let resources = |name: &str, input: Value| -> Vec<String> {
        let asked = lab.asked(name, input);
        let resources = asked.iter().flat_map(|access| &access.resources);
        resources
            .map(|arn| arn.trim_start_matches("arn:aws:ecs:us-east-1:000000000000:").to_owned())
            .collect()
    };
    let task = json!({ "task": "t1", "container": "app" });
    assert_eq!(
        resources("ExecuteCommand", task.clone()),
        ["task/default/t1", "cluster/default"]
    );
    for access in lab.asked("ExecuteCommand", task) {
        assert_eq!(key(&access, "ecs:container-name"), Some(vec!["app"]));
        assert_eq!(
            key(&access, "ecs:task"),
            Some(vec!["arn:aws:ecs:us-east-1:000000000000:task/default/t1"])
        );
    }
    assert_eq!(resources("ListTasks", json!({})), ["*"]);
    let of_instance = json!({ "containerInstance": "i1", "cluster": "c" });
    assert_eq!(resources("ListTasks", of_instance), ["container-instance/c/i1"]);
    let instances = json!({ "containerInstances": ["i1"] });
    assert_eq!(
        resources("DescribeContainerInstances", instances),
        ["container-instance/default/i1"]
    );
    let deployment = "arn:aws:ecs:us-east-1:000000000000:service-deployment/c/web/d1";
    for (name, input) in [
        (
            "DescribeServiceDeployments",
            json!({ "serviceDeploymentArns": [deployment] }),
        ),
        ("StopServiceDeployment", json!({ "serviceDeploymentArn": deployment })),
    ] {
        assert_eq!(
            resources(name, input.clone()),
            ["service-deployment/c/web/d1", "service/c/web"]
        );
        let asked = lab.asked(name, input);
        let service = "arn:aws:ecs:us-east-1:000000000000:service/c/web";
        assert_eq!(key(&asked[0], "ecs:service"), Some(vec![service]));
    }
    assert_eq!(
        resources("DescribeCapacityProviders", json!({})),
        ["capacity-provider/*"]
    );
}

/// The resources of an action in what a call asks for.
fn resources_of<'a>(asked: &'a [Access], action: &str) -> Vec<&'a str> {
    let of_action = asked.iter().filter(|access| access.action == action);
    of_action
        .flat_map(|access| &access.resources)
        .map(String::as_str)
        .collect()
}

#[test]
fn permission_is_asked_for_the_revision_that_runs_and_for_its_roles() {
    let mut lab = Lab::new();
    let role = "arn:aws:iam::000000000000:role/powerful";
    lab.ok("RegisterTaskDefinition", with("/taskRoleArn", json!(role)));
    let family = "web";
    lab.ok("RegisterTaskDefinition", definition(family));
    lab.ok("DeregisterTaskDefinition", json!({ "taskDefinition": "web:2" }));
    // The newest is not the newest that can run: a revision without a role does not hide the role of the one before.
    let run = json!({ "taskDefinition": family, "launchType": "FARGATE", "networkConfiguration": network() });
    let asked = lab.asked("RunTask", run.clone());
    let ran = lab.ok("RunTask", run)["tasks"][0]["taskDefinitionArn"].clone();
    assert_eq!(ran, "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1");
    assert_eq!(json!(resources_of(&asked, "ecs:RunTask")), json!([ran]));
    assert_eq!(resources_of(&asked, "iam:PassRole"), [role]);
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

#[test]
fn a_task_has_no_tags_under_another_clusters_name() {
    let mut lab = Lab::new();
    lab.register("web");
    let run = json!({ "taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network() });
    let arn = lab.ok("RunTask", run)["tasks"][0]["taskArn"].clone();
    let arn = arn.as_str().expect("an ARN");
    let elsewhere = arn.replace(":task/default/", ":task/mine/");
    let tags = json!([{ "key": "a", "value": "b" }]);
    for (operation, input) in [
        ("TagResource", json!({ "resourceArn": elsewhere, "tags": tags })),
        ("UntagResource", json!({ "resourceArn": elsewhere, "tagKeys": ["a"] })),
        ("ListTagsForResource", json!({ "resourceArn": elsewhere })),
    ] {
        assert_eq!(lab.err(operation, input).0, "ResourceNotFoundException", "{operation}");
    }
    lab.ok("TagResource", json!({ "resourceArn": arn, "tags": tags }));
}
