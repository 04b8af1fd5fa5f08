//! Firewalls of others on this host. A packet passes only if nobody drops it: where Docker, ufw or the owner's own
//! nftables.conf drop by default what is forwarded, tasks would reach nothing, whatever our own table says.
//!
//! So our interfaces are excepted from such a default, by a rule at the end of the chain: what its rules say about tasks
//! comes before, and what the default kept out is for our own table to decide. Only defaults (`policy drop`) are
//! excepted from; a chain whose last rule drops says so about everybody.

use crate::names::TABLE_PREFIX;
use crate::nft;
use crate::{InstanceId, NetworkError};
use serde_json::Value;
use tracing::{info, warn};

/// A base chain of somebody else that what tasks send or get passes.
#[derive(Debug, PartialEq)]
struct Foreign {
    family: String,
    table: String,
    name: String,
    hook: Hook,
    drops_by_default: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Hook {
    Input,
    Forward,
    Output,
}

impl Hook {
    /// Where an interface of ours is looked for: where a packet comes in, where it goes out.
    fn directions(self) -> &'static [&'static str] {
        match self {
            Self::Input => &["iifname"],
            Self::Forward => &["iifname", "oifname"],
            Self::Output => &["oifname"],
        }
    }
}

/// Excepts this instance's interfaces from what others drop by default. Repeating it changes nothing. Where one chain
/// cannot be changed, that is told, and the others are.
pub(crate) async fn except(id: &InstanceId) -> Result<(), NetworkError> {
    for chain in foreign(&nft::list_chains().await?) {
        let Foreign {
            family, table, name, ..
        } = &chain;
        if !chain.drops_by_default {
            continue;
        }
        let present = rules_of(&nft::list_chain(family, table, name).await?, id);
        let missing = chain
            .hook
            .directions()
            .iter()
            .filter(|direction| !present.iter().any(|(_, found)| found == *direction));
        let script: String = missing
            .map(|direction| {
                format!(
                    "add rule {family} {table} {name} {direction} {} accept\n",
                    interfaces(id)
                )
            })
            .collect();
        if script.is_empty() {
            continue;
        }
        match nft::load(&script).await {
            Ok(()) => info!(
                family,
                table, name, "another firewall drops by default; tasks are excepted, our own table decides about them"
            ),
            Err(error) => warn!(
                family, table, name, err = %honmaru_base::chain(&error),
                "another firewall drops by default and cannot be changed; tasks may reach nothing"
            ),
        }
    }
    Ok(())
}

/// Takes the exceptions away again, also where nothing is dropped by default any more.
pub(crate) async fn withdraw(id: &InstanceId) -> Result<(), NetworkError> {
    for chain in foreign(&nft::list_chains().await?) {
        let Foreign {
            family, table, name, ..
        } = &chain;
        let script: String = rules_of(&nft::list_chain(family, table, name).await?, id)
            .iter()
            .map(|(handle, _)| format!("delete rule {family} {table} {name} handle {handle}\n"))
            .collect();
        if !script.is_empty() {
            nft::load(&script).await?;
        }
    }
    Ok(())
}

/// The interfaces of this instance, as nft writes them.
fn interfaces(id: &InstanceId) -> String {
    format!("\"{}*\"", id.interface_prefix())
}

/// The chains of others, of `nft -j list chains`.
fn foreign(listing: &Value) -> Vec<Foreign> {
    let items = listing.get("nftables").and_then(Value::as_array);
    let chains = items.into_iter().flatten().filter_map(|item| item.get("chain"));
    chains
        .filter_map(|chain| {
            let text = |name: &str| chain.get(name).and_then(Value::as_str);
            let hook = match text("hook")? {
                "input" => Hook::Input,
                "forward" => Hook::Forward,
                "output" => Hook::Output,
                _ => return None,
            };
            let found = Foreign {
                family: text("family")?.to_owned(),
                table: text("table")?.to_owned(),
                name: text("name")?.to_owned(),
                hook,
                drops_by_default: text("policy") == Some("drop"),
            };
            let is_concerned = text("type") == Some("filter")
                && matches!(found.family.as_str(), "ip" | "inet")
                && !found.table.starts_with(TABLE_PREFIX);
            is_concerned.then_some(found)
        })
        .collect()
}

/// The handles and directions of our rules in a chain, of `nft -j -a list chain`.
fn rules_of(listing: &Value, id: &InstanceId) -> Vec<(u64, String)> {
    let wanted = format!("{}*", id.interface_prefix());
    let items = listing.get("nftables").and_then(Value::as_array);
    let rules = items.into_iter().flatten().filter_map(|item| item.get("rule"));
    rules
        .filter_map(|rule| {
            let matched = rule.pointer("/expr/0/match")?;
            if matched.get("right")?.as_str()? != wanted {
                return None;
            }
            let direction = matched.pointer("/left/meta/key")?.as_str()?;
            Some((rule.get("handle")?.as_u64()?, direction.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn chains_of_others_that_tasks_meet() {
        let chain = |family: &str, table: &str, name: &str, hook: &str, policy: &str| {
            json!({"chain": {"family": family, "table": table, "name": name, "handle": 1, "type": "filter", "hook": hook,
                "prio": 0, "policy": policy}})
        };
        let listing = json!({"nftables": [
            {"metainfo": {}},
            chain("ip", "filter", "FORWARD", "forward", "drop"),
            chain("ip", "filter", "INPUT", "input", "accept"),
            chain("ip6", "filter", "FORWARD", "forward", "drop"),
            chain("inet", "mine", "in", "input", "drop"),
            chain("inet", "honmaru_1", "fwd", "forward", "drop"),
            chain("inet", "mine", "early", "prerouting", "drop"),
            {"chain": {"family": "ip", "table": "filter", "name": "DOCKER-USER", "handle": 2}},
        ]});
        let found = foreign(&listing).into_iter();
        let found: Vec<(String, Hook, bool)> = found.map(|c| (c.name, c.hook, c.drops_by_default)).collect();
        let wanted = [
            ("FORWARD", Hook::Forward, true),
            ("INPUT", Hook::Input, false),
            ("in", Hook::Input, true),
        ];
        assert_eq!(found, wanted.map(|(name, hook, drops)| (name.to_owned(), hook, drops)));
    }
}
