//! What calls ask permission for, and whose identifiers they take.

use crate::definitions::with;
use crate::lab::{Lab, definition, network};
use honmaru_machine::Access;
use serde_json::{Value, json};

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
