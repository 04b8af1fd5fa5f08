//! Reading members of a JSON tree with errors in AWS's words.

use crate::CompileError;
use serde_json::{Map, Value};

static EMPTY: Value = Value::Null;

/// A value of the API's tree.
#[derive(Clone, Copy)]
pub(super) struct Json<'a>(&'a Value);

/// What AWS says of statements, a code in place of a sentence.
const ONE_CONDITION: &str = "EXACTLY_ONE_CONDITION_REQUIRED";
const EXACTLY_ONE: &str = "You have used none or multiple values for a field that requires exactly one value";

impl<'a> Json<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self(value)
    }

    pub(super) fn value(self) -> &'a Value {
        self.0
    }

    fn object(self) -> Option<&'a Map<String, Value>> {
        self.0.as_object()
    }

    /// A member that is there and not null.
    pub(super) fn get(self, name: &str) -> Option<Json<'a>> {
        self.0.get(name).filter(|value| !value.is_null()).map(Json)
    }

    pub(super) fn need(self, name: &str, field: &'static str) -> Result<Json<'a>, CompileError> {
        self.get(name)
            .ok_or_else(|| CompileError::invalid(field, name, format!("The parameter {name} is missing")))
    }

    pub(super) fn text(self, name: &str, field: &'static str) -> Result<&'a str, CompileError> {
        self.need(name, field)?.as_text(field)
    }

    pub(super) fn as_text(self, field: &'static str) -> Result<&'a str, CompileError> {
        self.0.as_str().ok_or_else(|| {
            CompileError::invalid(
                field,
                self.0.to_string(),
                "The parameter contains formatting that is not valid",
            )
        })
    }

    pub(super) fn number(self, name: &str, field: &'static str) -> Result<i64, CompileError> {
        let value = self.need(name, field)?;
        value.0.as_i64().ok_or_else(|| {
            CompileError::invalid(
                field,
                value.0.to_string(),
                "The parameter contains formatting that is not valid",
            )
        })
    }

    pub(super) fn flag(self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The items of a list; null is an empty one.
    pub(super) fn items(self, field: &'static str) -> Result<Vec<Json<'a>>, CompileError> {
        match self.0 {
            Value::Array(items) => Ok(items.iter().map(Json).collect()),
            Value::Null => Ok(Vec::new()),
            other => Err(CompileError::invalid(field, other.to_string(), "A list is expected")),
        }
    }

    /// The items of the list that is that member; none when it is missing.
    pub(super) fn list(self, name: &str, field: &'static str) -> Result<Vec<Json<'a>>, CompileError> {
        self.get(name).unwrap_or(Json(&EMPTY)).items(field)
    }

    /// The one member of a union, which must be one of those names.
    pub(super) fn one_of(
        self,
        names: &[&'static str],
        field: &'static str,
    ) -> Result<(&'static str, Json<'a>), CompileError> {
        let members: Vec<_> = self
            .object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| !value.is_null())
            .collect();
        match members[..] {
            [(name, value)] => match names.iter().find(|known| *known == name) {
                Some(known) => Ok((known, Json(value))),
                None => Err(CompileError::unsupported(
                    field,
                    name.as_str(),
                    format!("{name} is not supported here"),
                )),
            },
            _ => Err(CompileError::invalid(
                field,
                crate::rule::json::camel(field),
                if field == "STATEMENT" {
                    ONE_CONDITION
                } else {
                    EXACTLY_ONE
                },
            )),
        }
    }
}

/// `FIELD_TO_MATCH` as `FieldToMatch`, the form in which AWS names the parameter.
pub(super) fn camel(field: &str) -> String {
    field
        .split('_')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            format!("{first}{}", rest.to_ascii_lowercase())
        })
        .collect()
}
