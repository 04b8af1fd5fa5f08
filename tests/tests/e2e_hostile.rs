//! Goal: nothing that a client may send gives a panic, a 500 or a hanging endpoint; every call is in the audit trail
//! without its secrets; one port speaks plain HTTP and TLS; tags are found over all services.
//! Method: raw sockets, curl, openssl and the aws CLI against a cloud of the test's own.

use anyhow::{Context, Result, bail, ensure};
use honmaru_tests::cloud::{Cloud, bounded, phase, root, signal, text, wait_until};
use honmaru_tests::load::request;
use honmaru_tests::tls::self_signed;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long an answer may take: less than the endpoint's own patience, so that a call that waits for it fails.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

#[test]
fn hostile() -> Result<()> {
    let cloud = Cloud::start()?;
    let control = cloud.role_pid("control")?;
    phase("malformed requests", || malformed(&cloud))?;
    phase("slow clients hold up nobody", || slow_clients(&cloud))?;
    ensure!(cloud.role_pid("control")? == control, "control was started again");
    let log = std::fs::read_to_string(cloud.state.join("logs/control.log"))?;
    ensure!(!log.contains("panicked"), "{log}");
    phase("audit", || audit(&cloud))?;
    phase("whoever goes away at once is in the trail", || runaways(&cloud))?;
    phase("what the registry and strangers do is in the trail too", || {
        strangers(&cloud)
    })?;
    phase("honmaru audit", || audit_command(&cloud))?;
    phase("tags of all services", || tags(&cloud))?;
    phase("SIGTERM of control under load fails no request", || terminate(&cloud))?;
    phase("destroy leaves the host clean", || cloud.finish())
}

