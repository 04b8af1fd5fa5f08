//! Choosing: a target group by weight, a target by the group's algorithm.

use crate::clock;
use crate::cookie::group_number;
use crate::group::{Algorithm, Group, Target};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Chooses a target. Targets in `tried` are left out; suspect ones are taken only when there is no other.
pub(crate) fn pick(group: &Group, tried: &[SocketAddr]) -> Option<Arc<Target>> {
    let live = group.live();
    let fits = |target: &&Arc<Target>| !tried.contains(&target.address());
    choose(group, &live, |target| fits(&target) && !target.is_suspect())
        .or_else(|| choose(group, &live, |target| fits(&target)))
}

fn choose(group: &Group, live: &[Arc<Target>], fits: impl Fn(&Arc<Target>) -> bool) -> Option<Arc<Target>> {
    match group.algorithm {
        Algorithm::RoundRobin => round_robin(group, live, fits),
        Algorithm::LeastOutstanding => least_outstanding(live, fits),
        Algorithm::WeightedRandom => weighted_random(group, live, fits),
    }
}

fn round_robin(group: &Group, live: &[Arc<Target>], fits: impl Fn(&Arc<Target>) -> bool) -> Option<Arc<Target>> {
    let mut ramping = None;
    // Every target is asked once; one that ramps up is passed over in proportion to what it lacks.
    for _ in 0..live.len() {
        let at = group.next.fetch_add(1, Ordering::Relaxed) % live.len();
        let Some(target) = live.get(at).filter(|target| fits(target)) else {
            continue;
        };
        let share = group.share(target);
        if share >= 1.0 || chance() < share {
            return Some(target.clone());
        }
        ramping = Some(target);
    }
    // Concurrent requests move the counter too, so that this one may have missed the only target that fits.
    ramping.or_else(|| live.iter().find(|target| fits(target))).cloned()
}

fn least_outstanding(live: &[Arc<Target>], fits: impl Fn(&Arc<Target>) -> bool) -> Option<Arc<Target>> {
    // The scan begins anywhere, or equals would all go to the first.
    let start = if live.is_empty() {
        0
    } else {
        clock::below(live.len() as u64) as usize
    };
    let (end, begin) = live.split_at(start);
    begin
        .iter()
        .chain(end)
        .filter(|target| fits(target))
        .min_by_key(|target| target.outstanding.load(Ordering::Relaxed))
        .cloned()
}

fn weighted_random(group: &Group, live: &[Arc<Target>], fits: impl Fn(&Arc<Target>) -> bool) -> Option<Arc<Target>> {
    let total: f64 = live
        .iter()
        .filter(|target| fits(target))
        .map(|target| group.share(target))
        .sum();
    let mut at = chance() * total;
    let mut last = None;
    for target in live.iter().filter(|target| fits(target)) {
        at -= group.share(target);
        last = Some(target);
        if at < 0.0 {
            break;
        }
    }
    last.cloned()
}

/// A number in [0, 1).
fn chance() -> f64 {
    (clock::random() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Chooses a target group by weight; nothing when all weights are 0.
pub(crate) fn pick_group(groups: &[(Arc<Group>, u32)]) -> Option<&Arc<Group>> {
    match groups {
        [(group, weight)] => (*weight > 0).then_some(group),
        _ => {
            let total: u64 = groups.iter().map(|(_, weight)| u64::from(*weight)).sum();
            if total == 0 {
                return None;
            }
            let mut at = clock::below(total);
            groups.iter().find_map(|(group, weight)| {
                let weight = u64::from(*weight);
                if at < weight {
                    return Some(group);
                }
                at -= weight;
                None
            })
        }
    }
}

/// Chooses a target group for a client's address, always the same one: a group has its share of the weights in clients,
/// and when weights change, only as many clients move as must. Weighted rendezvous hashing, so that nobody has to be
/// remembered. Nothing when all weights are 0.
pub(crate) fn pick_group_of(client: IpAddr, groups: &[(Arc<Group>, u32)]) -> Option<&Arc<Group>> {
    let weighted = groups.iter().filter(|(_, weight)| *weight > 0);
    let distance = |(group, weight): &(Arc<Group>, u32)| -draw(client, &group.arn).ln() / f64::from(*weight);
    weighted
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))
        .map(|(group, _)| group)
}

/// What a client draws for a group: a number in (0, 1) that does not change.
fn draw(client: IpAddr, group: &str) -> f64 {
    let address = match client.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64 ^ address.to_bits() as u64,
    };
    // The finalizer of splitmix64: neighbours' addresses draw as differently as others'.
    let mut x = (group_number(group) ^ address).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    ((x >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::GroupNumbers;
    use crate::group::{GroupParts, Stickiness, Version};
    use honmaru_contract::edge::HealthCheck;
    use std::net::Ipv4Addr;

    fn group(arn: &str) -> Arc<Group> {
        Arc::new(Group::new(GroupParts {
            arn: Arc::from(arn),
            version: Version::Http1,
            uses_tls: false,
            algorithm: Algorithm::RoundRobin,
            stickiness: Stickiness::Off,
            slow_start_ms: 0,
            healthy_count_min: 1,
            healthy_percent_min: 0,
            check: HealthCheck {
                enabled: false,
                protocol: "TCP".to_owned(),
                port: None,
                path: String::new(),
                interval_s: 30,
                timeout_s: 10,
                healthy_threshold: 5,
                unhealthy_threshold: 2,
                matcher: String::new(),
            },
            is_used: true,
            targets: Vec::new(),
            draining: Vec::new(),
            numbers: Arc::new(GroupNumbers::default()),
            source: None,
        }))
    }

    #[test]
    fn clients_keep_to_groups_in_proportion_to_weights() {
        let (a, b) = (group("a"), group("b"));
        let clients = (0..10_000_u32).map(|number| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)));
        let clients: Vec<IpAddr> = clients.collect();
        let of_a = |weights: (u32, u32)| -> Vec<bool> {
            let groups = [(a.clone(), weights.0), (b.clone(), weights.1)];
            let is_a = |client: &IpAddr| pick_group_of(*client, &groups).is_some_and(|group| group.arn == a.arn);
            clients.iter().map(is_a).collect()
        };
        let share = |chosen: &[bool]| chosen.iter().filter(|is_a| **is_a).count();
        let (even, heavy) = (of_a((10, 10)), of_a((30, 10)));
        assert!((4_700..5_300).contains(&share(&even)), "{}", share(&even));
        assert!((7_200..7_800).contains(&share(&heavy)), "{}", share(&heavy));
        assert_eq!(even, of_a((20, 20)));
        assert!(
            even.iter().zip(&heavy).all(|(before, after)| !before || *after),
            "nobody leaves a group that gains weight"
        );
        assert_eq!((share(&of_a((0, 1))), share(&of_a((1, 0)))), (0, 10_000));
        assert!(pick_group_of(IpAddr::V4(Ipv4Addr::LOCALHOST), &[(a, 0), (b, 0)]).is_none());
    }
}
