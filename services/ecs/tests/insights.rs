//! Goal: Container Insights is on where it was asked for, and its events have AWS's shapes.
//! Ref: CloudWatch User Guide, "Container Insights performance log events for Amazon ECS".

mod lab;

use honmaru_base::Time;
use honmaru_contract::node::{
    ContainerUsage, Health, Listener, NetworkCounters, NetworkUsage, TaskPhase, TaskUsage, UsageReport,
};
use honmaru_ecs::{PerformanceLog, Task};
use lab::{Lab, NODE, balanced, definition, network};
use serde_json::{Value, json};

fn setting(value: &str) -> Value {
    json!([{ "name": "containerInsights", "value": value }])
}

fn wanted(lab: &Lab) -> Vec<String> {
    let clusters = honmaru_ecs::insights_clusters(&lab.state);
    clusters
        .iter()
        .map(|arn| arn.rsplit('/').next().unwrap_or(arn).to_owned())
        .collect()
}

#[test]
fn it_is_on_where_it_was_asked_for() {
    let mut lab = Lab::new();
    assert_eq!(wanted(&lab), Vec::<String>::new(), "off, where nobody says anything");
    lab.ok(
        "CreateCluster",
        json!({ "clusterName": "on", "settings": setting("enabled") }),
    );
    assert_eq!(wanted(&lab), ["on"]);
    let (code, text) = lab.err(
        "CreateCluster",
        json!({ "clusterName": "more", "settings": setting("enhanced") }),
    );
    assert_eq!(code, "ClientException");
    assert!(text.contains("containerInsights=enhanced"), "{text}");
    let (code, _) = lab.err(
        "CreateCluster",
        json!({ "clusterName": "more", "settings": setting("on") }),
    );
    assert_eq!(code, "InvalidParameterException");

    let mut put = |name: &str, value: &str| {
        let answer = lab.call(name, json!({ "name": "containerInsights", "value": value }));
        answer.map(|answer| answer["setting"]["value"].clone())
    };
    assert_eq!(put("PutAccountSettingDefault", "enabled"), Ok(json!("enabled")));
    assert_eq!(
        put("PutAccountSetting", "enhanced").map_err(|error| error.code),
        Err("ClientException".to_owned())
    );
    let created = lab.ok("CreateCluster", json!({ "clusterName": "new" }));
    assert_eq!(created["cluster"]["settings"], setting("enabled"));
    let created = lab.ok(
        "CreateCluster",
        json!({ "clusterName": "quiet", "settings": setting("disabled") }),
    );
    assert_eq!(created["cluster"]["settings"], setting("disabled"));
    assert_eq!(wanted(&lab), ["new", "on"], "clusters of before stay as they are");
    lab.ok(
        "PutAccountSetting",
        json!({ "name": "containerInsights", "value": "disabled" }),
    );
    let created = lab.ok("CreateCluster", json!({ "clusterName": "own" }));
    assert_eq!(
        created["cluster"]["settings"],
        setting("disabled"),
        "one's own counts first"
    );

    lab.ok(
        "UpdateClusterSettings",
        json!({ "cluster": "new", "settings": setting("disabled") }),
    );
    lab.ok("DeleteCluster", json!({ "cluster": "on" }));
    assert_eq!(wanted(&lab), Vec::<String>::new(), "switched off, and gone");
}

fn usage(task_id: &str) -> TaskUsage {
    let counters = |bytes| NetworkCounters {
        bytes,
        packets: 14,
        errors: 1,
        dropped: 2,
    };
    TaskUsage {
        task_id: task_id.to_owned(),
        containers: vec![ContainerUsage {
            name: "web".to_owned(),
            cpu_units: 25.5,
            memory_bytes: 277 << 20,
            storage_read_bytes: 4_096,
            storage_write_bytes: 8_192,
        }],
        network: Some(NetworkUsage {
            rx: counters(1_000),
            tx: counters(2_000),
            rx_bytes_per_s: 99.6,
            tx_bytes_per_s: 0.0,
        }),
    }
}

