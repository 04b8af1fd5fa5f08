//! The ECR API as a client sees it: operations by name, over a state in memory and blobs in a map.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use honmaru_base::{ApiError, Scope, SeededRng, Time};
use honmaru_ecr::{Appended, Change, Completed, Kept, Layers, Look, Parts, Secret};
use honmaru_machine::{BoxFuture, Call, Handler, Operation, Principal, PrincipalKind, State, Tx};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

const DAY_MS: i64 = 24 * 3_600 * 1_000;

struct Shared {
    turns: AtomicU64,
    state: Mutex<State>,
    now: Mutex<Time>,
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    uploads: Mutex<BTreeMap<String, (String, Vec<u8>)>>,
    parts: Mutex<BTreeMap<String, Parts>>,
    /// Every digest that was ever kept from a collection.
    kept: Mutex<Vec<String>>,
}

#[derive(Clone)]
struct Memory(Arc<Shared>);

impl Memory {
    fn write<T>(&self, change: impl FnOnce(&mut Tx<'_>) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let turn = self.0.turns.fetch_add(1, Ordering::Relaxed);
        let (mut state, mut rng) = (self.0.state.lock().unwrap(), SeededRng::from_u64(turn));
        let mut tx = Tx::new(&mut state, *self.0.now.lock().unwrap(), &mut rng);
        let answer = change(&mut tx);
        match answer {
            Ok(_) => drop(tx.commit()),
            Err(_) => tx.roll_back(),
        }
        answer
    }
}

fn done<T: Send + 'static>(value: T) -> BoxFuture<T> {
    let future: Ready<T> = ready(value);
    Box::pin(future)
}

fn sha(bytes: &[u8]) -> String {
    format!(
        "sha256:{}",
        Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    )
}

impl Layers for Memory {
    fn read(&self, look: Look) -> BoxFuture<Result<Value, ApiError>> {
        done(look(&self.0.state.lock().unwrap()))
    }
    fn write(&self, change: Change) -> BoxFuture<Result<Value, ApiError>> {
        done(Memory::write(self, change))
    }
    fn put_blob(&self, bytes: Vec<u8>) -> BoxFuture<Result<(), ApiError>> {
        self.0.blobs.lock().unwrap().insert(sha(&bytes), bytes);
        done(Ok(()))
    }
    fn get_blob(&self, digest: String, _bytes_max: u64) -> BoxFuture<Result<Option<Vec<u8>>, ApiError>> {
        done(Ok(self.0.blobs.lock().unwrap().get(&digest).cloned()))
    }
    fn blob_sizes(&self, digests: Vec<String>) -> BoxFuture<Result<Vec<Option<u64>>, ApiError>> {
        let blobs = self.0.blobs.lock().unwrap();
        let sizes = digests
            .iter()
            .map(|digest| blobs.get(digest).map(|blob| blob.len() as u64));
        done(Ok(sizes.collect()))
    }
    fn keep(&self, digests: Vec<String>) -> BoxFuture<Kept> {
        self.0.kept.lock().unwrap().extend(digests);
        let kept: Kept = Box::new(());
        done(kept)
    }
    fn parts(&self, _owner: String, id: String) -> BoxFuture<Parts> {
        done(self.0.parts.lock().unwrap().get(&id).copied().unwrap_or_default())
    }
    fn begin_upload(&self, owner: String) -> BoxFuture<Result<String, ApiError>> {
        let mut uploads = self.0.uploads.lock().unwrap();
        let id = format!("upload-{}", uploads.len());
        uploads.insert(id.clone(), (owner, Vec::new()));
        done(Ok(id))
    }
    fn append_upload(
        &self,
        owner: String,
        id: String,
        first: u64,
        bytes: Vec<u8>,
    ) -> BoxFuture<Result<Appended, ApiError>> {
        let mut uploads = self.0.uploads.lock().unwrap();
        done(Ok(match uploads.get_mut(&id) {
            Some((of, _)) if *of != owner => Appended::Unknown,
            None => Appended::Unknown,
            Some((_, all)) if all.len() as u64 != first => Appended::OutOfOrder(all.len() as u64),
            Some((_, all)) => {
                let mut parts = self.0.parts.lock().unwrap();
                let so_far = parts.entry(id).or_default();
                *so_far = so_far.and(bytes.len() as u64);
                all.extend(bytes);
                Appended::At(all.len() as u64)
            }
        }))
    }
    fn secret(&self, arn: String) -> BoxFuture<Result<Secret, ApiError>> {
        done(Ok(if arn.contains("ecr-pullthroughcache/hub") {
            Secret::Good
        } else {
            Secret::Missing
        }))
    }
    fn try_upstream(&self, registry: String, secret: Option<String>) -> BoxFuture<Result<Option<String>, ApiError>> {
        let closed = registry == "closed.example" && secret.is_none();
        done(Ok(closed.then(|| "it does not let us in".to_owned())))
    }
    fn complete_upload(&self, _owner: String, id: String, digest: String) -> BoxFuture<Result<Completed, ApiError>> {
        let upload = self.0.uploads.lock().unwrap().remove(&id);
        self.0.parts.lock().unwrap().remove(&id);
        done(Ok(match upload {
            None => Completed::Unknown,
            Some((_, bytes)) if bytes.is_empty() => Completed::Empty,
            Some((_, bytes)) if sha(&bytes) != digest => Completed::Mismatch,
            Some((_, bytes)) => {
                let length = bytes.len() as u64;
                self.0.blobs.lock().unwrap().insert(digest, bytes);
                Completed::Done(length)
            }
        }))
    }
}

struct Ecr {
    memory: Memory,
    operations: Vec<Operation>,
    call: Call,
}

