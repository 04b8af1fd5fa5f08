//! JSON as its text: written once, when a call ends, and copied from then on.

use serde::ser::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Any JSON.
#[derive(Debug, Clone, Default)]
pub struct Json(Option<Box<str>>);

impl Json {
    /// The text of a tree.
    pub fn of(value: &Value) -> Self {
        Self::written(value.to_string())
    }

    /// What was just written as JSON, and is not read again to see that it is.
    pub fn written(text: String) -> Self {
        Self(Some(text.into_boxed_str()).filter(|text| &**text != "null"))
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.0.as_deref().unwrap_or("null")
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.0.is_none()
    }

    /// The tree of the text.
    pub fn value(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_default()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl Serialize for Json {
    // What is written often is written by `Recorded::write_line`, which does not read the text.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let text: &RawValue = serde_json::from_str(self.text()).map_err(Error::custom)?;
        text.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Json {
    // By way of a tree: `RawValue` cannot be read where serde looks at a value twice, as in an untagged enum.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Value::deserialize(from).map(|value| Self::of(&value))
    }
}