fn events(log: &PerformanceLog) -> Vec<(String, Value)> {
    let parsed = |message: &str| serde_json::from_str(message).expect("JSON");
    log.events
        .iter()
        .map(|event| (event.stream.clone(), parsed(&event.message)))
        .collect()
}

fn names(metrics: &Value) -> Vec<&str> {
    let all = metrics[0]["Metrics"].as_array().expect("metrics");
    all.iter().filter_map(|metric| metric["Name"].as_str()).collect()
}

#[test]
fn events_have_the_documented_shapes() {
    let mut lab = Lab::new();
    lab.ok(
        "UpdateClusterSettings",
        json!({ "cluster": "default", "settings": setting("enabled") }),
    );
    lab.register("web");
    let at = Time::from_ms(1_700_000_060_000);
    assert_eq!(honmaru_ecs::count_events(&lab.state, at), [], "nothing runs yet");
    lab.ok("CreateService", balanced("shop", "web:1", 2));
    lab.run(5_000, |_| true);
    let ids: Vec<String> = lab.state.all::<Task>().map(|(_, id, _)| id.to_owned()).collect();

    let logs = honmaru_ecs::count_events(&lab.state, at);
    assert_eq!(logs.len(), 1);
    assert_eq!(
        (logs[0].group.as_str(), &logs[0].scope),
        ("/aws/ecs/containerinsights/default/performance", &Lab::scope())
    );
    let found = events(&logs[0]);
    assert_eq!(found[0].0, "ClusterTelemetry-default");
    assert_eq!(
        found[0].1,
        json!({
            "Version": "0", "Type": "Cluster", "ClusterName": "default", "Timestamp": 1_700_000_060_000_i64,
            "TaskCount": 2, "ContainerInstanceCount": 1, "ServiceCount": 1,
            "CloudWatchMetrics": [{
                "Namespace": "ECS/ContainerInsights",
                "Metrics": [
                    { "Name": "TaskCount", "Unit": "Count" },
                    { "Name": "ContainerInstanceCount", "Unit": "Count" },
                    { "Name": "ServiceCount", "Unit": "Count" },
                ],
                "Dimensions": [["ClusterName"]],
            }],
        })
    );
    let (stream, service) = &found[1];
    assert_eq!(stream, "ServiceTelemetry-shop");
    let counted = [
        "DesiredTaskCount",
        "RunningTaskCount",
        "PendingTaskCount",
        "DeploymentCount",
        "TaskSetCount",
    ];
    assert_eq!(counted.map(|name| service[name].as_u64()), [2, 2, 0, 1, 0].map(Some));
    assert_eq!(names(&service["CloudWatchMetrics"]), counted);
    assert_eq!(
        service["CloudWatchMetrics"][0]["Dimensions"],
        json!([["ServiceName", "ClusterName"]])
    );

    let report = UsageReport {
        at,
        tasks: vec![usage(&ids[0]), usage(&"0".repeat(32))],
    };
    let logs = honmaru_ecs::usage_events(&lab.state, NODE, &report);
    assert_eq!(logs.len(), 1);
    let found = events(&logs[0]);
    assert_eq!(found.len(), 2, "of the task that is there: {found:?}");
    let (stream, container) = &found[0];
    let number = stream.strip_prefix("FargateTelemetry-").expect("a stream of Fargate");
    assert!(number.len() == 4 && number.parse::<u16>().is_ok(), "{stream}");
    assert_eq!(
        *container,
        json!({
            "Version": "0", "Type": "Container", "ContainerName": "web", "TaskId": ids[0], "ServiceName": "shop",
            "TaskDefinitionFamily": "web", "TaskDefinitionRevision": "1", "ClusterName": "default",
            "Image": "localhost:4566/web:1", "ContainerKnownStatus": "RUNNING", "Timestamp": 1_700_000_060_000_i64,
            "CpuUtilized": 25.5, "CpuReserved": 0.0, "MemoryUtilized": 277, "MemoryReserved": 0,
            "StorageReadBytes": 4_096, "StorageWriteBytes": 8_192,
            "NetworkRxBytes": 100, "NetworkRxPackets": 14, "NetworkRxErrors": 1, "NetworkRxDropped": 2,
            "NetworkTxBytes": 0, "NetworkTxPackets": 14, "NetworkTxErrors": 1, "NetworkTxDropped": 2,
        })
    );
    let task = &found[1].1;
    assert_eq!((&task["Type"], &task["TaskId"]), (&json!("Task"), &json!(ids[0])));
    assert_eq!(
        (&task["CpuUtilized"], &task["CpuReserved"]),
        (&json!(25.5), &json!(256.0))
    );
    assert_eq!(
        (&task["MemoryUtilized"], &task["MemoryReserved"]),
        (&json!(277), &json!(512))
    );
    assert_eq!(
        (&task["AccountID"], &task["Region"], &task["AvailabilityZone"]),
        (&json!("000000000000"), &json!("us-east-1"), &json!("us-east-1a"))
    );
    assert_eq!(
        (&task["KnownStatus"], &task["LaunchType"]),
        (&json!("RUNNING"), &json!("FARGATE"))
    );
    assert!(task["StartedAt"].as_i64() >= task["CreatedAt"].as_i64(), "{task}");
    assert_eq!(
        names(&task["CloudWatchMetrics"]),
        [
            "CpuUtilized",
            "CpuReserved",
            "MemoryUtilized",
            "MemoryReserved",
            "StorageReadBytes",
            "StorageWriteBytes",
            "NetworkRxBytes",
            "NetworkTxBytes"
        ]
    );
    assert_eq!(
        task["CloudWatchMetrics"][0]["Dimensions"],
        json!([
            ["ClusterName"],
            ["ClusterName", "TaskDefinitionFamily"],
            ["ServiceName", "ClusterName"]
        ])
    );
    assert_eq!(honmaru_ecs::usage_events(&lab.state, "another", &report), []);

    lab.ok(
        "UpdateClusterSettings",
        json!({ "cluster": "default", "settings": setting("disabled") }),
    );
    assert_eq!(honmaru_ecs::usage_events(&lab.state, NODE, &report), []);
    assert_eq!(honmaru_ecs::count_events(&lab.state, at), []);
}

