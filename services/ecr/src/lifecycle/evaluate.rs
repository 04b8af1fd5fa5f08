//! Which images a policy expires.
//!
//! The documented rules: all rules are evaluated, then applied by priority; an image is expired by one rule or none; a
//! rule counts images that higher rules expire, but one that matches a higher rule's tags is never expired by a lower
//! one; the older goes before the newer; an image of an index stays as long as the index.

use super::policy::{Count, Policy, Select};
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
    /// What it is about, when it is a reference artifact: those go with their subject, and are not judged themselves.
    pub(crate) subject: Option<String>,
}

/// An image that expires, and the rule that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) digest: String,
    pub(crate) priority: i32,
}

/// The images that expire at `now`, in the order in which they may be deleted: indexes before their manifests.
pub(crate) fn evaluate(policy: &Policy, images: &[Candidate], now: Time) -> Vec<Verdict> {
    let mut oldest_first: Vec<&Candidate> = images.iter().filter(|image| image.subject.is_none()).collect();
    oldest_first.sort_by(|a, b| (a.pushed_at, &a.digest).cmp(&(b.pushed_at, &b.digest)));
    let mut expired: BTreeMap<&str, i32> = BTreeMap::new();
    for (at, rule) in policy.rules.iter().enumerate() {
        let matched: Vec<&&Candidate> = oldest_first
            .iter()
            .filter(|image| selects(&rule.select, image))
            .collect();
        let marked: Vec<&&Candidate> = match &rule.count {
            Count::MoreThan(keep) => {
                let surplus = matched.len().saturating_sub(*keep);
                matched.into_iter().take(surplus).collect()
            }
            Count::SincePushedDays(days) => matched
                .into_iter()
                .filter(|image| now.since_ms(image.pushed_at) > days.saturating_mul(DAY_MS))
                .collect(),
            Count::SincePulledDays(days) => {
                let used = |image: &Candidate| image.pulled_at.unwrap_or(image.pushed_at);
                matched
                    .into_iter()
                    .filter(|image| now.since_ms(used(image)) > days.saturating_mul(DAY_MS))
                    .collect()
            }
        };
        let higher = policy.rules.get(..at).unwrap_or_default();
        for image in marked {
            if !higher.iter().any(|rule| selects(&rule.select, image)) {
                expired.insert(&image.digest, rule.priority);
            }
        }
    }
    order(images, &expired)
}

