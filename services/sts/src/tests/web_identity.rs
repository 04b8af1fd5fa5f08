//! Web identity tokens, good and hostile. The issuer's keys are drawn for each test.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

const ISSUER: &str = "https://token.example/tenant";
const NOW_S: i64 = 1_790_000_000;

struct Issuer {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Issuer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        Self { pair, random }
    }

    fn jwk(&self, kid: &str) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65])})
    }

    /// A token of these very texts.
    fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&self.random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// A token that is good but for what is changed; null takes a claim away.
    fn token(&self, changes: Value) -> String {
        self.with_header(json!({}), changes)
    }

    fn with_header(&self, header: Value, changes: Value) -> String {
        let merged = |mut base: Value, changes: Value| {
            for (name, value) in changes.as_object().unwrap() {
                base[name] = value.clone();
            }
            base.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            base.to_string()
        };
        let claims = json!({"iss": ISSUER, "sub": "ada", "aud": "app", "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 300});
        self.sign(
            &merged(json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}), header),
            &merged(claims, changes),
        )
    }
}

fn trust(actions: Value, condition: Value) -> Value {
    let provider = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/token.example/tenant");
    json!([{"Effect": "Allow", "Principal": {"Federated": provider}, "Action": actions, "Condition": condition}])
}

struct Web {
    cloud: Cloud,
    issuer: Issuer,
}

impl Web {
    fn new() -> Self {
        let mut cloud = Cloud::new();
        cloud.iam(
            "CreateOpenIDConnectProvider",
            json!({"Url": ISSUER, "ClientIDList": ["app"]}),
        );
        cloud.role("web", trust(json!("sts:AssumeRoleWithWebIdentity"), json!({})));
        let issuer = Issuer::new();
        let mut web = Self { cloud, issuer };
        let key = web.issuer.jwk("k1");
        web.keys(json!([key]));
        web
    }

    fn keys(&mut self, keys: Value) {
        let jwks = json!({ "keys": keys }).to_string();
        assert!(self.cloud.change(|tx| put_issuer_keys(tx, ISSUER, &jwks)));
    }

    fn assume(&mut self, role: &str, token: &str) -> Result<Value, ApiError> {
        let nobody = Principal {
            account: account(),
            arn: "*".into(),
            user_id: String::new(),
            kind: PrincipalKind::Anonymous,
            access_key_id: String::new(),
            tags: vec![],
            session_policies: vec![],
            session: None,
        };
        let input = json!({"RoleArn": arn(role), "RoleSessionName": "s1", "WebIdentityToken": token});
        self.cloud.sts(nobody, "AssumeRoleWithWebIdentity", input)
    }

    fn code(&mut self, token: &str) -> Option<String> {
        self.assume("web", token).err().map(|error| error.code)
    }
}

const INVALID: &str = "InvalidIdentityTokenException";

#[test]
fn a_good_token_is_good_in_every_form_it_may_have() {
    let mut web = Web::new();
    for token in [
        web.issuer.token(json!({})),
        web.issuer.token(json!({"aud": ["other", "app"]})),
        web.issuer.token(json!({"nbf": null, "iat": null})),
        web.issuer.token(json!({"nbf": NOW_S + 299, "iat": NOW_S + 299})),
        web.issuer.token(json!({"exp": i64::MAX})),
        web.issuer.with_header(json!({"kid": null, "typ": null}), json!({})),
        // What the token says of keys is not looked at.
        web.issuer.with_header(
            json!({"jku": "https://evil.example/keys", "x5u": "https://evil.example/x", "jwk": Issuer::new().jwk("k1"),
                "x5c": ["AAAA"]}),
            json!({}),
        ),
    ] {
        assert_eq!(web.code(&token), None, "{token}");
    }
}

