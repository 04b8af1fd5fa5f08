//! Why there is no image, in words for the person who asked for one.

use std::path::PathBuf;

/// Why a build or a push failed. `Display` says what is wrong, [`BuildError::hint`] what to do.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// buildah is not installed.
    #[error("`buildah` is not installed")]
    NoBuildah,
    /// The directory has no Dockerfile.
    #[error("there is no `Dockerfile` or `Containerfile` in `{}`", .0.display())]
    NoDockerfile(PathBuf),
    /// The Dockerfile has a mistake that can be seen without building.
    #[error("`{}`, line {line}: {what}", path.display())]
    Dockerfile {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The mistake.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The disk is full.
    #[error("there is no space left for the build in `{}`", .0.display())]
    NoSpace(PathBuf),
    /// The registry takes no more.
    #[error("the registry does not take the image: there is no space left for it")]
    RegistryFull,
    /// A base image is nowhere to be found.
    #[error("the base image `{image}` cannot be found: {cause}")]
    NoBaseImage {
        /// Its name in the Dockerfile.
        image: String,
        /// What the registry or the network said.
        cause: String,
    },
    /// The wanted stage is not in the Dockerfile.
    #[error("the Dockerfile has no stage `{target}`")]
    NoStage {
        /// What was wanted.
        target: String,
        /// The names of those that there are.
        stages: Vec<String>,
    },
    /// A step of the Dockerfile failed.
    #[error("the build failed at `{step}`: {cause}")]
    Step {
        /// The step as the Dockerfile has it.
        step: String,
        /// The last words of the build.
        cause: String,
    },
    /// buildah failed in another way.
    #[error("`buildah {doing}` failed: {cause}")]
    Buildah {
        /// What it was doing.
        doing: String,
        /// Its last words.
        cause: String,
    },
    /// A file could not be used.
    #[error("failed to use `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl BuildError {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::NoBuildah => "install it: `sudo apt-get install buildah`".to_owned(),
            Self::NoDockerfile(_) => "add a Dockerfile, or name the directory that has one".to_owned(),
            Self::RegistryFull => {
                "make room on its disk, raise `--registry-bytes-max` if that is set, or free what no image needs with \
                 `honmaru registry gc`"
                    .to_owned()
            }
            Self::NoBaseImage { image, .. } if image.starts_with("localhost/honmaru/") => {
                "install the Debian package `busybox-static`: the base image is made from it".to_owned()
            }
            Self::Dockerfile { hint, .. } => hint.clone(),
            Self::NoStage { target, stages } if stages.is_empty() => {
                format!("name one with `FROM IMAGE AS {target}`, or leave `--target` away")
            }
            Self::NoStage { stages, .. } => format!("its stages are {}", stages.join(", ")),
            Self::NoSpace(dir) => format!(
                "make room: `df -h {}` shows how much there is; earlier builds lie there, too",
                dir.display()
            ),
            Self::NoBaseImage { image, .. } if image.starts_with("localhost/") => {
                "names under `localhost/` are images of this cloud's own builder; push yours to its registry and write \
                 `FROM localhost:4566/NAME:TAG`"
                    .to_owned()
            }
            Self::NoBaseImage { .. } => {
                "check the name in the `FROM` line and that this machine reaches its registry; without one, \
                 `FROM localhost/honmaru/busybox` needs no registry at all"
                    .to_owned()
            }
            Self::Step { step, cause } => {
                let copies = step
                    .split_whitespace()
                    .next()
                    .is_some_and(|word| word.eq_ignore_ascii_case("COPY") || word.eq_ignore_ascii_case("ADD"));
                if copies && (cause.contains("no such file") || cause.contains("no items matching")) {
                    "paths are relative to the directory that is deployed; is it there, and does `.dockerignore` leave \
                     it in?"
                        .to_owned()
                } else {
                    "its output stands above".to_owned()
                }
            }
            Self::Buildah { .. } => "look at the output above".to_owned(),
            Self::File { .. } => "check that it can be read and written, or run the command with `sudo`".to_owned(),
        }
    }
}
