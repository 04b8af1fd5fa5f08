//! Clients that are slow, that go away, or that come while control ends.

use crate::GOES_ON;
use crate::raw::QUERY;
use crate::trail::trail;
use anyhow::{Context, Result, bail, ensure};
use honmaru_tests::cloud::{Cloud, signal, wait_until};
use honmaru_tests::load::request;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Clients that never end their headers; [`lose_their_places`] looks for their ends.
pub fn slow_clients(cloud: &Cloud) -> Result<Vec<TcpStream>> {
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(("127.0.0.1", cloud.port))?;
        stream.write_all(b"POST / HTTP/1.1\r\nHost: loc")?;
        slow.push(stream);
    }
    let began = Instant::now();
    let identity = cloud.aws(&["sts", "get-caller-identity"])?;
    ensure!(identity["Account"] == "000000000000", "{identity}");
    ensure!(
        began.elapsed() < Duration::from_secs(20),
        "it took {:?}",
        began.elapsed()
    );
    Ok(slow)
}

/// Headers have 20 s, which are over by now, or will be soon.
pub fn lose_their_places(slow: Vec<TcpStream>) -> Result<()> {
    for mut client in slow {
        client.set_read_timeout(Some(Duration::from_secs(60)))?;
        match client.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => bail!("a client that never ends its headers keeps its place: {error}"),
        }
    }
    Ok(())
}

/// A call whose client goes away at once is done, and is in the trail.
pub fn runaways(cloud: &Cloud) -> Result<()> {
    let calls = 30;
    for _ in 0..calls {
        // A web identity needs no signature; a made-up token is refused.
        let body = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=runaway&WebIdentityToken=aaaa\
                    &RoleArn=arn:aws:iam::000000000000:role/none";
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\n{QUERY}Content-Length: {}\r\n\r\n",
            body.len()
        );
        TcpStream::connect(("127.0.0.1", cloud.port))?.write_all(format!("{head}{body}").as_bytes())?;
    }
    wait_until("every call is recorded or counted", GOES_ON, || {
        let (_, metrics) = cloud.http(cloud.port, "localhost", "/metrics")?;
        let folded = metrics
            .lines()
            .find_map(|line| line.strip_prefix("honmaru_audit_folded_total "));
        let folded: u64 = folded.context("no count")?.parse()?;
        ensure!(folded + 1 >= calls, "{folded} of {calls} are counted");
        Ok(())
    })?;
    let recorded = trail(cloud, &["--event", "AssumeRoleWithWebIdentity"])?;
    ensure!(recorded.len() == 1, "{} records", recorded.len());
    Ok(())
}

/// Clients that open a connection for each request: none fails while control ends and its successor begins.
pub fn terminate(cloud: &Cloud) -> Result<()> {
    let (is_over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let ask = || -> Result<()> {
        while !is_over.load(Ordering::Relaxed) {
            let (status, _) = request(cloud.port, "localhost", "/_honmaru/health").context("a request failed")?;
            ensure!(status == 200, "the status is {status}");
            answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        let replaced = (|| {
            let control = cloud.role_pid("control")?;
            let before = answered.load(Ordering::Relaxed);
            wait_until("there is load", GOES_ON, || {
                ensure!(answered.load(Ordering::Relaxed) > before + 50, "not yet");
                Ok(())
            })?;
            signal(control, "TERM")?;
            cloud.wait_for_restart("control", control)?;
            let before = answered.load(Ordering::Relaxed);
            wait_until("the load goes on", GOES_ON, || {
                ensure!(answered.load(Ordering::Relaxed) > before + 50, "not yet");
                Ok(())
            })
        })();
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        replaced
    })
}
