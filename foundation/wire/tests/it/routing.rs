use crate::Http;
use honmaru_wire::Protocol::{self, AwsJson, AwsQuery, Ec2Query, RestJson, RestXml, RpcV2Cbor};

#[track_caller]
fn check(http: &Http<'_>, scope: &str, expected: (&str, &str, Protocol)) {
    let target = http.route(scope).unwrap();
    assert_eq!(
        (target.service.name(), target.operation.name(), target.protocol),
        expected
    );
}

#[track_caller]
fn refused(http: &Http<'_>, scope: &str, status: u16, code: &str) {
    let error = http.route(scope).unwrap_err();
    let reply = error.reply("r");
    assert_eq!((reply.status.as_u16(), error.error.code.as_str()), (status, code));
    assert!(!reply.body.is_empty());
}

#[test]
fn the_target_header_names_service_and_operation() {
    let http = Http::json("AmazonEC2ContainerServiceV20141113.RunTask", "{}");
    check(&http, "ecs", ("ecs", "RunTask", AwsJson));
    // Also without a signature, and with dots in the prefix.
    check(&http, "", ("ecs", "RunTask", AwsJson));
    let dotted = "com.amazonaws.codeconnections.CodeConnections_20231201.ListHosts";
    check(&Http::json(dotted, "{}"), "", ("codeconnections", "ListHosts", AwsJson));
}

#[test]
fn one_service_speaks_three_protocols() {
    let query = Http::form("Action=ListMetrics&Version=2010-08-01");
    check(&query, "monitoring", ("cloudwatch", "ListMetrics", AwsQuery));
    let json = Http::json("GraniteServiceVersion20100801.ListMetrics", "{}");
    check(&json, "monitoring", ("cloudwatch", "ListMetrics", AwsJson));
    let cbor = Http::cbor("/service/GraniteServiceVersion20100801/operation/ListMetrics", b"\xa0");
    check(&cbor, "monitoring", ("cloudwatch", "ListMetrics", RpcV2Cbor));
}

