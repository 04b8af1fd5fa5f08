//! Signatures against AWS's documented example, against ourselves, and against whatever a stranger may send.

use super::*;
use honmaru_base::Time;
use proptest::prelude::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z
const AT: Time = Time::from_ms(1_440_938_160_000);

fn credentials() -> Credentials {
    Credentials {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: SECRET.into(),
        session_token: None,
    }
}

/// A request that can be changed after it was signed.
#[derive(Clone)]
struct Call {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Call {
    fn new(method: &str, path: &str, query: &str, body: &[u8]) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            query: query.into(),
            headers: vec![("Host".into(), b"ecs.us-east-1.amazonaws.com".to_vec())],
            body: body.to_vec(),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&Signed<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
        f(&Signed {
            method: &self.method,
            raw_path: &self.path,
            raw_query: &self.query,
            headers: &headers,
            body: &self.body,
        })
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    fn replace(self, name: &str, change: impl Fn(&str) -> String) -> Self {
        let old = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.clone());
        let old = String::from_utf8(old.unwrap_or_default()).unwrap();
        self.without(name).header(name, &change(&old))
    }

    fn signed(mut self, service: &str) -> Self {
        let added = self.with(|request| sign(&credentials(), "us-east-1", service, AT, request));
        self.headers
            .extend(added.into_iter().map(|(name, value)| (name, value.into_bytes())));
        self
    }

    fn check_at(&self, secret: &str, now: Time) -> Result<(), AuthError> {
        let presented = self.with(parse)?.ok_or_else(AuthError::missing)?;
        verify(&presented, secret, now, &KeyCache::new())
    }

    fn kind(&self) -> Option<AuthErrorKind> {
        self.check_at(SECRET, AT).err().map(|error| error.kind)
    }
}

fn list_tasks() -> Call {
    Call::new("POST", "/", "", b"{}").header("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.ListTasks")
}

