//! Sticky sessions: cookies that lead a client back to its target or target group.
//! Ref: ALB guide, "Sticky sessions".

use crate::clock;
use crate::cookie::{self, Jar, Kind, Ticket};
use crate::group::{Group, Stickiness, Target};
use crate::limits::COOKIE_EXPIRY_S;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const NO_TARGET: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

fn now_s() -> u64 {
    (clock::wall().as_ms() / 1_000).unsigned_abs()
}

/// The group that the client's cookie names, if it is still one of the action's groups and has weight.
pub(crate) fn sticky_group<'a>(
    jar: &Jar,
    headers: &HeaderMap,
    groups: &'a [(Arc<Group>, u32)],
) -> Option<&'a Arc<Group>> {
    let value = cookie::find(headers, "AWSALBTG").or_else(|| cookie::find(headers, "AWSALBTGCORS"))?;
    let ticket = jar.open_value(Kind::Group, value, now_s())?;
    groups
        .iter()
        .find(|(group, weight)| *weight > 0 && cookie::group_number(&group.arn) == ticket.group)
        .map(|(group, _)| group)
}

/// The target that the client's cookie names, if it still gets traffic.
pub(crate) fn sticky_target(jar: &Jar, headers: &HeaderMap, group: &Group) -> Option<Arc<Target>> {
    let ticket = match &group.stickiness {
        Stickiness::Off => None,
        Stickiness::Balancer { .. } => {
            let value = cookie::find(headers, "AWSALB").or_else(|| cookie::find(headers, "AWSALBCORS"))?;
            jar.open_value(Kind::Target, value, now_s())
        }
        Stickiness::Application { cookie, .. } => {
            // Both the application's cookie and ours must come back.
            cookie::find(headers, cookie)?;
            jar.open_value(Kind::Application, cookie::find(headers, "AWSALBAPP-0")?, now_s())
        }
    }?;
    if ticket.group != cookie::group_number(&group.arn) {
        return None;
    }
    group
        .live()
        .iter()
        .find(|target| target.key.address == ticket.target && !target.is_suspect())
        .cloned()
}

/// Adds the cookies of an answer.
pub(crate) fn add_cookies(jar: &Jar, headers: &mut HeaderMap, group: &Group, target: &Target, group_s: Option<u32>) {
    if let Some(duration_s) = group_s {
        let ticket = ticket(group, NO_TARGET, u64::from(duration_s));
        add_pair(jar, headers, Kind::Group, &ticket, ["AWSALBTG", "AWSALBTGCORS"]);
    }
    match &group.stickiness {
        Stickiness::Off => {}
        Stickiness::Balancer { duration_s } => {
            let ticket = ticket(group, target.key.address, *duration_s);
            add_pair(jar, headers, Kind::Target, &ticket, ["AWSALB", "AWSALBCORS"]);
        }
        Stickiness::Application { cookie, duration_s } => {
            if sets_cookie(headers, cookie) {
                let ticket = ticket(group, target.key.address, *duration_s);
                let value = jar.seal(Kind::Application, &ticket);
                add(
                    headers,
                    value
                        .as_deref()
                        .map(|value| format!("AWSALBAPP-0={value}; Expires={}; Path=/", expires())),
                );
            }
        }
    }
}

fn ticket(group: &Group, target: SocketAddrV4, duration_s: u64) -> Ticket {
    Ticket {
        expires_s: now_s() + duration_s,
        group: cookie::group_number(&group.arn),
        target,
    }
}

fn sets_cookie(headers: &HeaderMap, name: &str) -> bool {
    headers.get_all(SET_COOKIE).iter().any(|value| {
        let bytes = value.as_bytes();
        bytes.starts_with(name.as_bytes()) && bytes.get(name.len()) == Some(&b'=')
    })
}

fn add_pair(jar: &Jar, headers: &mut HeaderMap, kind: Kind, ticket: &Ticket, [plain, cors]: [&str; 2]) {
    let Some(value) = jar.seal(kind, ticket) else { return };
    let expires = expires();
    add(headers, Some(format!("{plain}={value}; Expires={expires}; Path=/")));
    add(
        headers,
        Some(format!(
            "{cors}={value}; Expires={expires}; Path=/; SameSite=None; Secure"
        )),
    );
}

fn expires() -> String {
    httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(COOKIE_EXPIRY_S))
}

fn add(headers: &mut HeaderMap, cookie: Option<String>) {
    if let Some(value) = cookie.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.append(SET_COOKIE, value);
    }
}
