//! Every kind of malformed request in every protocol: the protocol's own error, in a well-formed answer, never a 500.

use crate::Http;
use crate::hostile::gzip;
use honmaru_wire::{Common, GZIP_DECODED_BYTES_MAX, Reply, error, parse, route, validate};

/// The way of a request up to its handler: nothing when it would get there.
fn refusal(http: &Http<'_>, scope: &str) -> Option<(String, Reply)> {
    let request = match http.request() {
        Ok(request) => request,
        Err(refused) => return Some((refused.error.code.clone(), refused.reply("r"))),
    };
    let target = match route(&request, Some(scope)) {
        Ok(target) => target,
        Err(refused) => return Some((refused.error.code.clone(), refused.reply("r"))),
    };
    let input = parse(&target, &request).and_then(|input| validate(&target, &input));
    input
        .err()
        .map(|refused| (refused.code.clone(), error(&target, &refused, "r")))
}

#[track_caller]
fn check(kind: &str, http: &Http<'_>, scope: &str, status: u16, code: &str) {
    let Some((said, reply)) = refusal(http, scope) else {
        panic!("{kind} ({scope}): accepted");
    };
    assert_eq!(
        (reply.status.as_u16(), said.as_str()),
        (status, code),
        "{kind} ({scope})"
    );
    // The code is in the answer where the protocol has it, and the answer has a body.
    let text = String::from_utf8_lossy(&reply.body);
    let header = reply
        .headers
        .get("x-amzn-errortype")
        .map(|value| value.to_str().unwrap());
    assert!(text.contains(code) || header == Some(code), "{kind} ({scope}): {text}");
}

const REST_JSON: &str = "/v2/apis";
const REST_XML: &str = "/2013-04-01/hostedzone";
const CBOR: &str = "/service/GraniteServiceVersion20100801/operation/PutMetricData";
const TARGET: &str = "AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition";

fn rest_json(body: &[u8]) -> Http<'static> {
    Http::new("POST", REST_JSON)
        .header("content-type", "application/json")
        .body(body)
}

fn rest_xml(body: &[u8]) -> Http<'static> {
    Http::new("POST", REST_XML)
        .header("content-type", "application/xml")
        .body(body)
}

fn aws_json(body: &[u8]) -> Http<'static> {
    Http::json(TARGET, "").body(body)
}

fn elb(parameters: &[u8]) -> Http<'static> {
    let start = b"Action=CreateListener&Version=2015-12-01&".as_slice();
    Http::form("").body(&[start, parameters].concat())
}

fn ec2(parameters: &[u8]) -> Http<'static> {
    let start = b"Action=DescribeVpcs&Version=2016-11-15&".as_slice();
    Http::form("").body(&[start, parameters].concat())
}

fn cbor(body: &[u8]) -> Http<'static> {
    Http::cbor(CBOR, body)
}

/// One kind in all protocols; an empty body says that the protocol has no such thing.
struct Kind {
    name: &'static str,
    aws_json: Vec<u8>,
    rest_json: Vec<u8>,
    rest_xml: Vec<u8>,
    query: Vec<u8>,
    ec2: Vec<u8>,
    cbor: Vec<u8>,
}

fn nested(open: &str, close: &str, inside: &str, levels: usize) -> Vec<u8> {
    format!("{}{inside}{}", open.repeat(levels), close.repeat(levels)).into_bytes()
}

fn around(before: &str, inner: &[u8], after: &str) -> Vec<u8> {
    [before.as_bytes(), inner, after.as_bytes()].concat()
}

