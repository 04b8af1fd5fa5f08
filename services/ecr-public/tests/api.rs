//! The ECR Public API as a client sees it: operations by name, over a state in memory and blobs in a map.

use honmaru_base::{ApiError, Scope, SeededRng, Time};
use honmaru_ecr::{Appended, Change, Completed, Kept, Layers, Look, NotPulled, Parts, RegistryAction, Secret};
use honmaru_machine::{BoxFuture, Call, Handler, Operation, Principal, PrincipalKind, State, Tx};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::ready;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

const ACCOUNT: &str = "123456789012";

struct Memory {
    state: Mutex<State>,
    uploads: Mutex<BTreeMap<String, (String, Vec<u8>)>>,
}

impl Memory {
    fn change<T>(&self, change: impl FnOnce(&mut Tx<'_>) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let (mut state, mut rng) = (self.state.lock().unwrap(), SeededRng::from_u64(7));
        let mut tx = Tx::new(&mut state, Time::from_ms(1_800_000_000_000), &mut rng);
        let answer = change(&mut tx);
        match answer {
            Ok(_) => drop(tx.commit()),
            Err(_) => tx.roll_back(),
        }
        answer
    }
}

fn done<T: Send + 'static>(value: T) -> BoxFuture<T> {
    Box::pin(ready(value))
}

/// Blobs are not kept: whatever is uploaded has the digest that is asked for.
struct Blobs(Arc<Memory>);

impl Layers for Blobs {
    fn read(&self, look: Look) -> BoxFuture<Result<Value, ApiError>> {
        done(look(&self.0.state.lock().unwrap()))
    }
    fn write(&self, change: Change) -> BoxFuture<Result<Value, ApiError>> {
        done(self.0.change(change))
    }
    fn put_blob(&self, _: Vec<u8>) -> BoxFuture<Result<(), ApiError>> {
        done(Ok(()))
    }
    fn get_blob(&self, _: String, _: u64) -> BoxFuture<Result<Option<Vec<u8>>, ApiError>> {
        done(Ok(None))
    }
    fn other_form(&self, _: &[u8], _: &str) -> Option<(String, Vec<u8>)> {
        None
    }
    fn blob_sizes(&self, digests: Vec<String>) -> BoxFuture<Result<Vec<Option<u64>>, ApiError>> {
        done(Ok(vec![None; digests.len()]))
    }
    fn keep(&self, _: Vec<String>) -> BoxFuture<Kept> {
        done(Box::new(()))
    }
    fn parts(&self, _: String, _: String) -> BoxFuture<Parts> {
        done(Parts::default())
    }
    fn begin_upload(&self, owner: String, _by: Principal) -> BoxFuture<Result<String, ApiError>> {
        let mut uploads = self.0.uploads.lock().unwrap();
        let id = format!("upload-{}", uploads.len());
        uploads.insert(id.clone(), (owner, Vec::new()));
        done(Ok(id))
    }
    fn append_upload(
        &self,
        owner: String,
        id: String,
        _: u64,
        bytes: Vec<u8>,
    ) -> BoxFuture<Result<Appended, ApiError>> {
        let mut uploads = self.0.uploads.lock().unwrap();
        done(Ok(match uploads.get_mut(&id) {
            Some((of, all)) if *of == owner => {
                all.extend(bytes);
                Appended::At(all.len() as u64)
            }
            _ => Appended::Unknown,
        }))
    }
    fn secret(&self, _: String) -> BoxFuture<Result<Secret, ApiError>> {
        done(Ok(Secret::Missing))
    }
    fn try_upstream(&self, _: String, _: Option<String>) -> BoxFuture<Result<Option<String>, ApiError>> {
        done(Ok(None))
    }
    fn pull(&self, _: Call, _: String, _: String) -> BoxFuture<Result<(), NotPulled>> {
        done(Ok(()))
    }
    fn complete_upload(&self, owner: String, id: String, _: String) -> BoxFuture<Result<Completed, ApiError>> {
        done(Ok(match self.0.uploads.lock().unwrap().remove(&id) {
            Some((of, bytes)) if of == owner => Completed::Done(bytes.len() as u64),
            _ => Completed::Unknown,
        }))
    }
}

