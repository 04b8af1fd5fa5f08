//! The cloud's nft table, as the kernel has it.

use crate::Seen;
use std::collections::BTreeMap;
use std::process::Command;

/// What the table shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Firewall {
    /// Its name.
    pub table: String,
    /// The chains that look at packets for somebody (`..._receiver_hook`, `..._sender_hook`), and their last rule.
    pub last_rules: BTreeMap<String, String>,
    /// The addresses that may send from an interface of a task.
    pub ports: Vec<String>,
}

/// Asks the kernel, by way of `nft`.
pub fn firewall(table: &str) -> Seen<Firewall> {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("nft")
        .args(["list", "table", "inet", table])
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .output()
        .map_err(|error| format!("`nft` cannot be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or_default();
        return Err(format!("`nft list table inet {table}` failed: {said}"));
    }
    Ok(read(table, &String::from_utf8_lossy(&output.stdout)))
}

fn read(table: &str, text: &str) -> Firewall {
    let mut seen = Firewall {
        table: table.to_owned(),
        ..Firewall::default()
    };
    let (mut chain, mut in_ports) = (None, false);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("chain ") {
            let name = name.trim_end_matches(" {");
            let judges = name.ends_with("_receiver_hook") || name.ends_with("_sender_hook");
            chain = judges.then(|| name.to_owned());
            // A chain without a rule lets everything pass.
            if let Some(name) = &chain {
                seen.last_rules.insert(name.clone(), String::new());
            }
        } else if line.starts_with("set ") || line.starts_with("map ") {
            in_ports = line.starts_with("set ports ");
        } else if line == "}" {
            chain = None;
        } else if let Some(name) = &chain {
            if !line.is_empty() && !line.starts_with("type ") {
                seen.last_rules.insert(name.clone(), line.to_owned());
            }
        } else if in_ports {
            let of_line = line.split(['{', '}', ',']).filter_map(|part| part.split(" . ").nth(1));
            seen.ports.extend(of_line.map(|address| address.trim().to_owned()));
        }
    }
    seen.ports
        .retain(|address| address.parse::<std::net::Ipv4Addr>().is_ok());
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rules_and_the_ports_are_read() {
        let text = "table inet honmaru_x {\n\tset ports {\n\t\ttype ifname . ipv4_addr\n\t\telements = { \"hm1\" . \
                    172.30.17.14,\n\t\t\t     \"hm2\" . 172.30.17.15 }\n\t}\n\tset hosts {\n\t\ttype ipv4_addr\n\t\telements = { \
                    1.2.3.4 }\n\t}\n\tchain fwd_sender_hook {\n\t\ttype filter hook forward priority filter; policy \
                    accept;\n\t\tct state established accept\n\t\tdrop\n\t}\n\tchain fwd_receiver_hook {\n\t\ttype filter hook \
                    forward priority 1; policy accept;\n\t}\n\tchain gi_x {\n\t\taccept\n\t}\n}\n";
        let seen = read("honmaru_x", text);
        assert_eq!(seen.ports, ["172.30.17.14", "172.30.17.15"]);
        let rules: Vec<(&str, &str)> = seen.last_rules.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(rules, [("fwd_receiver_hook", ""), ("fwd_sender_hook", "drop")]);
    }
}
