//! Choosing an address range that the host does not use yet.

use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// A range for a VPC, and what to tell the person about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CidrChoice {
    /// The range.
    pub cidr: Ipv4Net,
    /// Why it is not the wanted one; nothing when it is.
    pub note: Option<String>,
}

/// The wanted range, or, when a route of the host overlaps it, the first free /16 of 172.30 down to 172.16 and then of
/// 10.255 down to 10.0. Nothing when all of them are taken. Default routes are no collision.
pub fn choose_cidr(wanted: Ipv4Net, host_routes: &[Ipv4Net]) -> Option<CidrChoice> {
    let collision = |net: &Ipv4Net| {
        host_routes
            .iter()
            .filter(|route| route.prefix_len() > 0)
            .find(|route| route.contains(net) || net.contains(*route))
            .copied()
    };
    let Some(taken_by) = collision(&wanted) else {
        return Some(CidrChoice {
            cidr: wanted,
            note: None,
        });
    };
    let candidates = (16..31u8)
        .rev()
        .map(|b| (172, b))
        .chain((0..=255u8).rev().map(|b| (10, b)));
    candidates
        .filter_map(|(a, b)| Ipv4Net::new(Ipv4Addr::new(a, b, 0, 0), 16).ok())
        .find(|net| collision(net).is_none())
        .map(|cidr| CidrChoice {
            cidr,
            note: Some(format!(
                "{wanted} overlaps the host's route to {taken_by}; the default VPC uses {cidr} instead"
            )),
        })
}

/// The host's IPv4 routes, from /proc: works without privileges.
pub fn host_routes() -> std::io::Result<Vec<Ipv4Net>> {
    Ok(parse_routes(&std::fs::read_to_string("/proc/thread-self/net/route")?))
}

/// The table of /proc/net/route: interface, destination and mask as hexadecimal numbers in host byte order.
fn parse_routes(text: &str) -> Vec<Ipv4Net> {
    let address = |field: &str| {
        u32::from_str_radix(field, 16)
            .ok()
            .map(|n| Ipv4Addr::from(n.to_ne_bytes()))
    };
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            Ipv4Net::with_netmask(address(fields.get(1)?)?, address(fields.get(7)?)?).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().expect("a range")
    }

    #[test]
    fn keeps_what_is_free() {
        let routes = [net("0.0.0.0/0"), net("192.168.0.0/16")];
        assert_eq!(
            choose_cidr(net("172.31.0.0/16"), &routes),
            Some(CidrChoice {
                cidr: net("172.31.0.0/16"),
                note: None
            })
        );
    }

    #[test]
    fn moves_away_and_says_so() {
        let routes = [net("172.31.5.0/24"), net("172.28.0.0/14")];
        let choice = choose_cidr(net("172.31.0.0/16"), &routes).expect("a range is free");
        assert_eq!(choice.cidr, net("172.27.0.0/16"));
        let note = choice.note.expect("a sentence");
        assert!(
            note.contains("172.31.5.0/24") && note.contains("172.27.0.0/16"),
            "{note}"
        );
    }

    #[test]
    fn gives_up_when_all_is_taken() {
        assert_eq!(
            choose_cidr(net("172.31.0.0/16"), &[net("172.16.0.0/12"), net("10.0.0.0/8")]),
            None
        );
    }

    #[test]
    fn reads_the_kernels_table() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                    eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(parse_routes(text), [net("0.0.0.0/0"), net("192.0.2.0/24")]);
    }
}
