//! Goal: services keep their desired count and move between versions without losing what serves.
//! Method: the real reconcilers with a node that obeys at once, and targets whose health the test sets.

mod lab;

use honmaru_contract::node::{Health, StopReason, TaskPhase};
use honmaru_ecs::{LastStatus, Task};
use lab::{Lab, balanced};
use serde_json::{Value, json};

fn running(lab: &Lab, revision: u32) -> usize {
    let tasks = lab.state.all::<Task>().map(|(_, id, t)| (id, t));
    tasks
        .filter(|(_, t)| t.revision == revision && t.last_status == LastStatus::Running && t.is_wanted())
        .count()
}

fn steady(lab: &mut Lab, count: u32) {
    lab.register("web");
    lab.ok("CreateService", balanced("web", "web:1", count));
    lab.run(5_000, |_| true);
    assert_eq!(running(lab, 1), count as usize);
    assert_eq!(lab.events("web")[0], "(service web) has reached a steady state.");
}

#[test]
fn a_service_starts_registers_and_becomes_steady() {
    let mut lab = Lab::new();
    steady(&mut lab, 2);
    let service = lab.service("web");
    assert_eq!(
        (&service["runningCount"], &service["pendingCount"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(service["deployments"].as_array().map(Vec::len), Some(1));
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
    let events = lab.events("web");
    assert!(
        events
            .iter()
            .any(|e| e.starts_with("(service web) has started 2 tasks: (task ")),
        "{events:?}"
    );
    let deployments = lab.ok("ListServiceDeployments", json!({ "service": "web" }));
    assert_eq!(deployments["serviceDeployments"][0]["status"], "SUCCESSFUL");
    let before = lab.records.len();
    lab.pass(60_000);
    assert_eq!(lab.records.len(), before, "a steady service writes nothing");
}

/// Ref: the aws CLI's examples of list-service-deployments, describe-service-deployments and
/// describe-service-revisions.
#[test]
fn deployments_and_revisions_are_told_as_in_awss_examples() {
    let mut lab = Lab::new();
    lab.register("web");
    lab.ok("CreateCluster", json!({ "clusterName": "other" }));
    let mut input = balanced("web", "web:1", 0);
    input["cluster"] = json!("other");
    let arn = lab.ok("CreateService", input)["service"]["serviceArn"].clone();

    let list = lab.ok("ListServiceDeployments", json!({ "service": arn }));
    let deployment = &list["serviceDeployments"][0];
    assert_eq!(deployment["serviceArn"], arn, "the ARN names the cluster");
    let (code, message) = lab.err(
        "ListServiceDeployments",
        json!({ "service": arn, "cluster": "default" }),
    );
    assert_eq!(code, "InvalidParameterException");
    assert_eq!(
        message,
        "Invalid identifier: Identifier is for cluster other. Your cluster is default"
    );

    let named = json!({ "serviceDeploymentArns": [deployment["serviceDeploymentArn"]] });
    let described = lab.ok("DescribeServiceDeployments", named);
    assert_eq!(
        described["serviceDeployments"][0]["alarms"],
        json!({ "status": "DISABLED" })
    );

    let named = json!({ "serviceRevisionArns": [deployment["targetServiceRevisionArn"]] });
    let revision = lab.ok("DescribeServiceRevisions", named)["serviceRevisions"][0].clone();
    assert_eq!(revision["platformFamily"], "Linux");
    assert_eq!(revision["guardDutyEnabled"], false);
}

#[test]
fn a_role_for_load_balancers_is_refused_and_an_empty_one_is_none() {
    let mut lab = Lab::new();
    lab.register("web");
    let mut input = balanced("web", "web:1", 0);
    input["role"] = json!("ecsServiceRole");
    let (code, message) = lab.err("CreateService", input.clone());
    assert_eq!(code, "InvalidParameterException");
    assert_eq!(
        message,
        "You cannot specify an IAM role for services that require a service linked role."
    );
    input["role"] = json!("");
    lab.ok("CreateService", input);
}

#[test]
fn a_rolling_update_never_has_fewer_healthy_tasks_than_the_minimum() {
    let mut lab = Lab::new();
    steady(&mut lab, 4);
    lab.register("web");
    let update = json!({ "service": "web", "taskDefinition": "web:2",
        "deploymentConfiguration": { "maximumPercent": 150, "minimumHealthyPercent": 75 } });
    let answer = lab.ok("UpdateService", update);
    assert_eq!(answer["service"]["deployments"].as_array().map(Vec::len), Some(2));
    for _ in 0..120 {
        lab.obey(|_| true);
        lab.pass(250);
        let wanted = lab
            .state
            .list::<Task>(&Lab::scope())
            .filter(|(_, t)| t.is_wanted())
            .count();
        assert!(running(&lab, 1) + running(&lab, 2) >= 3 && wanted <= 6);
    }
    assert_eq!((running(&lab, 1), running(&lab, 2)), (0, 4));
    assert_eq!(lab.service("web")["deployments"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_version_that_never_becomes_healthy_leaves_the_old_one_serving() {
    let mut lab = Lab::new();
    steady(&mut lab, 2);
    lab.register("web");
    lab.ok("UpdateService", json!({ "service": "web", "taskDefinition": "web:2" }));
    lab.run(120_000, |task| task.revision == 1);
    assert_eq!(running(&lab, 1), 2);
    let service = lab.service("web");
    assert_eq!(
        service["deployments"][0]["rolloutState"], "IN_PROGRESS",
        "without a breaker it keeps trying"
    );
    assert!(service["deployments"][0]["failedTasks"].as_u64() > Some(2));
    let events = lab.events("web").join("\n");
    assert!(
        events.contains("is unhealthy in (target-group arn:tg) due to (reason Health checks failed"),
        "{events}"
    );
    assert!(
        events.contains("is unable to consistently start tasks successfully"),
        "{events}"
    );
    let attempts = lab
        .state
        .list::<Task>(&Lab::scope())
        .filter(|(_, t)| t.revision == 2)
        .count();
    assert!(
        attempts < 40,
        "{attempts} attempts in two minutes: the back-off is missing"
    );
}

#[test]
fn the_circuit_breaker_rolls_back() {
    let mut lab = Lab::new();
    steady(&mut lab, 2);
    lab.register("web");
    let breaker = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } });
    let answer = lab.ok(
        "UpdateService",
        json!({ "service": "web", "taskDefinition": "web:2", "deploymentConfiguration": breaker }),
    );
    let failed = answer["service"]["deployments"][0]["id"].clone();
    lab.run(90_000, |task| task.revision == 1);
    let service = lab.service("web");
    assert_eq!(
        service["taskDefinition"],
        "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1"
    );
    let ids: Vec<&Value> = service["deployments"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|d| &d["id"])
        .collect();
    assert!(ids.len() == 1 && *ids[0] != failed, "{ids:?}");
    let events = lab.events("web").join("\n");
    assert!(events.contains("deployment failed: tasks failed to start."), "{events}");
    assert!(events.contains("rolling back to deployment ecs-svc/"), "{events}");
    let list = lab.ok("ListServiceDeployments", json!({ "service": "web" }));
    assert_eq!(list["serviceDeployments"][0]["status"], "ROLLBACK_SUCCESSFUL");
    let arn = list["serviceDeployments"][0]["serviceDeploymentArn"].clone();
    let described = lab.ok("DescribeServiceDeployments", json!({ "serviceDeploymentArns": [arn] }));
    assert_eq!(
        described["serviceDeployments"][0]["deploymentCircuitBreaker"]["status"],
        "TRIGGERED"
    );
    assert_eq!(running(&lab, 1), 2);
    lab.pass(60_000);
    assert_eq!(running(&lab, 2), 0);
}

#[test]
fn tasks_that_exit_at_their_start_trip_the_breaker_too() {
    let mut lab = Lab::new();
    lab.register("web");
    let mut input = balanced("web", "web:1", 1);
    input["deploymentConfiguration"] = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } });
    lab.ok("CreateService", input);
    for _ in 0..100 {
        let specs = honmaru_ecs::node_tasks(&lab.state, lab::NODE);
        for id in specs.keys() {
            let reason = StopReason::EssentialContainerExited;
            lab.report(id, TaskPhase::Stopped { reason }, Health::Unknown);
        }
        lab.pass(500);
    }
    let service = lab.service("web");
    assert_eq!(service["deployments"][0]["rolloutState"], "FAILED");
    assert_eq!(
        service["deployments"][0]["rolloutStateReason"],
        "ECS deployment circuit breaker: tasks failed to start."
    );
    let tasks: Vec<&Task> = lab.state.list::<Task>(&Lab::scope()).map(|(_, task)| task).collect();
    assert_eq!(tasks.len(), 3, "the threshold of one task is three failures");
    assert!(tasks.iter().all(|t| {
        t.stop
            .as_ref()
            .is_some_and(|s| s.reason == "Essential container in task exited")
    }));
}

