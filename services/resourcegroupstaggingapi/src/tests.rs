use crate::{Change, Source, operations};
use honmaru_base::{ApiError, Arn, Scope, Time};
use honmaru_machine::{Call, Handler, Principal, PrincipalKind, State, Tx};
use serde_json::{Value, json};
use std::collections::BTreeMap;

struct Shop;

fn row(arn: &str, tags: &[(&str, &str)]) -> (String, BTreeMap<String, String>) {
    (
        arn.to_owned(),
        tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    )
}

const CLUSTER: &str = "arn:aws:ecs:us-east-1:000000000000:cluster/a";
const SERVICE: &str = "arn:aws:ecs:us-east-1:000000000000:service/a/web";
const GROUP: &str = "arn:aws:logs:us-east-1:000000000000:log-group:/shop";
const ACL: &str = "arn:aws:wafv2:us-east-1:000000000000:regional/webacl/shop/1";

impl Source for Shop {
    fn tagged(_: &State, _: &Scope) -> BTreeMap<String, BTreeMap<String, String>> {
        BTreeMap::from([
            row(CLUSTER, &[("app", "shop"), ("env", "prod")]),
            row(SERVICE, &[("app", "shop"), ("env", "test")]),
            row(GROUP, &[("app", "blog")]),
            row(ACL, &[("env", "")]),
        ])
    }

    // Changes are tested where there are services: `honmaru_cloud`.
    fn change(_: &mut Tx<'_>, _: &Call, _: &Arn, _: &Change) -> Result<(), ApiError> {
        Err(ApiError::new("InvalidParameterException", "nothing changes here"))
    }
}

fn ask(name: &str, input: Value) -> Result<Value, String> {
    let operation = operations::<Shop>()
        .into_iter()
        .find(|o| o.name == name)
        .expect("it is one of them");
    let Handler::Read(handler) = operation.handler else {
        panic!("{name} writes")
    };
    let scope = Scope::new("000000000000", "us-east-1").expect("both are valid");
    let call = Call {
        principal: Principal {
            account: scope.account.clone(),
            arn: String::new(),
            user_id: String::new(),
            kind: PrincipalKind::Root,
            access_key_id: String::new(),
            tags: Vec::new(),
            session_policies: Vec::new(),
            session: None,
        },
        scope,
        request_id: String::new(),
        now: Time::from_ms(0),
        source_ip: None,
        user_agent: String::new(),
        referer: String::new(),
        host: String::new(),
        secure: false,
    };
    handler(&State::new(), &call, input).map_err(|error| error.code)
}

fn arns(input: Value) -> Vec<String> {
    let answer = ask("GetResources", input).expect("it is a good question");
    let list = answer["ResourceTagMappingList"].as_array().expect("a list").clone();
    list.iter()
        .map(|item| item["ResourceARN"].as_str().expect("an ARN").to_owned())
        .collect()
}

#[test]
fn filters_are_joined_as_aws_documents() {
    let cases = [
        (json!({}), vec![CLUSTER, SERVICE, GROUP, ACL]),
        (
            json!({ "TagFilters": [{ "Key": "app" }] }),
            vec![CLUSTER, SERVICE, GROUP],
        ),
        (
            json!({ "TagFilters": [{ "Key": "app", "Values": ["shop"] }] }),
            vec![CLUSTER, SERVICE],
        ),
        (
            json!({ "TagFilters": [{ "Key": "env", "Values": ["prod", "test"] }] }),
            vec![CLUSTER, SERVICE],
        ),
        (
            json!({ "TagFilters": [{ "Key": "app" }, { "Key": "env", "Values": ["test"] }] }),
            vec![SERVICE],
        ),
        (json!({ "TagFilters": [{ "Key": "env", "Values": [""] }] }), vec![ACL]),
        (json!({ "ResourceTypeFilters": ["ecs"] }), vec![CLUSTER, SERVICE]),
        (
            json!({ "ResourceTypeFilters": ["ecs:cluster", "logs:log-group"] }),
            vec![CLUSTER, GROUP],
        ),
        (json!({ "ResourceTypeFilters": ["ecs:clust"] }), vec![]),
        (json!({ "ResourceTypeFilters": ["wafv2:regional/webacl"] }), vec![ACL]),
        (
            json!({ "ResourceARNList": [GROUP, "arn:aws:ecs:us-east-1:000000000000:cluster/none"] }),
            vec![GROUP],
        ),
    ];
    for (input, wanted) in cases {
        assert_eq!(arns(input.clone()), wanted, "{input}");
    }
}

#[test]
fn pages_follow_each_other() {
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let input = json!({ "ResourcesPerPage": 3, "PaginationToken": token });
        let answer = ask("GetResources", input).expect("a page");
        for item in answer["ResourceTagMappingList"].as_array().expect("a list") {
            seen.push(item["ResourceARN"].clone());
        }
        token = answer["PaginationToken"]
            .as_str()
            .expect("there always is one")
            .to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, [CLUSTER, SERVICE, GROUP, ACL]);
}

#[test]
fn bad_questions_are_refused() {
    for input in [
        json!({ "ResourcesPerPage": 0 }),
        json!({ "ResourcesPerPage": 101 }),
        json!({ "TagsPerPage": 150 }),
        json!({ "PaginationToken": "x" }),
        json!({ "TagFilters": [{ "Values": ["a"] }] }),
        json!({ "ResourceARNList": [GROUP], "TagFilters": [{ "Key": "a" }] }),
        json!({ "IncludeComplianceDetails": true }),
    ] {
        assert_eq!(
            ask("GetResources", input.clone()),
            Err("InvalidParameterException".to_owned()),
            "{input}"
        );
    }
}

#[test]
fn keys_and_values_are_listed_once() {
    assert_eq!(
        ask("GetTagKeys", json!({})).expect("keys")["TagKeys"],
        json!(["app", "env"])
    );
    let values = ask("GetTagValues", json!({ "Key": "env" })).expect("values");
    assert_eq!(values["TagValues"], json!(["", "prod", "test"]));
    assert_eq!(
        ask("GetTagValues", json!({ "Key": "none" })).expect("none")["TagValues"],
        json!([])
    );
}
