//! What nothing here carries out is refused in AWS's words where AWS refuses it, too, and what most definitions and services
//! have, beside it. Ref: badmintoncryer/cdk-preflight, rules/ecs; each case names its rule there.

use crate::definitions::with;
use crate::lab::{Lab, balanced, definition, network};
use crate::recorded::{beside, check, merged, of_container, of_ec2};
use serde_json::{Value, json};

#[test]
fn what_a_definition_may_not_say_of_what_nobody_does() {
    const IMAGE: &str = "localhost:4566/web:1";
    let range = |mapping: Value| of_container("portMappings", json!([mapping]));
    let efs = |more: Value| {
        let base = json!({ "fileSystemId": "fs-1" });
        with(
            "/volumes",
            json!([{ "name": "v", "efsVolumeConfiguration": merged(base, more) }]),
        )
    };
    let proxy = |mode: &str, container: &str| {
        of_ec2(
            mode,
            json!({ "proxyConfiguration": { "type": "APPMESH", "containerName": container,
                "properties": [{ "name": "IgnoredUID", "value": "1337" }] } }),
        )
    };
    let windows = |cpu: &str, memory: &str, platform: Value| {
        let mut input = definition("web");
        input["cpu"] = json!(cpu);
        input["memory"] = json!(memory);
        input["runtimePlatform"] = platform;
        input
    };
    let files: Vec<Value> = (0..11)
        .map(|number| json!({ "value": format!("arn:aws:s3:::b/{number}.env"), "type": "s3" }))
        .collect();
    let secret = |from: &str| of_container("secrets", json!([{ "name": "S", "valueFrom": from }]));
    let mut other = secret("arn:aws:ssm:us-east-1:123456789012:parameter/p");
    other["executionRoleArn"] = json!("execution");
    let mut without = secret("arn:aws:ssm:us-east-1:000000000000:parameter/p");
    without.as_object_mut().unwrap().remove("executionRoleArn");
    let cases = vec![
        (
            "pf-ecs-container-definitions-empty",
            with("/containerDefinitions", json!([])),
            "Container list cannot be empty.",
        ),
        (
            "pf-ecs-duplicate-container-names",
            beside(json!({}), json!({ "name": "web" })),
            "Container names must be unique within a Task Definition.",
        ),
        (
            "pf-ecs-dependson-container-missing",
            of_container("dependsOn", json!([{ "containerName": "nope", "condition": "START" }])),
            "Cannot depend on container + 'nope' because it does not exist",
        ),
        (
            "pf-ecs-container-memory-required",
            of_ec2(
                "bridge",
                json!({ "containerDefinitions": [{ "name": "app", "image": IMAGE }] }),
            ),
            "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified.",
        ),
        (
            "pf-ecs-container-memory-reservation",
            of_ec2(
                "bridge",
                json!({ "containerDefinitions": [{ "name": "app", "image": IMAGE, "memory": 256, "memoryReservation": 512 }] }),
            ),
            "Invalid setting for container 'app'. 'memory' must be greater than or equal to 'memoryReservation'.",
        ),
        (
            "pf-ecs-container-memory-over-task",
            of_container("memory", json!(65_536)),
            "The 'memory' setting for container 'web' is greater than for the task.",
        ),
        (
            "pf-ecs-fargate-container-cpu-over-task",
            of_container("cpu", json!(65_536)),
            "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.",
        ),
        (
            "pf-ecs-fargate-network-mode",
            with("/networkMode", json!("bridge")),
            "Fargate only supports network mode \u{2018}awsvpc\u{2019}.",
        ),
        (
            "pf-ecs-fargate-task-cpu-memory",
            with("/cpu", json!("")),
            "Fargate requires that 'cpu' be defined at the task level.",
        ),
        (
            "pf-ecs-fargate-windows-cpu-under-1vcpu",
            windows(
                "512",
                "2048",
                json!({ "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE", "cpuArchitecture": "X86_64" }),
            ),
            "No Fargate configuration exists for given values: 512 CPU, 2048 memory. See the Amazon ECS documentation for the \
             valid values.",
        ),
        (
            "pf-ecs-windows-arm64",
            windows(
                "1024",
                "2048",
                json!({ "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE", "cpuArchitecture": "ARM64" }),
            ),
            "No Fargate configuration exists for given values: 1024 CPU, 2048 memory. See the Amazon ECS documentation for \
             the valid values.",
        ),
        (
            "pf-ecs-efs-access-point-with-root-directory",
            efs(
                json!({ "rootDirectory": "/data", "transitEncryption": "ENABLED", "authorizationConfig": { "accessPointId": "fsap-1" } }),
            ),
            "When using an EFS access point, the root directory must either be set to \"/\" or be omitted.",
        ),
        (
            "pf-ecs-efs-iam-without-transit-encryption",
            efs(json!({ "authorizationConfig": { "iam": "ENABLED" } })),
            "EFS IAM authorization requires TransitEncryption to be enabled.",
        ),
        (
            "pf-ecs-efs-transit-encryption-port-without-encryption",
            efs(json!({ "transitEncryptionPort": 2_999 })),
            "TransitEncryptionPort requires that TransitEncryption is enabled.",
        ),
        (
            "pf-ecs-environment-files-max",
            of_container("environmentFiles", json!(files)),
            "The maximum number of environment files was exceeded. Specify ten or less and try again.",
        ),
        (
            "pf-ecs-environment-files-type",
            of_container("environmentFiles", json!([{ "value": "s3://b/x.env", "type": "s3" }])),
            "Invalid arn syntax.",
        ),
        (
            "pf-ecs-port-range-with-host-port",
            range(json!({ "containerPortRange": "80-90", "hostPort": 80 })),
            "Invalid port mapping for container 'web', cannot specify both single port and port range.",
        ),
        (
            "pf-ecs-port-range-reversed",
            range(json!({ "containerPortRange": "90-80" })),
            "Invalid 'containerPortRange' setting for container 'web'.",
        ),
        (
            "pf-ecs-proxy-configuration-awsvpc-required",
            proxy("bridge", "app"),
            "APPMESH proxy configuration is only supported in networkMode=awsvpc",
        ),
        (
            "pf-ecs-proxy-configuration-container-missing",
            proxy("awsvpc", "envoy"),
            "Proxy container [envoy] does not exist.",
        ),
        (
            "pf-ecs-proxy-configuration-missing-required-props",
            proxy("awsvpc", "app"),
            "Ingress port not found",
        ),
        (
            "pf-ecs-secrets-without-execution-role",
            without,
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
        ),
        (
            "pf-ecs-secrets-without-execution-role",
            other,
            "The Systems Manager parameter ARN has a different account ID than the current account. The current account ID is \
             000000000000 and the ARN account ID is 123456789012. Cross-account access for ARNs is not currently supported.",
        ),
        (
            "pf-ecs-volume-not-referenced",
            with("/volumes", json!([{ "name": "v", "configuredAtLaunch": true }])),
            "Volumes [v] are not referenced by any of the containers",
        ),
        (
            "pf-ecs-taskdef-family",
            with("/family", json!("a b")),
            "Family contains invalid characters.",
        ),
    ];
    check(&mut Lab::new(), "RegisterTaskDefinition", "ClientException", cases);
}