impl Ecr {
    fn new() -> Self {
        let mut state = State::new();
        honmaru_ecr::register(&mut state);
        let memory = Memory(Arc::new(Shared {
            turns: AtomicU64::new(7),
            state: Mutex::new(state),
            now: Mutex::new(Time::from_ms(1_800_000_000_000)),
            blobs: Mutex::default(),
            uploads: Mutex::default(),
            parts: Mutex::default(),
            kept: Mutex::default(),
        }));
        let layers: Arc<dyn Layers> = Arc::new(memory.clone());
        let call = Call {
            scope: Scope::new("000000000000", "us-east-1").unwrap(),
            principal: Principal {
                account: "000000000000".parse().unwrap(),
                arn: "arn:aws:iam::000000000000:root".to_owned(),
                user_id: "000000000000".to_owned(),
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
            host: "localhost:4566".to_owned(),
            secure: false,
        };
        Self {
            memory,
            operations: honmaru_ecr::operations(&layers),
            call,
        }
    }

    fn call(&self, name: &str, input: Value) -> Result<Value, ApiError> {
        let operation = self.operations.iter().find(|operation| operation.name == name).unwrap();
        let access = (operation.access)(&self.memory.0.state.lock().unwrap(), &self.call, &input);
        assert!(
            access.iter().all(|access| access.action == format!("ecr:{name}")),
            "{access:?}"
        );
        match &operation.handler {
            Handler::Read(handler) => handler(&self.memory.0.state.lock().unwrap(), &self.call, input),
            Handler::Write(handler) => self.memory.write(|tx| handler(tx, &self.call, input)),
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

    fn error(&self, name: &str, input: Value) -> (String, String) {
        let error = self.call(name, input).expect_err(name);
        (error.code, error.message)
    }

    fn repository(&self, name: &str) {
        self.ok("CreateRepository", json!({"repositoryName": name}));
    }

    /// Uploads a layer through the API and returns its digest.
    fn layer(&self, repository: &str, content: &[u8]) -> String {
        use base64::Engine;
        let upload = self.ok("InitiateLayerUpload", json!({"repositoryName": repository}));
        let id = upload["uploadId"].clone();
        let blob = base64::engine::general_purpose::STANDARD.encode(content);
        self.ok(
            "UploadLayerPart",
            json!({"repositoryName": repository, "uploadId": id, "partFirstByte": 0,
                   "partLastByte": content.len() - 1, "layerPartBlob": blob}),
        );
        let digest = sha(content);
        self.ok(
            "CompleteLayerUpload",
            json!({"repositoryName": repository, "uploadId": id, "layerDigests": [digest]}),
        );
        digest
    }

    /// Puts an image of one configuration and returns its digest.
    fn image(&self, repository: &str, content: &str, tag: Option<&str>) -> String {
        let known = self.ok(
            "BatchCheckLayerAvailability",
            json!({"repositoryName": repository, "layerDigests": [sha(content.as_bytes())]}),
        );
        if known["layers"][0]["layerAvailability"] == "UNAVAILABLE" {
            self.layer(repository, content.as_bytes());
        }
        let manifest = manifest(content);
        let mut input = json!({"repositoryName": repository, "imageManifest": manifest});
        if let Some(tag) = tag {
            input["imageTag"] = json!(tag);
        }
        let put = self.ok("PutImage", input);
        put["image"]["imageId"]["imageDigest"].as_str().unwrap().to_owned()
    }

    fn advance(&mut self, ms: i64) {
        let mut now = self.memory.0.now.lock().unwrap();
        *now = now.plus_ms(ms);
        self.call.now = *now;
    }

    /// Runs every controller until nothing changes.
    fn settle(&self) {
        for _ in 0..10 {
            let mut changed = false;
            for mut reconciler in honmaru_ecr::reconcilers() {
                let step = self.memory.write(|tx| {
                    reconciler.reconcile(tx);
                    changed |= tx.is_changed();
                    Ok(())
                });
                step.unwrap();
            }
            if !changed {
                return;
            }
        }
        panic!("the controllers do not come to rest");
    }

    fn tags(&self, repository: &str) -> Vec<String> {
        let ids = self.ok("ListImages", json!({"repositoryName": repository}));
        let ids = ids["imageIds"].as_array().unwrap().clone();
        let mut tags: Vec<String> = ids
            .iter()
            .filter_map(|id| id["imageTag"].as_str().map(str::to_owned))
            .collect();
        tags.sort();
        tags
    }
}

fn manifest(content: &str) -> String {
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha(content.as_bytes()),
                   "size": content.len()}, "layers": []})
    .to_string()
}

#[test]
fn a_repository_is_made_described_and_deleted() {
    let ecr = Ecr::new();
    let made = ecr.ok("CreateRepository", json!({"repositoryName": "team/app"}));
    let made = &made["repository"];
    assert_eq!(
        made["repositoryArn"],
        "arn:aws:ecr:us-east-1:000000000000:repository/team/app"
    );
    assert_eq!(
        made["repositoryUri"],
        "000000000000.dkr.ecr.us-east-1.localhost:4566/team/app"
    );
    assert_eq!(made["imageTagMutability"], "MUTABLE");
    assert_eq!(made["encryptionConfiguration"]["encryptionType"], "AES256");
    let again = ecr.error("CreateRepository", json!({"repositoryName": "team/app"}));
    assert_eq!(again.0, "RepositoryAlreadyExistsException");
    assert_eq!(
        again.1,
        "The repository with name 'team/app' already exists in the registry with id '000000000000'"
    );
    ecr.image("team/app", "one", Some("v1"));
    let full = ecr.error("DeleteRepository", json!({"repositoryName": "team/app"}));
    assert_eq!(full.0, "RepositoryNotEmptyException");
    ecr.ok("DeleteRepository", json!({"repositoryName": "team/app", "force": true}));
    let gone = ecr.error("DescribeRepositories", json!({"repositoryNames": ["team/app"]}));
    assert_eq!(gone.0, "RepositoryNotFoundException");
    assert_eq!(
        gone.1,
        "The repository with name 'team/app' does not exist in the registry with id '000000000000'"
    );
    assert!(!honmaru_ecr::are_live(&ecr.memory.0.state.lock().unwrap(), [sha(b"one").as_str()])[0]);
}

#[test]
fn repositories_come_in_pages() {
    let ecr = Ecr::new();
    for name in ["aa", "bb", "cc"] {
        ecr.repository(name);
    }
    let first = ecr.ok("DescribeRepositories", json!({"maxResults": 2}));
    assert_eq!(first["repositories"].as_array().unwrap().len(), 2);
    let rest = ecr.ok("DescribeRepositories", json!({"nextToken": first["nextToken"]}));
    assert_eq!(rest["repositories"][0]["repositoryName"], "cc");
    assert_eq!(rest.get("nextToken"), None);
    let bad = ecr.error("DescribeRepositories", json!({"nextToken": "%"}));
    assert_eq!(bad.0, "InvalidParameterException");
}

