//! A call of an AWS API: route, authenticate, parse, validate, authorize, answer.

use super::audit::{self, Ended, Head, Noted};
use super::listener::Peer;
use super::tails::Following;
use super::{Control, caller, full};
use crate::control::http::Received;
use honmaru_base::{ApiError, Clock, Region, Scope, Time, uuid};
use honmaru_engine::{EngineError, SystemClock};
use honmaru_identity::{AuthError, Presented, ProtocolFamily, Signed};
use honmaru_machine::{Call, Handler, Operation, Principal, State, Tx};
use honmaru_wire::{Common, Protocol, Reply, Request, Target, WireError};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The services that look for a default VPC.
const NETWORKED: [&str; 3] = [honmaru_ec2::SERVICE, honmaru_ecs::SERVICE, honmaru_elbv2::SERVICE];

/// Operations by service and name.
pub fn table(services: Vec<(&'static str, Vec<Operation>)>) -> HashMap<&'static str, HashMap<&'static str, Operation>> {
    services
        .into_iter()
        .map(|(service, operations)| (service, operations.into_iter().map(|o| (o.name, o)).collect()))
        .collect()
}

/// Why a call has no answer but an error.
enum Refusal {
    Auth(AuthError),
    Api(ApiError),
    Engine(EngineError),
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        Self::Auth(error)
    }
}

fn family(target: &Target) -> ProtocolFamily {
    match target.protocol {
        Protocol::AwsJson | Protocol::RpcV2Cbor => ProtocolFamily::Json,
        Protocol::RestJson => ProtocolFamily::RestJson,
        Protocol::AwsQuery | Protocol::RestXml => ProtocolFamily::Query,
        Protocol::Ec2Query => ProtocolFamily::Ec2,
    }
}

/// Answers one call. Where the answer goes on, with what follows its begin.
pub async fn answer(control: &Arc<Control>, received: &Received) -> (Reply, Option<Following>) {
    let request_id = request_id();
    let request = Request::new(
        received.method.as_str(),
        &received.path,
        &received.query,
        &received.headers,
        &received.body,
    );
    let headers: Vec<(&str, &[u8])> = received
        .headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_bytes()))
        .collect();
    let presented = honmaru_identity::parse(&Signed {
        method: received.method.as_str(),
        raw_path: &received.path,
        raw_query: &received.query,
        headers: &headers,
        body: &received.body,
    });
    let head = Request::head(
        received.method.as_str(),
        &received.path,
        &received.query,
        &received.headers,
    );
    let claimed;
    let service = match &presented {
        Ok(presented) => presented.as_ref().map(|p| p.service.as_str()),
        // Not believed: the service that the client means says what is wrong.
        Err(_) => {
            claimed = head.claimed_scope();
            claimed.as_deref()
        }
    };
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            let error = honmaru_wire::unread(&head, service, error.kind, &error.error.message);
            return (unrouted(control, received, &error, &request_id), None);
        }
    };
    let target = match honmaru_wire::route(&request, service) {
        Ok(target) => target,
        Err(error) => return (unrouted(control, received, &error, &request_id), None),
    };
    let (at, began) = (SystemClock.now(), Instant::now());
    let mut noted = Noted::default();
    let answered = match presented {
        Ok(presented) => {
            noted.key = presented.as_ref().map(|p| p.access_key_id.clone());
            call(control, received, &request, &target, presented, &request_id, &mut noted).await
        }
        Err(error) => Err(error.into()),
    };
    let (reply, following, error) = match answered {
        Ok((reply, following)) => (reply, following, None),
        Err(refusal) => {
            // A refusal may rest on what a crash would still take back: a key just made, or just taken away.
            let refusal = match control.engine.settled().await {
                Ok(()) => refusal,
                Err(error) => error.into(),
            };
            let error = said(refusal, &target, &request_id);
            let render = if honmaru_wire::asks_for_json(&target, &request) {
                honmaru_wire::error_in_json
            } else {
                honmaru_wire::error
            };
            (render(&target, &error, &request_id), None, Some(error))
        }
    };
    let ended = Ended {
        status: reply.status.as_u16(),
        error: error.as_ref(),
        at,
        took: began.elapsed(),
        request_id: &request_id,
    };
    control
        .audit
        .record(noted.record(&control.home, &target, received, &ended));
    (reply, following)
}

