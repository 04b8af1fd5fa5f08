//! Actions, custom responses, overrides.

use super::json::Json;
use crate::CompileError;
use std::collections::BTreeMap;

/// Headers that a request gets on its way to the target, names without their prefix.
pub type InsertHeaders = Vec<(String, String)>;

/// What a rule or the default does. Ref: WAFv2 `RuleAction`.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The request goes on; nothing more is evaluated.
    Allow {
        /// Headers to insert.
        insert: InsertHeaders,
    },
    /// The request is refused.
    Block(Option<CustomResponse>),
    /// The request is counted; evaluation goes on.
    Count {
        /// Headers to insert.
        insert: InsertHeaders,
    },
    /// The request needs a CAPTCHA token.
    Captcha {
        /// Headers to insert when it has one.
        insert: InsertHeaders,
    },
    /// The request needs a challenge token.
    Challenge {
        /// Headers to insert when it has one.
        insert: InsertHeaders,
    },
}

/// The answer of a Block action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomResponse {
    /// The status.
    pub status: u16,
    /// The key of a custom response body.
    pub body_key: Option<String>,
    /// Headers.
    pub headers: Vec<(String, String)>,
}

/// Ref: AWS WAF developer guide, "Supported status codes for custom response".
const STATUS_CODES: [u16; 33] = [
    200, 201, 202, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 411, 412, 413, 414,
    415, 416, 421, 429, 500, 501, 502, 503, 504, 505,
];
/// Ref: WAFv2 quotas, custom headers of one response or request.
const HEADERS_MAX: usize = 10;
/// Ref: WAFv2 `CustomHTTPHeader`.
const HEADER_NAME_LEN_MAX: usize = 64;
/// Ref: WAFv2 `CustomHTTPHeader`.
const HEADER_VALUE_LEN_MAX: usize = 255;

impl Action {
    pub(super) fn parse(json: Json<'_>, field: &'static str) -> Result<Self, CompileError> {
        let (name, body) = json.one_of(&["Allow", "Block", "Count", "Captcha", "Challenge"], field)?;
        let insert = || match body.get("CustomRequestHandling") {
            Some(handling) => headers(handling, "InsertHeaders", "CUSTOM_REQUEST_HANDLING"),
            None => Ok(Vec::new()),
        };
        Ok(match name {
            "Allow" => Action::Allow { insert: insert()? },
            "Count" => Action::Count { insert: insert()? },
            "Captcha" => Action::Captcha { insert: insert()? },
            "Challenge" => Action::Challenge { insert: insert()? },
            _ => Action::Block(body.get("CustomResponse").map(CustomResponse::parse).transpose()?),
        })
    }

    /// The default action of a web ACL: Allow or Block.
    pub fn parse_default(value: &serde_json::Value) -> Result<Self, CompileError> {
        let json = Json::root(value);
        json.one_of(&["Allow", "Block"], "DEFAULT_ACTION")?;
        Self::parse(json, "DEFAULT_ACTION")
    }

    /// Its name in the API's samples and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Allow { .. } => "ALLOW",
            Action::Block(_) => "BLOCK",
            Action::Count { .. } => "COUNT",
            Action::Captcha { .. } => "CAPTCHA",
            Action::Challenge { .. } => "CHALLENGE",
        }
    }
}

impl CustomResponse {
    fn parse(json: Json<'_>) -> Result<Self, CompileError> {
        let code = json.number("ResponseCode", "CUSTOM_RESPONSE")?;
        let status = u16::try_from(code)
            .ok()
            .filter(|status| STATUS_CODES.contains(status))
            .ok_or_else(|| {
                CompileError::invalid(
                    "CUSTOM_RESPONSE",
                    code.to_string(),
                    "The response code is not supported",
                )
            })?;
        let body_key = json
            .get("CustomResponseBodyKey")
            .map(|key| key.as_text("CUSTOM_RESPONSE_BODY"))
            .transpose()?;
        let headers = headers(json, "ResponseHeaders", "CUSTOM_RESPONSE")?;
        if let Some((name, _)) = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            let reason = "The header content-type cannot be set in a custom response";
            return Err(CompileError::invalid("CUSTOM_RESPONSE", name.clone(), reason));
        }
        Ok(Self {
            status,
            body_key: body_key.map(str::to_owned),
            headers,
        })
    }
}

fn headers(json: Json<'_>, member: &str, field: &'static str) -> Result<Vec<(String, String)>, CompileError> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for header in json.list(member, field)? {
        let (name, value) = (header.text("Name", field)?, header.text("Value", field)?);
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || name.len() > HEADER_NAME_LEN_MAX || !name.bytes().all(token) {
            return Err(CompileError::invalid(field, name, "The header name is not valid"));
        }
        if value.len() > HEADER_VALUE_LEN_MAX || value.bytes().any(|b| b < b' ' || b == 127) {
            return Err(CompileError::invalid(field, value, "The header value is not valid"));
        }
        if headers.iter().any(|(have, _)| have.eq_ignore_ascii_case(name)) {
            return Err(CompileError::invalid(field, name, "The header is given twice"));
        }
        headers.push((name.to_owned(), value.to_owned()));
    }
    if headers.len() > HEADERS_MAX {
        return Err(CompileError::limit(field, ""));
    }
    Ok(headers)
}

/// What a reference to a group changes in the group's rules.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupOverrides {
    /// Actions by rule name.
    pub actions: BTreeMap<String, Action>,
}

/// Ref: WAFv2 `RuleActionOverrides` and `ExcludedRules`.
const OVERRIDES_MAX: usize = 100;

impl GroupOverrides {
    pub(super) fn parse(json: Json<'_>) -> Result<Self, CompileError> {
        let mut actions = BTreeMap::new();
        let excluded = json.list("ExcludedRules", "EXCLUDED_RULE")?;
        let overrides = json.list("RuleActionOverrides", "RULE_ACTION")?;
        if excluded.len() > OVERRIDES_MAX || overrides.len() > OVERRIDES_MAX {
            return Err(CompileError::invalid(
                "RULE_ACTION",
                "RuleActionOverrides",
                "At most 100 rules can be overridden",
            ));
        }
        for rule in excluded {
            actions.insert(
                rule.text("Name", "EXCLUDED_RULE")?.to_owned(),
                Action::Count { insert: Vec::new() },
            );
        }
        for rule in overrides {
            let name = rule.text("Name", "RULE_ACTION")?.to_owned();
            let action = Action::parse(rule.need("ActionToUse", "RULE_ACTION")?, "RULE_ACTION")?;
            actions.insert(name, action);
        }
        Ok(Self { actions })
    }
}
