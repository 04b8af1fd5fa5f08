//! A request's way: checked, inspected, routed, answered.

use crate::answer::{self, Refusal};
use crate::balance;
use crate::body::{Body, RequestBody};
use crate::condition::Subject;
use crate::connection::Served;
use crate::counters::add;
use crate::entry;
use crate::firewall::Passage;
use crate::forward::{self, Forwarding};
use crate::group::Group;
use crate::plan::{Action, Listener};
use crate::redirect::{self, Original};
use crate::stickiness;
use crate::tunnel;
use crate::validate::{self, Survey};
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use std::sync::Arc;

/// Answers one request.
pub(crate) async fn respond(served: &Served, request: Request<Incoming>) -> Response<Body> {
    let (mut parts, incoming) = request.into_parts();
    let survey = match validate::check(&parts) {
        Ok(survey) => survey,
        Err(refusal) => return refusal.response(),
    };
    let listener = match served.listener(&parts) {
        Ok(listener) => listener,
        Err(response) => return *response,
    };
    let numbers = &listener.balancer.numbers;
    add(&numbers.requests);
    let body = RequestBody::new(incoming);
    if let Some(wall) = &listener.balancer.wall {
        let fail_open = listener.balancer.settings.fail_open;
        match wall.inspect(&mut parts, &body, &served.caller, fail_open).await {
            Ok(Passage::Pass) => {}
            Ok(Passage::Refused(response)) => {
                add(&numbers.blocked);
                numbers.own_answer(response.status().as_u16());
                return response;
            }
            Err(refusal) => return own(&listener, refusal.response()),
        }
    }
    match route(served, &listener, &parts) {
        Some(Action::Forward { groups, stickiness_s }) => {
            let chosen = choose_group(served, &parts, survey, groups, *stickiness_s);
            let Some(group) = chosen else {
                return own(&listener, Refusal::NoTarget.response());
            };
            if !fits(&parts, group) {
                return own(&listener, Refusal::ProtocolMismatch.response());
            }
            let group_s = stickiness_s.filter(|_| groups.len() > 1);
            let forwarding = Forwarding {
                served,
                listener: &listener,
                group,
                survey,
                group_s,
            };
            let result = if survey.has_upgrade && survey.has_connection && tunnel::is_wanted(&parts) {
                // Rare, and large: on the heap, so that plain requests stay small.
                Box::pin(tunnel::forward(&forwarding, parts, body)).await
            } else {
                forward::forward(&forwarding, parts, body).await
            };
            result.unwrap_or_else(|refusal| own(&listener, refusal.response()))
        }
        Some(Action::Redirect(redirect)) => {
            let host = validate::host(&parts);
            let original = Original {
                protocol: if served.caller.is_tls { "https" } else { "http" },
                host: validate::without_port(host),
                port: served.caller.shared_port.unwrap_or(listener.port),
                uri: &parts.uri,
            };
            let mut place = redirect::place(redirect, original);
            let is_shared = served.caller.shared_port.is_some();
            if let (true, Some(port)) = (
                is_shared,
                entry::port_for(&served.edge, &place.protocol, &place.host, &place.port),
            ) {
                place.port = port.to_string();
            }
            own(&listener, redirect::respond(redirect.status, &place))
        }
        Some(Action::Fixed {
            status,
            content_type,
            body,
        }) => own(
            &listener,
            answer::with_body(*status, content_type.as_deref(), body.clone()),
        ),
        None => own(&listener, Refusal::NoTarget.response()),
    }
}

fn own(listener: &Listener, response: Response<Body>) -> Response<Body> {
    listener.balancer.numbers.own_answer(response.status().as_u16());
    response
}

/// The action of the first rule that holds.
fn route<'a>(served: &Served, listener: &'a Listener, parts: &Parts) -> Option<&'a Action> {
    let host = validate::without_port(validate::host(parts));
    let subject = Subject {
        parts,
        host,
        peer: served.caller.peer.ip(),
    };
    let rule = listener
        .rules
        .iter()
        .find(|rule| rule.conditions.iter().all(|condition| condition.holds(&subject)));
    rule.map(|rule| &rule.action)
}

fn choose_group<'a>(
    served: &Served,
    parts: &Parts,
    survey: Survey,
    groups: &'a [(Arc<Group>, u32)],
    stickiness_s: Option<u32>,
) -> Option<&'a Arc<Group>> {
    let sticky = (stickiness_s.is_some() && survey.has_cookie && groups.len() > 1)
        .then(|| stickiness::sticky_group(&served.edge.jar, &parts.headers, groups))
        .flatten();
    sticky.or_else(|| balance::pick_group(groups))
}

/// Whether a request's protocol fits the group's. Ref: ALB guide, "Protocol versions"; otherwise 464.
fn fits(parts: &Parts, group: &Group) -> bool {
    use crate::group::Version as Group;
    match (parts.version == http::Version::HTTP_2, group.version) {
        (_, Group::Http1) => true,
        (is_h2, Group::Http2) => is_h2,
        (is_h2, Group::Grpc) => is_h2 && parts.method == http::Method::POST,
    }
}
