//! STS as its callers see it: sessions that are made, presented in signed requests, and limited.

mod federation;
mod mfa;
mod web_identity;

use crate::*;
use honmaru_base::{AccountId, ApiError, Scope, SeededRng, Time};
use honmaru_iam::{ADMINISTRATOR, authorize, ensure_administrator, user_of_name, user_principal};
use honmaru_identity::{AuthErrorKind, Credentials, KeyCache, ProtocolFamily, Signed, parse, sign};
use honmaru_machine::{Access, Call, Handler, Operation, Principal, PrincipalKind, State, Tx};
use serde_json::{Value, json};

const ACCOUNT: &str = "123456789012";
const NOW: Time = Time::from_ms(1_790_000_000_000);
/// An issuer's key set, and a token that it signed (valid until [`NOW`] plus 300 s); the private key is gone.
const JWKS: &str = r#"{"keys": [{"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", "n": "m8PSCQDTvv-fhkOr5c3r6U5-VKX14456cp6-S1eYZjUL3TshloaZxed_zWekS00QAb-DqzywBjRpPUTHar2Vqhzxl65VQe7BG5RPoNq6AE42vJinphGx5OhTEeYOO9C5EK2IBArFFKCOjbjwcnGBxAmnp84DkDaYvCYh9cSKPk_3N2uqNOFiwMOkOA_hZ8ng-pPVN7uMwk7B4Vj1KXXb-njF0l3bsSBmG5YpflXIekBnyfmvOk5BOnEu5qWqSHUAsZcG0FFFMlVC-lloq_DmqfyV9bJAtO1LhDAUOgiW7K-xhgBbSQBM7X94odAvGjJsYriq5KRrT1KkKO-HB_yD5w", "e": "AQAB"}]}"#;
const TOKEN: &str = "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogIm9uZSIsICJ0eXAiOiAiSldUIn0.eyJpc3MiOiAiaHR0cHM6Ly90b2tlbi5hY3Rpb25zLmdpdGh1YnVzZXJjb250ZW50LmNvbSIsICJzdWIiOiAicmVwbzphY21lL3Nob3A6cmVmOnJlZnMvaGVhZHMvbWFpbiIsICJhdWQiOiAic3RzLmFtYXpvbmF3cy5jb20iLCAiaWF0IjogMTc4OTk5OTkwMCwgIm5iZiI6IDE3ODk5OTk5MDAsICJleHAiOiAxNzkwMDAwMzAwfQ.SD6BDu8lM9zezetTv6pxxPdd_oXVTZw1Z8uk8xWeXah10jXIwHEiPDpfqR4NagTJTkFxhNDY93z1LjZoQEsi5CpuXtlsm5aCA2WPWkef1qAv5_O7AzjPliUZDmZnarFTREXyYx3UsqVODQ4I9GrFqmbrtVkk8Kz3K7btiStH5pibY6mjbxu2f5ckB2vzQEeBQWk-Na-Rm9yMweLVBoHossnbGW9dCSu4AUs-YGPvv-MZt6s0lGL6mW8fqXmCvMMOib-EdEAy5Y6v1QdccuOsJUyAZa0pjqWotUsvE-skbC0SqYVroh_IOz_pfYEmMPcOBLSm6ajcj-t5bk_VUl1Mpw";

struct Cloud {
    state: State,
    rng: SeededRng,
    keys: KeyCache,
}

fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}

impl Cloud {
    fn new() -> Self {
        let mut state = State::new();
        honmaru_iam::register(&mut state);
        register(&mut state);
        let mut cloud = Self {
            state,
            rng: SeededRng::from_u64(2),
            keys: KeyCache::new(),
        };
        cloud.change(|tx| {
            ensure_administrator(tx, &account());
            ensure_key(tx);
        });
        cloud
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Tx<'_>) -> T) -> T {
        let mut tx = Tx::new(&mut self.state, NOW, &mut self.rng);
        let answer = change(&mut tx);
        tx.commit();
        answer
    }

    fn administrator(&self) -> Principal {
        user_principal(
            &account(),
            user_of_name(&self.state, &account(), ADMINISTRATOR).unwrap(),
            "AKIA",
        )
    }

