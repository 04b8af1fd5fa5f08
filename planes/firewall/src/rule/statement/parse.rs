//! A statement from its JSON.

use super::{ForwardedIp, IpPosition, LabelScope, ManagedGroup, Position, RateKey, RateLimit, SizeOperator, Statement};
use crate::CompileError;
use crate::rule::field::{Needed, fallback, transformations};
use crate::rule::json::Json;
use crate::rule::{Field, GroupOverrides, Home, Input};
use base64::Engine;

const STATEMENTS: [&str; 16] = [
    "ByteMatchStatement",
    "SqliMatchStatement",
    "XssMatchStatement",
    "SizeConstraintStatement",
    "GeoMatchStatement",
    "RuleGroupReferenceStatement",
    "IPSetReferenceStatement",
    "RegexPatternSetReferenceStatement",
    "RateBasedStatement",
    "AndStatement",
    "OrStatement",
    "NotStatement",
    "ManagedRuleGroupStatement",
    "LabelMatchStatement",
    "RegexMatchStatement",
    "AsnMatchStatement",
];

/// Ref: WAFv2 `ByteMatchStatement.SearchString`.
const SEARCH_LEN_MAX: usize = 200;
/// Ref: WAFv2 `RegexMatchStatement.RegexString`.
const REGEX_LEN_MAX: usize = 512;
/// Ref: WAFv2 `SizeConstraintStatement.Size`.
const SIZE_MAX: i64 = 21_474_836_480;
/// Ref: WAFv2 `RateBasedStatement.Limit`.
const RATE_LIMITS: std::ops::RangeInclusive<i64> = 10..=2_000_000_000;
/// Ref: WAFv2 `RateBasedStatement.EvaluationWindowSec`.
const RATE_WINDOWS_S: [i64; 4] = [60, 120, 300, 600];
/// Ref: WAFv2 `RateBasedStatement.CustomKeys`.
const RATE_KEYS_MAX: usize = 5;
/// Statements inside of statements beyond this are refused; AWS's console allows far fewer.
const DEPTH_MAX: usize = 16;

/// How deep a statement stands, and whether groups and rates are allowed there.
#[derive(Clone, Copy)]
pub(in crate::rule) struct Depth(usize);

impl Depth {
    pub(in crate::rule) const TOP: Depth = Depth(0);

    fn deeper(self) -> Result<Depth, CompileError> {
        if self.0 >= DEPTH_MAX {
            return Err(CompileError::invalid(
                "STATEMENT",
                "Statement",
                "The statements are nested too deeply",
            ));
        }
        Ok(Depth(self.0 + 1))
    }

    fn is_top(self) -> bool {
        self.0 == 0
    }
}

const REFERENCE: &str = "A reference in your rule statement is not valid";

