//! Conditions: an operator, a key and values. Ref: IAM User Guide, "IAM JSON policy elements: Condition operators"
//! and "Set operators for multivalued context keys".

use crate::policy::Context;
use crate::policy::document::{LEGACY, SYNTAX};
use crate::policy::pattern::{ArnPattern, Pattern};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::cmp::Ordering;
use std::net::IpAddr;
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, format_description::well_known::Iso8601};

/// How the values of a multivalued key are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    One,
    All,
    Any,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Text,
    TextIgnoreCase,
    Like,
    Number(Ordered),
    Date(Ordered),
    Bool,
    Binary,
    Ip,
    Arn,
    Null,
}

/// An order between the request's value and the policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ordered {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Ordered {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Ordered::Equal => order.is_eq(),
            Ordered::Less => order.is_lt(),
            Ordered::LessOrEqual => order.is_le(),
            Ordered::Greater => order.is_gt(),
            Ordered::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// A policy's value, compiled for its operator.
#[derive(Debug, Clone, PartialEq)]
enum Expected {
    Text(Pattern),
    Arn(ArnPattern),
    Number(f64),
    /// Milliseconds since the epoch.
    Date(i64),
    Bool(bool),
    /// A truth value that a variable gives.
    BoolOf(Pattern),
    Binary(Vec<u8>),
    Ip(IpAddr, u8),
}

/// One condition of a statement: all conditions of a statement must hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    quantifier: Quantifier,
    test: Test,
    negated: bool,
    if_exists: bool,
    /// In lower case.
    key: String,
    /// As the document writes it.
    key_as_written: String,
    expected: Vec<Expected>,
}

const NEGATED: bool = true;
const PLAIN: bool = false;

fn operator(name: &str) -> Option<(Test, bool)> {
    Some(match name {
        "StringEquals" => (Test::Text, PLAIN),
        "StringNotEquals" => (Test::Text, NEGATED),
        "StringEqualsIgnoreCase" => (Test::TextIgnoreCase, PLAIN),
        "StringNotEqualsIgnoreCase" => (Test::TextIgnoreCase, NEGATED),
        "StringLike" => (Test::Like, PLAIN),
        "StringNotLike" => (Test::Like, NEGATED),
        "NumericEquals" => (Test::Number(Ordered::Equal), PLAIN),
        "NumericNotEquals" => (Test::Number(Ordered::Equal), NEGATED),
        "NumericLessThan" => (Test::Number(Ordered::Less), PLAIN),
        "NumericLessThanEquals" => (Test::Number(Ordered::LessOrEqual), PLAIN),
        "NumericGreaterThan" => (Test::Number(Ordered::Greater), PLAIN),
        "NumericGreaterThanEquals" => (Test::Number(Ordered::GreaterOrEqual), PLAIN),
        "DateEquals" => (Test::Date(Ordered::Equal), PLAIN),
        "DateNotEquals" => (Test::Date(Ordered::Equal), NEGATED),
        "DateLessThan" => (Test::Date(Ordered::Less), PLAIN),
        "DateLessThanEquals" => (Test::Date(Ordered::LessOrEqual), PLAIN),
        "DateGreaterThan" => (Test::Date(Ordered::Greater), PLAIN),
        "DateGreaterThanEquals" => (Test::Date(Ordered::GreaterOrEqual), PLAIN),
        "Bool" => (Test::Bool, PLAIN),
        "BinaryEquals" => (Test::Binary, PLAIN),
        "IpAddress" => (Test::Ip, PLAIN),
        "NotIpAddress" => (Test::Ip, NEGATED),
        "ArnEquals" | "ArnLike" => (Test::Arn, PLAIN),
        "ArnNotEquals" | "ArnNotLike" => (Test::Arn, NEGATED),
        "Null" => (Test::Null, PLAIN),
        _ => return None,
    })
}

