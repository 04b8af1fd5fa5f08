//! Bodies that cannot be read: broken chunks, cut off, too large, too late, broken gzip and a bomb of it. The answer is
//! an error of the protocol that the request speaks, in the words of the service that it is for.

use crate::ANSWER_TIMEOUT;
use crate::raw::{CLUSTERS, JSON, QUERY};
use anyhow::{Context, Result, ensure};
use flate2::{Compression, write::GzEncoder};
use honmaru_tests::cloud::Cloud;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

const CBOR: &str = "Content-Type: application/cbor\r\nSmithy-Protocol: rpc-v2-cbor\r\n";
const CBOR_PATH: &str = "/service/GraniteServiceVersion20100801/operation/PutMetricData";
/// The endpoint's patience with a body is 60 s.
const LATE_TIMEOUT: Duration = Duration::from_secs(80);
/// More than any operation takes.
const LARGE_BYTES: usize = 40 * 1024 * 1024;

/// A protocol: the head of a request, the answer's content type, and its codes for what is unreadable, too large, and
/// too late.
struct Spoken {
    name: &'static str,
    head: String,
    content_type: &'static str,
    codes: [&'static str; 3],
}

fn head(path: &str, headers: &str, signed_for: Option<&str>) -> String {
    let signed = signed_for.map(|service| {
        format!(
            "Authorization: AWS4-HMAC-SHA256 Credential=AKIAX/20260101/us-east-1/{service}/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=00\r\nX-Amz-Date: 20260101T000000Z\r\n"
        )
    });
    let signed = signed.unwrap_or_default();
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}{signed}")
}

fn protocols() -> Vec<Spoken> {
    let json = [
        "MalformedHttpRequestException",
        "RequestEntityTooLargeException",
        "RequestTimeoutException",
    ];
    vec![
        Spoken {
            name: "awsJson",
            head: head("/", &format!("{JSON}{CLUSTERS}"), None),
            content_type: "application/x-amz-json-1.1",
            codes: json,
        },
        Spoken {
            name: "rpcv2Cbor",
            head: head(CBOR_PATH, CBOR, None),
            content_type: "application/cbor",
            codes: json,
        },
        Spoken {
            name: "query",
            head: head("/", QUERY, Some("iam")),
            content_type: "text/xml",
            codes: ["MalformedInput", "RequestEntityTooLarge", "RequestTimeout"],
        },
        Spoken {
            name: "ec2",
            head: head("/", QUERY, Some("ec2")),
            content_type: "text/xml;charset=utf-8",
            codes: ["InvalidQueryParameter", "RequestEntityTooLarge", "RequestTimeout"],
        },
        Spoken {
            name: "restXml",
            head: head("/2013-04-01/hostedzone", "", Some("route53")),
            content_type: "application/xml",
            codes: ["MalformedXML", "RequestEntityTooLarge", "RequestTimeout"],
        },
    ]
}

fn connect(cloud: &Cloud, timeout: Duration) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", cloud.port))?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}

/// Reads the answer to its end; the endpoint closes the connection, for the body is not known to have ended.
fn answer(stream: &mut TcpStream) -> Result<String> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).context("the answer does not end")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn expect(spoken: &Spoken, answer: &str, status: u16, code: &str) -> Result<()> {
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    let lower = head.to_ascii_lowercase();
    ensure!(
        head.starts_with(&format!("HTTP/1.1 {status} ")),
        "{status} is due: {head}"
    );
    let content_type = format!("content-type: {}", spoken.content_type);
    ensure!(lower.contains(&content_type), "{content_type} is due: {head}");
    ensure!(lower.contains("x-amzn-requestid: "), "no request id: {head}");
    ensure!(body.contains(code), "{code} is due: {body}");
    Ok(())
}

/// Every unreadable body in every protocol.
pub fn unreadable(cloud: &Cloud) -> Result<()> {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    bomb.write_all(&vec![b' '; 17 * 1024 * 1024])?;
    let bomb = bomb.finish()?;
    let chunked = |chunks: &[u8]| [b"Transfer-Encoding: chunked\r\n\r\n".as_slice(), chunks].concat();
    let measured = |more: &str, length: usize, body: &[u8]| {
        let head = format!("{more}Content-Length: {length}\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    let gzip = "Content-Encoding: gzip\r\n";
    let expects = "Expect: 100-continue\r\n";
    let large = vec![b'x'; LARGE_BYTES];
    // The name, what follows the head, the status, and which of the codes.
    let bodies: Vec<(&str, Vec<u8>, u16, usize)> = vec![
        ("chunks that are none", chunked(b"zz\r\nhello\r\n0\r\n\r\n"), 400, 0),
        ("a chunk of 2^72 bytes", chunked(b"ffffffffffffffffff\r\n"), 400, 0),
        ("a chunk that is cut off", chunked(b"10\r\n{}"), 400, 0),
        ("two hosts", measured("Host: other\r\n", 2, b"{}"), 400, 0),
        ("a body that is cut off", measured("", 100, b"{"), 400, 0),
        ("no gzip", measured(gzip, 2, b"{}"), 400, 0),
        ("a gzip bomb", measured(gzip, bomb.len(), &bomb), 413, 1),
        ("said to be too large", measured("", 99_999_999_999, b"{"), 413, 1),
        (
            "too large, and it waits",
            measured(expects, 99_999_999_999, b""),
            413,
            1,
        ),
        (
            "too large, and it does not wait",
            measured("", LARGE_BYTES, &large),
            413,
            1,
        ),
    ];
    for spoken in protocols() {
        // S3's objects keep their encodings, and so what is below restXml is unpacked once it is known who asks.
        let packed = |name: &str| spoken.name == "restXml" && name.contains("gzip");
        for (name, rest, status, code) in bodies.iter().filter(|(name, ..)| !packed(name)) {
            let mut stream = connect(cloud, ANSWER_TIMEOUT)?;
            let told = (|| {
                // Whole, as clients do that look for the answer when all is sent: it must not be lost to a reset.
                stream.write_all(spoken.head.as_bytes())?;
                stream.write_all(rest).context("it could not be sent")?;
                stream.shutdown(Shutdown::Write)?;
                let code = spoken.codes.get(*code).context("a code")?;
                expect(&spoken, &answer(&mut stream)?, *status, code)
            })();
            told.with_context(|| format!("{}: {name}", spoken.name))?;
        }
    }
    println!("     {} bodies in {} protocols", bodies.len(), protocols().len());
    Ok(())
}

/// A request in each protocol whose body never comes.
pub struct Late(Vec<(Spoken, TcpStream)>);

/// Sends the heads; [`late`] looks for the answers.
pub fn begin_late(cloud: &Cloud) -> Result<Late> {
    let begin = |spoken: Spoken| -> Result<(Spoken, TcpStream)> {
        let mut stream = connect(cloud, LATE_TIMEOUT)?;
        stream.write_all(format!("{}Content-Length: 10\r\n\r\n{{", spoken.head).as_bytes())?;
        Ok((spoken, stream))
    };
    Ok(Late(protocols().into_iter().map(begin).collect::<Result<_>>()?))
}

/// The endpoint has lost its patience by now, or does so soon, and says so.
pub fn late(late: Late) -> Result<()> {
    for (spoken, mut stream) in late.0 {
        let code = spoken.codes.get(2).context("a code")?;
        let told = answer(&mut stream).and_then(|answer| expect(&spoken, &answer, 408, code));
        told.with_context(|| spoken.name)?;
    }
    Ok(())
}
