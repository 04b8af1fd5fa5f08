use crate::{Found, Json, Place, Recorded, Repeated, Tls, TlsVersion, Trail, Wanted, Who, is_read_only, operations};
use honmaru_base::{ApiError, Scope, Time};
use honmaru_machine::{BoxFuture, Call, Handler, Principal, PrincipalKind, SessionContext, SessionIssuer};
use serde_json::{Value, json};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

fn scope() -> Scope {
    Scope::new("000000000000", "us-east-1").expect("both are valid")
}

fn principal(kind: PrincipalKind) -> Principal {
    Principal {
        account: scope().account,
        arn: "arn:aws:iam::000000000000:user/ann".to_owned(),
        user_id: "AIDA1".to_owned(),
        kind,
        access_key_id: "AKIA1".to_owned(),
        tags: Vec::new(),
        session_policies: Vec::new(),
        session: None,
    }
}

fn record(n: i64, name: &str) -> Recorded {
    Recorded {
        at: Time::from_ms(n * 1_000),
        id: format!("id-{n}"),
        request_id: format!("request-{n}"),
        account: scope().account,
        region: scope().region,
        service: "ecs".to_owned(),
        source: "ecs.amazonaws.com".to_owned(),
        name: name.to_owned(),
        who: Who::of(&principal(PrincipalKind::User { name: "ann".to_owned() })),
        from: "127.0.0.1".to_owned(),
        agent: "test".to_owned(),
        status: 400,
        code: Some("ClusterNotFoundException".to_owned()),
        message: Some("Cluster not found.".to_owned()),
        took_us: 7,
        input: Json::of(&json!({ "cluster": "a" })),
        resources: vec!["arn:aws:ecs:us-east-1:000000000000:cluster/a".to_owned()],
        secure: false,
        tls: None,
        host: None,
        repeated: None,
        output: Json::default(),
    }
}

/// A trail in memory: place `offset` is the index of the last record given.
struct Memory(Vec<Recorded>);

impl Trail for Memory {
    fn look_up(&self, wanted: Wanted) -> BoxFuture<Result<Found, ApiError>> {
        let end = wanted
            .place
            .map_or(self.0.len(), |place| usize::try_from(place.offset).expect("small"));
        let mut found = Found::default();
        for (index, record) in self.0.iter().enumerate().take(end).rev() {
            if found.records.len() == wanted.records_max {
                break;
            }
            if wanted.fits(record) {
                found.records.push(record.clone());
                found.next = (index > 0).then_some(Place {
                    segment: 1,
                    offset: index as u64,
                });
            }
        }
        Box::pin(std::future::ready(Ok(found)))
    }
}

fn ask(records: Vec<Recorded>, input: Value) -> Result<Value, String> {
    let trail: Arc<dyn Trail> = Arc::new(Memory(records));
    let operation = operations(&trail).into_iter().next().expect("there is one");
    let Handler::Async(handler) = operation.handler else {
        panic!("it waits for the trail")
    };
    let call = Call {
        scope: scope(),
        principal: principal(PrincipalKind::Root),
        request_id: String::new(),
        now: Time::from_ms(100_000),
        source_ip: None,
        user_agent: String::new(),
        referer: String::new(),
        host: String::new(),
        secure: false,
    };
    let mut answer = pin!(handler(call, input));
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer.map_err(|error| error.code),
        Poll::Pending => panic!("memory never waits"),
    }
}

fn ids(answer: &Value) -> Vec<String> {
    let events = answer["Events"].as_array().expect("a list");
    events
        .iter()
        .map(|event| event["EventId"].as_str().expect("an id").to_owned())
        .collect()
}

fn three() -> Vec<Recorded> {
    vec![
        record(1, "CreateCluster"),
        record(2, "DescribeClusters"),
        record(3, "RunTask"),
    ]
}

