use crate::{Http, target};
use honmaru_wire::{Excerpt, Protocol, Side, flaws_of_output, ok, ok_json, redacted, redacted_json, validate};
use serde_json::json;

#[track_caller]
fn check(http: &Http<'_>, scope: &str, code: &str, message: &str) {
    let error = http.input(scope).unwrap_err();
    assert_eq!((error.code.as_str(), error.message.as_str()), (code, message));
}

#[track_caller]
fn ecr(body: &str, message: &str) {
    let http = Http::json("AmazonEC2ContainerRegistry_V20150921.CreateRepository", body);
    check(&http, "ecr", "InvalidParameterException", message);
}

#[test]
fn ecr_has_words_of_its_own() {
    ecr(
        r#"{"repositoryName": "a"}"#,
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must have length greater than or equal to 2'",
    );
    ecr(
        r#"{"repositoryName": "UPPER"}"#,
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression \
         '[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(\\/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*''",
    );
    ecr(
        "{}",
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must not be null'",
    );
    ecr(
        r#"{"repositoryName": "ab", "imageTagMutability": "invalid"}"#,
        "Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'Member must satisfy enum value set: \
         [MUTABLE, IMMUTABLE, IMMUTABLE_WITH_EXCLUSION, MUTABLE_WITH_EXCLUSION]'",
    );
}

#[test]
fn names_of_log_groups_and_streams_that_are_too_long_have_a_sentence() {
    let body = json!({"logGroupName": "a".repeat(513), "logStreamName": "s"}).to_string();
    check(
        &Http::json("Logs_20140328.CreateLogStream", &body),
        "logs",
        "InvalidParameterException",
        "Invalid LogGroup or LogStream, both must have length less than or equal to 512.",
    );
    check(
        &Http::json(
            "Logs_20140328.DescribeLogStreams",
            r#"{"logGroupIdentifier": "arn:aws:logs:us-east-1:000000000000:log-group:g:*"}"#,
        ),
        "logs",
        "InvalidParameterException",
        "1 validation error detected: Value at 'logGroupIdentifier' failed to satisfy constraint: Member must satisfy \
         regular expression pattern: [\\w#+=/:,.@-]*",
    );
}

#[test]
fn most_services_list_every_violation() {
    check(
        &Http::json(
            "Logs_20140328.CreateLogStream",
            r#"{"logGroupName": "", "logStreamName": "a:b"}"#,
        ),
        "logs",
        "InvalidParameterException",
        "3 validation errors detected: Value '' at 'logGroupName' failed to satisfy constraint: Member must have length \
         greater than or equal to 1; Value '' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: [\\.\\-_/#A-Za-z0-9]+; Value 'a:b' at 'logStreamName' failed to satisfy constraint: Member \
         must satisfy regular expression pattern: [^:*]*",
    );
    check(
        &Http::form("Action=CreateTargetGroup&Version=2015-12-01&Name=t&Port=0"),
        "elasticloadbalancing",
        "ValidationError",
        "1 validation error detected: Value '0' at 'port' failed to satisfy constraint: Member must have value greater \
         than or equal to 1",
    );
    check(
        &Http::json("AWSWAF_20190729.ListWebACLs", r#"{"Scope": "GLOBAL"}"#),
        "wafv2",
        "ValidationException",
        "1 validation error detected: Value 'GLOBAL' at 'scope' failed to satisfy constraint: Member must satisfy enum \
         value set: [CLOUDFRONT, REGIONAL]",
    );
}

#[test]
fn nested_places_are_named() {
    check(
        &Http::json(
            "AWSWAF_20190729.CheckCapacity",
            r#"{"Scope": "REGIONAL", "Rules": [{"Priority": 0, "Statement": {}, "VisibilityConfig":
                {"SampledRequestsEnabled": true, "CloudWatchMetricsEnabled": true, "MetricName": "m"}}]}"#,
        ),
        "wafv2",
        "ValidationException",
        "1 validation error detected: Value null at 'rules.1.member.name' failed to satisfy constraint: Member must not \
         be null",
    );
    let null = Http::json(
        "AmazonEC2ContainerServiceV20141113.DescribeClusters",
        r#"{"clusters": ["a", null]}"#,
    );
    check(
        &null,
        "ecs",
        "InvalidParameterException",
        "Clusters.2.member can not be blank.",
    );
}

