//! Stages, base images and arguments of a Dockerfile, as far as they are known before a build.
//! Ref: docs.docker.com/reference/dockerfile: `FROM`, `ARG`, "Environment replacement".

use crate::BuildError;
use crate::dockerfile::instructions;
use std::collections::{BTreeMap, BTreeSet};

/// Arguments that every build knows without an `ARG`. Ref: as above, "Predefined ARGs".
const PREDEFINED: [&str; 10] = [
    "ALL_PROXY",
    "FTP_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "ftp_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// How a directory is built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildSettings {
    /// Values of the Dockerfile's `ARG`s.
    pub arguments: BTreeMap<String, String>,
    /// The stage that is wanted, by its name or number; nothing: the last one.
    pub target: Option<String>,
}

/// A stage: the image that it begins with, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stage {
    image: String,
    name: Option<String>,
}

/// The stages, the arguments in the names of their images replaced as far as their values are known.
fn stages(text: &str, arguments: &BTreeMap<String, String>) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for (_, instruction) in instructions(text) {
        let words: Vec<&str> = instruction
            .split_whitespace()
            .filter(|word| !word.starts_with("--"))
            .collect();
        match words.as_slice() {
            // Only what stands before the first FROM counts in a FROM.
            [arg, definitions @ ..] if arg.eq_ignore_ascii_case("ARG") && stages.is_empty() => {
                for definition in definitions {
                    let (name, default) = match definition.split_once('=') {
                        Some((name, default)) => (name, Some(default.trim_matches(['"', '\'']))),
                        None => (*definition, None),
                    };
                    let given = arguments.get(name).cloned();
                    if let Some(value) = given.or_else(|| default.map(|default| replaced(default, &known))) {
                        known.insert(name.to_owned(), value);
                    }
                }
            }
            [from, image, rest @ ..] if from.eq_ignore_ascii_case("FROM") => {
                let name = match rest {
                    [r#as, name, ..] if r#as.eq_ignore_ascii_case("AS") => Some((*name).to_owned()),
                    _ => None,
                };
                let image = replaced(image.trim_matches(['"', '\'']), &known);
                stages.push(Stage { image, name });
            }
            _ => {}
        }
    }
    stages
}

/// A text with `$NAME`, `${NAME}`, `${NAME:-other}` and `${NAME:+other}` replaced. A name without a value stays, so that
/// whoever looks at the text sees that it is not whole.
fn replaced(text: &str, known: &BTreeMap<String, String>) -> String {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut whole, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        whole.push_str(before);
        let (expression, next) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((inner, next)) => (inner, next),
            None => after.split_at(after.find(|c| !is_of_name(c)).unwrap_or(after.len())),
        };
        let name = expression.split(':').next().unwrap_or_default();
        let value = known.get(name).map(String::as_str);
        let set = value.filter(|value| !value.is_empty());
        let found = match expression.get(name.len()..).unwrap_or_default() {
            "" => value,
            operator => match (operator.strip_prefix(":-"), operator.strip_prefix(":+")) {
                (Some(other), _) => set.or(Some(other)),
                (_, Some(other)) => Some(set.map_or("", |_| other)),
                _ => None,
            },
        };
        match found {
            Some(value) => whole.push_str(value),
            None => whole.push_str(&rest[before.len()..rest.len() - next.len()]),
        }
        rest = next;
    }
    whole + rest
}

/// The number of the wanted stage, from 0; nothing when none is wanted, or there is none of that name.
pub(crate) fn stage_of(text: &str, target: Option<&str>) -> Option<usize> {
    let (target, stages) = (target?, stages(text, &BTreeMap::new()));
    let by_name = stages.iter().position(|stage| {
        let name = stage.name.as_deref();
        name.is_some_and(|name| name.eq_ignore_ascii_case(target))
    });
    by_name.or_else(|| target.parse().ok().filter(|number| *number < stages.len()))
}

/// The wanted stage must be there.
pub(crate) fn check_target(text: &str, target: Option<&str>) -> Result<(), BuildError> {
    match target {
        Some(target) if stage_of(text, Some(target)).is_none() => Err(BuildError::NoStage {
            target: target.to_owned(),
            stages: stages(text, &BTreeMap::new())
                .into_iter()
                .filter_map(|stage| stage.name)
                .collect(),
        }),
        _ => Ok(()),
    }
}