fn kinds() -> Vec<Kind> {
    let json_bomb = |member: &str| {
        let lists = nested("[", "]", "", 100_000);
        around(&format!("{{\"{member}\":"), &lists, "}")
    };
    let xml_bomb = |member: &str| {
        let inner = nested(&format!("<{member}>"), &format!("</{member}>"), "", 100_000);
        around("<CreateHostedZoneRequest>", &inner, "</CreateHostedZoneRequest>")
    };
    let form_bomb = |member: &str| format!("{member}{}=1", ".member.1".repeat(100_000)).into_bytes();
    let cbor_bomb = |key: &[u8]| [b"\xa1".as_slice(), key, &[0x81; 100_000], b"\x00"].concat();
    vec![
        Kind {
            name: "truncated",
            aws_json: b"{\"family\": \"a".to_vec(),
            rest_json: b"{\"name\": \"a".to_vec(),
            rest_xml: b"<CreateHostedZoneRequest><Name>a</Na".to_vec(),
            // A form that ends early is a shorter form.
            query: Vec::new(),
            ec2: Vec::new(),
            cbor: b"\xa1\x69Names".to_vec(),
        },
        Kind {
            name: "another syntax",
            aws_json: b"<xml/>".to_vec(),
            rest_json: b"a=b".to_vec(),
            rest_xml: b"{\"Name\": \"a\"}<".to_vec(),
            query: Vec::new(),
            ec2: Vec::new(),
            cbor: b"{\"Namespace\": \"a\"}".to_vec(),
        },
        Kind {
            name: "a list where a structure is due",
            aws_json: b"[]".to_vec(),
            rest_json: b"[]".to_vec(),
            rest_xml: b"<CreateHostedZoneRequest><VPC>text</VPC></CreateHostedZoneRequest>".to_vec(),
            query: b"DefaultActions.member.1=text".to_vec(),
            ec2: b"Filter.1=text".to_vec(),
            cbor: b"\x80".to_vec(),
        },
        Kind {
            name: "a structure where a simple value is due",
            aws_json: b"{\"family\": {}}".to_vec(),
            rest_json: b"{\"name\": {}}".to_vec(),
            // XML cannot tell: the text of the element is empty.
            rest_xml: Vec::new(),
            query: b"Port.a=1".to_vec(),
            ec2: b"MaxResults.a=1".to_vec(),
            cbor: b"\xa1\x69Namespace\xa0".to_vec(),
        },
        Kind {
            name: "a text where a number is due",
            aws_json: b"{\"containerDefinitions\": [{\"cpu\": \"many\"}]}".to_vec(),
            rest_json: b"{\"corsConfiguration\": {\"maxAge\": \"long\"}}".to_vec(),
            rest_xml:
                b"<CreateHostedZoneRequest><HostedZoneConfig><PrivateZone>perhaps</PrivateZone></HostedZoneConfig>\
                        </CreateHostedZoneRequest>"
                    .to_vec(),
            query: b"Port=many".to_vec(),
            ec2: b"MaxResults=many".to_vec(),
            cbor: b"\xa1\x6aMetricData\x81\xa1\x65Value\x61x".to_vec(),
        },
        Kind {
            name: "a nesting bomb in a member",
            aws_json: json_bomb("containerDefinitions"),
            rest_json: json_bomb("tags"),
            rest_xml: xml_bomb("VPC"),
            query: form_bomb("DefaultActions"),
            ec2: form_bomb("Filter"),
            cbor: cbor_bomb(b"\x6aMetricData"),
        },
        Kind {
            name: "a nesting bomb in what nobody knows",
            aws_json: json_bomb("whatever"),
            rest_json: json_bomb("whatever"),
            rest_xml: xml_bomb("Whatever"),
            query: form_bomb("Whatever"),
            ec2: form_bomb("Whatever"),
            cbor: cbor_bomb(b"\x61u"),
        },
        Kind {
            name: "invalid UTF-8",
            aws_json: b"{\"family\": \"\xff\xfe\"}".to_vec(),
            rest_json: b"{\"name\": \"\xff\xfe\"}".to_vec(),
            rest_xml: b"<CreateHostedZoneRequest><Name>\xff\xfe</Name></CreateHostedZoneRequest>".to_vec(),
            query: b"Protocol=%ff%fe".to_vec(),
            ec2: b"NextToken=\xff\xfe".to_vec(),
            cbor: b"\xa1\x69Namespace\x62\xff\xfe".to_vec(),
        },
        Kind {
            name: "a lone surrogate",
            aws_json: b"{\"family\": \"\\ud800\"}".to_vec(),
            rest_json: b"{\"name\": \"\\ud800\"}".to_vec(),
            rest_xml: b"<CreateHostedZoneRequest><Name>&#xd800;</Name></CreateHostedZoneRequest>".to_vec(),
            query: b"Protocol=%ed%a0%80".to_vec(),
            ec2: b"NextToken=%ed%a0%80".to_vec(),
            cbor: b"\xa1\x69Namespace\x63\xed\xa0\x80".to_vec(),
        },
        Kind {
            name: "a huge number",
            aws_json: b"{\"containerDefinitions\": [{\"cpu\": 1e999999}]}".to_vec(),
            rest_json: format!("{{\"corsConfiguration\": {{\"maxAge\": {}}}}}", "9".repeat(10_000)).into_bytes(),
            // restXml's numbers of route53 are in its paths and queries.
            rest_xml: Vec::new(),
            query: format!("Port={}", "9".repeat(10_000)).into_bytes(),
            ec2: b"MaxResults=18446744073709551616".to_vec(),
            cbor: b"\xa1\x6aMetricData\x81\xa1\x71StorageResolution\x1b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        },
        Kind {
            name: "a duplicate key",
            aws_json: b"{\"family\": \"a\", \"family\": \"b\"}".to_vec(),
            rest_json: b"{\"tags\": {\"a\": \"1\", \"a\": \"2\"}}".to_vec(),
            rest_xml: b"<CreateHostedZoneRequest><Name>a</Name><Name>b</Name></CreateHostedZoneRequest>".to_vec(),
            query: b"Port=1&Port=2".to_vec(),
            ec2: b"MaxResults=5&MaxResults=6".to_vec(),
            cbor: b"\xa2\x69Namespace\x61a\x69Namespace\x61b".to_vec(),
        },
    ]
}

#[test]
fn every_kind_in_every_protocol() {
    for kind in kinds() {
        let name = kind.name;
        for (body, http, scope, code) in [
            (
                &kind.aws_json,
                aws_json(&kind.aws_json),
                "ecs",
                "SerializationException",
            ),
            (
                &kind.rest_json,
                rest_json(&kind.rest_json),
                "apigateway",
                "SerializationException",
            ),
            (&kind.rest_xml, rest_xml(&kind.rest_xml), "route53", "MalformedXML"),
            (&kind.query, elb(&kind.query), "elasticloadbalancing", "MalformedInput"),
            (&kind.ec2, ec2(&kind.ec2), "ec2", "InvalidQueryParameter"),
            (&kind.cbor, cbor(&kind.cbor), "monitoring", "SerializationException"),
        ] {
            if !body.is_empty() {
                check(name, &http, scope, 400, code);
            }
        }
    }
}

#[test]
fn a_wrong_content_type_in_every_protocol() {
    let kind = "a wrong content type";
    for wrong in ["text/html", "application/xml", "application/x-amz-json-9.9", "x"] {
        // Coral finds no handler; so answers DynamoDB, from where it is known.
        let http = Http::json(TARGET, "{}").header("content-type", wrong);
        check(kind, &http, "ecs", 404, "UnknownOperationException");
        let http = rest_json(b"{}").header("content-type", wrong);
        check(kind, &http, "apigateway", 415, "UnsupportedMediaTypeException");
        let http = cbor(b"\xa0").header("content-type", wrong);
        check(kind, &http, "monitoring", 415, "UnsupportedMediaTypeException");
        // The parameters are in a body that is no form: there is no action.
        let http = elb(b"Port=1").header("content-type", wrong);
        check(kind, &http, "elasticloadbalancing", 400, "MissingAction");
        let http = ec2(b"MaxResults=5").header("content-type", wrong);
        check(kind, &http, "ec2", 400, "MissingAction");
    }
}

#[test]
fn an_unsound_compression_in_every_protocol() {
    let kind = "no gzip";
    for (http, scope, code) in [
        (aws_json(b"{}"), "ecs", "MalformedHttpRequestException"),
        (rest_json(b"{}"), "apigateway", "MalformedHttpRequestException"),
        (rest_xml(b"<a/>"), "route53", "MalformedXML"),
        (elb(b"Port=1"), "elasticloadbalancing", "MalformedInput"),
        (cbor(b"\xa0"), "monitoring", "MalformedHttpRequestException"),
    ] {
        check(kind, &http.header("content-encoding", "gzip"), scope, 400, code);
    }
}

/// What the service says of a body that could not be read, by what the head tells.
#[track_caller]
fn unread(http: &Http<'_>, scope: &str, kind: Common) -> (u16, String, Option<String>) {
    let head = http.head();
    let scope = Some(scope).filter(|scope| !scope.is_empty());
    let reply = honmaru_wire::unread(&head, scope, kind, "why").reply("rid");
    assert_eq!(reply.headers.get("x-amzn-requestid").unwrap(), "rid");
    let header = |name: &str| reply.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    (reply.status.as_u16(), text, header("content-type"))
}

#[test]
fn a_body_that_was_not_read_is_answered_in_the_words_of_the_service() {
    let form = || Http::form("");
    let said = |http: &Http<'_>, scope: &str| {
        [Common::TooLarge, Common::TooSlow, Common::Unreadable].map(|kind| unread(http, scope, kind))
    };
    for (name, http, scope, content_type, codes) in [
        (
            "awsJson",
            aws_json(b""),
            "",
            "application/x-amz-json-1.1",
            [
                "RequestEntityTooLargeException",
                "RequestTimeoutException",
                "MalformedHttpRequestException",
            ],
        ),
        (
            "rpcv2Cbor",
            cbor(b""),
            "",
            "application/cbor",
            [
                "RequestEntityTooLargeException",
                "RequestTimeoutException",
                "MalformedHttpRequestException",
            ],
        ),
        (
            "restJson",
            rest_json(b""),
            "apigateway",
            "application/json",
            [
                "RequestEntityTooLargeException",
                "RequestTimeoutException",
                "MalformedHttpRequestException",
            ],
        ),
        (
            "restXml",
            rest_xml(b""),
            "route53",
            "application/xml",
            ["RequestEntityTooLarge", "RequestTimeout", "MalformedXML"],
        ),
        (
            "query",
            form(),
            "iam",
            "text/xml",
            ["RequestEntityTooLarge", "RequestTimeout", "MalformedInput"],
        ),
        (
            "query of nobody",
            form(),
            "",
            "text/xml",
            ["RequestEntityTooLarge", "RequestTimeout", "MalformedInput"],
        ),
        (
            "ec2",
            form(),
            "ec2",
            "text/xml;charset=UTF-8",
            ["RequestEntityTooLarge", "RequestTimeout", "InvalidQueryParameter"],
        ),
    ] {
        for ((status, text, said_type), (wanted, code)) in said(&http, scope)
            .into_iter()
            .zip([413, 408, 400].into_iter().zip(codes))
        {
            assert_eq!((status, said_type.as_deref()), (wanted, Some(content_type)), "{name}");
            let has_code = text.contains(code) || name == "restJson";
            assert!(has_code && text.contains("why"), "{name}: {text}");
            let root = match name {
                "ec2" => "<Response><Errors><Error>",
                "query" => "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error>",
                _ => "",
            };
            assert!(text.contains(root), "{name}: {text}");
        }
    }
}

