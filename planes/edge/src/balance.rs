//! Choosing: a target group by weight, a target by the group's algorithm.

use crate::clock;
use crate::group::{Algorithm, Group, Target};
use std::net::SocketAddr;
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
