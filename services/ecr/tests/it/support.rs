//! The API over a state in memory and blobs in a map.

use honmaru_base::{ApiError, Scope, SeededRng, Time};
use honmaru_ecr::{Appended, Change, Completed, Kept, Layers, Look, NewImage, NotPulled, Parts, PutImage, Secret};
use honmaru_machine::{BoxFuture, Call, Handler, Operation, Principal, PrincipalKind, State, Tx};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

pub const DAY_MS: i64 = 24 * 3_600 * 1_000;

pub struct Shared {
    pub turns: AtomicU64,
    pub state: Mutex<State>,
    pub now: Mutex<Time>,
    pub blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    pub uploads: Mutex<BTreeMap<String, (String, Vec<u8>)>>,
    pub parts: Mutex<BTreeMap<String, Parts>>,
    /// Every digest that was ever kept from a collection.
    pub kept: Mutex<Vec<String>>,
    /// What upstream registries say to a pull of `<repository> <tag or digest>`: the configuration of an image, or why not.
    pub upstream: Mutex<BTreeMap<String, Result<String, NotPulled>>>,
}

#[derive(Clone)]
pub struct Memory(pub Arc<Shared>);

impl Memory {
    pub fn write<T>(&self, change: impl FnOnce(&mut Tx<'_>) -> Result<T, ApiError>) -> Result<T, ApiError> {
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

pub fn done<T: Send + 'static>(value: T) -> BoxFuture<T> {
    let future: Ready<T> = ready(value);
    Box::pin(future)
}

pub fn sha(bytes: &[u8]) -> String {
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
    fn other_form(&self, manifest: &[u8], media_type: &str) -> Option<(String, Vec<u8>)> {
        honmaru_images::convert(manifest, media_type).map(|(media_type, bytes)| (media_type.to_owned(), bytes))
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
    fn pull(&self, call: Call, repository: String, reference: String) -> BoxFuture<Result<(), NotPulled>> {
        let answer = self
            .0
            .upstream
            .lock()
            .unwrap()
            .get(&format!("{repository} {reference}"))
            .cloned();
        let content = match answer {
            None => return done(Ok(())),
            Some(Err(error)) => return done(Err(error)),
            Some(Ok(content)) => content,
        };
        let (text, layer) = (manifest(&content), sha(content.as_bytes()));
        self.0
            .blobs
            .lock()
            .unwrap()
            .insert(sha(text.as_bytes()), text.clone().into_bytes());
        let put = PutImage {
            image: NewImage::parse(&text, None).unwrap(),
            tag: Some(reference).filter(|reference| !reference.contains(':')),
            refuse_same: false,
            sparse: false,
        };
        let fetched = Memory::write(self, |tx| {
            let action = honmaru_ecr::RegistryAction::ManifestRead;
            honmaru_ecr::admit(tx, &call.scope, action, &repository)?;
            honmaru_ecr::link_layer(tx, &call.scope, &repository, &layer, content.len() as u64)?;
            honmaru_ecr::put_image(tx, &call.scope, &repository, put)
        });
        done(fetched.map_err(NotPulled::Refused))
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

pub struct Ecr {
    pub memory: Memory,
    pub operations: Vec<Operation>,
    pub call: Call,
}

impl Ecr {
    pub fn new() -> Self {
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
            upstream: Mutex::default(),
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
            referer: String::new(),
            host: "localhost:4566".to_owned(),
            secure: false,
        };
        Self {
            memory,
            operations: honmaru_ecr::operations(&layers),
            call,
        }
    }

    pub fn call(&self, name: &str, input: Value) -> Result<Value, ApiError> {
        let operation = self.operations.iter().find(|operation| operation.name == name).unwrap();
        let access = (operation.access)(&self.memory.0.state.lock().unwrap(), &self.call, &input);
        let own = match name {
            "ListImageReferrers" => "ecr:BatchGetImage".to_owned(),
            _ => format!("ecr:{name}"),
        };
        // What makes or tags repositories, now or later, needs more.
        let more = [
            "CreateRepository",
            "BatchGetImage",
            "CreateRepositoryCreationTemplate",
            "UpdateRepositoryCreationTemplate",
        ];
        let is_known = |action: &str| more.contains(&name) || action == own;
        assert!(
            access[0].action == own && access.iter().all(|access| is_known(&access.action)),
            "{access:?}"
        );
        match &operation.handler {
            Handler::Read(handler) => handler(&self.memory.0.state.lock().unwrap(), &self.call, input),
            Handler::Write(handler) => self.memory.write(|tx| handler(tx, &self.call, input)),
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

    pub fn ok(&self, name: &str, input: Value) -> Value {
        self.call(name, input).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn error(&self, name: &str, input: Value) -> (String, String) {
        let error = self.call(name, input).expect_err(name);
        (error.code, error.message)
    }

    pub fn repository(&self, name: &str) {
        self.ok("CreateRepository", json!({"repositoryName": name}));
    }

    /// Uploads a layer through the API and returns its digest.
    pub fn layer(&self, repository: &str, content: &[u8]) -> String {
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
    pub fn image(&self, repository: &str, content: &str, tag: Option<&str>) -> String {
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

    pub fn advance(&mut self, ms: i64) {
        let mut now = self.memory.0.now.lock().unwrap();
        *now = now.plus_ms(ms);
        self.call.now = *now;
    }

    /// Runs every controller until nothing changes.
    pub fn settle(&self) {
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

    pub fn tags(&self, repository: &str) -> Vec<String> {
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

pub fn manifest(content: &str) -> String {
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha(content.as_bytes()),
                   "size": content.len()}, "layers": []})
    .to_string()
}