#[test]
fn what_a_service_may_not_say_of_what_nobody_does() {
    let mut lab = Lab::new();
    lab.register("web");
    let with = |more: Value| merged(balanced("shop", "web", 1), more);
    let alone = |more: Value| with(merged(json!({ "loadBalancers": [] }), more));
    let connect = |more: Value| {
        let base = json!({ "enabled": true, "namespace": "n" });
        with(json!({ "serviceConnectConfiguration": merged(base, more) }))
    };
    let aliases = |aliases: Value| connect(json!({ "services": [{ "portName": "web", "clientAliases": aliases }] }));
    let registry = |more: Value| merged(json!({ "registryArn": "arn:r" }), more);
    let daemon = |more: Value| {
        let mut input = with(merged(
            json!({ "schedulingStrategy": "DAEMON", "launchType": "EC2" }),
            more.clone(),
        ));
        if more.get("desiredCount").is_none() {
            input.as_object_mut().unwrap().remove("desiredCount");
        }
        input
    };
    let placed = |strategy: Value| with(json!({ "launchType": "EC2", "placementStrategy": strategy }));
    let spread = json!({ "type": "spread", "field": "instanceId" });
    let name = "The DNS name that you provided is invalid. The name must be a valid DNS name but doesn\u{2019}t need to be \
                fully-qualified. Up to 127 characters are allowed. The characters can include lowercase letters, numbers, \
                underscores (_), hyphens (-), and periods (.). A hyphen can\u{2019}t be the first character.";
    let cases = vec![
        (
            "pf-ecs-service-codedeploy-lb",
            alone(json!({ "deploymentController": { "type": "CODE_DEPLOY" } })),
            "When specifying the CODE_DEPLOY deployment controller type, the service requires an Application Load Balancer or \
             Network Load Balancer.",
        ),
        (
            "pf-ecs-svc-external-with-taskdef",
            alone(json!({ "deploymentController": { "type": "EXTERNAL" } })),
            "TaskDefinition must be blank.",
        ),
        (
            "pf-ecs-svc-external-with-load-balancers",
            with(json!({ "deploymentController": { "type": "EXTERNAL" }, "taskDefinition": null })),
            "LoadBalancers must be empty or null.",
        ),
        (
            "pf-ecs-service-launch-type-capacity-provider",
            with(json!({ "capacityProviderStrategy": [{ "capacityProvider": "FARGATE", "weight": 1 }] })),
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        ),
        (
            "pf-ecs-service-fargate-placement",
            with(json!({ "placementStrategy": [spread] })),
            "Placement strategies are not supported with FARGATE launch type.",
        ),
        (
            "pf-ecs-service-daemon-desired-count",
            daemon(json!({ "desiredCount": 0 })),
            "The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and \
             try again",
        ),
        (
            "pf-ecs-svc-daemon-max-percent",
            daemon(json!({ "deploymentConfiguration": { "maximumPercent": 200 } })),
            "The daemon scheduling strategy does not support values above 100 for maximumPercent on a deployment \
             configuration. Change the maximumPercent value to 100, and try again",
        ),
        (
            "pf-ecs-svc-daemon-with-placement-strategies",
            daemon(json!({ "placementStrategy": [spread] })),
            "The daemon scheduling strategy does not support placement strategies. Remove the placement strategy and try again",
        ),
        (
            "pf-ecs-svc-az-rebalancing-with-daemon",
            daemon(json!({ "availabilityZoneRebalancing": "ENABLED" })),
            "The service couldn't be created because Availability Zone Rebalancing does not support DAEMON as scheduling \
             strategy. Update scheduling strategy and try again.",
        ),
        (
            "pf-ecs-svc-placement-strategies-max6",
            placed(json!([spread, spread, spread, spread, spread, spread])),
            "Maximum number of strategies is 5.",
        ),
        (
            "pf-ecs-svc-binpack-field",
            placed(json!([{ "type": "binpack", "field": "instanceId" }])),
            "binpack field 'instanceId' is invalid.",
        ),
        (
            "pf-ecs-svc-random-with-field",
            placed(json!([{ "type": "random", "field": "cpu" }])),
            "random field should not be specified.",
        ),
        (
            "pf-ecs-svc-placement-constraint-distinct-instance-expression",
            with(json!({ "launchType": "EC2",
                "placementConstraints": [{ "type": "distinctInstance", "expression": "attribute:a == b" }] })),
            "distinctInstance expression should not be specified.",
        ),
        (
            "pf-ecs-svc-registries-multiple",
            with(json!({ "serviceRegistries": [registry(json!({})), registry(json!({}))] })),
            "service registries can have at most 1 items.",
        ),
        (
            "pf-ecs-svc-registries-port-with-awsvpc",
            with(json!({ "serviceRegistries": [registry(json!({ "containerName": "web", "containerPort": 80 }))] })),
            "The values specified for serviceRegistries do not require a value for 'containerPort'. Remove the value and \
             retry. Registry: arn:r",
        ),
        (
            "pf-ecs-svc-role-without-load-balancers",
            alone(json!({ "role": "r" })),
            "IAM roles are only valid for services configured to use load balancers.",
        ),
        (
            "pf-ecs-svc-role-with-awsvpc",
            with(json!({ "role": "r" })),
            "You cannot specify an IAM role for services that require a service linked role.",
        ),
        (
            "pf-ecs-svc-connect-without-namespace",
            connect(json!({ "namespace": "" })),
            "Namespace is missing",
        ),
        (
            "pf-ecs-svc-connect-port-name-missing",
            connect(json!({ "services": [{ "portName": "nope" }] })),
            "clientAliases must have 1 element.",
        ),
        (
            "pf-ecs-svc-connect-client-aliases-max",
            aliases(json!([{ "port": 80 }, { "port": 81 }])),
            "2 clientAliases exceeds the max limit of 1",
        ),
        (
            "pf-ecs-svc-connect-client-alias-dns-name",
            aliases(json!([{ "port": 80, "dnsName": "-Web" }])),
            name,
        ),
        (
            "pf-ecs-svc-ebs-volume-without-size-or-snapshot",
            with(json!({ "volumeConfigurations": [{ "name": "v", "managedEBSVolume": { "roleArn": "r" } }] })),
            "Volume configuration provided but no matching configuredAtLaunch volume found in task definition.",
        ),
    ];
    check(&mut lab, "CreateService", "InvalidParameterException", cases);
    let run = json!({ "taskDefinition": "web", "launchType": "EC2", "networkConfiguration": network(),
        "placementStrategy": [{ "type": "random", "field": "cpu" }] });
    let words = "random field should not be specified.";
    check(
        &mut lab,
        "RunTask",
        "InvalidParameterException",
        vec![("RunTask", run, words)],
    );
}
