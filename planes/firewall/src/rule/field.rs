//! What a statement looks at: `FieldToMatch` and the transformations on it.

use super::json::Json;
use crate::{CompileError, Transformation};

/// What happens when a component is larger than what is inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Oversize {
    /// Inspect what is there.
    Continue,
    /// The statement matches.
    Match,
    /// The statement does not match.
    NoMatch,
}

/// What happens when a component cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// The statement matches.
    Match,
    /// The statement does not match.
    NoMatch,
}

/// Keys, values, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Both.
    All,
    /// Names.
    Key,
    /// Values.
    Value,
}

/// Which headers or cookies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MapWanted {
    /// All.
    All,
    /// Those.
    Included(Vec<String>),
    /// All but those.
    Excluded(Vec<String>),
}

/// `Headers` or `Cookies`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MapField {
    /// Which.
    pub wanted: MapWanted,
    /// Keys or values.
    pub part: Part,
    /// Beyond 8 KB or 200.
    pub oversize: Oversize,
}

/// Which parts of a JSON body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum JsonWanted {
    /// All.
    All,
    /// What is at or below those JSON pointers.
    Included(Vec<String>),
}

/// What happens when a body is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JsonInvalid {
    /// Evaluate what came before the first error.
    Prefix,
    /// The statement matches.
    Match,
    /// The statement does not match.
    NoMatch,
    /// The body is one text.
    AsText,
}

/// `JsonBody`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JsonField {
    /// Which parts.
    pub wanted: JsonWanted,
    /// Keys or values.
    pub part: Part,
    /// When it is no JSON.
    pub invalid: JsonInvalid,
    /// Beyond the body limit.
    pub oversize: Oversize,
}

/// A component of a request. Ref: WAFv2 `FieldToMatch`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// The header of that name, lower case.
    SingleHeader(String),
    /// The values of that argument, lower case, after the transformations on the whole query string.
    SingleQueryArgument(String, Vec<Transformation>),
    /// The values of all arguments, after the transformations on the whole query string.
    AllQueryArguments(Vec<Transformation>),
    /// The path.
    UriPath,
    /// What follows `#`.
    UriFragment(Fallback),
    /// What follows `?`.
    QueryString,
    /// The method.
    Method,
    /// The body as it is.
    Body(Oversize),
    /// The body as JSON.
    JsonBody(JsonField),
    /// Headers.
    Headers(MapField),
    /// Cookies.
    Cookies(MapField),
    /// The headers' names in order.
    HeaderOrder(Oversize),
    /// The JA3 fingerprint.
    Ja3(Fallback),
    /// The JA4 fingerprint.
    Ja4(Fallback),
    /// Not of the API, for managed groups: argument values, and names without a value.
    ArgumentTexts,
    /// Not of the API, for managed groups: the texts inside of a form, a JSON document, a multipart body; other
    /// bodies as a whole unless they are binary.
    BodyTexts,
}

impl Field {
    /// Whether the body is needed.
    pub fn reads_body(&self) -> bool {
        matches!(self, Field::Body(_) | Field::JsonBody(_) | Field::BodyTexts)
    }
}

/// A component and what is done to it before it is inspected.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Input {
    /// The component.
    pub field: Field,
    /// The transformations in order, without NONE.
    pub chain: Vec<Transformation>,
}

/// Ref: WAFv2 `SingleQueryArgument.Name` and `SingleHeader.Name`.
const NAME_LEN_MAX: usize = 64;
/// Ref: WAFv2 `HeaderMatchPattern` and `CookieMatchPattern`.
const NAMES_MAX: usize = 199;
/// Ref: WAF quotas (2025): text transformations of one statement.
const TRANSFORMATIONS_MAX: usize = 10;

const FIELDS: [&str; 14] = [
    "SingleHeader",
    "SingleQueryArgument",
    "AllQueryArguments",
    "UriPath",
    "UriFragment",
    "QueryString",
    "Method",
    "Body",
    "JsonBody",
    "Headers",
    "Cookies",
    "HeaderOrder",
    "JA3Fingerprint",
    "JA4Fingerprint",
];