#[test]
fn keys_of_kms_are_refused_clearly() {
    let ecr = Ecr::new();
    let input = json!({"repositoryName": "app", "encryptionConfiguration": {"encryptionType": "KMS"}});
    assert_eq!(ecr.error("CreateRepository", input).0, "KmsException");
}

#[test]
fn an_image_is_put_got_and_deleted() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let missing = json!({"repositoryName": "app", "imageManifest": manifest("x"), "imageTag": "v1"});
    let error = ecr.error("PutImage", missing);
    assert_eq!(error.0, "LayersNotFoundException");
    assert!(error.1.contains(&sha(b"x")));
    let digest = ecr.image("app", "x", Some("v1"));
    assert_eq!(digest, sha(manifest("x").as_bytes()));
    let same = json!({"repositoryName": "app", "imageManifest": manifest("x"), "imageTag": "v1"});
    assert_eq!(ecr.error("PutImage", same).0, "ImageAlreadyExistsException");
    ecr.ok(
        "PutImage",
        json!({"repositoryName": "app", "imageManifest": manifest("x"), "imageTag": "v2"}),
    );
    let ids = json!([{"imageTag": "v1"}, {"imageTag": "nope"}, {}, {"imageDigest": "bad"}]);
    let got = ecr.ok("BatchGetImage", json!({"repositoryName": "app", "imageIds": ids}));
    assert_eq!(got["images"][0]["imageManifest"], manifest("x"));
    let codes: Vec<&str> = got["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["failureCode"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["ImageNotFound", "MissingDigestAndTag", "InvalidImageDigest"]);
    let described = ecr.ok("DescribeImages", json!({"repositoryName": "app"}));
    let described = &described["imageDetails"][0];
    assert_eq!(described["imageTags"], json!(["v1", "v2"]));
    assert_eq!(described["imageSizeInBytes"], 1);
    assert!(described["lastRecordedPullTime"].is_number());
    // By tag only the tag goes; with the last tag goes the image.
    ecr.ok(
        "BatchDeleteImage",
        json!({"repositoryName": "app", "imageIds": [{"imageTag": "v1"}]}),
    );
    assert_eq!(ecr.tags("app"), ["v2"]);
    ecr.ok(
        "BatchDeleteImage",
        json!({"repositoryName": "app", "imageIds": [{"imageTag": "v2"}]}),
    );
    let error = ecr.error(
        "DescribeImages",
        json!({"repositoryName": "app", "imageIds": [{"imageTag": "v2"}]}),
    );
    assert_eq!(error.0, "ImageNotFoundException");
    assert_eq!(
        error.1,
        "The image with imageId {imageDigest:'null', imageTag:'v2'} does not exist within the repository with name \
         'app' in the registry with id '000000000000'"
    );
}

#[test]
fn immutable_tags_stay_but_for_exclusions() {
    let ecr = Ecr::new();
    let filters = json!([{"filterType": "WILDCARD", "filter": "dev-*"}]);
    let input = json!({"repositoryName": "app", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
                       "imageTagMutabilityExclusionFilters": filters});
    ecr.ok("CreateRepository", input);
    ecr.image("app", "one", Some("v1"));
    ecr.image("app", "one", Some("dev-1"));
    ecr.layer("app", b"two");
    let moved = json!({"repositoryName": "app", "imageManifest": manifest("two"), "imageTag": "v1"});
    let error = ecr.error("PutImage", moved);
    assert_eq!(error.0, "ImageTagAlreadyExistsException");
    ecr.ok(
        "PutImage",
        json!({"repositoryName": "app", "imageManifest": manifest("two"), "imageTag": "dev-1"}),
    );
    let input = json!({"repositoryName": "app", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"});
    assert_eq!(ecr.error("PutImageTagMutability", input).0, "InvalidParameterException");
    ecr.ok(
        "PutImageTagMutability",
        json!({"repositoryName": "app", "imageTagMutability": "MUTABLE"}),
    );
    ecr.ok(
        "PutImage",
        json!({"repositoryName": "app", "imageManifest": manifest("two"), "imageTag": "v1"}),
    );
}

#[test]
fn an_index_needs_its_images_and_keeps_them() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let (amd, arm) = (ecr.image("app", "amd", None), sha(manifest("arm").as_bytes()));
    let entry = |digest: &str, arch: &str| {
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1,
               "platform": {"architecture": arch, "os": "linux"}})
    };
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                       "manifests": [entry(&amd, "amd64"), entry(&arm, "arm64")]})
    .to_string();
    let put = json!({"repositoryName": "app", "imageManifest": index, "imageTag": "all"});
    assert_eq!(
        ecr.error("PutImage", put.clone()).0,
        "ReferencedImagesNotFoundException"
    );
    ecr.image("app", "arm", None);
    ecr.ok("PutImage", put);
    let ids = json!([{"imageDigest": amd}]);
    let deleted = ecr.ok("BatchDeleteImage", json!({"repositoryName": "app", "imageIds": ids}));
    assert_eq!(deleted["failures"][0]["failureCode"], "ImageReferencedByManifestList");
    let state = ecr.memory.0.state.lock().unwrap();
    let tag = honmaru_ecr::Reference::Tag("all".to_owned());
    let of =
        |arch: &str| honmaru_ecr::select_platform(&state, &ecr.call.scope, "app", &tag, arch).map(|found| found.digest);
    assert_eq!(of("amd64"), Some(amd.clone()));
    assert_eq!(of("arm64"), Some(arm.clone()));
    assert_eq!(of("riscv64"), None);
}