#[test]
fn ecs_and_ec2_and_iam_speak_as_they_do() {
    check(
        &Http::json(
            "AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition",
            r#"{"containerDefinitions": []}"#,
        ),
        "ecs",
        "ClientException",
        "Family can not be blank.",
    );
    check(
        &Http::form("Action=CreateSecurityGroup&Version=2016-11-15&GroupName=x"),
        "ec2",
        "MissingParameter",
        "The request must contain the parameter GroupDescription",
    );
    check(
        &Http::form("Action=CreateUser&Version=2010-05-08&UserName=a%20b"),
        "iam",
        "ValidationError",
        "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the \
         following: +=,.@_-",
    );
}

#[test]
fn a_text_with_letters_beyond_ascii_is_no_iam_name() {
    let http = Http::form("Action=GetUser&Version=2010-05-08&UserName=%C3%A9");
    assert_eq!(http.input("iam").unwrap_err().code, "ValidationError");
}

#[test]
fn the_message_does_not_grow_with_the_request() {
    let names: Vec<String> = (0..5_000).map(|_| "\"\"".to_owned()).collect();
    let body = format!(
        r#"{{"repositoryName": "aa", "imageIds": [{{"imageTag": "{}"}}]}}"#,
        "x".repeat(100_000)
    );
    let error = Http::json("AmazonEC2ContainerRegistry_V20150921.BatchGetImage", &body)
        .input("ecr")
        .unwrap_err();
    assert!(error.message.len() < 10_000, "{}", error.message.len());
    let body = format!(r#"{{"logGroupName": "a", "logStreamNames": [{}]}}"#, names.join(","));
    let error = Http::json("Logs_20140328.FilterLogEvents", &body)
        .input("logs")
        .unwrap_err();
    assert!(error.message.len() < 60_000, "{}", error.message.len());
}

#[test]
fn secrets_are_neither_shown_nor_logged() {
    let target = target("iam", Protocol::AwsQuery, "ChangePassword");
    let input = json!({"OldPassword": "\u{0}hunter2", "NewPassword": "hunter3"});
    let error = validate(&target, &input).unwrap_err();
    assert!(!error.message.contains("hunter2"), "{}", error.message);
    let told = redacted(&target, Side::Input, &input, &WIDE);
    assert_eq!(told, r#"{"NewPassword":"HIDDEN","OldPassword":"HIDDEN"}"#);
    // A private key, by mistake where a public one is asked for; its line ends are escaped in the text.
    let target = self::target("iam", Protocol::AwsQuery, "UploadSSHPublicKey");
    let input = json!({"UserName": "a", "SSHPublicKeyBody": "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n"});
    let told = redacted(&target, Side::Input, &input, &WIDE);
    assert_eq!(told, r#"{"SSHPublicKeyBody":"HIDDEN","UserName":"a"}"#);
}

const WIDE: Excerpt = Excerpt {
    text_bytes_max: 64,
    items_max: 8,
    depth_max: 16,
    ..EXCERPT
};

const EXCERPT: Excerpt = Excerpt {
    text_bytes_max: 8,
    items_max: 2,
    depth_max: 4,
    hidden_members: |service| match service {
        "ecs" => &[("containerDefinitions", "image")],
        _ => &[],
    },
    hidden: "HIDDEN",
};

#[test]
fn of_large_inputs_an_excerpt_is_told() {
    let target = target("ecs", Protocol::AwsJson, "RegisterTaskDefinition");
    let told = |input| redacted(&target, Side::Input, &input, &EXCERPT);
    assert_eq!(told(json!({"family": "abcdefgh"})), r#"{"family":"abcdefgh"}"#);
    // The cut is between two characters.
    assert_eq!(
        told(json!({"family": "abcdefgé"})),
        r#"{"family":"abcdefg... (9 bytes)"}"#
    );
    assert_eq!(told(json!({"cpu": [1, 2, 3]})), r#"{"cpu":[1,2,"... (3 items)"]}"#);
    assert_eq!(
        told(json!({"cpu": 1, "family": null, "memory": 3})),
        r#"{"cpu":1,"family":null}"#
    );
    assert_eq!(
        told(json!({"family": {"b": {"c": {"d": {}}}}})),
        r#"{"family":{"b":{"c":{"d":"..."}}}}"#
    );
    // A member that the model does not know may be a secret that is spelled wrongly.
    assert_eq!(told(json!({"familly": "a", "cpu": "1"})), r#"{"cpu":"1"}"#);
    // The first is sensitive in the model, the second is hidden though it is not.
    let container = json!({"environment": [{"name": "A", "value": "secret"}], "image": "secret", "name": "a"});
    assert_eq!(
        redacted(
            &target,
            Side::Input,
            &json!({"containerDefinitions": [container]}),
            &WIDE
        ),
        r#"{"containerDefinitions":[{"environment":"HIDDEN","image":"HIDDEN","name":"a"}]}"#
    );
}

#[test]
fn an_output_in_text_is_told_as_its_tree() {
    let target = target("ecs", Protocol::AwsJson, "RegisterTaskDefinition");
    let output = json!({"taskDefinition": {
        "containerDefinitions": [{"environment": [{"name": "A", "value": "secret"}], "image": "secret", "cpu": 0}],
        "family": "a \"quoted\" text\u{1}",
        "registeredAt": 1.5,
        "revision": 18_446_744_073_709_551_615_u64,
        "volumes": [-1, true, null, 4, 5, 6, 7, 8, 9, 10],
        "\"": {},
    }});
    let text = serde_json::to_string(&output).unwrap();
    let told = redacted_json(&target, Side::Output, &text, &WIDE);
    assert_eq!(told, redacted(&target, Side::Output, &output, &WIDE));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let mut wanted = output;
    let definition = &mut wanted["taskDefinition"];
    definition["containerDefinitions"][0]["environment"] = json!("HIDDEN");
    definition["volumes"] = json!([-1, true, null, 4, 5, 6, 7, 8, "... (10 items)"]);
    // `image` is hidden right below `containerDefinitions`.
    definition["containerDefinitions"][0]["image"] = json!("HIDDEN");
    // No member of a task definition.
    definition.as_object_mut().unwrap().remove("\"");
    assert_eq!(told, wanted);
}

#[test]
fn an_output_in_text_is_an_answer() {
    let target = target("ecs", Protocol::AwsJson, "RegisterTaskDefinition");
    let output = json!({"taskDefinition": {"family": "a", "revision": 1}, "tags": []});
    let text = serde_json::value::to_raw_value(&output).unwrap();
    let (of_text, of_tree) = (ok_json(&target, text, "id"), ok(&target, &output, "id"));
    assert_eq!((of_text.status, of_text.headers), (of_tree.status, of_tree.headers));
    let body: serde_json::Value = serde_json::from_slice(&of_text.body).unwrap();
    assert_eq!(body, output);
}

#[test]
fn flaws_of_answers_are_found() {
    let ecs = target("ecs", Protocol::AwsJson, "DescribeClusters");
    assert_eq!(
        flaws_of_output(&ecs, &json!({"clusters": [{"clusterArn": "a"}]})),
        Vec::<String>::new()
    );
    assert_eq!(
        flaws_of_output(&ecs, &json!({"clusters": [{"ARN": "a", "runningTasksCount": "1"}]})),
        [
            "$.clusters[0].ARN: the shape Cluster has no such member",
            "$.clusters[0].runningTasksCount: \"1\" does not fit the shape Integer"
        ]
    );
    let iam = target("iam", Protocol::AwsQuery, "ListUsers");
    assert_eq!(flaws_of_output(&iam, &json!({})), ["$.Users: required, but missing"]);
}
