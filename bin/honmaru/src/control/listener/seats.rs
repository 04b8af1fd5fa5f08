//! How many connections each address has.
//!
//! Invariant: no single address has more than its share, so that none can keep all others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections by address; addresses without any are not kept.
#[derive(Debug)]
pub(super) struct Seats {
    share: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

impl Seats {
    pub(super) fn new(share: usize) -> Self {
        Self {
            share,
            taken: Mutex::default(),
        }
    }

    /// A seat for one more connection of an address; nothing when it has its share.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let whose = whose(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(whose).or_insert(0);
        if *count >= self.share {
            return None;
        }
        *count += 1;
        Some(Seat {
            seats: self.clone(),
            whose,
        })
    }

    fn give_back(&self, whose: IpAddr) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&whose) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&whose);
            }
        }
    }
}

/// Whom an address stands for: one of IPv6 for its /64, which is what one host is given at least. Ref: RFC 6177.
fn whose(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

/// One connection's seat, given back with the value.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    whose: IpAddr,
}

impl Seat {
    /// Whether its address has no other left.
    pub(super) fn is_last(&self) -> bool {
        let taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.get(&self.whose).is_some_and(|count| *count >= self.seats.share)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.give_back(self.whose);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_gets_back_what_it_gives() {
        let seats = Arc::new(Seats::new(2));
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let (a, b) = (address("192.0.2.1"), address("192.0.2.2"));
        let first = seats.take(a).expect("a seat");
        assert!(!first.is_last());
        let second = seats.take(a).expect("a seat");
        assert!(second.is_last() && first.is_last());
        assert!(seats.take(a).is_none() && seats.take(address("::ffff:192.0.2.1")).is_none());
        let other = seats.take(b).expect("another's seat");
        drop(first);
        assert!(seats.take(a).is_some(), "it was given back");
        drop((second, other));
        assert!(seats.taken.lock().expect("no panic").is_empty());
        // Whoever has a network of IPv6 has no share for each of its addresses.
        let held = [seats.take(address("2001:db8::1")), seats.take(address("2001:db8::2"))];
        assert!(held.iter().all(Option::is_some));
        assert!(seats.take(address("2001:db8::3")).is_none());
        assert!(seats.take(address("2001:db8:0:1::3")).is_some());
    }
}
