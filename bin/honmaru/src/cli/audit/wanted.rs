//! Which calls are wanted. LookupEvents takes one attribute; the rest is looked at here.

use super::record::Record;
use serde_json::{Value, json};

/// What a call must have to be shown.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    user: Option<String>,
    /// Service and operation, in lower case, with `*`.
    event: Option<(Option<String>, String)>,
    /// The operation as it was written, where it is a whole name.
    event_name: Option<String>,
    resource: Option<String>,
    errors: bool,
}

impl Wanted {
    /// What the options say.
    pub fn new(user: Option<String>, event: Option<String>, resource: Option<String>, errors: bool) -> Self {
        let split = event.as_deref().map(|event| match event.split_once(':') {
            Some((service, name)) => (Some(service), name),
            None => (None, event),
        });
        // The trail compares letter by letter.
        let is_name = |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase()) && !name.contains('*');
        Self {
            user,
            event_name: split
                .map(|(_, name)| name)
                .filter(|name| is_name(name))
                .map(str::to_owned),
            event: split.map(|(service, name)| (service.map(str::to_lowercase), name.to_lowercase())),
            resource,
            errors,
        }
    }

    /// The attribute that LookupEvents chooses by, which saves pages.
    pub fn attribute(&self) -> Option<Value> {
        let name = self.event_name.as_deref()?;
        Some(json!({ "AttributeKey": "EventName", "AttributeValue": name }))
    }

    /// Whether no operation was named.
    pub fn is_of_any_event(&self) -> bool {
        self.event.is_none()
    }

    /// Whether a call is wanted.
    pub fn fits(&self, record: &Record) -> bool {
        let is_user = |user: &String| record.callers().contains(&user.as_str());
        let is_event = |(service, name): &(Option<String>, String)| {
            let service = service.as_deref().unwrap_or("*");
            matches(service, &record.service.to_lowercase()) && matches(name, &record.name.to_lowercase())
        };
        let is_resource = |wanted: &String| {
            let is_end = |rest: &str| rest.is_empty() || rest.ends_with([':', '/']);
            let mut arns = record.resources.iter();
            arns.any(|arn| arn.strip_suffix(wanted.as_str()).is_some_and(is_end))
        };
        self.user.as_ref().is_none_or(is_user)
            && self.event.as_ref().is_none_or(is_event)
            && self.resource.as_ref().is_none_or(is_resource)
            && (!self.errors || record.is_error())
    }
}

/// Whether a text is what a pattern with `*` says.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(head) else {
        return false;
    };
    // Each place where the rest may begin; names are short.
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.into_iter()
        .any(|at| text.get(at..).is_some_and(|text| matches(rest, text)))
}