#[test]
fn tls() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("honmaru-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (cert, key) = certificate(&folder, "cert")?;
    let (other, _) = certificate(&folder, "other")?;
    let cloud = Cloud::start_with(&["--tls-cert", &cert, "--tls-key", &key])?;
    let curl = |arguments: &[&str], scheme: &str| -> Result<String> {
        let url = format!("{scheme}://localhost:{}/_honmaru/health", cloud.port);
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "--ipv4",
            "--max-time",
            "10",
            "-w",
            " %{http_version} %{http_code}",
            "--cacert",
            &cert,
        ]);
        let done = bounded(curl.args(arguments).arg(url), Duration::from_secs(20))?;
        ensure!(done.status.success(), "{}", text(&done.stderr));
        Ok(text(&done.stdout).replace('\n', ""))
    };
    phase("plain and TLS on one port, HTTP/1.1 and HTTP/2", || {
        for (arguments, scheme, wanted) in [
            (&["--http1.1"][..], "http", "ok 1.1 200"),
            (&["--http1.1"][..], "https", "ok 1.1 200"),
            (&["--http2"][..], "https", "ok 2 200"),
            (&["--tls-max", "1.2"][..], "https", "ok 2 200"),
        ] {
            let said = curl(arguments, scheme)?;
            ensure!(said == wanted, "{arguments:?} {scheme}: `{said}`, not `{wanted}`");
        }
        Ok(())
    })?;
    phase("the state directory says where, and whom to believe", || {
        let keys = std::fs::read_to_string(cloud.state.join("control/credentials.json"))?;
        let keys: Value = serde_json::from_str(&keys)?;
        ensure!(
            keys["endpoint"] == format!("https://127.0.0.1:{}", cloud.port),
            "{}",
            keys["endpoint"]
        );
        let ca = keys["ca"].as_str().context("no certificate is named")?;
        ensure!(std::fs::read(ca)? == std::fs::read(&cert)?, "it is another certificate");
        let env = ok(&cloud, &["env"])?;
        ensure!(env.contains(&format!("export AWS_CA_BUNDLE={ca}")), "no AWS_CA_BUNDLE");
        ensure!(
            env.contains(&format!("export AWS_ENDPOINT_URL=https://127.0.0.1:{}", cloud.port)),
            "no https"
        );
        // As a shell would use it: the aws CLI believes the endpoint.
        let mut shell = cloud.command("sh")?;
        shell.args(["-c", &format!("{env}\naws sts get-caller-identity --output json")]);
        let said = bounded(&mut shell, Duration::from_secs(60))?;
        ensure!(said.status.success(), "{}", text(&said.stderr));
        Ok(())
    })?;
    phase("every command speaks TLS: deploy, ps, logs, exec, audit", || {
        let hello = root().join("examples/hello").display().to_string();
        ok(&cloud, &["deploy", &hello, "--count", "1"])?;
        ensure!(ok(&cloud, &["ps"])?.contains("hello"), "no app");
        ok(&cloud, &["logs", "hello"])?;
        let said = ok(
            &cloud,
            &["exec", "hello", "--", "sh", "-c", "echo over=$((40 + 2)); exit 0"],
        )?;
        ensure!(said.contains("over=42"), "{said}");
        let failed = cloud.honmaru(&["exec", "hello", "--", "sh", "-c", "exit 9"])?;
        ensure!(failed.status.code() == Some(9), "the exit code is {:?}", failed.status);
        let script = "wget -qO- http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
        let said = ok(&cloud, &["exec", "hello", "--", "sh", "-c", script])?;
        let keys: Value = serde_json::from_str(&said).context("the task has no credentials")?;
        ensure!(
            keys["AccessKeyId"].as_str().is_some_and(|id| id.starts_with("ASIA")),
            "no key"
        );
        let trail = ok(&cloud, &["audit", "--json", "--event", "PutImage"])?;
        let record: Value = serde_json::from_str(trail.lines().last().context("the push is not in the trail")?)?;
        ensure!(
            record["additionalEventData"]["tls"] == true,
            "the push went over plain HTTP: {record}"
        );
        ensure!(record["userIdentity"]["type"] == "IAMUser", "{record}");
        ok(&cloud, &["delete", "hello", "--yes"]).map(drop)
    })?;
    phase("who is not believed gets no keys and no calls", || {
        let mut honmaru = cloud.command(cloud.binary())?;
        honmaru
            // Not the address that the state directory vouches for, and another certificate than the endpoint's.
            .env("AWS_ENDPOINT_URL", format!("https://localhost:{}", cloud.port))
            .env("AWS_CA_BUNDLE", &other)
            .arg("ps");
        let refused = bounded(&mut honmaru, Duration::from_secs(30))?;
        let said = text(&refused.stderr);
        ensure!(!refused.status.success() && said.contains("not believed"), "{said}");
        Ok(())
    })?;
    phase("signed calls over TLS", || {
        let endpoint = format!("https://localhost:{}", cloud.port);
        let call = [
            "--endpoint-url",
            &endpoint,
            "--ca-bundle",
            &cert,
            "sts",
            "get-caller-identity",
        ];
        let identity = cloud.aws(&call)?;
        ensure!(identity["Account"] == "000000000000", "{identity}");
        let seen = cloud.aws(&["cloudtrail", "lookup-events", "--max-results", "1"])?;
        let document = document(&seen["Events"][0])?;
        ensure!(document["additionalEventData"]["tls"] == true, "{document}");
        Ok(())
    })?;
    phase("a broken handshake harms nobody", || {
        let mut stream = TcpStream::connect(("127.0.0.1", cloud.port))?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.write_all(b"\x16\x03\x01\x00\x05hello, this is no handshake")?;
        let mut answer = Vec::new();
        // An alert and the end, or a reset: both are an end.
        let _ = stream.read_to_end(&mut answer);
        ensure!(curl(&["--http1.1"], "https")? == "ok 1.1 200", "the endpoint is gone");
        Ok(())
    })?;
    let _ = std::fs::remove_dir_all(&folder);
    phase("destroy leaves the host clean", || cloud.finish())
}

/// The files of a certificate and its key.
fn certificate(folder: &Path, name: &str) -> Result<(String, String)> {
    let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    self_signed(&cert, &key)?;
    Ok((cert.display().to_string(), key.display().to_string()))
}

