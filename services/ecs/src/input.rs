//! Reading the members of a call's input. The wire has checked the tree against the model: what is here only gives
//! members their Rust types.

use crate::error::{invalid, unsupported};
use honmaru_base::ApiError;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The input of a call by member name.
pub struct Input(Map<String, Value>);

impl Input {
    /// The members of the tree; none when it is no structure.
    pub fn new(value: Value) -> Self {
        match value {
            Value::Object(members) => Self(members),
            _ => Self(Map::new()),
        }
    }

    /// A text member.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A text member that must be there and not empty.
    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| invalid(format!("{} can not be blank.", capital(name))))
    }

    /// An owned copy of a text member.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// A whole number.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_i64)
    }

    /// A flag.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name).and_then(Value::as_bool)
    }

    /// A list of texts; empty when it is absent.
    pub fn texts(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether a member is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// A member as its tree.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A member as a type of the model; nothing when it is absent.
    pub fn parse<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => T::deserialize(value)
                .map(Some)
                .map_err(|err| invalid(format!("{} is invalid: {err}", capital(name)))),
        }
    }

    /// A member as a type of the model; its default when it is absent.
    pub fn parse_or_default<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, ApiError> {
        Ok(self.parse(name)?.unwrap_or_default())
    }

    /// The same of a large member that nobody looks at again: its texts are moved and not copied.
    pub fn take_or_default<T: DeserializeOwned + Default>(&mut self, name: &str) -> Result<T, ApiError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(T::default()),
            Some(value) => T::deserialize(value).map_err(|err| invalid(format!("{} is invalid: {err}", capital(name)))),
        }
    }

    /// Fails when one of these members asks for something. Empty lists and structures ask for nothing.
    pub fn refuse(&self, names: &[&str]) -> Result<(), ApiError> {
        refuse_in(&self.0, names)
    }

    /// One page of `items`, and the token of the next one. `maxResults` is 1 to `max`; the token names the first key
    /// of the next page; when that item is gone, the page begins with the one after it.
    pub fn page(&self, items: Vec<(String, Value)>, default: usize, max: usize) -> Result<Page, ApiError> {
        let size = match self.int("maxResults") {
            None => default,
            Some(n) if n >= 1 && n <= max as i64 => n as usize,
            Some(_) => return Err(invalid(format!("maxResults must be between 1 and {max}."))),
        };
        let start = match self.text("nextToken").filter(|token| !token.is_empty()) {
            None => 0,
            Some(token) => {
                let wanted = unhex(token).ok_or_else(|| invalid("Invalid token."))?;
                place(&items, &wanted)
            }
        };
        let next = items.get(start + size).map(|(key, _)| hex(key));
        Ok(Page {
            items: items
                .into_iter()
                .skip(start)
                .take(size)
                .map(|(_, value)| value)
                .collect(),
            next,
        })
    }
}

/// Fails when one of these members of a structure asks for something.
pub fn refuse(structure: &Value, names: &[&str]) -> Result<(), ApiError> {
    structure
        .as_object()
        .map_or(Ok(()), |members| refuse_in(members, names))
}

fn refuse_in(members: &Map<String, Value>, names: &[&str]) -> Result<(), ApiError> {
    let mut named = members.iter().filter(|(name, _)| names.contains(&name.as_str()));
    match named.find(|(_, value)| asks(value)) {
        Some((name, _)) => Err(unsupported(&format!("'{name}'"))),
        None => Ok(()),
    }
}

/// One page of a list.
pub struct Page {
    /// Its items.
    pub items: Vec<Value>,
    /// The token of the next page, if there is one.
    pub next: Option<String>,
}

impl Page {
    /// The answer: the items under `name`, and `nextToken`.
    pub fn answer(self, name: &str) -> Value {
        let mut answer = Map::new();
        answer.insert(name.to_owned(), Value::Array(self.items));
        if let Some(next) = self.next {
            answer.insert("nextToken".to_owned(), Value::String(next));
        }
        Value::Object(answer)
    }
}

/// Whether a member asks for something: empty lists, structures and texts ask for nothing.
pub(crate) fn asks(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => members.values().any(asks),
        // Clients send empty texts for what their user left out (Ansible's `role`).
        Value::String(text) => !text.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        .unwrap_or_default()
}

/// Where a list that is sorted by its keys, up or down, goes on with a key that may be gone.
fn place(items: &[(String, Value)], wanted: &str) -> usize {
    let falls = matches!((items.first(), items.last()), (Some(first), Some(last)) if first.0 > last.0);
    let found = items.iter().position(|(key, _)| key == wanted);
    let after = || {
        items.iter().position(|(key, _)| {
            if falls {
                key.as_str() < wanted
            } else {
                key.as_str() > wanted
            }
        })
    };
    found.or_else(after).unwrap_or(items.len())
}

fn unhex(token: &str) -> Option<String> {
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let bytes: Option<Vec<u8>> = token
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect();
    String::from_utf8(bytes?).ok()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}
