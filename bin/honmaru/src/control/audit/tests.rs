use super::gate::Gate;
use super::input::{Ended, Head, Noted};
use super::writer::SEGMENT_BYTES_MAX;
use super::{Audit, Bounds, Home, Line, Told, reader, segment};
use crate::control::http::Received;
use crate::control::listener::Peer;
use honmaru_base::{ApiError, Clock, Scope, Time};
use honmaru_cloudtrail::{Attribute, Recorded, Wanted};
use honmaru_engine::SystemClock;
use honmaru_machine::{Access, Principal, PrincipalKind};
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
        principal: Some(user()),
        key: Some("AKIA1".to_owned()),
        scope: Some(scope()),
        ..Noted::default()
    };
    noted.keep_input(&target, input.to_string().as_bytes(), input);
    let received = received();
    let error = ApiError::new("AccessDeniedException", "no");
    let ended = Ended {
        status: 400,
        error: Some(&error),
        at: Time::from_ms(at_ms),
        took: Duration::from_micros(7),
        request_id: "r",
    };
    noted.record(&home(), &target, &received, &ended)
}

fn received() -> Received {
    Received {
        method: http::Method::POST,
        path: "/".to_owned(),
        query: String::new(),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::new(),
        peer: "127.0.0.1:1".parse().expect("an address"),
        secure: false,
        tls: None,
    }
}

fn user() -> Principal {
    Principal {
        account: scope().account,
        arn: "arn:aws:iam::000000000000:user/ann".to_owned(),
        user_id: "AIDA1".to_owned(),
        kind: PrincipalKind::User { name: "ann".to_owned() },
        access_key_id: "AKIA1".to_owned(),
        tags: Vec::new(),
        session_policies: Vec::new(),
        session: None,
    }
}

fn home() -> Home {
    Home {
        account: scope().account,
        region: scope().region,
    }
}

/// A call of somebody unknown at an address.
fn strange(from: &str, path: &str, at_ms: i64) -> Recorded {
    let peer = Peer {
        address: format!("{from}:1").parse().expect("an address"),
        secure: false,
        tls: None,
    };
    let head = Head::of(&http::Method::GET, path, &http::HeaderMap::new(), peer);
    let at = Time::from_ms(at_ms);
    head.unrouted(&home(), 403, "AccessDenied", "no", at, Duration::from_micros(1))
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
    assert_eq!(record.input.value(), json!({ "clusterName": "shop" }));
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
    assert_eq!(record.input.value()["requestParametersOmitted"], true);
}

#[test]
fn records_are_found_again_newest_first_and_page_by_page() {
    let folder = Folder::new("pages");
    let audit = Audit::open(&folder.0, Bounds::default()).expect("it opens");
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
                .map(|r| r.input.value()["clusterName"].as_str().expect("text").to_owned()),
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
    let audit = Audit::open(&folder.0, Bounds::default()).expect("it opens");
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
    let audit = Audit::open(&folder.0, Bounds::default()).expect("it opens");
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
    let audit = Audit::open(&folder.0, Bounds::default()).expect("it opens");
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
    let audit = Audit::open(&folder.0, Bounds::default()).expect("it opens");
    audit.record(recorded(
        "ecs",
        "CreateCluster",
        &json!({ "clusterName": "new" }),
        2_000,
    ));
    audit.settle();
    assert_eq!(segment::list(&folder.0).expect("a folder").len(), 2);
    let found = reader::look_up(&folder.0, &wanted(50)).expect("it reads");
    let names: Vec<_> = found
        .records
        .iter()
        .map(|r| r.input.value()["clusterName"].clone())
        .collect();
    assert_eq!(names, ["new", "old"]);
}

