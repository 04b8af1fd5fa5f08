//! One request under inspection: components, transformed texts and matches, each computed when first asked for, once.

use super::detect;
use super::extract::{Extracted, extract};
use super::ip::{Addresses, addresses, forwarded_one};
use super::text::Text;
use crate::RequestView;
use crate::plan::{Node, Plan, Test};
use crate::rule::{Fallback, ForwardedIp, LabelScope};
use std::cell::{Cell, OnceCell};

/// The rule does not look at this request: the header with the forwarded address is missing.
#[derive(Debug)]
pub(crate) struct NotEvaluated;

#[derive(Default)]
struct Memo<'r> {
    texts: OnceCell<Vec<Text<'r>>>,
    /// Whether the last transformation changed nothing.
    same: Cell<bool>,
    words: OnceCell<Vec<bool>>,
    patterns: OnceCell<Vec<bool>>,
    sqli_low: OnceCell<bool>,
    sqli_high: OnceCell<bool>,
    xss: OnceCell<bool>,
}

pub(crate) struct Look<'r, 'p> {
    pub(crate) request: RequestView<'r>,
    plan: &'p Plan,
    fields: Vec<OnceCell<Extracted<'r>>>,
    memos: Vec<Memo<'r>>,
}

impl<'r, 'p> Look<'r, 'p> {
    pub(crate) fn new(request: RequestView<'r>, plan: &'p Plan) -> Self {
        let fields = plan.fields.iter().map(|_| OnceCell::new()).collect();
        let memos = plan.inputs.iter().map(|_| Memo::default()).collect();
        Self {
            request,
            plan,
            fields,
            memos,
        }
    }

