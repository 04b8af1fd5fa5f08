//! Address ranges for VPCs, and those that the host uses already.

use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// The ranges for VPCs in the order in which they are tried: AWS's own for a default VPC, the other /16 of 172.16.0.0/12
/// from the end, then those of 10.0.0.0/8 from the end.
pub fn vpc_ranges() -> impl Iterator<Item = Ipv4Net> {
    let of_172 = (16..=31u8).rev().map(|b| (172, b));
    let of_10 = (0..=255u8).rev().map(|b| (10, b));
    of_172
        .chain(of_10)
        .filter_map(|(a, b)| Ipv4Net::new(Ipv4Addr::new(a, b, 0, 0), 16).ok())
}

/// Which of the ranges overlaps this one. Default routes are none.
pub fn overlapping(range: &Ipv4Net, among: &[Ipv4Net]) -> Option<Ipv4Net> {
    let overlaps = |other: &&Ipv4Net| other.prefix_len() > 0 && (other.contains(range) || range.contains(*other));
    among.iter().find(overlaps).copied()
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
    fn ranges_come_in_their_order() {
        let ranges: Vec<_> = vpc_ranges().collect();
        assert_eq!(ranges.len(), 16 + 256);
        assert_eq!(ranges[..2], [net("172.31.0.0/16"), net("172.30.0.0/16")]);
        assert_eq!(ranges[15..17], [net("172.16.0.0/16"), net("10.255.0.0/16")]);
    }

    #[test]
    fn a_part_and_the_whole_overlap() {
        let routes = [net("0.0.0.0/0"), net("172.30.5.0/24"), net("172.28.0.0/15")];
        let of = |range: &str| overlapping(&net(range), &routes);
        assert_eq!(of("172.31.0.0/16"), None);
        assert_eq!(of("172.30.0.0/16"), Some(net("172.30.5.0/24")));
        assert_eq!(of("172.29.0.0/16"), Some(net("172.28.0.0/15")));
    }

    #[test]
    fn reads_the_kernels_table() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                    eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(parse_routes(text), [net("0.0.0.0/0"), net("192.0.2.0/24")]);
    }
}