#[test]
fn what_a_full_queue_loses_is_counted_and_said() {
    let folder = Folder::new("full");
    let (audit, mut writer, messages) = Audit::with_queue(&folder.0, Bounds::default(), 3).expect("it opens");
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

#[test]
fn no_kind_of_secret_reaches_the_trail() {
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let mut headers = http::HeaderMap::new();
    for name in [
        "authorization",
        "x-amz-security-token",
        "x-amz-content-sha256",
        "cookie",
        "x-registry-auth",
    ] {
        headers.insert(name, secret.parse().expect("a value"));
    }
    let received = Received {
        method: http::Method::POST,
        path: "/".to_owned(),
        query: format!("X-Amz-Security-Token={secret}&X-Amz-Signature={secret}"),
        headers: headers.clone(),
        body: bytes::Bytes::from_static(secret.as_bytes()),
        peer: "127.0.0.1:1".parse().expect("an address"),
        secure: false,
        tls: None,
    };
    // Somebody signed with the secret where the key's id belongs.
    let noted = Noted {
        key: Some(secret.to_owned()),
        ..Noted::default()
    };
    let ended = Ended {
        status: 403,
        error: Some(&ApiError::new("InvalidClientTokenId", "no")),
        at: Time::from_ms(1),
        took: Duration::ZERO,
        request_id: "r",
    };
    let refused = noted.record(&home(), &target("ecs", "RunTask"), &received, &ended);
    assert!(refused.who.key.is_some());
    let peer = Peer {
        address: received.peer,
        secure: false,
        tls: None,
    };
    let head = Head::of(&received.method, "/v2/app/manifests/1", &headers, peer);
    let unrouted = head.unrouted(&home(), 401, "UNAUTHORIZED", "", Time::from_ms(1), Duration::ZERO);
    for record in [refused, unrouted] {
        let line = serde_json::to_string(&record).expect("plain data");
        assert!(!line.contains(secret), "{line}");
    }
}

#[test]
fn what_validation_says_of_a_secret_names_no_value() {
    let secret = "s3cret".repeat(100);
    let target = target("iam", "CreateLoginProfile");
    let input = json!({ "UserName": "ann", "Password": secret });
    let refused = honmaru_wire::validate(&target, &input).expect_err("it is too long");
    assert!(!refused.message.contains("s3cret"), "{}", refused.message);
}

#[test]
fn what_validation_says_of_a_code_is_for_the_caller_alone() {
    let input =
        json!({ "RoleArn": "arn:aws:iam::111122223333:role/r", "RoleSessionName": "x", "TokenCode": "12 34'56" });
    let target = target("sts", "AssumeRole");
    let refused = honmaru_wire::validate(&target, &input).expect_err("no code has a space");
    assert!(refused.message.contains("12 34'56"), "{}", refused.message);
    let ended = Ended {
        status: 400,
        error: Some(&refused),
        at: Time::from_ms(1),
        took: Duration::from_micros(7),
        request_id: "r",
    };
    let told = Noted::default().record(&home(), &target, &received(), &ended).message;
    let told = told.expect("a message");
    assert!(!told.contains("34"), "{told}");
    assert!(told.contains("Value 'x' at 'roleSessionName' failed"), "{told}");
    assert!(
        told.contains("Value 'HIDDEN_DUE_TO_SECURITY_REASONS' at 'tokenCode' failed"),
        "{told}"
    );
}

#[test]
fn refused_calls_that_repeat_themselves_are_one_record_with_a_count() {
    let mut gate = Gate::new();
    let passed = (0..10_000)
        .filter_map(|n| gate.pass(strange("10.0.0.1", "/x", n)))
        .count();
    assert_eq!(passed, 1);
    assert!(gate.due(Time::from_ms(60_000)).is_empty(), "the window is not over");
    let counted = gate.due(Time::from_ms(10 * 60_000));
    let [counted] = counted.as_slice() else {
        panic!("{counted:?}")
    };
    let repeated = counted.repeated.clone().expect("a count");
    assert_eq!((repeated.count, repeated.since.as_ms()), (9_999, 1));
    assert!(
        gate.pass(strange("10.0.0.1", "/x", 11 * 60_000)).is_some(),
        "the next window begins"
    );
}

#[test]
fn an_attacker_with_many_addresses_writes_little_all_the_same() {
    let mut gate = Gate::new();
    let mut passed = 0;
    for a in 0..200 {
        for b in 0..100 {
            passed += usize::from(gate.pass(strange(&format!("10.0.{a}.{b}"), "/x", 1)).is_some());
            passed += usize::from(gate.pass(strange(&format!("[2001:db8::{a}:{b}]"), "/x", 1)).is_some());
        }
    }
    assert!(passed <= 65, "{passed} records");
    let counted = gate.rest();
    assert!(counted.len() <= 65, "{} records", counted.len());
    let count: u64 = counted
        .iter()
        .filter_map(|record| record.repeated.as_ref())
        .map(|r| r.count)
        .sum();
    assert_eq!(count as usize + passed, 40_000, "none is forgotten");
}

#[test]
fn strangers_hide_nothing_of_known_identities() {
    let mut gate = Gate::new();
    for n in 0..1_000 {
        let _ = gate.pass(strange(&format!("10.0.{}.1", n % 250), "/x", 1));
    }
    for n in 0..100 {
        let denied = recorded("ecs", "DeleteCluster", &json!({ "cluster": n.to_string() }), n);
        assert!(gate.pass(denied).is_some(), "attempt {n} of a known identity");
    }
    assert!(
        gate.pass(recorded("ecs", "DeleteCluster", &json!({}), 1)).is_none(),
        "the 101st is counted"
    );
    let mut good = recorded("ecs", "DeleteCluster", &json!({}), 1);
    good.status = 200;
    assert!(
        (0..10_000).all(|_| gate.pass(good.clone()).is_some()),
        "calls that were answered are never counted only"
    );
}

#[test]
fn a_web_identity_is_known_when_it_was_let_in() {
    let target = target("sts", "AssumeRoleWithWebIdentity");
    let mut headers = http::HeaderMap::new();
    headers.insert("host", "cloud.example:4566".parse().expect("a value"));
    let received = Received {
        method: http::Method::POST,
        path: "/".to_owned(),
        query: String::new(),
        headers,
        body: bytes::Bytes::new(),
        peer: "127.0.0.1:1".parse().expect("an address"),
        secure: false,
        tls: None,
    };
    let ended = Ended {
        status: 200,
        error: None,
        at: Time::from_ms(1),
        took: Duration::ZERO,
        request_id: "r",
    };
    let role = "arn:aws:iam::111111111111:role/ci";
    let provider = "arn:aws:iam::111111111111:oidc-provider/token.example";
    let record = |output: &Value| {
        let mut noted = Noted::default();
        let input = json!({ "RoleArn": role, "WebIdentityToken": "t.o.k" });
        noted.keep_input(&target, input.to_string().as_bytes(), &input);
        noted.keep_output(Told::of(&target, output));
        noted.record(&home(), &target, &received, &ended)
    };
    let record_of_success = record(&json!({
        "Credentials": { "AccessKeyId": "ASIA1", "SecretAccessKey": "s", "SessionToken": "s", "Expiration": 1 },
        "AssumedRoleUser": { "Arn": "arn:aws:sts::111111111111:assumed-role/ci/s", "AssumedRoleId": "AROA1:s" },
        "Provider": provider, "Audience": "sts.amazonaws.com", "SubjectFromWebIdentityToken": "repo:a/b",
    }));
    assert_eq!(record_of_success.who.kind, "WebIdentityUser");
    assert_eq!(
        record_of_success.who.id,
        Some(format!("{provider}:sts.amazonaws.com:repo:a/b"))
    );
    assert_eq!(record_of_success.account.as_str(), "111111111111");
    assert_eq!(record_of_success.resources, [role]);
    assert_eq!(record_of_success.host.as_deref(), Some("cloud.example:4566"));
    let refused = record(&Value::Null);
    assert_eq!(
        (refused.who.kind.as_str(), refused.resources),
        ("Unknown", vec![role.to_owned()])
    );
}

#[test]
fn counts_are_written_at_the_end() {
    let folder = Folder::new("finish");
    let audit = Audit::open(&folder.0, Bounds::default()).expect("it opens");
    for _ in 0..5 {
        audit.record(strange("10.0.0.1", "/x", SystemClock.now().as_ms()));
    }
    audit.settle();
    assert_eq!(text_of(&folder.0).lines().count(), 1);
    audit.finish();
    let text = text_of(&folder.0);
    assert!(text.contains("\"count\":4"), "{text}");
    assert_eq!(audit.counts().folded.load(Ordering::Relaxed), 4);
}

#[test]
fn the_trail_has_an_age_and_a_size() {
    let folder = Folder::new("bounds");
    std::fs::create_dir_all(&folder.0).expect("a folder");
    let now = SystemClock.now().as_ms();
    let day = 24 * 3_600 * 1_000;
    let line = serde_json::to_string(&Line::Call(Box::new(recorded("ecs", "RunTask", &json!({}), now)))).expect("data");
    let bytes = format!("{line}\n").repeat(1_000);
    for (number, age_days) in [(1, 100), (2, 95), (3, 50), (4, 3), (5, 2), (6, 0)] {
        let segment = segment::Segment {
            number,
            begun_ms: now - age_days * day,
        };
        std::fs::write(segment.path(&folder.0), &bytes).expect("it writes");
    }
    let left = |bounds: Bounds| {
        drop(Audit::open(&folder.0, bounds).expect("it opens"));
        let segments = segment::list(&folder.0).expect("a folder");
        segments.iter().map(|segment| segment.number).collect::<Vec<_>>()
    };
    // The second one was written to until 50 days ago.
    assert_eq!(left(Bounds::default()), [2, 3, 4, 5, 6]);
    let days = Bounds {
        days: 3,
        ..Bounds::default()
    };
    assert_eq!(left(days), [4, 5, 6]);
    let small = Bounds {
        bytes_max: bytes.len() as u64 + 10,
        ..Bounds::default()
    };
    assert_eq!(left(small), [6]);
}

#[test]
fn resources_are_named_once_and_patterns_are_none() {
    let group = "arn:aws:ec2:us-east-1:000000000000:security-group/sg-1";
    let access = |arn: &str| Access::new("ec2:CreateTags", vec![arn.to_owned()]);
    let pattern = "arn:aws:ec2:us-east-1:000000000000:security-group/*";
    let accesses = [access(group), access(pattern), access("*"), access(group)];
    assert_eq!(super::resources(&accesses), [group]);
}