#[test]
fn layers_and_their_parts_have_quotas() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let begin = || ecr.ok("InitiateLayerUpload", json!({"repositoryName": "app"}))["uploadId"].clone();
    let part = |id: &Value, first: u64, bytes: &[u8]| {
        json!({"repositoryName": "app", "uploadId": id, "partFirstByte": first,
               "partLastByte": first + bytes.len() as u64 - 1, "layerPartBlob": STANDARD.encode(bytes)})
    };
    let complete =
        |id: &Value, bytes: &[u8]| json!({"repositoryName": "app", "uploadId": id, "layerDigests": [sha(bytes)]});
    // A part is too large, a layer is, and a layer has too many parts.
    let id = begin();
    let refused = ecr
        .call("UploadLayerPart", part(&id, 0, &vec![0; 20_971_521]))
        .unwrap_err();
    assert_eq!(refused.code, "InvalidLayerPartException");
    assert_eq!(
        ecr.error("UploadLayerPart", part(&id, 52_000 * 1024 * 1024 - 1, b"ab"))
            .0,
        "LimitExceededException"
    );
    for n in 0..4_200 {
        ecr.ok("UploadLayerPart", part(&id, n, b"x"));
    }
    assert_eq!(
        ecr.error("UploadLayerPart", part(&id, 4_200, b"x")).0,
        "LimitExceededException"
    );
    // All parts but the last one have 5 MiB at least.
    assert_eq!(
        ecr.error("CompleteLayerUpload", complete(&id, &[b'x'; 4_200])).0,
        "LayerPartTooSmallException"
    );
    let (id, large) = (begin(), vec![b'y'; 5 * 1024 * 1024 + 3]);
    let (first, last) = large.split_at(5 * 1024 * 1024);
    ecr.ok("UploadLayerPart", part(&id, 0, first));
    ecr.ok("UploadLayerPart", part(&id, first.len() as u64, last));
    ecr.ok("CompleteLayerUpload", complete(&id, &large));
    let kept = ecr.memory.0.kept.lock().unwrap();
    assert_eq!(
        *kept,
        [sha(&large)],
        "a layer is kept from a collection until its row is there"
    );
    drop(kept);
    let digest = ecr.image("app", "one", Some("v1"));
    let kept = ecr.memory.0.kept.lock().unwrap();
    assert_eq!(kept.last(), Some(&digest), "so is a manifest");
}

#[test]
fn repositories_images_and_tags_have_quotas() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let digest = ecr.image("app", "one", Some("first"));
    // 1,000 tags of one image.
    let manifest = ecr.ok(
        "BatchGetImage",
        json!({"repositoryName": "app", "imageIds": [{"imageTag": "first"}]}),
    );
    let manifest = manifest["images"][0]["imageManifest"].clone();
    let tag = |tag: String| json!({"repositoryName": "app", "imageManifest": manifest, "imageTag": tag});
    for n in 1..1_000 {
        ecr.ok("PutImage", tag(format!("t{n}")));
    }
    assert_eq!(
        ecr.error("PutImage", tag("one-too-many".to_owned())).0,
        "LimitExceededException"
    );
    // 100,000 images of one repository, and as many repositories: their rows are written without the API.
    let scope = ecr.call.scope.clone();
    ecr.memory
        .write(|tx| {
            let image = tx
                .get::<honmaru_ecr::Image>(&scope, &honmaru_ecr::Image::key("app", &digest))
                .unwrap()
                .clone();
            for n in 1..100_000_u32 {
                let digest = format!("sha256:{n:064x}");
                let row = honmaru_ecr::Image {
                    digest: digest.clone(),
                    blobs: Vec::new(),
                    ..image.clone()
                };
                tx.put(&scope, &honmaru_ecr::Image::key("app", &digest), row);
                let name = format!("r{n}");
                tx.put(&scope, &name, honmaru_ecr::Repository::plain(&name, image.pushed_at));
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(
        ecr.error("CreateRepository", json!({"repositoryName": "one-too-many"}))
            .0,
        "LimitExceededException"
    );
    ecr.layer("app", b"of a new image");
    let layer = sha(b"of a new image");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": layer, "size": 14},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": 14}],
    });
    let put = json!({"repositoryName": "app", "imageManifest": manifest.to_string()});
    assert_eq!(ecr.error("PutImage", put).0, "LimitExceededException");
}

#[test]
fn layers_are_uploaded_in_parts() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let id = ecr.ok("InitiateLayerUpload", json!({"repositoryName": "app"}))["uploadId"].clone();
    let part = |first: u64, last: u64, blob: &str| {
        json!({"repositoryName": "app", "uploadId": id, "partFirstByte": first, "partLastByte": last,
               "layerPartBlob": blob})
    };
    assert_eq!(ecr.ok("UploadLayerPart", part(0, 2, "YWJj"))["lastByteReceived"], 2);
    let gap = ecr.call("UploadLayerPart", part(9, 11, "YWJj")).unwrap_err();
    assert_eq!(gap.code, "InvalidLayerPartException");
    assert_eq!(gap.fields["lastValidByteReceived"], 2);
    assert_eq!(
        ecr.error("UploadLayerPart", part(3, 9, "YWJj")).0,
        "InvalidLayerPartException"
    );
    let complete = |digest: &str| json!({"repositoryName": "app", "uploadId": id, "layerDigests": [digest]});
    assert_eq!(
        ecr.error("CompleteLayerUpload", complete(&sha(b"no"))).0,
        "InvalidLayerException"
    );
    assert_eq!(
        ecr.error("CompleteLayerUpload", complete(&sha(b"abc"))).0,
        "UploadNotFoundException"
    );
    ecr.layer("app", b"abc");
    assert_eq!(
        ecr.error("CompleteLayerUpload", complete(&sha(b"abc"))).0,
        "LayerAlreadyExistsException"
    );
    let answer = json!({"repositoryName": "app", "layerDigest": sha(b"abc")});
    let url = ecr.ok("GetDownloadUrlForLayer", answer)["downloadUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let token = url
        .split_once(&format!("?{}=", honmaru_ecr::LAYER_TOKEN_PARAMETER))
        .unwrap()
        .1;
    let state = ecr.memory.0.state.lock().unwrap();
    let opened = honmaru_ecr::check_layer_token(&state, token, ecr.call.now).unwrap();
    assert_eq!(opened, (ecr.call.scope.clone(), "app".to_owned(), sha(b"abc")));
    assert!(honmaru_ecr::check_layer_token(&state, token, ecr.call.now.plus_s(3_601)).is_err());
    assert!(honmaru_ecr::check_registry_token(&state, token, ecr.call.now).is_err());
}