#[test]
fn one_attribute_and_a_time_range_choose() {
    let by = |key: &str, value: &str| json!({ "LookupAttributes": [{ "AttributeKey": key, "AttributeValue": value }] });
    let cases = [
        (json!({}), vec!["id-3", "id-2", "id-1"]),
        (by("EventName", "RunTask"), vec!["id-3"]),
        (by("EventId", "id-2"), vec!["id-2"]),
        (by("ReadOnly", "true"), vec!["id-2"]),
        (by("ReadOnly", "false"), vec!["id-3", "id-1"]),
        (by("Username", "ann"), vec!["id-3", "id-2", "id-1"]),
        (by("Username", "bob"), vec![]),
        (by("AccessKeyId", "AKIA1"), vec!["id-3", "id-2", "id-1"]),
        (by("EventSource", "ecs.amazonaws.com"), vec!["id-3", "id-2", "id-1"]),
        (by("EventSource", "iam.amazonaws.com"), vec![]),
        (by("ResourceName", "a"), vec!["id-3", "id-2", "id-1"]),
        (by("ResourceType", "AWS::ECS::Cluster"), vec!["id-3", "id-2", "id-1"]),
        (by("ResourceType", "AWS::ECS::Task"), vec![]),
        (json!({ "StartTime": 2, "EndTime": 2 }), vec!["id-2"]),
        (json!({ "StartTime": 2.5 }), vec!["id-3"]),
    ];
    for (input, wanted) in cases {
        assert_eq!(ids(&ask(three(), input.clone()).expect("an answer")), wanted, "{input}");
    }
}

#[test]
fn records_of_other_accounts_and_regions_are_not_shown() {
    let mut records = three();
    records[0].account = "111111111111".parse().expect("an account");
    records[1].region = "eu-west-1".parse().expect("a region");
    assert_eq!(ids(&ask(records, json!({})).expect("an answer")), ["id-3"]);
}

#[test]
fn pages_go_on_with_their_own_question_only() {
    let first = ask(three(), json!({ "MaxResults": 2 })).expect("a page");
    assert_eq!(ids(&first), ["id-3", "id-2"]);
    let token = first["NextToken"].clone();
    let second = ask(three(), json!({ "MaxResults": 2, "NextToken": token })).expect("a page");
    assert_eq!(ids(&second), ["id-1"]);
    assert!(second.get("NextToken").is_none_or(Value::is_null), "{second}");
    let other = json!({ "NextToken": token, "StartTime": 1 });
    assert_eq!(ask(three(), other), Err("InvalidNextTokenException".to_owned()));
}

#[test]
fn bad_questions_have_their_codes() {
    let two = json!([{ "AttributeKey": "EventName", "AttributeValue": "a" }, { "AttributeKey": "Username", "AttributeValue": "b" }]);
    let cases = [
        (json!({ "LookupAttributes": two }), "InvalidLookupAttributesException"),
        (
            json!({ "LookupAttributes": [{ "AttributeKey": "ReadOnly", "AttributeValue": "x" }] }),
            "InvalidLookupAttributesException",
        ),
        (json!({ "MaxResults": 51 }), "InvalidMaxResultsException"),
        (json!({ "MaxResults": 0 }), "InvalidMaxResultsException"),
        (json!({ "StartTime": 5, "EndTime": 1 }), "InvalidTimeRangeException"),
        (json!({ "NextToken": "hm1-x" }), "InvalidNextTokenException"),
    ];
    for (input, code) in cases {
        assert_eq!(ask(three(), input.clone()), Err(code.to_owned()), "{input}");
    }
}

#[test]
fn the_document_is_cloudtrails() {
    let answer = ask(vec![record(1, "RunTask")], json!({})).expect("an answer");
    let event = &answer["Events"][0];
    assert_eq!(event["Username"], "ann");
    assert_eq!(event["ReadOnly"], "false");
    let document: Value = serde_json::from_str(event["CloudTrailEvent"].as_str().expect("text")).expect("JSON");
    assert_eq!(document["userIdentity"]["type"], "IAMUser");
    assert_eq!(document["userIdentity"]["userName"], "ann");
    assert_eq!(document["eventTime"], "1970-01-01T00:00:01Z");
    assert_eq!(document["errorCode"], "ClusterNotFoundException");
    assert_eq!(document["requestParameters"]["cluster"], "a");
    assert_eq!(document["responseElements"], Value::Null);
    assert_eq!(document["requestID"], "request-1");
}

