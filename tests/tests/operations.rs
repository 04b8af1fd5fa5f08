//! `operations.txt` of every service, which `docs/coverage.md` is made from, says what the binary registers.
//! Goal: the published coverage is true. Method: the lists are held against `honmaru_cloud::services`.

#[path = "operations/managed.rs"]
mod managed;
#[path = "operations/paging.rs"]
mod paging;
#[path = "operations/reference.rs"]
mod reference;
#[path = "operations/tokens.rs"]
mod tokens;

use honmaru_base::{ApiError, Scope, Time};
use honmaru_contract::edge::{Samples, SamplesWanted};
use honmaru_logs::{Events, Page, Plan, Query, StreamRef, StreamStat, Tail};
use honmaru_machine::{BoxFuture, Call, Operation, Principal, PrincipalKind, State};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// A call of the account's root.
fn call() -> Call {
    let scope = Scope::new("111111111111", "us-east-1").expect("both are valid");
    Call {
        principal: Principal {
            account: scope.account.clone(),
            arn: "arn:aws:iam::111111111111:root".to_owned(),
            user_id: "111111111111".to_owned(),
            kind: PrincipalKind::Root,
            access_key_id: String::new(),
            tags: Vec::new(),
            session_policies: Vec::new(),
            session: None,
        },
        scope,
        request_id: String::new(),
        now: Time::from_ms(1_800_000_000_000),
        source_ip: None,
        user_agent: String::new(),
        referer: String::new(),
        host: String::new(),
        secure: false,
    }
}

/// No operation is called here.
struct Nowhere;

fn unasked<T: Send + 'static>() -> BoxFuture<Result<T, ApiError>> {
    Box::pin(std::future::ready(Err(ApiError::new("InternalError", "nobody asks"))))
}

impl Events for Nowhere {
    fn look(&self, _: Box<dyn FnOnce(&State) -> Result<Plan, ApiError> + Send>) -> BoxFuture<Result<Plan, ApiError>> {
        unasked()
    }

    fn append(&self, _: StreamRef, _: Vec<(i64, String)>) -> BoxFuture<Result<(), ApiError>> {
        unasked()
    }

    fn read(&self, _: StreamRef, _: Query) -> BoxFuture<Result<Page, ApiError>> {
        unasked()
    }

    fn stat(&self, _: StreamRef) -> BoxFuture<Result<StreamStat, ApiError>> {
        unasked()
    }

    fn follow(&self, _: Arc<Tail>) -> Result<String, ApiError> {
        Err(ApiError::new("InternalError", "nobody asks"))
    }
}

impl honmaru_wafv2::SampleSource for Nowhere {
    fn samples(&self, _: &Call, _: SamplesWanted) -> BoxFuture<Result<Option<Samples>, ApiError>> {
        unasked()
    }
}

impl honmaru_ecr::Layers for Nowhere {
    fn read(&self, _: honmaru_ecr::Look) -> BoxFuture<Result<serde_json::Value, ApiError>> {
        unasked()
    }

    fn write(&self, _: honmaru_ecr::Change) -> BoxFuture<Result<serde_json::Value, ApiError>> {
        unasked()
    }

    fn put_blob(&self, _: Vec<u8>) -> BoxFuture<Result<(), ApiError>> {
        unasked()
    }

    fn get_blob(&self, _: String, _: u64) -> BoxFuture<Result<Option<Vec<u8>>, ApiError>> {
        unasked()
    }

    fn other_form(&self, _: &[u8], _: &str) -> Option<(String, Vec<u8>)> {
        None
    }

    fn blob_sizes(&self, _: Vec<String>) -> BoxFuture<Result<Vec<Option<u64>>, ApiError>> {
        unasked()
    }

    fn secret(&self, _: String) -> BoxFuture<Result<honmaru_ecr::Secret, ApiError>> {
        unasked()
    }

    fn try_upstream(&self, _: String, _: Option<String>) -> BoxFuture<Result<Option<String>, ApiError>> {
        unasked()
    }

    fn keep(&self, _: Vec<String>) -> BoxFuture<honmaru_ecr::Kept> {
        let kept: honmaru_ecr::Kept = Box::new(());
        Box::pin(std::future::ready(kept))
    }

    fn parts(&self, _: String, _: String) -> BoxFuture<honmaru_ecr::Parts> {
        Box::pin(std::future::ready(honmaru_ecr::Parts::default()))
    }

    fn begin_upload(&self, _: String, _: honmaru_machine::Principal) -> BoxFuture<Result<String, ApiError>> {
        unasked()
    }

    fn append_upload(
        &self,
        _: String,
        _: String,
        _: u64,
        _: Vec<u8>,
    ) -> BoxFuture<Result<honmaru_ecr::Appended, ApiError>> {
        unasked()
    }

    fn pull(&self, _: Call, _: String, _: String) -> BoxFuture<Result<(), honmaru_ecr::NotPulled>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn complete_upload(&self, _: String, _: String, _: String) -> BoxFuture<Result<honmaru_ecr::Completed, ApiError>> {
        unasked()
    }
}

impl honmaru_cloudtrail::Trail for Nowhere {
    fn look_up(&self, _: honmaru_cloudtrail::Wanted) -> BoxFuture<Result<honmaru_cloudtrail::Found, ApiError>> {
        unasked()
    }
}

impl honmaru_iam::Passwords for Nowhere {
    fn change(&self, _: honmaru_iam::PasswordChange) -> BoxFuture<Result<serde_json::Value, ApiError>> {
        unasked()
    }
}

/// Every service with its operations.
fn services() -> Vec<(&'static str, Vec<Operation>)> {
    honmaru_cloud::services(honmaru_cloud::Planes {
        events: Arc::new(Nowhere),
        samples: Arc::new(Nowhere),
        layers: Arc::new(Nowhere),
        trail: Arc::new(Nowhere),
        passwords: Arc::new(Nowhere),
    })
}

#[test]
fn the_lists_are_what_is_registered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services");
    let mut checked = BTreeSet::new();
    for (service, operations) in services() {
        let path = folder.join(service).join("operations.txt");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        // After a dash: implemented, and no types are generated for it.
        let names = lines.map(|line| line.trim_start_matches('-').trim());
        let listed: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
        let registered: BTreeSet<&str> = operations.iter().map(|operation| operation.name).collect();
        assert_eq!(
            registered.len(),
            operations.len(),
            "{service} registers an operation twice"
        );
        let missing: Vec<_> = listed.difference(&registered).collect();
        let unlisted: Vec<_> = registered.difference(&listed).collect();
        assert!(
            missing.is_empty() && unlisted.is_empty(),
            "services/{service}/operations.txt: listed and not registered: {missing:?}; registered and not listed: \
             {unlisted:?}. Repair the list, then run `cargo xtask coverage`"
        );
        checked.insert(service);
    }
    for entry in std::fs::read_dir(folder).expect("the services are there") {
        let path = entry.expect("a folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        assert!(
            !path.join("operations.txt").exists() || checked.contains(name),
            "services/{name} lists operations, and nobody registers them"
        );
    }
}
