//! A registry on a loopback port with repositories in memory, and a small HTTP client.

#![allow(dead_code, missing_docs, reason = "each test file uses its part")]

use bytes::Bytes;
use honmaru_images::{BlobStore, Digest, Loopback, RemoteLimits, Remotes, StoreLimits};
use honmaru_registry::{
    Action, ErrorCode, Finding, HeldManifest, Holding, ManifestRef, NewManifest, Referrer, Registry, RegistryError,
    RegistryLimits, Repositories, Resolved, TagPage, Unlinked, Upstream, VerifyEvent, VerifySummary,
};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

#[derive(Default)]
pub struct Repo {
    pub blobs: BTreeSet<Digest>,
    pub sizes: BTreeMap<Digest, u64>,
    pub manifests: BTreeMap<Digest, NewManifest>,
    pub tags: BTreeMap<String, Digest>,
}

/// Repositories in memory: they come to be when something is pushed; `missing/...` never exists, `denied/...` is
/// denied.
#[derive(Clone, Default)]
pub struct Memory {
    /// Manifests that somebody got, in order.
    pub pulls: Arc<Mutex<Vec<Digest>>>,
    pub repos: Arc<Mutex<BTreeMap<String, Repo>>>,
    pub upstream: Arc<Mutex<Option<String>>>,
    /// How many checks of tags are due.
    pub checks: Arc<Mutex<u32>>,
    /// What nobody may do.
    pub denied: Arc<Mutex<Vec<Action>>>,
    /// Mirrors that came to be, a name for each time that one was asked for.
    pub made: Arc<Mutex<Vec<String>>>,
    /// Whether blobs are not mounted.
    pub no_mounts: Arc<Mutex<bool>>,
}

impl Memory {
    fn with<T>(&self, name: &str, work: impl FnOnce(&mut Repo) -> T) -> T {
        work(self.repos.lock().unwrap().entry(name.to_owned()).or_default())
    }
}

impl Repositories for Memory {
    type Caller = ();

    fn namespace(&self, (): &()) -> String {
        "test".to_owned()
    }

    async fn admit(&self, (): &(), action: Action, repository: Option<&str>) -> Result<(), RegistryError> {
        let Some(name) = repository else { return Ok(()) };
        if name.starts_with("denied/") || self.denied.lock().unwrap().contains(&action) {
            return Err(RegistryError::new(ErrorCode::Denied, "you may not"));
        }
        let pushes = matches!(action, Action::UploadBegin | Action::ManifestWrite);
        let mirrors = self.upstream.lock().unwrap().is_some();
        let exists = pushes || mirrors || self.repos.lock().unwrap().contains_key(name);
        if name.starts_with("missing/") || !exists {
            return Err(RegistryError::new(ErrorCode::NameUnknown, "no such repository"));
        }
        self.with(name, |_| ());
        Ok(())
    }

    async fn has_blobs(&self, (): &(), name: &str, digests: &[Digest]) -> Result<Vec<bool>, RegistryError> {
        Ok(self.with(name, |repo| {
            digests.iter().map(|digest| repo.blobs.contains(digest)).collect()
        }))
    }

    async fn link_blob(&self, (): &(), name: &str, digest: &Digest, size: u64) -> Result<(), RegistryError> {
        self.with(name, |repo| {
            repo.sizes.insert(digest.clone(), size);
            repo.blobs.insert(digest.clone())
        });
        Ok(())
    }

    async fn unlink_blob(&self, (): &(), name: &str, digest: &Digest) -> Result<Unlinked, RegistryError> {
        Ok(self.with(name, |repo| {
            let used = repo
                .manifests
                .values()
                .any(|new| new.manifest.blobs().any(|blob| blob.digest == *digest));
            match (used, repo.blobs.contains(digest)) {
                (true, _) => Unlinked::InUse,
                (_, false) => Unlinked::Unknown,
                _ => {
                    repo.blobs.remove(digest);
                    Unlinked::Done
                }
            }
        }))
    }

    async fn resolve(&self, (): &(), name: &str, to: &ManifestRef) -> Result<Option<Resolved>, RegistryError> {
        Ok(self.with(name, |repo| {
            let digest = match to {
                ManifestRef::Tag(tag) => repo.tags.get(tag)?.clone(),
                ManifestRef::Digest(digest) => digest.clone(),
            };
            let new = repo.manifests.get(&digest)?;
            Some(Resolved {
                digest,
                media_type: new.manifest.media_type.clone(),
            })
        }))
    }

