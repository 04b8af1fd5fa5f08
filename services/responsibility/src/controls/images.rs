//! Images and their repositories.

use crate::control::{Control, Finding, Outcome, Owner, Scope, Severity, act, each, fail, pass, run};
use crate::facts::{Definition, Facts, Repository, list, text};
use crate::layers::Layer;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub const CONTROLS: &[Control] = &[
    Control {
        id: "I-02",
        title: "no known holes in images that run",
        owner: Owner::You,
        severity: Severity::High,
        layer: Layer::BaseImage,
        scope: Scope::App,
        refs: &["ECR.1", "CIS 4.4"],
        check: scanned,
    },
    Control {
        id: "I-04",
        title: "tags of images cannot be moved",
        owner: Owner::Shared,
        severity: Severity::Low,
        layer: Layer::BaseImage,
        scope: Scope::App,
        refs: &["ECR.2"],
        check: immutable,
    },
    Control {
        id: "I-05",
        title: "tasks of a version run the same image, known by its digest",
        owner: Owner::Platform,
        severity: Severity::High,
        layer: Layer::Runtime,
        scope: Scope::App,
        refs: &["CIS 5.28"],
        check: by_digest,
    },
    Control {
        id: "I-06",
        title: "old images are removed by a lifecycle policy",
        owner: Owner::You,
        severity: Severity::Low,
        layer: Layer::Data,
        scope: Scope::App,
        refs: &["ECR.3", "CIS 6.1"],
        check: lifecycle,
    },
    Control {
        id: "I-12",
        title: "somebody asks the app whether it is well",
        owner: Owner::You,
        severity: Severity::Medium,
        layer: Layer::Code,
        scope: Scope::App,
        refs: &["CIS 4.6", "CIS 5.27"],
        check: health,
    },
    Control {
        id: "I-13",
        title: "images are named by a digest or a version, not by `latest`",
        owner: Owner::You,
        severity: Severity::Medium,
        layer: Layer::BaseImage,
        scope: Scope::App,
        refs: &["DL3007"],
        check: pinned,
    },
    Control {
        id: "I-17",
        title: "the registry gives nothing to whoever has no keys",
        owner: Owner::Platform,
        severity: Severity::High,
        layer: Layer::ControlPlane,
        scope: Scope::Cloud,
        refs: &["CIS 2.5"],
        check: login,
    },
    Control {
        id: "I-18",
        title: "no repository is open to everybody",
        owner: Owner::You,
        severity: Severity::High,
        layer: Layer::Access,
        scope: Scope::App,
        refs: &["ECR.1"],
        check: public,
    },
];

const NO_REPOSITORY: &str = "no image comes from a repository here";
const NO_DEFINITION: &str = "nothing runs";

fn scanned(facts: &Facts) -> Vec<Finding> {
    each(&facts.definitions, NO_DEFINITION, |definition| {
        let images: Vec<&str> = definition.containers().map(|c| text(c, "image")).collect();
        let reason = format!(
            "no scanner is built in yet; look at {} with one of your own (trivy, grype), and rebuild when its base image \
             is updated",
            images.join(", ")
        );
        Finding::new(definition.subject(), Outcome::NotAssessed(reason))
    })
}

fn name(repository: &Repository) -> &str {
    text(&repository.raw, "repositoryName")
}

fn immutable(facts: &Facts) -> Vec<Finding> {
    each(&facts.repositories, NO_REPOSITORY, |repository| {
        let seen = text(&repository.raw, "imageTagMutability");
        let evidence = format!("imageTagMutability: {seen}");
        let outcome = if seen == "IMMUTABLE" || seen == "IMMUTABLE_WITH_EXCLUSION" {
            pass(evidence)
        } else {
            fail(
                evidence,
                run(
                    "let only `latest` move, which `honmaru deploy` writes; tasks run by digest anyway",
                    format!(
                        "aws ecr put-image-tag-mutability --repository-name {} --image-tag-mutability \
                         IMMUTABLE_WITH_EXCLUSION --image-tag-mutability-exclusion-filters \
                         filterType=WILDCARD,filter=latest",
                        name(repository)
                    ),
                ),
            )
        };
        Finding::new(name(repository), outcome)
    })
}

fn by_digest(facts: &Facts) -> Vec<Finding> {
    let tasks = match &facts.tasks {
        Err(reason) => return Finding::unseen(reason),
        Ok(tasks) => tasks,
    };
    // Version and container: the digests of its tasks, and how many have none.
    let mut seen: BTreeMap<(&str, &str), (BTreeSet<&str>, usize)> = BTreeMap::new();
    for task in tasks.iter().filter(|task| text(task, "lastStatus") == "RUNNING") {
        for container in list(task, "containers") {
            let version = crate::facts::last_part(text(task, "taskDefinitionArn"));
            let (digests, without) = seen.entry((version, text(container, "name"))).or_default();
            match text(container, "imageDigest") {
                "" => *without += 1,
                digest => {
                    digests.insert(digest);
                }
            }
        }
    }
    if seen.is_empty() {
        return vec![Finding::new("-", Outcome::NotApplicable("no task runs".to_owned()))];
    }
    let finding = |((version, container), (digests, without)): ((&str, &str), (BTreeSet<&str>, usize))| {
        let shown: Vec<&str> = digests.into_iter().collect();
        let evidence = format!("imageDigest: {}", shown.join(", "));
        let outcome = match (shown.len(), without) {
            (1, 0) => pass(evidence),
            (_, 0) => fail(evidence, act("deploy again: its tag was moved while its tasks started")),
            (_, count) => fail(
                format!("{count} of its tasks have no imageDigest"),
                act("report this: it is a defect"),
            ),
        };
        Finding::new(format!("{version}/{container}"), outcome)
    };
    seen.into_iter().map(finding).collect()
}

