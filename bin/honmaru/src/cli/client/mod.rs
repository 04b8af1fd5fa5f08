//! The client of the CLI: signed calls of the AWS APIs, the same that anybody else makes.

mod connect;
mod http;
mod xml;

pub use connect::{Duplex, connect};
pub use http::{HttpAnswer, get, get_shown, get_shown_to, send};

use anyhow::{Context, bail};
use honmaru_base::Clock;
use honmaru_engine::SystemClock;
use honmaru_identity::{Credentials, Signed, sign};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// How the CLI calls itself.
const USER_AGENT: &str = concat!("honmaru/", env!("CARGO_PKG_VERSION"));

/// How a service is called.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    /// awsJson 1.1 with its target prefix.
    Json(&'static str),
    /// awsQuery or ec2Query with its version.
    Query(&'static str),
}

/// A service of the CLI's.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    name: &'static str,
    signing: &'static str,
    dialect: Dialect,
}

/// Amazon ECS.
pub const ECS: Service = Service {
    name: "ecs",
    signing: "ecs",
    dialect: Dialect::Json("AmazonEC2ContainerServiceV20141113"),
};
/// Amazon ECR.
pub const ECR: Service = Service {
    name: "ecr",
    signing: "ecr",
    dialect: Dialect::Json("AmazonEC2ContainerRegistry_V20150921"),
};
/// CloudWatch Logs.
pub const LOGS: Service = Service {
    name: "logs",
    signing: "logs",
    dialect: Dialect::Json("Logs_20140328"),
};
/// AWS WAFv2.
pub const WAFV2: Service = Service {
    name: "wafv2",
    signing: "wafv2",
    dialect: Dialect::Json("AWSWAF_20190729"),
};
/// Elastic Load Balancing v2.
pub const ELBV2: Service = Service {
    name: "elbv2",
    signing: "elasticloadbalancing",
    dialect: Dialect::Query("2015-12-01"),
};
/// AWS IAM.
pub const IAM: Service = Service {
    name: "iam",
    signing: "iam",
    dialect: Dialect::Query("2010-05-08"),
};
/// AWS CloudTrail.
pub const CLOUDTRAIL: Service = Service {
    name: "cloudtrail",
    signing: "cloudtrail",
    dialect: Dialect::Json("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101"),
};
/// Amazon EC2.
pub const EC2: Service = Service {
    name: "ec2",
    signing: "ec2",
    dialect: Dialect::Query("2016-11-15"),
};

/// An error that the API answered with.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{service} {operation}: {code}: {message}")]
pub struct CallError {
    /// The service.
    pub service: &'static str,
    /// The operation.
    pub operation: String,
    /// AWS's code, without `Exception`'s namespace.
    pub code: String,
    /// AWS's message.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
}

/// What the CLI knows of a cloud: where it answers and as whom to call.
#[derive(Debug, Clone)]
pub struct Client {
    /// For example `http://127.0.0.1:4566`.
    pub endpoint: String,
    /// The shared entry of the load balancers, for example `http://127.0.0.1:8080`, where it is known.
    pub entry: Option<String>,
    /// Where it speaks TLS, if it does.
    pub secure_entry: Option<SocketAddr>,
    /// The region of every call.
    pub region: String,
    /// The certificates (PEM) that vouch for the endpoint, where the system's do not.
    pub ca: Option<PathBuf>,
    credentials: Credentials,
}