impl Statement {
    pub(in crate::rule) fn parse(json: Json<'_>, home: Home, depth: Depth) -> Result<Self, CompileError> {
        let (name, body) = json.one_of(&STATEMENTS, "STATEMENT")?;
        let many = |field: &'static str| -> Result<Vec<Statement>, CompileError> {
            let items = body.list("Statements", field)?;
            if items.len() < 2 {
                let reason = "You haven't met a minimum requirement for a threshold setting. Examples include a rule group \
                              capacity setting that's too low and an OR statement with only one nested statement";
                return Err(CompileError::invalid(field, name, reason));
            }
            items
                .into_iter()
                .map(|item| Statement::parse(item, home, depth.deeper()?))
                .collect()
        };
        let scope_down = |field: &'static str| -> Result<Option<Box<Statement>>, CompileError> {
            body.get("ScopeDownStatement")
                .map(|inner| Statement::parse(inner, home, depth.deeper()?).map(Box::new))
                .transpose()
                .map_err(|error| CompileError {
                    field: if error.field == "STATEMENT" { field } else { error.field },
                    ..error
                })
        };
        let top_only = |field: &'static str, homes: &[Home]| {
            if depth.is_top() && homes.contains(&home) {
                return Ok(());
            }
            Err(CompileError::invalid(
                field,
                name,
                format!("{REFERENCE}. {name} can't be nested here"),
            ))
        };
        Ok(match name {
            "ByteMatchStatement" => byte(body)?,
            "SqliMatchStatement" => {
                let level = body
                    .get("SensitivityLevel")
                    .map(|level| level.as_text("SQLI_MATCH_STATEMENT"))
                    .transpose()?;
                let high = match level {
                    None | Some("LOW") => false,
                    Some("HIGH") => true,
                    Some(other) => {
                        let reason = "The sensitivity level is not known";
                        return Err(CompileError::invalid("SQLI_MATCH_STATEMENT", other, reason));
                    }
                };
                Statement::Sqli {
                    input: text_input(body)?,
                    high,
                }
            }
            "XssMatchStatement" => Statement::Xss {
                input: text_input(body)?,
            },
            "SizeConstraintStatement" => size(body)?,
            "RegexMatchStatement" => {
                let pattern = body.text("RegexString", "REGEX_PATTERN_REFERENCE_STATEMENT")?;
                if pattern.is_empty() || pattern.len() > REGEX_LEN_MAX {
                    let reason = "The regex string needs 1 to 512 characters";
                    return Err(CompileError::invalid(
                        "REGEX_PATTERN_REFERENCE_STATEMENT",
                        pattern,
                        reason,
                    ));
                }
                Statement::Regex {
                    input: text_input(body)?,
                    patterns: vec![pattern.to_owned()],
                }
            }
            "RegexPatternSetReferenceStatement" => Statement::RegexSet {
                input: text_input(body)?,
                arn: body.text("ARN", "REGEX_PATTERN_REFERENCE_STATEMENT")?.to_owned(),
            },
            "GeoMatchStatement" => geo(body)?,
            "AsnMatchStatement" => asn(body)?,
            "IPSetReferenceStatement" => Statement::IpSet {
                arn: body.text("ARN", "IP_SET_REFERENCE_STATEMENT")?.to_owned(),
                forwarded: body
                    .get("IPSetForwardedIPConfig")
                    .map(forwarded_with_position)
                    .transpose()?,
            },
            "LabelMatchStatement" => label(body)?,
            "RateBasedStatement" => {
                top_only("RATE_BASED_STATEMENT", &[Home::WebAcl, Home::RuleGroup])?;
                let scope_down = scope_down("SCOPE_DOWN")?;
                Statement::Rate(Box::new(rate(body, scope_down)?))
            }
            "AndStatement" => Statement::And(many("AND_STATEMENT")?),
            "OrStatement" => Statement::Or(many("OR_STATEMENT")?),
            "NotStatement" => {
                let inner = body.need("Statement", "NOT_STATEMENT")?;
                Statement::Not(Box::new(Statement::parse(inner, home, depth.deeper()?)?))
            }
            "ManagedRuleGroupStatement" => {
                top_only("MANAGED_RULE_SET_STATEMENT", &[Home::WebAcl])?;
                if !body
                    .list("ManagedRuleGroupConfigs", "MANAGED_RULE_GROUP_CONFIG")?
                    .is_empty()
                {
                    let reason = "No managed rule group of this installation takes a configuration";
                    return Err(CompileError::unsupported(
                        "MANAGED_RULE_GROUP_CONFIG",
                        "ManagedRuleGroupConfigs",
                        reason,
                    ));
                }
                let version = body
                    .get("Version")
                    .map(|v| v.as_text("MANAGED_RULE_SET_STATEMENT"))
                    .transpose()?;
                Statement::Managed(Box::new(ManagedGroup {
                    vendor: body.text("VendorName", "MANAGED_RULE_SET_STATEMENT")?.to_owned(),
                    name: body.text("Name", "MANAGED_RULE_SET_STATEMENT")?.to_owned(),
                    version: version.map(str::to_owned),
                    scope_down: scope_down("SCOPE_DOWN")?,
                    overrides: GroupOverrides::parse(body)?,
                }))
            }
            _ => {
                top_only("RULE_GROUP_REFERENCE_STATEMENT", &[Home::WebAcl])?;
                Statement::Group {
                    arn: body.text("ARN", "RULE_GROUP_REFERENCE_STATEMENT")?.to_owned(),
                    overrides: GroupOverrides::parse(body)?,
                }
            }
        })
    }
}