/// Runs a command of ours that must work, and returns its standard output.
fn ok(cloud: &Cloud, arguments: &[&str]) -> Result<String> {
    let output = cloud.honmaru(arguments)?;
    let said = text(&output.stderr);
    ensure!(
        output.status.success(),
        "`honmaru {}` failed: {said}",
        arguments.join(" ")
    );
    Ok(text(&output.stdout))
}

/// Sends bytes, says that no more will come, and returns the status of the first answer; nothing when the connection
/// was closed without one.
fn send(cloud: &Cloud, bytes: &[u8]) -> Result<Option<u16>> {
    let mut stream = TcpStream::connect(("127.0.0.1", cloud.port))?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    // The endpoint may have refused before everything was sent.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let (mut answer, mut part) = (Vec::new(), [0; 4_096]);
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(part.get(..read).unwrap_or_default()),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                bail!("no answer in time, only {:?}", String::from_utf8_lossy(&answer));
            }
            Err(_) => break,
        }
        if answer.windows(4).any(|window| window == b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8_lossy(&answer);
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok());
    ensure!(answer.is_empty() || status.is_some(), "no HTTP: {head}");
    Ok(status)
}

fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [request.as_bytes(), body].concat()
}

const JSON: &str = "Content-Type: application/x-amz-json-1.1\r\n";
const CLUSTERS: &str = "X-Amz-Target: AmazonEC2ContainerServiceV20141113.ListClusters\r\n";
const QUERY: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=AKIAX/20260101/us-east-1/ecs/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=00\r\nX-Amz-Date: 20260101T000000Z\r\n";

fn malformed(cloud: &Cloud) -> Result<()> {
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
            status.is_none_or(|status| (400..500).contains(&status) || status == 501),
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

fn slow_clients(cloud: &Cloud) -> Result<()> {
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(("127.0.0.1", cloud.port))?;
        stream.write_all(b"POST / HTTP/1.1\r\nHost: loc")?;
        slow.push(stream);
    }
    let began = Instant::now();
    let identity = cloud.aws(&["sts", "get-caller-identity"])?;
    ensure!(identity["Account"] == "000000000000", "{identity}");
    ensure!(
        began.elapsed() < Duration::from_secs(20),
        "it took {:?}",
        began.elapsed()
    );
    // Headers have 20 s.
    let first = slow.first_mut().context("there are some")?;
    first.set_read_timeout(Some(Duration::from_secs(40)))?;
    let mut answer = Vec::new();
    match first.read_to_end(&mut answer) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(()),
        Err(error) => bail!("a client that never ends its headers keeps its place: {error}"),
    }
}

fn document(event: &Value) -> Result<Value> {
    let text = event["CloudTrailEvent"]
        .as_str()
        .with_context(|| format!("no document: {event}"))?;
    Ok(serde_json::from_str(text)?)
}

