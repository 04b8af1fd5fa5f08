use crate::{Http, target};
use honmaru_base::ApiError;
use honmaru_wire::{Protocol, asks_for_json, error_in_json, ok, ok_in_json};
use serde_json::{Value, json};

#[track_caller]
fn check(service: &str, protocol: Protocol, operation: &str, output: &Value, content_type: &str, body: &str) {
    let reply = ok(&target(service, protocol, operation), output, "rid");
    assert_eq!(reply.status.as_u16(), 200);
    assert_eq!(reply.headers["content-type"], content_type);
    assert_eq!(String::from_utf8(reply.body).unwrap(), body);
}

#[test]
fn answers_have_their_protocols_form() {
    check(
        "ecs",
        Protocol::AwsJson,
        "ListTasks",
        &json!({"taskArns": ["a"], "nextToken": null, "unknown": 1}),
        "application/x-amz-json-1.1",
        r#"{"taskArns":["a"]}"#,
    );
    check(
        "iam",
        Protocol::AwsQuery,
        "ListUsers",
        &json!({"Users": [{"UserName": "a&b", "CreateDate": 1_700_000_000}], "IsTruncated": false}),
        "text/xml",
        "<ListUsersResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ListUsersResult><Users><member>\
         <UserName>a&amp;b</UserName><CreateDate>2023-11-14T22:13:20Z</CreateDate></member></Users>\
         <IsTruncated>false</IsTruncated></ListUsersResult><ResponseMetadata><RequestId>rid</RequestId>\
         </ResponseMetadata></ListUsersResponse>",
    );
    check(
        "ec2",
        Protocol::Ec2Query,
        "DescribeVpcs",
        &json!({"Vpcs": [{"VpcId": "vpc-1", "Tags": [{"Key": "k", "Value": "v"}]}]}),
        "text/xml;charset=UTF-8",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeVpcsResponse \
         xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>rid</requestId><vpcSet><item>\
         <tagSet><item><key>k</key><value>v</value></item></tagSet><vpcId>vpc-1</vpcId></item></vpcSet>\
         </DescribeVpcsResponse>",
    );
    check(
        "eks",
        Protocol::RestJson,
        "ListClusters",
        &json!({"clusters": ["a"]}),
        "application/json",
        r#"{"clusters":["a"]}"#,
    );
}

#[test]
fn an_operation_without_output_still_answers() {
    let reply = ok(&target("logs", Protocol::AwsJson, "CreateLogGroup"), &json!({}), "rid");
    assert_eq!(reply.body, b"{}");
    let reply = ok(&target("iam", Protocol::AwsQuery, "DeleteUser"), &json!({}), "rid");
    let body = String::from_utf8(reply.body).unwrap();
    assert!(body.contains("<RequestId>rid</RequestId>"), "{body}");
}

#[test]
fn query_services_answer_in_json_whoever_asks_for_it_first() {
    let asks = |accept: &str| {
        let http = Http::form("Action=GetCallerIdentity&Version=2011-06-15").header("accept", accept);
        let request = http.request().unwrap();
        asks_for_json(&target("sts", Protocol::AwsQuery, "GetCallerIdentity"), &request)
    };
    assert!(asks("application/json"));
    assert!(asks("Application/JSON;q=0.9, */*"));
    assert!(!asks("*/*"));
    assert!(!asks("application/xml, application/json"));
    let http = Http::form("Action=DescribeVpcs&Version=2016-11-15").header("accept", "application/json");
    let vpcs = target("ec2", Protocol::Ec2Query, "DescribeVpcs");
    assert!(!asks_for_json(&vpcs, &http.request().unwrap()));

    let identity = target("sts", Protocol::AwsQuery, "GetCallerIdentity");
    let reply = ok_in_json(&identity, &json!({"Account": "1\"2", "Arn": "a", "none": 1}), "rid");
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["x-amzn-requestid"], "rid");
    let body = String::from_utf8(reply.body).unwrap();
    assert_eq!(
        body,
        r#"{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":"1\"2","Arn":"a"},"ResponseMetadata":{"RequestId":"rid"}}}"#
    );
    let reply = ok_in_json(&target("iam", Protocol::AwsQuery, "DeleteUser"), &json!({}), "rid");
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(
        body,
        json!({"DeleteUserResponse": {"ResponseMetadata": {"RequestId": "rid"}}})
    );
    let balancers = target("elbv2", Protocol::AwsQuery, "DescribeLoadBalancers");
    let error = ApiError::new("LoadBalancerNotFoundException", "none");
    let reply = error_in_json(&balancers, &error, "rid");
    assert_eq!(reply.status.as_u16(), 400);
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    let wanted = json!({"Code": "LoadBalancerNotFound", "Message": "none", "Type": "Sender"});
    assert_eq!(body, json!({"Error": wanted, "RequestId": "rid"}));
}

