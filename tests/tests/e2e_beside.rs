//! Goal: clouds that start on one host at the same moment do not get the same addresses, and keep theirs.
//! Method: two clouds, started and started again by two threads that wait for each other; the aws CLI reads their VPCs,
//! `ip route` what the host routes to them.

use anyhow::{Context, Result, anyhow, ensure};
use honmaru_tests::cloud::{Cloud, phase, text, wait_until};
use std::process::Command;
use std::sync::Barrier;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the same for two at the same moment.
fn together<A: Send, B: Send>(of: [A; 2], run: impl Fn(A) -> Result<B> + Sync) -> Result<[B; 2]> {
    let barrier = Barrier::new(2);
    let both = std::thread::scope(|scope| {
        of.map(|one| {
            scope.spawn(|| {
                barrier.wait();
                run(one)
            })
        })
        .map(std::thread::ScopedJoinHandle::join)
    });
    let [one, other] = both.map(|ended| ended.map_err(|_| anyhow!("a thread panicked"))?);
    Ok([one?, other?])
}

/// The range of a cloud's default VPC, once the host routes it.
fn range(cloud: &Cloud) -> Result<String> {
    let vpcs = cloud.aws(&["ec2", "describe-vpcs", "--filters", "Name=is-default,Values=true"])?;
    let range = vpcs["Vpcs"][0]["CidrBlock"].as_str().context("a default VPC")?;
    wait_until("the host routes it", PATIENCE, || {
        let routes = Command::new("ip").args(["route", "show", range]).output()?;
        ensure!(
            !routes.stdout.is_empty(),
            "no route to {range}: {}",
            text(&routes.stderr)
        );
        Ok(())
    })?;
    Ok(range.to_owned())
}

#[test]
fn two_clouds() -> Result<()> {
    let mut clouds = phase("two clouds start together", || together([(), ()], |()| Cloud::start()))?;
    let before = phase("their ranges differ", || {
        let [one, other] = [range(&clouds[0])?, range(&clouds[1])?];
        ensure!(one != other, "both have {one}");
        Ok([one, other])
    })?;
    phase("they keep them when they start again together", || {
        let [one, other] = &mut clouds;
        together([one, other], |cloud| {
            cloud.stop();
            cloud.up()
        })?;
        let after = [range(&clouds[0])?, range(&clouds[1])?];
        ensure!(before == after, "{before:?} before, {after:?} after");
        Ok(())
    })?;
    phase("destroy leaves the host clean", || {
        together(clouds, Cloud::finish).map(drop)
    })
}
