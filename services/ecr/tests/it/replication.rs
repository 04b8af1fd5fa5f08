//! Images copied to other regions and to other clouds.

use super::support::Ecr;
use honmaru_base::Scope;
use serde_json::{Value, json};

#[test]
fn images_are_copied_to_other_regions() {
    let mut ecr = Ecr::new();
    ecr.repository("prod/app");
    let rule = |account: &str, region: &str| {
        json!({"replicationConfiguration": {"rules": [{"destinations": [{"region": region, "registryId": account}],
               "repositoryFilters": [{"filter": "prod/", "filterType": "PREFIX_MATCH"}]}]}})
    };
    ecr.ok("PutReplicationConfiguration", rule("111111111111", "eu-west-1"));
    let nowhere = ecr.error("PutReplicationConfiguration", rule("000000000000", "aws-global"));
    assert_eq!(nowhere.0, "InvalidParameterException");
    let own = ecr.error("PutReplicationConfiguration", rule("000000000000", "us-east-1"));
    assert_eq!(own.0, "InvalidParameterException");
    assert!(own.1.contains("cannot be the same as the source registry"), "{own:?}");
    ecr.ok("PutReplicationConfiguration", rule("000000000000", "eu-west-1"));
    let digest = ecr.image("prod/app", "x", Some("v1"));
    let id = json!({"repositoryName": "prod/app", "imageId": {"imageTag": "v1"}});
    let status = ecr.ok("DescribeImageReplicationStatus", id);
    assert_eq!(status["replicationStatuses"][0]["status"], "COMPLETE");
    ecr.repository("dev/app");
    ecr.image("dev/app", "y", Some("v1"));
    ecr.call.scope = Scope::new("000000000000", "eu-west-1").unwrap();
    let there = ecr.ok(
        "DescribeImages",
        json!({"repositoryName": "prod/app", "imageIds": [{"imageTag": "v1"}]}),
    );
    assert_eq!(there["imageDetails"][0]["imageDigest"], digest);
    assert_eq!(
        ecr.error("DescribeImages", json!({"repositoryName": "dev/app"})).0,
        "RepositoryNotFoundException"
    );
}

#[test]
fn a_back_fill_copies_what_was_there_before_the_rule() {
    let ecr = Ecr::new();
    for name in ["prod/app", "dev/app"] {
        ecr.repository(name);
    }
    let digest = ecr.image("prod/app", "one", Some("v1"));
    ecr.image("prod/app", "one", Some("v2"));
    ecr.image("dev/app", "one", Some("v1"));
    let to = json!({"region": "eu-west-1", "registryId": "000000000000"});
    let start = || ecr.call("StartReplicationBackfill", json!({"destination": to}));
    assert_eq!(start().unwrap_err().code, "ValidationException", "no rule names it");
    ecr.ok(
        "PutReplicationConfiguration",
        json!({"replicationConfiguration": {"rules": [{"destinations": [to],
            "repositoryFilters": [{"filter": "prod/", "filterType": "PREFIX_MATCH"}]}]}}),
    );
    let begun = start().unwrap();
    let id = begun["replicationBackfillId"].as_str().unwrap();
    assert_eq!(begun["status"], "IN_PROGRESS");
    assert_eq!(start().unwrap_err().code, "ReplicationBackfillInProgressException");
    ecr.settle();
    let results = ecr.ok(
        "DescribeReplicationBackfillResults",
        json!({"replicationBackfillId": id}),
    );
    assert_eq!(results["status"], "COMPLETE");
    assert_eq!(results["results"].as_array().unwrap().len(), 1);
    assert_eq!(results["results"][0]["imageId"]["imageDigest"], digest);
    assert_eq!(
        (
            &results["progress"]["totalReplicationCount"],
            &results["progress"]["completedReplicationCount"]
        ),
        (&json!(1), &json!(1))
    );
    let none = ecr.ok(
        "DescribeReplicationBackfillResults",
        json!({"replicationBackfillId": id, "resultStatusFilter": "FAILED"}),
    );
    assert_eq!(none["results"], json!([]));
    let there = Scope::new("000000000000", "eu-west-1").unwrap();
    let state = ecr.memory.0.state.lock().unwrap();
    assert_eq!(honmaru_ecr::tags_of(&state, &there, "prod/app", &digest), ["v1", "v2"]);
    assert!(state.get::<honmaru_ecr::Repository>(&there, "dev/app").is_none());
    drop(state);
    let over = ecr.error("StopReplicationBackfill", json!({"replicationBackfillId": id}));
    assert_eq!(over.0, "ReplicationBackfillInvalidStatusException");
    ecr.image("prod/app", "two", Some("v3"));
    let again = ecr.ok("StartReplicationBackfill", json!({"destination": to}));
    ecr.settle();
    let page = |token: Option<&Value>| {
        let mut input = json!({"replicationBackfillId": again["replicationBackfillId"], "maxResults": 1});
        if let Some(token) = token {
            input["nextToken"] = token.clone();
        }
        ecr.ok("DescribeReplicationBackfillResults", input)
    };
    let first = page(None);
    let second = page(Some(&first["nextToken"]));
    assert_ne!(first["results"][0], second["results"][0]);
    assert_eq!(second.get("nextToken"), None);
    let again = ecr.ok("StartReplicationBackfill", json!({"destination": to}));
    let stopped = ecr.ok(
        "StopReplicationBackfill",
        json!({"replicationBackfillId": again["replicationBackfillId"]}),
    );
    assert_eq!(stopped["status"], "STOPPED");
    let all = ecr.ok("ListReplicationBackfills", json!({}));
    assert_eq!(all["backfills"].as_array().unwrap().len(), 3);
    let unknown = ecr.error(
        "DescribeReplicationBackfillResults",
        json!({"replicationBackfillId": "00000000-0000-4000-8000-000000000000"}),
    );
    assert_eq!(unknown.0, "ReplicationBackfillNotFoundException");
}

