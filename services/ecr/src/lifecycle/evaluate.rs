//! Which images a policy expires or archives.
//!
//! The documented rules: all rules are evaluated, then applied by priority; an image is expired by one rule or none; a
//! rule counts images that higher rules expire, but one that matches a higher rule's tags is never expired by a lower
//! one; the older goes before the newer; an image of an index stays as long as the index. A rule is about the archived
//! images or about the others, never about both.

use super::policy::{Count, Policy, Rule, Select};
use crate::model::{Archive, LifecycleAction};
use crate::wildcard;
use honmaru_base::Time;
use std::collections::{BTreeMap, BTreeSet};

const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// An image as a policy sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) digest: String,
    pub(crate) tags: Vec<String>,
    pub(crate) pushed_at: Time,
    pub(crate) pulled_at: Option<Time>,
    /// The indexes that name it.
    pub(crate) parents: Vec<String>,
    /// What it is about, when it is a reference artifact: those go with their subject, and are judged themselves only when
    /// that is gone.
    pub(crate) subject: Option<String>,
    /// Whether it is archived, and when that changed.
    pub(crate) archive: Archive,
}

/// What becomes of an image, and the rule that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) digest: String,
    pub(crate) priority: i32,
    pub(crate) action: LifecycleAction,
}

/// The images that are to go at `now`, in the order in which they may: indexes before their manifests.
pub(crate) fn evaluate(policy: &Policy, images: &[Candidate], now: Time) -> Vec<Verdict> {
    let there: BTreeSet<&str> = images.iter().map(|image| image.digest.as_str()).collect();
    let is_judged = |image: &&Candidate| image.subject.as_deref().is_none_or(|subject| !there.contains(subject));
    let mut oldest_first: Vec<&Candidate> = images.iter().filter(is_judged).collect();
    oldest_first.sort_by(|a, b| (a.pushed_at, &a.digest).cmp(&(b.pushed_at, &b.digest)));
    let mut marks: BTreeMap<&str, &Rule> = BTreeMap::new();
    for (at, rule) in policy.rules.iter().enumerate() {
        let matched: Vec<&&Candidate> = oldest_first.iter().filter(|image| selects(rule, image)).collect();
        let longer = |since: Time, days: &i64| now.since_ms(since) > days.saturating_mul(DAY_MS);
        let marked: Vec<&&Candidate> = match &rule.count {
            Count::MoreThan(keep) => {
                let surplus = matched.len().saturating_sub(*keep);
                matched.into_iter().take(surplus).collect()
            }
            Count::SincePushedDays(days) => matched
                .into_iter()
                .filter(|image| longer(image.pushed_at, days))
                .collect(),
            Count::SincePulledDays(days) => matched
                .into_iter()
                .filter(|image| longer(used_at(image), days))
                .collect(),
            Count::SinceArchivedDays(days) => matched
                .into_iter()
                .filter(|image| image.archive.archived_at.is_some_and(|at| longer(at, days)))
                .collect(),
        };
        let higher = policy.rules.get(..at).unwrap_or_default();
        for image in marked {
            if !higher.iter().any(|rule| selects(rule, image)) {
                marks.insert(&image.digest, rule);
            }
        }
    }
    order(images, &marks)
}

/// When an image was used last: pulled, or else pushed, or restored after that. Ref: ECR user guide, "Lifecycle policy
/// evaluation rules", `sinceImagePulled`.
fn used_at(image: &Candidate) -> Time {
    let used = image.pulled_at.unwrap_or(image.pushed_at);
    image.archive.restored_at.map_or(used, |restored| restored.max(used))
}

fn selects(rule: &Rule, image: &Candidate) -> bool {
    if rule.of_archived != image.archive.holds {
        return false;
    }
    match &rule.select {
        Select::Any => true,
        Select::Untagged => image.tags.is_empty(),
        Select::Prefixes(prefixes) => prefixes
            .iter()
            .all(|prefix| image.tags.iter().any(|tag| tag.starts_with(prefix.as_str()))),
        Select::Patterns(patterns) => patterns
            .iter()
            .all(|pattern| image.tags.iter().any(|tag| wildcard::matches(pattern, tag))),
    }
}

