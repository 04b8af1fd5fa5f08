//! Managed rule groups: the names, labels and capacities that AWS publishes, with detection of our own.
//!
//! AWS does not publish its patterns; what these rules find is not what AWS's rules find. Left out are groups that need
//! address feeds or AWS's client integration: they could never match.

mod application;
mod core_rules;
mod known_bad;
mod system;

#[cfg(test)]
mod tests;

use crate::rule::{Action, Effect, Field, Input, MapField, MapWanted, Oversize, Part, Rule, SizeOperator, Statement};
use crate::transform::Transformation as T;
use crate::{CompileError, inspect};
use std::collections::HashSet;
use std::sync::OnceLock;

/// A managed rule group.
#[derive(Debug)]
pub struct ManagedRuleGroup {
    /// The vendor's name in the API.
    pub vendor: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The part of its labels between `awswaf:managed:aws:` and the rule's own part.
    pub namespace: &'static str,
    /// Its WCU.
    pub capacity: u64,
    /// What it is for; says that the detection is our own.
    pub description: &'static str,
    /// Its rules in order; all of them block.
    pub rules: &'static [ManagedRule],
}

/// A rule of a managed group.
#[derive(Debug)]
pub struct ManagedRule {
    /// Its name.
    pub name: &'static str,
    /// Its label without the group's prefix.
    pub label: &'static str,
    detection: Detection,
}

/// The one version that each group has.
pub(crate) const VERSION: &str = "Version_1.0";

/// Where a managed rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Argument values.
    Arguments,
    /// The query string as a whole.
    Query,
    /// Texts inside of the body.
    Body,
    /// The body as it came.
    RawBody,
    /// Cookie values.
    Cookies,
    /// Header names and values.
    Headers,
    Path,
    /// A header.
    Header(&'static str),
    Method,
}

/// What is done to a text first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undo {
    Nothing,
    /// URL encoding.
    Url,
    /// URL encoding, twice.
    UrlTwice,
    /// URL encoding, comments, white space.
    Sql,
    /// URL encoding, HTML entities.
    Html,
    /// URL encoding, backslash escapes of JavaScript.
    Js,
    /// URL encoding, quoting of a command line.
    Shell,
}

impl Undo {
    fn chain(self) -> Vec<T> {
        match self {
            Undo::Nothing => vec![],
            Undo::Url => vec![T::UrlDecodeUni],
            Undo::UrlTwice => vec![T::UrlDecodeUni, T::UrlDecodeUni],
            Undo::Sql => vec![T::UrlDecodeUni, T::ReplaceComments, T::CompressWhiteSpace],
            Undo::Html => vec![T::UrlDecodeUni, T::HtmlEntityDecode],
            Undo::Js => vec![T::UrlDecodeUni, T::JsDecode],
            Undo::Shell => vec![T::UrlDecodeUni, T::CmdLineUnix],
        }
    }
}