impl Condition {
    /// Compiles a condition. An error is the text that IAM answers.
    pub(crate) fn compile(name: &str, key: &str, values: &[String], variables: bool) -> Result<Self, String> {
        let (quantifier, rest) = match name.split_once(':') {
            None => (Quantifier::One, name),
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            Some(_) => return Err(format!("Invalid Condition type : {name}")),
        };
        let (bare, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |bare| (bare, true));
        let (test, negated) = operator(bare).ok_or_else(|| format!("Invalid Condition type : {name}"))?;
        if test == Test::Null && (if_exists || quantifier != Quantifier::One) {
            return Err(format!("Invalid Condition type : {name}"));
        }
        let expected = values
            .iter()
            .map(|value| {
                compile_value(test, value, variables).ok_or_else(|| match test {
                    Test::Number(_) | Test::Date(_) | Test::Ip => LEGACY.to_owned(),
                    Test::Binary => SYNTAX.to_owned(),
                    _ => format!("Value {value} is not valid for the condition {name} of {key}."),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            quantifier,
            test,
            negated,
            if_exists,
            key: key.to_ascii_lowercase(),
            key_as_written: key.to_owned(),
            expected,
        })
    }

    /// The keys that it looks at, its own first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let variables = self.expected.iter().flat_map(|expected| {
            let (text, arn) = match expected {
                Expected::Text(pattern) | Expected::BoolOf(pattern) => (Some(pattern.variables()), None),
                Expected::Arn(pattern) => (None, Some(pattern.variables())),
                _ => (None, None),
            };
            text.into_iter().flatten().chain(arn.into_iter().flatten())
        });
        std::iter::once(self.key_as_written.as_str()).chain(variables)
    }

    /// Whether it compares ARNs.
    pub(crate) fn is_of_arns(&self) -> bool {
        self.test == Test::Arn
    }

    /// Whether it holds only for some texts of a key, of which there must be one.
    pub(crate) fn narrows(&self, key: &str) -> bool {
        let is_text = matches!(self.test, Test::Text | Test::TextIgnoreCase | Test::Like);
        let is_some = |expected: &Expected| matches!(expected, Expected::Text(pattern) if !pattern.is_star());
        is_text
            && !self.negated
            && !self.if_exists
            && self.key.eq_ignore_ascii_case(key)
            && self.expected.iter().any(is_some)
    }

    /// Whether it holds in a context.
    pub(crate) fn holds(&self, context: &dyn Context) -> bool {
        let values = context.values(&self.key).filter(|values| !values.is_empty());
        if self.test == Test::Null {
            let absent = values.is_none();
            return self.expected.contains(&Expected::Bool(absent));
        }
        let Some(values) = values else {
            return match self.quantifier {
                Quantifier::All => true,
                Quantifier::Any => self.if_exists,
                Quantifier::One => self.if_exists || self.negated,
            };
        };
        // Ref: "Set operators for multivalued context keys": to ForAllValues an empty text is no value.
        let is_counted = |value: &&String| self.quantifier != Quantifier::All || !value.is_empty();
        let mut values = values.iter().filter(is_counted);
        let matches = |value: &String| {
            self.expected
                .iter()
                .any(|expected| self.compare(value, expected, context))
        };
        match (self.quantifier, self.negated) {
            (Quantifier::One | Quantifier::Any, PLAIN) => values.any(matches),
            (Quantifier::All, PLAIN) => values.all(matches),
            (Quantifier::One | Quantifier::All, NEGATED) => !values.any(matches),
            (Quantifier::Any, NEGATED) => values.any(|value| !matches(value)),
        }
    }

    fn compare(&self, value: &str, expected: &Expected, context: &dyn Context) -> bool {
        match (expected, self.test) {
            (Expected::Text(pattern), Test::Text) => pattern.expand(context).is_some_and(|text| text == value),
            (Expected::Text(pattern), Test::TextIgnoreCase) => pattern
                .expand(context)
                .is_some_and(|text| text.to_lowercase() == value.to_lowercase()),
            (Expected::Text(pattern), _) => pattern.matches_in(value, context),
            (Expected::Arn(pattern), _) => pattern.matches(value, context),
            (Expected::Number(expected), Test::Number(order)) => number(value)
                .and_then(|value| value.partial_cmp(expected))
                .is_some_and(|o| order.holds(o)),
            (Expected::Date(expected), Test::Date(order)) => {
                date_ms(value).is_some_and(|value| order.holds(value.cmp(expected)))
            }
            (Expected::Bool(expected), _) => boolean(value) == Some(*expected),
            (Expected::BoolOf(pattern), _) => {
                let expected = pattern.expand(context).and_then(|text| boolean(&text));
                expected.is_some() && boolean(value) == expected
            }
            (Expected::Binary(expected), _) => STANDARD.decode(value).is_ok_and(|value| value == *expected),
            (Expected::Ip(network, prefix), _) => value.parse().is_ok_and(|ip| within(ip, *network, *prefix)),
            (Expected::Number(_) | Expected::Date(_), _) => false,
        }
    }
}