/// A key of the curve P-521, and a token that it signed: by PyJWT 2.15.
const P521_X: &str = "ABRB_HGCCHEQCuz68RARmnjgSijEEg7z63K2oqpzNEJ_1PIKB2Z35ltxnCP_FBZQ3dw0a61rhL1lpKA5ikca6Q6-";
const P521_Y: &str = "AdLnLAwrKKx0SWWxgt2Qqw6QbUI3aYpaeCWo0gEiHKlGmFSJ_OgJOCHA1ZaQDd7YuHD8maPUJ7I1JXRMWDteuJ6L";
const P521_SIGNED: &str = "eyJhbGciOiJFUzUxMiIsImtpZCI6InA1MjEiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJodHRwczovL3Rva2VuLmV4YW1wbGUv\
    dGVuYW50Iiwic3ViIjoiYWRhIiwiYXVkIjoiYXBwIiwiaWF0IjoxNzkwMDAwMDAwLCJleHAiOjE3OTAwMDAzMDB9";
const P521_SIGNATURE: &str = "AMUaj96nWJrERRkxPNNOjF7TcOW8Emv9z83bkOlKt1SIsljS6sQhN029IxYROztQC_-uz6K1mxdVBxqulj9RwbrGAbhx1LET8Ht7\
    EI8kBTfaClmECEyaBg8QuDU-mQIk3oQBshro77On6pV2lI4TdJ2a28NRnouyYw9ddLaTdeBFblCn";

#[test]
fn a_token_of_es512_is_one_of_the_key_of_its_curve() {
    let mut web = Web::new();
    let key = |x: &str, y: &str, curve: &str| json!({"kty": "EC", "crv": curve, "kid": "p521", "x": x, "y": y});
    let token = |signature: &[u8]| format!("{P521_SIGNED}.{}", URL_SAFE_NO_PAD.encode(signature));
    let good = URL_SAFE_NO_PAD.decode(P521_SIGNATURE).unwrap();
    web.keys(json!([key(P521_X, P521_Y, "P-521")]));
    assert_eq!(web.code(&token(&good)), None);

    let mut changed = good.clone();
    changed[131] ^= 1;
    for signature in [
        vec![],
        vec![0; 132],
        vec![255; 132],
        changed,
        good[1..].to_vec(),
        [good.as_slice(), &[0]].concat(),
    ] {
        assert_eq!(web.code(&token(&signature)).as_deref(), Some(INVALID), "{signature:?}");
    }
    for (x, y, curve) in [
        (P521_Y, P521_X, "P-521"),
        (P521_X, P521_X, "P-521"),
        (P521_X, "", "P-521"),
        ("", "", "P-521"),
        (P521_X, P521_Y, "P-256"),
    ] {
        web.keys(json!([key(x, y, curve)]));
        assert_eq!(web.code(&token(&good)).as_deref(), Some(INVALID), "{x} {y} {curve}");
    }
}

#[test]
fn what_is_no_token_is_said_before_anything_of_the_role() {
    let mut web = Web::new();
    let code = |answer: Result<Value, ApiError>| answer.err().map(|error| error.code);
    assert_eq!(code(web.assume("none", "aaaa.bbbb.cccc")).as_deref(), Some(INVALID));
    let token = web.issuer.token(json!({}));
    assert_eq!(code(web.assume("none", &token)).as_deref(), Some("AccessDenied"));
}

