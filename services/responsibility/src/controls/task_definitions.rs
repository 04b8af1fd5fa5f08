//! What task definitions ask for.

use crate::control::{Control, Finding, Owner, Scope, Severity, act, each, fail, pass, run};
use crate::facts::{Definition, Facts, list, text};
use crate::layers::Layer;
use serde_json::Value;

pub const CONTROLS: &[Control] = &[
    Control {
        id: "T-01",
        title: "no container is privileged",
        owner: Owner::You,
        severity: Severity::High,
        layer: Layer::Isolation,
        scope: Scope::App,
        refs: &["ECS.4", "CIS 5.5"],
        check: privileged,
    },
    Control {
        id: "T-07",
        title: "the root file system is read-only",
        owner: Owner::You,
        severity: Severity::Low,
        layer: Layer::Isolation,
        scope: Scope::App,
        refs: &["ECS.5", "CIS 5.13"],
        check: read_only,
    },
    Control {
        id: "T-16",
        title: "no secrets in environment variables",
        owner: Owner::You,
        severity: Severity::High,
        layer: Layer::Secrets,
        scope: Scope::App,
        refs: &["ECS.8"],
        check: secrets,
    },
    Control {
        id: "T-18",
        title: "what containers say is kept",
        owner: Owner::You,
        severity: Severity::Medium,
        layer: Layer::Logs,
        scope: Scope::App,
        refs: &["ECS.9"],
        check: logs,
    },
];

const NOTHING_RUNS: &str = "nothing runs";

/// Members that a description has and a registration does not take.
const DESCRIBED_ONLY: &str =
    "del(.taskDefinitionArn,.revision,.status,.requiresAttributes,.compatibilities,.registeredAt,.registeredBy)";

/// The command that registers a changed revision and moves its services to it. `change` is jq's.
fn change(definition: &Definition, change: &str) -> String {
    let mut command = format!(
        "aws ecs register-task-definition --cli-input-json \"$(aws ecs describe-task-definition --task-definition {} \
         --query taskDefinition --output json | jq '{DESCRIBED_ONLY} | {change}')\"",
        definition.name()
    );
    for (cluster, service) in &definition.services {
        command.push_str(&format!(
            " && aws ecs update-service --cluster {cluster} --service {service} --task-definition {}",
            definition.family()
        ));
    }
    command
}

/// What a change by hand means for what runs.
fn lasting(definition: &Definition, what: &str) -> String {
    if definition.services.is_empty() {
        format!("{what}; then start its tasks anew: no service does so")
    } else if definition.is_deployed() {
        format!("{what}; the next `honmaru deploy` registers its own revision without it")
    } else {
        what.to_owned()
    }
}

fn select(container: &Value) -> String {
    format!(
        ".containerDefinitions[] | select(.name==\"{}\")",
        text(container, "name")
    )
}

/// The containers of which `is_bad` holds, by name.
fn bad(definition: &Definition, is_bad: impl Fn(&Value) -> bool) -> Vec<&Value> {
    definition.containers().filter(|container| is_bad(container)).collect()
}

fn names(containers: &[&Value]) -> String {
    let names: Vec<String> = containers.iter().map(|c| format!("`{}`", text(c, "name"))).collect();
    names.join(", ")
}

/// A change of each of these containers, in jq.
fn each_of(containers: &[&Value], member: &str, value: &str) -> String {
    let changes: Vec<String> = containers
        .iter()
        .map(|container| format!("({} | {member}) = {value}", select(container)))
        .collect();
    changes.join(" | ")
}

fn privileged(facts: &Facts) -> Vec<Finding> {
    each(&facts.definitions, NOTHING_RUNS, |definition| {
        let found = bad(definition, |container| container["privileged"] == true);
        let outcome = if found.is_empty() {
            pass(format!("{}: no container has privileged: true", definition.name()))
        } else {
            fail(
                format!("privileged: true of {}", names(&found)),
                run(
                    "take it away",
                    change(definition, &each_of(&found, ".privileged", "false")),
                ),
            )
        };
        Finding::new(definition.subject(), outcome)
    })
}

fn read_only(facts: &Facts) -> Vec<Finding> {
    each(&facts.definitions, NOTHING_RUNS, |definition| {
        let found = bad(definition, |container| container["readonlyRootFilesystem"] != true);
        let (read_only, writable) = roots(facts, definition);
        let outcome = if !found.is_empty() {
            let fix = match definition.services.as_slice() {
                [(_, app), ..] if definition.is_deployed() => run(
                    "set it with `--read-only` or with `read-only = true` in `honmaru.toml`: `/tmp` stays writable; name \
                     other directories that the app writes to with `--writable PATH`",
                    format!("honmaru deploy DIR --name {app} --read-only{}", facts.flags),
                ),
                _ => run(
                    lasting(definition, "set it, if the app writes no files or only to volumes"),
                    change(definition, &each_of(&found, ".readonlyRootFilesystem", "true")),
                ),
            };
            fail(format!("readonlyRootFilesystem is not true of {}", names(&found)), fix)
        } else if let Some(pid) = writable {
            fail(
                format!("readonlyRootFilesystem: true, and process {pid} has `/` mounted `rw`"),
                act("report this: it is a defect of Honmaru"),
            )
        } else {
            let seen = match read_only {
                0 => String::new(),
                count => format!("; `/` of {count} processes is mounted `ro`"),
            };
            pass(format!(
                "{}: readonlyRootFilesystem: true of every container{seen}",
                definition.name()
            ))
        };
        Finding::new(definition.subject(), outcome)
    })
}

