//! The wire as a filter, for the Python drivers in `tests/wire`: one JSON question a line in, one JSON answer a line out.
//!
//! Questions: `{"kind": "parse" | "ok" | "error" | "route" | "paging", "service": NAME | "model": MODEL, "op", "protocol", ...}`;
//! `parse` and `route` take `request {method, uri, headers, body (base64)}`, `ok` takes `output`, `error` takes
//! `code`, `message` and `fields`. An unusable question ends the program: it is the driver's fault.

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use honmaru_base::ApiError;
use honmaru_wire::{Protocol, Reply, Request, Service, Target};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, Write};

fn main() -> Result<()> {
    let mut models = HashMap::new();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let question: Value = serde_json::from_str(&line?)?;
        writeln!(out, "{}", answer(&question, &mut models)?)?;
        out.flush()?;
    }
    Ok(())
}

/// An embedded service, or one from a model in the question. Models of the suites live as long as the program.
fn service(question: &Value, models: &mut HashMap<String, &'static Service>) -> Result<&'static Service> {
    if let Some(name) = question["service"].as_str() {
        return honmaru_wire::service(name).with_context(|| format!("no service `{name}`"));
    }
    let text = question["model"].to_string();
    if let Some(service) = models.get(&text) {
        return Ok(service);
    }
    let service: &'static Service = Box::leak(Box::new(Service::from_json("suite", text.as_bytes())?));
    models.insert(text, service);
    Ok(service)
}

fn answer(question: &Value, models: &mut HashMap<String, &'static Service>) -> Result<Value> {
    let kind = question["kind"].as_str().context("a question has a kind")?;
    if kind == "route" {
        return with_request(question, |request| {
            match honmaru_wire::route(request, question["scope"].as_str()) {
                Ok(target) => json!({
                    "service": target.service.name(),
                    "op": target.operation.name(),
                    "protocol": format!("{:?}", target.protocol),
                }),
                Err(error) => json!({"error": error.error.code, "reply": reply(&error.reply("rid-1"))}),
            }
        });
    }
    let service = service(question, models)?;
    if kind == "paging" {
        let operation = question["op"].as_str().and_then(|name| service.operation(name));
        return Ok(json!(operation.context("an operation")?.paging()));
    }
    let protocol = question["protocol"]
        .as_str()
        .and_then(Protocol::from_botocore)
        .context("a protocol")?;
    let name = question["op"].as_str().context("an operation")?;
    let operation = service
        .operation(name)
        .with_context(|| format!("no operation `{name}`"))?;
    let target = Target {
        service,
        protocol,
        operation,
    };
    match kind {
        "parse" => with_request(question, |request| match honmaru_wire::parse(&target, request) {
            Ok(input) => {
                let invalid = honmaru_wire::validate(&target, &input).err();
                json!({
                    "ok": input,
                    "invalid": invalid.as_ref().map(ToString::to_string),
                    "reply": invalid.map(|error| reply(&honmaru_wire::error(&target, &error, "rid-1"))),
                })
            }
            Err(error) => json!({
                "error": error.code,
                "message": error.message,
                "reply": reply(&honmaru_wire::error(&target, &error, "rid-1")),
            }),
        }),
        "ok" => {
            let flaws = honmaru_wire::flaws_of_output(&target, &question["output"]);
            let mut answer = reply(&honmaru_wire::ok(&target, &question["output"], "rid-1"));
            answer["flaws"] = json!(flaws);
            Ok(answer)
        }
        "error" => {
            let text = |key: &str| question[key].as_str().unwrap_or_default().to_owned();
            let mut error = ApiError::new(text("code"), text("message"));
            error.fields = question["fields"].as_object().cloned().unwrap_or_default();
            Ok(reply(&honmaru_wire::error(&target, &error, "rid-1")))
        }
        other => bail!("no kind `{other}`"),
    }
}

fn with_request(question: &Value, f: impl FnOnce(&Request<'_>) -> Value) -> Result<Value> {
    let parts = &question["request"];
    let text = |key: &str| parts[key].as_str().with_context(|| format!("a request has a {key}"));
    let uri = text("uri")?;
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let body = STANDARD.decode(text("body")?)?;
    let mut headers = HeaderMap::new();
    for (name, value) in parts["headers"].as_object().into_iter().flatten() {
        let value = value.as_str().context("a header is text")?;
        headers.insert(HeaderName::try_from(name)?, HeaderValue::from_bytes(value.as_bytes())?);
    }
    Ok(match Request::new(text("method")?, path, query, &headers, &body) {
        Ok(request) => f(&request),
        Err(error) => json!({"error": error.error.code, "message": error.error.message}),
    })
}

fn reply(reply: &Reply) -> Value {
    let headers: Vec<(String, String)> = reply
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    json!({"status": reply.status.as_u16(), "headers": headers, "body": STANDARD.encode(&reply.body)})
}