#[test]
fn hostile_tokens_are_refused() {
    let mut web = Web::new();
    let stranger = Issuer::new();
    let claims = json!({"iss": ISSUER, "sub": "ada", "aud": "app", "exp": NOW_S + 300}).to_string();
    let sign = |header: &str, claims: &str| web.issuer.sign(header, claims);
    let changed = |changes: Value| web.issuer.token(changes);
    let header = |changes: Value| web.issuer.with_header(changes, json!({}));
    let bodiless = |alg: &str| {
        let head = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": "k1"}).to_string());
        format!("{head}.{}.", URL_SAFE_NO_PAD.encode(&claims))
    };
    let cases = [
        ("no algorithm", bodiless("none"), INVALID),
        ("no algorithm, written otherwise", bodiless("nOnE"), INVALID),
        ("a symmetric algorithm", header(json!({"alg": "HS256"})), INVALID),
        (
            "an algorithm of another kind of key",
            header(json!({"alg": "RS256"})),
            INVALID,
        ),
        (
            "an algorithm of another curve",
            header(json!({"alg": "ES384"})),
            INVALID,
        ),
        (
            "an algorithm of a curve that ring has not",
            header(json!({"alg": "ES512"})),
            INVALID,
        ),
        ("no algorithm named", header(json!({"alg": null})), INVALID),
        (
            "an algorithm that is no text",
            header(json!({"alg": ["ES256"]})),
            INVALID,
        ),
        ("an unknown key", header(json!({"kid": "k2"})), INVALID),
        ("a key id that is no text", header(json!({"kid": 1})), INVALID),
        (
            "a stranger's key under the issuer's id",
            stranger.token(json!({})),
            INVALID,
        ),
        (
            "a stranger's key that the token brings",
            stranger.with_header(json!({"jwk": stranger.jwk("k1")}), json!({})),
            INVALID,
        ),
        (
            "something critical",
            header(json!({"crit": ["exp"], "exp": NOW_S + 300})),
            INVALID,
        ),
        ("nothing critical, but said", header(json!({"crit": []})), INVALID),
        (
            "a payload that is not encoded",
            header(json!({"crit": ["b64"], "b64": false})),
            INVALID,
        ),
        ("expired", changed(json!({"exp": NOW_S})), "ExpiredTokenException"),
        ("without an end", changed(json!({"exp": null})), INVALID),
        (
            "an end in fractions",
            changed(json!({"exp": NOW_S as f64 + 300.5})),
            INVALID,
        ),
        ("an end beyond all", changed(json!({"exp": 1e300})), INVALID),
        (
            "issued in fractions",
            changed(json!({"iat": NOW_S as f64 - 0.5})),
            INVALID,
        ),
        ("an end that is a text", changed(json!({"exp": "1790000300"})), INVALID),
        ("not yet valid", changed(json!({"nbf": NOW_S + 301})), INVALID),
        (
            "a moment as text",
            changed(json!({"nbf": (NOW_S + 301).to_string()})),
            INVALID,
        ),
        ("moments in a list", changed(json!({"iat": [NOW_S + 301]})), INVALID),
        ("issued in the future", changed(json!({"iat": NOW_S + 301})), INVALID),
        ("another audience", changed(json!({"aud": "other"})), INVALID),
        ("other audiences", changed(json!({"aud": ["other", "App"]})), INVALID),
        ("no audience", changed(json!({"aud": null})), INVALID),
        ("an empty list of audiences", changed(json!({"aud": []})), INVALID),
        ("no subject", changed(json!({"sub": null})), INVALID),
        ("an empty subject", changed(json!({"sub": ""})), INVALID),
        ("several subjects", changed(json!({"sub": ["ada", "eve"]})), INVALID),
        (
            "a host in another case",
            changed(json!({"iss": "https://Token.example/tenant"})),
            INVALID,
        ),
        (
            "a path in another case",
            changed(json!({"iss": "https://token.example/Tenant"})),
            INVALID,
        ),
        (
            "a slash more",
            changed(json!({"iss": "https://token.example/tenant/"})),
            INVALID,
        ),
        (
            "the path's parent",
            changed(json!({"iss": "https://token.example"})),
            INVALID,
        ),
        (
            "a path below",
            changed(json!({"iss": "https://token.example/tenant/x"})),
            INVALID,
        ),
        ("no scheme", changed(json!({"iss": "token.example/tenant"})), INVALID),
        (
            "plain HTTP",
            changed(json!({"iss": "http://token.example/tenant"})),
            INVALID,
        ),
        ("no issuer", changed(json!({"iss": null})), INVALID),
        ("an issuer that is no text", changed(json!({"iss": [ISSUER]})), INVALID),
        (
            "a claim twice",
            sign(
                r#"{"alg":"ES256","kid":"k1"}"#,
                &claims.replacen('{', r#"{"sub":"root","#, 1),
            ),
            INVALID,
        ),
        (
            "a claim twice, deeper inside",
            sign(
                r#"{"alg":"ES256","kid":"k1"}"#,
                &claims.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1),
            ),
            INVALID,
        ),
        (
            "a header twice",
            sign(r#"{"alg":"none","alg":"ES256","kid":"k1"}"#, &claims),
            INVALID,
        ),
        (
            "claims that are a list",
            sign(r#"{"alg":"ES256","kid":"k1"}"#, "[]"),
            INVALID,
        ),
        ("claims in pieces", sign(r#"{"alg":"ES256","kid":"k1"}"#, "{"), INVALID),
        (
            "claims nested too deep",
            sign(
                r#"{"alg":"ES256","kid":"k1"}"#,
                &format!("{{\"x\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000)),
            ),
            INVALID,
        ),
        ("a part more", format!("{}.x", changed(json!({}))), INVALID),
        ("padding", format!("{}=", changed(json!({}))), INVALID),
    ];
    for (what, token, code) in cases {
        assert_eq!(web.code(&token).as_deref(), Some(code), "{what}");
    }
}

#[test]
fn a_key_is_used_for_what_it_is_meant_and_several_must_be_told_apart() {
    let mut web = Web::new();
    let token = web.issuer.token(json!({}));
    let unnamed = web.issuer.with_header(json!({"kid": null}), json!({}));
    let key = web.issuer.jwk("k1");
    let with = |name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        key
    };
    for (name, value) in [
        ("use", json!("enc")),
        ("alg", json!("ES384")),
        ("key_ops", json!(["sign"])),
        ("crv", json!("P-384")),
        ("kty", json!("oct")),
        ("x", json!("AAAA")),
    ] {
        web.keys(json!([with(name, value.clone())]));
        assert_eq!(web.code(&token).as_deref(), Some(INVALID), "{name} {value}");
    }
    web.keys(json!([with("key_ops", json!(["verify"]))]));
    assert_eq!(web.code(&token), None);
    assert_eq!(web.code(&unnamed), None, "there is one key only");
    web.keys(json!([key.clone(), Issuer::new().jwk("k2")]));
    assert_eq!(web.code(&token), None);
    assert_eq!(
        web.code(&unnamed).as_deref(),
        Some(INVALID),
        "one of two keys must be named"
    );
    // An issuer with very many keys: those beyond the limit are not looked at, and it is quick.
    let mut keys: Vec<Value> = (0..1_000)
        .map(|i| json!({"kty": "EC", "kid": format!("x{i}")}))
        .collect();
    keys.push(key.clone());
    web.keys(json!(keys));
    assert_eq!(web.code(&token).as_deref(), Some(INVALID));
    keys.insert(0, key);
    web.keys(json!(keys));
    assert_eq!(web.code(&token), None);
    for jwks in ["", "[]", "{}", r#"{"keys": 1}"#, r#"{"keys": [1, null]}"#] {
        assert!(web.cloud.change(|tx| put_issuer_keys(tx, ISSUER, jwks)));
        assert_eq!(web.code(&token).as_deref(), Some(INVALID), "{jwks}");
    }
    let huge = format!("{{\"keys\": [{}]}}", " ".repeat(JWKS_BYTES_MAX));
    assert!(!web.cloud.change(|tx| put_issuer_keys(tx, ISSUER, &huge)));
}

#[test]
fn an_issuer_that_is_away_is_told_from_one_that_knows_no_key() {
    let mut web = Web::new();
    let token = web.issuer.token(json!({}));
    web.cloud.change(|tx| note_unreachable_issuer(tx, ISSUER));
    assert_eq!(web.code(&token), None, "its keys are known");
    let mut other = Web::new();
    other.issuer = Issuer::new();
    let second = "https://second.example";
    other.cloud.iam(
        "CreateOpenIDConnectProvider",
        json!({"Url": second, "ClientIDList": ["app"]}),
    );
    let token = other.issuer.token(json!({"iss": second}));
    assert_eq!(other.code(&token).as_deref(), Some(INVALID), "it was never asked");
    other.cloud.change(|tx| note_unreachable_issuer(tx, second));
    assert_eq!(other.code(&token).as_deref(), Some("IDPCommunicationErrorException"));
    let jwks = json!({"keys": [other.issuer.jwk("k1")]}).to_string();
    other.cloud.change(|tx| put_issuer_keys(tx, second, &jwks));
    assert_eq!(
        other.code(&token).as_deref(),
        Some("AccessDenied"),
        "another provider's role"
    );
}

#[test]
fn a_provider_with_a_slash_at_its_end_is_named_with_it() {
    let mut web = Web::new();
    let issuer = "https://tenant.example/";
    let provider = web.cloud.iam(
        "CreateOpenIDConnectProvider",
        json!({"Url": issuer, "ClientIDList": ["app"]}),
    );
    let provider = provider["OpenIDConnectProviderArn"].clone();
    assert_eq!(
        provider,
        format!("arn:aws:iam::{ACCOUNT}:oidc-provider/tenant.example/")
    );
    web.cloud.role(
        "slash",
        json!([{"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {"tenant.example/:aud": "app"}}}]),
    );
    let jwks = json!({"keys": [web.issuer.jwk("k1")]}).to_string();
    web.cloud.change(|tx| put_issuer_keys(tx, issuer, &jwks));
    let token = web.issuer.token(json!({"iss": issuer}));
    web.assume("slash", &token).unwrap();
    let token = web.issuer.token(json!({"iss": "https://tenant.example"}));
    assert_eq!(web.assume("slash", &token).unwrap_err().code, INVALID);
}

#[test]
fn a_token_brings_tags_a_source_identity_and_its_methods() {
    let mut web = Web::new();
    let tags = "https://aws.amazon.com/tags";
    let token = web.issuer.token(json!({
        tags: {"principal_tags": {"team": ["blue"], "cost": ["42"]}, "transitive_tag_keys": ["team"]},
        "https://aws.amazon.com/source_identity": "ada",
        "amr": ["mfa", "pwd"],
    }));
    let all = json!([
        "sts:AssumeRoleWithWebIdentity",
        "sts:TagSession",
        "sts:SetSourceIdentity"
    ]);
    let condition = json!({"StringEquals": {"aws:RequestTag/team": "blue", "sts:SourceIdentity": "ada"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["team", "cost"], "sts:TransitiveTagKeys": "team"},
        "ForAnyValue:StringEquals": {"token.example/tenant:amr": "mfa"}});
    web.cloud.role("all", trust(all.clone(), condition));
    let answer = web.assume("all", &token).unwrap();
    assert_eq!(answer["SourceIdentity"], "ada");
    assert!(answer["PackedPolicySize"].as_i64().unwrap() > 0);
    let principal = web.cloud.present(&answer["Credentials"], NOW).unwrap();
    let mut found = principal.tags.clone();
    found.sort();
    assert_eq!(found, [("cost".into(), "42".into()), ("team".into(), "blue".into())]);
    let session = principal.session.unwrap();
    assert_eq!(session.source_identity.as_deref(), Some("ada"));
    assert_eq!(session.transitive_tag_keys, ["team"]);
    // Each needs its permission in the trust policy.
    for missing in 0..3 {
        let mut actions = all.as_array().unwrap().clone();
        let gone = actions.remove(missing);
        web.cloud
            .role(&format!("role{missing}"), trust(json!(actions), json!({})));
        let refused = web.assume(&format!("role{missing}"), &token).unwrap_err();
        assert_eq!(refused.code, "AccessDenied", "without {gone}");
    }
    web.cloud.role("any", trust(all, json!({})));
    for bad in [
        json!({tags: {"principal_tags": {"aws:x": ["1"]}}}),
        json!({tags: {"principal_tags": {"a": ["1"], "A": ["2"]}}}),
        json!({tags: {"transitive_tag_keys": ["none"]}}),
        json!({tags: {"principal_tags": {"a": ["1", "2"]}}}),
        json!({"https://aws.amazon.com/source_identity": "not a name"}),
    ] {
        let token = web.issuer.token(bad.clone());
        assert_eq!(web.assume("any", &token).unwrap_err().code, INVALID, "{bad}");
    }
    // A policy's `sub` is the claim `sub`, whatever else a subject may call itself.
    let condition = json!({"StringEquals": {"token.example/tenant:sub": "root"}});
    web.cloud
        .role("root", trust(json!("sts:AssumeRoleWithWebIdentity"), condition));
    let token = web.issuer.token(json!({"SUB": "root", "Sub": "root"}));
    assert_eq!(web.assume("root", &token).unwrap_err().code, "AccessDenied");
}
