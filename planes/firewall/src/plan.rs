//! From statements to a plan: each component and each transformation on it appears once, and all byte strings and
//! patterns that look at the same text are one matcher.

use crate::inspect::IpSet;
use crate::rule::{Field, ForwardedIp, Input, LabelScope, Position, SizeOperator, Statement};
use crate::transform::Transformation;
use crate::{CompileError, managed};
use aho_corasick::AhoCorasick;
use honmaru_contract::edge::WebAcl;
use regex::bytes::{RegexBuilder, RegexSet, RegexSetBuilder};
use std::collections::HashMap;

/// One compiled pattern may be that large.
const PATTERN_BYTES_MAX: usize = 4 << 20;
/// All patterns on one text together may be that large.
const PATTERN_SET_BYTES_MAX: usize = 64 << 20;
/// What the lazy automaton of one set may hold.
const PATTERN_CACHE_BYTES_MAX: usize = 4 << 20;

/// A text that is looked at: a component, or another input after one more transformation.
#[derive(Debug)]
pub(crate) struct PlannedInput {
    pub(crate) field: usize,
    /// The input before the last transformation.
    pub(crate) before: Option<(usize, Transformation)>,
    pub(crate) words: Option<AhoCorasick>,
    pub(crate) patterns: Option<RegexSet>,
}

/// What all rules look at.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) fields: Vec<Field>,
    pub(crate) inputs: Vec<PlannedInput>,
}

/// A test on one text.
#[derive(Debug)]
pub(crate) enum Test {
    Exactly(Vec<u8>),
    StartsWith(Vec<u8>),
    EndsWith(Vec<u8>),
    /// The byte string of that number in the input's words.
    Word(usize),
    /// One of the patterns of those numbers in the input's patterns.
    Patterns(Vec<usize>),
    Sqli {
        high: bool,
    },
    Xss,
    Size(SizeOperator, u64),
}

/// A compiled statement.
#[derive(Debug)]
pub(crate) enum Node {
    Test { input: usize, test: Test },
    Ip { set: IpSet, forwarded: Option<ForwardedIp> },
    Geo { forwarded: Option<ForwardedIp> },
    Asn { forwarded: Option<ForwardedIp> },
    Label { scope: LabelScope, key: String },
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
}

#[derive(Default)]
struct Draft {
    field: usize,
    before: Option<(usize, Transformation)>,
    words: Vec<Vec<u8>>,
    patterns: Vec<String>,
}

/// Collects what rules look at.
#[derive(Default)]
pub(crate) struct Planner {
    fields: Vec<Field>,
    inputs: Vec<Draft>,
    known: HashMap<Input, usize>,
}

fn place<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|have| *have == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

impl Planner {
    pub(crate) fn input(&mut self, input: &Input) -> usize {
        if let Some(known) = self.known.get(input) {
            return *known;
        }
        let before = input.chain.split_last().map(|(last, earlier)| {
            (
                self.input(&Input {
                    field: input.field.clone(),
                    chain: earlier.to_vec(),
                }),
                *last,
            )
        });
        let field = place(&mut self.fields, input.field.clone());
        self.inputs.push(Draft {
            field,
            before,
            ..Draft::default()
        });
        self.known.insert(input.clone(), self.inputs.len() - 1);
        self.inputs.len() - 1
    }

    fn pattern(&mut self, input: usize, pattern: String) -> usize {
        self.inputs
            .get_mut(input)
            .map_or(0, |draft| place(&mut draft.patterns, pattern))
    }