fn audit(cloud: &Cloud) -> Result<()> {
    let secret = "Very-S3cret-passw0rd";
    cloud.aws(&["iam", "create-user", "--user-name", "audited"])?;
    // Not implemented, and all the same no reason to write the secret down.
    let _ = cloud.aws_output(&[
        "iam",
        "create-login-profile",
        "--user-name",
        "audited",
        "--password",
        secret,
    ])?;
    let key = cloud.aws(&["iam", "create-access-key", "--user-name", "audited"])?;
    let issued = key["AccessKey"]["SecretAccessKey"]
        .as_str()
        .context("a secret")?
        .to_owned();
    let definition =
        json!([{ "name": "a", "image": "b", "memory": 64, "environment": [{ "name": "P", "value": secret }] }])
            .to_string();
    cloud.aws(&[
        "ecs",
        "register-task-definition",
        "--family",
        "audited",
        "--container-definitions",
        &definition,
    ])?;
    let _ = cloud.aws_output(&["ecs", "delete-cluster", "--cluster", "not-there"])?;
    let by = |key: &str, value: &str| -> Result<Value> {
        let attribute = format!("AttributeKey={key},AttributeValue={value}");
        cloud.aws(&["cloudtrail", "lookup-events", "--lookup-attributes", &attribute])
    };
    let created = by("EventName", "CreateUser")?;
    let event = document(&created["Events"][0])?;
    ensure!(event["requestParameters"]["UserName"] == "audited", "{event}");
    ensure!(
        event["sourceIPAddress"] == "127.0.0.1" && event["eventSource"] == "iam.amazonaws.com",
        "{event}"
    );
    ensure!(event["userIdentity"]["accessKeyId"].is_string(), "{event}");
    let failed = document(&by("EventName", "DeleteCluster")?["Events"][0])?;
    ensure!(failed["errorCode"] == "ClusterNotFoundException", "{failed}");
    ensure!(
        by("EventName", "CreateAccessKey")?["Events"].as_array().map(Vec::len) == Some(1),
        "no event"
    );
    let hidden = document(&by("EventName", "RegisterTaskDefinition")?["Events"][0])?;
    let value = &hidden["requestParameters"]["containerDefinitions"][0]["environment"];
    ensure!(value == "***", "{hidden}");
    // Nowhere on disk, and in no log.
    for folder in ["control/audit", "logs"] {
        for entry in std::fs::read_dir(cloud.state.join(folder))? {
            let path = entry?.path();
            let bytes = std::fs::read(&path)?;
            let all = String::from_utf8_lossy(&bytes);
            for secret in [secret, &issued] {
                ensure!(!all.contains(secret), "a secret is in {}", path.display());
            }
        }
    }
    let bad = cloud.aws_output(&["cloudtrail", "lookup-events", "--next-token", "x"])?;
    ensure!(text(&bad.stderr).contains("InvalidNextTokenException"), "{bad:?}");
    let (_, metrics) = cloud.http(cloud.port, "localhost", "/metrics")?;
    ensure!(metrics.contains("honmaru_audit_lost_total 0"), "{metrics}");
    Ok(())
}

/// Clients that open a connection for each request: none fails while control ends and its successor begins.
fn terminate(cloud: &Cloud) -> Result<()> {
    let (is_over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let ask = || -> Result<()> {
        while !is_over.load(Ordering::Relaxed) {
            let (status, _) = request(cloud.port, "localhost", "/_honmaru/health").context("a request failed")?;
            ensure!(status == 200, "the status is {status}");
            answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        let replaced = (|| {
            let control = cloud.role_pid("control")?;
            let before = answered.load(Ordering::Relaxed);
            wait_until("there is load", ANSWER_TIMEOUT, || {
                ensure!(answered.load(Ordering::Relaxed) > before + 50, "not yet");
                Ok(())
            })?;
            signal(control, "TERM")?;
            cloud.wait_for_restart("control", control)?;
            let before = answered.load(Ordering::Relaxed);
            wait_until("the load goes on", ANSWER_TIMEOUT, || {
                ensure!(answered.load(Ordering::Relaxed) > before + 50, "not yet");
                Ok(())
            })
        })();
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        replaced
    })
}

/// The lines of `honmaru audit --json` with some filters.
fn trail(cloud: &Cloud, filters: &[&str]) -> Result<Vec<Value>> {
    let said = ok(cloud, &[&["audit", "--json", "--limit", "1000"], filters].concat())?;
    said.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Asks for a path with some headers and returns the status.
fn fetch(cloud: &Cloud, path: &str, headers: &str) -> Result<Option<u16>> {
    let mut stream = TcpStream::connect(("127.0.0.1", cloud.port))?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = String::from_utf8_lossy(&answer);
    Ok(head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok()))
}

/// A call whose client goes away at once is done, and is in the trail.
fn runaways(cloud: &Cloud) -> Result<()> {
    let calls = 30;
    for _ in 0..calls {
        // A web identity needs no signature; a made-up token is refused.
        let body = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=runaway&WebIdentityToken=aaaa\
                    &RoleArn=arn:aws:iam::000000000000:role/none";
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\n{QUERY}Content-Length: {}\r\n\r\n",
            body.len()
        );
        TcpStream::connect(("127.0.0.1", cloud.port))?.write_all(format!("{head}{body}").as_bytes())?;
    }
    wait_until("every call is recorded or counted", ANSWER_TIMEOUT, || {
        let (_, metrics) = cloud.http(cloud.port, "localhost", "/metrics")?;
        let folded = metrics
            .lines()
            .find_map(|line| line.strip_prefix("honmaru_audit_folded_total "));
        let folded: u64 = folded.context("no count")?.parse()?;
        ensure!(folded + 1 >= calls, "{folded} of {calls} are counted");
        Ok(())
    })?;
    let recorded = trail(cloud, &["--event", "AssumeRoleWithWebIdentity"])?;
    ensure!(recorded.len() == 1, "{} records", recorded.len());
    Ok(())
}

