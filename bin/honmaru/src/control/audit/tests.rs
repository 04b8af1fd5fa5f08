use super::input::{Ended, Noted};
use super::writer::SEGMENT_BYTES_MAX;
use super::{Audit, Home, reader, segment};
use crate::control::http::Received;
use honmaru_base::{ApiError, Clock, Scope, Time};
use honmaru_cloudtrail::{Attribute, Recorded, Wanted};
use honmaru_engine::SystemClock;
use honmaru_wire::{Protocol, Target};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("honmaru-audit-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn scope() -> Scope {
    Scope::new("000000000000", "us-east-1").expect("both are valid")
}

fn target(service: &str, operation: &str) -> Target {
    let service = honmaru_wire::service(service).expect("a model");
    let operation = service.operation(operation).expect("an operation");
    Target {
        service,
        protocol: Protocol::AwsJson,
        operation,
    }
}

fn recorded(service: &str, operation: &str, input: &Value, at_ms: i64) -> Recorded {
    let target = target(service, operation);
    let mut noted = Noted {
        key: Some("AKIA1".to_owned()),
        scope: Some(scope()),
        ..Noted::default()
    };
    noted.keep_input(&target, input);
    let received = Received {
        method: http::Method::POST,
        path: "/".to_owned(),
        query: String::new(),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::new(),
        peer: "127.0.0.1:1".parse().expect("an address"),
        secure: false,
    };
    let error = ApiError::new("AccessDeniedException", "no");
    let ended = Ended {
        status: 400,
        error: Some(&error),
        at: Time::from_ms(at_ms),
        took: Duration::from_micros(7),
        request_id: "r",
    };
    let home = Home {
        account: scope().account,
        region: scope().region,
    };
    noted.record(&home, &target, &received, &ended)
}

fn wanted(records_max: usize) -> Wanted {
    Wanted {
        scope: scope(),
        from_ms: 0,
        until_ms: i64::MAX,
        attribute: None,
        place: None,
        records_max,
    }
}

fn text_of(folder: &Path) -> String {
    let segments = segment::list(folder).expect("a folder");
    segments
        .iter()
        .map(|s| std::fs::read_to_string(s.path(folder)).expect("a file"))
        .collect()
}

#[test]
fn secrets_do_not_reach_the_record() {
    let secret = "s3cret-s3cret";
    let cases = [
        (
            "iam",
            "CreateLoginProfile",
            json!({ "UserName": "ann", "Password": secret }),
        ),
        (
            "iam",
            "ChangePassword",
            json!({ "OldPassword": secret, "NewPassword": secret }),
        ),
        (
            "sts",
            "AssumeRoleWithWebIdentity",
            json!({ "RoleArn": "a", "WebIdentityToken": secret }),
        ),
        ("sts", "GetSessionToken", json!({ "TokenCode": secret })),
        (
            "ecr",
            "UploadLayerPart",
            json!({ "uploadId": "u", "layerPartBlob": secret }),
        ),
        (
            "logs",
            "PutLogEvents",
            json!({ "logGroupName": "g", "logEvents": [{ "message": secret }] }),
        ),
        ("ecs", "ExecuteCommand", json!({ "task": "t", "command": secret })),
        (
            "secretsmanager",
            "CreateSecret",
            json!({ "Name": "n", "SecretString": secret }),
        ),
        ("ssm", "PutParameter", json!({ "Name": "n", "Value": secret })),
        (
            "ecs",
            "RegisterTaskDefinition",
            json!({ "containerDefinitions": [{ "name": "web", "environment": [{ "name": "PASS", "value": secret }] }] }),
        ),
        (
            "ecs",
            "RunTask",
            json!({ "overrides": { "containerOverrides": [{ "environment": [{ "name": "P", "value": secret }] }] } }),
        ),
    ];
    for (service, operation, input) in cases {
        let line = serde_json::to_string(&recorded(service, operation, &input, 1)).expect("plain data");
        assert!(!line.contains(secret), "{line}");
    }
}

#[test]
fn what_was_asked_is_kept_and_large_inputs_are_bounded() {
    let record = recorded("ecs", "CreateCluster", &json!({ "clusterName": "shop" }), 1);
    assert_eq!(record.input, json!({ "clusterName": "shop" }));
    assert_eq!(
        (record.name.as_str(), record.source.as_str()),
        ("CreateCluster", "ecs.amazonaws.com")
    );
    assert_eq!(
        (record.status, record.code.as_deref()),
        (400, Some("AccessDeniedException"))
    );
    let long = "é".repeat(1_000_000);
    let line = serde_json::to_string(&recorded("ecs", "CreateCluster", &json!({ "clusterName": long }), 1));
    assert!(line.expect("plain data").len() < 4_096);
    let many: Vec<Value> = (0..60)
        .map(|n| json!({ "key": n.to_string(), "value": "x".repeat(500) }))
        .collect();
    let record = recorded("ecs", "CreateCluster", &json!({ "tags": many }), 1);
    assert_eq!(record.input["requestParametersOmitted"], true);
}