impl Client {
    /// A client from the environment (`AWS_...`), else from the state directory of a cloud on this machine.
    pub fn open(state: &Path, endpoint: Option<&str>) -> anyhow::Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = crate::dirs::Dirs::new(state).credentials();
        let kept: Option<Value> = std::fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let of_file = |name: &str| kept.as_ref().and_then(|kept| kept[name].as_str()).map(str::to_owned);
        let keys = match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => Some((id, secret, variable("AWS_SESSION_TOKEN"))),
            _ => of_file("access_key_id")
                .zip(of_file("secret_access_key"))
                .map(|(id, secret)| (id, secret, None)),
        };
        let Some((access_key_id, secret_access_key, session_token)) = keys else {
            bail!(
                "no cloud is known here: `{}` cannot be read and AWS_ACCESS_KEY_ID is not set\nhint: start one with \
                 `sudo honmaru up`, name its directory with `--state DIR`, or run this command with `sudo`",
                path.display()
            );
        };
        let endpoint = endpoint
            .map(str::to_owned)
            .or_else(|| variable("AWS_ENDPOINT_URL"))
            .or_else(|| of_file("endpoint"))
            .unwrap_or_else(|| "http://127.0.0.1:4566".to_owned());
        // What the state directory says of its own endpoint stands above a bundle that is there for other servers.
        let own_ca = of_file("ca").filter(|_| of_file("endpoint").as_deref() == Some(endpoint.as_str()));
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            entry: of_file("entry"),
            secure_entry: of_file("secure_entry").and_then(|entry| entry.strip_prefix("https://")?.parse().ok()),
            ca: own_ca.or_else(|| variable("AWS_CA_BUNDLE")).map(PathBuf::from),
            region: variable("AWS_REGION")
                .or_else(|| variable("AWS_DEFAULT_REGION"))
                .or_else(|| of_file("region"))
                .unwrap_or_else(|| "us-east-1".to_owned()),
            credentials: Credentials {
                access_key_id,
                secret_access_key,
                session_token,
            },
        })
    }

    /// The keys that this client signs with.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// `host:port` of the endpoint.
    pub fn host(&self) -> &str {
        self.endpoint
            .split_once("://")
            .map_or(self.endpoint.as_str(), |(_, host)| host)
    }

    /// Asks control for what no API of AWS's has, and gives each line of the answer to `each` as it comes.
    pub async fn follow(
        &self,
        method: &str,
        path: &str,
        query: &str,
        each: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut headers = vec![("host".to_owned(), self.host().to_owned())];
        let raw: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        let signed = Signed {
            method,
            raw_path: path,
            raw_query: query,
            headers: &raw,
            body: b"",
        };
        let name = crate::registry_report::SIGNING_NAME;
        let added = sign(&self.credentials, &self.region, name, SystemClock.now(), &signed);
        headers.extend(added);
        let target = if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        };
        let answer = http::follow(&self.endpoint, self.ca.as_deref(), method, &target, &headers, each)
            .await
            .with_context(|| format!("no whole answer came from {}", self.endpoint))?;
        if answer.status < 300 {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&answer.body);
        bail!("{} answered {}: {}", self.endpoint, answer.status, said.trim())
    }

    /// Makes a call. `input` is keyed by member name; so is the answer, in which numbers of query services are text.
    pub async fn call(&self, service: Service, operation: &str, input: Value) -> anyhow::Result<Value> {
        let (content_type, target, body) = match service.dialect {
            Dialect::Json(prefix) => (
                "application/x-amz-json-1.1",
                Some(format!("{prefix}.{operation}")),
                input.to_string().into_bytes(),
            ),
            Dialect::Query(version) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                form.append_pair("Action", operation).append_pair("Version", version);
                flatten(&mut form, String::new(), &input, service.name == "ec2");
                (
                    "application/x-www-form-urlencoded; charset=utf-8",
                    None,
                    form.finish().into_bytes(),
                )
            }
        };
        let mut headers = vec![
            ("host".to_owned(), self.host().to_owned()),
            ("content-type".to_owned(), content_type.to_owned()),
            ("user-agent".to_owned(), USER_AGENT.to_owned()),
        ];
        headers.extend(target.map(|target| ("x-amz-target".to_owned(), target)));
        let raw: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        let signed = Signed {
            method: "POST",
            raw_path: "/",
            raw_query: "",
            headers: &raw,
            body: &body,
        };
        let added = sign(
            &self.credentials,
            &self.region,
            service.signing,
            SystemClock.now(),
            &signed,
        );
        headers.extend(added);
        let answer = http::send(&self.endpoint, self.ca.as_deref(), "POST", "/", &headers, body)
            .await
            .with_context(|| {
                format!(
                    "no cloud answers on {}\nhint: start it with `sudo honmaru up`",
                    self.endpoint
                )
            })?;
        let tree = match service.dialect {
            Dialect::Json(_) if answer.body.is_empty() => Value::Object(serde_json::Map::new()),
            Dialect::Json(_) => serde_json::from_slice(&answer.body)
                .with_context(|| format!("{} {operation} answered something else than JSON", service.name))?,
            Dialect::Query(_) => xml::read(&answer.body)
                .with_context(|| format!("{} {operation} answered something else than XML", service.name))?,
        };
        if answer.status < 300 {
            return Ok(match service.dialect {
                Dialect::Json(_) => tree,
                Dialect::Query(_) => result(tree, operation),
            });
        }
        Err(error(service, operation, answer.status, &tree).into())
    }
}

/// The content of `<...Response><...Result>`.
fn result(tree: Value, operation: &str) -> Value {
    let Value::Object(mut members) = tree else { return tree };
    members
        .remove(&format!("{operation}Result"))
        .unwrap_or(Value::Object(members))
}

fn error(service: Service, operation: &str, status: u16, tree: &Value) -> CallError {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (code, message) = match service.dialect {
        Dialect::Json(_) => (
            text(&tree["__type"]).map(|code| code.rsplit('#').next().unwrap_or_default().to_owned()),
            text(&tree["message"]).or_else(|| text(&tree["Message"])),
        ),
        Dialect::Query(_) => {
            let inner = if tree["Errors"].is_object() {
                &tree["Errors"]["Error"]
            } else {
                &tree["Error"]
            };
            (text(&inner["Code"]), text(&inner["Message"]))
        }
    };
    CallError {
        service: service.name,
        operation: operation.to_owned(),
        code: code.unwrap_or_else(|| "UnknownError".to_owned()),
        message: message.unwrap_or_default(),
        status,
    }
}

/// The code of an API's error in a chain, if there is one.
pub fn code_of(error: &anyhow::Error) -> Option<&str> {
    error.downcast_ref::<CallError>().map(|error| error.code.as_str())
}

/// A tree as the parameters of a query: `A.member.1.B=x`, or in EC2's form `A.1.B=x`.
fn flatten(form: &mut form_urlencoded::Serializer<'_, String>, prefix: String, value: &Value, is_ec2: bool) {
    let join = |name: &str| {
        if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}.{name}")
        }
    };
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                flatten(form, join(name), value, is_ec2);
            }
        }
        Value::Array(items) => {
            for (n, item) in (1..).zip(items) {
                let name = if is_ec2 { n.to_string() } else { format!("member.{n}") };
                flatten(form, join(&name), item, is_ec2);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            form.append_pair(&prefix, text);
        }
        other => {
            form.append_pair(&prefix, &other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_become_query_parameters() {
        let tree = serde_json::json!({"Name": "a", "Tags": [{"Key": "k", "Value": "v"}], "Port": 80, "No": null});
        let form = |is_ec2| {
            let mut form = form_urlencoded::Serializer::new(String::new());
            flatten(&mut form, String::new(), &tree, is_ec2);
            form.finish()
        };
        assert_eq!(form(false), "Name=a&Port=80&Tags.member.1.Key=k&Tags.member.1.Value=v");
        assert_eq!(form(true), "Name=a&Port=80&Tags.1.Key=k&Tags.1.Value=v");
    }
}