#[test]
fn query_services_are_told_apart_by_version_and_scope() {
    check(
        &Http::form("Action=GetCallerIdentity&Version=2011-06-15"),
        "sts",
        ("sts", "GetCallerIdentity", AwsQuery),
    );
    // Unsigned, as AssumeRoleWithWebIdentity is.
    let unsigned = Http::form("Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
    check(&unsigned, "", ("sts", "AssumeRoleWithWebIdentity", AwsQuery));
    assert!(unsigned.route("").unwrap().operation.unsigned());
    check(
        &Http::form("Action=DescribeVpcs&Version=2016-11-15"),
        "ec2",
        ("ec2", "DescribeVpcs", Ec2Query),
    );
    // A presigned GET.
    let presigned = Http::new("GET", "/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Signature=x");
    check(&presigned, "sts", ("sts", "GetCallerIdentity", AwsQuery));
    // The older Elastic Load Balancing shares scope and operation names.
    let classic = Http::form("Action=DescribeLoadBalancers&Version=2012-06-01");
    refused(&classic, "elasticloadbalancing", 400, "InvalidAction");
    let current = Http::form("Action=DescribeLoadBalancers&Version=2015-12-01");
    check(
        &current,
        "elasticloadbalancing",
        ("elbv2", "DescribeLoadBalancers", AwsQuery),
    );
}

#[test]
fn ec2_takes_the_versions_of_older_clients() {
    for version in ["2014-10-01", "2009-04-04", "2016-11-15"] {
        let older = Http::form(&format!("Action=DescribeVpcs&Version={version}"));
        check(&older, "ec2", ("ec2", "DescribeVpcs", Ec2Query));
    }
    for version in ["2016-11-16", "2099-01-01", "2014/10/01", "2014-10-1", "latest-000"] {
        let other = Http::form(&format!("Action=DescribeVpcs&Version={version}"));
        refused(&other, "ec2", 400, "InvalidAction");
    }
}

#[test]
fn rest_services_are_routed_by_scope_and_path() {
    check(
        &Http::new("GET", "/v2/apis/a/routes/b"),
        "apigateway",
        ("apigatewayv2", "GetRoute", RestJson),
    );
    check(
        &Http::new("GET", "/2013-04-01/hostedzone/Z1"),
        "route53",
        ("route53", "GetHostedZone", RestXml),
    );
    check(
        &Http::new("GET", "/2013-04-01/hostedzone/Z1"),
        "",
        ("route53", "GetHostedZone", RestXml),
    );
    let host = Http::new("POST", "/clusters").header("host", "eks.us-east-1.amazonaws.com");
    check(&host, "", ("eks", "CreateCluster", RestJson));
}

#[test]
fn s3_operations_are_told_apart_by_bound_keys_and_headers() {
    check(&Http::new("PUT", "/b/k"), "s3", ("s3", "PutObject", RestXml));
    check(
        &Http::new("PUT", "/b/k").header("x-amz-copy-source", "/a/b"),
        "s3",
        ("s3", "CopyObject", RestXml),
    );
    check(
        &Http::new("DELETE", "/b/k/l?uploadId=1"),
        "s3",
        ("s3", "AbortMultipartUpload", RestXml),
    );
    check(&Http::new("DELETE", "/b/k/l"), "s3", ("s3", "DeleteObject", RestXml));
    check(
        &Http::new("GET", "/b?lifecycle"),
        "s3",
        ("s3", "GetBucketLifecycleConfiguration", RestXml),
    );
}

#[test]
fn what_is_unknown_is_refused_in_the_requests_own_protocol() {
    refused(
        &Http::json("AmazonEC2ContainerServiceV20141113.Nothing", "{}"),
        "ecs",
        400,
        "UnknownOperationException",
    );
    refused(
        &Http::json("Nobody.Nothing", "{}"),
        "",
        400,
        "UnknownOperationException",
    );
    refused(&Http::json("no-dot", "{}"), "", 400, "UnknownOperationException");
    refused(
        &Http::form("Action=Nothing&Version=2010-05-08"),
        "iam",
        400,
        "InvalidAction",
    );
    refused(
        &Http::form("Action=Nothing&Version=1999-01-01"),
        "",
        400,
        "InvalidAction",
    );
    refused(
        &Http::new("GET", "/v2/nothing"),
        "apigateway",
        404,
        "UnknownOperationException",
    );
    refused(&Http::new("GET", "/"), "", 404, "UnknownOperationException");
    refused(
        &Http::cbor("/service/Nobody/operation/Nothing", b""),
        "",
        400,
        "UnknownOperationException",
    );
}

#[test]
fn a_service_that_is_not_there_is_named() {
    let said = |scope: &str| {
        let http = Http::form("Action=ListQueues&Version=2012-11-05");
        http.route(scope).expect_err("it is unknown").error.message
    };
    assert_eq!(
        said("sqs"),
        "The request names no service that is known here: Honmaru has no sqs"
    );
    for scope in ["", "a<b>", "%0a", &"x".repeat(41)] {
        assert_eq!(said(scope), "The request names no service that is known here");
    }
}

#[test]
fn the_unknown_action_is_named_in_amazons_words() {
    let error = Http::form("Action=Nothing&Version=2010-05-08")
        .route("iam")
        .unwrap_err();
    assert_eq!(
        error.error.message,
        "Could not find operation Nothing for version 2010-05-08"
    );
    let error = Http::form("Action=Nothing&Version=2016-11-15")
        .route("ec2")
        .unwrap_err();
    assert_eq!(
        error.error.message,
        "The action Nothing is not valid for this web service."
    );
}

#[test]
fn the_method_is_the_protocols() {
    let target = "AmazonEC2ContainerServiceV20141113.ListClusters";
    for method in ["GET", "PUT", "HEAD"] {
        let http = Http::new(method, "/")
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1");
        let error = http.route("ecs").unwrap_err();
        assert_eq!(error.error.code, "UnknownOperationException", "{method}");
    }
    let uri = "/?Action=ListUsers&Version=2010-05-08";
    assert!(Http::new("GET", uri).route("iam").is_ok());
    for method in ["PUT", "DELETE", "OPTIONS"] {
        assert_eq!(
            Http::new(method, uri).route("iam").unwrap_err().error.code,
            "MissingAction",
            "{method}"
        );
    }
}

#[test]
fn a_target_may_leave_the_namespace_out() {
    // As the SDKs for JavaScript and Rust send it.
    let names = [
        "CloudTrail_20131101",
        "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101",
    ];
    for name in names {
        let http = Http::new("POST", "/")
            .header("x-amz-target", &format!("{name}.LookupEvents"))
            .header("content-type", "application/x-amz-json-1.1");
        let target = http.route("cloudtrail").expect("it is CloudTrail's");
        assert_eq!(target.service.name(), "cloudtrail", "{name}");
    }
}

#[test]
fn cbor_names_its_protocol() {
    let uri = "/service/GraniteServiceVersion20100801/operation/PutMetricData";
    assert!(Http::cbor(uri, b"\xa0").route("monitoring").is_ok());
    let other = Http::cbor(uri, b"\xa0").header("smithy-protocol", "rpc-v3-cbor");
    assert_eq!(
        other.route("monitoring").unwrap_err().error.code,
        "UnknownOperationException"
    );
}