#[test]
fn a_token_says_who_and_cannot_be_changed() {
    use base64::Engine;
    let ecr = Ecr::new();
    let data = ecr.ok("GetAuthorizationToken", json!({}))["authorizationData"][0].clone();
    assert_eq!(data["proxyEndpoint"], "http://localhost:4566");
    let header = format!("Basic {}", data["authorizationToken"].as_str().unwrap());
    let state = ecr.memory.0.state.lock().unwrap();
    let now = ecr.call.now;
    assert_eq!(
        honmaru_ecr::check_authorization(&state, &header, now).unwrap(),
        ecr.call.principal
    );
    let late = honmaru_ecr::check_authorization(&state, &header, now.plus_s(honmaru_ecr::TOKEN_LIFE_S));
    assert_eq!(late, Err(honmaru_ecr::TokenError::Expired));
    let encoded = base64::engine::general_purpose::STANDARD;
    let plain = String::from_utf8(encoded.decode(header.trim_start_matches("Basic ")).unwrap()).unwrap();
    let token = plain.strip_prefix("AWS:").unwrap();
    assert!(honmaru_ecr::check_authorization(&state, &format!("Bearer {token}"), now).is_ok());
    for position in [3, token.len() / 2, token.len() - 3] {
        let mut bad = token.as_bytes().to_vec();
        bad[position] = if bad[position] == b'A' { b'B' } else { b'A' };
        let bad = String::from_utf8(bad).unwrap();
        assert!(
            honmaru_ecr::check_registry_token(&state, &bad, now).is_err(),
            "{position}"
        );
    }
    for bad in [
        "",
        "Basic",
        "Basic !",
        "Digest x",
        "Bearer x.y",
        &format!("Basic {}", encoded.encode("me:x")),
    ] {
        assert!(honmaru_ecr::check_authorization(&state, bad, now).is_err(), "{bad}");
    }
}

#[test]
fn a_lifecycle_policy_is_previewed_and_carried_out() {
    let mut ecr = Ecr::new();
    ecr.repository("app");
    for (content, tag) in [("1", "v1"), ("2", "v2"), ("3", "v3")] {
        ecr.image("app", content, Some(tag));
        ecr.advance(1_000);
    }
    let text = json!({"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType":
        "imageCountMoreThan", "countNumber": 1}, "action": {"type": "expire"}}]})
    .to_string();
    let none = ecr.error("GetLifecyclePolicy", json!({"repositoryName": "app"}));
    assert_eq!(none.0, "LifecyclePolicyNotFoundException");
    let preview = json!({"repositoryName": "app", "lifecyclePolicyText": text});
    ecr.ok("StartLifecyclePolicyPreview", preview);
    let preview = ecr.ok("GetLifecyclePolicyPreview", json!({"repositoryName": "app"}));
    assert_eq!(preview["status"], "COMPLETE");
    assert_eq!(preview["summary"]["expiringImageTotalCount"], 2);
    assert_eq!(ecr.tags("app").len(), 3, "a preview deletes nothing");
    ecr.ok(
        "PutLifecyclePolicy",
        json!({"repositoryName": "app", "lifecyclePolicyText": text}),
    );
    ecr.settle();
    assert_eq!(ecr.tags("app").len(), 3, "a new policy waits for a moment");
    ecr.advance(61_000);
    ecr.settle();
    assert_eq!(ecr.tags("app"), ["v3"]);
    ecr.image("app", "4", Some("v4"));
    ecr.settle();
    assert_eq!(ecr.tags("app").len(), 2, "the next evaluation is tomorrow");
    ecr.advance(DAY_MS);
    ecr.settle();
    assert_eq!(ecr.tags("app"), ["v4"]);
    let bad = json!({"repositoryName": "app", "lifecyclePolicyText": "{\"rules\":[]}"});
    assert_eq!(ecr.error("PutLifecyclePolicy", bad).0, "InvalidParameterException");
}

#[test]
fn layers_of_abandoned_pushes_are_given_up() {
    let mut ecr = Ecr::new();
    ecr.repository("app");
    let digest = ecr.layer("app", b"lost");
    let live = |ecr: &Ecr| honmaru_ecr::are_live(&ecr.memory.0.state.lock().unwrap(), [digest.as_str()])[0];
    ecr.settle();
    assert!(live(&ecr));
    ecr.advance(DAY_MS + 1);
    ecr.settle();
    assert!(!live(&ecr));
}

#[test]
fn images_are_copied_to_other_regions() {
    let mut ecr = Ecr::new();
    ecr.repository("prod/app");
    let rule = |account: &str, region: &str| {
        json!({"replicationConfiguration": {"rules": [{"destinations": [{"region": region, "registryId": account}],
               "repositoryFilters": [{"filter": "prod/", "filterType": "PREFIX_MATCH"}]}]}})
    };
    ecr.ok("PutReplicationConfiguration", rule("111111111111", "eu-west-1"));
    let nowhere = ecr.error("PutReplicationConfiguration", rule("000000000000", "aws-global"));
    assert_eq!(nowhere.0, "InvalidParameterException");
    assert_eq!(
        ecr.error("PutReplicationConfiguration", rule("000000000000", "us-east-1"))
            .0,
        "ValidationException"
    );
    ecr.ok("PutReplicationConfiguration", rule("000000000000", "eu-west-1"));
    let digest = ecr.image("prod/app", "x", Some("v1"));
    let id = json!({"repositoryName": "prod/app", "imageId": {"imageTag": "v1"}});
    let status = ecr.ok("DescribeImageReplicationStatus", id);
    assert_eq!(status["replicationStatuses"][0]["status"], "COMPLETE");
    ecr.repository("dev/app");
    ecr.image("dev/app", "y", Some("v1"));
    ecr.call.scope = Scope::new("000000000000", "eu-west-1").unwrap();
    let there = ecr.ok(
        "DescribeImages",
        json!({"repositoryName": "prod/app", "imageIds": [{"imageTag": "v1"}]}),
    );
    assert_eq!(there["imageDetails"][0]["imageDigest"], digest);
    assert_eq!(
        ecr.error("DescribeImages", json!({"repositoryName": "dev/app"})).0,
        "RepositoryNotFoundException"
    );
}

