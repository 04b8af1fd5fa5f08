//! Goal: no secret of any implemented operation is in the trail. Method: inputs and outputs in which every text of the
//! model is there go through what makes records; whatever is left and sounds like a secret must be one of those that are
//! known to be none.

use super::Told;
use super::input::Noted;
use honmaru_wire::{Protocol, Side, Target};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

/// What secrets are called.
const WORDS: [&str; 16] = [
    "secret",
    "password",
    "passwd",
    "token",
    "privatekey",
    "private_key",
    "assertion",
    "seed",
    "qrcode",
    "authenticationcode",
    "pin",
    "authorization",
    "credential",
    "blob",
    "environment",
    // What is written there for a shell holds passwords as often as what stands in `command`.
    "entrypoint",
];

/// Members that sound so and hold no secret: the end of their path, and why.
const HARMLESS: [(&str, &str); 43] = [
    ("nextToken", "where a list goes on"),
    ("NextToken", "the same"),
    ("PaginationToken", "the same"),
    ("nextForwardToken", "the same"),
    ("nextBackwardToken", "the same"),
    ("sequenceToken", "ignored since 2023"),
    ("nextSequenceToken", "the same"),
    ("expectedSequenceToken", "the same"),
    ("uploadSequenceToken", "the same"),
    ("clientToken", "makes a repeated call one call"),
    ("ClientToken", "the same"),
    ("ClientRequestToken", "the same"),
    ("LockToken", "the version of what is changed"),
    ("NextLockToken", "the same"),
    ("TokenDomains", "names of domains"),
    ("TokenEndpoint", "a URL"),
    ("AuthorizationEndpoint", "a URL"),
    ("credentialArn", "the name of a secret"),
    ("CredentialReport", "a report of dates"),
    ("valueFrom", "the name of a secret"),
    ("ServiceSpecificCredentialId", "a name"),
    ("ServiceSpecificCredential.ServiceName", "a name"),
    ("ServiceSpecificCredential.ServiceUserName", "a name"),
    ("ServiceSpecificCredential.ServiceCredentialAlias", "a name"),
    ("ServiceSpecificCredential.UserName", "a name"),
    ("ServiceSpecificCredential.Status", "on or off"),
    ("CredentialAgeDays", "a number"),
    ("GlobalEndpointTokenVersion", "a version"),
    ("environmentFiles.value", "the name of an object"),
    ("environmentFiles.type", "a type"),
    ("environment.name", "a name"),
    ("secrets.name", "a name"),
    ("secretOptions.name", "a name"),
    ("secretOptions.valueFrom", "the name of a secret"),
    ("AccessKeyId", "a name"),
    ("SubjectFromWebIdentityToken", "a name"),
    ("credentialSpecs", "names of files"),
    ("credentialsParameter", "the name of a secret"),
    ("AssertionEncryptionMode", "whether there must be a key"),
    ("RemovePrivateKey", "the name of a key"),
    ("authorizationConfig.accessPointId", "a name"),
    ("authorizationConfig.iam", "on or off"),
    ("authorizationConfig.domain", "a name"),
];

