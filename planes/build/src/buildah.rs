//! The commands of buildah, with a storage of our own.

use crate::dockerfile::check_syntax;
use crate::stages::{base_images, check_target, stage_names};
use crate::{BuildError, BuildSettings, ImageFacts};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Lines of output kept for the error message.
const LAST_LINES: usize = 12;
/// What every program says when a disk is full. Ref: errno(3), ENOSPC.
const NO_SPACE: &str = "no space left on device";

/// What a push yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the manifest in the registry.
    pub digest: String,
}

/// How a registry is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP, or TLS without a look at the certificate: for a registry on this machine.
    Local,
    /// TLS. The system's authorities vouch for the registry, or the certificates in a PEM file.
    Tls {
        /// The file.
        authorities: Option<PathBuf>,
    },
}

/// Builds with a storage directory of its own.
#[derive(Debug, Clone)]
pub struct Builder {
    program: PathBuf,
    storage: PathBuf,
}

impl Builder {
    /// A builder that keeps its layers in `storage`.
    pub fn new(storage: &Path) -> Result<Self, BuildError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path)
            .map(|dir| dir.join("buildah"))
            .find(|file| file.is_file());
        let program = program.ok_or(BuildError::NoBuildah)?;
        std::fs::create_dir_all(storage).map_err(|source| BuildError::File {
            path: storage.to_owned(),
            source,
        })?;
        Ok(Self {
            program,
            storage: storage.to_owned(),
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--root")
            .arg(self.storage.join("root"))
            .arg("--runroot")
            .arg(self.storage.join("run"))
            .args(["--storage-driver", "overlay"])
            .args(arguments)
            // A registries.conf of the user's does not decide what a short name means here.
            .env("BUILDAH_ISOLATION", "chroot")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn output(&self, doing: &str, arguments: &[&str]) -> Result<String, BuildError> {
        let output = self.command(arguments).output().await;
        let output = output.map_err(|source| BuildError::File {
            path: self.program.clone(),
            source,
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let cause = last_words(String::from_utf8_lossy(&output.stderr).lines());
        if cause.contains(NO_SPACE) {
            return Err(BuildError::NoSpace(self.storage.clone()));
        }
        // Ref: RFC 4918: 507, a registry whose disk or quota is full.
        if cause.contains("507 Insufficient Storage") {
            return Err(BuildError::RegistryFull);
        }
        Err(BuildError::Buildah {
            doing: doing.to_owned(),
            cause,
        })
    }

    /// Whether the storage has an image of that name.
    pub async fn has_image(&self, image: &str) -> Result<bool, BuildError> {
        let output = self
            .command(&["inspect", "--type", "image", "--format", "{{.FromImageID}}", image])
            .output()
            .await;
        let output = output.map_err(|source| BuildError::File {
            path: self.program.clone(),
            source,
        })?;
        Ok(output.status.success())
    }

    /// Builds a directory to an image of that name. `progress` gets each line that buildah says.
    pub async fn build(
        &self,
        context: &Path,
        dockerfile: &Path,
        image: &str,
        settings: &BuildSettings,
        progress: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), BuildError> {
        if let Ok(text) = std::fs::read_to_string(dockerfile) {
            check_syntax(dockerfile, &text)?;
            check_target(&text, settings.target.as_deref())?;
        }
        let (context, file) = (context.display().to_string(), dockerfile.display().to_string());
        let mut arguments = vec![
            "bud",
            "--isolation",
            "chroot",
            "--layers",
            // A failed build would leave its container with a mounted file system.
            "--force-rm",
            "--pull=false",
            "--format",
            "oci",
            "-t",
            image,
            "-f",
            &file,
        ];
        let pairs: Vec<String> = settings
            .arguments
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        arguments.extend(pairs.iter().flat_map(|pair| ["--build-arg", pair.as_str()]));
        if let Some(target) = &settings.target {
            arguments.extend(["--target", target]);
        }
        arguments.push(&context);
        let failed = |source| BuildError::File {
            path: self.program.clone(),
            source,
        };
        let mut child = self
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        // Both streams are read as they come; a full pipe would stop the build.
        let stdout = child.stdout.take().map(|stream| BufReader::new(stream).lines());
        let stderr = child.stderr.take().map(|stream| BufReader::new(stream).lines());
        let (Some(mut stdout), Some(mut stderr)) = (stdout, stderr) else {
            return Err(failed(std::io::Error::other("buildah has no output")));
        };
        let (mut said, mut step) = (Vec::<String>::new(), String::new());
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            let line = tokio::select! {
                line = stdout.next_line(), if out_open => { let line = line.map_err(failed)?; out_open = line.is_some(); line }
                line = stderr.next_line(), if err_open => { let line = line.map_err(failed)?; err_open = line.is_some(); line }
            };
            let Some(line) = line else { continue };
            if let Some(instruction) = step_of(&line) {
                step = instruction
                    .split_once(": ")
                    .map_or(instruction, |(_, text)| text)
                    .to_owned();
            }
            progress(&line);
            said.push(line);
            if said.len() > LAST_LINES {
                said.remove(0);
            }
        }
        if child.wait().await.map_err(failed)?.success() {
            return Ok(());
        }
        if said.iter().any(|line| line.contains(NO_SPACE)) {
            return Err(BuildError::NoSpace(self.storage.clone()));
        }
        let cause = last_words(said.iter().map(String::as_str));
        Err(explain(dockerfile, &step, plain(&cause).to_owned(), settings))
    }

    /// Fetches an image anew from a registry, so that a Dockerfile may build on it. `credentials` is `user:password`.
    pub async fn pull(&self, image: &str, credentials: &str, transport: &Transport) -> Result<(), BuildError> {
        let dir = tempfile::tempdir_in(&self.storage).map_err(|source| self.failed(source))?;
        let access = self.access(dir.path(), image, credentials, transport)?;
        let source = format!("docker://{image}");
        let mut arguments = vec!["pull", "-q", "--policy", "always"];
        arguments.extend(access.iter().map(String::as_str));
        arguments.push(&source);
        match self.output("pull", &arguments).await {
            Err(BuildError::Buildah { cause, .. }) => Err(BuildError::NoBaseImage {
                image: image.to_owned(),
                cause: plain(&cause).to_owned(),
            }),
            pulled => pulled.map(|_| ()),
        }
    }

    fn failed(&self, source: std::io::Error) -> BuildError {
        BuildError::File {
            path: self.storage.clone(),
            source,
        }
    }

    /// The options with which a registry is spoken to. The credentials go through a file: arguments are visible to every
    /// user of the machine.
    fn access(
        &self,
        dir: &Path,
        name: &str,
        credentials: &str,
        transport: &Transport,
    ) -> Result<[String; 5], BuildError> {
        let auth = dir.join("auth.json");
        let registry = name.split('/').next().unwrap_or_default();
        let entry = serde_json::json!({ "auths": { registry: { "auth": base64(credentials.as_bytes()) } } });
        std::fs::write(&auth, entry.to_string()).map_err(|source| self.failed(source))?;
        // Ref: containers-certs.d(5): every `.crt` in the directory is an authority's.
        let certificates = dir.join("certs");
        std::fs::create_dir(&certificates).map_err(|source| self.failed(source))?;
        let verify = match transport {
            Transport::Local => "--tls-verify=false",
            Transport::Tls { authorities } => {
                if let Some(file) = authorities {
                    std::fs::copy(file, certificates.join("authorities.crt")).map_err(|source| BuildError::File {
                        path: file.clone(),
                        source,
                    })?;
                }
                "--tls-verify=true"
            }
        };
        Ok([
            verify.to_owned(),
            "--cert-dir".to_owned(),
            certificates.display().to_string(),
            "--authfile".to_owned(),
            auth.display().to_string(),
        ])
    }

    /// What an image says of itself.
    pub async fn inspect(&self, image: &str) -> Result<ImageFacts, BuildError> {
        let text = self.output("inspect", &["inspect", "--type", "image", image]).await?;
        let inspected: Value = serde_json::from_str(&text).map_err(|error| BuildError::Buildah {
            doing: "inspect".to_owned(),
            cause: error.to_string(),
        })?;
        Ok(ImageFacts::read(&inspected))
    }

    /// Pushes an image to a registry. `credentials` is `user:password`.
    pub async fn push(
        &self,
        image: &str,
        destination: &str,
        credentials: &str,
        transport: &Transport,
    ) -> Result<Pushed, BuildError> {
        let dir = tempfile::tempdir_in(&self.storage).map_err(|source| self.failed(source))?;
        let digest_file = dir.path().join("digest");
        let shown = digest_file.display().to_string();
        let access = self.access(dir.path(), destination, credentials, transport)?;
        let target = format!("docker://{destination}");
        let mut arguments = vec!["push", "-q", "--digestfile", &shown];
        arguments.extend(access.iter().map(String::as_str));
        arguments.extend([image, &target]);
        self.output("push", &arguments).await?;
        let digest = std::fs::read_to_string(&digest_file).map_err(|source| self.failed(source))?;
        Ok(Pushed {
            digest: digest.trim().to_owned(),
        })
    }
}

/// The step that a line of buildah's announces: `2/3: RUN true` of `STEP 2/3: RUN true`, or, where there are several
/// stages, of `[1/2] STEP 2/3: RUN true`.
pub fn step_of(line: &str) -> Option<&str> {
    let line = match line.strip_prefix('[') {
        Some(rest) => rest.split_once("] ")?.1,
        None => line,
    };
    line.strip_prefix("STEP ")
}

fn last_words<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
    // buildah's own error comes last and begins with the word.
    let error = lines
        .iter()
        .rev()
        .find(|line| line.starts_with("Error") || line.starts_with("error"));
    match error {
        Some(error) => error
            .trim_start_matches("Error: ")
            .trim_start_matches("error ")
            .to_owned(),
        None => lines
            .last()
            .map_or_else(|| "it said nothing".to_owned(), |line| (*line).to_owned()),
    }
}

/// The words of a cause that say something: buildah repeats the step and says what it was about to do.
fn plain(cause: &str) -> &str {
    let mut rest = cause;
    if let Some(said) = rest.strip_prefix("building at STEP \"") {
        rest = said.split_once("\": ").map_or(rest, |(_, said)| said);
    }
    for doing in ["creating build container: ", "Build error: "] {
        rest = rest.strip_prefix(doing).unwrap_or(rest);
    }
    if rest.starts_with("initializing source docker://") {
        rest = rest.split_once(": ").map_or(rest, |(_, said)| said);
    }
    // Go's own picture of the step.
    rest.split(" &imagebuilder.").next().unwrap_or(rest)
}

fn explain(dockerfile: &Path, step: &str, cause: String, settings: &BuildSettings) -> BuildError {
    let words: Vec<&str> = step.split_whitespace().filter(|word| !word.starts_with("--")).collect();
    let text = std::fs::read_to_string(dockerfile).unwrap_or_default();
    let (images, stages) = (base_images(&text, settings), stage_names(&text));
    match words.as_slice() {
        // buildah has put the values of ARG in: the image need not stand in the file.
        [from, image, ..] if from.eq_ignore_ascii_case("FROM") && !stages.iter().any(|stage| stage == image) => {
            BuildError::NoBaseImage {
                image: (*image).to_owned(),
                cause,
            }
        }
        // Nothing was begun: the base image is looked up first.
        [] => match images.into_iter().next() {
            Some(image) => BuildError::NoBaseImage { image, cause },
            None => BuildError::Buildah {
                doing: "bud".to_owned(),
                cause,
            },
        },
        _ => BuildError::Step {
            step: step.to_owned(),
            cause,
        },
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_seen_in_one_stage_and_in_several() {
        assert_eq!(step_of("STEP 2/3: RUN true"), Some("2/3: RUN true"));
        assert_eq!(step_of("[1/2] STEP 2/3: RUN true"), Some("2/3: RUN true"));
        assert_eq!(step_of("[1/2] COMMIT"), None);
        assert_eq!(step_of("the STEP of a program"), None);
    }

    #[test]
    fn causes_say_only_what_is_wrong() {
        for (cause, said) in [
            (
                "building at STEP \"COPY a /b\": checking on sources: no such file",
                "checking on sources: no such file",
            ),
            (
                "creating build container: initializing source docker://x.invalid/py:3: pinging container registry \
                 x.invalid: no such host",
                "pinging container registry x.invalid: no such host",
            ),
            (
                "building at STEP \"RUNN \": Build error: Unknown instruction: \"RUNN\" &imagebuilder.Step{Env:[]}",
                "Unknown instruction: \"RUNN\"",
            ),
            ("exit status 2", "exit status 2"),
        ] {
            assert_eq!(plain(cause), said);
        }
    }
}
