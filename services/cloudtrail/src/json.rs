//! JSON as its text: written once, when a call ends, and copied from then on.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// Any JSON.
#[derive(Debug, Clone, Default)]
pub struct Json(Option<Box<RawValue>>);

impl Json {
    /// The text of a tree.
    pub fn of(value: &Value) -> Self {
        if value.is_null() {
            return Self::default();
        }
        // A tree is plain data: writing it has no way to fail.
        Self(to_raw_value(value).ok())
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.0.is_none()
    }

    /// The tree of the text.
    pub fn value(&self) -> Value {
        let text = self.0.as_ref().map_or("null", |text| text.get());
        serde_json::from_str(text).unwrap_or_default()
    }
}

impl From<Box<RawValue>> for Json {
    fn from(text: Box<RawValue>) -> Self {
        Self(Some(text).filter(|text| text.get() != "null"))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Json {
    // By way of a tree: `RawValue` cannot be read where serde looks at a value twice, as in an untagged enum.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Value::deserialize(from).map(|value| Self::of(&value))
    }
}