/// An input that is not a fingerprint: those take an exact byte match only.
fn text_input(json: Json<'_>) -> Result<Input, CompileError> {
    let input = Input::parse(json)?;
    if matches!(input.field, Field::Ja3(_) | Field::Ja4(_)) {
        let reason = "JA3 and JA4 fingerprints can only be compared with an exact byte match";
        return Err(CompileError::invalid("FIELD_TO_MATCH", "FieldToMatch", reason));
    }
    Ok(input)
}

fn byte(json: Json<'_>) -> Result<Statement, CompileError> {
    const FIELD: &str = "BYTE_MATCH_STATEMENT";
    let encoded = json.text("SearchString", FIELD)?;
    let search = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .map_err(|_| CompileError::invalid(FIELD, encoded, "The search string is not valid Base64"))?;
    if search.len() > SEARCH_LEN_MAX {
        return Err(CompileError::limit(FIELD, "NUM_BYTES_IN_BYTEMATCH_SEARCHSTRING"));
    }
    if search.is_empty() {
        return Err(CompileError::invalid(
            FIELD,
            encoded,
            "The search string needs 1 to 200 bytes",
        ));
    }
    let position = match json.text("PositionalConstraint", FIELD)? {
        "EXACTLY" => Position::Exactly,
        "STARTS_WITH" => Position::StartsWith,
        "ENDS_WITH" => Position::EndsWith,
        "CONTAINS" => Position::Contains,
        "CONTAINS_WORD" => Position::ContainsWord,
        other => {
            return Err(CompileError::invalid(
                FIELD,
                other,
                "The positional constraint is not known",
            ));
        }
    };
    if position == Position::ContainsWord && !search.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        let reason = "CONTAINS_WORD takes only alphanumeric characters and underscore";
        return Err(CompileError::invalid(FIELD, String::from_utf8_lossy(&search), reason));
    }
    let input = if position == Position::Exactly {
        Input::parse(json)?
    } else {
        text_input(json)?
    };
    Ok(Statement::Byte {
        input,
        search,
        position,
    })
}

fn size(json: Json<'_>) -> Result<Statement, CompileError> {
    const FIELD: &str = "SIZE_CONSTRAINT_STATEMENT";
    let operator = match json.text("ComparisonOperator", FIELD)? {
        "EQ" => SizeOperator::Eq,
        "NE" => SizeOperator::Ne,
        "LE" => SizeOperator::Le,
        "LT" => SizeOperator::Lt,
        "GE" => SizeOperator::Ge,
        "GT" => SizeOperator::Gt,
        other => {
            return Err(CompileError::invalid(
                FIELD,
                other,
                "The comparison operator is not known",
            ));
        }
    };
    let size = json.number("Size", FIELD)?;
    let size = u64::try_from(size)
        .ok()
        .filter(|_| size <= SIZE_MAX)
        .ok_or_else(|| CompileError::invalid(FIELD, size.to_string(), "The size is out of range"))?;
    Ok(Statement::Size {
        input: text_input(json)?,
        operator,
        size,
    })
}

fn geo(json: Json<'_>) -> Result<Statement, CompileError> {
    const FIELD: &str = "GEO_MATCH_STATEMENT";
    let codes = json.list("CountryCodes", FIELD)?;
    for code in &codes {
        let code = code.as_text(FIELD)?;
        if code != "XX" {
            // XX, the unknown, is no value of the API's enumeration: there is nothing to advise.
            let reason = "Countries cannot be told apart: this installation has no location data";
            return Err(CompileError::unsupported(FIELD, code, reason));
        }
    }
    if codes.is_empty() {
        return Err(CompileError::invalid(
            FIELD,
            "CountryCodes",
            "At least one country code is needed",
        ));
    }
    Ok(Statement::GeoUnknown {
        forwarded: json.get("ForwardedIPConfig").map(forwarded).transpose()?,
    })
}

