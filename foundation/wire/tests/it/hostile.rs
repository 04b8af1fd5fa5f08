//! Requests that want to hurt: deep, long, broken. Each must be answered, in bounded time, by an error of the caller.

use crate::{Http, target};
use flate2::{Compression, write::GzEncoder};
use honmaru_wire::{GZIP_DECODED_BYTES_MAX, Protocol, parse, validate};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use std::io::Write;

const ECS: &str = "AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition";
const ELB: &str = "elasticloadbalancing";

#[test]
fn deep_json_is_refused() {
    for open in ["[", "{\"family\":", "{\"unknown\":["] {
        let error = Http::json(ECS, &open.repeat(200_000)).input("ecs").unwrap_err();
        assert_eq!(error.code, "SerializationException");
    }
    // A statement may nest without end by its shape.
    let deep = format!(
        "{{\"Statement\":{}1{}}}",
        "{\"NotStatement\":{\"Statement\":".repeat(5_000),
        "}}".repeat(5_000)
    );
    let body = format!("{{\"Scope\":\"REGIONAL\",\"Rules\":[{deep}]}}");
    assert_eq!(
        Http::json("AWSWAF_20190729.CheckCapacity", &body)
            .input("wafv2")
            .unwrap_err()
            .code,
        "SerializationException"
    );
}

#[test]
fn deep_forms_are_refused() {
    let long = format!("Action=DescribeVpcs&Version=2016-11-15&{}=1", "a.".repeat(200_000));
    assert_eq!(
        Http::form(&long).input("ec2").unwrap_err().code,
        "InvalidQueryParameter"
    );
    let key = format!(
        "Action=CreateListener&Version=2015-12-01&DefaultActions.member.1.{}x=1",
        "member.1.".repeat(20_000)
    );
    assert_eq!(Http::form(&key).input(ELB).unwrap_err().code, "MalformedInput");
}

#[test]
fn deep_xml_is_refused() {
    for body in [
        "<a>".repeat(200_000),
        format!("{}{}", "<a>".repeat(200_000), "</a>".repeat(200_000)),
    ] {
        let http = Http::new("POST", "/2013-04-01/hostedzone").body(body.as_bytes());
        assert_eq!(http.input("route53").unwrap_err().code, "MalformedXML");
    }
}

#[test]
fn entities_cannot_grow() {
    let body =
        "<!DOCTYPE a [<!ENTITY b \"cccccccccc\">]><CreateHostedZoneRequest><Name>&b;</Name></CreateHostedZoneRequest>";
    let http = Http::new("POST", "/2013-04-01/hostedzone").body(body.as_bytes());
    assert_eq!(http.input("route53").unwrap_err().code, "MalformedXML");
}

#[test]
fn deep_and_broken_cbor_is_refused() {
    let uri = "/service/GraniteServiceVersion20100801/operation/PutMetricData";
    for body in [
        vec![0x5f; 200_000],
        vec![0x9f; 200_000],
        vec![0xbf; 200_000],
        vec![0xc1; 200_000],
        // A map whose length claims more than there is, an array of 2^64 - 1 items, a string of as many bytes.
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"\xa1\x6aMetricData\x9b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"\xa1\x69Namespace\x7b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        [b"\xa1\x61u".as_slice(), &[0x81; 100_000]].concat(),
    ] {
        assert_eq!(
            Http::cbor(uri, &body).input("monitoring").unwrap_err().code,
            "SerializationException"
        );
    }
}