#[test]
fn a_task_tells_what_it_listens_on_while_its_port_is_silent() {
    let mut lab = Lab::new();
    lab.ok("RegisterTaskDefinition", definition("job"));
    let run = json!({ "taskDefinition": "job", "launchType": "FARGATE", "networkConfiguration": network() });
    let arn = lab.ok("RunTask", run)["tasks"][0]["taskArn"].clone();
    lab.settle();
    let id = lab.state.all::<Task>().next().expect("a task").1.to_owned();
    lab.report(&id, TaskPhase::Running, Health::Unknown);
    let attributes =
        |lab: &mut Lab| lab.ok("DescribeTasks", json!({ "tasks": [arn.clone()] }))["tasks"][0]["attributes"].clone();
    assert_eq!(attributes(&mut lab).as_array().map(Vec::len), Some(1));
    let hear = |lab: &mut Lab, listening: &[Listener]| {
        let listening = listening.to_vec();
        lab.report_listening(&id, listening);
    };
    hear(
        &mut lab,
        &[
            Listener {
                loopback: false,
                port: 9_999,
            },
            Listener {
                loopback: true,
                port: 80,
            },
        ],
    );
    assert_eq!(
        attributes(&mut lab)[1],
        json!({ "name": "honmaru.listening", "value": "0.0.0.0:9999 127.0.0.1:80" })
    );
    let many: Vec<Listener> = (10_000..10_016)
        .map(|port| Listener { loopback: false, port })
        .collect();
    hear(&mut lab, &many);
    let value = attributes(&mut lab)[1]["value"].as_str().map(str::len);
    assert!(value.is_some_and(|length| (100..=128).contains(&length)), "{value:?}");
    hear(&mut lab, &[]);
    assert_eq!(attributes(&mut lab).as_array().map(Vec::len), Some(1));
}