fn strangers(cloud: &Cloud) -> Result<()> {
    let answer = cloud.aws(&["ecr", "get-authorization-token"])?;
    let token = answer["authorizationData"][0]["authorizationToken"]
        .as_str()
        .context("a token")?
        .to_owned();
    cloud.aws(&["ecr", "create-repository", "--repository-name", "audited"])?;
    let get = |path: &str, headers: &str| fetch(cloud, path, headers);
    let basic = format!("Authorization: Basic {token}\r\nUser-Agent: docker/1\r\n");
    ensure!(
        get("/v2/audited/manifests/v1", &basic)? == Some(404),
        "there is an image"
    );
    ensure!(get("/v2/", &basic)? == Some(200), "the token is not taken");
    for _ in 0..200 {
        ensure!(get("/v2/", "")? == Some(401), "a stranger is let in");
        ensure!(get("/nowhere/at/all", "X-Amz-Security-Token: Very-S3cret-passw0rd\r\n")?.is_some_and(|s| s >= 400));
    }
    let pulled = trail(cloud, &["--event", "BatchGetImage"])?;
    let [pull] = pulled.as_slice() else { bail!("{pulled:?}") };
    ensure!(
        pull["errorCode"] == "MANIFEST_UNKNOWN" && pull["userAgent"] == "docker/1",
        "{pull}"
    );
    ensure!(pull["requestParameters"]["imageIds"][0]["imageTag"] == "v1", "{pull}");
    ensure!(
        pull["sourceIPAddress"] == "127.0.0.1" && pull["userIdentity"]["arn"].is_string(),
        "{pull}"
    );
    let refused = trail(cloud, &["--event", "ecr:Ping", "--errors"])?;
    ensure!(refused.len() == 1, "{} records of 200 refused pings", refused.len());
    let unrouted = trail(cloud, &["--event", "Unrouted"])?;
    let here = |record: &&Value| record["requestParameters"]["path"] == "/nowhere/at/all";
    ensure!(
        unrouted.iter().filter(here).count() <= 1,
        "{} records of strangers",
        unrouted.len()
    );
    for entry in std::fs::read_dir(cloud.state.join("control/audit"))? {
        let text = std::fs::read_to_string(entry?.path())?;
        for secret in [token.as_str(), "Very-S3cret-passw0rd"] {
            ensure!(!text.contains(secret), "a secret is in the trail");
        }
    }
    Ok(())
}