#[test]
fn templates_and_rules_make_repositories() {
    use honmaru_ecr::RegistryAction::{ManifestRead, TagList, UploadBegin};
    let ecr = Ecr::new();
    let admit = |action, name: &str| {
        ecr.memory
            .write(|tx| honmaru_ecr::admit(tx, &ecr.call.scope, action, name))
    };
    assert_eq!(
        admit(UploadBegin, "auto/app").unwrap_err().code,
        "RepositoryNotFoundException"
    );
    ecr.ok(
        "CreateRepositoryCreationTemplate",
        json!({"prefix": "auto", "appliedFor": ["CREATE_ON_PUSH"], "imageTagMutability": "IMMUTABLE"}),
    );
    admit(UploadBegin, "auto/app").unwrap();
    let made = ecr.ok("DescribeRepositories", json!({"repositoryNames": ["auto/app"]}));
    assert_eq!(made["repositories"][0]["imageTagMutability"], "IMMUTABLE");
    assert!(admit(UploadBegin, "other/app").is_err());
    let rule = json!({"ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": "registry-1.docker.io"});
    assert_eq!(
        ecr.ok("CreatePullThroughCacheRule", rule.clone())["upstreamRegistry"],
        "docker-hub"
    );
    assert_eq!(
        ecr.error("CreatePullThroughCacheRule", rule).0,
        "PullThroughCacheRuleAlreadyExistsException"
    );
    assert!(admit(TagList, "hub/library/nginx").is_err());
    admit(ManifestRead, "hub/library/nginx").unwrap();
    let state = ecr.memory.0.state.lock().unwrap();
    let upstream = honmaru_ecr::upstream_of(&state, &ecr.call.scope, "hub/library/nginx").unwrap();
    assert_eq!(upstream.repository, "registry-1.docker.io/library/nginx");
}

#[test]
fn policies_are_kept_and_judged() {
    let ecr = Ecr::new();
    ecr.repository("app");
    assert_eq!(
        ecr.error("GetRepositoryPolicy", json!({"repositoryName": "app"})).0,
        "RepositoryPolicyNotFoundException"
    );
    let bad = json!({"repositoryName": "app", "policyText": "{}"});
    assert_eq!(ecr.error("SetRepositoryPolicy", bad).0, "InvalidParameterException");
    let text = json!({"Version": "2012-10-17", "Statement": [{"Sid": "pull", "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111111111111:root"}, "Action": ["ecr:BatchGetImage"]}]})
    .to_string();
    ecr.ok(
        "SetRepositoryPolicy",
        json!({"repositoryName": "app", "policyText": text}),
    );
    assert_eq!(
        ecr.ok("GetRepositoryPolicy", json!({"repositoryName": "app"}))["policyText"],
        text
    );
    let state = ecr.memory.0.state.lock().unwrap();
    let action = honmaru_ecr::RegistryAction::ManifestRead;
    let access = honmaru_ecr::registry_access(&state, &ecr.call.scope, action, Some("app"));
    assert_eq!(access[0].action, "ecr:BatchGetImage");
    assert_eq!(access[0].resource_policy.as_deref(), Some(text.as_str()));
    drop(state);
    assert_eq!(
        ecr.error("GetRegistryPolicy", json!({})).0,
        "RegistryPolicyNotFoundException"
    );
}

#[test]
fn settings_tags_and_scans_answer() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let arn = "arn:aws:ecr:us-east-1:000000000000:repository/app";
    ecr.ok(
        "TagResource",
        json!({"resourceArn": arn, "tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]}),
    );
    ecr.ok("UntagResource", json!({"resourceArn": arn, "tagKeys": ["a"]}));
    assert_eq!(
        ecr.ok("ListTagsForResource", json!({"resourceArn": arn}))["tags"],
        json!([{"Key": "b", "Value": "2"}])
    );
    let reserved = json!({"resourceArn": arn, "tags": [{"Key": "aws:x", "Value": "1"}]});
    assert_eq!(ecr.error("TagResource", reserved).0, "InvalidTagParameterException");
    ecr.image("app", "x", Some("v1"));
    let scan = json!({"repositoryName": "app", "imageId": {"imageTag": "v1"}});
    assert_eq!(
        ecr.error("StartImageScan", scan.clone()).0,
        "UnsupportedImageTypeException"
    );
    assert_eq!(ecr.error("DescribeImageScanFindings", scan).0, "ScanNotFoundException");
    ecr.ok(
        "PutAccountSetting",
        json!({"name": "BLOB_MOUNTING", "value": "DISABLED"}),
    );
    assert_eq!(
        ecr.ok("GetAccountSetting", json!({"name": "BLOB_MOUNTING"}))["value"],
        "DISABLED"
    );
    assert_eq!(
        ecr.error("PutAccountSetting", json!({"name": "NOPE", "value": "x"})).0,
        "ValidationException"
    );
}

#[test]
fn every_listed_operation_is_implemented_and_no_other() {
    let listed: Vec<&str> = include_str!("../operations.txt")
        .lines()
        .filter(|line| !line.is_empty())
        .collect();
    let mut implemented: Vec<&str> = Ecr::new().operations.iter().map(|operation| operation.name).collect();
    implemented.sort_unstable();
    assert_eq!(implemented, listed);
}

fn secret(account: &str, name: &str) -> String {
    format!("arn:aws:secretsmanager:us-east-1:{account}:secret:ecr-pullthroughcache/{name}")
}

#[test]
fn a_pull_through_rules_secret_must_be_there_and_the_registrys_own() {
    let ecr = Ecr::new();
    let create = |prefix: &str, arn: String| json!({"ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": "closed.example", "credentialArn": arn});
    let missing = ecr.error(
        "CreatePullThroughCacheRule",
        create("one", secret("000000000000", "none")),
    );
    assert_eq!(missing.0, "SecretNotFoundException");
    let foreign = ecr.error(
        "CreatePullThroughCacheRule",
        create("one", secret("111111111111", "hub")),
    );
    assert_eq!(foreign.0, "UnableToAccessSecretException");
    let made = ecr.ok(
        "CreatePullThroughCacheRule",
        create("one", secret("000000000000", "hub")),
    );
    assert_eq!(made["credentialArn"], secret("000000000000", "hub"));
    let changed = ecr.error(
        "UpdatePullThroughCacheRule",
        json!({"ecrRepositoryPrefix": "one", "credentialArn": secret("000000000000", "none")}),
    );
    assert_eq!(changed.0, "SecretNotFoundException");
    let described = ecr.ok("DescribePullThroughCacheRules", json!({}));
    assert_eq!(
        described["pullThroughCacheRules"][0]["credentialArn"],
        secret("000000000000", "hub")
    );
}

#[test]
fn a_pull_through_rule_is_tried_against_its_upstream() {
    let ecr = Ecr::new();
    ecr.ok(
        "CreatePullThroughCacheRule",
        json!({"ecrRepositoryPrefix": "shut", "upstreamRegistryUrl": "closed.example"}),
    );
    ecr.ok(
        "CreatePullThroughCacheRule",
        json!({"ecrRepositoryPrefix": "open", "upstreamRegistryUrl": "closed.example",
               "credentialArn": secret("000000000000", "hub")}),
    );
    let shut = ecr.ok("ValidatePullThroughCacheRule", json!({"ecrRepositoryPrefix": "shut"}));
    assert_eq!(
        (&shut["isValid"], &shut["failure"]),
        (&json!(false), &json!("it does not let us in"))
    );
    let open = ecr.ok("ValidatePullThroughCacheRule", json!({"ecrRepositoryPrefix": "open"}));
    assert_eq!((&open["isValid"], open.get("failure")), (&json!(true), None));
    let none = ecr.error("ValidatePullThroughCacheRule", json!({"ecrRepositoryPrefix": "none"}));
    assert_eq!(none.0, "PullThroughCacheRuleNotFoundException");
}

#[test]
fn a_mirrors_tag_is_checked_once_a_day_and_by_one_caller() {
    let mut ecr = Ecr::new();
    ecr.repository("mirror/app");
    ecr.repository("own");
    ecr.ok(
        "CreatePullThroughCacheRule",
        json!({"ecrRepositoryPrefix": "mirror", "upstreamRegistryUrl": "quay.io"}),
    );
    ecr.image("mirror/app", "one", Some("v1"));
    ecr.image("own", "one", Some("v1"));
    let begin = |ecr: &Ecr, name: &str, tag: &str| {
        let scope = ecr.call.scope.clone();
        let begun = ecr
            .memory
            .write(|tx| Ok(honmaru_ecr::begin_check(tx, &scope, name, tag)));
        begun.unwrap()
    };
    assert!(!begin(&ecr, "mirror/app", "v1"), "it was fetched just now");
    ecr.advance(DAY_MS);
    assert!(!begin(&ecr, "own", "v1"), "no mirror");
    assert!(!begin(&ecr, "mirror/app", "v2"), "no such tag");
    assert!(begin(&ecr, "mirror/app", "v1"));
    assert!(!begin(&ecr, "mirror/app", "v1"), "somebody has the check already");
    // A check that came to nothing is tried again soon.
    ecr.advance(15 * 60 * 1_000);
    assert!(begin(&ecr, "mirror/app", "v1"));
    ecr.image("mirror/app", "two", Some("v1"));
    ecr.advance(DAY_MS - 1);
    assert!(!begin(&ecr, "mirror/app", "v1"), "it was fetched less than a day ago");
    ecr.advance(1);
    assert!(begin(&ecr, "mirror/app", "v1"));
    // Nothing stays behind when the tag goes.
    ecr.ok(
        "DeleteRepository",
        json!({"repositoryName": "mirror/app", "force": true}),
    );
    let state = ecr.memory.0.state.lock().unwrap();
    assert_eq!(state.all::<honmaru_ecr::UpstreamCheck>().count(), 0);
}

#[test]
fn no_registry_signs() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let digest = ecr.image("app", "one", Some("v1"));
    let none = ecr.error("GetSigningConfiguration", json!({}));
    assert_eq!(none.0, "SigningConfigurationNotFoundException");
    assert_eq!(
        ecr.error("DeleteSigningConfiguration", json!({})).0,
        "SigningConfigurationNotFoundException"
    );
    let status = ecr.ok(
        "DescribeImageSigningStatus",
        json!({"repositoryName": "app", "imageId": {"imageDigest": digest}}),
    );
    assert_eq!(status["signingStatuses"], json!([]));
    let missing = ecr.error(
        "DescribeImageSigningStatus",
        json!({"repositoryName": "app", "imageId": {"imageTag": "none"}}),
    );
    assert_eq!(missing.0, "ImageNotFoundException");
}