    async fn note_pull(&self, (): &(), _: &str, digest: &Digest) -> Result<(), RegistryError> {
        self.pulls.lock().unwrap().push(digest.clone());
        Ok(())
    }

    async fn put_manifest(&self, (): &(), name: &str, new: NewManifest) -> Result<(), RegistryError> {
        self.with(name, |repo| {
            for blob in &new.shown {
                repo.sizes.insert(blob.digest.clone(), blob.size);
                repo.blobs.insert(blob.digest.clone());
            }
            for tag in &new.tags {
                repo.tags.insert(tag.clone(), new.digest.clone());
            }
            repo.manifests.insert(new.digest.clone(), new);
        });
        Ok(())
    }

    async fn delete_manifest(&self, (): &(), name: &str, to: &ManifestRef) -> Result<bool, RegistryError> {
        Ok(self.with(name, |repo| match to {
            ManifestRef::Tag(tag) => repo.tags.remove(tag).is_some(),
            ManifestRef::Digest(digest) => {
                repo.tags.retain(|_, of| of != digest);
                repo.manifests.remove(digest).is_some()
            }
        }))
    }

    async fn tags(&self, (): &(), name: &str, last: Option<&str>, n: usize) -> Result<TagPage, RegistryError> {
        Ok(self.with(name, |repo| {
            let mut after = repo
                .tags
                .keys()
                .filter(|tag| last.is_none_or(|last| tag.as_str() > last))
                .cloned();
            let tags = after.by_ref().take(n).collect();
            TagPage {
                tags,
                more: after.next().is_some(),
            }
        }))
    }

    async fn referrers(&self, (): &(), name: &str, digest: &Digest) -> Result<Vec<Referrer>, RegistryError> {
        Ok(self.with(name, |repo| {
            let of = |new: &NewManifest| Referrer::of(&new.digest, new.size, &new.manifest);
            repo.manifests
                .values()
                .filter_map(of)
                .filter(|(subject, _)| subject == digest)
                .map(|(_, r)| r)
                .collect()
        }))
    }

    async fn upstream(&self, (): &(), name: &str) -> Result<Option<Upstream>, RegistryError> {
        let host = self.upstream.lock().unwrap().clone();
        Ok(host.map(|host| Upstream {
            repository: format!("{host}/{name}"),
            credentials: None,
        }))
    }

    async fn establish(&self, (): &(), name: &str) -> Result<(), RegistryError> {
        self.made.lock().unwrap().push(name.to_owned());
        Ok(())
    }

    async fn holders(&self, (): &(), name: &str, digest: &Digest) -> Result<Vec<String>, RegistryError> {
        let repos = self.repos.lock().unwrap();
        let holds = |(other, repo): &(&String, &Repo)| *other != name && repo.blobs.contains(digest);
        Ok(repos.iter().filter(holds).map(|(other, _)| other.clone()).collect())
    }

    async fn may_mount(&self, (): &()) -> Result<bool, RegistryError> {
        Ok(!*self.no_mounts.lock().unwrap())
    }

    async fn begin_check(&self, (): &(), _name: &str, _tag: &str) -> Result<bool, RegistryError> {
        let mut checks = self.checks.lock().unwrap();
        let is_due = *checks > 0;
        *checks = checks.saturating_sub(1);
        Ok(is_due)
    }

    async fn are_live(&self, digests: &[Digest]) -> Result<Vec<bool>, RegistryError> {
        let repos = self.repos.lock().unwrap();
        let live = |digest: &Digest| {
            repos
                .values()
                .any(|repo| repo.blobs.contains(digest) || repo.manifests.contains_key(digest))
        };
        Ok(digests.iter().map(live).collect())
    }

    async fn repositories(&self) -> Result<Vec<(String, String)>, RegistryError> {
        let names = self.repos.lock().unwrap().keys().cloned().collect::<Vec<_>>();
        Ok(names.into_iter().map(|name| ("test".to_owned(), name)).collect())
    }