    fn field(&self, input: usize) -> Option<&Extracted<'r>> {
        let field = self.plan.inputs.get(input)?.field;
        let what = self.plan.fields.get(field)?;
        Some(self.fields.get(field)?.get_or_init(|| extract(what, &self.request)))
    }

    /// The input's texts; none when the component is missing.
    pub(crate) fn texts(&self, input: usize) -> &[Text<'r>] {
        let (Some(planned), Some(memo)) = (self.plan.inputs.get(input), self.memos.get(input)) else {
            return &[];
        };
        match planned.before {
            None => self.field(input).map_or(&[], |extracted| &extracted.texts),
            Some((before, transformation)) => memo.texts.get_or_init(|| {
                let mut same = true;
                let transformed = |text: &Text<'r>| match transformation.apply(text) {
                    None => text.clone(),
                    Some(changed) => {
                        same = false;
                        Text::from(changed)
                    }
                };
                let texts = self.texts(before).iter().map(transformed).collect();
                memo.same.set(same);
                texts
            }),
        }
    }

    /// The earliest input with the same texts, so that the tokenizers look at each text once.
    fn origin(&self, input: usize) -> usize {
        self.texts(input);
        match (
            self.plan.inputs.get(input).and_then(|planned| planned.before),
            self.memos.get(input),
        ) {
            (Some((before, _)), Some(memo)) if memo.same.get() => self.origin(before),
            _ => input,
        }
    }

    /// Whether a fallback or the oversize handling decides in place of the texts.
    pub(crate) fn decided(&self, input: usize) -> Option<bool> {
        self.field(input)?.decided
    }

    /// Whether the statement matches; labels that it adds by itself (locations) go to `labels`.
    pub(crate) fn holds(&self, node: &Node, labels: &mut Vec<String>) -> Result<bool, NotEvaluated> {
        match node {
            Node::Test { input, test } => Ok(self.decided(*input).unwrap_or_else(|| self.passes(*input, test))),
            Node::Ip { set, forwarded: None } => Ok(set.contains(self.request.peer)),
            Node::Ip {
                set,
                forwarded: Some(from),
            } => match addresses(&self.request, from) {
                Addresses::NoHeader => Err(NotEvaluated),
                Addresses::Malformed => Ok(from.fallback == Fallback::Match),
                Addresses::Are(found) => Ok(found.iter().any(|address| set.contains(*address))),
            },
            Node::Geo { forwarded } => {
                let matched = self.unknown_place(forwarded.as_ref())?;
                let kind = if forwarded.is_some() { "forwardedip" } else { "clientip" };
                labels.push(format!("awswaf:{kind}:geo:country:XX"));
                labels.push(format!("awswaf:{kind}:geo:region:XX-XX"));
                Ok(matched)
            }
            Node::Asn { forwarded } => {
                let matched = self.unknown_place(forwarded.as_ref())?;
                let kind = if forwarded.is_some() { "forwardedip" } else { "clientip" };
                labels.push(format!("awswaf:{kind}:asn:0"));
                Ok(matched)
            }
            Node::Label { scope, key } => Ok(labels.iter().any(|label| match scope {
                LabelScope::Label => label == key,
                LabelScope::Namespace => label.starts_with(key.as_str()),
            })),
            Node::And(inner) => {
                for node in inner {
                    if !self.holds(node, labels)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Node::Or(inner) => {
                for node in inner {
                    if self.holds(node, labels)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Node::Not(inner) => Ok(!self.holds(inner, labels)?),
        }
    }

    /// Every address's place is unknown, and unknown is what was asked for.
    fn unknown_place(&self, forwarded: Option<&ForwardedIp>) -> Result<bool, NotEvaluated> {
        let Some(from) = forwarded else {
            return Ok(true);
        };
        match forwarded_one(&self.request, from) {
            Addresses::NoHeader => Err(NotEvaluated),
            Addresses::Malformed => Ok(from.fallback == Fallback::Match),
            Addresses::Are(_) => Ok(true),
        }
    }

    fn passes(&self, input: usize, test: &Test) -> bool {
        let input = if matches!(test, Test::Sqli { .. } | Test::Xss) {
            self.origin(input)
        } else {
            input
        };
        let texts = self.texts(input);
        let Some(memo) = self.memos.get(input) else {
            return false;
        };
        match test {
            Test::Exactly(wanted) => texts.iter().any(|text| **text == wanted[..]),
            Test::StartsWith(wanted) => texts.iter().any(|text| text.starts_with(wanted)),
            Test::EndsWith(wanted) => texts.iter().any(|text| text.ends_with(wanted)),
            Test::Word(number) => memo
                .words
                .get_or_init(|| self.find_words(input))
                .get(*number)
                .copied()
                .unwrap_or(false),
            Test::Patterns(numbers) => {
                let hits = memo.patterns.get_or_init(|| self.find_patterns(input));
                numbers.iter().any(|number| hits.get(*number).copied().unwrap_or(false))
            }
            Test::Sqli { high: false } => *memo
                .sqli_low
                .get_or_init(|| texts.iter().any(|text| detect::sqli(text, false))),
            Test::Sqli { high: true } => *memo
                .sqli_high
                .get_or_init(|| texts.iter().any(|text| detect::sqli(text, true))),
            Test::Xss => *memo.xss.get_or_init(|| texts.iter().any(|text| detect::xss(text))),
            Test::Size(operator, size) => texts.iter().any(|text| operator.holds(text.len() as u64, *size)),
        }
    }

    fn find_words(&self, input: usize) -> Vec<bool> {
        let Some(words) = self.plan.inputs.get(input).and_then(|planned| planned.words.as_ref()) else {
            return Vec::new();
        };
        let mut hits = vec![false; words.patterns_len()];
        let mut missing = hits.len();
        for text in self.texts(input) {
            for found in words.find_overlapping_iter(&text[..]) {
                if let Some(hit) = hits.get_mut(found.pattern().as_usize()).filter(|hit| !**hit) {
                    *hit = true;
                    missing -= 1;
                }
                if missing == 0 {
                    return hits;
                }
            }
        }
        hits
    }

    fn find_patterns(&self, input: usize) -> Vec<bool> {
        let Some(patterns) = self
            .plan
            .inputs
            .get(input)
            .and_then(|planned| planned.patterns.as_ref())
        else {
            return Vec::new();
        };
        let mut hits = vec![false; patterns.len()];
        for text in self.texts(input) {
            for number in patterns.matches(text) {
                if let Some(hit) = hits.get_mut(number) {
                    *hit = true;
                }
            }
        }
        hits
    }
}