fn lifecycle(facts: &Facts) -> Vec<Finding> {
    each(&facts.repositories, NO_REPOSITORY, |repository| {
        let outcome = match &repository.lifecycle {
            Err(reason) => Outcome::NotAssessed(reason.clone()),
            Ok(Some(policy)) => {
                let rules = list(policy, "rules").count();
                pass(format!("lifecycle policy with {rules} rules"))
            }
            Ok(None) => fail(
                "no lifecycle policy",
                run(
                    "keep the newest 30 images, for example, if nothing runs an older one",
                    format!(
                        "aws ecr put-lifecycle-policy --repository-name {} --lifecycle-policy-text \
                         '{{\"rules\":[{{\"rulePriority\":1,\"selection\":{{\"tagStatus\":\"any\",\"countType\":\
                         \"imageCountMoreThan\",\"countNumber\":30}},\"action\":{{\"type\":\"expire\"}}}}]}}'",
                        name(repository)
                    ),
                ),
            ),
        };
        Finding::new(name(repository), outcome)
    })
}

fn health(facts: &Facts) -> Vec<Finding> {
    each(&facts.services, "there is no service", |service| {
        let groups: Vec<&str> = list(&service.raw, "loadBalancers")
            .map(|balancer| {
                let arn = text(balancer, "targetGroupArn");
                arn.split('/').nth(1).unwrap_or(arn)
            })
            .collect();
        let of_service = |definition: &&Definition| definition.arn == text(&service.raw, "taskDefinition");
        let definition = facts.definitions.iter().flatten().find(of_service);
        let checked = definition.and_then(|d| d.containers().find(|c| c["healthCheck"].is_object()));
        let outcome = match (groups.is_empty(), checked) {
            (false, _) => pass(format!("a target group checks it: {}", groups.join(", "))),
            (true, Some(container)) => pass(format!("healthCheck of container `{}`", text(container, "name"))),
            (true, None) if definition.is_none() => {
                Outcome::NotAssessed("its task definition could not be read".to_owned())
            }
            (true, None) => fail(
                "no target group, and no healthCheck in the task definition",
                act("give a container of the task definition a `healthCheck`, or deploy it with `honmaru deploy`"),
            ),
        };
        Finding::new(&service.name, outcome)
    })
}

fn pinned(facts: &Facts) -> Vec<Finding> {
    each(&facts.definitions, NO_DEFINITION, |definition| {
        let images: Vec<&str> = definition.containers().map(|c| text(c, "image")).collect();
        let loose: Vec<&str> = images.iter().copied().filter(|image| !is_pinned(image)).collect();
        let outcome = if loose.is_empty() {
            pass(format!("image: {}", images.join(", ")))
        } else {
            fail(
                format!("image: {}", loose.join(", ")),
                act("name a version or a digest in the task definition; `honmaru deploy` does so by itself"),
            )
        };
        Finding::new(definition.subject(), outcome)
    })
}