fn audit_command(cloud: &Cloud) -> Result<()> {
    let lines = ok(cloud, &["audit", "--event", "CreateUser"])?;
    ensure!(
        lines.contains("iam:CreateUser user/audited from 127.0.0.1: 200 in "),
        "{lines}"
    );
    let failed = trail(cloud, &["--errors", "--event", "ecs:Delete*"])?;
    ensure!(
        failed.len() == 1 && failed.iter().all(|record| record["errorCode"].is_string()),
        "{failed:?}"
    );
    ensure!(
        !trail(cloud, &["--resource", "audited", "--event", "iam:*"])?.is_empty(),
        "no resource"
    );
    ensure!(
        trail(cloud, &["--user", "nobody-at-all"])?.is_empty(),
        "whose are these?"
    );
    ensure!(
        trail(cloud, &["--until", "1h"])?.is_empty(),
        "the cloud is younger than that"
    );
    let wrong = cloud.honmaru(&["audit", "--since", "yesterday"])?;
    ensure!(wrong.status.code() == Some(2), "{wrong:?}");
    // It follows: a call that comes later is printed, once, and its own questions are not.
    let mut follow = cloud.command(cloud.binary())?;
    let mut follow = follow
        .args(["audit", "--follow", "--json"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(follow.stdout.take().context("a pipe")?).lines();
    cloud.aws(&["iam", "create-user", "--user-name", "followed"])?;
    let (found, is_found) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let found_line = lines.find_map(|line| line.ok().filter(|line| line.contains("\"followed\"")));
        let _ = found.send(found_line);
    });
    let line = is_found.recv_timeout(ANSWER_TIMEOUT);
    follow.kill()?;
    follow.wait()?;
    let line = line.context("it was not printed")?.context("it ended")?;
    let record: Value = serde_json::from_str(&line)?;
    ensure!(record["eventName"] == "CreateUser", "{record}");
    Ok(())
}

fn tags(cloud: &Cloud) -> Result<()> {
    let tag = "key=team,value=blue";
    cloud.aws(&["ecs", "create-cluster", "--cluster-name", "tagged", "--tags", tag])?;
    cloud.aws(&[
        "logs",
        "create-log-group",
        "--log-group-name",
        "/tagged",
        "--tags",
        "team=blue",
    ])?;
    cloud.aws(&[
        "ecr",
        "create-repository",
        "--repository-name",
        "tagged",
        "--tags",
        "Key=team,Value=blue",
    ])?;
    cloud.aws(&[
        "iam",
        "tag-user",
        "--user-name",
        "audited",
        "--tags",
        "Key=team,Value=red",
    ])?;
    let group = cloud.aws(&["ec2", "describe-security-groups"])?;
    let group = group["SecurityGroups"][0]["GroupId"]
        .as_str()
        .context("a group")?
        .to_owned();
    cloud.aws(&[
        "ec2",
        "create-tags",
        "--resources",
        &group,
        "--tags",
        "Key=team,Value=blue",
    ])?;
    let find = |arguments: &[&str]| -> Result<Vec<String>> {
        let call = [&["resourcegroupstaggingapi", "get-resources"], arguments].concat();
        let found = cloud.aws(&call)?;
        let list = found["ResourceTagMappingList"].as_array().cloned().unwrap_or_default();
        Ok(list
            .iter()
            .filter_map(|item| item["ResourceARN"].as_str().map(str::to_owned))
            .collect())
    };
    let blue = find(&["--tag-filters", "Key=team,Values=blue"])?;
    ensure!(blue.len() == 4, "{blue:?}");
    for service in [":ecs:", ":logs:", ":ecr:", ":ec2:"] {
        ensure!(blue.iter().any(|arn| arn.contains(service)), "{service}: {blue:?}");
    }
    let red = find(&["--tag-filters", "Key=team,Values=red"])?;
    ensure!(
        red.len() == 1 && red.iter().all(|arn| arn.ends_with(":user/audited")),
        "{red:?}"
    );
    let groups = find(&["--resource-type-filters", "ec2:security-group"])?;
    ensure!(groups.iter().any(|arn| arn.ends_with(&group)), "{groups:?}");
    // The CLI follows the tokens of pages of one.
    ensure!(
        find(&["--tag-filters", "Key=team", "--page-size", "1"])?.len() == 5,
        "pages lose resources"
    );
    let values = cloud.aws(&["resourcegroupstaggingapi", "get-tag-values", "--key", "team"])?;
    ensure!(values["TagValues"] == json!(["blue", "red"]), "{values}");
    let keys = cloud.aws(&["resourcegroupstaggingapi", "get-tag-keys"])?;
    ensure!(
        keys["TagKeys"]
            .as_array()
            .is_some_and(|keys| keys.contains(&json!("team"))),
        "{keys}"
    );
    Ok(())
}