    fn run(
        &mut self,
        operations: Vec<Operation>,
        principal: Principal,
        name: &str,
        input: Value,
    ) -> Result<Value, ApiError> {
        let operation = operations
            .into_iter()
            .find(|o| o.name == name)
            .unwrap_or_else(|| panic!("no {name}"));
        let call = Call {
            scope: Scope::new(ACCOUNT, "us-east-1").unwrap(),
            principal,
            request_id: "request".to_owned(),
            now: NOW,
            source_ip: None,
            user_agent: "test".to_owned(),
            referer: String::new(),
            host: "localhost:4566".to_owned(),
            secure: false,
        };
        let access = (operation.access)(&self.state, &call, &input);
        authorize(&self.state, &call, &access, ProtocolFamily::Query)?;
        match operation.handler {
            Handler::Read(f) => f(&self.state, &call, input),
            Handler::Write(f) => self.change(|tx| f(tx, &call, input)),
            Handler::WriteJson(_) | Handler::Async(_) => panic!("all answer with trees, at once"),
        }
    }

    fn iam(&mut self, name: &str, input: Value) -> Value {
        let administrator = self.administrator();
        self.run(honmaru_iam::operations(), administrator, name, input)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn sts(&mut self, principal: Principal, name: &str, input: Value) -> Result<Value, ApiError> {
        self.run(operations(), principal, name, input)
    }

    fn role(&mut self, name: &str, trust: Value) {
        let statement = json!({"Version": "2012-10-17", "Statement": trust});
        self.iam(
            "CreateRole",
            json!({"RoleName": name, "AssumeRolePolicyDocument": statement.to_string()}),
        );
    }

    fn user(&mut self, name: &str) -> Principal {
        self.iam("CreateUser", json!({"UserName": name}));
        user_principal(&account(), user_of_name(&self.state, &account(), name).unwrap(), "AKIA")
    }

    /// The principal behind a request that is signed with these credentials at that moment.
    fn present(&self, credentials: &Value, at: Time) -> Result<Principal, AuthErrorKind> {
        let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
        let credentials = Credentials {
            access_key_id: text("AccessKeyId"),
            secret_access_key: text("SecretAccessKey"),
            session_token: credentials["SessionToken"].as_str().map(str::to_owned),
        };
        let host: (&str, &[u8]) = ("host", b"localhost:4566");
        let request = Signed {
            method: "POST",
            raw_path: "/",
            raw_query: "",
            headers: &[host],
            body: b"x",
        };
        let added = sign(&credentials, "us-east-1", "ecs", at, &request);
        let mut headers = vec![host];
        headers.extend(added.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
        let presented = parse(&Signed {
            headers: &headers,
            ..request
        })
        .unwrap()
        .unwrap();
        authenticate(&self.state, &presented, at, &self.keys).map_err(|error| error.kind)
    }
}

fn arn(role: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{role}")
}

fn assume(role: &str) -> Value {
    json!({"RoleArn": arn(role), "RoleSessionName": "s1"})
}

fn allows(cloud: &Cloud, principal: &Principal, action: &str) -> bool {
    let call = Call {
        scope: Scope::new(ACCOUNT, "us-east-1").unwrap(),
        principal: principal.clone(),
        request_id: String::new(),
        now: NOW,
        source_ip: None,
        user_agent: String::new(),
        referer: String::new(),
        host: String::new(),
        secure: false,
    };
    authorize(&cloud.state, &call, &[Access::any(action)], ProtocolFamily::Json).is_ok()
}

#[test]
fn callers_learn_who_they_are() {
    let mut cloud = Cloud::new();
    let administrator = cloud.administrator();
    let answer = cloud.sts(administrator, "GetCallerIdentity", json!({})).unwrap();
    assert_eq!(answer["Account"], ACCOUNT);
    assert_eq!(answer["Arn"], "arn:aws:iam::123456789012:user/administrator");
    assert!(answer["UserId"].as_str().unwrap().starts_with("AIDA"));
}

#[test]
fn the_sealing_key_is_drawn_once_and_survives_a_replay() {
    let mut cloud = Cloud::new();
    let key = cloud.change(ensure_key);
    let mut replayed = State::new();
    honmaru_iam::register(&mut replayed);
    register(&mut replayed);
    let mut records = Vec::new();
    cloud.state.dump(&mut |record| records.push(record));
    for record in records {
        replayed.replay(&serde_json::from_slice(&record).unwrap()).unwrap();
    }
    let again = Tx::new(&mut replayed, NOW, &mut SeededRng::from_u64(9)).ensure();
    assert_eq!(key, again);
}

trait Ensure {
    fn ensure(self) -> [u8; 32];
}

impl Ensure for Tx<'_> {
    fn ensure(mut self) -> [u8; 32] {
        let key = ensure_key(&mut self);
        assert!(!self.is_changed());
        key
    }
}

#[test]
fn a_role_is_assumed_presented_and_expires() {
    let mut cloud = Cloud::new();
    cloud.role(
        "app",
        json!([{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]}]),
    );
    cloud.iam(
        "AttachRolePolicy",
        json!({"RoleName": "app", "PolicyArn": "arn:aws:iam::aws:policy/AmazonECS_FullAccess"}),
    );
    let administrator = cloud.administrator();
    let mut input = assume("app");
    input["Tags"] = json!([{"Key": "team", "Value": "blue"}]);
    input["TransitiveTagKeys"] = json!(["team"]);
    let answer = cloud.sts(administrator, "AssumeRole", input).unwrap();
    assert_eq!(
        answer["AssumedRoleUser"]["Arn"],
        "arn:aws:sts::123456789012:assumed-role/app/s1"
    );
    let credentials = answer["Credentials"].clone();
    assert!(credentials["AccessKeyId"].as_str().unwrap().starts_with("ASIA"));
    assert_eq!(credentials["Expiration"], 1_790_003_600.0);
    let info = cloud.administrator();
    let info = cloud
        .sts(
            info,
            "GetAccessKeyInfo",
            json!({"AccessKeyId": credentials["AccessKeyId"]}),
        )
        .unwrap();
    assert_eq!(info["Account"], ACCOUNT);

