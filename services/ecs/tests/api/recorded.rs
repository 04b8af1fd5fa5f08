//! Words that were recorded from AWS. Ref: badmintoncryer/cdk-preflight, rules/ecs (deploys and calls of September 2026);
//! each case names its rule there.

use crate::definitions::with;
use crate::lab::{Lab, balanced, definition, network};
use serde_json::{Value, json};

const C: &str = "/containerDefinitions/0";

pub(crate) fn of_container(member: &str, value: Value) -> Value {
    with(&format!("{C}/{member}"), value)
}

fn of_health(member: &str, value: u32) -> Value {
    of_container("healthCheck", json!({ "command": ["CMD", "true"], member: value }))
}

/// A second container, and what the first one has more.
pub(crate) fn beside(first: Value, second: Value) -> Value {
    let mut input = definition("web");
    let containers = &mut input["containerDefinitions"];
    containers[0]["portMappings"] = json!([]);
    let side = json!({ "name": "side", "image": "localhost:4566/side:1", "essential": false });
    *containers = json!([merged(containers[0].clone(), first), merged(side, second)]);
    input
}

pub(crate) fn merged(mut base: Value, more: Value) -> Value {
    if let (Some(all), Value::Object(more)) = (base.as_object_mut(), more) {
        all.extend(more);
    }
    base
}

/// A definition for EC2 alone.
pub(crate) fn of_ec2(mode: &str, more: Value) -> Value {
    let container = json!({ "name": "app", "image": "localhost:4566/web:1", "memory": 512 });
    let base = json!({ "family": "web", "networkMode": mode, "requiresCompatibilities": ["EC2"] });
    let base = merged(base, json!({ "containerDefinitions": [container] }));
    merged(base, more)
}

pub(crate) fn check(lab: &mut Lab, operation: &str, code: &str, cases: Vec<(&str, Value, &str)>) {
    for (rule, input, words) in cases {
        let (found, message) = lab.err(operation, input);
        assert_eq!((found.as_str(), message.as_str()), (code, words), "{rule}");
    }
}

#[test]
fn what_fargate_does_not_do() {
    let linux = |parameters: Value| of_container("linuxParameters", parameters);
    let cases = vec![
        (
            "pf-ecs-fargate-capabilities-add",
            linux(json!({ "capabilities": { "add": ["SYS_PTRACE", "NET_ADMIN"] } })),
            "NET_ADMIN is not allowed on Fargate.",
        ),
        (
            "pf-ecs-fargate-devices",
            linux(json!({ "devices": [{ "hostPath": "/dev/fuse" }] })),
            "Fargate compatible task definitions do not support devices",
        ),
        (
            "pf-ecs-fargate-max-swap",
            linux(json!({ "maxSwap": 512 })),
            "Fargate compatible task definitions do not support maxSwap",
        ),
        (
            "pf-ecs-fargate-shared-memory-size",
            linux(json!({ "sharedMemorySize": 64 })),
            "Fargate compatible task definitions do not support sharedMemorySize",
        ),
        (
            "pf-ecs-fargate-docker-security-options",
            of_container("dockerSecurityOptions", json!(["no-new-privileges"])),
            "Fargate compatible task definitions do not support dockerSecurityOptions",
        ),
        (
            "pf-ecs-fargate-docker-volume",
            with(
                "/volumes",
                json!([{ "name": "v", "dockerVolumeConfiguration": { "scope": "task" } }]),
            ),
            "Fargate compatible task definitions do not support dockerVolumeConfiguration",
        ),
        (
            "pf-ecs-fargate-host-source-path",
            with("/volumes", json!([{ "name": "v", "host": { "sourcePath": "/data" } }])),
            "Fargate compatible task definitions do not support sourcePath",
        ),
        (
            "pf-ecs-fargate-ipc-mode",
            with("/ipcMode", json!("task")),
            "Fargate compatible task definitions do not support ipcMode",
        ),
        (
            "pf-ecs-fargate-pid-mode-host",
            with("/pidMode", json!("host")),
            "Tasks using the Fargate launch type do not support pidMode 'host'. The supported value for pidMode is \
             'task'.",
        ),
        (
            "pf-ecs-fargate-placement-constraints",
            with(
                "/placementConstraints",
                json!([{ "type": "memberOf", "expression": "attribute:a == b" }]),
            ),
            "Fargate compatible task definitions do not support constraints",
        ),
        (
            "pf-ecs-fargate-gpu-resource",
            of_container("resourceRequirements", json!([{ "type": "GPU", "value": "1" }])),
            "Tasks using the Fargate launch type do not support GPU resource requirements.",
        ),
        (
            "pf-ecs-fargate-privileged",
            of_container("privileged", json!(true)),
            "Fargate requires that the \u{2018}privileged\u{2019} setting be \u{2018}false\u{2019} at the container \
             level.",
        ),
        (
            "pf-ecs-fargate-inference-accelerator",
            with(
                "/inferenceAccelerators",
                json!([{ "deviceName": "d", "deviceType": "t" }]),
            ),
            "Unsupported field 'inferenceAccelerators'.",
        ),
        (
            "pf-ecs-fargate-ephemeral-storage-ec2",
            of_ec2("bridge", json!({ "ephemeralStorage": { "sizeInGiB": 30 } })),
            "Tasks using the EC2 launch type do not support EphemeralStorage.",
        ),
        // No rule of theirs: issues of clients have the words.
        (
            "stopTimeout",
            of_container("stopTimeout", json!(121)),
            "Tasks using the Fargate launch type must have a container stop timeout of less than 120 seconds.",
        ),
    ];
    let mut lab = Lab::new();
    check(&mut lab, "RegisterTaskDefinition", "ClientException", cases);
    lab.ok(
        "RegisterTaskDefinition",
        linux(json!({ "capabilities": { "add": ["SYS_PTRACE"] } })),
    );
    lab.ok("RegisterTaskDefinition", of_container("stopTimeout", json!(120)));
}

