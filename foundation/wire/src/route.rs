//! Which operation of which service a request is for, and in which protocol it speaks.
//!
//! Not here: hosts of data planes (load balancers, the registry) and anything but AWS's APIs.

use crate::catalog::{self, Entry};
use crate::codec::percent;
use crate::fault::{Common, WireError};
use crate::model::{Location, Op, Protocol, Service};
use crate::request::Request;

/// Where a request is routed to.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The service.
    pub service: &'static Service,
    /// The protocol of the request, and of the answer.
    pub protocol: Protocol,
    /// The operation.
    pub operation: &'static Op,
}

/// Finds the operation. `scope` is the service in the signature's credential scope, when there is a signature.
///
/// The target header or path of an RPC names the service without doubt; the scope tells services of REST and query
/// apart; then the API version, the host and the path are asked, in that order.
/// Errors are well-formed in the request's protocol: unknown service, unknown operation.
pub fn route(request: &Request<'_>, scope: Option<&str>) -> Result<Target, WireError> {
    let action = Action::of(request);
    let Some(entry) = find_service(request, &action, scope) else {
        return Err(WireError::unrouted(
            request.guess(),
            Common::UnknownOperation,
            &unknown_service(scope),
        ));
    };
    let service = entry.service();
    let protocol = find_protocol(request, &action, service);
    let operation = match (protocol, &action) {
        (Protocol::RestJson | Protocol::RestXml, _) => rest_operation(service, request),
        (Protocol::AwsJson, Action::Target { operation, .. }) => service.operation(operation),
        (Protocol::RpcV2Cbor, Action::Rpc { operation, .. }) => service.operation(operation),
        // Another version is another API: the older Elastic Load Balancing has operations of the same names.
        (Protocol::AwsQuery, Action::Query { action, version }) if version.is_empty() || *version == *entry.version => {
            service.operation(action)
        }
        (Protocol::Ec2Query, Action::Query { action, version })
            if version.is_empty() || is_earlier_or_same(version, entry.version) =>
        {
            service.operation(action)
        }
        _ => None,
    };
    // Coral's front end finds no handler for a target with another content type: 404.
    let lost = matches!(action, Action::Target { .. }) && !TARGET_TYPES.contains(&request.content_type().as_str());
    match operation {
        Some(_) if lost => {
            let message = "The content type is none of the JSON protocol";
            let mut error = WireError::of_service(service, protocol, Common::UnknownOperation, message);
            error.error = error.error.with_status(404);
            Err(error)
        }
        Some(operation) => Ok(Target {
            service,
            protocol,
            operation,
        }),
        None => Err(unknown_operation(service, protocol, &action)),
    }
}

/// Whether `version` is a date, and not later than `latest`. EC2 still serves the versions of its API that older clients
/// ask for (boto 2.49 asks for 2014-10-01); one version grows out of the other. The answer is that of the latest.
fn is_earlier_or_same(version: &str, latest: &str) -> bool {
    let is_date = version.len() == latest.len()
        && version
            .bytes()
            .zip(latest.bytes())
            .all(|(a, b)| if b == b'-' { a == b } else { a.is_ascii_digit() });
    is_date && version <= latest
}

/// Names the service that the signature is for, if it may be a service's name.
fn unknown_service(scope: Option<&str>) -> String {
    let is_name =
        |name: &&str| name.len() <= SERVICE_CHARS_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match scope.filter(is_name) {
        Some(name) => format!("The request names no service that is known here: Honmaru has no {name}"),
        None => "The request names no service that is known here".to_owned(),
    }
}

/// The error of a request whose body could not be read, or not be unpacked: as the service says it that the request is
/// for, in the protocol that it speaks, as far as the head tells.
pub fn unread(head: &Request<'_>, scope: Option<&str>, kind: Common, message: &str) -> WireError {
    let action = Action::of(head);
    match find_service(head, &action, scope) {
        Some(entry) => {
            let service = entry.service();
            WireError::of_service(service, find_protocol(head, &action, service), kind, message)
        }
        None => WireError::unrouted(head.guess(), kind, message),
    }
}

