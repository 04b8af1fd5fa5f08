//! Sends one image to another cloud: its repository, what it lacks of its blobs, its manifests, its tags.

use super::file::Other;
use super::wire::{Line, Trouble};
use honmaru_ecr::{Parcel, ParcelManifest};
use honmaru_images::{BlobStore, Digest, MANIFEST_BYTES_MAX};
use http::header;
use serde_json::{Value, json};

/// Pages of creation templates that are read at most.
const TEMPLATE_PAGES_MAX: usize = 20;

/// Sends what a parcel holds. What is there already is not sent again.
pub async fn push(other: &Other, store: &BlobStore, parcel: &Parcel) -> Result<(), Trouble> {
    let mut line = Line::new(other, &parcel.to);
    make_repository(&mut line, parcel).await?;
    line.log_in().await?;
    let mut push = Push { line, store, parcel };
    let Some((image, children)) = parcel.manifests.split_last() else {
        return Ok(());
    };
    for child in children {
        push.manifest(child).await?;
    }
    push.manifest(image).await?;
    for tag in &parcel.tags {
        push.tag(image, tag).await?;
    }
    Ok(())
}

/// Makes the repository where it is missing, as that cloud's templates for replication say.
/// Ref: ECR user guide, "Templates to control repositories created during ... replication".
async fn make_repository(line: &mut Line<'_>, parcel: &Parcel) -> Result<(), Trouble> {
    let (name, registry) = (&parcel.repository, parcel.to.account.as_str());
    let wanted = json!({ "registryId": registry, "repositoryNames": [name] });
    match line.call("DescribeRepositories", &wanted).await {
        Ok(_) => return Ok(()),
        Err(Trouble::Refused { code, .. }) if code == "RepositoryNotFoundException" => {}
        Err(trouble) => return Err(trouble),
    }
    let template = template(line, name).await?;
    let mut input = json!({ "registryId": registry, "repositoryName": name });
    let copied = [
        ("imageTagMutability", "imageTagMutability"),
        (
            "imageTagMutabilityExclusionFilters",
            "imageTagMutabilityExclusionFilters",
        ),
        ("resourceTags", "tags"),
    ];
    for (from, to) in copied {
        let value = &template[from];
        if !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty()) {
            input[to] = value.clone();
        }
    }
    match line.call("CreateRepository", &input).await {
        Ok(_) => {}
        Err(Trouble::Refused { code, .. }) if code == "RepositoryAlreadyExistsException" => return Ok(()),
        Err(trouble) => return Err(trouble),
    }
    let policies = [
        ("SetRepositoryPolicy", "repositoryPolicy", "policyText"),
        ("PutLifecyclePolicy", "lifecyclePolicy", "lifecyclePolicyText"),
    ];
    for (operation, from, to) in policies {
        if let Some(text) = template[from].as_str().filter(|text| !text.is_empty()) {
            let mut input = json!({ "registryId": registry, "repositoryName": name });
            input[to] = json!(text);
            line.call(operation, &input).await?;
        }
    }
    Ok(())
}

/// The template with the longest prefix that fits, or nothing.
async fn template(line: &mut Line<'_>, name: &str) -> Result<Value, Trouble> {
    let mut best = (0, Value::Null);
    let mut input = json!({});
    for _ in 0..TEMPLATE_PAGES_MAX {
        let page = line.call("DescribeRepositoryCreationTemplates", &input).await?;
        for template in page["repositoryCreationTemplates"].as_array().into_iter().flatten() {
            let for_us = template["appliedFor"]
                .as_array()
                .is_some_and(|reasons| reasons.iter().any(|reason| reason == "REPLICATION"));
            let prefix = template["prefix"].as_str().unwrap_or_default();
            // `ROOT` fits everything, but less well than any other.
            let weight = match prefix {
                "ROOT" => 1,
                prefix if name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/')) => 1 + prefix.len(),
                _ => 0,
            };
            if for_us && weight > best.0 {
                best = (weight, template.clone());
            }
        }
        match page["nextToken"].as_str() {
            Some(token) => input = json!({ "nextToken": token }),
            None => break,
        }
    }
    Ok(best.1)
}