/// The answer to a request whose body could not be read, and the code of its error. Who asks is not verified: nothing is
/// told but that.
pub fn unread(parts: &::http::request::Parts, kind: Common, message: &str) -> (Reply, String) {
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let query = parts.uri.query().unwrap_or_default();
    let head = Request::head(method, path, query, &parts.headers);
    let error = honmaru_wire::unread(&head, head.claimed_scope().as_deref(), kind, message);
    (error.reply(&request_id()), error.error.code)
}

/// The answer to a request that no operation was found for, and its record.
fn unrouted(control: &Control, received: &Received, error: &WireError, request_id: &str) -> Reply {
    let reply = error.reply(request_id);
    let peer = Peer {
        address: received.peer,
        secure: received.secure,
        tls: received.tls,
    };
    let head = Head::of(&received.method, &received.path, &received.headers, peer);
    let error = &error.error;
    let status = reply.status.as_u16();
    let record = head.unrouted(
        &control.home,
        status,
        &error.code,
        &error.message,
        SystemClock.now(),
        Duration::ZERO,
    );
    control.audit.record(record);
    reply
}

/// The error that a client is told; what happened inside is told to the operator only.
fn said(refusal: Refusal, target: &Target, request_id: &str) -> ApiError {
    match refusal {
        Refusal::Api(error) => error,
        Refusal::Auth(error) => error.to_api_error(family(target)),
        Refusal::Engine(EngineError::Full) => full::error(target.protocol),
        Refusal::Engine(error) => {
            tracing::error!(%error, request_id, operation = %target.operation.name(), "a call failed inside");
            honmaru_wire::common_error(
                target.protocol,
                Common::Internal,
                "The request processing has failed because of an unknown error, exception or failure.",
            )
        }
    }
}

async fn call(
    control: &Arc<Control>,
    received: &Received,
    request: &Request<'_>,
    target: &Target,
    presented: Option<Presented>,
    request_id: &str,
    noted: &mut Noted,
) -> Result<(Reply, Option<Following>), Refusal> {
    let now = SystemClock.now();
    let principal = principal(control, target, presented.as_ref(), now)?;
    noted.principal = Some(principal.clone());
    let Some(operation) = control
        .operations
        .get(target.service.name())
        .and_then(|o| o.get(target.operation.name()))
    else {
        return Err(honmaru_wire::not_implemented(target).into());
    };
    let region = presented
        .as_ref()
        .map(|p| p.region.as_str())
        .filter(|region| !region.is_empty());
    let region: Region = match region {
        Some(region) => region.parse().map_err(|_| AuthError::unknown_key())?,
        None => control.options.region.clone(),
    };
    let scope = Scope {
        account: principal.account.clone(),
        region,
    };
    let call = Call {
        scope,
        principal,
        request_id: request_id.to_owned(),
        now,
        source_ip: Some(received.peer.ip()),
        user_agent: received.header("user-agent").unwrap_or_default().to_owned(),
        referer: received.header("referer").unwrap_or_default().to_owned(),
        host: received.host().unwrap_or_default().to_owned(),
        secure: received.secure,
    };
    noted.scope = Some(call.scope.clone());
    control
        .key_uses
        .note(&call.principal, target.service.signing_name(), &call.scope.region);
    let mut input = honmaru_wire::parse(target, request)?;
    noted.keep_input(target, request.body(), &input);
    let resources = noted.resources.clone();
    honmaru_wire::validate(target, &input)?;
    honmaru_wire::open_token(target, &mut input)?;
    if target.service.name() == honmaru_sts::SERVICE && target.operation.name() == "AssumeRoleWithWebIdentity" {
        // Rare and large: on the heap, so that the usual call's future, which is moved, stays small.
        Box::pin(control.issuers.ensure(&control.engine, &input)).await?;
    }
    // Without a range for a default VPC all that needs none goes on.
    if NETWORKED.contains(&target.service.name()) && !control.scopes.knows(&call.scope) {
        let may = |state: &State| {
            let accesses = (operation.access)(state, &call, &input);
            !accesses.is_empty() && honmaru_iam::authorize(state, &call, &accesses, family(target)).is_ok()
        };
        let _ = Box::pin(control.scopes.ensure_for(&control.engine, &call.scope, may)).await?;
    }
    let rendering = Rendering {
        target: *target,
        in_json: honmaru_wire::asks_for_json(target, request),
    };
    let output = match &operation.handler {
        Handler::Read(handler) => {
            let answer = control.engine.read(|state| {
                let accesses = (operation.access)(state, &call, &input);
                let _ = resources.set(audit::resources(&accesses));
                honmaru_iam::authorize(state, &call, &accesses, family(target))?;
                handler(state, &call, input)
            });
            answer.await??
        }
        Handler::Write(handler) => {
            let change = (rendering, call, input, resources);
            return write(control, operation, *handler, Rendering::of, change, noted).await;
        }
        Handler::WriteJson(handler) => {
            let change = (rendering, call, input, resources);
            return write(control, operation, *handler, Rendering::of_json, change, noted).await;
        }
        Handler::Async(handler) => {
            full::check(&control.engine, target)?;
            let allowed = control.engine.read(|state| {
                let accesses = (operation.access)(state, &call, &input);
                let _ = resources.set(audit::resources(&accesses));
                honmaru_iam::authorize(state, &call, &accesses, family(target))
            });
            allowed.await??;
            handler(call, input).await?
        }
    };
    let following = control.tails.follow(target, &output);
    let (reply, told) = rendering.of(output, request_id);
    noted.keep_output(told);
    Ok((reply, following))
}

