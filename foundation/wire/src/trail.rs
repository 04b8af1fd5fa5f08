//! Inputs and outputs as CloudTrail's records write them.
//!
//! Not here: what of them is secret (`redact`), and the records themselves.

mod ec2;

use crate::model::{Kind, Op, Protocol, Service, Shape};
use crate::timestamp;
use serde_json::{Map, Value};

/// Levels below an input or an output that are gone into.
const DEPTH_MAX: usize = 24;

/// Which of an operation's two trees is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `requestParameters`.
    Input,
    /// `responseElements`.
    Output,
}

pub(crate) fn shape_of<'s>(service: &'s Service, operation: &Op, side: Side) -> Option<&'s Shape> {
    let id = match side {
        Side::Input => operation.input,
        Side::Output => operation.output,
    };
    id.map(|id| service.shape(id))
}

/// A tree as CloudTrail writes it: names of members begin with a small letter, whatever the API's own begin with; keys
/// of maps and everything that the model does not know stay as they are; times are in words. Null when nothing is in it.
/// Ref: CloudTrail User Guide, "CloudTrail record contents": its examples of IAM (`userName`), ELB (`dNSName`) and STS
/// (`expiration`). EC2 writes its own way.
pub fn recorded(service: &Service, operation: &Op, side: Side, tree: &Value) -> Value {
    match shape_of(service, operation, side) {
        _ if tree.as_object().is_some_and(Map::is_empty) => Value::Null,
        Some(shape) if service.protocols.contains(&Protocol::Ec2Query) => ec2::recorded(service, shape, tree),
        Some(shape) => named(service, shape, tree, DEPTH_MAX),
        None => tree.clone(),
    }
}

fn named(service: &Service, shape: &Shape, value: &Value, depth: usize) -> Value {
    if depth == 0 {
        return value.clone();
    }
    match (&shape.kind, value) {
        (Kind::Structure(structure), Value::Object(members)) => {
            let named = members.iter().map(|(name, value)| match structure.by_name(name) {
                Some(member) => (
                    decapitalized(name),
                    named(service, service.target(member), value, depth - 1),
                ),
                None => (name.clone(), value.clone()),
            });
            Value::Object(named.collect())
        }
        (Kind::List(element), Value::Array(items)) => {
            let element = service.target(element);
            items
                .iter()
                .map(|item| named(service, element, item, depth - 1))
                .collect()
        }
        (Kind::Map(entry), Value::Object(members)) => {
            let value_of = service.target(&entry.1);
            let named = members
                .iter()
                .map(|(key, value)| (key.clone(), named(service, value_of, value, depth - 1)));
            Value::Object(named.collect())
        }
        (Kind::Timestamp, Value::Number(number)) => {
            timestamp::in_words(number).map_or_else(|| value.clone(), Value::from)
        }
        _ => value.clone(),
    }
}

fn decapitalized(name: &str) -> String {
    let mut letters = name.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// A tree in which every text of an operation's input or output is there, once, each of them made from the names above
/// it: for tests that ask where texts go. What contains itself is gone into twice.
pub fn leaves(service: &Service, operation: &Op, side: Side, text: &dyn Fn(&str) -> String) -> Value {
    match shape_of(service, operation, side) {
        Some(shape) => filled(service, shape, "", &mut Vec::new(), text),
        None => Value::Object(Map::new()),
    }
}

fn filled(
    service: &Service,
    shape: &Shape,
    path: &str,
    above: &mut Vec<String>,
    text: &dyn Fn(&str) -> String,
) -> Value {
    if above.iter().filter(|name| **name == *shape.name).count() > 1 {
        return Value::Null;
    }
    above.push(shape.name.to_string());
    let value = match &shape.kind {
        Kind::Structure(structure) => {
            let members = structure.members.iter().map(|member| {
                let path = format!("{path}.{}", member.name);
                let value = filled(service, service.target(member), &path, above, text);
                (member.name.to_string(), value)
            });
            Value::Object(members.collect())
        }
        Kind::List(element) => Value::Array(vec![filled(service, service.target(element), path, above, text)]),
        Kind::Map(entry) => {
            let value = filled(service, service.target(&entry.1), path, above, text);
            Value::Object(Map::from_iter([("key".to_owned(), value)]))
        }
        Kind::String | Kind::Blob | Kind::Document => Value::from(text(path)),
        Kind::Boolean => Value::Bool(true),
        Kind::Byte | Kind::Short | Kind::Integer | Kind::Long | Kind::Float | Kind::Timestamp => Value::from(1),
    };
    above.pop();
    value
}

#[cfg(test)]
mod tests {
    use super::{Side, recorded};
    use serde_json::{Value, json};

    fn of(service: &str, operation: &str, side: Side, tree: &Value) -> Value {
        let service = crate::service(service).expect("a model");
        recorded(service, service.operation(operation).expect("an operation"), side, tree)
    }

    #[test]
    fn times_are_in_words() {
        let wanted = |text: &str| json!({ "credentials": { "expiration": text } });
        for (seconds, text) in [
            (json!(1_795_363_509), "Nov 22, 2026, 4:05:09 PM"),
            (json!(1_795_363_509.9), "Nov 22, 2026, 4:05:09 PM"),
            (json!(0), "Jan 1, 1970, 12:00:00 AM"),
            (json!(43_200), "Jan 1, 1970, 12:00:00 PM"),
            (json!(-1), "Dec 31, 1969, 11:59:59 PM"),
        ] {
            let output = json!({ "Credentials": { "Expiration": seconds } });
            assert_eq!(of("sts", "AssumeRole", Side::Output, &output), wanted(text));
        }
        let beyond = json!({ "Credentials": { "Expiration": 1e300 } });
        let kept = json!({ "credentials": { "expiration": 1e300 } });
        assert_eq!(of("sts", "AssumeRole", Side::Output, &beyond), kept);
    }

    #[test]
    fn members_begin_small_and_keys_of_maps_stay() {
        let output = json!({ "Role": { "RoleName": "a", "Tags": [{ "Key": "K", "Value": "V" }] } });
        let wanted = json!({ "role": { "roleName": "a", "tags": [{ "key": "K", "value": "V" }] } });
        assert_eq!(of("iam", "CreateRole", Side::Output, &output), wanted);
        let input = json!({ "ResourceARNList": ["a"], "Tags": { "Team": "B" } });
        let wanted = json!({ "resourceARNList": ["a"], "tags": { "Team": "B" } });
        assert_eq!(
            of("resourcegroupstaggingapi", "TagResources", Side::Input, &input),
            wanted
        );
        let input = json!({ "omitted": true });
        assert_eq!(of("iam", "CreateRole", Side::Input, &input), input);
        assert_eq!(of("sts", "GetCallerIdentity", Side::Input, &json!({})), Value::Null);
    }
}