    async fn holding(&self, _namespace: &str, name: &str) -> Result<Option<Holding>, RegistryError> {
        let is_mirror = self.upstream.lock().unwrap().is_some();
        let repos = self.repos.lock().unwrap();
        let Some(repo) = repos.get(name) else { return Ok(None) };
        let size = |size: i64| u64::try_from(size).unwrap();
        let held = |new: &NewManifest| HeldManifest {
            digest: new.digest.clone(),
            size: new.size,
            media_type: new.manifest.media_type.clone(),
            blobs: new
                .manifest
                .blobs()
                .map(|blob| (blob.digest.clone(), size(blob.size)))
                .collect(),
            manifests: new
                .manifest
                .manifests
                .iter()
                .map(|entry| entry.digest.clone())
                .collect(),
        };
        let manifests: Vec<HeldManifest> = repo.manifests.values().map(held).collect();
        let named: BTreeSet<&Digest> = manifests
            .iter()
            .flat_map(|one| &one.blobs)
            .map(|(digest, _)| digest)
            .collect();
        let waiting = repo.blobs.iter().filter(|digest| !named.contains(digest));
        let waiting = waiting.map(|digest| (digest.clone(), repo.sizes[digest])).collect();
        Ok(Some(Holding {
            tags: repo
                .tags
                .iter()
                .map(|(tag, digest)| (tag.clone(), digest.clone()))
                .collect(),
            waiting,
            is_mirror,
            manifests,
        }))
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub registry: Registry<Memory>,
    pub memory: Memory,
    pub dir: tempfile::TempDir,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(StoreLimits {
            free_bytes_min: 0,
            ..StoreLimits::default()
        })
        .await
    }

    pub async fn with(limits: StoreLimits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = honmaru_images::BlobKey::at(&dir.path().join("blobs.key"));
        let store = BlobStore::open_encrypted(&dir.path().join("images"), limits, key).unwrap();
        let memory = Memory::default();
        let registry = Registry::new(
            store,
            memory.clone(),
            RegistryLimits::default(),
            Remotes::new(RemoteLimits {
                loopback: Loopback::Open,
                ..RemoteLimits::default()
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = registry.clone();
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let registry = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let registry = registry.clone();
                        async move { Ok::<_, std::convert::Infallible>(registry.handle(request, ()).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            registry,
            memory,
            dir,
        }
    }

    pub fn upload_files(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("images/uploads"))
            .unwrap()
            .count()
    }

    /// Verifies, and gathers what is told.
    pub async fn verify(&self) -> (VerifySummary, Vec<Finding>) {
        let (tell, mut told) = tokio::sync::mpsc::channel(1_024);
        let summary = self.registry.verify(&tell).await.unwrap();
        drop(tell);
        let mut findings = Vec::new();
        while let Some(event) = told.recv().await {
            if let VerifyEvent::Finding(finding) = event {
                findings.push(finding);
            }
        }
        (summary, findings)
    }

    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
        let mut request =
            Request::builder()
                .method(method.parse::<Method>().unwrap())
                .uri(if path.starts_with("http") {
                    path.to_owned()
                } else {
                    format!("http://{}{path}", self.address)
                });
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        let response = client.request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    /// Uploads a blob by POST and PUT.
    pub async fn push_blob(&self, name: &str, content: &[u8]) -> Digest {
        let digest = Digest::sha256(content);
        let begun = self.call("POST", &format!("/v2/{name}/blobs/uploads/"), &[], b"").await;
        assert_eq!(begun.status, 202);
        let done = self
            .call(
                "PUT",
                &format!("{}?digest={digest}", begun.header("location")),
                &[],
                content,
            )
            .await;
        assert_eq!(done.status, 201, "{}", done.text());
        digest
    }

    /// Pushes an image of one layer under a tag; returns the manifest's bytes.
    pub async fn push_image(&self, name: &str, tag: &str, layer: &[u8]) -> Vec<u8> {
        self.push_blob(name, b"{}").await;
        self.push_blob(name, layer).await;
        let manifest = manifest(layer, "");
        let done = self.put_manifest(name, tag, &manifest).await;
        assert_eq!(done.status, 201, "{}", done.text());
        manifest
    }

    pub async fn put_manifest(&self, name: &str, reference: &str, manifest: &[u8]) -> Answer {
        let kind = "application/vnd.oci.image.manifest.v1+json";
        self.call(
            "PUT",
            &format!("/v2/{name}/manifests/{reference}"),
            &[("content-type", kind)],
            manifest,
        )
        .await
    }
}

/// A manifest with an empty configuration and one layer; `extra` are further members, each with a comma before it.
pub fn manifest(layer: &[u8], extra: &str) -> Vec<u8> {
    let (config, digest, size) = (Digest::sha256(b"{}"), Digest::sha256(layer), layer.len());
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{config}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{digest}","size":{size}}}]{extra}}}"#
    )
    .into_bytes()
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
            .to_str()
            .unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        body["errors"][0]["code"].as_str().unwrap().to_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}