#[test]
fn targets_drain_before_sigterm() {
    let mut lab = Lab::new();
    steady(&mut lab, 1);
    lab.ok("UpdateService", json!({ "service": "web", "desiredCount": 0 }));
    lab.settle();
    let (id, task) = lab
        .state
        .list::<Task>(&Lab::scope())
        .next()
        .map(|(id, t)| (id.to_owned(), t.clone()))
        .expect("one");
    assert_eq!(task.last_status, LastStatus::Deactivating);
    let stop = task.stop.expect("it shall stop");
    assert!(
        stop.reason
            .starts_with("Scaling activity initiated by (deployment ecs-svc/"),
        "{}",
        stop.reason
    );
    lab.pass(4_000);
    let goal = |lab: &Lab| honmaru_ecs::node_tasks(&lab.state, lab::NODE)[&id].goal.clone();
    assert_eq!(
        goal(&lab),
        honmaru_contract::node::TaskGoal::Run,
        "SIGTERM waits for the drain"
    );
    lab.pass(2_000);
    assert_eq!(goal(&lab), honmaru_contract::node::TaskGoal::Stop);
    lab.obey(|_| true);
    assert_eq!(lab.events("web")[0], "(service web) has reached a steady state.");
}

#[test]
fn a_crashed_or_unhealthy_task_is_replaced() {
    let mut lab = Lab::new();
    steady(&mut lab, 2);
    let first = lab
        .state
        .list::<Task>(&Lab::scope())
        .next()
        .map(|(id, _)| id.to_owned())
        .expect("two run");
    lab.report(
        &first,
        TaskPhase::Stopped {
            reason: StopReason::EssentialContainerExited,
        },
        Health::Unknown,
    );
    lab.run(10_000, |_| true);
    assert_eq!(running(&lab, 1), 2);

    let sick = lab
        .state
        .list::<Task>(&Lab::scope())
        .find(|(_, t)| t.is_wanted())
        .map(|(id, _)| id.to_owned());
    let sick = sick.expect("two run");
    for _ in 0..60 {
        lab.obey(|task| task.id != sick);
        lab.pass(500);
        let serving = lab.state.all::<Task>().map(|(_, id, t)| (id, t));
        let serving = serving.filter(|(id, t)| *id != sick && t.is_wanted() && t.last_status == LastStatus::Running);
        assert!(serving.count() >= 1);
    }
    assert_eq!(running(&lab, 1), 2);
    let task = lab.state.get::<Task>(&Lab::scope(), &sick).expect("it is kept").clone();
    assert_eq!(
        task.stop.expect("it was replaced").reason,
        "Task failed ELB health checks in (target-group arn:tg)"
    );
}