struct Push<'a> {
    line: Line<'a>,
    store: &'a BlobStore,
    parcel: &'a Parcel,
}

impl Push<'_> {
    fn path(&self, tail: &str) -> String {
        format!("/v2/{}/{tail}", self.parcel.repository)
    }

    /// Whether the other side has something.
    async fn has(&mut self, tail: &str) -> Result<bool, Trouble> {
        let path = self.path(tail);
        let answer = self.line.ask("HEAD", &path, None).await?;
        match answer.status {
            200..300 => Ok(true),
            404 => Ok(false),
            _ => Err(answer.trouble("HEAD")),
        }
    }

    async fn manifest(&mut self, manifest: &ParcelManifest) -> Result<(), Trouble> {
        if self.has(&format!("manifests/{}", manifest.digest)).await? {
            return Ok(());
        }
        for blob in &manifest.blobs {
            if !self.has(&format!("blobs/{}", blob.digest)).await? {
                self.blob(&blob.digest).await?;
            }
        }
        let digest = manifest.digest.clone();
        self.put_manifest(manifest, &digest).await
    }

    async fn blob(&mut self, digest: &str) -> Result<(), Trouble> {
        let opened = self.store.open_blob(&parsed(digest)?);
        let opened = opened.map_err(|error| Trouble::Later(honmaru_base::chain(&error)))?;
        // A mirror fetches layers when somebody pulls them.
        let missing = || Trouble::Later(format!("the layer {digest} is not here"));
        let (blob, bytes) = opened.ok_or_else(missing)?;
        let path = self.path("blobs/uploads/");
        let begun = self.line.ask("POST", &path, None).await?;
        if begun.status != 202 {
            return Err(begun.trouble("begin an upload"));
        }
        let location = begun
            .headers
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let location: Option<http::Uri> = location.and_then(|location| location.parse().ok());
        // Wherever it claims to lead, it is asked of the cloud that the operator named.
        let target = location.as_ref().and_then(|uri| uri.path_and_query());
        let target = target.ok_or_else(|| Trouble::Later("an upload began without a location".to_owned()))?;
        let join = if target.query().is_some() { '&' } else { '?' };
        let path = format!("{target}{join}digest={digest}");
        let answer = self.line.put_blob(&path, blob.into_reader(), bytes).await?;
        match answer.status {
            200..300 => Ok(()),
            _ => Err(answer.trouble("upload a layer")),
        }
    }

    async fn put_manifest(&mut self, manifest: &ParcelManifest, reference: &str) -> Result<(), Trouble> {
        let read = self
            .store
            .read(&parsed(&manifest.digest)?, MANIFEST_BYTES_MAX as u64)
            .await;
        let read = read.map_err(|error| Trouble::Later(honmaru_base::chain(&error)))?;
        let bytes = read.ok_or_else(|| Trouble::Later(format!("the manifest {} is not here", manifest.digest)))?;
        let path = self.path(&format!("manifests/{reference}"));
        let content = Some((manifest.media_type.as_str(), bytes));
        let answer = self.line.ask("PUT", &path, content).await?;
        match answer.status {
            200..300 => Ok(()),
            _ => Err(answer.trouble("put a manifest")),
        }
    }

    async fn tag(&mut self, manifest: &ParcelManifest, tag: &str) -> Result<(), Trouble> {
        match self.put_manifest(manifest, tag).await {
            // A tag that is set and immutable over there stays; the image itself came without it.
            Err(Trouble::Refused { code, .. }) if code == "TAG_INVALID" => Ok(()),
            done => done,
        }
    }
}

fn parsed(digest: &str) -> Result<Digest, Trouble> {
    digest.parse().map_err(|_| Trouble::Refused {
        code: "InvalidDigest".to_owned(),
        said: format!("`{digest}` is no digest"),
    })
}
