//! What can be said of a Dockerfile without building it.

use crate::BuildError;
use std::path::{Path, PathBuf};

/// Something worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The line, from 1.
    pub line: usize,
    /// What and why.
    pub text: String,
}

/// The Dockerfile of a directory.
pub fn find_dockerfile(dir: &Path) -> Result<PathBuf, BuildError> {
    ["Dockerfile", "Containerfile"]
        .into_iter()
        .map(|name| dir.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| BuildError::NoDockerfile(dir.to_owned()))
}

/// Logical lines with their numbers: continued ones joined, comments and blanks left out.
fn instructions(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut is_open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (content, continues) = match line.strip_suffix('\\') {
            Some(content) => (content.trim_end(), true),
            None => (line, false),
        };
        match found.last_mut() {
            Some((_, open)) if is_open => {
                open.push(' ');
                open.push_str(content);
            }
            _ => found.push((number, content.to_owned())),
        }
        is_open = continues;
    }
    found
}

/// The images that `FROM` names, without stages of the same file and `scratch`.
pub(crate) fn base_images(text: &str) -> Vec<String> {
    let mut stages: Vec<String> = Vec::new();
    let mut images = Vec::new();
    for (_, instruction) in instructions(text) {
        let words: Vec<&str> = instruction
            .split_whitespace()
            .filter(|word| !word.starts_with("--"))
            .collect();
        if let [from, image, rest @ ..] = words.as_slice()
            && from.eq_ignore_ascii_case("FROM")
        {
            if *image != "scratch" && !stages.iter().any(|stage| stage == image) {
                images.push((*image).to_owned());
            }
            if let [r#as, name, ..] = rest
                && r#as.eq_ignore_ascii_case("AS")
            {
                stages.push((*name).to_owned());
            }
        }
    }
    images
}

/// What a reader with experience would point at. None of it stops a build.
pub fn check_dockerfile(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut has_user, mut has_start, mut last) = (false, false, 1);
    for (line, instruction) in instructions(text) {
        last = line;
        let (name, rest) = instruction
            .split_once(char::is_whitespace)
            .unwrap_or((&instruction, ""));
        let mut say = |text: &str| {
            findings.push(Finding {
                line,
                text: text.to_owned(),
            })
        };
        match name.to_ascii_uppercase().as_str() {
            "FROM" => {
                (has_user, has_start) = (false, false);
                let image = rest
                    .split_whitespace()
                    .find(|word| !word.starts_with("--"))
                    .unwrap_or_default();
                let is_local = image.starts_with("localhost/");
                let tagged = image.rsplit('/').next().is_some_and(|last| last.contains(':'));
                if !is_local && image != "scratch" && !image.contains('@') && (!tagged || image.ends_with(":latest")) {
                    say("the base image has no fixed tag: a later build may get another one");
                }
            }
            "USER" => has_user = !matches!(rest.trim().split(':').next(), Some("root" | "0")),
            "CMD" | "ENTRYPOINT" => has_start = true,
            "ADD" if rest.contains("http://") || rest.contains("https://") => {
                say("ADD of an address downloads without a check: download it in RUN and compare its digest");
            }
            "ENV" | "ARG"
                if ["PASSWORD", "SECRET", "TOKEN", "APIKEY", "API_KEY"].iter().any(|word| {
                    rest.split('=')
                        .next()
                        .unwrap_or_default()
                        .to_ascii_uppercase()
                        .contains(word)
                }) =>
            {
                say("a secret in the image is readable by whoever has the image: pass it when the task starts");
            }
            _ => {}
        }
    }
    let mut say = |text: &str| {
        findings.push(Finding {
            line: last,
            text: text.to_owned(),
        })
    };
    if !has_user {
        say("the container runs as root: add a USER line");
    }
    if !has_start {
        say("neither CMD nor ENTRYPOINT: the base image must say what to run");
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_images_are_not_stages() {
        let text = "FROM --platform=linux/amd64 rust:1 AS build\nRUN true\nFROM build\nFROM scratch\nfrom a/b\n";
        assert_eq!(base_images(text), ["rust:1", "a/b"]);
    }

    #[test]
    fn findings_name_their_line() {
        let text = "FROM debian\n# comment\nENV DB_PASSWORD=x \\\n  A=b\nADD https://x/y /y\nCMD [\"a\"]\n";
        let lines: Vec<usize> = check_dockerfile(text).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 3, 5, 6]);
        assert_eq!(check_dockerfile("FROM a:1\nUSER 1000\nCMD [\"a\"]\n"), []);
    }
}
