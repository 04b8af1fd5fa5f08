//! The image: built from the directory, checked, pushed to the cloud's own registry.

use super::defaults::NEWEST_TAG as TAG;
use super::tags;
use crate::cli::app::App;
use crate::cli::client::{Client, ECR, code_of};
use crate::cli::failure::Failure;
use crate::cli::progress::{Progress, StepHandle};
use crate::cli::terminal;
use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use honmaru_build::{
    BuildError, BuildSettings, Builder, ImageFacts, Transport, base_images, check_dockerfile, ensure_base_images,
    find_dockerfile, step_of, unused_arguments,
};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Lines of the build that are shown again when it fails.
const LINES_KEPT: usize = 20;
/// Characters of such a line: buildah prints whole data structures.
const LINE_CHARACTERS_MAX: usize = 400;

/// Where images are made.
pub struct Workshop {
    builder: Builder,
}

/// What the check found.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The port that the app listens on.
    pub port: u16,
    user: String,
}

impl Checked {
    /// For the progress.
    pub fn sentence(&self) -> String {
        let user = if self.user.is_empty() { "root" } else { &self.user };
        format!("it says what to run, listens on port {}, runs as {user}", self.port)
    }
}

/// An image in the registry.
#[derive(Debug, Clone)]
pub struct PushedImage {
    /// `<repository>@<digest>`.
    pub image: String,
    /// The repository's ARN.
    pub repository: String,
}

impl PushedImage {
    /// For the progress.
    pub fn short(&self) -> String {
        let (repository, digest) = self.image.split_once('@').unwrap_or((&self.image, ""));
        let name = crate::cli::observed::last_part(repository);
        format!("{name}@{}", digest.get(..19).unwrap_or(digest))
    }
}

fn explained(error: BuildError) -> anyhow::Error {
    let hint = error.hint();
    Failure::new(format!("{:#}", anyhow::Error::from(error)))
        .hint(hint)
        .into()
}

impl Workshop {
    /// A workshop in the state directory, or in the user's cache where that is somebody else's.
    pub fn open(client: &Client, state: &Path) -> anyhow::Result<Self> {
        let own = state.join("build");
        // Only a cloud's own directory: `--endpoint` may name a cloud of another machine.
        let is_here = crate::dirs::Dirs::new(state).credentials().is_file();
        let storage = if is_here && std::fs::create_dir_all(&own).is_ok() {
            own
        } else {
            cache_dir(client)?
        };
        let builder = Builder::new(&storage).map_err(explained)?;
        Ok(Self { builder })
    }

    fn local_name(app: &App) -> String {
        format!("localhost/honmaru-deploy/{}:{TAG}", app.name())
    }

    /// Builds the directory.
    pub async fn build(
        &self,
        client: &Client,
        app: &App,
        dir: &Path,
        settings: &BuildSettings,
        step: &StepHandle<'_>,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let dockerfile = find_dockerfile(dir).map_err(explained)?;
        let text =
            std::fs::read_to_string(&dockerfile).with_context(|| format!("failed to read {}", dockerfile.display()))?;
        step.note("base image");
        for name in unused_arguments(&text, &settings.arguments) {
            progress.warn(&format!(
                "no `ARG {name}` in the Dockerfile takes the argument `{name}` of the build"
            ));
        }
        ensure_base_images(&self.builder, &text, settings)
            .await
            .map_err(explained)?;
        for image in base_images(&text, settings) {
            if let Some(transport) = own_transport(client, &image) {
                step.note(&image);
                let credentials = registry_credentials(client).await?;
                self.builder
                    .pull(&image, &credentials, &transport)
                    .await
                    .map_err(explained)?;
            }
        }
        let mut said: Vec<String> = Vec::new();
        let mut heard = |line: &str| {
            let line: String = terminal::printable(line.trim_end())
                .chars()
                .take(LINE_CHARACTERS_MAX)
                .collect();
            if let Some(instruction) = step_of(&line) {
                step.note(instruction);
            }
            said.push(line);
            if said.len() > LINES_KEPT {
                said.remove(0);
            }
        };
        let built = self
            .builder
            .build(dir, &dockerfile, &Self::local_name(app), settings, &mut heard)
            .await;
        if let Err(error) = built {
            if matches!(error, BuildError::Step { .. } | BuildError::Buildah { .. }) {
                for line in &said {
                    progress.say(&format!("  {line}"));
                }
            }
            return Err(explained(error));
        }
        Ok(())
    }