#[test]
fn records_are_found_again_newest_first_and_page_by_page() {
    let folder = Folder::new("pages");
    let audit = Audit::open(&folder.0).expect("it opens");
    let begun = SystemClock.now().as_ms();
    for n in 0..10 {
        audit.record(recorded(
            "ecs",
            "CreateCluster",
            &json!({ "clusterName": n.to_string() }),
            begun + n,
        ));
    }
    audit.settle();
    assert_eq!(audit.counts().written.load(Ordering::Relaxed), 10);
    let (mut names, mut question) = (Vec::new(), wanted(4));
    loop {
        let found = reader::look_up(&folder.0, &question).expect("it reads");
        names.extend(
            found
                .records
                .iter()
                .map(|r| r.input["clusterName"].as_str().expect("text").to_owned()),
        );
        match found.next {
            Some(next) => question.place = Some(next),
            None => break,
        }
    }
    assert_eq!(names, ["9", "8", "7", "6", "5", "4", "3", "2", "1", "0"]);
    let none = Wanted {
        attribute: Some(Attribute::EventName("RunTask".to_owned())),
        ..wanted(50)
    };
    assert!(reader::look_up(&folder.0, &none).expect("it reads").records.is_empty());
    let some = Wanted {
        from_ms: begun + 3,
        until_ms: begun + 4,
        ..wanted(50)
    };
    assert_eq!(reader::look_up(&folder.0, &some).expect("it reads").records.len(), 2);
}

#[test]
fn a_line_that_a_crash_cut_off_hides_no_other() {
    let folder = Folder::new("crash");
    let audit = Audit::open(&folder.0).expect("it opens");
    audit.record(recorded("ecs", "CreateCluster", &json!({ "clusterName": "a" }), 1_000));
    audit.settle();
    drop(audit);
    let file = segment::list(&folder.0)
        .expect("a folder")
        .pop()
        .expect("a file")
        .path(&folder.0);
    let mut bytes = std::fs::read(&file).expect("it reads");
    bytes.extend_from_slice(b"{\"at\":1000,\"id\":\"torn");
    std::fs::write(&file, bytes).expect("it writes");
    let audit = Audit::open(&folder.0).expect("it opens");
    audit.record(recorded("ecs", "CreateCluster", &json!({ "clusterName": "b" }), 2_000));
    audit.settle();
    let found = reader::look_up(&folder.0, &wanted(50)).expect("it reads");
    assert_eq!(
        found.records.iter().map(|r| r.at.as_ms()).collect::<Vec<_>>(),
        [2_000, 1_000]
    );
}

#[test]
fn files_are_rotated_and_all_of_them_are_read() {
    let folder = Folder::new("rotation");
    let audit = Audit::open(&folder.0).expect("it opens");
    audit.record(recorded(
        "ecs",
        "CreateCluster",
        &json!({ "clusterName": "old" }),
        1_000,
    ));
    audit.settle();
    drop(audit);
    let file = segment::list(&folder.0)
        .expect("a folder")
        .pop()
        .expect("a file")
        .path(&folder.0);
    let mut bytes = std::fs::read(&file).expect("it reads");
    bytes.resize(usize::try_from(SEGMENT_BYTES_MAX).expect("small"), b'x');
    bytes.push(b'\n');
    std::fs::write(&file, bytes).expect("it writes");
    let audit = Audit::open(&folder.0).expect("it opens");
    audit.record(recorded(
        "ecs",
        "CreateCluster",
        &json!({ "clusterName": "new" }),
        2_000,
    ));
    audit.settle();
    assert_eq!(segment::list(&folder.0).expect("a folder").len(), 2);
    let found = reader::look_up(&folder.0, &wanted(50)).expect("it reads");
    let names: Vec<_> = found.records.iter().map(|r| r.input["clusterName"].clone()).collect();
    assert_eq!(names, ["new", "old"]);
}

#[test]
fn what_a_full_queue_loses_is_counted_and_said() {
    let folder = Folder::new("full");
    let (audit, mut writer, messages) = Audit::with_queue(&folder.0, 3).expect("it opens");
    for n in 0..10 {
        audit.record(recorded(
            "ecs",
            "CreateCluster",
            &json!({ "clusterName": n.to_string() }),
            n,
        ));
    }
    writer.batch(messages.try_iter());
    assert_eq!(audit.counts().written.load(Ordering::Relaxed), 3);
    assert_eq!(audit.counts().lost.load(Ordering::Relaxed), 7);
    assert!(text_of(&folder.0).contains("\"lost\":7"), "{}", text_of(&folder.0));
}