/// Leaves out what an index that stays names, adds what is about an image that goes, and puts parents first.
fn order(images: &[Candidate], marks: &BTreeMap<&str, &Rule>) -> Vec<Verdict> {
    let by_digest: BTreeMap<&str, &Candidate> = images.iter().map(|image| (image.digest.as_str(), image)).collect();
    let mut done: BTreeMap<&str, LifecycleAction> = BTreeMap::new();
    let mut verdicts = Vec::new();
    // An index that is archived itself does not keep its images from it; only one that is gone lets them go.
    let lets = |parent: &str, action: LifecycleAction, done: &BTreeMap<&str, LifecycleAction>| match done.get(parent) {
        Some(LifecycleAction::Expire) => true,
        Some(LifecycleAction::Archive) => action == LifecycleAction::Archive,
        None => action == LifecycleAction::Archive && by_digest.get(parent).is_some_and(|image| image.archive.holds),
    };
    // Each round can only free what the round before held: as many rounds as indexes lie in indexes.
    loop {
        let free: Vec<(&str, &Rule)> = marks
            .iter()
            .filter(|(digest, _)| !done.contains_key(**digest))
            .filter(|(digest, rule)| {
                let parents = by_digest
                    .get(**digest)
                    .map(|image| image.parents.as_slice())
                    .unwrap_or_default();
                parents.iter().all(|parent| lets(parent, rule.action, &done))
            })
            .map(|(digest, rule)| (*digest, *rule))
            .collect();
        if free.is_empty() {
            break;
        }
        for (digest, rule) in free {
            done.insert(digest, rule.action);
            verdicts.push(Verdict {
                digest: digest.to_owned(),
                priority: rule.priority,
                action: rule.action,
            });
        }
    }
    for image in images {
        let about = image
            .subject
            .as_deref()
            .and_then(|subject| verdicts.iter().find(|v| v.digest == subject));
        if let Some(Verdict { priority, action, .. }) = about.cloned() {
            if action == LifecycleAction::Archive && image.archive.holds {
                continue;
            }
            verdicts.push(Verdict {
                digest: image.digest.clone(),
                priority,
                action,
            });
        }
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `images`: `NAME age_days tag,tag parent pulled=days archived=days restored=days subject=NAME` (`-` for none, what follows the age
    /// may be left out); `rules`: `priority status count archive`, where `archive` is the action; answers `NAME:priority`,
    /// and `NAME:priority:archive` for what is archived, in order.
    fn check(rules: &str, images: &str, expected: &str) {
        let rules: Vec<String> = rules.split(" | ").map(rule).collect();
        let policy = Policy::parse(&format!(r#"{{"rules":[{}]}}"#, rules.join(","))).unwrap();
        let now = Time::from_ms(1_000 * DAY_MS);
        let image = |line: &str| {
            let mut words = line.split(' ');
            let (digest, age) = (
                words.next().unwrap().to_owned(),
                words.next().unwrap().parse::<i64>().unwrap(),
            );
            let mut list = || {
                let word = words.next().filter(|word| *word != "-").unwrap_or("");
                let items = word.split(',').filter(|item| !item.is_empty());
                items.map(str::to_owned).collect::<Vec<_>>()
            };
            let (tags, parents) = (list(), list());
            let ago = |days: i64| Time::from_ms(now.as_ms() - days * DAY_MS - 1);
            let mut image = Candidate {
                digest,
                tags,
                pushed_at: ago(age),
                pulled_at: None,
                parents,
                subject: None,
                archive: Archive::default(),
            };
            for word in words {
                let (what, days) = word.split_once('=').unwrap();
                if what == "subject" {
                    image.subject = Some(days.to_owned());
                    continue;
                }
                let at = Some(ago(days.parse().unwrap()));
                match what {
                    "pulled" => image.pulled_at = at,
                    "archived" => (image.archive.holds, image.archive.archived_at) = (true, at),
                    "restored" => image.archive.restored_at = at,
                    other => panic!("{other}"),
                }
            }
            image
        };
        let images: Vec<Candidate> = images.split(" | ").map(image).collect();
        let mut found: Vec<String> = evaluate(&policy, &images, now)
            .into_iter()
            .map(|v| match v.action {
                LifecycleAction::Expire => format!("{}:{}", v.digest, v.priority),
                LifecycleAction::Archive => format!("{}:{}:archive", v.digest, v.priority),
            })
            .collect();
        found.sort();
        assert_eq!(found.join(" "), expected);
    }

    fn rule(text: &str) -> String {
        let words: Vec<&str> = text.split(' ').collect();
        let select = match words[1].split_once('=') {
            Some(("prefix", list)) => format!(r#""tagStatus":"tagged","tagPrefixList":{}"#, json(list)),
            Some((_, list)) => format!(r#""tagStatus":"tagged","tagPatternList":{}"#, json(list)),
            None => format!(r#""tagStatus":"{}""#, words[1]),
        };
        let count = match words[2].split_once('=').unwrap() {
            ("count", n) => format!(r#""countType":"imageCountMoreThan","countNumber":{n}"#),
            ("pulled", n) => format!(r#""countType":"sinceImagePulled","countUnit":"days","countNumber":{n}"#),
            ("archived", n) => format!(
                r#""storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":{n}"#
            ),
            (_, n) => format!(r#""countType":"sinceImagePushed","countUnit":"days","countNumber":{n}"#),
        };
        let action = match words.get(3) {
            Some(_) => r#""type":"transition","targetStorageClass":"archive""#,
            None => r#""type":"expire""#,
        };
        format!(
            r#"{{"rulePriority":{},"selection":{{{select},{count}}},"action":{{{action}}}}}"#,
            words[0]
        )
    }

    fn json(list: &str) -> String {
        serde_json::to_string(&list.split(',').collect::<Vec<_>>()).unwrap()
    }

    // Ref: ECR user guide, "Examples of lifecycle policies in Amazon ECR".
    #[test]
    fn filtering_on_image_age() {
        check(
            "1 pattern=prod* days=14",
            "a 15 prod1 | b 13 prod2 | c 20 v1 | d 20",
            "a:1",
        );
        check("1 untagged days=14", "a 15 | b 13 | c 20 v1", "a:1");
    }

    #[test]
    fn filtering_on_last_pulled_time() {
        let images =
            "a 200 v1 | b 200 v2 - pulled=91 | c 200 v3 - pulled=80 | d 80 v4 | e 200 - - pulled=100 restored=3";
        check("1 any pulled=90 archive", images, "a:1:archive b:1:archive");
    }

    #[test]
    fn filtering_on_archive_transition_time() {
        let images = "a 999 v1 - archived=366 | b 999 v2 - archived=364 | c 999 v3";
        check("1 any archived=365", images, "a:1");
    }

    #[test]
    fn filtering_on_image_count() {
        check("1 untagged count=1", "a 3 | b 2 | c 1", "a:1 b:1");
    }

    #[test]
    fn filtering_on_multiple_rules_a() {
        let images = "a 10 beta-1,prod-1 | b 9 beta-2,prod-2 | c 8 beta-3";
        check("1 pattern=prod* count=1 | 2 pattern=beta* count=1", images, "a:1");
        check("1 prefix=prod count=1 | 2 prefix=beta count=1", images, "a:1");
    }

    #[test]
    fn filtering_on_multiple_rules_b() {
        let images = "a 10 beta-1,prod-1 | b 9 beta-2,prod-2 | c 8 beta-3";
        check("1 pattern=beta* count=1 | 2 pattern=prod* count=1", images, "a:1 b:1");
        check("1 prefix=beta count=1 | 2 prefix=prod count=1", images, "a:1 b:1");
    }

    #[test]
    fn filtering_on_multiple_tags_in_a_single_rule_a() {
        let images = "a 12 alpha-1 | b 11 beta-1 | c 10 alpha-2,beta-2 | d 4 alpha-3 | e 3 beta-3 | f 2 alpha-4,beta-4";
        check("1 pattern=alpha*,beta* days=5", images, "c:1");
        check("1 prefix=alpha,beta days=5", images, "c:1");
    }

    #[test]
    fn filtering_on_multiple_tags_in_a_single_rule_b() {
        let images = "a 10 alpha-1,beta-1,gamma-1 | b 9 alpha-2,beta-2 | c 8 alpha-3,beta-3,gamma-2";
        check("1 pattern=alpha*,beta* count=1", images, "a:1 b:1");
    }

    #[test]
    fn filtering_on_all_images_a() {
        check(
            "1 any count=1",
            "a 4 alpha-1 | b 3 beta-1 | c 2 | d 1 alpha-2",
            "a:1 b:1 c:1",
        );
    }

    #[test]
    fn filtering_on_all_images_b() {
        let images = "a 4 alpha-1,beta-1 | b 3 | c 2 alpha-2 | d 1 git-hash | e 0";
        let rules = "1 pattern=alpha* count=1 | 2 untagged days=1 | 3 any count=1";
        check(rules, images, "a:1 b:2 d:3");
    }

    #[test]
    fn filtering_on_all_images_after_a_rule_of_tags() {
        let images = "a 12 alpha-1 | b 11 beta-1 | c 10 alpha-2 | d 9 git-hash | e 8";
        check(
            "1 prefix=alpha days=11 | 2 prefix=beta days=100 | 3 any count=1",
            images,
            "a:1 d:3",
        );
    }

    #[test]
    fn archiving_images_older_than_a_number_of_days() {
        let images = "a 31 prod-1 | b 29 prod-2 | c 31 dev-1 | d 31 prod-3 - archived=1";
        check("1 pattern=prod* days=30 archive", images, "a:1:archive");
    }

    #[test]
    fn combining_archive_and_expire_rules() {
        let images = "a 31 v1 | b 500 v2 - archived=366 | c 500 v3 - archived=100 | d 3 v4";
        check("1 any days=30 archive | 2 any archived=365", images, "a:1:archive b:2");
    }

    #[test]
    fn archived_images_are_not_counted_with_the_others() {
        let images = "a 4 v1 - archived=1 | b 3 v2 - archived=1 | c 2 v3 | d 1 v4";
        check("1 any count=2 archive", images, "");
        check("1 any count=1 archive", images, "c:1:archive");
    }

    #[test]
    fn an_image_of_an_index_is_archived_with_it_or_after_it() {
        check("1 untagged days=5 archive", "i 9 v1 | a 9 - i", "");
        check("1 any days=5 archive", "i 9 v1 | a 9 - i", "a:1:archive i:1:archive");
        check(
            "1 untagged days=5 archive",
            "i 9 v1 - archived=1 | a 9 - i",
            "a:1:archive",
        );
        check("1 untagged days=5", "i 9 v1 - archived=1 | a 9 - i", "");
    }

    #[test]
    fn what_is_about_an_image_goes_with_it_or_after_it() {
        let untagged = "1 untagged days=5";
        check(untagged, "a 9 v1 | s 9 - - subject=a", "");
        check(untagged, "a 9 | s 1 - - subject=a", "a:1 s:1");
        check(untagged, "b 9 v1 | s 9 - - subject=a", "s:1");
        let archive = "1 pattern=v* days=5 archive";
        check(archive, "a 9 v1 | s 1 - - subject=a", "a:1:archive s:1:archive");
    }

    #[test]
    fn patterns_match_whole_tags() {
        check(
            "1 pattern=prod-*-x days=5",
            "a 9 prod-1-x | b 9 prod-1-y | c 9 my-prod-1-x",
            "a:1",
        );
    }

    #[test]
    fn an_image_of_an_index_goes_with_it_only() {
        check("1 untagged days=5", "i 9 v1 | a 9 - i", "");
        check("1 any days=5", "i 9 v1 | a 9 - i", "a:1 i:1");
    }

    #[test]
    fn contradictory_policies_are_refused() {
        const ONE_ANY: &str = "Only one rule can specify tagStatus=ANY per storage class";
        for (rules, word) in [
            (
                "1 any count=1 | 2 untagged count=1",
                "Rule for tagStatus=ANY must have the lowest priority per storage class",
            ),
            (
                "1 untagged count=1 | 1 any count=1",
                "Duplicate priority in multiple rules",
            ),
            (
                "1 untagged count=1 | 2 untagged days=1",
                "Only one rule can select Untagged images per storage class",
            ),
            ("1 prefix=a count=1 | 2 prefix=a days=1", "unique"),
            ("1 any pulled=90", "sinceImagePulled"),
            ("1 any archived=89", "90 days"),
            ("1 any archived=365 archive", "sinceImageTransitioned"),
            ("1 any archived=365 | 2 any archived=366", ONE_ANY),
        ] {
            let rules: Vec<String> = rules.split(" | ").map(rule).collect();
            let error = Policy::parse(&format!(r#"{{"rules":[{}]}}"#, rules.join(","))).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
        for bad in [
            "",
            "{}",
            r#"{"rules":[]}"#,
            r#"{"rules":[{}]}"#,
            r#"{"rules":[],"x":1}"#,
        ] {
            assert!(Policy::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn storage_classes_and_actions_that_do_not_go_together_are_refused() {
        let check = |more: &str, action: &str, word: &str| {
            let text = format!(
                r#"{{"rules":[{{"rulePriority":1,"selection":{{"tagStatus":"any",{more}}},"action":{{{action}}}}}]}}"#
            );
            match Policy::parse(&text) {
                Ok(_) => assert_eq!(word, "", "{text}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(!word.is_empty() && error.contains(word), "{error}: {text}");
                }
            }
        };
        let (count, expire) = (
            r#""countType":"imageCountMoreThan","countNumber":1"#,
            r#""type":"expire""#,
        );
        let transition = r#""type":"transition","targetStorageClass":"archive""#;
        check(&format!(r#""storageClass":"standard",{count}"#), transition, "");
        check(
            &format!(r#""storageClass":"archive",{count}"#),
            expire,
            "support the STANDARD storage class only",
        );
        check(&format!(r#""storageClass":"glacier",{count}"#), expire, "storageClass");
        check(
            count,
            r#""type":"transition""#,
            "Lifecycle policy parsing failure: Could not map policyString into LifecyclePolicy.",
        );
        let no_action =
            "Lifecycle policy validation failure: instance failed to match exactly one schema (matched 0 out of 2)";
        check(count, r#""type":"expire","targetStorageClass":"archive""#, no_action);
        check(count, r#""type":"expire","targetStorageClass":null"#, no_action);
        check(count, r#""type":"delete""#, no_action);
        check(
            count,
            r#""type":"expire","when":"now""#,
            r#"object instance has properties which are not allowed by the schema: ["when"]"#,
        );
        check(
            count,
            r#""type":"expire"},"description":5,"action":{"type":"expire""#,
            "description",
        );
        let archived = r#""countType":"sinceImageTransitioned","countUnit":"days","countNumber":90"#;
        check(archived, expire, "storageClass 'archive'");
        check(&format!(r#""storageClass":"archive",{archived}"#), expire, "");
    }
}