    let principal = cloud.present(&credentials, NOW).unwrap();
    assert_eq!(
        principal.kind,
        PrincipalKind::AssumedRole {
            role: "app".into(),
            session: "s1".into()
        }
    );
    assert_eq!(principal.arn, "arn:aws:sts::123456789012:assumed-role/app/s1");
    assert!(principal.tags.contains(&("team".to_owned(), "blue".to_owned())));
    assert!(allows(&cloud, &principal, "ecs:RunTask"));
    assert!(!allows(&cloud, &principal, "iam:CreateUser"));

    let mut other = credentials.clone();
    other["SecretAccessKey"] = json!("wrong");
    assert_eq!(cloud.present(&other, NOW), Err(AuthErrorKind::Mismatch));
    let mut other = credentials.clone();
    other["AccessKeyId"] = json!("ASIAOTHER");
    assert_eq!(cloud.present(&other, NOW), Err(AuthErrorKind::UnknownKey));
    let mut other = credentials.clone();
    other["SessionToken"] = json!("AQIDBA==");
    assert_eq!(cloud.present(&other, NOW), Err(AuthErrorKind::UnknownKey));
    let mut other = credentials.clone();
    other["SessionToken"] = Value::Null;
    assert_eq!(cloud.present(&other, NOW), Err(AuthErrorKind::UnknownKey));
    assert_eq!(
        cloud.present(&credentials, NOW.plus_s(3_599)).map(|p| p.user_id),
        Ok(principal.user_id.clone())
    );
    assert_eq!(
        cloud.present(&credentials, NOW.plus_s(3_600)),
        Err(AuthErrorKind::ExpiredToken)
    );

    // A session ends with its role, and another role of that name does not bring it back.
    cloud.iam(
        "DetachRolePolicy",
        json!({"RoleName": "app", "PolicyArn": "arn:aws:iam::aws:policy/AmazonECS_FullAccess"}),
    );
    cloud.iam("DeleteRole", json!({"RoleName": "app"}));
    assert_eq!(cloud.present(&credentials, NOW), Err(AuthErrorKind::UnknownKey));
    cloud.role(
        "app",
        json!([{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}]),
    );
    assert_eq!(cloud.present(&credentials, NOW), Err(AuthErrorKind::UnknownKey));
}

