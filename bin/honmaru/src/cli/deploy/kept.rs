//! Images that must stay: a tag holds each of them fast against the lifecycle policy while it is needed.
//!
//! Needed is what runs, what a deployment in force would start again, and what `rollback` may go back to. A second tag
//! stays with the image for ever: ECR deletes an image with its last tag.

use super::defaults::{IMAGE_TAG, IN_USE_TAG};
use crate::cli::app::App;
use crate::cli::client::{Client, ECR, ECS, code_of};
use crate::cli::observed;
use crate::cli::progress::Progress;
use crate::cli::rollback;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Characters of a digest in a tag.
const DIGEST_CHARACTERS: usize = 16;
/// Pages of images at most.
const PAGES_MAX: usize = 100;

/// Tags what is needed, `more` task definitions among it, and takes the tag from what is not needed any more. Where the
/// app has no repository of its own there is nothing to keep.
pub async fn keep(client: &Client, app: &App, more: &[&str]) -> anyhow::Result<()> {
    let tagged = match images(client, app).await {
        Err(error) if code_of(&error) == Some("RepositoryNotFoundException") => return Ok(()),
        images => images?,
    };
    let needed = needed(client, app, more).await?;
    let mut surplus: Vec<String> = Vec::new();
    for (digest, tags) in &tagged {
        let (own, held) = (tag(IMAGE_TAG, digest), tag(IN_USE_TAG, digest));
        let (is_needed, is_held) = (needed.contains(digest), tags.contains(&held));
        let wanted = [(&own, is_needed || is_held), (&held, is_needed)];
        let missing = wanted
            .into_iter()
            .filter(|(tag, is_wanted)| *is_wanted && !tags.contains(*tag));
        let missing: Vec<&String> = missing.map(|(tag, _)| tag).collect();
        if !missing.is_empty() {
            add(client, app, digest, &missing).await?;
        }
        if is_held && !is_needed {
            surplus.push(held);
        }
    }
    // Only now: whoever may not take tags away has tagged what is needed.
    for held in surplus {
        let input = json!({ "repositoryName": app.name(), "imageIds": [{ "imageTag": held }] });
        client.call(ECR, "BatchDeleteImage", input).await?;
    }
    Ok(())
}

/// The same for a command that goes on without it: whoever deploys may lack a right that only this needs. What is in use
/// is among the newest images then.
pub async fn keep_or_warn(client: &Client, app: &App, more: &[&str], progress: &Progress) -> bool {
    let kept = keep(client, app, more).await;
    if let Err(error) = &kept {
        progress.warn(&format!(
            "the images that `{}` needs could not be tagged so that no lifecycle policy removes them: {error:#}",
            app.name()
        ));
    }
    kept.is_ok()
}

/// `sha256:0123...` as a tag.
fn tag(prefix: &str, digest: &str) -> String {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    format!("{prefix}{}", hex.get(..DIGEST_CHARACTERS).unwrap_or(hex))
}

/// The images of the repository: digests and tags.
async fn images(client: &Client, app: &App) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut found = BTreeMap::new();
    let mut input = json!({ "repositoryName": app.name(), "maxResults": 1000 });
    for _ in 0..PAGES_MAX {
        let answer = client.call(ECR, "DescribeImages", input.clone()).await?;
        for row in answer["imageDetails"].as_array().into_iter().flatten() {
            let tags = row["imageTags"].as_array().into_iter().flatten();
            let tags = tags.filter_map(Value::as_str).map(str::to_owned).collect();
            found.insert(row["imageDigest"].as_str().unwrap_or_default().to_owned(), tags);
        }
        let Some(next) = answer["nextToken"].as_str() else {
            break;
        };
        input["nextToken"] = Value::String(next.to_owned());
    }
    Ok(found)
}

async fn add(client: &Client, app: &App, digest: &str, tags: &[&String]) -> anyhow::Result<()> {
    let get = json!({ "repositoryName": app.name(), "imageIds": [{ "imageDigest": digest }] });
    let answer = client.call(ECR, "BatchGetImage", get).await?;
    let image = &answer["images"][0];
    // It may be gone since it was listed.
    let Some(manifest) = image["imageManifest"].as_str() else {
        return Ok(());
    };
    for tag in tags {
        let mut put = json!({
            "repositoryName": app.name(), "imageManifest": manifest, "imageTag": tag, "imageDigest": digest,
        });
        if let (Some(members), Value::String(_)) = (put.as_object_mut(), &image["imageManifestMediaType"]) {
            members.insert(
                "imageManifestMediaType".to_owned(),
                image["imageManifestMediaType"].clone(),
            );
        }
        match client.call(ECR, "PutImage", put).await {
            Err(error) if code_of(&error) == Some("ImageAlreadyExistsException") => {}
            answer => drop(answer?),
        }
    }
    Ok(())
}

/// The digests of the images of this app that must stay.
async fn needed(client: &Client, app: &App, more: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    let mut definitions: BTreeSet<String> = more.iter().map(|arn| (*arn).to_owned()).collect();
    if let Some(service) = observed::service(client, app).await? {
        let current = service.primary().map(|primary| primary.task_definition.clone());
        definitions.extend(rollback::targets(client, app, &current.unwrap_or_default()).await?);
        let deployments = service.deployments.into_iter();
        definitions.extend(deployments.map(|deployment| deployment.task_definition));
        for task in observed::tasks(client, app.name()).await? {
            if task.last_status != "STOPPED" {
                definitions.insert(task.task_definition);
            }
        }
    }
    let mut digests = BTreeSet::new();
    for definition in definitions {
        let describe = json!({ "taskDefinition": observed::last_part(&definition) });
        let answer = match client.call(ECS, "DescribeTaskDefinition", describe).await {
            // A definition that was deleted is nothing that can be started.
            Err(error) if code_of(&error) == Some("ClientException") => continue,
            answer => answer?,
        };
        let containers = answer["taskDefinition"]["containerDefinitions"].as_array();
        let images = containers.into_iter().flatten().map(|container| &container["image"]);
        digests.extend(images.filter_map(|image| own_digest(app, image.as_str()?)));
    }
    Ok(digests)
}

/// The digest of an image of the app's repository, at whatever address the cloud was then.
fn own_digest(app: &App, image: &str) -> Option<String> {
    let (repository, digest) = image.split_once('@')?;
    let (_, name) = repository.split_once('/')?;
    (name == app.name()).then(|| digest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_images_are_told_from_others() {
        let app: App = "shop".parse().expect("a name");
        let digest = |image: &str| own_digest(&app, image);
        let own = "000000000000.dkr.ecr.us-east-1.localhost:4566/shop@sha256:0011";
        assert_eq!(digest(own).as_deref(), Some("sha256:0011"));
        assert_eq!(
            digest("localhost:4566/shop@sha256:0011").as_deref(),
            Some("sha256:0011")
        );
        assert_eq!(digest("localhost:4566/team/shop@sha256:0011"), None);
        assert_eq!(digest("localhost:4566/shop:latest"), None);
    }

    #[test]
    fn tags_follow_from_digests() {
        let digest = "sha256:393508dd0eac29813643e2187d506143442a127bbf648eb117d8d5b684d478ff";
        assert_eq!(tag(IN_USE_TAG, digest), "in-use-393508dd0eac2981");
        assert_eq!(tag(IMAGE_TAG, "sha256:00"), "image-00");
    }
}