/// Longer names than any service has are not repeated to the client.
const SERVICE_CHARS_MAX: usize = 40;

/// Content types that go with `X-Amz-Target`.
const TARGET_TYPES: [&str; 3] = [
    "application/x-amz-json-1.1",
    "application/x-amz-json-1.0",
    "application/json",
];

/// How the request names its operation.
enum Action<'r> {
    /// `X-Amz-Target: Prefix.Operation`
    Target { prefix: &'r str, operation: &'r str },
    /// `/service/Name/operation/Operation`
    Rpc { service: &'r str, operation: &'r str },
    /// `Action=Operation&Version=2015-12-01`
    Query { action: String, version: String },
    /// By method and path.
    Path,
}

impl<'r> Action<'r> {
    fn of(request: &'r Request<'_>) -> Self {
        // Ref: Smithy, awsJson and RPC v2 CBOR: always POST, and the latter names itself; AWS query: POST, or GET as in
        // presigned URLs.
        let is_post = request.method == "POST";
        if is_post && let Some((prefix, operation)) = request.header("x-amz-target").and_then(|t| t.rsplit_once('.')) {
            return Self::Target { prefix, operation };
        }
        if is_post && request.header("smithy-protocol") == Some("rpc-v2-cbor") {
            let mut segments = request.path.rsplit('/');
            if let (Some(operation), Some("operation"), Some(service), Some("service")) =
                (segments.next(), segments.next(), segments.next(), segments.next())
            {
                return Self::Rpc { service, operation };
            }
        }
        let form = match request.content_type().as_str() {
            // As far as it is text; that it is none throughout is the parser's to say.
            "application/x-www-form-urlencoded" => {
                request.body().utf8_chunks().next().map_or("", |chunk| chunk.valid())
            }
            _ => "",
        };
        let find = |key| percent::find(form, key).or_else(|| percent::find(request.query, key));
        match find("Action") {
            Some(action) if is_post || request.method == "GET" => Self::Query {
                action: action.into_owned(),
                version: find("Version").unwrap_or_default().into_owned(),
            },
            _ => Self::Path,
        }
    }
}

fn find_service(request: &Request<'_>, action: &Action<'_>, scope: Option<&str>) -> Option<&'static Entry> {
    let find = |wanted: &dyn Fn(&Entry) -> bool| catalog::entries().find(|entry| wanted(entry));
    match action {
        // Ref: Smithy: the target begins with the service's name, and that is what most SDKs send; botocore's models have
        // a namespace before it for some services, and AWS takes both.
        Action::Target { prefix, .. } => {
            return find(&|entry| entry.target_prefix == *prefix)
                .or_else(|| find(&|entry| entry.shape_name() == *prefix));
        }
        Action::Rpc { service, .. } => {
            // The name in the path is the one before a namespace, if there is one (`com.amazonaws.x#Name`).
            let service = service.rsplit_once(['.', '#']).map_or(*service, |(_, name)| name);
            if let Some(entry) = find(&|entry| {
                let own = entry.shape_name();
                !own.is_empty() && own == service
            }) {
                return Some(entry);
            }
        }
        Action::Query { .. } | Action::Path => {}
    }
    let scoped = || scope.and_then(|scope| find(&|entry| entry.signing_name == scope));
    let query = || match action {
        // Only query services have an `Action`, and their versions are all different. An older ELB has another one.
        Action::Query { version, .. } => find(&|entry| entry.version == *version),
        _ => None,
    };
    let host = || {
        let label = request.header("host")?.split('.').next()?;
        find(&|entry| entry.endpoint == label || entry.name == label)
    };
    let path = || {
        const PATHS: &[(&str, &str)] = &[
            ("/2013-04-01/", "route53"),
            ("/2014-11-13/", "lambda"),
            ("/2015-03-31/", "lambda"),
            ("/2020-05-31/", "cloudfront"),
            ("/v2/apis", "apigatewayv2"),
        ];
        let (_, name) = PATHS.iter().find(|(prefix, _)| request.path.starts_with(prefix))?;
        find(&|entry| entry.name == *name)
    };
    // S3 takes what is left when it is signed for it (`scoped`) or presigned; never an unsigned stray request.
    let presigned = || percent::find(request.query, "X-Amz-Signature").and_then(|_| find(&|entry| entry.name == "s3"));
    if matches!(action, Action::Query { .. }) {
        return query().or_else(scoped).or_else(host);
    }
    scoped().or_else(host).or_else(path).or_else(presigned)
}