#[test]
fn only_the_trust_policy_opens_a_role() {
    let mut cloud = Cloud::new();
    cloud.role(
        "tasks",
        json!([{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]),
    );
    let administrator = cloud.administrator();
    let denied = cloud
        .sts(administrator.clone(), "AssumeRole", assume("tasks"))
        .unwrap_err();
    assert_eq!(
        denied.message,
        "User: arn:aws:iam::123456789012:user/administrator is not authorized to perform: sts:AssumeRole on resource: \
         arn:aws:iam::123456789012:role/tasks"
    );
    assert_eq!((denied.code.as_str(), denied.status), ("AccessDenied", Some(403)));
    assert_eq!(
        cloud.sts(administrator, "AssumeRole", assume("none")).unwrap_err().code,
        "AccessDenied"
    );

    // Trusting the account leaves it to the user's own policies; trusting the user itself is enough.
    let ada = cloud.user("ada");
    cloud.role(
        "account",
        json!([{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}]),
    );
    assert!(cloud.sts(ada.clone(), "AssumeRole", assume("account")).is_err());
    cloud.role(
        "direct",
        json!([{"Effect": "Allow", "Principal": {"AWS": ada.arn.clone()}, "Action": "sts:AssumeRole"}]),
    );
    cloud.sts(ada.clone(), "AssumeRole", assume("direct")).unwrap();
    // Tags need sts:TagSession as well.
    let mut tagged = assume("direct");
    tagged["Tags"] = json!([{"Key": "a", "Value": "b"}]);
    assert!(
        cloud
            .sts(ada.clone(), "AssumeRole", tagged)
            .unwrap_err()
            .message
            .contains("sts:TagSession")
    );

    cloud.role(
        "external",
        json!([{"Effect": "Allow", "Principal": {"AWS": ada.arn.clone()}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "x-1"}}}]),
    );
    assert!(cloud.sts(ada.clone(), "AssumeRole", assume("external")).is_err());
    let mut right = assume("external");
    right["ExternalId"] = json!("x-1");
    cloud.sts(ada, "AssumeRole", right).unwrap();
}

#[test]
fn sessions_are_limited_in_time_and_power() {
    let mut cloud = Cloud::new();
    cloud.role(
        "app",
        json!([{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]}]),
    );
    cloud.iam(
        "AttachRolePolicy",
        json!({"RoleName": "app", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
    );
    let administrator = cloud.administrator();
    let with = |name: &str, value: Value| {
        let mut input = assume("app");
        input[name] = value;
        input
    };
    let too_long = cloud
        .sts(
            administrator.clone(),
            "AssumeRole",
            with("DurationSeconds", json!(3_601)),
        )
        .unwrap_err();
    assert_eq!(too_long.code, "ValidationError");
    cloud.iam("UpdateRole", json!({"RoleName": "app", "MaxSessionDuration": 43_200}));
    cloud
        .sts(
            administrator.clone(),
            "AssumeRole",
            with("DurationSeconds", json!(43_200)),
        )
        .unwrap();

    let policy =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["ecs:List*","sts:*"],"Resource":"*"}}"#;
    let mut input = with("Policy", json!(policy));
    input["SourceIdentity"] = json!("ada");
    let answer = cloud.sts(administrator.clone(), "AssumeRole", input).unwrap();
    assert!(answer["PackedPolicySize"].as_i64().unwrap() > 0);
    let limited = cloud.present(&answer["Credentials"], NOW).unwrap();
    assert!(allows(&cloud, &limited, "ecs:ListTasks"));
    assert!(!allows(&cloud, &limited, "ecs:RunTask"));
    let session = limited.session.clone().expect("a session");
    assert_eq!(
        (session.issued_at, session.source_identity.as_deref()),
        (NOW, Some("ada"))
    );
    assert!(
        limited.tags.iter().all(|(key, _)| !key.starts_with("aws:")),
        "{:?}",
        limited.tags
    );

    // A chain: an hour at most, and the source identity stays.
    let chained = cloud
        .sts(limited.clone(), "AssumeRole", with("DurationSeconds", json!(7_200)))
        .unwrap_err();
    assert!(chained.message.contains("role chaining"), "{chained}");
    let chained = cloud.sts(limited.clone(), "AssumeRole", assume("app")).unwrap();
    assert_eq!(chained["SourceIdentity"], "ada");
    assert_eq!(
        cloud
            .sts(limited, "AssumeRole", with("SourceIdentity", json!("eve")))
            .unwrap_err()
            .code,
        "AccessDenied"
    );

    for (name, value, code) in [
        ("Policy", json!("{}"), "MalformedPolicyDocumentException"),
        (
            "PolicyArns",
            json!([{"arn": "arn:aws:iam::aws:policy/None"}]),
            "ValidationError",
        ),
        (
            "Tags",
            json!([{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]),
            "InvalidParameterValue",
        ),
        ("Tags", json!([{"Key": "aws:a", "Value": "1"}]), "InvalidParameterValue"),
        ("TransitiveTagKeys", json!(["a"]), "InvalidParameterValue"),
    ] {
        let error = cloud
            .sts(administrator.clone(), "AssumeRole", with(name, value.clone()))
            .unwrap_err();
        assert_eq!(error.code, code, "{name} {value}");
    }
    let managed = with(
        "PolicyArns",
        json!([{"arn": "arn:aws:iam::aws:policy/IAMReadOnlyAccess"}]),
    );
    let answer = cloud.sts(administrator, "AssumeRole", managed).unwrap();
    let reader = cloud.present(&answer["Credentials"], NOW).unwrap();
    assert!(allows(&cloud, &reader, "iam:ListUsers") && !allows(&cloud, &reader, "ecs:ListTasks"));
}

