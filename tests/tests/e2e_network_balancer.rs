//! Goal: a network load balancer lets in whom its security groups let in, everybody where it has none, its TLS listeners
//! speak what their policies say, and its actions spread over target groups by weight.
//! Method: boto3 makes two before the tasks of one ECS service; curl, openssl and sockets come as clients.

use anyhow::{Context, Result};
use honmaru_tests::cloud::{Cloud, phase};
use honmaru_tests::scratch::Scratch;

#[test]
fn network_load_balancers() -> Result<()> {
    let cloud = Cloud::start()?;
    let pem = Scratch::new("network-balancer")?;
    let dir = pem.path().to_str().context("a path")?;
    let run = |what: &str, name: &str| phase(what, || cloud.python("network_balancer.py", &[name, dir]));
    run(
        "two of them before a service: its tasks pass the health checks",
        "create",
    )?;
    run("without security groups everybody is let in", "unguarded")?;
    run("versions of TLS, ALPN, names", "tls")?;
    run("with a group its one port is open, and nothing else", "guarded")?;
    phase("a listener spreads over two target groups by weight", || {
        cloud.python("network_balancer.py", &["weighted"])
    })?;
    phase("everything is deleted", || {
        cloud.python("network_balancer.py", &["delete"])
    })?;
    phase("destroy leaves the host clean", || cloud.finish())
}
