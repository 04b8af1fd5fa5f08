//! Tasks, and the services that keep them.

use crate::lab::{Lab, definition, network};
use honmaru_contract::node::{Health, ImageSource, StopReason, TaskGoal, TaskPhase};
use honmaru_ecs::{LastStatus, Task};
use serde_json::{Value, json};

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
            "InvalidParameterException",
            "Network Configuration is not valid for the given networkMode of this task definition.",
        ),
        (
            json!({ "taskDefinition": "old", "launchType": "EC2" }),
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
    let mut create = crate::lab::balanced("s", "web", 0);
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
    crate::lab::replay(&mut after.state, &lab.records);
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
    let spec = honmaru_ecs::node_tasks(&lab.state, crate::lab::NODE)
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
    let spec = honmaru_ecs::node_tasks(&lab.state, crate::lab::NODE)
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
    assert!(honmaru_ecs::node_tasks(&lab.state, crate::lab::NODE).is_empty());
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
fn a_session_is_recorded_where_its_cluster_says() {
    let mut lab = Lab::new();
    lab.register("silent");
    let mut logged = definition("logged");
    logged["executionRoleArn"] = json!("arn:aws:iam::000000000000:role/execution");
    logged["containerDefinitions"][0]["logConfiguration"] = json!({ "logDriver": "awslogs", "options": {
        "awslogs-group": "own", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "p" } });
    lab.ok("RegisterTaskDefinition", logged);
    let mut run = |family: &str| {
        let answer = lab.ok(
            "RunTask",
            json!({ "taskDefinition": family, "launchType": "FARGATE",
                "networkConfiguration": network(), "enableExecuteCommand": true }),
        );
        lab.settle();
        let arn = answer["tasks"][0]["taskArn"].as_str().expect("an ARN");
        let id = arn.rsplit('/').next().expect("an id").to_owned();
        lab.report(&id, TaskPhase::Running, Health::Unknown);
        id
    };
    let (silent, logged) = (run("silent"), run("logged"));
    let mut check = |execute: Value, task: &str, wanted: Option<(&str, &str)>| {
        let configuration = json!({ "executeCommandConfiguration": execute });
        lab.ok(
            "UpdateCluster",
            json!({ "cluster": "default", "configuration": configuration }),
        );
        let answer = lab.ok(
            "ExecuteCommand",
            json!({ "task": task, "command": "sh", "interactive": true }),
        );
        let id = answer["session"]["sessionId"].as_str().expect("an id");
        let (_, session) = honmaru_ecs::find_session(&lab.state, id).expect("it was opened");
        let log = session
            .log
            .as_ref()
            .map(|log| (log.region.as_str(), log.group.as_str()));
        assert_eq!(log, wanted, "{execute}");
    };
    let own = Some(("eu-west-1", "own"));
    check(json!({}), &logged, own);
    check(json!({ "logging": "DEFAULT" }), &logged, own);
    check(json!({ "logging": "DEFAULT" }), &silent, None);
    check(json!({ "logging": "NONE" }), &logged, None);
    let over = json!({ "logging": "OVERRIDE", "logConfiguration": { "cloudWatchLogGroupName": "sessions" } });
    check(over.clone(), &logged, Some(("us-east-1", "sessions")));
    check(over, &silent, Some(("us-east-1", "sessions")));
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