#[test]
fn a_user_gets_a_session_token() {
    let mut cloud = Cloud::new();
    let administrator = cloud.administrator();
    let answer = cloud
        .sts(administrator, "GetSessionToken", json!({"DurationSeconds": 900}))
        .unwrap();
    let principal = cloud.present(&answer["Credentials"], NOW).unwrap();
    assert_eq!(principal.arn, "arn:aws:iam::123456789012:user/administrator");
    assert!(allows(&cloud, &principal, "ecs:RunTask"));
    assert!(
        !allows(&cloud, &principal, "iam:ListUsers"),
        "no IAM without a second factor"
    );
    assert_eq!(
        cloud.present(&answer["Credentials"], NOW.plus_s(900)),
        Err(AuthErrorKind::ExpiredToken)
    );
    assert_eq!(
        cloud.sts(principal, "GetSessionToken", json!({})).unwrap_err().code,
        "AccessDenied"
    );
}

#[test]
fn tasks_get_the_credentials_of_their_role() {
    let mut cloud = Cloud::new();
    let task = "arn:aws:ecs:us-east-1:123456789012:task/default/0123456789abcdef0123456789abcdef";
    let tasks = json!({"Service": "ecs-tasks.amazonaws.com"});
    cloud.role(
        "task",
        json!([{"Effect": "Allow", "Principal": tasks, "Action": "sts:AssumeRole",
        "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:ecs:us-east-1:123456789012:*"},
                      "StringEquals": {"aws:SourceAccount": ACCOUNT}}}]),
    );
    let mut rng = SeededRng::from_u64(3);
    let got = task_credentials(&cloud.state, &arn("task"), task, NOW, &mut rng).unwrap();
    assert_eq!(got.role_arn, arn("task"));
    let credentials = json!({"AccessKeyId": got.credentials.access_key_id,
        "SecretAccessKey": got.credentials.secret_access_key, "SessionToken": got.credentials.session_token});
    let principal = cloud.present(&credentials, NOW).unwrap();
    assert_eq!(
        principal.arn,
        "arn:aws:sts::123456789012:assumed-role/task/0123456789abcdef0123456789abcdef"
    );

    cloud.role(
        "user-only",
        json!([{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}]),
    );
    for role in ["user-only", "missing"] {
        let error = task_credentials(&cloud.state, &arn(role), task, NOW, &mut rng).unwrap_err();
        assert_eq!(error.code, "ClientException", "{role}");
    }
    assert!(task_credentials(&cloud.state, "no arn", task, NOW, &mut rng).is_err());
}

