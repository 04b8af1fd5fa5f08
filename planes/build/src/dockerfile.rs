//! What can be said of a Dockerfile without building it.

use crate::BuildError;
use crate::stages::stage_of;
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

/// What a Dockerfile may say. Ref: docs.docker.com/reference/dockerfile.
const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Mistakes that are seen without building: what comes of them is a sentence with a line, not a builder's inner words.
pub(crate) fn check_syntax(path: &Path, text: &str) -> Result<(), BuildError> {
    let mistake = |line: usize, what: String, hint: String| BuildError::Dockerfile {
        path: path.to_owned(),
        line,
        what,
        hint,
    };
    let found = instructions(text);
    if found.is_empty() {
        let hint = "it begins with the image to build on, for example `FROM debian:12`".to_owned();
        return Err(mistake(1, "it is empty".to_owned(), hint));
    }
    let mut has_from = false;
    for (line, instruction) in &found {
        let (name, rest) = instruction.split_once(char::is_whitespace).unwrap_or((instruction, ""));
        let upper = name.to_ascii_uppercase();
        if !INSTRUCTIONS.contains(&upper.as_str()) {
            let near = INSTRUCTIONS.into_iter().find(|known| is_near(&upper, known));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "each line begins with an instruction; one that goes on ends with `\\`".to_owned(),
            };
            return Err(mistake(*line, format!("`{name}` is no instruction"), hint));
        }
        if rest.trim().is_empty() {
            let hint = format!("say what `{upper}` is for, or remove the line");
            return Err(mistake(*line, format!("`{name}` has no argument"), hint));
        }
        if !has_from && upper != "FROM" && upper != "ARG" {
            let hint = "the first line names the image to build on, for example `FROM debian:12`".to_owned();
            return Err(mistake(*line, format!("`{name}` stands before any `FROM`"), hint));
        }
        has_from |= upper == "FROM";
    }
    if !has_from {
        let hint = "name the image to build on, for example `FROM debian:12`".to_owned();
        return Err(mistake(1, "there is no `FROM`".to_owned(), hint));
    }
    Ok(())
}

/// Whether a word becomes another by one letter more, less, other, or by two that change places.
fn is_near(word: &str, known: &str) -> bool {
    let (a, b) = (word.as_bytes(), known.as_bytes());
    let same_head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let same_tail = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (short, long) = (a.len().min(b.len()), a.len().max(b.len()));
    let swapped = || {
        let pair = |word: &[u8]| Some((*word.get(same_head)?, *word.get(same_head + 1)?));
        a.len() == b.len()
            && same_head + same_tail + 2 == long
            && pair(a).zip(pair(b)).is_some_and(|((a, b), (c, d))| a == d && b == c)
    };
    (long - short <= 1 && same_head + same_tail + 1 >= long) || swapped()
}

/// The words that end the here-documents of an instruction. Ref: Dockerfile reference, "Here-documents".
fn here_documents(instruction: &str) -> Vec<String> {
    let takes_some = ["RUN ", "COPY ", "ADD "].iter().any(|name| {
        instruction
            .get(..name.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(name))
    });
    if !takes_some {
        return Vec::new();
    }
    instruction
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("<<"))
        .map(|word| word.trim_start_matches('-').trim_matches(['"', '\'']).to_owned())
        .filter(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        .collect()
}

/// Logical lines with their numbers: continued ones joined, comments, blanks and here-documents left out.
pub(crate) fn instructions(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut is_open = false;
    let mut documents: std::collections::VecDeque<String> = std::collections::VecDeque::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(end) = documents.front() {
            if line == end {
                documents.pop_front();
            }
            continue;
        }
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
        if let (false, Some((_, whole))) = (is_open, found.last()) {
            documents.extend(here_documents(whole));
        }
    }
    found
}

/// What a reader with experience would point at. None of it stops a build.
/// With a target the stages behind it do not count.
pub fn check_dockerfile(text: &str, target: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut has_user, mut has_start, mut last) = (false, false, 1);
    let mut stages_left = stage_of(text, target).map(|number| number + 1);
    for (line, instruction) in instructions(text) {
        if instruction
            .get(..5)
            .is_some_and(|word| word.eq_ignore_ascii_case("FROM "))
        {
            match &mut stages_left {
                Some(0) => break,
                Some(left) => *left -= 1,
                None => {}
            }
        }
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
            start @ ("CMD" | "ENTRYPOINT") => {
                has_start = true;
                if rest.trim().starts_with('[') && serde_json::from_str::<Vec<String>>(rest).is_err() {
                    say(&format!(
                        "the list of {start} is no JSON (double quotes, commas between), so a shell runs the whole line"
                    ));
                }
            }
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
    fn findings_name_their_line() {
        let text = "FROM debian\n# comment\nENV DB_PASSWORD=x \\\n  A=b\nADD https://x/y /y\nCMD [\"a\"]\n";
        let lines: Vec<usize> = check_dockerfile(text, None)
            .iter()
            .map(|finding| finding.line)
            .collect();
        assert_eq!(lines, [1, 3, 5, 6]);
        assert_eq!(check_dockerfile("FROM a:1\nUSER 1000\nCMD [\"a\"]\n", None), []);
        let staged = "FROM a:1 AS app\nUSER 1000\nCMD [\"a\"]\nFROM b\nRUN x\n";
        assert_eq!(check_dockerfile(staged, Some("app")), []);
        assert_eq!(
            check_dockerfile(staged, None).len(),
            3,
            "no fixed tag, root, no command"
        );
        let single = check_dockerfile("FROM a:1\nUSER 1000\nCMD ['a', 'b']\n", None);
        assert!(
            single.iter().any(|finding| finding.text.contains("no JSON")),
            "{single:?}"
        );
    }

    #[test]
    fn mistakes_are_found_before_a_build() {
        let checked = |text: &str| check_syntax(Path::new("Dockerfile"), text);
        for (text, expected) in [
            ("", "line 1: it is empty"),
            ("# nothing\n\n", "line 1: it is empty"),
            ("FROM a\nRUNN x\n", "line 2: `RUNN` is no instruction"),
            (
                "FROM a\nRUN x \\\n\n  y\nCOYP a b\n",
                "line 5: `COYP` is no instruction",
            ),
            ("FROM a\nCOPY\n", "line 2: `COPY` has no argument"),
            ("RUN x\n", "line 1: `RUN` stands before any `FROM`"),
            ("ARG A=1\n", "line 1: there is no `FROM`"),
        ] {
            let error = checked(text).expect_err(text);
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!error.hint().is_empty());
        }
        let hint = checked("FROM a\nENTRYPONIT x\n").expect_err("a mistake").hint();
        assert_eq!(hint, "did you mean `ENTRYPOINT`?");
        let good = "# syntax=docker/dockerfile:1\nARG V=1\nfrom a:$V as b\nRUN <<EOF\nset -e\nEOF\nCOPY <<-'A' <<B /x/\n\
                    hello\nA\nthere\nB\nonbuild run x\nRUN cat <<< y && echo $((1<<2))\nCMD [\"x\"]\n";
        checked(good).expect("no mistake");
    }
}