/// The protocol of the request, if the service declares it; else the service's first one.
fn find_protocol(request: &Request<'_>, action: &Action<'_>, service: &Service) -> Protocol {
    let declares = |protocol: &Protocol| service.protocols.contains(protocol);
    let spoken = match action {
        Action::Rpc { .. } => [Protocol::RpcV2Cbor, Protocol::RpcV2Cbor],
        Action::Target { .. } => [Protocol::AwsJson, Protocol::AwsJson],
        Action::Query { .. } => [Protocol::AwsQuery, Protocol::Ec2Query],
        Action::Path => [Protocol::RestJson, Protocol::RestXml],
    };
    let first = service.protocols.first().copied().unwrap_or(request.guess());
    spoken
        .into_iter()
        .find(declares)
        .or_else(|| Some(request.guess()).filter(declares))
        .unwrap_or(first)
}

fn unknown_operation(service: &'static Service, protocol: Protocol, action: &Action<'_>) -> WireError {
    let is_query = matches!(protocol, Protocol::AwsQuery | Protocol::Ec2Query);
    if is_query && !matches!(action, Action::Query { .. }) {
        let message = "The request is missing an action or a required parameter.";
        return WireError::of_service(service, protocol, Common::MissingAction, message);
    }
    let message = match (protocol, action) {
        (Protocol::Ec2Query, Action::Query { action, .. }) => {
            format!("The action {action} is not valid for this web service.")
        }
        (Protocol::AwsQuery, Action::Query { action, version }) => {
            format!("Could not find operation {action} for version {version}")
        }
        (_, Action::Target { operation, .. } | Action::Rpc { operation, .. }) => {
            format!("The service {} has no operation {operation}", service.name)
        }
        _ => format!("The service {} has no operation at this method and path", service.name),
    };
    WireError::of_service(service, protocol, Common::UnknownOperation, &message)
}

/// The operation of a method and path. Of several that match, the best is the one whose bound query keys and headers
/// are all there, that has more literal segments, and that binds more of the request: that tells S3's apart.
fn rest_operation<'s>(service: &'s Service, request: &Request<'_>) -> Option<&'s Op> {
    let matching = service.operations().filter(|op| *op.method == *request.method);
    matching
        .filter_map(|op| Some((rank(service, op, request)?, op)))
        .min_by_key(|(rank, _)| std::cmp::Reverse(*rank))
        .map(|(_, op)| op)
}

/// How well an operation fits; nothing when it does not.
fn rank(service: &Service, op: &Op, request: &Request<'_>) -> Option<(bool, usize, usize, usize, bool)> {
    op.uri.matches(request.path)?;
    let has = |key: &str| percent::find(request.query, key);
    for (key, value) in &op.uri.query {
        let found = has(key)?;
        if value.as_ref().is_some_and(|value| **value != *found) {
            return None;
        }
    }
    let mut present = 0;
    let mut absent = 0;
    let structure = op.input.and_then(|id| service.shape(id).structure());
    for member in structure
        .iter()
        .flat_map(|structure| structure.members.iter())
        .filter(|member| member.required)
    {
        let found = match member.location {
            Location::Query => has(member.wire()).is_some(),
            Location::Header => request.headers.contains_key(member.wire()),
            _ => continue,
        };
        *(if found { &mut present } else { &mut absent }) += 1;
    }
    Some((
        absent == 0,
        op.uri.query.len(),
        op.uri.literals(),
        present,
        !op.deprecated,
    ))
}