#[test]
fn ec2s_errors_are_recorded_with_the_side_that_erred() {
    let mut of_ec2 = record(1, "DeleteSecurityGroup");
    (of_ec2.service, of_ec2.source) = ("ec2".to_owned(), "ec2.amazonaws.com".to_owned());
    of_ec2.code = Some("DependencyViolation".to_owned());
    assert_eq!(of_ec2.document()["errorCode"], "Client.DependencyViolation");
    (of_ec2.status, of_ec2.code) = (503, Some("Unavailable".to_owned()));
    assert_eq!(of_ec2.document()["errorCode"], "Server.Unavailable");
    assert_eq!(of_ec2.document()["responseElements"], Value::Null);
    of_ec2.code = None;
    assert_eq!(of_ec2.document().get("errorCode"), None);
    assert_eq!(
        record(1, "DescribeClusters").document()["errorCode"],
        "ClusterNotFoundException"
    );
}

#[test]
fn ec2s_answers_have_the_calls_id_and_say_that_it_was_done() {
    let mut of_ec2 = record(1, "CreateTags");
    (of_ec2.service, of_ec2.code) = ("ec2".to_owned(), None);
    assert_eq!(
        of_ec2.document()["responseElements"],
        json!({ "requestId": "request-1", "_return": true })
    );
    of_ec2.name = "CreateSecurityGroup".to_owned();
    of_ec2.output = Json::of(&json!({ "GroupId": "sg-1" }));
    assert_eq!(
        of_ec2.document()["responseElements"],
        json!({ "requestId": "request-1", "_return": true, "groupId": "sg-1" })
    );
    of_ec2.name = "DescribeTags".to_owned();
    of_ec2.output = Json::default();
    assert_eq!(of_ec2.document()["responseElements"], Value::Null);
}

#[test]
fn what_a_write_answered_is_shown_in_cloudtrails_words() {
    let mut of_role = record(1, "CreateRole");
    of_role.service = "iam".to_owned();
    of_role.at = Time::from_ms(1_999);
    (of_role.code, of_role.message) = (None, None);
    of_role.input = Json::of(&json!({ "RoleName": "a", "Tags": [{ "Key": "K", "Value": "V" }] }));
    of_role.output = Json::of(&json!({ "Role": { "RoleName": "a" } }));
    of_role.resources = vec!["arn:aws:iam::111111111111:role/a".to_owned()];
    let line = serde_json::to_string(&of_role).expect("plain data");
    let of_role: Recorded = serde_json::from_str(&line).expect("it was written so");
    let document = of_role.document();
    let wanted = json!({ "roleName": "a", "tags": [{ "key": "K", "value": "V" }] });
    assert_eq!(document["requestParameters"], wanted);
    assert_eq!(document["responseElements"], json!({ "role": { "roleName": "a" } }));
    let resource = json!({
        "ARN": "arn:aws:iam::111111111111:role/a", "accountId": "111111111111", "type": "AWS::IAM::Role"
    });
    assert_eq!(document["resources"], json!([resource]));
    assert!(document.get("errorCode").is_none());
    assert_eq!(document["eventTime"], "1970-01-01T00:00:01Z");
}

#[test]
fn a_service_that_calls_by_itself_is_of_no_account() {
    let mut record = record(1, "AssumeRole");
    record.who = Who::service("ecs-tasks.amazonaws.com");
    let line = serde_json::to_string(&record).expect("plain data");
    let record: Recorded = serde_json::from_str(&line).expect("it was written so");
    let answer = ask(vec![record], json!({})).expect("an answer");
    let event = &answer["Events"][0];
    let document: Value = serde_json::from_str(event["CloudTrailEvent"].as_str().expect("text")).expect("JSON");
    let wanted = json!({ "type": "AWSService", "invokedBy": "ecs-tasks.amazonaws.com" });
    assert_eq!(document["userIdentity"], wanted);
}