#[test]
fn the_scope_that_a_request_claims() {
    let credential = "AKIA/20260101/us-east-1/ec2/aws4_request";
    let signed = |value: &str| Http::form("").header("authorization", value).head().claimed_scope();
    let whole = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=00");
    assert_eq!(signed(&whole).as_deref(), Some("ec2"));
    assert_eq!(
        signed(&format!("AWS4-HMAC-SHA256 Credential={credential}")).as_deref(),
        Some("ec2")
    );
    assert_eq!(signed("AWS4-HMAC-SHA256 Credential=,,,="), None);
    assert_eq!(signed("Basic abc"), None);
    let presigned = Http::new(
        "GET",
        "/?X-Amz-Credential=AKIA%2F20260101%2Fus-east-1%2Fiam%2Faws4_request",
    );
    assert_eq!(presigned.head().claimed_scope().as_deref(), Some("iam"));
    assert_eq!(Http::new("GET", "/").head().claimed_scope(), None);
}

#[test]
fn a_gzip_bomb_in_every_protocol() {
    let bomb = gzip(&vec![b' '; GZIP_DECODED_BYTES_MAX + 1]);
    for (http, scope, code) in [
        (aws_json(&bomb), "ecs", "RequestEntityTooLargeException"),
        (rest_json(&bomb), "apigateway", "RequestEntityTooLargeException"),
        (rest_xml(&bomb), "route53", "RequestEntityTooLarge"),
        (
            Http::form("").body(&bomb),
            "elasticloadbalancing",
            "RequestEntityTooLarge",
        ),
        (cbor(&bomb), "monitoring", "RequestEntityTooLargeException"),
    ] {
        let http = http.header("content-encoding", "gzip");
        check("a bomb", &http, scope, 413, code);
    }
}