/// A definition that asks for no compatibility may have what Fargate has not, and says so.
#[test]
fn what_fargate_does_not_do_runs_elsewhere() {
    let mut lab = Lab::new();
    let mut input = of_container("linuxParameters", json!({ "sharedMemorySize": 64 }));
    input["requiresCompatibilities"] = json!([]);
    let made = lab.ok("RegisterTaskDefinition", input);
    assert_eq!(made["taskDefinition"]["compatibilities"], json!(["EC2"]));
    let run = json!({ "taskDefinition": "web", "networkConfiguration": network() });
    let words = "Task definition does not support launch_type FARGATE.";
    let on_fargate = merged(run.clone(), json!({ "launchType": "FARGATE" }));
    check(
        &mut lab,
        "RunTask",
        "InvalidParameterException",
        vec![("RunTask", on_fargate, words)],
    );
    lab.ok("RunTask", merged(run, json!({ "launchType": "EC2" })));
}

#[test]
fn what_a_network_mode_does_not_do() {
    let ports = |mappings: Value| of_container("portMappings", mappings);
    let eighty = || json!({ "portMappings": [{ "containerPort": 80 }] });
    let twice = "TCP container port '80' is used multiple times in task when networkMode=awsvpc.";
    let cases = vec![
        (
            "pf-ecs-fargate-links",
            beside(json!({ "links": ["side"] }), json!({})),
            "Links are not supported when networkMode=awsvpc.",
        ),
        (
            "pf-ecs-awsvpc-hostname",
            of_container("hostname", json!("web")),
            "hostname is not supported on container when networkMode=awsvpc.",
        ),
        (
            "pf-ecs-awsvpc-extra-hosts",
            of_container("extraHosts", json!([{ "hostname": "db", "ipAddress": "10.0.0.1" }])),
            "Extra hosts are not supported on container when networkMode=awsvpc.",
        ),
        (
            "pf-ecs-fargate-dns-servers",
            of_container("dnsServers", json!(["10.0.0.2"])),
            "DNS servers are not supported on container when networkMode=awsvpc.",
        ),
        (
            "pf-ecs-fargate-disable-networking",
            of_container("disableNetworking", json!(true)),
            "Disable Networking is not supported on container when networkMode=awsvpc.",
        ),
        (
            "pf-ecs-port-mapping-duplicate-name",
            ports(json!([{ "containerPort": 80, "name": "web" }, { "containerPort": 81, "name": "web" }])),
            "When networkMode=awsvpc, port mapping name is already used",
        ),
        (
            "pf-ecs-port-range-overlap",
            ports(json!([{ "containerPort": 80 }, { "containerPort": 80 }])),
            twice,
        ),
        ("pf-ecs-port-range-overlap", beside(eighty(), eighty()), twice),
        (
            "pf-ecs-host-network-host-port-mismatch",
            of_ec2(
                "host",
                json!({ "containerDefinitions": [{ "name": "app", "image": "app", "memory": 512,
                    "portMappings": [{ "containerPort": 80, "hostPort": 81 }] }] }),
            ),
            "When networkMode=host, the host ports and container ports in port mappings must match.",
        ),
    ];
    let mut lab = Lab::new();
    check(&mut lab, "RegisterTaskDefinition", "ClientException", cases);
    lab.ok(
        "RegisterTaskDefinition",
        ports(json!([{ "containerPort": 80 }, { "containerPort": 80, "protocol": "udp" }])),
    );
    let host = json!({ "name": "app", "image": "app", "memory": 512, "portMappings": [{ "containerPort": 80 }] });
    let made = lab.ok(
        "RegisterTaskDefinition",
        of_ec2("host", json!({ "containerDefinitions": [host] })),
    );
    let shown = &made["taskDefinition"]["containerDefinitions"][0]["portMappings"][0];
    assert_eq!(shown["hostPort"], 80);
}