#[test]
fn a_web_identity_becomes_a_role() {
    let mut cloud = Cloud::new();
    let issuer = "https://token.actions.githubusercontent.com";
    let nobody = || Principal {
        account: account(),
        arn: "*".into(),
        user_id: String::new(),
        kind: PrincipalKind::Anonymous,
        access_key_id: String::new(),
        tags: vec![],
        session_policies: vec![],
        session: None,
    };
    let federated =
        json!({"Federated": format!("arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com")});
    let trust = |subject: &str| {
        json!([{"Effect": "Allow", "Principal": federated.clone(), "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"},
                      "StringLike": {"token.actions.githubusercontent.com:sub": subject}}}])
    };
    cloud.role("ci", trust("repo:acme/shop:*"));
    cloud.role("other", trust("repo:acme/other:*"));
    let input =
        |role: &str, token: &str| json!({"RoleArn": arn(role), "RoleSessionName": "ci", "WebIdentityToken": token});
    let code = |cloud: &mut Cloud, role: &str, token: &str| {
        let result = cloud.sts(nobody(), "AssumeRoleWithWebIdentity", input(role, token));
        result.err().map(|error| error.code)
    };
    let invalid = Some("InvalidIdentityTokenException".to_owned());
    assert_eq!(code(&mut cloud, "ci", TOKEN), invalid, "no provider");
    cloud.iam(
        "CreateOpenIDConnectProvider",
        json!({"Url": issuer, "ClientIDList": ["sts.amazonaws.com"]}),
    );
    assert_eq!(code(&mut cloud, "ci", TOKEN), invalid, "no keys");
    assert!(cloud.change(|tx| put_issuer_keys(tx, issuer, JWKS)));
    assert_eq!(code(&mut cloud, "ci", TOKEN), None);
    assert_eq!(code(&mut cloud, "other", TOKEN), Some("AccessDenied".to_owned()));
    assert_eq!(code(&mut cloud, "missing", TOKEN), Some("AccessDenied".to_owned()));
    let (signed, signature) = TOKEN.rsplit_once('.').unwrap();
    let (_, claims) = signed.split_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIn0"; // {"alg":"none"}
    let hmac = "eyJhbGciOiJIUzI1NiIsImtpZCI6Im9uZSJ9"; // {"alg":"HS256","kid":"one"}
    let es = "eyJhbGciOiJFUzI1NiIsImtpZCI6Im9uZSJ9"; // {"alg":"ES256","kid":"one"}
    for bad in [
        "",
        "a.b",
        "a.b.c",
        &format!("{signed}."),
        &format!("{signed}.AAAA"),
        &format!("{none}.{claims}."),
        &format!("{hmac}.{claims}.{signature}"),
        &format!("{es}.{claims}.{signature}"),
    ] {
        assert_eq!(code(&mut cloud, "ci", bad), invalid, "{bad}");
    }
    let answer = cloud
        .sts(nobody(), "AssumeRoleWithWebIdentity", input("ci", TOKEN))
        .unwrap();
    assert_eq!(
        answer["SubjectFromWebIdentityToken"],
        "repo:acme/shop:ref:refs/heads/main"
    );
    assert_eq!(answer["Audience"], "sts.amazonaws.com");
    cloud.present(&answer["Credentials"], NOW).unwrap();
    // The token ends with its exp, whatever its signature says.
    let mut tx = Tx::new(&mut cloud.state, NOW.plus_s(301), &mut cloud.rng);
    let operation = operations()
        .into_iter()
        .find(|o| o.name == "AssumeRoleWithWebIdentity")
        .unwrap();
    let Handler::Write(handler) = operation.handler else {
        panic!("it writes")
    };
    let call = Call {
        scope: Scope::new(ACCOUNT, "us-east-1").unwrap(),
        principal: nobody(),
        request_id: String::new(),
        now: NOW,
        source_ip: None,
        user_agent: String::new(),
        referer: String::new(),
        host: String::new(),
        secure: false,
    };
    assert_eq!(
        handler(&mut tx, &call, input("ci", TOKEN)).unwrap_err().code,
        "ExpiredTokenException"
    );
}

