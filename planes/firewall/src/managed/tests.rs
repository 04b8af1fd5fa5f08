//! The groups' data: names, labels, numbers, patterns that compile.

use super::*;
use regex::bytes::Regex;
use std::collections::BTreeSet;

#[test]
fn groups_have_the_published_numbers_of_rules_and_capacities() {
    let expected = [
        ("AWSManagedRulesCommonRuleSet", 700, 22),
        ("AWSManagedRulesAdminProtectionRuleSet", 100, 1),
        ("AWSManagedRulesKnownBadInputsRuleSet", 200, 12),
        ("AWSManagedRulesSQLiRuleSet", 200, 5),
        ("AWSManagedRulesLinuxRuleSet", 200, 3),
        ("AWSManagedRulesUnixRuleSet", 100, 2),
        ("AWSManagedRulesWindowsRuleSet", 200, 6),
        ("AWSManagedRulesPHPRuleSet", 100, 3),
        ("AWSManagedRulesWordPressRuleSet", 100, 2),
    ];
    let have: Vec<_> = GROUPS
        .iter()
        .map(|group| (group.name, group.capacity, group.rules.len()))
        .collect();
    assert_eq!(have, expected);
}

/// The label is the rule's name with its field part rewritten; the exceptions are listed.
#[test]
fn labels_follow_the_published_rewriting() {
    let rewritten = |name: &str| {
        [
            ("_QUERYARGUMENTS", "_QueryArguments"),
            ("_QUERYSTRING", "_QueryString"),
            ("_URIPATH", "_URIPath"),
            ("_BODY", "_Body"),
            ("_COOKIE", "_Cookie"),
            ("_HEADER", "_Header"),
            ("_METHOD", "_Method"),
        ]
        .iter()
        .find_map(|(from, to)| name.strip_suffix(from).map(|stem| format!("{stem}{to}")))
        .expect("every name ends with its field")
    };
    for group in GROUPS {
        let mut names = BTreeSet::new();
        for rule in group.rules {
            assert!(names.insert(rule.name), "{} is there twice", rule.name);
            let expected = match rule.name {
                "UserAgent_BadBots_HEADER" => "BadBots_Header".to_owned(),
                "Host_localhost_HEADER" => "Host_Localhost_Header".to_owned(),
                "PROPFIND_METHOD" => "Propfind_Method".to_owned(),
                name if group.namespace == "posix-os" || group.namespace == "wordpress-app" => name.to_owned(),
                name => rewritten(name),
            };
            assert_eq!(rule.label, expected);
        }
    }
}

#[test]
fn every_pattern_compiles() {
    let mut found = HashSet::new();
    for rule in GROUPS.iter().flat_map(|group| group.rules) {
        rule.detection.patterns(&mut found);
    }
    assert!(found.len() > 80);
    for pattern in found {
        assert!(
            Regex::new(&pattern).is_ok(),
            "{pattern}: {:?}",
            Regex::new(&pattern).err()
        );
        assert!(is_own_pattern(&pattern));
    }
}
