//! Pagination tokens on their way out and back in: each is marked as its operation's own.
//!
//! A handler's token says where its list goes on. On the way out it gets a checksum over service, operation and itself;
//! on the way back a token of another operation, a cut or a changed one is answered with the service's documented error,
//! and the handler sees its own token again. Nothing is stored, so tokens outlive a restart.
//! No secret is in it: a token opens nothing that its caller may not list anyway.

use crate::dialect;
use crate::model::{Kind, Op, Service, Shape, Structure};
use crate::route::Target;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flate2::Crc;
use honmaru_base::ApiError;
use serde_json::Value;

/// Four bytes in base64.
const MARK_CHARS: usize = 6;
/// Members that hold a token. Ref: botocore's paginators; `tests/wire/paginators.py` holds the rule against them.
const IN: [&str; 5] = ["nextToken", "NextToken", "Marker", "NextMarker", "PaginationToken"];
const OUT: [&str; 5] = ["nextToken", "NextToken", "NextMarker", "Marker", "PaginationToken"];

/// The member with the token in input and output, when an operation has pages.
pub(crate) fn paging(shapes: &[Shape], input: Option<&Shape>, output: Option<&Shape>) -> Option<(Box<str>, Box<str>)> {
    let text = |structure: &Structure, name: &&str| {
        let target = structure
            .by_name(name)
            .and_then(|member| shapes.get(member.target.index()));
        target.is_some_and(|shape| matches!(shape.kind, Kind::String))
    };
    let find = |shape: Option<&Shape>, names: &[&'static str]| {
        let structure = shape?.structure()?;
        names.iter().find(|name| text(structure, name)).copied()
    };
    Some((find(input, &IN)?.into(), find(output, &OUT)?.into()))
}

fn mark(service: &Service, op: &Op, token: &str) -> String {
    let mut crc = Crc::new();
    for part in [&*service.name, ":", &*op.name, ":", token] {
        crc.update(part.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(crc.sum().to_be_bytes())
}

/// Marks the token of an answer, if it has one.
pub fn seal_token(target: &Target, output: &mut Value) {
    let Some((_, member)) = &target.operation.paging else {
        return;
    };
    if let Some(Value::String(token)) = output.get_mut(&**member)
        && !token.is_empty()
    {
        token.insert_str(0, &mark(target.service, target.operation, token));
    }
}

/// Gives the handler's own token back; the error is the service's for a token that this operation did not give.
/// An empty token is left to the handler.
pub fn open_token(target: &Target, input: &mut Value) -> Result<(), ApiError> {
    let Some((member, _)) = &target.operation.paging else {
        return Ok(());
    };
    let Some(Value::String(token)) = input.get_mut(&**member) else {
        return Ok(());
    };
    if token.is_empty() {
        return Ok(());
    }
    match token.split_at_checked(MARK_CHARS) {
        Some((found, own)) if found == mark(target.service, target.operation, own) => {
            *token = own.to_owned();
            Ok(())
        }
        _ => Err(dialect::bad_token(target.service, token)),
    }
}

#[cfg(test)]
mod tests {
    use super::{open_token, seal_token};
    use crate::{Protocol, Target};
    use serde_json::{Value, json};

    fn target(service: &str, operation: &str) -> Target {
        let service = crate::service(service).unwrap();
        Target {
            service,
            protocol: Protocol::AwsJson,
            operation: service.operation(operation).unwrap(),
        }
    }

    fn opened(target: &Target, token: &str) -> Result<Value, String> {
        let mut input = json!({ "nextToken": token, "Marker": token });
        open_token(target, &mut input).map_err(|error| error.code)?;
        Ok(input["nextToken"].clone())
    }

    #[test]
    fn only_the_operations_own_tokens_come_back() {
        let tasks = target("ecs", "ListTasks");
        let mut answer = json!({ "taskArns": [], "nextToken": "61" });
        seal_token(&tasks, &mut answer);
        let token = answer["nextToken"].as_str().unwrap();
        assert_ne!(token, "61");
        assert_eq!(opened(&tasks, token), Ok("61".into()));
        let foreign = [target("ecs", "ListServices"), target("logs", "DescribeLogGroups")];
        for other in &foreign {
            assert_eq!(opened(other, token), Err("InvalidParameterException".to_owned()));
        }
        for broken in ["61", "x", "é", "aaaaaa61", &token[1..], &format!("{token}0")] {
            assert_eq!(
                opened(&tasks, broken),
                Err("InvalidParameterException".to_owned()),
                "{broken}"
            );
        }
        assert_eq!(
            opened(&target("iam", "ListUsers"), token),
            Err("ValidationError".to_owned())
        );
        assert_eq!(opened(&tasks, ""), Ok("".into()));
        // No pages: nothing is touched.
        assert_eq!(opened(&target("ecs", "RunTask"), "x"), Ok("x".into()));
    }
}