#[test]
fn a_sessions_document_says_who_stands_behind_it_and_a_count_how_many() {
    let mut record = record(1, "RunTask");
    let mut caller = principal(PrincipalKind::AssumedRole {
        role: "app".to_owned(),
        session: "s1".to_owned(),
    });
    caller.session = Some(SessionContext {
        issued_at: Time::from_ms(0),
        source_identity: Some("ada".to_owned()),
        transitive_tag_keys: Vec::new(),
        federated_provider: Some("arn:aws:iam::000000000000:oidc-provider/token.example".to_owned()),
        tags: Vec::new(),
        policy_arns: Vec::new(),
        mfa_at: None,
        issuer: Some(SessionIssuer {
            arn: "arn:aws:iam::000000000000:role/team/app".to_owned(),
            id: "AROA1".to_owned(),
            name: "app".to_owned(),
        }),
    });
    record.who = Who::of(&caller);
    record.repeated = Some(Repeated {
        count: 7,
        since: Time::from_ms(0),
    });
    let line = serde_json::to_string(&record).expect("plain data");
    let record: Recorded = serde_json::from_str(&line).expect("it was written so");
    let document = record.document();
    let context = &document["userIdentity"]["sessionContext"];
    assert_eq!(context["sourceIdentity"], "ada");
    assert_eq!(context["attributes"]["creationDate"], "1970-01-01T00:00:00Z");
    let issuer = json!({ "type": "Role", "principalId": "AROA1", "arn": "arn:aws:iam::000000000000:role/team/app",
        "accountId": "000000000000", "userName": "app" });
    assert_eq!(context["sessionIssuer"], issuer);
    let provider = "arn:aws:iam::000000000000:oidc-provider/token.example";
    assert_eq!(
        context["webIdFederationData"],
        json!({ "federatedProvider": provider, "attributes": {} })
    );
    assert_eq!(document["additionalEventData"]["repeatedCalls"], 7);
}

#[test]
fn there_are_no_insight_events() {
    let answer = ask(three(), json!({ "EventCategory": "insight" })).expect("an answer");
    assert!(ids(&answer).is_empty());
}

#[test]
fn a_document_says_how_the_connection_was_protected() {
    let mut record = record(1, "RunTask");
    assert!(record.document().get("tlsDetails").is_none());
    record.host = Some("cloud.example:4566".to_owned());
    let host = json!({ "clientProvidedHostHeader": "cloud.example:4566" });
    assert_eq!(record.document()["tlsDetails"], host);
    record.tls = Some(Tls {
        version: TlsVersion::V1_3,
        suite: 0x1301,
    });
    let line = serde_json::to_string(&record).expect("plain data");
    let record: Recorded = serde_json::from_str(&line).expect("it was written so");
    let all = json!({ "tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256",
        "clientProvidedHostHeader": "cloud.example:4566" });
    assert_eq!(record.document()["tlsDetails"], all);
}

#[test]
fn a_web_identity_is_named_by_its_provider() {
    let mut record = record(1, "AssumeRoleWithWebIdentity");
    let provider = "arn:aws:iam::000000000000:oidc-provider/token.example";
    record.who = Who::web_identity(provider, "sts.amazonaws.com", "repo:a/b");
    let line = serde_json::to_string(&record).expect("plain data");
    let record: Recorded = serde_json::from_str(&line).expect("it was written so");
    let wanted = json!({ "type": "WebIdentityUser", "principalId": format!("{provider}:sts.amazonaws.com:repo:a/b"),
        "userName": "repo:a/b", "identityProvider": provider });
    assert_eq!(record.document()["userIdentity"], wanted);
}