#[test]
fn every_character_of_a_web_identity_token_counts() {
    let mut cloud = Cloud::new();
    let issuer = "https://token.actions.githubusercontent.com";
    let federated = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com");
    cloud.role(
        "ci",
        json!([{"Effect": "Allow", "Principal": {"Federated": federated}, "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringLike": {"token.actions.githubusercontent.com:sub": "repo:*"}}}]),
    );
    cloud.iam(
        "CreateOpenIDConnectProvider",
        json!({"Url": issuer, "ClientIDList": ["sts.amazonaws.com"]}),
    );
    cloud.change(|tx| put_issuer_keys(tx, issuer, JWKS));
    let nobody = Principal {
        kind: PrincipalKind::Anonymous,
        ..cloud.administrator()
    };
    let mut code = |token: &str| {
        let input = json!({"RoleArn": arn("ci"), "RoleSessionName": "ci", "WebIdentityToken": token});
        let answer = cloud.sts(nobody.clone(), "AssumeRoleWithWebIdentity", input);
        answer.err().map(|error| error.code)
    };
    assert_eq!(code(TOKEN), None);
    let invalid = Some("InvalidIdentityTokenException".to_owned());
    for at in 0..TOKEN.len() {
        for other in ["A", "_", ".", "", "é", "\0"] {
            let (before, rest) = TOKEN.split_at(at);
            let (old, after) = rest.split_at(1);
            if old != other {
                assert_eq!(
                    code(&format!("{before}{other}{after}")),
                    invalid,
                    "{other:?} for {old} at {at}"
                );
            }
        }
    }
    for more in ["A", ".", "=", " ", "\n"] {
        assert_eq!(code(&format!("{TOKEN}{more}")), invalid, "{more:?} after it");
        assert_eq!(code(&format!("{more}{TOKEN}")), invalid, "{more:?} before it");
    }
}

#[test]
fn what_is_no_role_is_said_before_anything_is_asked() {
    let mut cloud = Cloud::new();
    let ada = cloud.user("ada");
    for bad in [
        "arn:aws:iam::123456789012:user/ada",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:sts::123456789012:assumed-role/a/b",
        "arn:aws:iam::account:role/application",
        "a text of twenty letters",
    ] {
        let input = json!({"RoleArn": bad, "RoleSessionName": "s1"});
        let error = cloud.sts(ada.clone(), "AssumeRole", input).unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.message),
            ("ValidationError", format!("{bad} is invalid"))
        );
    }
    // Whether a role is there is not told, nor that no account has so few digits (amazon.aws 11, sts_assume_role's tests).
    let error = cloud.sts(ada.clone(), "AssumeRole", assume("nobody")).unwrap_err();
    assert_eq!(error.code, "AccessDenied");
    let short = json!({"RoleArn": "arn:aws:iam::123456789:role/nobody", "RoleSessionName": "s1"});
    let error = cloud.sts(ada, "AssumeRole", short).unwrap_err();
    assert_eq!(error.code, "AccessDenied");
}

#[test]
fn limits_of_a_session_are_told_in_awss_words() {
    let mut cloud = Cloud::new();
    let administrator = cloud.administrator();
    cloud.role(
        "app",
        json!([{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]}]),
    );
    let mut refused = |more: Value| {
        let mut input = assume("app");
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = cloud.sts(administrator.clone(), "AssumeRole", input).unwrap_err();
        (error.code, error.message)
    };
    let (code, message) = refused(json!({"DurationSeconds": 3_601}));
    assert_eq!(code, "ValidationError");
    assert_eq!(
        message,
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    );
    let arns: Vec<Value> = (0..11)
        .map(|i| json!({"arn": format!("arn:aws:iam::{ACCOUNT}:policy/p{i}")}))
        .collect();
    let (code, message) = refused(json!({"PolicyArns": arns}));
    assert_eq!(code, "ValidationError");
    assert!(
        message.ends_with("Member must have length less than or equal to 10"),
        "{message}"
    );
    let tags: Vec<Value> = (0..20)
        .map(|i| json!({"Key": format!("k{i}"), "Value": "v".repeat(256)}))
        .collect();
    let (code, message) = refused(json!({"Tags": tags}));
    assert_eq!(code, "PackedPolicyTooLargeException");
    assert!(
        message.starts_with("Packed size of session tags consumes "),
        "{message}"
    );
    assert!(message.ends_with("% of allotted space."), "{message}");
}