fn asn(json: Json<'_>) -> Result<Statement, CompileError> {
    const FIELD: &str = "STATEMENT";
    let numbers = json.list("AsnList", FIELD)?;
    for number in &numbers {
        if number.value().as_u64() != Some(0) {
            let reason = "Autonomous systems cannot be told apart: this installation has no routing data. Only 0 (unknown) \
                          can be matched";
            return Err(CompileError::unsupported(FIELD, number.value().to_string(), reason));
        }
    }
    if numbers.is_empty() {
        return Err(CompileError::invalid(FIELD, "AsnList", "At least one ASN is needed"));
    }
    Ok(Statement::AsnUnknown {
        forwarded: json.get("ForwardedIPConfig").map(forwarded).transpose()?,
    })
}

/// Ref: WAFv2 `LabelMatchStatement.Key`.
const LABEL_KEY_LEN_MAX: usize = 1_024;

fn label(json: Json<'_>) -> Result<Statement, CompileError> {
    const FIELD: &str = "LABEL_MATCH_STATEMENT";
    let key = json.text("Key", FIELD)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':');
    if key.is_empty() || key.len() > LABEL_KEY_LEN_MAX || !key.bytes().all(allowed) {
        return Err(CompileError::invalid(
            FIELD,
            key,
            "The label key contains formatting that is not valid",
        ));
    }
    let scope = match json.text("Scope", FIELD)? {
        "LABEL" => LabelScope::Label,
        "NAMESPACE" => LabelScope::Namespace,
        other => return Err(CompileError::invalid(FIELD, other, "The label scope is not known")),
    };
    if scope == LabelScope::Namespace && !key.ends_with(':') {
        return Err(CompileError::invalid(FIELD, key, "A label namespace ends with a colon"));
    }
    if scope == LabelScope::Label && key.ends_with(':') {
        return Err(CompileError::invalid(FIELD, key, "A label does not end with a colon"));
    }
    Ok(Statement::Label {
        scope,
        key: key.to_owned(),
    })
}

fn header_name(json: Json<'_>, field: &'static str) -> Result<String, CompileError> {
    let name = json.text("HeaderName", field)?;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(CompileError::invalid(
            "HEADER_NAME",
            name,
            "The header name is not valid",
        ));
    }
    Ok(name.to_ascii_lowercase())
}

fn forwarded(json: Json<'_>) -> Result<ForwardedIp, CompileError> {
    let header = header_name(json, "FORWARDED_IP_CONFIG")?;
    Ok(ForwardedIp {
        header,
        fallback: fallback(json)?,
        position: IpPosition::First,
    })
}

fn forwarded_with_position(json: Json<'_>) -> Result<ForwardedIp, CompileError> {
    let position = match json.text("Position", "POSITION")? {
        "FIRST" => IpPosition::First,
        "LAST" => IpPosition::Last,
        "ANY" => IpPosition::Any,
        other => return Err(CompileError::invalid("POSITION", other, "The position is not known")),
    };
    let header = header_name(json, "IP_SET_FORWARDED_IP_CONFIG")?;
    Ok(ForwardedIp {
        header,
        fallback: fallback(json)?,
        position,
    })
}

