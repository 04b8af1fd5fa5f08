use crate::{Http, target};
use honmaru_base::ApiError;
use honmaru_wire::{Common, Protocol, common_error, error, not_implemented};
use serde_json::json;

#[track_caller]
fn check(service: &str, protocol: Protocol, operation: &str, api: ApiError, status: u16, body: &str) {
    let reply = error(&target(service, protocol, operation), &api, "rid");
    assert_eq!(reply.status.as_u16(), status);
    assert_eq!(String::from_utf8(reply.body).unwrap(), body);
    assert_eq!(reply.headers["x-amzn-requestid"], "rid");
}

#[test]
fn aws_json_carries_the_shapes_name() {
    check(
        "ecs",
        Protocol::AwsJson,
        "RunTask",
        ApiError::new("ClusterNotFoundException", "Cluster not found."),
        400,
        r#"{"__type":"ClusterNotFoundException","message":"Cluster not found."}"#,
    );
    check(
        "ecs",
        Protocol::AwsJson,
        "RunTask",
        ApiError::new("ServerException", "x").with_field("nobody", json!(1)),
        500,
        r#"{"__type":"ServerException","message":"x"}"#,
    );
    // A message member with a capital, and a further member.
    check(
        "wafv2",
        Protocol::AwsJson,
        "CreateWebACL",
        ApiError::new("WAFInvalidParameterException", "m").with_field("Field", json!("RULE")),
        400,
        r#"{"__type":"WAFInvalidParameterException","Field":"RULE","message":"m"}"#,
    );
}

#[test]
fn an_error_without_members_carries_its_message() {
    let text = "The specified log group does not exist.";
    let api = || ApiError::new("ResourceNotFoundException", text);
    let body = r#"{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}"#;
    check("logs", Protocol::AwsJson, "DescribeLogStreams", api(), 400, body);
    // Members that are no message stand before it.
    let api = ApiError::new("DataAlreadyAcceptedException", "m").with_field("expectedSequenceToken", json!("t"));
    let body = r#"{"__type":"DataAlreadyAcceptedException","expectedSequenceToken":"t","message":"m"}"#;
    check("logs", Protocol::AwsJson, "PutLogEvents", api, 400, body);
    let api = ApiError::new("ResourceNotFoundException", "");
    let body = r#"{"__type":"ResourceNotFoundException"}"#;
    check("logs", Protocol::AwsJson, "PutLogEvents", api, 400, body);
}

#[test]
fn query_carries_the_code() {
    let body = "<ErrorResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\"><Error>\
         <Type>Sender</Type><Code>LoadBalancerNotFound</Code><Message>a &lt; b</Message></Error>\
         <RequestId>rid</RequestId></ErrorResponse>";
    // By the shape's name and by the code.
    for code in ["LoadBalancerNotFoundException", "LoadBalancerNotFound"] {
        let api = ApiError::new(code, "a < b");
        check("elbv2", Protocol::AwsQuery, "DescribeLoadBalancers", api, 400, body);
    }
    let reply = error(
        &target("iam", Protocol::AwsQuery, "GetUser"),
        &ApiError::new("NoSuchEntityException", "none"),
        "rid",
    );
    assert_eq!(reply.status.as_u16(), 404);
    assert!(
        String::from_utf8(reply.body)
            .unwrap()
            .contains("<Code>NoSuchEntity</Code>")
    );
}

#[test]
fn ec2_has_its_own_document() {
    check(
        "ec2",
        Protocol::Ec2Query,
        "DescribeVpcs",
        ApiError::new("InvalidVpcID.NotFound", "The vpc ID 'vpc-1' does not exist"),
        400,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code>\
         <Message>The vpc ID 'vpc-1' does not exist</Message></Error></Errors><RequestID>rid</RequestID></Response>",
    );
}