#[test]
fn services_are_scaled_forced_and_deleted() {
    let mut lab = Lab::new();
    steady(&mut lab, 1);
    let before = lab.service("web")["deployments"][0]["id"].clone();
    let scaled = lab.ok("UpdateService", json!({ "service": "web", "desiredCount": 3 }));
    assert_eq!(
        scaled["service"]["deployments"][0]["id"], before,
        "scaling is no deployment"
    );
    lab.run(5_000, |_| true);
    assert_eq!(running(&lab, 1), 3);
    let forced = lab.ok("UpdateService", json!({ "service": "web", "forceNewDeployment": true }));
    assert_ne!(forced["service"]["deployments"][0]["id"], before);
    lab.run(30_000, |_| true);
    assert_eq!(running(&lab, 1), 3);

    let refused = lab.err("DeleteService", json!({ "service": "web" }));
    assert_eq!(refused.1, "The service cannot be stopped while it is scaled above 0.");
    assert_eq!(
        lab.ok("DeleteService", json!({ "service": "web", "force": true }))["service"]["status"],
        "DRAINING"
    );
    let again = lab.err("CreateService", balanced("web", "web:1", 1));
    assert_eq!(again.1, "Unable to Start a service that is still Draining.");
    lab.run(20_000, |_| true);
    assert_eq!(lab.service("web")["status"], "INACTIVE");
    assert_eq!(
        lab.err("UpdateService", json!({ "service": "web" })).0,
        "ServiceNotActiveException"
    );
    assert_eq!(lab.ok("ListServices", json!({}))["serviceArns"], json!([]));
    lab.ok("CreateService", balanced("web", "web:1", 1));
    assert_eq!(
        lab.err("CreateService", balanced("web", "web:1", 1)).1,
        "Creation of service was not idempotent."
    );
}