#[test]
fn what_a_container_may_say() {
    let depends = |condition: &str| json!({ "dependsOn": [{ "containerName": "web", "condition": condition }] });
    let log = |driver: &str, options: Value| {
        of_container("logConfiguration", json!({ "logDriver": driver, "options": options }))
    };
    let cases = vec![
        (
            "pf-ecs-essential-container",
            of_container("essential", json!(false)),
            "Task definition doesn't have any essential container.",
        ),
        (
            "pf-ecs-dependson-healthy-without-healthcheck",
            beside(json!({}), depends("HEALTHY")),
            "A dependency container with HEALTHY condition must have health check configured",
        ),
        (
            "pf-ecs-dependson-complete-on-essential",
            beside(json!({}), depends("COMPLETE")),
            "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
        ),
        (
            "pf-ecs-volumesfrom-source-container-missing",
            of_container("volumesFrom", json!([{ "sourceContainer": "nope" }])),
            "Invalid 'volumesFrom' setting. Unknown container: 'nope'.",
        ),
        (
            "pf-ecs-mountpoint-source-volume-missing",
            of_container(
                "mountPoints",
                json!([{ "sourceVolume": "nope", "containerPath": "/data" }]),
            ),
            "Unknown volume 'nope'.",
        ),
        (
            "pf-ecs-ulimit-soft-over-hard",
            of_container(
                "ulimits",
                json!([{ "name": "nofile", "softLimit": 2_048, "hardLimit": 1_024 }]),
            ),
            "Soft limit exceeds hard limit for ulimit nofile",
        ),
        (
            "pf-ecs-restart-policy-attempt-period-range",
            of_container("restartPolicy", json!({ "enabled": true, "restartAttemptPeriod": 59 })),
            "The 'restartAttemptPeriod' setting for container 'web' must be between 60 and 1800.",
        ),
        (
            "pf-ecs-healthcheck-interval-range",
            of_health("interval", 301),
            "Health check interval must be less than or equal to the maximum allowed value 300 for container 'web'",
        ),
        (
            "pf-ecs-healthcheck-timeout-range",
            of_health("timeout", 61),
            "Health check timeout must be less than or equal to the maximum allowed value 60 for container 'web'",
        ),
        (
            "pf-ecs-healthcheck-retries-range",
            of_health("retries", 11),
            "Health check retries must be less than or equal to the maximum allowed value 10 for container 'web'",
        ),
        (
            "pf-ecs-healthcheck-start-period-range",
            of_health("startPeriod", 301),
            "Health check startPeriod must be less than or equal to the maximum allowed value 300 for container 'web'",
        ),
        (
            "pf-ecs-awslogs-missing-group",
            log(
                "awslogs",
                json!({ "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p" }),
            ),
            "Log driver awslogs requires options: awslogs-group",
        ),
        (
            "pf-ecs-awslogs-fargate-missing-stream-prefix",
            log(
                "awslogs",
                json!({ "awslogs-region": "us-east-1", "awslogs-group": "g" }),
            ),
            "Fargate requires log configuration options to include awslogs-stream-prefix to support log driver awslogs.",
        ),
        (
            "pf-ecs-fargate-log-driver-unsupported",
            log("json-file", json!({})),
            "json-file is not a valid log driver. Must be one of [awslogs,splunk,awsfirelens]",
        ),
        (
            "pf-ecs-awsfirelens-without-router",
            log("awsfirelens", json!({})),
            "When awsfirelens log driver is specified in log configuration, a firelens configuration object must be \
             configured in one of the containers.",
        ),
        (
            "pf-ecs-ephemeral-storage-range",
            with("/ephemeralStorage", json!({ "sizeInGiB": 20 })),
            "EphemeralStorage size should be at least 21",
        ),
        (
            "pf-ecs-ephemeral-storage-range",
            with("/ephemeralStorage", json!({ "sizeInGiB": -1 })),
            "EphemeralStorage size should be at least 21",
        ),
        (
            "pf-ecs-ephemeral-storage-range",
            with("/ephemeralStorage", json!({ "sizeInGiB": 201 })),
            "EphemeralStorage size should be at most 200",
        ),
    ];
    let mut lab = Lab::new();
    check(&mut lab, "RegisterTaskDefinition", "ClientException", cases);
    for gib in [21, 200] {
        lab.ok(
            "RegisterTaskDefinition",
            with("/ephemeralStorage", json!({ "sizeInGiB": gib })),
        );
    }
    for (member, bounds) in [
        ("interval", [5, 300]),
        ("timeout", [2, 60]),
        ("retries", [1, 10]),
        ("startPeriod", [0, 300]),
    ] {
        for bound in bounds {
            lab.ok("RegisterTaskDefinition", of_health(member, bound));
        }
    }
    lab.err("RegisterTaskDefinition", of_health("interval", 4));
}