#[test]
fn what_goes_to_another_cloud_waits_and_says_how_it_ended() {
    use honmaru_ecr::Undelivered;
    let mut ecr = Ecr::new();
    ecr.repository("prod/app");
    let to = json!({"region": "eu-west-1", "registryId": "111111111111"});
    let there = Scope::new("111111111111", "eu-west-1").unwrap();
    ecr.ok(
        "PutReplicationConfiguration",
        json!({"replicationConfiguration": {"rules": [{"destinations": [to]}]}}),
    );
    let scope = ecr.call.scope.clone();
    let digest = ecr.image("prod/app", "x", Some("v1"));
    let due = |ecr: &Ecr| {
        let state = ecr.memory.0.state.lock().unwrap();
        honmaru_ecr::due_parcels(&state, ecr.call.now, 4, |_, _, _| true)
    };
    let parcel = |ecr: &Ecr, key: &str| honmaru_ecr::parcel(&ecr.memory.0.state.lock().unwrap(), &scope, key);
    let status = |ecr: &Ecr| {
        let id = json!({"repositoryName": "prod/app", "imageId": {"imageDigest": digest}});
        let answer = ecr.ok("DescribeImageReplicationStatus", id);
        let status = answer["replicationStatuses"][0].clone();
        (
            status["status"].as_str().unwrap().to_owned(),
            status["failureCode"].clone(),
        )
    };
    let undelivered = |ecr: &Ecr, key: &str, version: &str, why: Undelivered<'_>| {
        let write =
            |tx: &mut honmaru_machine::Tx<'_>| Ok(honmaru_ecr::parcel_undelivered(tx, &scope, key, version, why));
        ecr.memory.write(write).unwrap()
    };
    let (jobs, _) = due(&ecr);
    let key = jobs[0].1.clone();
    let first = parcel(&ecr, &key).unwrap();
    assert_eq!((first.to, first.tags), (there.clone(), vec!["v1".to_owned()]));
    assert_eq!(status(&ecr), ("IN_PROGRESS".to_owned(), Value::Null));
    // Nobody has named a cloud: it failed, until somebody does.
    assert!(!undelivered(&ecr, &key, &first.version, Undelivered::NotMapped));
    assert_eq!(status(&ecr), ("FAILED".to_owned(), json!("DestinationNotMapped")));
    let clouds = [(there.clone(), "https://other".to_owned())];
    let name = |clouds: &[(Scope, String)]| {
        ecr.memory.write(|tx| {
            honmaru_ecr::set_other_clouds(tx, clouds);
            Ok(())
        })
    };
    name(&clouds).unwrap();
    assert_eq!(status(&ecr).0, "IN_PROGRESS");
    // The other side is away: not before its time, and whoever pushes again does not wait for that.
    let second = parcel(&ecr, &key).unwrap();
    assert!(undelivered(&ecr, &key, &second.version, Undelivered::Later));
    let (jobs, next) = due(&ecr);
    assert_eq!((jobs.len(), next), (0, Some(ecr.call.now.plus_s(2))));
    ecr.advance(2_000);
    assert_eq!(due(&ecr).0.len(), 1);
    ecr.image("prod/app", "x", Some("v2"));
    // What was sent for an older version does not end the newer one.
    let arrived = |ecr: &Ecr, version: &str| {
        let write = |tx: &mut honmaru_machine::Tx<'_>| {
            honmaru_ecr::parcel_arrived(tx, &scope, &key, version);
            Ok(())
        };
        ecr.memory.write(write).unwrap();
    };
    arrived(&ecr, &second.version);
    assert_eq!(status(&ecr).0, "IN_PROGRESS");
    let third = parcel(&ecr, &key).unwrap();
    assert_eq!(third.tags, ["v1", "v2"]);
    arrived(&ecr, &third.version);
    assert_eq!(status(&ecr), ("COMPLETE".to_owned(), Value::Null));
    // A back-fill is over when all was sent.
    let begun = ecr.ok("StartReplicationBackfill", json!({"destination": to}));
    let id = json!({"replicationBackfillId": begun["replicationBackfillId"]});
    ecr.settle();
    let results = |ecr: &Ecr| ecr.ok("DescribeReplicationBackfillResults", id.clone());
    assert_eq!(results(&ecr)["status"], "IN_PROGRESS");
    assert_eq!(results(&ecr)["progress"]["completedReplicationCount"], 0);
    let fourth = parcel(&ecr, &key).unwrap();
    assert!(!undelivered(
        &ecr,
        &key,
        &fourth.version,
        Undelivered::Refused("AccessDenied")
    ));
    ecr.settle();
    let over = results(&ecr);
    assert_eq!(
        (&over["status"], &over["results"][0]["failureCode"]),
        (&json!("COMPLETE"), &json!("AccessDenied"))
    );
    assert_eq!(over["progress"]["failedReplicationCount"], 1);
    // With the image goes what was to be sent of it.
    ecr.ok(
        "BatchDeleteImage",
        json!({"repositoryName": "prod/app", "imageIds": [{"imageDigest": digest}]}),
    );
    let state = ecr.memory.0.state.lock().unwrap();
    assert_eq!(state.all::<honmaru_ecr::ReplicationResult>().count(), 0);
}

#[test]
fn a_rule_names_each_destination_and_each_filter_once() {
    let ecr = Ecr::new();
    let put = |destinations: serde_json::Value, filters: &[&str]| {
        let filters: Vec<_> = filters
            .iter()
            .map(|filter| json!({"filter": filter, "filterType": "PREFIX_MATCH"}))
            .collect();
        let mut rule = json!({"destinations": destinations});
        if !filters.is_empty() {
            rule["repositoryFilters"] = json!(filters);
        }
        ecr.call(
            "PutReplicationConfiguration",
            json!({"replicationConfiguration": {"rules": [rule.clone(), rule]}}),
        )
    };
    let to = |region: &str| json!({"region": region, "registryId": "000000000000"});
    // Two rules may have a destination in common; one may not have it twice.
    assert!(put(json!([to("eu-west-1"), to("eu-west-2")]), &["prod", "dev"]).is_ok());
    let refused = put(json!([to("eu-west-1"), to("eu-west-1")]), &[]).unwrap_err();
    assert_eq!(refused.code, "ValidationException");
    let refused = put(json!([to("eu-west-1")]), &["prod", "prod"]).unwrap_err();
    assert_eq!(refused.code, "ValidationException");
}