#[test]
fn a_back_fill_copies_what_was_there_before_the_rule() {
    let ecr = Ecr::new();
    for name in ["prod/app", "dev/app"] {
        ecr.repository(name);
    }
    let digest = ecr.image("prod/app", "one", Some("v1"));
    ecr.image("prod/app", "one", Some("v2"));
    ecr.image("dev/app", "one", Some("v1"));
    let to = json!({"region": "eu-west-1", "registryId": "000000000000"});
    let start = || ecr.call("StartReplicationBackfill", json!({"destination": to}));
    assert_eq!(start().unwrap_err().code, "ValidationException", "no rule names it");
    ecr.ok(
        "PutReplicationConfiguration",
        json!({"replicationConfiguration": {"rules": [{"destinations": [to],
            "repositoryFilters": [{"filter": "prod/", "filterType": "PREFIX_MATCH"}]}]}}),
    );
    let begun = start().unwrap();
    let id = begun["replicationBackfillId"].as_str().unwrap();
    assert_eq!(begun["status"], "IN_PROGRESS");
    assert_eq!(start().unwrap_err().code, "ReplicationBackfillInProgressException");
    ecr.settle();
    let results = ecr.ok(
        "DescribeReplicationBackfillResults",
        json!({"replicationBackfillId": id}),
    );
    assert_eq!(results["status"], "COMPLETE");
    assert_eq!(results["results"].as_array().unwrap().len(), 1);
    assert_eq!(results["results"][0]["imageId"]["imageDigest"], digest);
    assert_eq!(
        (
            &results["progress"]["totalReplicationCount"],
            &results["progress"]["completedReplicationCount"]
        ),
        (&json!(1), &json!(1))
    );
    let none = ecr.ok(
        "DescribeReplicationBackfillResults",
        json!({"replicationBackfillId": id, "resultStatusFilter": "FAILED"}),
    );
    assert_eq!(none["results"], json!([]));
    let there = Scope::new("000000000000", "eu-west-1").unwrap();
    let state = ecr.memory.0.state.lock().unwrap();
    assert_eq!(honmaru_ecr::tags_of(&state, &there, "prod/app", &digest), ["v1", "v2"]);
    assert!(state.get::<honmaru_ecr::Repository>(&there, "dev/app").is_none());
    drop(state);
    let over = ecr.error("StopReplicationBackfill", json!({"replicationBackfillId": id}));
    assert_eq!(over.0, "ReplicationBackfillInvalidStatusException");
    ecr.image("prod/app", "two", Some("v3"));
    let again = ecr.ok("StartReplicationBackfill", json!({"destination": to}));
    ecr.settle();
    let page = |token: Option<&Value>| {
        let mut input = json!({"replicationBackfillId": again["replicationBackfillId"], "maxResults": 1});
        if let Some(token) = token {
            input["nextToken"] = token.clone();
        }
        ecr.ok("DescribeReplicationBackfillResults", input)
    };
    let first = page(None);
    let second = page(Some(&first["nextToken"]));
    assert_ne!(first["results"][0], second["results"][0]);
    assert_eq!(second.get("nextToken"), None);
    let again = ecr.ok("StartReplicationBackfill", json!({"destination": to}));
    let stopped = ecr.ok(
        "StopReplicationBackfill",
        json!({"replicationBackfillId": again["replicationBackfillId"]}),
    );
    assert_eq!(stopped["status"], "STOPPED");
    let all = ecr.ok("ListReplicationBackfills", json!({}));
    assert_eq!(all["backfills"].as_array().unwrap().len(), 3);
    let unknown = ecr.error(
        "DescribeReplicationBackfillResults",
        json!({"replicationBackfillId": "00000000-0000-4000-8000-000000000000"}),
    );
    assert_eq!(unknown.0, "ReplicationBackfillNotFoundException");
}