/// How many of its processes have a read-only root as root has seen it, and one that has not.
fn roots(facts: &Facts, definition: &Definition) -> (usize, Option<u32>) {
    let (mut read_only, mut writable) = (0, None);
    for container in facts.machine.iter().flat_map(|machine| &machine.containers) {
        if facts.definition_of(container).map(|of| &of.arn) != Some(&definition.arn) {
            continue;
        }
        let root = container.mounts.iter().rfind(|mount| mount.point == "/");
        match root.map(|mount| mount.options.iter().any(|option| option == "ro")) {
            Some(true) => read_only += 1,
            Some(false) => writable = Some(container.pid),
            None => {}
        }
    }
    (read_only, writable)
}

fn secrets(facts: &Facts) -> Vec<Finding> {
    each(&facts.definitions, NOTHING_RUNS, |definition| {
        let mut found: Vec<(&Value, &str, &str)> = Vec::new();
        let mut looked = 0;
        for container in definition.containers() {
            for variable in list(container, "environment") {
                looked += 1;
                let (name, value) = (text(variable, "name"), text(variable, "value"));
                if let Some(why) = looks_secret(name, value) {
                    found.push((container, name, why));
                }
            }
        }
        let outcome = if found.is_empty() {
            pass(format!(
                "none of {looked} variables of {} looks like a secret",
                definition.name()
            ))
        } else {
            let seen: Vec<String> = found.iter().map(|(_, name, why)| format!("`{name}` {why}")).collect();
            let changes: Vec<String> = found
                .iter()
                .map(|(container, name, _)| {
                    format!(
                        "({} | .environment) |= map(select(.name!=\"{name}\"))",
                        select(container)
                    )
                })
                .collect();
            let what = "change the secret, because others may have read it; let the app fetch it with its role, or from a \
                        file; then take the variable away";
            let what = if definition.is_deployed() {
                format!("{what} here, in `honmaru.toml` and from `--env` of `honmaru deploy`")
            } else {
                lasting(definition, what)
            };
            // A name is anybody's text; in a command that people run it must be a word.
            let are_words = found
                .iter()
                .all(|(_, name, _)| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
            let fix = if are_words {
                run(what, change(definition, &changes.join(" | ")))
            } else {
                act(what)
            };
            fail(format!("{} (values are not shown)", seen.join(", ")), fix)
        };
        Finding::new(definition.subject(), outcome)
    })
}

/// Why a variable looks like a secret. What its name says counts for values that could be one.
pub fn looks_secret(name: &str, value: &str) -> Option<&'static str> {
    const WORDS: [&str; 9] = [
        "PASSWORD",
        "PASSWD",
        "SECRET",
        "TOKEN",
        "API_KEY",
        "APIKEY",
        "ACCESS_KEY",
        "PRIVATE_KEY",
        "CREDENTIAL",
    ];
    /// What stands for a place, a name or a number, not for the secret.
    const HARMLESS_ENDS: [&str; 8] = ["_FILE", "_PATH", "_DIR", "_ARN", "_NAME", "_URL", "_TTL", "_LENGTH"];
    let upper = name.to_ascii_uppercase().replace('-', "_");
    let is_plain = value.len() < 4 || value.parse::<f64>().is_ok() || ["true", "false", "none"].contains(&value);
    let by_name =
        WORDS.iter().any(|word| upper.contains(word)) && !HARMLESS_ENDS.iter().any(|end| upper.ends_with(end));
    if by_name && !is_plain {
        return Some("has the name of a secret");
    }
    let is_key_id = |text: &str| {
        text.len() == 20
            && (text.starts_with("AKIA") || text.starts_with("ASIA"))
            && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    if is_key_id(value) {
        return Some("is an access key id");
    }
    if value.contains("-----BEGIN") && value.contains("PRIVATE KEY") {
        return Some("is a private key");
    }
    if ["ghp_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "sk_live_"]
        .iter()
        .any(|start| value.starts_with(start))
    {
        return Some("is a token of a known service");
    }
    let login = value
        .split_once("://")
        .and_then(|(_, rest)| rest.split(['/', '?']).next()?.rsplit_once('@'));
    if login.is_some_and(|(login, _)| login.split_once(':').is_some_and(|(_, password)| !password.is_empty())) {
        return Some("is a URL with a password");
    }
    None
}

fn logs(facts: &Facts) -> Vec<Finding> {
    each(&facts.definitions, NOTHING_RUNS, |definition| {
        let found = bad(definition, |container| {
            text(&container["logConfiguration"], "logDriver").is_empty()
        });
        let groups: Vec<&str> = definition
            .containers()
            .map(|c| text(&c["logConfiguration"]["options"], "awslogs-group"))
            .filter(|group| !group.is_empty())
            .collect();
        let outcome = if found.is_empty() {
            pass(format!(
                "logConfiguration of every container; log groups: {}",
                groups.join(", ")
            ))
        } else {
            let group = format!("/ecs/{}", definition.family());
            // The region stands in the definition's own ARN.
            let region = definition.arn.split(':').nth(3).unwrap_or("us-east-1");
            let options = format!(
                "{{\"logDriver\":\"awslogs\",\"options\":{{\"awslogs-group\":\"{group}\",\"awslogs-region\":\"{region}\",\
                 \"awslogs-stream-prefix\":\"ecs\"}}}}"
            );
            let command = change(definition, &each_of(&found, ".logConfiguration", &options));
            let fix = if text(&definition.raw, "executionRoleArn").is_empty() {
                act(
                    "give the task definition a `logConfiguration` with the driver `awslogs`, and an execution role that \
                     may write logs",
                )
            } else {
                run(
                    lasting(definition, "write what they say to a log group"),
                    format!("aws logs create-log-group --log-group-name {group} ; {command}"),
                )
            };
            fail(format!("no logConfiguration of {}", names(&found)), fix)
        };
        Finding::new(definition.subject(), outcome)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{edited, fix_of, status_of};
    use serde_json::json;

    fn with(member: &str, value: Value) -> Facts {
        edited(|facts| {
            facts.definitions.as_mut().expect("seen")[0].raw["containerDefinitions"][0][member] = value;
        })
    }

    #[test]
    fn rights_and_files() {
        assert_eq!(status_of(&with("privileged", json!(true)), "T-01", "shop"), "fail");
        assert_eq!(status_of(&with("privileged", json!(false)), "T-01", "shop"), "pass");
        let writable = with("readonlyRootFilesystem", json!(false));
        assert_eq!(status_of(&writable, "T-07", "shop"), "fail");
        assert_eq!(
            fix_of(&writable, "T-07", "shop").command.expect("a command"),
            "aws ecs register-task-definition --cli-input-json \"$(aws ecs describe-task-definition --task-definition shop:1 \
             --query taskDefinition --output json | jq 'del(.taskDefinitionArn,.revision,.status,.requiresAttributes,\
             .compatibilities,.registeredAt,.registeredBy) | (.containerDefinitions[] | select(.name==\"shop\") | \
             .readonlyRootFilesystem) = true')\" && aws ecs update-service --cluster default --service shop \
             --task-definition shop"
        );
        assert_eq!(
            status_of(&with("readonlyRootFilesystem", json!(true)), "T-07", "shop"),
            "pass"
        );
    }

    #[test]
    fn what_the_kernel_shows_counts() {
        let broken = edited(|facts| {
            facts.machine.as_mut().expect("seen").containers[0].mounts[0].options = vec!["rw".to_owned()];
        });
        assert_eq!(status_of(&broken, "T-07", "shop"), "fail");
    }

    #[test]
    fn logs_are_kept() {
        assert_eq!(status_of(&edited(|_| {}), "T-18", "shop"), "pass");
        assert_eq!(
            status_of(&with("logConfiguration", Value::Null), "T-18", "shop"),
            "fail"
        );
    }

    #[test]
    fn secrets_are_named_and_not_shown() {
        let facts = with(
            "environment",
            json!([{ "name": "DB_PASSWORD", "value": "hunter2hunter2" }]),
        );
        assert_eq!(status_of(&facts, "T-16", "shop"), "fail");
        let all = format!("{:?}", crate::check(&facts, None));
        assert!(!all.contains("hunter2"), "a secret is shown");
        assert_eq!(
            status_of(
                &with("environment", json!([{ "name": "PORT", "value": "80" }])),
                "T-16",
                "shop"
            ),
            "pass"
        );
    }

    #[test]
    fn no_strange_name_gets_into_a_command() {
        let facts = with(
            "environment",
            json!([{ "name": "A_TOKEN'; reboot '", "value": "abcdefgh" }]),
        );
        assert_eq!(fix_of(&facts, "T-16", "shop").command, None);
    }

    #[test]
    fn what_looks_like_a_secret() {
        for (name, value) in [
            ("STRIPE_API_KEY", "abcdef"),
            ("github-token", "abcdef"),
            ("X", "AKIAIOSFODNN7EXAMPLE"),
            ("X", "-----BEGIN RSA PRIVATE KEY-----"),
            ("DATABASE_URL", "postgres://shop:pw@db/shop"),
            ("X", "ghp_abc"),
        ] {
            assert!(looks_secret(name, value).is_some(), "{name}");
        }
        for (name, value) in [
            ("PORT", "8080"),
            ("TOKEN_TTL", "3600s"),
            ("PASSWORD_FILE", "/run/password"),
            ("TOKENS", "4096"),
            ("USE_SECRETS", "true"),
            ("HOME_URL", "https://example.com/a@b:c"),
            ("X", "postgres://shop@db/shop"),
        ] {
            assert!(looks_secret(name, value).is_none(), "{name}");
        }
    }
}
