//! Clusters, and what belongs to an account: its settings, pages and tags.

use crate::lab::{Lab, network};
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
    lab.ok("CreateService", crate::lab::balanced("s", "web", 0));
    assert_eq!(
        lab.err("DeleteCluster", json!({ "cluster": "default" })).0,
        "ClusterContainsServicesException"
    );
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
fn a_cluster_promises_neither_encryption_nor_buckets() {
    let mut lab = Lab::new();
    let log = |log: Value| json!({ "executeCommandConfiguration": { "logging": "OVERRIDE", "logConfiguration": log } });
    for configuration in [
        json!({ "executeCommandConfiguration": { "kmsKeyId": "key" } }),
        log(json!({ "cloudWatchLogGroupName": "sessions", "cloudWatchEncryptionEnabled": true })),
        log(json!({ "s3BucketName": "sessions" })),
        log(json!({ "cloudWatchLogGroupName": "sessions", "s3EncryptionEnabled": true })),
        log(json!({ "cloudWatchLogGroupName": "sessions", "s3KeyPrefix": "a" })),
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
fn a_cluster_keeps_where_its_sessions_are_recorded() {
    let mut lab = Lab::new();
    let whole = |execute: Value| json!({ "executeCommandConfiguration": execute });
    // Kept, with the members that Terraform's provider always sends.
    let defaults = whole(json!({ "logging": "OVERRIDE", "logConfiguration": {
        "cloudWatchEncryptionEnabled": false, "cloudWatchLogGroupName": "/aws/ecs/c", "s3EncryptionEnabled": false } }));
    let made = lab.ok(
        "CreateCluster",
        json!({ "clusterName": "c", "configuration": defaults }),
    );
    assert_eq!(made["cluster"]["configuration"], defaults);
    let over = whole(json!({ "logging": "OVERRIDE", "logConfiguration": { "cloudWatchLogGroupName": "sessions" } }));
    lab.ok("UpdateCluster", json!({ "cluster": "c", "configuration": over }));
    let described = lab.ok(
        "DescribeClusters",
        json!({ "clusters": ["c"], "include": ["CONFIGURATIONS"] }),
    );
    assert_eq!(described["clusters"][0]["configuration"], over);
    for (execute, wanted) in [
        (
            json!({ "logging": "OVERRIDE" }),
            "A CloudWatch log group name or S3 bucket name must be specified",
        ),
        (
            json!({ "logging": "OVERRIDE", "logConfiguration": { "cloudWatchLogGroupName": "" } }),
            "A CloudWatch log group name or S3 bucket name must be specified",
        ),
        (
            json!({ "logging": "NONE", "logConfiguration": { "cloudWatchLogGroupName": "g" } }),
            "You must set logging to 'OVERRIDE' when you supply a log configuration.",
        ),
        (
            json!({ "logging": "DEFAULT", "logConfiguration": { "cloudWatchLogGroupName": "g" } }),
            "You must set logging to 'OVERRIDE' when you supply a log configuration.",
        ),
        (json!({ "logging": "SOME" }), "NONE, DEFAULT or OVERRIDE"),
    ] {
        let (code, message) = lab.err(
            "UpdateCluster",
            json!({ "cluster": "c", "configuration": whole(execute) }),
        );
        assert_eq!(code, "InvalidParameterException");
        assert!(message.contains(wanted), "{message}");
    }
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