/// How a managed rule finds what it is named for.
#[derive(Debug)]
enum Detection {
    /// One of the patterns, in any case, in the place after one of the ways to undo disguises.
    Patterns(Place, &'static [Undo], &'static [&'static str]),
    /// The same, and case counts.
    ExactPatterns(Place, &'static [Undo], &'static [&'static str]),
    /// Both of them.
    Either(&'static [Detection]),
    /// The built-in SQL injection statement, sensitivity LOW.
    Sqli(Place, &'static [Undo]),
    /// The built-in cross-site scripting statement.
    Xss(Place, &'static [Undo]),
    /// More bytes than that.
    Larger(Place, u64),
    /// The header is missing or empty.
    NoHeader(&'static str),
}

impl Place {
    fn input(self, undo: Undo) -> Input {
        let all = |part| MapField {
            wanted: MapWanted::All,
            part,
            oversize: Oversize::Continue,
        };
        let field = match self {
            Place::Arguments => Field::ArgumentTexts,
            Place::Query => Field::QueryString,
            Place::Body => Field::BodyTexts,
            Place::RawBody => Field::Body(Oversize::Continue),
            Place::Cookies => Field::Cookies(all(Part::Value)),
            Place::Headers => Field::Headers(all(Part::All)),
            Place::Path => Field::UriPath,
            Place::Header(name) => Field::SingleHeader(name.to_owned()),
            Place::Method => Field::Method,
        };
        Input {
            field,
            chain: undo.chain(),
        }
    }
}

fn any_case(pattern: &str) -> String {
    format!("(?i-u:{pattern})")
}

fn exact_case(pattern: &str) -> String {
    format!("(?-u:{pattern})")
}

impl Detection {
    fn statement(&self) -> Statement {
        let either = |mut all: Vec<Statement>| match all.len() {
            1 => all.remove(0),
            _ => Statement::Or(all),
        };
        match self {
            Detection::Patterns(place, undo, patterns) => either(each(undo, |undo| Statement::Regex {
                input: place.input(undo),
                patterns: patterns.iter().map(|pattern| any_case(pattern)).collect(),
            })),
            Detection::ExactPatterns(place, undo, patterns) => either(each(undo, |undo| Statement::Regex {
                input: place.input(undo),
                patterns: patterns.iter().map(|pattern| exact_case(pattern)).collect(),
            })),
            Detection::Either(inner) => either(inner.iter().map(Detection::statement).collect()),
            Detection::Sqli(place, undo) => either(each(undo, |undo| Statement::Sqli {
                input: place.input(undo),
                high: false,
            })),
            Detection::Xss(place, undo) => either(each(undo, |undo| Statement::Xss {
                input: place.input(undo),
            })),
            Detection::Larger(place, size) => {
                let mut input = place.input(Undo::Nothing);
                if *place == Place::RawBody {
                    // What was not read makes the body larger than what is inspected.
                    input.field = Field::Body(Oversize::Match);
                }
                Statement::Size {
                    input,
                    operator: SizeOperator::Gt,
                    size: *size,
                }
            }
            Detection::NoHeader(name) => {
                let input = Place::Header(name).input(Undo::Nothing);
                Statement::Not(Box::new(Statement::Size {
                    input,
                    operator: SizeOperator::Gt,
                    size: 0,
                }))
            }
        }
    }

    fn patterns(&self, found: &mut HashSet<String>) {
        match self {
            Detection::Patterns(_, _, patterns) => found.extend(patterns.iter().map(|pattern| any_case(pattern))),
            Detection::ExactPatterns(_, _, patterns) => {
                found.extend(patterns.iter().map(|pattern| exact_case(pattern)))
            }
            Detection::Either(inner) => inner.iter().for_each(|detection| detection.patterns(found)),
            Detection::Sqli(..) | Detection::Xss(..) | Detection::Larger(..) | Detection::NoHeader(_) => {}
        }
    }
}

fn each(undo: &[Undo], statement: impl Fn(Undo) -> Statement) -> Vec<Statement> {
    undo.iter().map(|undo| statement(*undo)).collect()
}

impl ManagedRuleGroup {
    /// Versions that a reference may name.
    pub fn versions(&self) -> &'static [&'static str] {
        &[VERSION]
    }

    /// The prefix of its labels, with a colon at the end.
    pub fn label_namespace(&self) -> String {
        format!("awswaf:managed:aws:{}:", self.namespace)
    }

    pub(crate) fn typed_rules(&self) -> Vec<Rule> {
        let rules = self.rules.iter().zip(0..);
        rules
            .map(|(rule, priority)| Rule {
                name: rule.name.to_owned(),
                priority,
                statement: rule.detection.statement(),
                effect: Effect::Act(Action::Block(None)),
                labels: vec![rule.label.to_owned()],
                metric: String::new(),
                sampled: false,
            })
            .collect()
    }
}

/// All managed rule groups that this firewall has.
pub fn managed_groups() -> &'static [ManagedRuleGroup] {
    GROUPS
}

/// The group of that vendor and name.
pub fn managed_group(vendor: &str, name: &str) -> Option<&'static ManagedRuleGroup> {
    GROUPS.iter().find(|group| group.vendor == vendor && group.name == name)
}

/// The group of that vendor, name and version; the error that WAFv2 answers with when there is none.
pub(crate) fn group(
    vendor: &str,
    name: &str,
    version: Option<&str>,
) -> Result<&'static ManagedRuleGroup, CompileError> {
    let group = managed_group(vendor, name).ok_or_else(|| {
        let reason = "The managed rule group is not available in this installation";
        CompileError::missing("MANAGED_RULE_SET_STATEMENT", format!("{vendor}:{name}"), reason)
    })?;
    match version {
        Some(version) if !group.versions().contains(&version) => {
            let reason = "The managed rule group has no such version";
            Err(CompileError::missing("MANAGED_RULE_SET_STATEMENT", version, reason))
        }
        _ => Ok(group),
    }
}

/// Whether a pattern is one of the managed groups' own, which a test compiles.
pub(crate) fn is_own_pattern(pattern: &str) -> bool {
    static OWN: OnceLock<HashSet<String>> = OnceLock::new();
    let own = OWN.get_or_init(|| {
        let mut found = HashSet::new();
        for rule in GROUPS.iter().flat_map(|group| group.rules) {
            rule.detection.patterns(&mut found);
        }
        found
    });
    own.contains(pattern)
}

const fn rule(name: &'static str, label: &'static str, detection: Detection) -> ManagedRule {
    ManagedRule { name, label, detection }
}

const AWS: &str = "AWS";

static GROUPS: &[ManagedRuleGroup] = &[
    ManagedRuleGroup {
        vendor: AWS,
        name: "AWSManagedRulesCommonRuleSet",
        namespace: "core-rule-set",
        capacity: 700,
        description: "Rules that are generally applicable to web applications. AWS's rule names and labels; detection by Honmaru.",
        rules: core_rules::RULES,
    },
    ManagedRuleGroup {
        vendor: AWS,
        name: "AWSManagedRulesAdminProtectionRuleSet",
        namespace: "admin-protection",
        capacity: 100,
        description: "Blocks external access to exposed administrative pages. AWS's rule names and labels; detection by Honmaru.",
        rules: core_rules::ADMIN_RULES,
    },
    ManagedRuleGroup {
        vendor: AWS,
        name: "AWSManagedRulesKnownBadInputsRuleSet",
        namespace: "known-bad-inputs",
        capacity: 200,
        description: "Blocks request patterns that are known to be invalid and belong to exploitation. AWS's rule names and labels; detection by Honmaru.",
        rules: known_bad::RULES,
    },
    ManagedRuleGroup {
        vendor: AWS,
        name: "AWSManagedRulesSQLiRuleSet",
        namespace: "sql-database",
        capacity: 200,
        description: "Blocks request patterns of SQL injection. AWS's rule names and labels; detection by Honmaru.",
        rules: application::SQL_RULES,
    },
    ManagedRuleGroup {
        vendor: AWS,
        name: "AWSManagedRulesLinuxRuleSet",
        namespace: "linux-os",
        capacity: 200,
        description: "Blocks request patterns against Linux, such as local file inclusion. AWS's rule names and labels; detection by Honmaru.",
        rules: system::LINUX_RULES,
    },
    ManagedRuleGroup {
        vendor: AWS,
        name: "AWSManagedRulesUnixRuleSet",
        namespace: "posix-os",
        capacity: 100,
        description: "Blocks request patterns against POSIX systems. AWS's rule names and labels; detection by Honmaru.",
        rules: system::UNIX_RULES,
    },
    ManagedRuleGroup {
        vendor: AWS,
        name: "AWSManagedRulesWindowsRuleSet",
        namespace: "windows-os",
        capacity: 200,
        description: "Blocks request patterns against Windows, such as remote execution of PowerShell. AWS's rule names and labels; detection by Honmaru.",
        rules: system::WINDOWS_RULES,
    },
    ManagedRuleGroup {
        vendor: AWS,
        name: "AWSManagedRulesPHPRuleSet",
        namespace: "php-app",
        capacity: 100,
        description: "Blocks request patterns against PHP. AWS's rule names and labels; detection by Honmaru.",
        rules: application::PHP_RULES,
    },
    ManagedRuleGroup {
        vendor: AWS,
        name: "AWSManagedRulesWordPressRuleSet",
        namespace: "wordpress-app",
        capacity: 100,
        description: "Blocks request patterns against WordPress sites. AWS's rule names and labels; detection by Honmaru.",
        rules: application::WORDPRESS_RULES,
    },
];

/// The SQL patterns are the built-in statement's at high sensitivity.
const SQL_PATTERNS: &[&str] = inspect::SQL_PATTERNS;