struct Public {
    memory: Arc<Memory>,
    operations: Vec<Operation>,
    call: Call,
}

impl Public {
    fn new() -> Self {
        let mut state = State::new();
        honmaru_ecr::register(&mut state);
        honmaru_ecr_public::register(&mut state);
        let memory = Arc::new(Memory {
            state: Mutex::new(state),
            uploads: Mutex::default(),
        });
        let layers: Arc<dyn Layers> = Arc::new(Blobs(memory.clone()));
        let call = Call {
            scope: Scope::new(ACCOUNT, "us-east-1").unwrap(),
            principal: Principal {
                account: ACCOUNT.parse().unwrap(),
                arn: format!("arn:aws:iam::{ACCOUNT}:root"),
                user_id: ACCOUNT.to_owned(),
                kind: PrincipalKind::Root,
                access_key_id: "AKIA".to_owned(),
                tags: Vec::new(),
                session_policies: Vec::new(),
                session: None,
            },
            request_id: "r".to_owned(),
            now: Time::from_ms(1_800_000_000_000),
            source_ip: None,
            user_agent: String::new(),
            referer: String::new(),
            host: "localhost:4566".to_owned(),
            secure: false,
        };
        Self {
            memory,
            operations: honmaru_ecr_public::operations(&layers),
            call,
        }
    }