#[test]
fn rest_json_names_the_error_in_a_header() {
    let target = target("eks", Protocol::RestJson, "DescribeCluster");
    let reply = error(
        &target,
        &ApiError::new("ResourceNotFoundException", "No cluster found for name: x."),
        "rid",
    );
    assert_eq!(reply.status.as_u16(), 404);
    assert_eq!(reply.headers["x-amzn-errortype"], "ResourceNotFoundException");
    assert_eq!(reply.body, br#"{"message":"No cluster found for name: x."}"#);
}

#[test]
fn query_compatible_services_add_the_old_code() {
    for protocol in [Protocol::AwsJson, Protocol::RpcV2Cbor] {
        let target = target("cloudwatch", protocol, "GetDashboard");
        let reply = error(&target, &ApiError::new("ResourceNotFoundException", "x"), "rid");
        let header = reply.headers["x-amzn-query-error"].to_str().unwrap();
        assert!(header.ends_with(";Sender"), "{header}");
    }
}

#[test]
fn what_is_not_implemented_says_so_in_every_protocol() {
    for (service, protocol, operation) in [
        ("ecs", Protocol::AwsJson, "CreateTaskSet"),
        ("elbv2", Protocol::AwsQuery, "CreateTrustStore"),
        ("ec2", Protocol::Ec2Query, "RunInstances"),
        ("eks", Protocol::RestJson, "CreateCluster"),
        ("route53", Protocol::RestXml, "CreateHostedZone"),
        ("cloudwatch", Protocol::RpcV2Cbor, "PutMetricData"),
    ] {
        let target = target(service, protocol, operation);
        let reply = error(&target, &not_implemented(&target), "rid");
        assert_eq!(reply.status.as_u16(), 501);
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(body.contains(&format!("{service}:{operation}")), "{body}");
        let named = body.contains("NotImplemented") || reply.headers.get("x-amzn-errortype").is_some();
        assert!(named, "{body}");
    }
}

#[test]
fn common_errors_have_each_protocols_name() {
    let name = |protocol| common_error(protocol, Common::AccessDenied, "m").code;
    assert_eq!(name(Protocol::AwsJson), "AccessDeniedException");
    assert_eq!(name(Protocol::AwsQuery), "AccessDenied");
    assert_eq!(name(Protocol::Ec2Query), "UnauthorizedOperation");
    let api = ApiError::new("SignatureDoesNotMatch", "m");
    assert_eq!(
        error(&target("sts", Protocol::AwsQuery, "GetCallerIdentity"), &api, "r")
            .status
            .as_u16(),
        403
    );
}

#[track_caller]
fn malformed(http: &Http<'_>, scope: &str, code: &str, message: &str) {
    let error = http.input(scope).unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.message.as_str(), error.status),
        (code, message, Some(400))
    );
}

#[test]
fn wrong_types_are_serialization_errors() {
    let ecs = |body: &str| Http::json("AmazonEC2ContainerServiceV20141113.CreateService", body);
    let code = "SerializationException";
    malformed(
        &ecs(r#"{"serviceName": 1}"#),
        "ecs",
        code,
        "NUMBER_VALUE can not be converted to a String",
    );
    malformed(
        &ecs(r#"{"desiredCount": "1"}"#),
        "ecs",
        code,
        "STRING_VALUE can not be converted to an Integer",
    );
    malformed(
        &ecs(r#"{"desiredCount": 2147483648}"#),
        "ecs",
        code,
        "2147483648 can not be converted to an Integer",
    );
    malformed(
        &ecs(r#"{"desiredCount": 1.5}"#),
        "ecs",
        code,
        "1.5 can not be converted to an Integer",
    );
    malformed(
        &ecs(r#"{"desiredCount": true}"#),
        "ecs",
        code,
        "TRUE_VALUE can not be converted to an Integer",
    );
    malformed(
        &ecs(r#"{"loadBalancers": {}}"#),
        "ecs",
        code,
        "Start of structure or map found where not expected.",
    );
    malformed(&ecs(r#"{"loadBalancers": 1}"#), "ecs", code, "Expected list or null");
    malformed(&ecs("{"), "ecs", code, "Could not parse request body into json");
    malformed(&ecs("{} x"), "ecs", code, "Could not parse request body into json");
    malformed(&ecs("[]"), "ecs", code, "Start of list found where not expected");
    malformed(
        &Http::json(
            "AmazonEC2ContainerRegistry_V20150921.UploadLayerPart",
            r#"{"layerPartBlob": "%%"}"#,
        ),
        "ecr",
        code,
        "A blob is not valid base64",
    );
    malformed(
        &Http::form("Action=CreateTargetGroup&Version=2015-12-01&Name=t&Port=x"),
        "elasticloadbalancing",
        "MalformedInput",
        "'x' can not be converted to an Integer",
    );
    malformed(
        &Http::form("Action=DescribeVpcs&Version=2016-11-15&VpcId.x=1"),
        "ec2",
        "InvalidQueryParameter",
        "'x' is not a valid index of a list parameter",
    );
}