    /// Compiles a statement that is no rate and no group. `context` qualifies labels, for example
    /// `awswaf:000000000000:webacl:shop:`.
    pub(crate) fn node(&mut self, statement: &Statement, acl: &WebAcl, context: &str) -> Result<Node, CompileError> {
        let all = |planner: &mut Self, inner: &[Statement]| {
            inner
                .iter()
                .map(|statement| planner.node(statement, acl, context))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(match statement {
            Statement::Byte {
                input,
                search,
                position,
            } => {
                let input = self.input(input);
                let test = match position {
                    Position::Exactly => Test::Exactly(search.clone()),
                    Position::StartsWith => Test::StartsWith(search.clone()),
                    Position::EndsWith => Test::EndsWith(search.clone()),
                    Position::Contains => Test::Word(
                        self.inputs
                            .get_mut(input)
                            .map_or(0, |draft| place(&mut draft.words, search.clone())),
                    ),
                    Position::ContainsWord => {
                        let word = regex::escape(&String::from_utf8_lossy(search));
                        let pattern = format!("(?-u:(?:^|[^A-Za-z0-9_]){word}(?:$|[^A-Za-z0-9_]))");
                        Test::Patterns(vec![self.pattern(input, pattern)])
                    }
                };
                Node::Test { input, test }
            }
            Statement::Regex { input, patterns } => {
                let input = self.input(input);
                Node::Test {
                    input,
                    test: self.patterns(input, patterns)?,
                }
            }
            Statement::RegexSet { input, arn } => {
                let patterns = acl.regex_pattern_sets.get(arn).ok_or_else(|| {
                    CompileError::missing(
                        "REGEX_PATTERN_REFERENCE_STATEMENT",
                        arn.clone(),
                        "The regex pattern set does not exist",
                    )
                })?;
                let input = self.input(input);
                Node::Test {
                    input,
                    test: self.patterns(input, patterns)?,
                }
            }
            Statement::Sqli { input, high } => Node::Test {
                input: self.input(input),
                test: Test::Sqli { high: *high },
            },
            Statement::Xss { input } => Node::Test {
                input: self.input(input),
                test: Test::Xss,
            },
            Statement::Size { input, operator, size } => Node::Test {
                input: self.input(input),
                test: Test::Size(*operator, *size),
            },
            Statement::IpSet { arn, forwarded } => {
                let ranges = acl.ip_sets.get(arn).ok_or_else(|| {
                    CompileError::missing("IP_SET_REFERENCE_STATEMENT", arn.clone(), "The IP set does not exist")
                })?;
                Node::Ip {
                    set: IpSet::parse(ranges)?,
                    forwarded: forwarded.clone(),
                }
            }
            Statement::GeoUnknown { forwarded } => Node::Geo {
                forwarded: forwarded.clone(),
            },
            Statement::AsnUnknown { forwarded } => Node::Asn {
                forwarded: forwarded.clone(),
            },
            Statement::Label { scope, key } => Node::Label {
                scope: *scope,
                key: qualified(key, context),
            },
            Statement::And(inner) => Node::And(all(self, inner)?),
            Statement::Or(inner) => Node::Or(all(self, inner)?),
            Statement::Not(inner) => Node::Not(Box::new(self.node(inner, acl, context)?)),
            Statement::Rate(_) | Statement::Managed(_) | Statement::Group { .. } => {
                let reason = "A reference in your rule statement is not valid";
                return Err(CompileError::invalid("RULE", "Statement", reason));
            }
        })
    }

    fn patterns(&mut self, input: usize, patterns: &[String]) -> Result<Test, CompileError> {
        let mut numbers = Vec::new();
        for pattern in patterns {
            let checked = if managed::is_own_pattern(pattern) {
                pattern.clone()
            } else {
                check_pattern(pattern)?
            };
            numbers.push(self.pattern(input, checked));
        }
        Ok(Test::Patterns(numbers))
    }

    /// Builds the matchers.
    pub(crate) fn finish(self) -> Result<Plan, CompileError> {
        let inputs = self.inputs.into_iter().map(|draft| {
            let too_large = |what: &str| {
                CompileError::invalid(
                    "STATEMENT",
                    what,
                    "The byte strings or patterns of these rules are too large together",
                )
            };
            let words = match draft.words.is_empty() {
                true => None,
                false => Some(AhoCorasick::new(&draft.words).map_err(|_| too_large("SearchString"))?),
            };
            let patterns = match draft.patterns.is_empty() {
                true => None,
                false => Some(
                    RegexSetBuilder::new(&draft.patterns)
                        .size_limit(PATTERN_SET_BYTES_MAX)
                        .dfa_size_limit(PATTERN_CACHE_BYTES_MAX)
                        .build()
                        .map_err(|_| too_large("RegexString"))?,
                ),
            };
            Ok(PlannedInput {
                field: draft.field,
                before: draft.before,
                words,
                patterns,
            })
        });
        Ok(Plan {
            inputs: inputs.collect::<Result<_, _>>()?,
            fields: self.fields,
        })
    }
}

/// A label or namespace with its context, unless it has one.
pub(crate) fn qualified(key: &str, context: &str) -> String {
    if key.starts_with("awswaf:") {
        key.to_owned()
    } else {
        format!("{context}{key}")
    }
}

/// Checks a pattern and gives the form in which it is compiled: bytes, without Unicode where the pattern allows.
/// The error names what the syntax does not have (look-around, backreferences).
pub(crate) fn check_pattern(pattern: &str) -> Result<String, CompileError> {
    // The pattern is compiled by itself, so that an unbalanced bracket cannot pass inside of the group around it.
    let compile = |unicode: bool| {
        RegexBuilder::new(pattern)
            .unicode(unicode)
            .size_limit(PATTERN_BYTES_MAX)
            .build()
    };
    if compile(false).is_ok() {
        return Ok(format!("(?-u:{pattern})"));
    }
    match compile(true) {
        Ok(_) => Ok(format!("(?:{pattern})")),
        Err(error) => {
            let cause = error.to_string();
            let cause = cause
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .trim();
            let reason = format!("The regular expression is not valid or not supported: {cause}");
            Err(CompileError::invalid(
                "REGEX_PATTERN_REFERENCE_STATEMENT",
                pattern,
                reason,
            ))
        }
    }
}