impl Input {
    /// `FieldToMatch` and `TextTransformations` of a statement.
    pub(super) fn parse(statement: Json<'_>) -> Result<Self, CompileError> {
        let field = Field::parse(statement.need("FieldToMatch", "FIELD_TO_MATCH")?)?;
        Ok(Self {
            field,
            chain: transformations(statement, "TextTransformations", Needed::Yes)?,
        })
    }
}

/// Whether a list of transformations must have one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Needed {
    Yes,
    No,
}

pub(super) fn transformations(
    json: Json<'_>,
    member: &str,
    needed: Needed,
) -> Result<Vec<Transformation>, CompileError> {
    const FIELD: &str = "TEXT_TRANSFORMATION";
    let mut found = Vec::new();
    for item in json.list(member, FIELD)? {
        let name = item.text("Type", FIELD)?;
        let transformation = Transformation::parse(name)
            .ok_or_else(|| CompileError::invalid(FIELD, name, "The text transformation is not known"))?;
        found.push((item.number("Priority", FIELD)?, transformation));
    }
    if found.len() > TRANSFORMATIONS_MAX {
        return Err(CompileError::limit(FIELD, ""));
    }
    if found.is_empty() && needed == Needed::Yes {
        let reason = "A statement needs at least 1 and can have at most 10 text transformations";
        return Err(CompileError::invalid(FIELD, member, reason));
    }
    found.sort_by_key(|(priority, _)| *priority);
    if found.windows(2).any(|pair| matches!(pair, [a, b] if a.0 == b.0)) {
        return Err(CompileError::invalid(
            FIELD,
            member,
            "Each text transformation needs a priority of its own",
        ));
    }
    Ok(found
        .into_iter()
        .map(|(_, t)| t)
        .filter(|t| *t != Transformation::None)
        .collect())
}

impl Field {
    fn parse(json: Json<'_>) -> Result<Self, CompileError> {
        const FIELD: &str = "FIELD_TO_MATCH";
        let (name, body) = json.one_of(&FIELDS, FIELD)?;
        let pre = || transformations(body, "PreParseTextTransformations", Needed::No);
        Ok(match name {
            "SingleHeader" => Field::SingleHeader(single_name(body, "SINGLE_HEADER")?),
            "SingleQueryArgument" => Field::SingleQueryArgument(single_name(body, "SINGLE_QUERY_ARGUMENT")?, pre()?),
            "AllQueryArguments" => Field::AllQueryArguments(pre()?),
            "UriPath" => Field::UriPath,
            "UriFragment" => Field::UriFragment(fallback(body)?),
            "QueryString" => Field::QueryString,
            "Method" => Field::Method,
            "Body" => Field::Body(oversize(body)?),
            "JsonBody" => Field::JsonBody(json_field(body)?),
            "Headers" => Field::Headers(map_field(
                body,
                "IncludedHeaders",
                "ExcludedHeaders",
                "HEADER_MATCH_PATTERN",
            )?),
            "Cookies" => Field::Cookies(map_field(
                body,
                "IncludedCookies",
                "ExcludedCookies",
                "COOKIE_MATCH_PATTERN",
            )?),
            "HeaderOrder" => Field::HeaderOrder(oversize(body)?),
            "JA3Fingerprint" => Field::Ja3(fallback(body)?),
            _ => Field::Ja4(fallback(body)?),
        })
    }
}

fn single_name(json: Json<'_>, field: &'static str) -> Result<String, CompileError> {
    let name = json.text("Name", field)?;
    if name.is_empty() || name.len() > NAME_LEN_MAX {
        return Err(CompileError::invalid(field, name, "The name is too long or too short"));
    }
    Ok(name.to_ascii_lowercase())
}

