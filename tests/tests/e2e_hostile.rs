//! Goal: nothing that a client may send gives a panic, a 500 or a hanging endpoint; every call is in the audit trail
//! without its secrets; one port speaks plain HTTP and TLS; tags are found over all services.
//! Method: raw sockets, curl, openssl and the aws CLI against a cloud of the test's own.

#[path = "e2e_hostile/bodies.rs"]
mod bodies;
#[path = "e2e_hostile/clients.rs"]
mod clients;
#[path = "e2e_hostile/malformed.rs"]
mod malformed;
#[path = "e2e_hostile/raw.rs"]
mod raw;
#[path = "e2e_hostile/tags.rs"]
mod tags;
#[path = "e2e_hostile/tls.rs"]
mod tls;
#[path = "e2e_hostile/trail.rs"]
mod trail;

use anyhow::{Result, ensure};
use honmaru_tests::cloud::{Cloud, phase, text};
use std::time::Duration;

/// How long an answer may take: less than the endpoint's own patience, so that a call that waits for it fails.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long what goes on may stand still.
const GOES_ON: Duration = Duration::from_secs(60);

#[test]
fn hostile() -> Result<()> {
    let cloud = Cloud::start()?;
    let control = cloud.role_pid("control")?;
    let late = bodies::begin_late(&cloud)?;
    phase("bodies that cannot be read", || bodies::unreadable(&cloud))?;
    phase("malformed requests", || malformed::malformed(&cloud))?;
    let slow = phase("slow clients hold up nobody", || clients::slow_clients(&cloud))?;
    ensure!(cloud.role_pid("control")? == control, "control was started again");
    let log = std::fs::read_to_string(cloud.state.join("logs/control.log"))?;
    ensure!(!log.contains("panicked"), "{log}");
    phase("audit", || trail::audit(&cloud))?;
    phase("whoever goes away at once is in the trail", || {
        clients::runaways(&cloud)
    })?;
    phase("what the registry and strangers do is in the trail too", || {
        trail::strangers(&cloud)
    })?;
    phase("honmaru audit", || trail::audit_command(&cloud))?;
    phase("tags of all services", || tags::tags(&cloud))?;
    phase("slow clients lose their places", || clients::lose_their_places(slow))?;
    // A cloud of its own, while the bodies above are waited for.
    tls::tls()?;
    phase("a body that does not come in time", || bodies::late(late))?;
    phase("SIGTERM of control under load fails no request", || {
        clients::terminate(&cloud)
    })?;
    phase("destroy leaves the host clean", || cloud.finish())
}

/// Runs a command of ours that must work, and returns its standard output.
fn ok(cloud: &Cloud, arguments: &[&str]) -> Result<String> {
    let output = cloud.honmaru(arguments)?;
    let said = text(&output.stderr);
    ensure!(
        output.status.success(),
        "`honmaru {}` failed: {said}",
        arguments.join(" ")
    );
    Ok(text(&output.stdout))
}