fn rate(json: Json<'_>, scope_down: Option<Box<Statement>>) -> Result<RateLimit, CompileError> {
    const FIELD: &str = "RATE_BASED_STATEMENT";
    let limit = json.number("Limit", FIELD)?;
    if !RATE_LIMITS.contains(&limit) {
        return Err(CompileError::invalid(
            FIELD,
            limit.to_string(),
            "The limit is out of range",
        ));
    }
    let window = match json.get("EvaluationWindowSec") {
        Some(_) => json.number("EvaluationWindowSec", FIELD)?,
        None => 300,
    };
    if !RATE_WINDOWS_S.contains(&window) {
        let reason = "The evaluation window is 60, 120, 300 or 600 seconds";
        return Err(CompileError::invalid(FIELD, window.to_string(), reason));
    }
    let forwarded = json.get("ForwardedIPConfig").map(forwarded).transpose()?;
    let custom = json.list("CustomKeys", "CUSTOM_KEYS")?;
    let aggregate = json.text("AggregateKeyType", FIELD)?;
    if aggregate != "CUSTOM_KEYS" && !custom.is_empty() {
        return Err(CompileError::invalid(
            "CUSTOM_KEYS",
            "CustomKeys",
            "Custom keys need the aggregate key type CUSTOM_KEYS",
        ));
    }
    let keys = match aggregate {
        "IP" => vec![RateKey::Ip],
        "FORWARDED_IP" => vec![RateKey::ForwardedIp],
        "CONSTANT" if scope_down.is_some() => Vec::new(),
        "CONSTANT" => {
            let reason = "The aggregate key type CONSTANT needs a scope-down statement";
            return Err(CompileError::invalid("SCOPE_DOWN", "ScopeDownStatement", reason));
        }
        "CUSTOM_KEYS" => custom_keys(&custom)?,
        other => {
            return Err(CompileError::invalid(
                FIELD,
                other,
                "The aggregate key type is not known",
            ));
        }
    };
    if keys.contains(&RateKey::ForwardedIp) != forwarded.is_some() {
        let reason =
            "A forwarded IP configuration is needed if, and only if, requests are aggregated by forwarded IP address";
        return Err(CompileError::invalid(
            "FORWARDED_IP_CONFIG",
            "ForwardedIPConfig",
            reason,
        ));
    }
    Ok(RateLimit {
        limit: limit.unsigned_abs(),
        window_s: u32::try_from(window).unwrap_or(300),
        keys,
        forwarded,
        scope_down,
        custom_keys: aggregate == "CUSTOM_KEYS",
    })
}

fn custom_keys(items: &[Json<'_>]) -> Result<Vec<RateKey>, CompileError> {
    const FIELD: &str = "CUSTOM_KEYS";
    const NAMES: [&str; 12] = [
        "Header",
        "Cookie",
        "QueryArgument",
        "QueryString",
        "HTTPMethod",
        "ForwardedIP",
        "IP",
        "LabelNamespace",
        "UriPath",
        "JA3Fingerprint",
        "JA4Fingerprint",
        "ASN",
    ];
    if items.is_empty() || items.len() > RATE_KEYS_MAX {
        return Err(CompileError::invalid(
            FIELD,
            "CustomKeys",
            "1 to 5 custom keys are needed",
        ));
    }
    let mut keys = Vec::new();
    for item in items {
        let (name, body) = item.one_of(&NAMES, FIELD)?;
        let chain = || transformations(body, "TextTransformations", Needed::Yes);
        let lower = || Ok::<_, CompileError>(body.text("Name", FIELD)?.to_ascii_lowercase());
        keys.push(match name {
            "Header" => RateKey::Text(Input {
                field: Field::SingleHeader(lower()?),
                chain: chain()?,
            }),
            "QueryArgument" => RateKey::Text(Input {
                field: Field::SingleQueryArgument(lower()?, Vec::new()),
                chain: chain()?,
            }),
            "QueryString" => RateKey::Text(Input {
                field: Field::QueryString,
                chain: chain()?,
            }),
            "UriPath" => RateKey::Text(Input {
                field: Field::UriPath,
                chain: chain()?,
            }),
            "JA3Fingerprint" => RateKey::Text(Input {
                field: Field::Ja3(fallback(body)?),
                chain: Vec::new(),
            }),
            "JA4Fingerprint" => RateKey::Text(Input {
                field: Field::Ja4(fallback(body)?),
                chain: Vec::new(),
            }),
            "Cookie" => RateKey::Cookie(body.text("Name", FIELD)?.to_owned(), chain()?),
            "HTTPMethod" => RateKey::Method,
            "ForwardedIP" => RateKey::ForwardedIp,
            "IP" => RateKey::Ip,
            "LabelNamespace" => RateKey::Labels(body.text("Namespace", FIELD)?.to_owned()),
            _ => {
                let reason = "Autonomous systems cannot be told apart: this installation has no routing data";
                return Err(CompileError::unsupported(FIELD, name, reason));
            }
        });
    }
    if let [RateKey::Ip | RateKey::ForwardedIp] = keys[..] {
        let reason = "An IP address can't be the only custom key. Use the aggregate key type IP or FORWARDED_IP";
        return Err(CompileError::invalid(FIELD, "CustomKeys", reason));
    }
    Ok(keys)
}