/// Ref: IAM User Guide, "Create a signed AWS API request": the ListUsers example.
#[test]
fn the_documented_example() {
    let headers: [(&str, &[u8]); 3] = [
        ("content-type", b"application/x-www-form-urlencoded; charset=utf-8"),
        ("host", b"iam.amazonaws.com"),
        ("x-amz-date", b"20150830T123600Z"),
    ];
    let request = Signed {
        method: "GET",
        raw_path: "/",
        raw_query: "Action=ListUsers&Version=2010-05-08",
        headers: &headers[..2],
        body: b"",
    };
    let signed = sign(&credentials(), "us-east-1", "iam", AT, &request);
    assert_eq!(signed[0], ("X-Amz-Date".to_owned(), "20150830T123600Z".to_owned()));
    assert_eq!(
        signed[1].1,
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date, \
         Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}

#[test]
fn what_we_sign_we_verify() {
    for service in ["ecs", "iam", "s3"] {
        let call = Call::new("GET", "/a%20b/./c//d/", "b=2&a=%2F&a=1&empty&c=x%20y", b"body").signed(service);
        assert_eq!(call.kind(), None, "{service}");
    }
}

#[test]
fn every_part_that_is_changed_breaks_the_signature() {
    let good = list_tasks().signed("ecs");
    assert_eq!(good.kind(), None);
    let mut changed = vec![
        ("method", good.clone()),
        ("path", good.clone()),
        ("query", good.clone()),
        ("body", good.clone()),
    ];
    changed[0].1.method = "PUT".into();
    changed[1].1.path = "/x".into();
    changed[2].1.query = "a=b".into();
    changed[3].1.body = b"{ }".to_vec();
    changed.push(("host", good.clone().replace("host", |_| "evil.example".into())));
    changed.push((
        "target",
        good.clone().replace("x-amz-target", |_| "X.DeleteCluster".into()),
    ));
    changed.push((
        "date",
        good.clone().replace("x-amz-date", |_| "20150830T123601Z".into()),
    ));
    changed.push((
        "region",
        good.clone()
            .replace("authorization", |a| a.replace("us-east-1", "us-east-2")),
    ));
    changed.push((
        "service",
        good.clone().replace("authorization", |a| a.replace("/ecs/", "/ecr/")),
    ));
    changed.push((
        "no hex",
        good.clone()
            .replace("authorization", |a| a.replace("Signature=", "Signature=zz")),
    ));
    changed.push((
        "cut",
        good.clone().replace("authorization", |a| a[..a.len() - 2].to_owned()),
    ));
    for (part, call) in changed {
        assert_eq!(call.kind(), Some(AuthErrorKind::Mismatch), "{part}");
    }
    assert_eq!(good.check_at("other", AT).unwrap_err().kind, AuthErrorKind::Mismatch);
}

#[test]
fn malformed_signatures_are_told_apart() {
    use AuthErrorKind::*;
    let good = list_tasks().signed("ecs");
    let authorization = |change: &dyn Fn(&str) -> String| good.clone().replace("authorization", change);
    for (case, call, kind) in [
        ("unsigned", list_tasks(), Missing),
        (
            "twice",
            good.clone().header("Authorization", "AWS4-HMAC-SHA256 x"),
            Incomplete,
        ),
        (
            "basic",
            list_tasks().header("Authorization", "Basic QVdTOng="),
            Incomplete,
        ),
        ("empty", list_tasks().header("Authorization", ""), Incomplete),
        (
            "v4a",
            authorization(&|a| a.replace("HMAC-SHA256", "ECDSA-P256-SHA256")),
            Unsupported,
        ),
        (
            "no equal sign",
            authorization(&|a| a.replace("Signature=", "Signature ")),
            Incomplete,
        ),
        (
            "no credential",
            authorization(&|a| a.replace("Credential=", "Cred=")),
            Incomplete,
        ),
        (
            "no signed headers",
            authorization(&|a| a.replace("SignedHeaders=", "X=")),
            Incomplete,
        ),
        (
            "repeated part",
            authorization(&|a| format!("{a}, Signature=00")),
            Incomplete,
        ),
        (
            "scope of four",
            authorization(&|a| a.replace("/us-east-1", "")),
            Incomplete,
        ),
        (
            "terminator",
            authorization(&|a| a.replace("aws4_request", "aws5_request")),
            Mismatch,
        ),
        (
            "other day",
            authorization(&|a| a.replace("/20150830/", "/20150831/")),
            Mismatch,
        ),
        ("empty region", authorization(&|a| a.replace("us-east-1", "")), Mismatch),
        ("no date", good.clone().without("x-amz-date"), Incomplete),
        (
            "bad date",
            good.clone().replace("x-amz-date", |_| "2015-08-30".into()),
            Incomplete,
        ),
        (
            "date twice",
            good.clone().header("X-Amz-Date", "20150830T123600Z"),
            Incomplete,
        ),
        (
            "host not signed",
            authorization(&|a| a.replace("=host;", "=")),
            Mismatch,
        ),
        (
            "target not signed",
            authorization(&|a| a.replace(";x-amz-target", "")),
            Mismatch,
        ),
        ("new x-amz header", good.clone().header("X-Amz-Acl", "public"), Mismatch),
        (
            "query as well",
            {
                let mut c = good.clone();
                c.query = "X-Amz-Algorithm=AWS4-HMAC-SHA256".into();
                c
            },
            Incomplete,
        ),
    ] {
        assert_eq!(call.kind(), Some(kind), "{case}");
    }
}

#[test]
fn the_clocks_may_be_five_minutes_apart() {
    let call = list_tasks().signed("ecs");
    for (offset_s, expected) in [
        (0, true),
        (299, true),
        (300, true),
        (301, false),
        (-300, true),
        (-301, false),
    ] {
        assert_eq!(
            call.check_at(SECRET, AT.plus_s(offset_s)).is_ok(),
            expected,
            "{offset_s}"
        );
    }
    let late = call.check_at(SECRET, AT.plus_s(3_600)).unwrap_err();
    assert_eq!(
        late.message,
        "Signature expired: 20150830T123600Z is now earlier than 20150830T133100Z (20150830T133600Z - 5 min.)"
    );
    let early = call.check_at(SECRET, AT.plus_s(-3_600)).unwrap_err();
    assert_eq!(
        early.message,
        "Signature not yet current: 20150830T123600Z is still later than 20150830T114100Z (20150830T113600Z + 5 min.)"
    );
    assert_eq!(
        late.to_api_error(ProtocolFamily::Json).code,
        "InvalidSignatureException"
    );
    assert_eq!(late.to_api_error(ProtocolFamily::Query).code, "SignatureDoesNotMatch");
    // Nobody without the secret learns about the clock.
    assert_eq!(
        call.check_at("other", AT.plus_s(3_600)).unwrap_err().kind,
        AuthErrorKind::Mismatch
    );
}

#[test]
fn presigned_requests_live_as_long_as_they_say() {
    let mut call = Call::new("GET", "/", "Action=GetCallerIdentity&Version=2011-06-15", b"");
    let credentials = Credentials {
        session_token: Some("a+token/with=signs".into()),
        ..credentials()
    };
    call.query = call.with(|request| presign(&credentials, "us-east-1", "sts", AT, 60, request));
    let presented = call.with(parse).unwrap().unwrap();
    assert_eq!(presented.placement, Placement::Query { expires_s: 60 });
    assert_eq!(presented.session_token.as_deref(), Some("a+token/with=signs"));
    for (offset_s, expected) in [(0, true), (60, true), (61, false), (-300, true), (-301, false)] {
        assert_eq!(
            call.check_at(SECRET, AT.plus_s(offset_s)).is_ok(),
            expected,
            "{offset_s}"
        );
    }
    let with = |from: &str, to: &str| {
        let mut call = call.clone();
        call.query = call.query.replace(from, to);
        call.kind()
    };
    assert_eq!(with("Expires=60", "Expires=61"), Some(AuthErrorKind::Mismatch));
    assert_eq!(
        with("GetCallerIdentity", "GetSessionToken"),
        Some(AuthErrorKind::Mismatch)
    );
    for bad in ["604801", "0", "-1", "x", ""] {
        assert_eq!(
            with("Expires=60", &format!("Expires={bad}")),
            Some(AuthErrorKind::Incomplete),
            "{bad}"
        );
    }
    assert_eq!(
        with("&X-Amz-Date", "&X-Amz-Expires=1&X-Amz-Date"),
        Some(AuthErrorKind::Incomplete)
    );
    assert_eq!(with("X-Amz-Signature", "X-Amz-Sig"), Some(AuthErrorKind::Incomplete));
}

#[test]
fn s3_names_its_payload() {
    let unsigned = |value: &str| Call::new("PUT", "/b/k", "", b"data").header("x-amz-content-sha256", value);
    // The signer hashes the body; a header that says otherwise is another request.
    assert_eq!(
        unsigned("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
            .signed("s3")
            .without("x-amz-content-sha256")
            .header("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
            .kind(),
        Some(AuthErrorKind::Unsupported)
    );
    let mut changed = Call::new("PUT", "/b/k", "", b"data").signed("s3");
    changed.body = b"other".to_vec();
    assert_eq!(changed.kind(), Some(AuthErrorKind::ContentHash));
}

#[test]
fn each_protocol_has_its_codes() {
    let code = |error: AuthError, family| {
        let error = error.to_api_error(family);
        (error.code, error.status.unwrap())
    };
    let json = |error| code(error, ProtocolFamily::Json);
    let query = |error| code(error, ProtocolFamily::Query);
    let ec2 = |error| code(error, ProtocolFamily::Ec2);
    let text = |code: &str, status| (code.to_owned(), status);
    assert_eq!(
        json(AuthError::missing()),
        text("MissingAuthenticationTokenException", 400)
    );
    assert_eq!(query(AuthError::missing()), text("MissingAuthenticationToken", 403));
    assert_eq!(json(AuthError::unknown_key()), text("UnrecognizedClientException", 400));
    assert_eq!(query(AuthError::unknown_key()), text("InvalidClientTokenId", 403));
    assert_eq!(ec2(AuthError::unknown_key()), text("AuthFailure", 401));
    assert_eq!(json(AuthError::expired_token()), text("ExpiredTokenException", 400));
    assert_eq!(query(AuthError::expired_token()), text("ExpiredToken", 403));
    assert_eq!(json(AuthError::mismatch()), text("InvalidSignatureException", 400));
    assert_eq!(ec2(AuthError::mismatch()), text("AuthFailure", 401));
}

#[test]
fn a_cached_key_verifies_the_same() {
    let cache = KeyCache::new();
    let call = list_tasks().signed("ecs");
    let presented = call.with(parse).unwrap().unwrap();
    for _ in 0..3 {
        assert_eq!(verify(&presented, SECRET, AT, &cache), Ok(()));
        assert!(verify(&presented, "other", AT, &cache).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any request that we sign verifies, and its text after one changed byte of the body does not.
    #[test]
    fn signing_and_verifying_agree(
        path in "(/[a-zA-Z0-9 %._~é/-]{0,12}){0,4}",
        query in "([a-zA-Z%=&+é ]{0,20})",
        value in "[ -~]{0,40}",
        body in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        for service in ["ecs", "s3"] {
            let call = Call::new("POST", &path, &query, &body).header("X-Custom", &value).signed(service);
            prop_assert_eq!(call.kind(), None);
            let mut changed = call.clone();
            changed.body.push(b'x');
            prop_assert!(changed.kind().is_some());
        }
    }

    /// No text of a stranger's makes the parser panic.
    #[test]
    fn any_request_is_parsed_or_refused(
        authorization in proptest::collection::vec(any::<u8>(), 0..200),
        near in "AWS4-HMAC-SHA256 (Credential=[A-Z]{0,3}(/[a-z0-9]{0,9}){0,6})?(, ?SignedHeaders=[a-z;-]{0,20})?(,Signature=[0-9a-f]{0,70})?",
        date in "([0-9]{8}T[0-9]{6}Z|.{0,30})",
        path in ".{0,40}",
        query in "(X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature)=[a-zA-Z0-9%/-]{0,30}&){0,8}.{0,30}",
    ) {
        let mut call = Call::new("GET", &path, &query, b"").header("X-Amz-Date", &date);
        let _ = call.with(parse);
        call.query = String::new();
        let _ = call.clone().header("Authorization", &near).with(parse);
        call.headers.push(("Authorization".into(), authorization));
        let _ = call.with(parse);
    }
}