fn oversize(json: Json<'_>) -> Result<Oversize, CompileError> {
    match json
        .get("OversizeHandling")
        .map(|value| value.as_text("OVERSIZE_HANDLING"))
        .transpose()?
    {
        None | Some("CONTINUE") => Ok(Oversize::Continue),
        Some("MATCH") => Ok(Oversize::Match),
        Some("NO_MATCH") => Ok(Oversize::NoMatch),
        Some(other) => Err(CompileError::invalid(
            "OVERSIZE_HANDLING",
            other,
            "The oversize handling is not known",
        )),
    }
}

pub(super) fn fallback(json: Json<'_>) -> Result<Fallback, CompileError> {
    match json
        .get("FallbackBehavior")
        .map(|value| value.as_text("FALLBACK_BEHAVIOR"))
        .transpose()?
    {
        None | Some("NO_MATCH") => Ok(Fallback::NoMatch),
        Some("MATCH") => Ok(Fallback::Match),
        Some(other) => Err(CompileError::invalid(
            "FALLBACK_BEHAVIOR",
            other,
            "The fallback behavior is not known",
        )),
    }
}

fn part(json: Json<'_>, field: &'static str) -> Result<Part, CompileError> {
    match json.text("MatchScope", field)? {
        "ALL" => Ok(Part::All),
        "KEY" => Ok(Part::Key),
        "VALUE" => Ok(Part::Value),
        other => Err(CompileError::invalid(field, other, "The match scope is not known")),
    }
}

fn names(json: Json<'_>, field: &'static str) -> Result<Vec<String>, CompileError> {
    let names: Vec<String> = json
        .items(field)?
        .into_iter()
        .map(|name| Ok(name.as_text(field)?.to_owned()))
        .collect::<Result<_, _>>()?;
    if names.is_empty() || names.len() > NAMES_MAX {
        return Err(CompileError::invalid(
            field,
            "MatchPattern",
            "The pattern needs 1 to 199 names",
        ));
    }
    Ok(names)
}

fn map_field(
    json: Json<'_>,
    included: &'static str,
    excluded: &'static str,
    field: &'static str,
) -> Result<MapField, CompileError> {
    let (name, value) = json
        .need("MatchPattern", field)?
        .one_of(&["All", included, excluded], field)?;
    let wanted = match name {
        "All" => MapWanted::All,
        name if name == included => MapWanted::Included(names(value, field)?),
        _ => MapWanted::Excluded(names(value, field)?),
    };
    Ok(MapField {
        wanted,
        part: part(json, "MAP_MATCH_SCOPE")?,
        oversize: oversize(json)?,
    })
}

fn json_field(json: Json<'_>) -> Result<JsonField, CompileError> {
    const FIELD: &str = "JSON_MATCH_PATTERN";
    let (name, value) = json
        .need("MatchPattern", FIELD)?
        .one_of(&["All", "IncludedPaths"], FIELD)?;
    let wanted = match name {
        "All" => JsonWanted::All,
        _ => {
            let paths = names(value, FIELD)?;
            if let Some(bad) = paths.iter().find(|path| !(path.is_empty() || path.starts_with('/'))) {
                return Err(CompileError::invalid(FIELD, bad.clone(), "The path is no JSON pointer"));
            }
            JsonWanted::Included(paths)
        }
    };
    let invalid = json
        .get("InvalidFallbackBehavior")
        .map(|value| value.as_text("BODY_PARSING_FALLBACK_BEHAVIOR"));
    let invalid = match invalid.transpose()? {
        None => JsonInvalid::Prefix,
        Some("MATCH") => JsonInvalid::Match,
        Some("NO_MATCH") => JsonInvalid::NoMatch,
        Some("EVALUATE_AS_STRING") => JsonInvalid::AsText,
        Some(other) => {
            let reason = "The fallback behavior is not known";
            return Err(CompileError::invalid("BODY_PARSING_FALLBACK_BEHAVIOR", other, reason));
        }
    };
    Ok(JsonField {
        wanted,
        part: part(json, "JSON_MATCH_SCOPE")?,
        invalid,
        oversize: oversize(json)?,
    })
}