    fn call(&self, name: &str, input: Value) -> Result<Value, ApiError> {
        let operation = self.operations.iter().find(|operation| operation.name == name).unwrap();
        let access = (operation.access)(&self.memory.state.lock().unwrap(), &self.call, &input);
        assert_eq!(access[0].action, format!("ecr-public:{name}"));
        match &operation.handler {
            Handler::Read(handler) => handler(&self.memory.state.lock().unwrap(), &self.call, input),
            Handler::Write(handler) => self.memory.change(|tx| handler(tx, &self.call, input)),
            Handler::WriteJson(_) => panic!("{name} answers with text"),
            Handler::Async(handler) => {
                let mut future = pin!(handler(self.call.clone(), input));
                match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(answer) => answer,
                    Poll::Pending => panic!("{name} waits for something that is ready"),
                }
            }
        }
    }

    fn ok(&self, name: &str, input: Value) -> Value {
        self.call(name, input).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn code(&self, name: &str, input: Value) -> String {
        self.call(name, input).expect_err(name).code
    }

    /// Puts an image of one configuration under a tag and returns its digest.
    fn image(&self, name: &str, tag: &str) -> String {
        let digest = format!("sha256:{}", "1".repeat(64));
        let upload = self.ok("InitiateLayerUpload", json!({"repositoryName": name}))["uploadId"].clone();
        self.ok(
            "UploadLayerPart",
            json!({"repositoryName": name, "uploadId": upload, "partFirstByte": 0, "partLastByte": 1,
                   "layerPartBlob": "e30="}),
        );
        self.ok(
            "CompleteLayerUpload",
            json!({"repositoryName": name, "uploadId": upload, "layerDigests": [digest]}),
        );
        let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2},
            "layers": []});
        let put = self.ok(
            "PutImage",
            json!({"repositoryName": name, "imageManifest": manifest.to_string(), "imageTag": tag}),
        );
        put["image"]["imageId"]["imageDigest"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_repository_has_the_address_of_its_registry() {
    let public = Public::new();
    let made = public.ok(
        "CreateRepository",
        json!({"repositoryName": "team/app", "catalogData": {"description": "an app", "architectures": ["x86-64"]},
               "tags": [{"Key": "a", "Value": "b"}]}),
    );
    let registry = public.ok("DescribeRegistries", json!({}))["registries"][0].clone();
    let alias = registry["aliases"][0]["name"].as_str().unwrap();
    assert_eq!(registry["registryUri"], format!("public.ecr.localhost:4566/{alias}"));
    assert_eq!(
        registry["registryArn"],
        format!("arn:aws:ecr-public::{ACCOUNT}:registry/{ACCOUNT}")
    );
    let repository = &made["repository"];
    assert_eq!(
        repository["repositoryUri"],
        format!("public.ecr.localhost:4566/{alias}/team/app")
    );
    let arn = format!("arn:aws:ecr-public::{ACCOUNT}:repository/team/app");
    assert_eq!(repository["repositoryArn"], arn);
    assert_eq!(made["catalogData"]["description"], "an app");
    let again = public.code("CreateRepository", json!({"repositoryName": "team/app"}));
    assert_eq!(again, "RepositoryAlreadyExistsException");
    public.ok(
        "TagResource",
        json!({"resourceArn": arn, "tags": [{"Key": "c", "Value": "d"}]}),
    );
    public.ok("UntagResource", json!({"resourceArn": arn, "tagKeys": ["a"]}));
    let tags = public.ok("ListTagsForResource", json!({"resourceArn": arn}));
    assert_eq!(tags["tags"], json!([{"Key": "c", "Value": "d"}]));
    let private = format!("arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/app");
    assert_eq!(
        public.code("ListTagsForResource", json!({"resourceArn": private})),
        "InvalidParameterException"
    );
    public.ok("DeleteRepository", json!({"repositoryName": "team/app"}));
    assert_eq!(
        public.code("GetRepositoryCatalogData", json!({"repositoryName": "team/app"})),
        "RepositoryNotFoundException"
    );
}

#[test]
fn catalog_data_is_kept() {
    let public = Public::new();
    let made = public.ok("CreateRepository", json!({"repositoryName": "app"}));
    assert_eq!(made["catalogData"], json!({}));
    assert_eq!(
        public.ok("GetRepositoryCatalogData", json!({"repositoryName": "app"})),
        json!({"catalogData": {}})
    );
    public.ok(
        "PutRepositoryCatalogData",
        json!({"repositoryName": "app", "catalogData": {"aboutText": "# App", "operatingSystems": ["Linux"]}}),
    );
    let kept = public.ok("GetRepositoryCatalogData", json!({"repositoryName": "app"}));
    assert_eq!(kept["catalogData"]["aboutText"], "# App");
    assert_eq!(kept["catalogData"]["operatingSystems"], json!(["Linux"]));
    // AWS shows it of what its marketplace sells only.
    assert_eq!(kept["catalogData"].get("marketplaceCertified"), None);
    let logo = json!({"repositoryName": "app", "catalogData": {"logoImageBlob": "AAAA"}});
    assert_eq!(
        public.code("PutRepositoryCatalogData", logo),
        "InvalidParameterException"
    );
    public.ok("PutRegistryCatalogData", json!({"displayName": "Us"}));
    let registry = public.ok("GetRegistryCatalogData", json!({}));
    assert_eq!(registry["registryCatalogData"]["displayName"], "Us");
}

/// Errors that the model lists for these operations. `UnsupportedCommandException` (a region without public registries)
/// and `RepositoryCatalogDataNotFoundException` (a repository of which nothing was said has empty data) never come.
#[test]
fn every_operation_on_a_repository_says_when_there_is_none_and_tags_are_checked() {
    let public = Public::new();
    let digest = format!("sha256:{}", "1".repeat(64));
    let upload = "11111111-1111-4111-8111-111111111111";
    let arn = format!("arn:aws:ecr-public::{ACCOUNT}:repository/none");
    let of = |mut input: Value| {
        input["repositoryName"] = json!("none");
        input
    };
    let policy = json!({"Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": "*", "Action": "ecr-public:PutImage"}});
    for (operation, input) in [
        ("BatchCheckLayerAvailability", of(json!({"layerDigests": [digest]}))),
        ("BatchDeleteImage", of(json!({"imageIds": [{"imageTag": "v1"}]}))),
        (
            "CompleteLayerUpload",
            of(json!({"uploadId": upload, "layerDigests": [digest]})),
        ),
        ("DeleteRepository", of(json!({}))),
        ("DeleteRepositoryPolicy", of(json!({}))),
        ("DescribeImageTags", of(json!({}))),
        ("DescribeImages", of(json!({}))),
        ("DescribeRepositories", json!({"repositoryNames": ["none"]})),
        ("GetRepositoryCatalogData", of(json!({}))),
        ("GetRepositoryPolicy", of(json!({}))),
        ("InitiateLayerUpload", of(json!({}))),
        ("ListTagsForResource", json!({"resourceArn": arn})),
        ("PutRepositoryCatalogData", of(json!({"catalogData": {}}))),
        ("SetRepositoryPolicy", of(json!({"policyText": policy.to_string()}))),
        (
            "TagResource",
            json!({"resourceArn": arn, "tags": [{"Key": "k", "Value": "v"}]}),
        ),
        ("UntagResource", json!({"resourceArn": arn, "tagKeys": ["k"]})),
        (
            "UploadLayerPart",
            of(json!({"uploadId": upload, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": "eA=="})),
        ),
    ] {
        assert_eq!(
            public.code(operation, input),
            "RepositoryNotFoundException",
            "{operation}"
        );
    }
    let many: Vec<Value> = (0..51).map(|n| json!({"Key": format!("k{n}"), "Value": ""})).collect();
    let twice = [json!({"Key": "k", "Value": ""}), json!({"Key": "k", "Value": "v"})];
    public.ok("CreateRepository", json!({"repositoryName": "app"}));
    let arn = format!("arn:aws:ecr-public::{ACCOUNT}:repository/app");
    for (tags, code) in [
        (&many[..], "TooManyTagsException"),
        (&twice, "InvalidTagParameterException"),
    ] {
        let create = json!({"repositoryName": "tagged", "tags": tags});
        assert_eq!(public.code("CreateRepository", create), code);
        let tag = json!({"resourceArn": arn, "tags": tags});
        assert_eq!(public.code("TagResource", tag), code);
    }
    let tagged = json!({"repositoryNames": ["tagged"]});
    assert_eq!(
        public.code("DescribeRepositories", tagged),
        "RepositoryNotFoundException"
    );
    let again = json!({"repositoryName": "app"});
    assert_eq!(
        public.code("CreateRepository", again),
        "RepositoryAlreadyExistsException"
    );
}

#[test]
fn images_come_by_the_layer_api_and_lie_apart_from_private_ones() {
    let public = Public::new();
    public.ok("CreateRepository", json!({"repositoryName": "app"}));
    let digest = public.image("app", "v1");
    let described = public.ok("DescribeImages", json!({"repositoryName": "app"}));
    assert_eq!(described["imageDetails"][0]["imageDigest"], digest);
    let alias = honmaru_ecr_public::alias_of(&ACCOUNT.parse().unwrap());
    let by_alias = public.ok(
        "BatchCheckLayerAvailability",
        json!({"registryId": alias, "repositoryName": "app", "layerDigests": [format!("sha256:{}", "1".repeat(64))]}),
    );
    assert_eq!(by_alias["layers"][0]["layerAvailability"], "AVAILABLE");
    let nobody = json!({"registryId": "zz", "repositoryName": "app"});
    assert_eq!(public.code("InitiateLayerUpload", nobody), "RegistryNotFoundException");
    let tags = public.ok("DescribeImageTags", json!({"repositoryName": "app"}));
    let tag = &tags["imageTagDetails"][0];
    assert_eq!(
        (&tag["imageTag"], tag["createdAt"].as_f64()),
        (&json!("v1"), Some(1_800_000_000.0))
    );
    assert_eq!(tag["imageDetail"]["imageDigest"], digest);
    let private = public.call.scope.clone();
    let state = public.memory.state.lock().unwrap();
    assert!(state.get::<honmaru_ecr::Repository>(&private, "app").is_none());
    assert!(
        honmaru_ecr::are_live(&state, [digest.as_str()])[0],
        "the collector spares it"
    );
    drop(state);
    let full = public.code("DeleteRepository", json!({"repositoryName": "app"}));
    assert_eq!(full, "RepositoryNotEmptyException");
    let deleted = public.ok(
        "BatchDeleteImage",
        json!({"repositoryName": "app", "imageIds": [{"imageTag": "v1"}]}),
    );
    assert_eq!(deleted["imageIds"][0]["imageDigest"], digest);
}

#[test]
fn everybody_may_read_and_writing_needs_a_permission() {
    let public = Public::new();
    public.ok("CreateRepository", json!({"repositoryName": "app"}));
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*",
        "Action": "ecr-public:PutImage"}]})
    .to_string();
    public.ok(
        "SetRepositoryPolicy",
        json!({"repositoryName": "app", "policyText": policy}),
    );
    let state = public.memory.state.lock().unwrap();
    let scope = public.call.scope.global();
    let needs = |action| honmaru_ecr_public::registry_access(&state, &scope, action, "app");
    for action in [
        RegistryAction::BlobRead,
        RegistryAction::BlobCheck,
        RegistryAction::ManifestRead,
        RegistryAction::TagList,
        RegistryAction::ReferrerList,
    ] {
        assert_eq!(needs(action), Vec::new(), "{action:?}");
    }
    for (action, name) in [
        (RegistryAction::UploadBegin, "InitiateLayerUpload"),
        (RegistryAction::UploadPart, "UploadLayerPart"),
        (RegistryAction::UploadComplete, "CompleteLayerUpload"),
        (RegistryAction::ManifestWrite, "PutImage"),
        (RegistryAction::ManifestDelete, "BatchDeleteImage"),
        (RegistryAction::BlobDelete, "BatchDeleteImage"),
    ] {
        let [access] = needs(action).try_into().unwrap();
        assert_eq!(access.action, format!("ecr-public:{name}"));
        assert_eq!(
            access.resources,
            [format!("arn:aws:ecr-public::{ACCOUNT}:repository/app")]
        );
        assert_eq!(access.resource_policy.as_deref(), Some(policy.as_str()));
    }
}