#[test]
fn cbor_numbers_out_of_range_are_refused() {
    let target = target("cloudwatch", Protocol::RpcV2Cbor, "PutMetricAlarm");
    let uri = "/service/GraniteServiceVersion20100801/operation/PutMetricAlarm";
    for (number, good) in [
        (b"\x1a\x7f\xff\xff\xff".as_slice(), true),
        (b"\x1a\x80\x00\x00\x00", false),
        (b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", false),
        (b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", false),
        (b"\xf9\x3c\x00", true),
        (b"\xf9\x7e\x00", false),
    ] {
        let body = [b"\xa1\x66Period".as_slice(), number].concat();
        let http = Http::cbor(uri, &body);
        let request = http.request().unwrap();
        assert_eq!(parse(&target, &request).is_ok(), good, "{number:?}");
    }
}

#[test]
fn many_parameters_take_no_longer_than_they_are_long() {
    // 80,000 distinct keys took the first version 17 seconds.
    let keys: Vec<String> = (0..80_000).map(|i| format!("k{i}.x={i}")).collect();
    let body = format!("Action=DescribeVpcs&Version=2016-11-15&{}", keys.join("&"));
    assert!(Http::form(&body).input("ec2").is_ok());
    let items: Vec<String> = (0..80_000).map(|i| format!("VpcId.{}=v", 80_000 - i)).collect();
    let body = format!("Action=DescribeVpcs&Version=2016-11-15&{}", items.join("&"));
    assert!(Http::form(&body).input("ec2").is_ok());
    let body = format!("Action=DescribeVpcs&Version=2016-11-15{}", "&a=b".repeat(100_001));
    assert_eq!(
        Http::form(&body).input("ec2").unwrap_err().code,
        "InvalidQueryParameter"
    );
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_is_unpacked_within_its_limit() {
    let packed = gzip(br#"{"clusterName": "a"}"#);
    let http = Http::json("AmazonEC2ContainerServiceV20141113.CreateCluster", "").header("content-encoding", "gzip");
    assert_eq!(
        http.body(&packed).input("ecs").unwrap(),
        serde_json::json!({"clusterName": "a"})
    );
    let bomb = gzip(&vec![b' '; GZIP_DECODED_BYTES_MAX + 1]);
    let http = Http::json("AmazonEC2ContainerServiceV20141113.CreateCluster", "").header("content-encoding", "gzip");
    let error = http.body(&bomb).input("ecs").unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.status),
        ("RequestEntityTooLargeException", Some(413))
    );
    let http = Http::json("AmazonEC2ContainerServiceV20141113.CreateCluster", "").header("content-encoding", "gzip");
    assert_eq!(
        http.body(b"no gzip").input("ecs").unwrap_err().code,
        "MalformedHttpRequestException"
    );
}

/// Texts that are near to what a parser expects: its own words in a random order.
fn near(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![4 => prop::sample::select(words).prop_map(|w| w.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6)];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

const JSON_WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\"family\"",
    "\"containerDefinitions\"",
    "\"name\"",
    "null",
    "true",
    "1e999",
    "-1",
    "9223372036854775808",
    "\"\\ud800\"",
    "\"cpu\"",
    "\"essential\"",
    "1.5",
];
const FORM_WORDS: &[&str] = &[
    "&",
    "=",
    ".",
    "DefaultActions",
    "member",
    ".1",
    ".0",
    ".99999999999",
    "Port",
    "%",
    "%C3",
    "+",
    "Tags.member.1.Key",
    "DefaultActions.member.1.ForwardConfig",
    "entry",
    "AlpnPolicy.member.-1",
];
const EC2_WORDS: &[&str] = &[
    "&",
    "=",
    ".",
    ".1",
    ".0",
    ".4294967296",
    "BlockDeviceMapping",
    ".Ebs",
    ".VolumeSize",
    "NetworkInterface.1.PrivateIpAddresses",
    "MinCount=1",
    "MaxCount=x",
    "%",
    "%C3",
    "+",
    "TagSpecification.1.Tag.1.Key",
];
const REST_JSON_WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"name\"",
    "\"corsConfiguration\"",
    "\"maxAge\"",
    "\"allowCredentials\"",
    "\"tags\"",
    "null",
    "true",
    "1e999",
    "\"\\ud800\"",
];
const XML_WORDS: &[&str] = &[
    "<",
    ">",
    "</",
    "/>",
    "<CreateHostedZoneRequest>",
    "</CreateHostedZoneRequest>",
    "<VPC>",
    "</VPC>",
    "&#0;",
    "&#x110000;",
    "&amp;",
    "&x;",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?xml?>",
    " a=\"b\"",
    "Name",
];
const CBOR_WORDS: &[&str] = &[
    "\u{1}",
    "\u{18}",
    "hNamespace",
    "jMetricData",
    "iTimestamp",
    "\u{7f}",
    "eValue",
];

/// Bytes after the first one of a CBOR number.
fn width(first: u8) -> usize {
    match first {
        0xf9 => 2,
        0x1a | 0xfa => 4,
        _ => 8,
    }
}

proptest! {
    #[test]
    fn no_json_panics(body in near(JSON_WORDS)) {
        let http = Http::json(ECS, "").body(&body);
        let _ = http.input("ecs");
    }

    #[test]
    fn no_form_panics(body in near(FORM_WORDS)) {
        let target = target("elbv2", Protocol::AwsQuery, "CreateListener");
        let http = Http::form("").body(&body);
        if let Ok(input) = parse(&target, &http.request().unwrap()) {
            let _ = validate(&target, &input);
        }
    }

    #[test]
    fn no_xml_panics(body in near(XML_WORDS)) {
        let http = Http::new("POST", "/2013-04-01/hostedzone").body(&body);
        let _ = http.input("route53");
    }

    #[test]
    fn no_cbor_panics(
        words in near(CBOR_WORDS),
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\xa1\xbf\xff\x9f\x81\xc1\xfb\x7f\x5f\x1b".to_vec())], 0..60),
        start in prop_oneof![Just(b"\xbf".to_vec()), Just(b"\xbf\x69Namespace".to_vec()), Just(b"\xa1\x6aMetricData\x9f\xbf".to_vec())],
    ) {
        let uri = "/service/GraniteServiceVersion20100801/operation/PutMetricData";
        let body = [start, words, bytes].concat();
        let _ = Http::cbor(uri, &body).input("monitoring");
    }

    #[test]
    fn no_ec2_form_panics(body in near(EC2_WORDS)) {
        let target = target("ec2", Protocol::Ec2Query, "RunInstances");
        let http = Http::form("").body(&body);
        if let Ok(input) = parse(&target, &http.request().unwrap()) {
            let _ = validate(&target, &input);
        }
    }

    #[test]
    fn no_rest_json_panics(body in near(REST_JSON_WORDS)) {
        let http = Http::new("POST", "/v2/apis").header("content-type", "application/json").body(&body);
        let _ = http.input("apigateway");
    }

    /// Members in the path, the query and the headers: texts, numbers, booleans, times, lists, maps.
    #[test]
    fn no_rest_binding_panics(
        label in "([a-z0-9]|%[0-9A-Fa-f]{2}|%|[+]|\u{e9}){1,12}",
        value in "([a-z0-9,]|%[0-9A-Fa-f]{2}|%|[+]|true|-1|1e9|NaN|2026-11-22T00:00:00Z|\u{e9}){0,8}",
        header in "[ -~]{0,40}",
    ) {
        for (service, protocol, operation, uri) in [
            ("lambda", Protocol::RestJson, "ListFunctions", format!("/2015-03-31/functions/?MaxItems={value}")),
            ("lambda", Protocol::RestJson, "UntagResource", format!("/2017-03-31/tags/{label}?tagKeys={value}&tagKeys=b")),
            ("lambda", Protocol::RestJson, "Invoke", format!("/2015-03-31/functions/{label}/invocations?Qualifier={value}")),
            ("apigatewayv2", Protocol::RestJson, "ExportApi", format!("/v2/apis/{label}/exports/x?includeExtensions={value}")),
            ("route53", Protocol::RestXml, "ListHostedZones", format!("/2013-04-01/hostedzone?maxitems={value}")),
            ("s3", Protocol::RestXml, "GetObject", format!("/{label}/{label}?partNumber={value}&response-expires={value}")),
            ("s3", Protocol::RestXml, "PutObject", format!("/{label}/{label}/{value}")),
        ] {
            let mut http = Http::new("POST", &uri);
            for name in ["x-amz-invocation-type", "x-amz-client-context", "if-modified-since", "x-amz-meta-a",
                "x-amz-object-lock-retain-until-date", "x-amz-server-side-encryption-bucket-key-enabled", "expires"] {
                http = http.header(name, &header);
            }
            let target = target(service, protocol, operation);
            match parse(&target, &http.request().unwrap()) {
                Ok(input) => {
                    let _ = validate(&target, &input);
                }
                Err(error) => assert!(error.status.is_some_and(|status| status < 500), "{error}"),
            }
        }
    }

    /// Numbers and times of any size in each protocol that has them, in plain bodies and in what says to be packed. What
    /// is taken can be told again: in the trail, and in an error.
    #[test]
    fn no_number_and_no_time_panics(
        number in "-?[0-9]{1,25}([.][0-9]{0,20})?([eE][+-]?[0-9]{1,4})?|NaN|-?Infinity|null|\"[ -~]{0,30}\"",
        time in "[+-]?[0-9]{1,9}-[0-9]{1,2}-[0-9]{1,2}T[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}([.][0-9]{0,12})?(Z|[+-][0-9]{2}:?[0-9]{2})?",
        major in prop::sample::select(vec![0x1a_u8, 0x1b, 0x3b, 0xf9, 0xfa, 0xfb]),
        bytes in prop::collection::vec(any::<u8>(), 8),
        coding in prop::sample::select(vec!["", "gzip", "gzip, gzip", "identity", "br", "GZIP, x"]),
    ) {
        let member = |name: &str, value: &str| format!("\"{name}\":{value}");
        let json = ["StartTime", "EndTime", "Period"].map(|name| member(name, &number)).join(",");
        let text = number.trim_matches('"');
        let form = format!(
            "Action=GetMetricStatistics&Version=2010-08-01&StartTime={time}&EndTime={text}&Period={text}&Namespace=a"
        );
        let value = |name: &[u8]| [&[0x60 + name.len() as u8][..], name, &[0xc1, major], &bytes[..width(major)]].concat();
        let cbor = [vec![0xa3], value(b"StartTime"), value(b"EndTime"), value(b"Period")].concat();
        let uri = "/service/GraniteServiceVersion20100801/operation/GetMetricStatistics";
        let typed = |http: Http<'static>, content_type: &str| http.header("content-type", content_type);
        for (protocol, http) in [
            (Protocol::AwsJson, typed(Http::json("x.y", &format!("{{{json}}}")), "application/x-amz-json-1.0")),
            (Protocol::AwsQuery, Http::form(&form)),
            (Protocol::RpcV2Cbor, Http::cbor(uri, &cbor)),
        ] {
            let target = target("cloudwatch", protocol, "GetMetricStatistics");
            let http = if coding.is_empty() { http } else { http.header("content-encoding", coding) };
            let Ok(request) = http.request() else { continue };
            match parse(&target, &request) {
                Ok(input) => {
                    let side = honmaru_wire::Side::Input;
                    let _ = honmaru_wire::recorded(target.service, target.operation, side, &input);
                    if let Err(error) = validate(&target, &input) {
                        let reply = honmaru_wire::error(&target, &error, "rid");
                        assert!(reply.status.is_client_error() && reply.body.len() < 10_000);
                    }
                }
                Err(error) => assert!(error.status.is_none_or(|status| status < 500), "{error}"),
            }
        }
    }

    #[test]
    fn no_token_panics(token in ".{0,40}", near in "[A-Za-z0-9_-]{6}.{0,8}") {
        let target = target("ecs", Protocol::AwsJson, "ListTasks");
        for token in [token, near] {
            let mut input = serde_json::json!({ "nextToken": token });
            let _ = honmaru_wire::open_token(&target, &mut input);
        }
    }

    #[test]
    fn no_route_panics(
        method in "GET|PUT|POST|DELETE",
        uri in "(/|v2|apis|[a-z]{1,3}|%[0-9A-G]{2}|2013-04-01|service|operation|\\?|&|=|Action|Version|\u{e9}){0,12}",
        target in "[A-Za-z_0-9.]{0,20}",
        scope in "s3|lambda|apigateway|route53|iam|nobody|",
    ) {
        let http = Http::new(&method, &uri).header("x-amz-target", &target);
        let _ = http.input(&scope);
        let http = Http::new(&method, &uri);
        if let Err(error) = http.route(&scope) {
            assert!(error.reply("r").status.is_client_error());
        }
        let _ = http.input(&scope);
    }
}