/// Whether a reference has a digest, or a tag other than `latest`.
fn is_pinned(image: &str) -> bool {
    if image.contains("@sha256:") {
        return true;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').is_some_and(|(_, tag)| tag != "latest")
}

fn login(facts: &Facts) -> Vec<Finding> {
    let outcome = match &facts.strangers.registry {
        Err(reason) => Outcome::NotAssessed(reason.clone()),
        Ok(401) => pass("GET /v2/ without keys: 401"),
        Ok(status) => fail(
            format!("GET /v2/ without keys: {status}"),
            act("start the cloud without `--dev`"),
        ),
    };
    vec![Finding::new("registry", outcome)]
}

fn public(facts: &Facts) -> Vec<Finding> {
    each(&facts.repositories, NO_REPOSITORY, |repository| {
        let outcome = match &repository.policy {
            Err(reason) => Outcome::NotAssessed(reason.clone()),
            Ok(None) => pass("no repository policy"),
            Ok(Some(policy)) => match open_statement(policy) {
                None => pass(format!(
                    "no statement of its policy allows everybody ({} statements)",
                    statements(policy).count()
                )),
                Some(statement) => fail(
                    format!("its policy allows everybody: {statement}"),
                    run(
                        "take the policy away, or name who may",
                        format!(
                            "aws ecr delete-repository-policy --repository-name {}",
                            name(repository)
                        ),
                    ),
                ),
            },
        };
        Finding::new(name(repository), outcome)
    })
}

/// The statements of a policy: a list, or one alone.
pub fn statements(policy: &Value) -> impl Iterator<Item = &Value> {
    let statement = &policy["Statement"];
    let one = statement.is_object().then_some(statement);
    one.into_iter().chain(statement.as_array().into_iter().flatten())
}

fn open_statement(policy: &Value) -> Option<&Value> {
    statements(policy).find(|statement| {
        let principal = &statement["Principal"];
        let everybody = |value: &Value| crate::facts::texts(value).iter().any(|who| who == "*");
        text(statement, "Effect") == "Allow"
            && statement["Condition"].as_object().is_none_or(serde_json::Map::is_empty)
            && (everybody(principal) || everybody(&principal["AWS"]))
    })
}

#[cfg(test)]
mod tests {
    use crate::sample::{edited, status_of};
    use serde_json::json;

    #[test]
    fn tags_that_move() {
        let facts = |mutability: &str| {
            edited(|facts| facts.repositories.as_mut().expect("seen")[0].raw["imageTagMutability"] = json!(mutability))
        };
        assert_eq!(status_of(&facts("MUTABLE"), "I-04", "shop"), "fail");
        assert_eq!(status_of(&facts("IMMUTABLE"), "I-04", "shop"), "pass");
        assert_eq!(status_of(&facts("IMMUTABLE_WITH_EXCLUSION"), "I-04", "shop"), "pass");
    }

    #[test]
    fn one_digest_for_a_version() {
        let good = edited(|_| {});
        assert_eq!(status_of(&good, "I-05", "shop:1/shop"), "pass");
        let moved = edited(|facts| {
            let tasks = facts.tasks.as_mut().expect("seen");
            let mut other = tasks[0].clone();
            other["containers"][0]["imageDigest"] = json!("sha256:bb");
            tasks.push(other);
        });
        assert_eq!(status_of(&moved, "I-05", "shop:1/shop"), "fail");
        let without =
            edited(|facts| facts.tasks.as_mut().expect("seen")[0]["containers"][0]["imageDigest"] = json!(null));
        assert_eq!(status_of(&without, "I-05", "shop:1/shop"), "fail");
    }

    #[test]
    fn policies_of_repositories() {
        let with = |policy: serde_json::Value| {
            edited(move |facts| facts.repositories.as_mut().expect("seen")[0].policy = Ok(Some(policy)))
        };
        let open = json!({ "Statement": [{ "Effect": "Allow", "Principal": "*", "Action": "ecr:*" }] });
        assert_eq!(status_of(&with(open), "I-18", "shop"), "fail");
        let listed =
            json!({ "Statement": { "Effect": "Allow", "Principal": { "AWS": ["1", "*"] }, "Action": "ecr:*" } });
        assert_eq!(status_of(&with(listed), "I-18", "shop"), "fail");
        let named = json!({ "Statement": [{ "Effect": "Allow", "Principal": { "AWS": "123456789012" } },
            { "Effect": "Deny", "Principal": "*" }] });
        assert_eq!(status_of(&with(named), "I-18", "shop"), "pass");
        assert_eq!(status_of(&edited(|_| {}), "I-18", "shop"), "pass");
        let unseen = edited(|facts| facts.repositories.as_mut().expect("seen")[0].policy = Err("denied".to_owned()));
        assert_eq!(status_of(&unseen, "I-18", "shop"), "not-assessed");
        let none = edited(|facts| facts.repositories.as_mut().expect("seen")[0].lifecycle = Ok(None));
        assert_eq!(status_of(&none, "I-06", "shop"), "fail");
        assert_eq!(status_of(&edited(|_| {}), "I-06", "shop"), "pass");
    }

    #[test]
    fn names_of_images() {
        for (image, wanted) in [
            ("shop", "fail"),
            ("localhost:4566/shop", "fail"),
            ("localhost:4566/shop:latest", "fail"),
            ("localhost:4566/shop:1.2", "pass"),
            ("localhost:4566/shop@sha256:aa", "pass"),
        ] {
            let facts = edited(|facts| {
                facts.definitions.as_mut().expect("seen")[0].raw["containerDefinitions"][0]["image"] = json!(image);
            });
            assert_eq!(status_of(&facts, "I-13", "shop"), wanted, "{image}");
        }
    }

    #[test]
    fn health_and_login() {
        assert_eq!(status_of(&edited(|_| {}), "I-12", "shop"), "pass");
        let alone = edited(|facts| facts.services.as_mut().expect("seen")[0].raw["loadBalancers"] = json!([]));
        assert_eq!(status_of(&alone, "I-12", "shop"), "fail");
        assert_eq!(status_of(&edited(|_| {}), "I-17", "registry"), "pass");
        let open = edited(|facts| facts.strangers.registry = Ok(200));
        assert_eq!(status_of(&open, "I-17", "registry"), "fail");
        assert_eq!(status_of(&open, "I-02", "shop"), "not-assessed");
    }
}