fn selects(select: &Select, image: &Candidate) -> bool {
    match select {
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
fn order(images: &[Candidate], expired: &BTreeMap<&str, i32>) -> Vec<Verdict> {
    let by_digest: BTreeMap<&str, &Candidate> = images.iter().map(|image| (image.digest.as_str(), image)).collect();
    let mut gone: BTreeSet<&str> = BTreeSet::new();
    let mut verdicts = Vec::new();
    // Each round can only free what the round before held: as many rounds as indexes lie in indexes.
    loop {
        let free: Vec<(&str, i32)> = expired
            .iter()
            .filter(|(digest, _)| !gone.contains(**digest))
            .filter(|(digest, _)| {
                let parents = by_digest
                    .get(**digest)
                    .map(|image| image.parents.as_slice())
                    .unwrap_or_default();
                parents.iter().all(|parent| gone.contains(parent.as_str()))
            })
            .map(|(digest, priority)| (*digest, *priority))
            .collect();
        if free.is_empty() {
            break;
        }
        for (digest, priority) in free {
            gone.insert(digest);
            verdicts.push(Verdict {
                digest: digest.to_owned(),
                priority,
            });
        }
    }
    for image in images {
        let about = image
            .subject
            .as_deref()
            .and_then(|subject| verdicts.iter().find(|v| v.digest == subject));
        if let Some(priority) = about.map(|verdict| verdict.priority) {
            verdicts.push(Verdict {
                digest: image.digest.clone(),
                priority,
            });
        }
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `images`: `NAME age_days tag,tag`; `rules`: `priority status count`; answers `NAME:priority` in order.
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
            let tags = words
                .next()
                .unwrap_or("")
                .split(',')
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned)
                .collect();
            let parents = words.next().map(|parent| vec![parent.to_owned()]).unwrap_or_default();
            let pushed_at = Time::from_ms(now.as_ms() - age * DAY_MS - 1);
            Candidate {
                digest,
                tags,
                pushed_at,
                pulled_at: None,
                parents,
                subject: None,
            }
        };
        let images: Vec<Candidate> = images.split(" | ").map(image).collect();
        let mut found: Vec<String> = evaluate(&policy, &images, now)
            .into_iter()
            .map(|v| format!("{}:{}", v.digest, v.priority))
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
            (_, n) => format!(r#""countType":"sinceImagePushed","countUnit":"days","countNumber":{n}"#),
        };
        format!(
            r#"{{"rulePriority":{},"selection":{{{select},{count}}},"action":{{"type":"expire"}}}}"#,
            words[0]
        )
    }

    fn json(list: &str) -> String {
        serde_json::to_string(&list.split(',').collect::<Vec<_>>()).unwrap()
    }

    // Ref: ECR user guide, "Examples of lifecycle policies in Amazon ECR".
    #[test]
    fn filtering_on_image_age() {
        check("1 untagged days=14", "a 15 | b 13 | c 20 v1", "a:1");
    }

    #[test]
    fn filtering_on_image_count() {
        check("1 untagged count=1", "a 3 | b 2 | c 1", "a:1 b:1");
    }

    #[test]
    fn filtering_on_multiple_rules_a() {
        let images = "a 10 beta-1,prod-1 | b 9 beta-2,prod-2 | c 8 beta-3";
        check("1 prefix=prod count=1 | 2 prefix=beta count=1", images, "a:1");
    }

    #[test]
    fn filtering_on_multiple_rules_b() {
        let images = "a 10 beta-1,prod-1 | b 9 beta-2,prod-2 | c 8 beta-3";
        check("1 prefix=beta count=1 | 2 prefix=prod count=1", images, "a:1 b:1");
    }

    #[test]
    fn filtering_on_multiple_tags_in_a_single_rule() {
        let images = "a 12 alpha-1 | b 11 beta-1 | c 10 alpha-2,beta-2 | d 4 alpha-3 | e 3 beta-3 | f 2 alpha-4,beta-4";
        check("1 prefix=alpha,beta days=5", images, "c:1");
    }

    #[test]
    fn filtering_on_all_images() {
        check(
            "1 any count=5",
            "a 7 | b 6 v1 | c 5 | d 4 | e 3 | f 2 | g 1 v2",
            "a:1 b:1",
        );
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
    fn patterns_match_whole_tags() {
        check(
            "1 pattern=prod-*-x days=5",
            "a 9 prod-1-x | b 9 prod-1-y | c 9 my-prod-1-x",
            "a:1",
        );
    }

    #[test]
    fn an_image_of_an_index_goes_with_it_only() {
        check("1 untagged days=5", "i 9 v1 | a 9  i", "");
        check("1 any days=5", "i 9 v1 | a 9  i", "a:1 i:1");
    }

    #[test]
    fn contradictory_policies_are_refused() {
        for (rules, word) in [
            ("1 any count=1 | 2 untagged count=1", "highest"),
            ("1 untagged count=1 | 1 any count=1", "unique"),
            ("1 untagged count=1 | 2 untagged days=1", "untagged"),
            ("1 prefix=a count=1 | 2 prefix=a days=1", "unique"),
        ] {
            let rules: Vec<String> = rules.split(" | ").map(rule).collect();
            let error = Policy::parse(&format!(r#"{{"rules":[{}]}}"#, rules.join(","))).unwrap_err();
            assert!(error.contains(word), "{error}");
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
}