#[test]
fn a_stream_begins_with_its_first_event_in_a_list_or_alone() {
    let tail = target("logs", Protocol::AwsJson, "StartLiveTail");
    let start = json!({"sessionStart": {"sessionId": "s-1"}, "sessionUpdate": null});
    let alone = ok(&tail, &json!({"responseStream": start}), "rid");
    assert_eq!(alone.headers["content-type"], "application/vnd.amazon.eventstream");
    let text = String::from_utf8_lossy(&alone.body).into_owned();
    assert!(text.contains("initial-response"), "{text}");
    assert!(
        text.contains("sessionStart") && text.contains(r#"{"sessionId":"s-1"}"#),
        "{text}"
    );
    assert!(!text.contains("sessionUpdate"), "what is null is no event: {text}");
    let listed = ok(&tail, &json!({"responseStream": [start]}), "rid");
    assert_eq!(listed.body, alone.body);
}

#[test]
fn requests_become_trees_by_member_name() {
    let http = Http::form(
        "Action=CreateListener&Version=2015-12-01&LoadBalancerArn=arn&Port=80&Certificates.member.3.CertificateArn=c\
         &Certificates.member.1.CertificateArn=a&DefaultActions.member.1.Type=forward\
         &DefaultActions.member.1.ForwardConfig.TargetGroups.member.1.Weight=1",
    );
    assert_eq!(
        http.input("elasticloadbalancing").unwrap(),
        json!({
            "LoadBalancerArn": "arn", "Port": 80,
            "Certificates": [{"CertificateArn": "a"}, {"CertificateArn": "c"}],
            "DefaultActions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"Weight": 1}]}}],
        })
    );
    let http = Http::form("Action=CreateTags&Version=2016-11-15&ResourceId.1=i-1&Tag.1.Key=k&Tag.1.Value=v&Foo=x");
    let expected = json!({"Resources": ["i-1"], "Tags": [{"Key": "k", "Value": "v"}]});
    assert_eq!(http.input("ec2").unwrap(), expected);
    let http = Http::json(
        "AmazonEC2ContainerServiceV20141113.CreateCluster",
        r#"{"clusterName": "a", "tags": null, "unknown": [[1]], "settings": []}"#,
    );
    assert_eq!(http.input("ecs").unwrap(), json!({"clusterName": "a", "settings": []}));
    // An empty body is an empty input.
    assert_eq!(
        Http::json("AmazonEC2ContainerServiceV20141113.ListClusters", "")
            .input("ecs")
            .unwrap(),
        json!({})
    );
}

#[test]
fn blobs_are_base64_with_padding() {
    for (sent, is_good) in [
        ("aGVsbG8=", true),
        ("aGVsbG8", false),
        ("aGVsbG8==", false),
        ("aGVsb-8=", false),
    ] {
        let body = format!(
            r#"{{"repositoryName":"aa","uploadId":"u","partFirstByte":0,"partLastByte":4,"layerPartBlob":"{sent}"}}"#
        );
        let target = "AmazonEC2ContainerRegistry_V20150921.UploadLayerPart";
        let input = Http::json(target, &body);
        let request = input.request().unwrap();
        match honmaru_wire::parse(&input.route("ecr").unwrap(), &request) {
            Ok(input) => assert_eq!(input["layerPartBlob"], sent),
            Err(error) => assert_eq!(
                (is_good, error.code.as_str()),
                (false, "SerializationException"),
                "{sent}"
            ),
        }
    }
}