/// What a call that changes something is made of.
type Change = (Rendering, Call, Value, Arc<OnceLock<Vec<String>>>);

/// Changes the state; the answer is rendered by the writer, once the change is durable.
async fn write<T: Send + 'static>(
    control: &Control,
    operation: &Operation,
    handler: fn(&mut Tx<'_>, &Call, Value) -> Result<T, ApiError>,
    render: fn(Rendering, T, &str) -> (Reply, audit::Told),
    (rendering, call, input, resources): Change,
    noted: &mut Noted,
) -> Result<(Reply, Option<Following>), Refusal> {
    let (access, family) = (operation.access, family(&rendering.target));
    let change = move |tx: &mut Tx<'_>| {
        // Authorised inside the transition, against the very state that it changes.
        let accesses = access(tx, &call, &input);
        let _ = resources.set(audit::resources(&accesses));
        honmaru_iam::authorize(tx, &call, &accesses, family)?;
        let output = handler(tx, &call, input)?;
        Ok::<_, ApiError>((output, call.request_id))
    };
    let finish = move |(output, id): (T, String)| render(rendering, output, &id);
    let when_full = full::when_full(rendering.target.operation.name());
    let (reply, told) = control.engine.write_then(when_full, change, finish).await??;
    noted.keep_output(told);
    Ok((reply, None))
}

/// How an output becomes an answer.
#[derive(Clone, Copy)]
struct Rendering {
    target: Target,
    in_json: bool,
}

impl Rendering {
    /// The answer, and what the trail keeps of it.
    fn of(self, mut output: Value, request_id: &str) -> (Reply, audit::Told) {
        honmaru_wire::seal_token(&self.target, &mut output);
        let told = audit::Told::of(&self.target, &output);
        let render = if self.in_json {
            honmaru_wire::ok_in_json
        } else {
            honmaru_wire::ok
        };
        (render(&self.target, &output, request_id), told)
    }

    /// The same of an output that is JSON text. Operations that answer with one have no pages and no other form.
    fn of_json(self, output: Box<RawValue>, request_id: &str) -> (Reply, audit::Told) {
        let told = audit::Told::of_json(&self.target, &output);
        (honmaru_wire::ok_json(&self.target, output, request_id), told)
    }
}

fn principal(
    control: &Arc<Control>,
    target: &Target,
    presented: Option<&Presented>,
    now: Time,
) -> Result<Principal, Refusal> {
    match presented {
        Some(presented) if presented.service != target.service.signing_name() && !control.options.dev => {
            Err(AuthError::wrong_service(target.service.signing_name()).into())
        }
        // What it saw is durable when the call itself is answered, or refused (`answer`).
        Some(presented) => Ok(control
            .engine
            .peek(|state| caller::authenticate(control, state, presented, now))?),
        None if target.operation.unsigned() => Ok(caller::anonymous(control)),
        None => Err(AuthError::missing().into()),
    }
}

/// A new request id.
pub fn request_id() -> String {
    thread_local! {
        static RNG: std::cell::RefCell<honmaru_base::SeededRng> =
            std::cell::RefCell::new(honmaru_engine::system_rng());
    }
    RNG.with_borrow_mut(|rng| uuid(rng))
}