#[test]
fn what_a_service_may_say() {
    let mut lab = Lab::new();
    lab.register("web");
    lab.ok(
        "RegisterTaskDefinition",
        of_ec2("bridge", json!({ "family": "bridge" })),
    );
    lab.ok(
        "PutClusterCapacityProviders",
        json!({ "cluster": "default", "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
            "defaultCapacityProviderStrategy": [] }),
    );
    let with = |more: Value| merged(balanced("shop", "web", 1), more);
    let balancers = |more: Value| {
        let one = merged(json!({ "containerName": "web", "containerPort": 80 }), more);
        with(json!({ "loadBalancers": [one] }))
    };
    let strategy = |items: Value| with(json!({ "launchType": "", "capacityProviderStrategy": items }));
    let cases = vec![
        (
            "pf-ecs-service-name",
            with(json!({ "serviceName": "a b" })),
            r"ServiceName must match ^[a-zA-Z0-9\-_]{1,255}, but was a b",
        ),
        (
            "pf-ecs-service-platform-version-ec2",
            with(json!({ "launchType": "EC2", "platformVersion": "1.4.0" })),
            "The platform version must be null when specifying an EC2 launch type.",
        ),
        (
            "pf-ecs-service-network-config-mode",
            with(json!({ "launchType": "EC2", "taskDefinition": "bridge" })),
            "Network Configuration is not valid for the given networkMode of this task definition.",
        ),
        (
            "pf-ecs-service-lb-target-exclusive",
            balancers(json!({ "targetGroupArn": "arn:tg", "loadBalancerName": "old" })),
            "loadBalancerName and targetGroupArn cannot both be specified. You must specify either a \
             loadBalancerName or a targetGroupArn in all loadBalancer entries",
        ),
        (
            "pf-ecs-svc-classic-lb-with-fargate",
            balancers(json!({ "loadBalancerName": "old" })),
            "Classic Load Balancers are not supported with Fargate.",
        ),
        (
            "pf-ecs-svc-lb-container-name-missing",
            balancers(json!({ "targetGroupArn": "arn:tg", "containerName": "nope" })),
            "The container nope does not exist in the task definition.",
        ),
        (
            "pf-ecs-svc-lb-container-port-missing",
            balancers(json!({ "targetGroupArn": "arn:tg", "containerPort": 8080 })),
            "The container web did not have a container port 8080 defined.",
        ),
        (
            "pf-ecs-svc-capacity-provider-multiple-base",
            strategy(json!([{ "capacityProvider": "FARGATE", "weight": 1, "base": 1 },
                { "capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 1 }])),
            "There are multiple capacity providers in the specified capacity provider strategy with a base value \
             greater than zero. Only one capacity provider can have a base value greater than zero. Specify a valid \
             capacity provider strategy and try again.",
        ),
        (
            "pf-ecs-svc-capacity-provider-zero-weight",
            strategy(json!([{ "capacityProvider": "FARGATE", "weight": 0 }])),
            "There are no capacity providers in the capacity provider strategy with a weight value greater than zero. \
             Specify a weight value greater than zero for at least one capacity provider and try again.",
        ),
        (
            "pf-ecs-service-deployment-percent",
            with(json!({ "deploymentConfiguration": { "minimumHealthyPercent": 101 } })),
            "minimumHealthyPercent must be at most 100",
        ),
        (
            "pf-ecs-svc-min-healthy-over-max-percent",
            with(json!({ "deploymentConfiguration": { "minimumHealthyPercent": 100, "maximumPercent": 100 } })),
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        ),
    ];
    check(&mut lab, "CreateService", "InvalidParameterException", cases);
    let run = json!({ "taskDefinition": "web", "launchType": "EC2", "platformVersion": "LATEST",
        "networkConfiguration": network() });
    let words = "The platform version must be null when specifying an EC2 launch type.";
    check(
        &mut lab,
        "RunTask",
        "InvalidParameterException",
        vec![("RunTask", run, words)],
    );
}

#[test]
fn what_a_cluster_may_say() {
    let with = |more: Value| merged(json!({ "clusterName": "c" }), more);
    let item = |name: &str, base: u32| json!({ "capacityProvider": name, "weight": 1, "base": base });
    let strategy = |providers: Value, items: Value| {
        with(json!({ "capacityProviders": providers, "defaultCapacityProviderStrategy": items }))
    };
    let sessions = |execute: Value| with(json!({ "configuration": { "executeCommandConfiguration": execute } }));
    let cases = vec![
        (
            "pf-ecs-cluster-name",
            json!({ "clusterName": "a b" }),
            r"ClusterName must match ^[a-zA-Z0-9\-_]{1,255}$",
        ),
        (
            "pf-ecs-cluster-default-strategy-multiple-base",
            strategy(
                json!(["FARGATE", "FARGATE_SPOT"]),
                json!([item("FARGATE", 1), item("FARGATE_SPOT", 1)]),
            ),
            "The specified capacity provider strategy contains multiple capacity providers with a base value defined. \
             Only one capacity provider per strategy can have a base value defined.",
        ),
        (
            "pf-ecs-cluster-default-strategy-provider-not-listed",
            strategy(json!(["FARGATE"]), json!([item("FARGATE_SPOT", 0)])),
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with \
             the cluster. Associate the capacity provider with the cluster or specify a valid capacity provider and \
             try again.",
        ),
        (
            "pf-ecs-cluster-execute-command-override-without-log-config",
            sessions(json!({ "logging": "OVERRIDE" })),
            "A CloudWatch log group name or S3 bucket name must be specified when overriding the default log \
             configuration.",
        ),
        (
            "pf-ecs-cluster-execute-command-default-with-log-config",
            sessions(json!({ "logging": "DEFAULT", "logConfiguration": { "cloudWatchLogGroupName": "g" } })),
            "You must set logging to 'OVERRIDE' when you supply a log configuration.",
        ),
    ];
    check(&mut Lab::empty(), "CreateCluster", "InvalidParameterException", cases);
}
