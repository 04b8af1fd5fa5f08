//! Requests that are malformed in any way: an answer of the caller's fault, and an endpoint that goes on.

use crate::raw::{CLUSTERS, JSON, QUERY, SIGNED, post, send};
use anyhow::{Context, Result, ensure};
use honmaru_tests::cloud::Cloud;

/// Where no request begins, none is answered.
const SILENT: [&str; 2] = ["nothing", "a bare newline"];

pub fn malformed(cloud: &Cloud) -> Result<()> {
    let ecs = |more: &str, body: &[u8]| post(&format!("{JSON}{CLUSTERS}{more}"), body);
    let bomb = |open: &str, n: usize| open.repeat(n).into_bytes();
    let chunked = |body: &str| {
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n";
        format!("{head}{JSON}{CLUSTERS}\r\n{body}").into_bytes()
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("no HTTP", b"\x00\x01\x02\x03\r\n\r\n".to_vec()),
        ("a bare newline", b"\n\n\n".to_vec()),
        ("an unknown method", b"FROB / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("HTTP/9.9", b"GET / HTTP/9.9\r\nHost: a\r\n\r\n".to_vec()),
        ("no host", b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_vec()),
        ("truncated JSON", ecs("", b"{\"maxResults\": ")),
        ("no JSON", ecs("", b"<xml/>")),
        ("a JSON list", ecs("", b"[]")),
        ("null", ecs("", b"null")),
        ("a wrong type", ecs("", b"{\"maxResults\": {}}")),
        ("a huge number", ecs("", b"{\"maxResults\": 1e999999}")),
        (
            "many digits",
            ecs("", format!("{{\"maxResults\": {}}}", "9".repeat(100_000)).as_bytes()),
        ),
        ("a duplicate key", ecs("", b"{\"maxResults\": 1, \"maxResults\": 2}")),
        ("invalid UTF-8", ecs("", b"{\"nextToken\": \"\xff\xfe\"}")),
        ("a lone surrogate", ecs("", b"{\"nextToken\": \"\\ud800\"}")),
        ("a NUL", ecs("", b"{\"nextToken\": \"\\u0000\"}")),
        ("a nesting bomb of lists", ecs("", &bomb("[", 1_000_000))),
        ("a nesting bomb of objects", ecs("", &bomb("{\"a\":", 500_000))),
        ("JSON without a target", post(JSON, b"{}")),
        (
            "a target without an operation",
            post(&format!("{JSON}X-Amz-Target: x\r\n"), b"{}"),
        ),
        ("two targets", ecs("X-Amz-Target: a.b\r\n", b"{}")),
        (
            "a target that is no text",
            post(&format!("{JSON}X-Amz-Target: \u{e9}.\u{e9}\r\n"), b"{}"),
        ),
        (
            "a wrong content type",
            post(&format!("Content-Type: text/html\r\n{CLUSTERS}"), b"{}"),
        ),
        ("two content types", ecs(QUERY, b"{}")),
        ("gzip that is none", ecs("Content-Encoding: gzip\r\n", b"{}")),
        ("an unknown encoding", ecs("Content-Encoding: br\r\n", b"{}")),
        (
            "CBOR that is none",
            post(
                "Content-Type: application/cbor\r\nSmithy-Protocol: rpc-v2-cbor\r\n",
                b"\xff\xff",
            ),
        ),
        ("a CBOR bomb", {
            let body = vec![0x81; 1_000_000];
            let path = "POST /service/ResourceGroupsTaggingAPI_20170126/operation/GetResources HTTP/1.1\r\nHost: a\r\n";
            let head =
                "Content-Type: application/cbor\r\nSmithy-Protocol: rpc-v2-cbor\r\nContent-Length: 1000000\r\n\r\n";
            [path.as_bytes(), head.as_bytes(), &body].concat()
        }),
        ("a CBOR text of 2^63 bytes", {
            let path = "POST /service/ResourceGroupsTaggingAPI_20170126/operation/GetResources HTTP/1.1\r\nHost: a\r\n";
            let head = "Content-Type: application/cbor\r\nSmithy-Protocol: rpc-v2-cbor\r\nContent-Length: 9\r\n\r\n";
            [
                path.as_bytes(),
                head.as_bytes(),
                b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff",
            ]
            .concat()
        }),
        ("a query without an action", post(QUERY, b"Version=2010-05-08")),
        ("an unknown action", post(QUERY, b"Action=Frob&Version=2010-05-08")),
        (
            "a broken escape",
            post(QUERY, b"Action=GetUser&Version=2010-05-08&UserName=%f%zz%ff"),
        ),
        (
            "a member index of 2^64",
            post(
                QUERY,
                b"Action=DescribeVpcs&Version=2016-11-15&VpcId.18446744073709551616=a",
            ),
        ),
        (
            "a member index of 2^31",
            post(QUERY, b"Action=DescribeVpcs&Version=2016-11-15&VpcId.2147483647=a"),
        ),
        (
            "deep member names",
            post(
                QUERY,
                &[
                    b"Action=DescribeVpcs&Version=2016-11-15&".as_slice(),
                    &bomb("Filter.1.", 50_000),
                ]
                .concat(),
            ),
        ),
        ("a signature of nobody", ecs(SIGNED, b"{}")),
        ("two signatures", ecs(&format!("{SIGNED}{SIGNED}"), b"{}")),
        (
            "a signature that is none",
            ecs("Authorization: AWS4-HMAC-SHA256 Credential=,,,=\r\n", b"{}"),
        ),
        (
            "a presigned URL of nothing",
            b"GET /?X-Amz-Signature=&X-Amz-Credential=%00 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        ),
        ("chunks that are none", chunked("zz\r\nhello\r\n0\r\n\r\n")),
        ("a chunk of 2^64 bytes", chunked("ffffffffffffffffff\r\n")),
        ("a chunk that is cut off", chunked("10\r\n{}")),
        (
            "chunks with a length",
            chunked("2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n"),
        ),
        ("a length and chunks", {
            let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n";
            format!("{head}2\r\n{{}}\r\n0\r\n\r\n").into_bytes()
        }),
        (
            "two lengths",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec(),
        ),
        (
            "a negative length",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n".to_vec(),
        ),
        (
            "a body that is cut off",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{".to_vec(),
        ),
        (
            "a body said to be too large",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n{}".to_vec(),
        ),
        (
            "a huge header",
            ecs(&format!("X-A: {}\r\n", "a".repeat(200_000)), b"{}"),
        ),
        ("many headers", ecs(&"X-A: a\r\n".repeat(5_000), b"{}")),
        ("a header without a colon", ecs("hello\r\n", b"{}")),
        ("a folded header", ecs("X-A: a\r\n b\r\n", b"{}")),
        (
            "a header of bytes",
            [b"POST / HTTP/1.1\r\nHost: a\r\nX-A: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}".as_slice()].concat(),
        ),
        (
            "a long path",
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(200_000)).into_bytes(),
        ),
        (
            "a broken path",
            b"GET /%ff%fe/../..//%00 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        ),
        (
            "the registry with a broken path",
            b"GET /v2/%00/../manifests/%ff HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        ),
        (
            "a broken basic token",
            b"GET /v2/ HTTP/1.1\r\nHost: a\r\nAuthorization: Basic \xff\r\n\r\n".to_vec(),
        ),
        (
            "an exec session of nobody",
            b"GET /v1/data-channel/x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n".to_vec(),
        ),
        (
            "HTTP/2 nonsense",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff".to_vec(),
        ),
        (
            "a TLS hello without TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
    ];
    for (name, bytes) in &cases {
        let status = send(cloud, bytes).with_context(|| (*name).to_owned());
        // HTTP/2 answers with frames.
        if *name == "HTTP/2 nonsense" {
            continue;
        }
        let status = status?;
        // 501 names a modelled operation that is not implemented.
        ensure!(
            status.map_or(SILENT.contains(name), |status| (400..500).contains(&status)
                || status == 501),
            "{name}: answered {status:?}"
        );
        ensure!(
            cloud.http(cloud.port, "localhost", "/_honmaru/health")?.0 == 200,
            "{name}: the endpoint is gone"
        );
    }
    println!("     {} malformed requests", cases.len());
    Ok(())
}