#[test]
fn what_goes_to_another_cloud_waits_and_says_how_it_ended() {
    use honmaru_ecr::Undelivered;
    let mut ecr = Ecr::new();
    ecr.repository("prod/app");
    let to = json!({"region": "eu-west-1", "registryId": "111111111111"});
    let there = Scope::new("111111111111", "eu-west-1").unwrap();
    ecr.ok(
        "PutReplicationConfiguration",
        json!({"replicationConfiguration": {"rules": [{"destinations": [to]}]}}),
    );
    let scope = ecr.call.scope.clone();
    let digest = ecr.image("prod/app", "x", Some("v1"));
    let due = |ecr: &Ecr| {
        let state = ecr.memory.0.state.lock().unwrap();
        honmaru_ecr::due_parcels(&state, ecr.call.now, 4, |_, _, _| true)
    };
    let parcel = |ecr: &Ecr, key: &str| honmaru_ecr::parcel(&ecr.memory.0.state.lock().unwrap(), &scope, key);
    let status = |ecr: &Ecr| {
        let id = json!({"repositoryName": "prod/app", "imageId": {"imageDigest": digest}});
        let answer = ecr.ok("DescribeImageReplicationStatus", id);
        let status = answer["replicationStatuses"][0].clone();
        (
            status["status"].as_str().unwrap().to_owned(),
            status["failureCode"].clone(),
        )
    };
    let undelivered = |ecr: &Ecr, key: &str, version: &str, why: Undelivered<'_>| {
        let write =
            |tx: &mut honmaru_machine::Tx<'_>| Ok(honmaru_ecr::parcel_undelivered(tx, &scope, key, version, why));
        ecr.memory.write(write).unwrap()
    };
    let (jobs, _) = due(&ecr);
    let key = jobs[0].1.clone();
    let first = parcel(&ecr, &key).unwrap();
    assert_eq!((first.to, first.tags), (there.clone(), vec!["v1".to_owned()]));
    assert_eq!(status(&ecr), ("IN_PROGRESS".to_owned(), Value::Null));
    // Nobody has named a cloud: it failed, until somebody does.
    assert!(!undelivered(&ecr, &key, &first.version, Undelivered::NotMapped));
    assert_eq!(status(&ecr), ("FAILED".to_owned(), json!("DestinationNotMapped")));
    let clouds = [(there.clone(), "https://other".to_owned())];
    let name = |clouds: &[(Scope, String)]| {
        ecr.memory.write(|tx| {
            honmaru_ecr::set_other_clouds(tx, clouds);
            Ok(())
        })
    };
    name(&clouds).unwrap();
    assert_eq!(status(&ecr).0, "IN_PROGRESS");
    // The other side is away: not before its time, and whoever pushes again does not wait for that.
    let second = parcel(&ecr, &key).unwrap();
    assert!(undelivered(&ecr, &key, &second.version, Undelivered::Later));
    let (jobs, next) = due(&ecr);
    assert_eq!((jobs.len(), next), (0, Some(ecr.call.now.plus_s(2))));
    ecr.advance(2_000);
    assert_eq!(due(&ecr).0.len(), 1);
    ecr.image("prod/app", "x", Some("v2"));
    // What was sent for an older version does not end the newer one.
    let arrived = |ecr: &Ecr, version: &str| {
        let write = |tx: &mut honmaru_machine::Tx<'_>| {
            honmaru_ecr::parcel_arrived(tx, &scope, &key, version);
            Ok(())
        };
        ecr.memory.write(write).unwrap();
    };
    arrived(&ecr, &second.version);
    assert_eq!(status(&ecr).0, "IN_PROGRESS");
    let third = parcel(&ecr, &key).unwrap();
    assert_eq!(third.tags, ["v1", "v2"]);
    arrived(&ecr, &third.version);
    assert_eq!(status(&ecr), ("COMPLETE".to_owned(), Value::Null));
    // A back-fill is over when all was sent.
    let begun = ecr.ok("StartReplicationBackfill", json!({"destination": to}));
    let id = json!({"replicationBackfillId": begun["replicationBackfillId"]});
    ecr.settle();
    let results = |ecr: &Ecr| ecr.ok("DescribeReplicationBackfillResults", id.clone());
    assert_eq!(results(&ecr)["status"], "IN_PROGRESS");
    assert_eq!(results(&ecr)["progress"]["completedReplicationCount"], 0);
    let fourth = parcel(&ecr, &key).unwrap();
    assert!(!undelivered(
        &ecr,
        &key,
        &fourth.version,
        Undelivered::Refused("AccessDenied")
    ));
    ecr.settle();
    let over = results(&ecr);
    assert_eq!(
        (&over["status"], &over["results"][0]["failureCode"]),
        (&json!("COMPLETE"), &json!("AccessDenied"))
    );
    assert_eq!(over["progress"]["failedReplicationCount"], 1);
    // With the image goes what was to be sent of it.
    ecr.ok(
        "BatchDeleteImage",
        json!({"repositoryName": "prod/app", "imageIds": [{"imageDigest": digest}]}),
    );
    let state = ecr.memory.0.state.lock().unwrap();
    assert_eq!(state.all::<honmaru_ecr::ReplicationResult>().count(), 0);
}