/// The images that `FROM` names, without stages of the same file and `scratch`; up to the wanted stage.
pub fn base_images(text: &str, settings: &BuildSettings) -> Vec<String> {
    let last = stage_of(text, settings.target.as_deref());
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut images = Vec::new();
    for (number, stage) in stages(text, &settings.arguments).into_iter().enumerate() {
        if last.is_some_and(|last| number > last) {
            break;
        }
        if stage.image != "scratch" && !names.contains(&stage.image.to_ascii_lowercase()) {
            images.push(stage.image);
        }
        names.extend(stage.name.map(|name| name.to_ascii_lowercase()));
    }
    images
}

/// The names of all stages.
pub(crate) fn stage_names(text: &str) -> Vec<String> {
    let stages = stages(text, &BTreeMap::new()).into_iter();
    stages.filter_map(|stage| stage.name).collect()
}

/// Arguments that no `ARG` takes: a slip of the pen, as a rule. A build goes on without them.
pub fn unused_arguments(text: &str, arguments: &BTreeMap<String, String>) -> Vec<String> {
    let mut taken: BTreeSet<String> = PREDEFINED.map(str::to_owned).into();
    for (_, instruction) in instructions(text) {
        let mut words = instruction.split_whitespace();
        if words.next().is_some_and(|word| word.eq_ignore_ascii_case("ARG")) {
            let names = words.map(|word| word.split('=').next().unwrap_or_default().to_owned());
            taken.extend(names);
        }
    }
    arguments
        .keys()
        .filter(|name| !taken.contains(*name))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)], target: Option<&str>) -> BuildSettings {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        BuildSettings {
            arguments: pairs.iter().map(pair).collect(),
            target: target.map(str::to_owned),
        }
    }

    #[test]
    fn base_images_are_not_stages() {
        let text = "FROM --platform=linux/amd64 rust:1 AS build\nRUN true\nFROM Build\nFROM scratch\nfrom a/b\n";
        assert_eq!(base_images(text, &BuildSettings::default()), ["rust:1", "a/b"]);
    }

    #[test]
    fn arguments_complete_the_names_of_base_images() {
        let text = "ARG TAG=1 REPO=\"a/b\"\nARG FULL=${REPO}:$TAG\nFROM $FULL\nARG LATER=x\nFROM c:${LATER}\n\
                    FROM d${TAG:+:two}\nFROM e:${NONE:-three}\n";
        let images = |pairs: &[(&str, &str)]| base_images(text, &with(pairs, None));
        assert_eq!(images(&[]), ["a/b:1", "c:${LATER}", "d:two", "e:three"]);
        assert_eq!(images(&[("TAG", "2")])[0], "a/b:2");
        assert_eq!(images(&[("TAG", "")])[2], "d");
        assert_eq!(images(&[("NONE", "x")])[3], "e:three", "no ARG takes it");
        assert_eq!(
            base_images("FROM a$\nFROM b${\nFROM ${}\n", &BuildSettings::default()).len(),
            3
        );
    }

    #[test]
    fn a_target_is_a_stage_by_name_or_number() {
        let text = "FROM a AS One\nFROM b AS two\nFROM c\n";
        assert_eq!(base_images(text, &with(&[], Some("one"))), ["a"]);
        assert_eq!(base_images(text, &with(&[], Some("1"))), ["a", "b"]);
        assert_eq!(base_images(text, &BuildSettings::default()), ["a", "b", "c"]);
        assert!(check_target(text, None).is_ok() && check_target(text, Some("2")).is_ok());
        let error = check_target(text, Some("three")).expect_err("no such stage");
        assert_eq!(error.to_string(), "the Dockerfile has no stage `three`");
        assert_eq!(error.hint(), "its stages are One, two");
        assert!(check_target(text, Some("3")).is_err());
        let error = check_target("FROM a\n", Some("x")).expect_err("no such stage");
        assert_eq!(
            error.hint(),
            "name one with `FROM IMAGE AS x`, or leave `--target` away"
        );
    }

    #[test]
    fn arguments_that_nobody_takes_are_found() {
        let text = "ARG A\nFROM x\nARG B=1 C\nRUN echo $D\n";
        let given = with(&[("A", ""), ("B", ""), ("C", ""), ("D", ""), ("HTTP_PROXY", "")], None);
        assert_eq!(unused_arguments(text, &given.arguments), ["D"]);
    }
}
