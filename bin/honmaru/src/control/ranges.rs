//! The address ranges of this cloud's VPCs, among the host's routes and the other clouds of the host.

use honmaru_network::{Claim, host_routes, overlapping, vpc_ranges};
use ipnet::Ipv4Net;
use parking_lot::Mutex;
use std::collections::HashMap;
use tracing::warn;

/// The ranges that this cloud has for itself. A route says who uses a range only once it is there: of two clouds that
/// start together, each would see none of the other.
#[derive(Default)]
pub struct Ranges(Mutex<HashMap<Ipv4Net, Claim>>);

impl Ranges {
    /// Claims the ranges of VPCs that are there. Says which one another cloud uses by now.
    pub fn adopt(&self, vpcs: &[Ipv4Net]) {
        let mut claims = self.0.lock();
        for range in vpcs {
            match Claim::take(*range) {
                Ok(Some(claim)) => drop(claims.insert(*range, claim)),
                Ok(None) => warn!(
                    "another cloud on this host uses {range}, which a VPC of this one has: tasks in it get no network \
                     until that cloud is destroyed and this one starts again"
                ),
                Err(err) => warn!(%err, "failed to claim {range}; another cloud on this host may take it too"),
            }
        }
    }

    /// Claims the first range that neither a VPC of this cloud, nor another cloud, nor a route of the host has.
    pub fn choose(&self, own: &[Ipv4Net]) -> Option<Ipv4Net> {
        let routes = host_routes().unwrap_or_else(|err| {
            warn!(%err, "failed to read the host's routes");
            Vec::new()
        });
        let mut claims = self.0.lock();
        let mut foreign = None;
        for range in vpc_ranges() {
            if claims.contains_key(&range) || overlapping(&range, own).is_some() {
                continue;
            }
            if let Some(route) = overlapping(&range, &routes) {
                foreign.get_or_insert_with(|| format!("{range} overlaps the host's route to {route}"));
                continue;
            }
            match Claim::take(range) {
                Ok(Some(claim)) => drop(claims.insert(range, claim)),
                Ok(None) => {
                    foreign.get_or_insert_with(|| format!("another cloud on this host uses {range}"));
                    continue;
                }
                Err(err) => warn!(%err, "failed to claim {range}; another cloud on this host may take it too"),
            }
            if let Some(foreign) = foreign {
                warn!("{foreign}; the default VPC uses {range} instead");
            }
            return Some(range);
        }
        None
    }

    /// Leaves a range to others.
    pub fn release(&self, range: Ipv4Net) {
        self.0.lock().remove(&range);
    }
}

#[cfg(test)]
mod tests {
    use super::Ranges;

    #[test]
    fn clouds_that_start_together_get_different_ranges() {
        let (one, other) = (Ranges::default(), Ranges::default());
        let first = one.choose(&[]).expect("a range is free");
        let second = one.choose(&[first]).expect("a range is free");
        let third = other.choose(&[]).expect("a range is free");
        assert!(first != second && first != third && second != third);
        // Clouds beside the tests may take what is given back at once: that nobody here has it is all that is sure.
        one.release(first);
        assert!(!one.0.lock().contains_key(&first));
    }

    #[test]
    fn after_a_restart_a_cloud_has_its_ranges_again() {
        let before = Ranges::default();
        let range = before.choose(&[]).expect("a range is free");
        drop(before);
        let after = Ranges::default();
        after.adopt(&[range]);
        assert_ne!(Ranges::default().choose(&[]), Some(range));
        // Where another took it meanwhile, it is not taken twice.
        Ranges::default().adopt(&[range]);
    }
}