#[test]
fn a_service_checks_its_target_containers() {
    let mut lab = Lab::new();
    lab.register("web");
    let mut input = balanced("web", "web:1", 1);
    input["loadBalancers"][0]["containerName"] = json!("nope");
    assert_eq!(
        lab.err("CreateService", input.clone()).1,
        "The container nope does not exist in the task definition."
    );
    input["loadBalancers"][0]["containerName"] = json!("web");
    input["loadBalancers"][0]["containerPort"] = json!(81);
    assert_eq!(
        lab.err("CreateService", input).1,
        "The container web did not have a container port 81 defined."
    );
    let mut both = balanced("web", "web:1", 1);
    both["deploymentConfiguration"] = json!({ "maximumPercent": 100, "minimumHealthyPercent": 100 });
    assert!(
        lab.err("CreateService", both)
            .1
            .starts_with("Both maximumPercent and minimumHealthyPercent")
    );
}

#[test]
fn the_records_rebuild_the_state() {
    let mut lab = Lab::new();
    steady(&mut lab, 2);
    lab.register("web");
    lab.ok("UpdateService", json!({ "service": "web", "taskDefinition": "web:2" }));
    lab.run(20_000, |_| true);
    assert_eq!(lab::dump(&lab.replayed()), lab::dump(&lab.state));
}

#[test]
fn a_thousand_tasks_are_started_by_one_service() {
    let mut lab = Lab::new();
    lab.observe_node(64 * 1_024, 1_024 * 1_024, "boot-1", Vec::new());
    lab.register("web");
    let mut input = balanced("web", "web:1", 1_000);
    input["loadBalancers"] = json!([]);
    lab.ok("CreateService", input);
    lab.settle();
    let specs = honmaru_ecs::node_tasks(&lab.state, lab::NODE);
    assert_eq!(specs.len(), 1_000);
    assert_eq!(honmaru_ecs::node_task_versions(&lab.state, lab::NODE).count(), 1_000);
    let events = lab.events("web");
    assert_eq!(
        events.len(),
        100,
        "ten tasks an event, and no more than a hundred events"
    );
}