    /// Looks at the image and its Dockerfile before anything is started.
    pub async fn check(
        &self,
        app: &App,
        dir: &Path,
        port: Option<u16>,
        target: Option<&str>,
        progress: &Progress,
    ) -> anyhow::Result<Checked> {
        let dockerfile = find_dockerfile(dir).map_err(explained)?;
        let shown = dockerfile
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if let Ok(text) = std::fs::read_to_string(&dockerfile) {
            for finding in check_dockerfile(&text, target) {
                progress.warn(&format!("{shown}:{}: {}", finding.line, finding.text));
            }
        }
        let facts = self.builder.inspect(&Self::local_name(app)).await.map_err(explained)?;
        check_facts(&facts, port)
    }

    /// Pushes the image to a repository of the app's name.
    pub async fn push(&self, client: &Client, app: &App, step: &StepHandle<'_>) -> anyhow::Result<PushedImage> {
        step.note("repository");
        let (uri, repository) = repository(client, app).await?;
        let credentials = registry_credentials(client).await?;
        let (host, transport) = if client.endpoint.starts_with("https://") {
            // Its own name: the certificate is for that.
            let authorities = client.ca.clone();
            (client.host().to_owned(), Transport::Tls { authorities })
        } else {
            (registry_host(client.host()), Transport::Local)
        };
        let destination = format!("{host}/{}:{TAG}", app.name());
        step.note(&destination);
        let pushed = self
            .builder
            .push(&Self::local_name(app), &destination, &credentials, &transport)
            .await
            .map_err(|error| fixed_tag(app, &error).unwrap_or_else(|| explained(error)))?;
        Ok(PushedImage {
            image: format!("{uri}@{}", pushed.digest),
            repository,
        })
    }
}

/// A push that fails because somebody forbade that `latest` moves.
fn fixed_tag(app: &App, error: &BuildError) -> Option<anyhow::Error> {
    let said = format!("{error:?}");
    (said.contains(&format!("The image tag '{TAG}' already exists")) && said.contains("immutable")).then(|| {
        Failure::new(format!(
            "the repository `{}` lets no tag be moved, and the newest image has the tag `{TAG}`",
            app.name()
        ))
        .hint(format!(
            "let that one move: `aws ecr put-image-tag-mutability --repository-name {} --image-tag-mutability \
             IMMUTABLE_WITH_EXCLUSION --image-tag-mutability-exclusion-filters filterType=WILDCARD,filter={TAG}`",
            app.name()
        ))
        .into()
    })
}

/// `user:password` for the cloud's own registry.
async fn registry_credentials(client: &Client) -> anyhow::Result<String> {
    let answer = client.call(ECR, "GetAuthorizationToken", json!({})).await?;
    let token = answer["authorizationData"][0]["authorizationToken"]
        .as_str()
        .unwrap_or_default();
    let credentials = STANDARD.decode(token).context("the registry's token is malformed")?;
    String::from_utf8(credentials).context("the registry's token is malformed")
}

/// How to fetch a base image that lies in the cloud's own registry; nothing for those of others. One whose name an
/// argument of the build completes is not known yet.
fn own_transport(client: &Client, image: &str) -> Option<Transport> {
    let (host, _) = image.split_once('/')?;
    let is_own = host == client.host() || host == registry_host(client.host());
    if !is_own || image.contains('$') {
        return None;
    }
    Some(if client.endpoint.starts_with("https://") {
        let authorities = client.ca.clone();
        Transport::Tls { authorities }
    } else {
        Transport::Local
    })
}