/// The numbers of the texts that are left in a tree.
fn texts(value: &Value, found: &mut Vec<usize>) {
    match value {
        Value::String(text) => found.extend(text.strip_prefix('#').and_then(|number| number.parse::<usize>().ok())),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.values().for_each(|value| texts(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn sounds_secret(path: &str) -> bool {
    let path = path.to_lowercase();
    let words = WORDS.iter().any(|word| match *word {
        // Within other words: ping, mapping.
        "pin" => path.ends_with(".pin"),
        word => path.contains(word),
    });
    words && !HARMLESS.iter().any(|(end, _)| path.ends_with(&end.to_lowercase()))
}

#[test]
fn nothing_that_sounds_like_a_secret_is_recorded() {
    let services = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../services");
    let (mut operations, mut outputs, mut left) = (0, 0, BTreeSet::new());
    for service in honmaru_wire::service_names() {
        let Ok(listed) = std::fs::read_to_string(services.join(service).join("operations.txt")) else {
            continue;
        };
        let service = honmaru_wire::service(service).expect("a model");
        let names = listed.lines().filter(|line| !line.starts_with('#'));
        for name in names.map(|line| line.trim_start_matches('-').trim()) {
            let operation = service.operation(name).expect("an operation");
            let target = Target {
                service,
                protocol: Protocol::AwsJson,
                operation,
            };
            // Short texts: what is too large is left out of the record, and would show nothing here.
            let paths = RefCell::new(Vec::new());
            let all = |side| {
                honmaru_wire::leaves(service, operation, side, &|path| {
                    let mut paths = paths.borrow_mut();
                    paths.push(path.to_owned());
                    format!("#{}", paths.len() - 1)
                })
            };
            let mut noted = Noted::default();
            let input = all(Side::Input);
            noted.keep_input(&target, input.to_string().as_bytes(), &input);
            noted.keep_output(Told::of(&target, &all(Side::Output)));
            // The firewall's rules hold each other, and no secrets.
            if service.name() != "wafv2" {
                let is_whole = noted.input.value().get("requestParametersOmitted").is_none()
                    && noted.output.value().get("responseElementsOmitted").is_none();
                assert!(is_whole, "{name}");
            }
            operations += 1;
            outputs += usize::from(!noted.output.is_null());
            for (side, tree) in [("in", noted.input.value()), ("out", noted.output.value())] {
                let mut found = Vec::new();
                texts(&tree, &mut found);
                let paths = paths.borrow();
                let found = found.into_iter().filter_map(|number| paths.get(number));
                let secrets = found.filter(|path| sounds_secret(path));
                left.extend(secrets.map(|path| format!("{}:{name} {side} {path}", service.name())));
            }
        }
    }
    assert!(
        operations > 300 && outputs > 100,
        "{operations} operations, {outputs} outputs"
    );
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn the_answers_of_writes_are_kept_and_those_of_reads_are_not() {
    let of = |service: &str, operation: &str, output: &Value| {
        let service = honmaru_wire::service(service).expect("a model");
        let operation = service.operation(operation).expect("an operation");
        let target = Target {
            service,
            protocol: Protocol::AwsJson,
            operation,
        };
        let mut noted = Noted::default();
        noted.keep_output(Told::of(&target, output));
        noted.output.value()
    };
    let cluster = json!({ "cluster": { "clusterName": "a" } });
    assert_eq!(of("ecs", "CreateCluster", &cluster), cluster);
    assert_eq!(
        of("ecs", "DescribeClusters", &json!({ "clusters": [cluster] })),
        Value::Null
    );
    let key = json!({ "AccessKey": { "UserName": "ann", "AccessKeyId": "AKIA1", "SecretAccessKey": "s3cret" } });
    let kept = of("iam", "CreateAccessKey", &key);
    assert_eq!(kept["AccessKey"]["SecretAccessKey"], "HIDDEN_DUE_TO_SECURITY_REASONS");
    assert_eq!(kept["AccessKey"]["AccessKeyId"], "AKIA1");
    let session =
        json!({ "Credentials": { "AccessKeyId": "ASIA1", "SecretAccessKey": "s3cret", "SessionToken": "s3cret" } });
    for operation in ["AssumeRole", "GetSessionToken", "AssumeRoleWithWebIdentity"] {
        let kept = of("sts", operation, &session);
        assert_eq!(kept["Credentials"]["AccessKeyId"], "ASIA1");
        assert!(!kept.to_string().contains("s3cret"), "{kept}");
    }
    let many: Vec<Value> = (0..60)
        .map(|n| json!({ "key": n.to_string(), "value": "x".repeat(500) }))
        .collect();
    let large = of("ecs", "CreateCluster", &json!({ "cluster": { "tags": many } }));
    assert_eq!(large["responseElementsOmitted"], true);
}