#[test]
fn a_token_needs_two_permissions() {
    let public = Public::new();
    let operation = public.operations.iter().find(|o| o.name == "GetAuthorizationToken");
    let access = (operation.unwrap().access)(&public.memory.state.lock().unwrap(), &public.call, &json!({}));
    let actions: Vec<&str> = access.iter().map(|access| access.action.as_str()).collect();
    assert_eq!(
        actions,
        ["ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"]
    );
    let data = public.ok("GetAuthorizationToken", json!({}));
    assert!(data["authorizationData"]["authorizationToken"].is_string(), "{data}");
}

#[test]
fn tags_that_a_request_brings_or_takes_are_condition_keys() {
    let public = Public::new();
    public.ok("CreateRepository", json!({"repositoryName": "app"}));
    let keys = |name: &str, input: Value| {
        let operation = public
            .operations
            .iter()
            .find(|operation| operation.name == name)
            .unwrap();
        let accesses = (operation.access)(&public.memory.state.lock().unwrap(), &public.call, &input);
        let context = accesses.into_iter().flat_map(|access| access.context);
        context.collect::<Vec<_>>()
    };
    let arn = format!("arn:aws:ecr-public::{ACCOUNT}:repository/app");
    let tags = json!([{"Key": "team", "Value": "web"}]);
    let brought = vec![
        ("aws:RequestTag/team".to_owned(), vec!["web".to_owned()]),
        ("aws:TagKeys".to_owned(), vec!["team".to_owned()]),
    ];
    assert_eq!(keys("TagResource", json!({"resourceArn": arn, "tags": tags})), brought);
    assert_eq!(
        keys("CreateRepository", json!({"repositoryName": "new", "tags": tags})),
        brought
    );
    assert_eq!(
        keys("UntagResource", json!({"resourceArn": arn, "tagKeys": ["team"]})),
        brought[1..]
    );
}

#[test]
fn repositories_that_are_named_come_in_one_page() {
    let public = Public::new();
    public.ok("CreateRepository", json!({"repositoryName": "app"}));
    let named = json!({"repositoryNames": ["app"], "maxResults": 1});
    assert_eq!(
        public.call("DescribeRepositories", named).unwrap_err().code,
        "InvalidParameterException"
    );
}