fn compile_value(test: Test, value: &str, variables: bool) -> Option<Expected> {
    Some(match test {
        Test::Text | Test::TextIgnoreCase => Expected::Text(Pattern::compile(value, variables, false)),
        Test::Like => Expected::Text(Pattern::compile(value, variables, true)),
        Test::Arn => Expected::Arn(ArnPattern::compile(value, variables)),
        Test::Number(_) => Expected::Number(number(value)?),
        Test::Date(_) => Expected::Date(date_ms(value)?),
        Test::Bool | Test::Null => match boolean(value) {
            Some(expected) => Expected::Bool(expected),
            // Ref: "Condition operators", Boolean: variables may stand here; the null check has none.
            None => {
                let pattern = Pattern::compile(value, variables, false);
                let has_variables = pattern.variables().next().is_some();
                (test == Test::Bool && has_variables).then_some(Expected::BoolOf(pattern))?
            }
        },
        Test::Binary => Expected::Binary(STANDARD.decode(value).ok()?),
        Test::Ip => {
            let (ip, prefix) = value
                .split_once('/')
                .map_or((value, None), |(ip, prefix)| (ip, Some(prefix)));
            let ip: IpAddr = ip.parse().ok()?;
            let bits = if ip.is_ipv4() { 32 } else { 128 };
            let prefix: u8 = prefix.map_or(Some(bits), |prefix| prefix.parse().ok().filter(|p| *p <= bits))?;
            // An address within IPv6 that stands for one of IPv4 is that one, as the request's is.
            match (ip.to_canonical(), prefix.checked_sub(96)) {
                (mapped @ IpAddr::V4(_), Some(prefix)) if ip.is_ipv6() => Expected::Ip(mapped, prefix),
                _ => Expected::Ip(ip, prefix),
            }
        }
    })
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|n| n.is_finite())
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// A W3C ISO 8601 date, or seconds since the epoch, in milliseconds.
fn date_ms(text: &str) -> Option<i64> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok();
    }
    // The time first: whoever reads a date leaves a time that follows unread.
    if let Ok(at) = OffsetDateTime::parse(text, &Iso8601::DEFAULT) {
        return i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok();
    }
    // A day or a month. Ref: W3C, "Date and Time Formats": YYYY-MM-DD, YYYY-MM.
    let day = match text.len() {
        7 => Some(format!("{text}-01")),
        10 | 8 => Some(text.to_owned()),
        _ => None,
    };
    if let Some(Ok(date)) = day.map(|day| Date::parse(&day, &Iso8601::DATE)) {
        return Some(date.midnight().assume_utc().unix_timestamp() * 1_000);
    }
    text.parse::<i64>().ok()?.checked_mul(1_000)
}

fn within(ip: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let masked = |bits: u128, width: u8| bits.checked_shr(u32::from(width - prefix.min(width))).unwrap_or(0);
    match (ip.to_canonical(), network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            masked(u128::from(ip.to_bits()), 32) == masked(u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => masked(ip.to_bits(), 128) == masked(network.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}