/// The port is named, or the image exposes exactly one.
fn check_facts(facts: &ImageFacts, port: Option<u16>) -> anyhow::Result<Checked> {
    if !facts.starts_something() {
        return Err(Failure::new("the image does not say what to run")
            .hint("add `CMD [\"program\", \"argument\"]` to the Dockerfile")
            .into());
    }
    let port = match (port, facts.exposed_ports.as_slice()) {
        (Some(port), _) => port,
        (None, [only]) => *only,
        (None, []) => {
            return Err(Failure::new("no port is known: the image exposes none")
                .hint("say on which port the app listens, with `--port 8080` or with `EXPOSE 8080` in the Dockerfile")
                .into());
        }
        (None, several) => {
            let ports: Vec<String> = several.iter().map(u16::to_string).collect();
            return Err(
                Failure::new(format!("the image exposes several ports: {}", ports.join(", ")))
                    .hint(format!(
                        "choose the one that serves HTTP, for example `--port {}`",
                        several[0]
                    ))
                    .into(),
            );
        }
    };
    Ok(Checked {
        port,
        user: facts.user.clone(),
    })
}

/// The repository's URI and ARN.
async fn repository(client: &Client, app: &App) -> anyhow::Result<(String, String)> {
    let create = json!({ "repositoryName": app.name(), "tags": tags::upper(app) });
    let repository = match client.call(ECR, "CreateRepository", create).await {
        Ok(answer) => answer["repository"].clone(),
        Err(error) if code_of(&error) == Some("RepositoryAlreadyExistsException") => {
            let answer = client
                .call(ECR, "DescribeRepositories", json!({ "repositoryNames": [app.name()] }))
                .await?;
            answer["repositories"][0].clone()
        }
        Err(error) => return Err(error),
    };
    let member = |name: &str| {
        let value = repository[name].as_str().map(str::to_owned);
        value.with_context(|| format!("the registry does not say `{name}`"))
    };
    Ok((member("repositoryUri")?, member("repositoryArn")?))
}

/// `localhost` where the endpoint is this machine: tools speak plain HTTP to that name without being told.
fn registry_host(endpoint_host: &str) -> String {
    match endpoint_host.rsplit_once(':') {
        Some(("127.0.0.1" | "0.0.0.0" | "localhost", port)) => format!("localhost:{port}"),
        _ => endpoint_host.to_owned(),
    }
}

/// A directory for this endpoint's images in the user's cache. Ref: XDG Base Directory Specification.
fn cache_dir(client: &Client) -> anyhow::Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let base = base.context("there is no place for the build: neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(base
        .join("honmaru")
        .join("build")
        .join(client.host().replace([':', '/'], "_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(exposed_ports: &[u16]) -> ImageFacts {
        ImageFacts {
            cmd: vec!["/app".to_owned()],
            exposed_ports: exposed_ports.to_vec(),
            ..ImageFacts::default()
        }
    }

    #[test]
    fn a_port_is_named_or_exposed() {
        let port = |exposed: &[u16], named| check_facts(&facts(exposed), named).map(|checked| checked.port);
        assert_eq!(port(&[8080], None).expect("the one"), 8080);
        assert_eq!(port(&[8080, 9090], Some(9090)).expect("the named one"), 9090);
        assert!(port(&[], None).expect_err("none").to_string().contains("--port 8080"));
        assert!(port(&[80, 443], None).expect_err("two").to_string().contains("80, 443"));
        let nothing = ImageFacts {
            exposed_ports: vec![80],
            ..ImageFacts::default()
        };
        assert!(
            check_facts(&nothing, None)
                .expect_err("no command")
                .to_string()
                .contains("what to run")
        );
    }

    #[test]
    fn this_machine_is_localhost_to_tools() {
        assert_eq!(registry_host("127.0.0.1:4566"), "localhost:4566");
        assert_eq!(registry_host("cloud.example:4566"), "cloud.example:4566");
    }
}
