//! Addresses: sets of ranges, and addresses from headers.

use crate::rule::{ForwardedIp, IpPosition};
use crate::{CompileError, RequestView};
use ipnet::IpNet;
use std::net::IpAddr;

/// Address ranges, merged and sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct IpSet {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl IpSet {
    pub(crate) fn parse(ranges: &[String]) -> Result<Self, CompileError> {
        let mut set = Self::default();
        for range in ranges {
            let invalid = || {
                CompileError::invalid(
                    "IP_ADDRESS",
                    range.clone(),
                    "The parameter contains formatting that is not valid",
                )
            };
            let net = match range.parse::<IpNet>() {
                Ok(net) => net,
                Err(_) => IpNet::from(range.parse::<IpAddr>().map_err(|_| invalid())?),
            };
            match net {
                IpNet::V4(net) => set.v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => set.v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        merge(&mut set.v4);
        merge(&mut set.v6);
        Ok(set)
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => holds(&self.v4, address.to_bits()),
            IpAddr::V6(address) => holds(&self.v6, address.to_bits()),
        }
    }
}

fn merge<T: Ord + Copy>(ranges: &mut Vec<(T, T)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let overlaps = next.0 <= kept.1;
        if overlaps {
            kept.1 = kept.1.max(next.1);
        }
        overlaps
    });
}

fn holds<T: Ord + Copy>(ranges: &[(T, T)], value: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= value);
    after
        .checked_sub(1)
        .and_then(|at| ranges.get(at))
        .is_some_and(|(_, last)| value <= *last)
}

/// What a header with addresses gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// The header is missing: the rule does not look at the request.
    NoHeader,
    /// The header holds no valid address there: the fallback decides.
    Malformed,
    /// These.
    Are(Vec<IpAddr>),
}

/// With position ANY that many addresses are looked at, the last ones. Ref: AWS WAF developer guide, "Forwarded IP
/// address".
const ANY_MAX: usize = 10;

pub(crate) fn addresses(request: &RequestView<'_>, from: &ForwardedIp) -> Addresses {
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut seen = false;
    for (name, value) in request.headers {
        if name.eq_ignore_ascii_case(&from.header) {
            seen = true;
            parts.extend(value.split(|b| *b == b',').map(<[u8]>::trim_ascii));
        }
    }
    if !seen {
        return Addresses::NoHeader;
    }
    let wanted: &[&[u8]] = match from.position {
        IpPosition::First => parts.get(..1).unwrap_or_default(),
        IpPosition::Last => parts.get(parts.len().saturating_sub(1)..).unwrap_or_default(),
        IpPosition::Any => parts.get(parts.len().saturating_sub(ANY_MAX)..).unwrap_or_default(),
    };
    let parse = |text: &&[u8]| std::str::from_utf8(text).ok()?.parse::<IpAddr>().ok();
    match wanted.iter().map(parse).collect::<Option<Vec<_>>>() {
        Some(found) if !found.is_empty() => Addresses::Are(found),
        _ => Addresses::Malformed,
    }
}

/// The one address for rates and locations: the first.
pub(crate) fn forwarded_one(request: &RequestView<'_>, from: &ForwardedIp) -> Addresses {
    addresses(
        request,
        &ForwardedIp {
            position: IpPosition::First,
            ..from.clone()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[&str]) -> IpSet {
        IpSet::parse(&ranges.iter().map(|range| (*range).to_owned()).collect::<Vec<_>>()).expect("valid ranges")
    }

    #[test]
    fn ranges_hold_their_ends_and_no_more() {
        let set = set(&["10.0.0.0/8", "192.0.2.4/32", "10.1.0.0/16", "2001:db8::/32"]);
        for inside in [
            "10.0.0.0",
            "10.255.255.255",
            "192.0.2.4",
            "2001:db8::1",
            "::ffff:10.1.2.3",
        ] {
            assert!(set.contains(inside.parse().expect("an address")), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "192.0.2.5", "2001:db9::", "::1"] {
            assert!(!set.contains(outside.parse().expect("an address")), "{outside}");
        }
        assert!(IpSet::parse(&["10.0.0.0/33".to_owned()]).is_err());
    }
}