#[test]
fn a_federated_users_issuer_is_the_user_that_asked() {
    let mut record = record(1, "RunTask");
    let mut caller = principal(PrincipalKind::FederatedUser {
        name: "bob".to_owned(),
        user: Some("ann".to_owned()),
    });
    caller.session = Some(SessionContext {
        issued_at: Time::from_ms(0),
        source_identity: None,
        transitive_tag_keys: Vec::new(),
        federated_provider: None,
        tags: Vec::new(),
        policy_arns: Vec::new(),
        mfa_at: None,
        issuer: Some(SessionIssuer {
            arn: "arn:aws:iam::000000000000:user/ann".to_owned(),
            id: "AIDA1".to_owned(),
            name: "ann".to_owned(),
        }),
    });
    record.who = Who::of(&caller);
    let issuer = json!({ "type": "IAMUser", "principalId": "AIDA1", "arn": "arn:aws:iam::000000000000:user/ann",
        "accountId": "000000000000", "userName": "ann" });
    assert_eq!(
        record.document()["userIdentity"]["sessionContext"]["sessionIssuer"],
        issuer
    );
}

#[test]
fn a_record_survives_its_line() {
    let line = serde_json::to_string(&record(1, "RunTask")).expect("plain data");
    assert!(!line.contains('\n'));
    assert_eq!(
        serde_json::from_str::<Recorded>(&line).expect("it was written so"),
        record(1, "RunTask")
    );
}

#[test]
fn names_tell_what_only_reads() {
    for name in [
        "DescribeTasks",
        "ListTasks",
        "GetRole",
        "BatchGetImage",
        "FilterLogEvents",
        "LookupEvents",
    ] {
        assert!(is_read_only(name), "{name}");
    }
    for name in ["RunTask", "PutImage", "CreateRole", "TagResource", "BatchDeleteImage"] {
        assert!(!is_read_only(name), "{name}");
    }
}

#[test]
fn resources_are_found_by_arn_by_name_and_by_the_parts_of_names() {
    let mut of_group = record(1, "CreateLogGroup");
    let group = "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/app";
    of_group.resources = vec![format!("{group}:log-stream:")];
    let mut of_balancer = record(2, "CreateListener");
    of_balancer.resources =
        vec!["arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/web/0123456789abcdef".to_owned()];
    let mut of_repository = record(3, "PutImage");
    of_repository.resources = vec!["arn:aws:ecr:us-east-1:000000000000:repository/team/api".to_owned()];
    let records = vec![of_group, of_balancer, of_repository];
    let found = |name: &str| -> Vec<String> {
        let input = json!({"LookupAttributes": [{"AttributeKey": "ResourceName", "AttributeValue": name}]});
        let answer = ask(records.clone(), input).expect("events");
        let events = answer["Events"].as_array().expect("a list").iter();
        events
            .map(|event| event["EventName"].as_str().expect("a name").to_owned())
            .collect()
    };
    for name in [group, "/ecs/app", "app"] {
        assert!(found(name).contains(&"CreateLogGroup".to_owned()), "{name}");
    }
    assert_eq!(found("web"), ["CreateListener"]);
    assert_eq!(found("app"), ["CreateLogGroup"]);
    assert_eq!(found("team/api"), ["PutImage"]);
    assert_eq!(found("team"), ["PutImage"]);
    assert!(found("tea").is_empty());
    let all = ask(records.clone(), json!({})).expect("events").to_string();
    assert!(all.contains(&format!("\"ResourceName\":\"{group}\"")), "{all}");
}

#[test]
fn a_line_is_the_record() {
    let mut record = record(1, "RunTask");
    record.output = Json::written(r#"{"tasks":[{"a":"}\""}]}"#.to_owned());
    for output in [record.output.clone(), Json::default()] {
        let record = Recorded {
            output,
            ..record.clone()
        };
        let mut line = b"before\n".to_vec();
        record.clone().write_line(&mut line).expect("plain data");
        let text = std::str::from_utf8(&line).expect("text");
        let line = text.strip_prefix("before\n").and_then(|text| text.strip_suffix('\n'));
        let line = line.expect("a line after the one before");
        assert_eq!(
            serde_json::from_str::<Recorded>(line).expect("it was written so"),
            record
        );
        assert!(!line.contains("null"), "{line}");
    }
}
