//! What a former process left in the kernel, read from `nft -j list table`: names of sets and chains, and elements.
//! Rules are not read: they are all given anew, which disturbs nobody.

use crate::elements::{Data, Element, Key};
use crate::ruleset::{Chain, Ruleset};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The ruleset as far as [`Ruleset::script_from`] must know it. Nothing when there is something that we never made:
/// then the table has to be replaced.
pub(crate) fn parse(table: &str, listing: &Value) -> Option<Ruleset> {
    let mut found = Ruleset {
        table: table.to_owned(),
        sets: BTreeMap::new(),
        chains: BTreeMap::new(),
        elements: BTreeSet::new(),
    };
    for item in listing.get("nftables")?.as_array()? {
        if let Some(chain) = item.get("chain") {
            // No hook of ours is this text: the chain's rules count as changed.
            let unknown = Chain {
                hook: "unknown".to_owned(),
                rules: Vec::new(),
            };
            found.chains.insert(chain.get("name")?.as_str()?.to_owned(), unknown);
        }
        for kind in ["set", "map"] {
            let Some(set) = item.get(kind) else { continue };
            let name = set.get("name")?.as_str()?;
            // Type and flags are as this version makes them, or the script fails and the table is replaced.
            found.sets.insert(name.to_owned(), format!("{kind} "));
            for element in set.get("elem").and_then(Value::as_array).into_iter().flatten() {
                found.elements.insert(parse_element(name, kind, element)?);
            }
        }
    }
    Some(found)
}

fn parse_element(set: &str, kind: &str, element: &Value) -> Option<Element> {
    let (key, data) = match kind {
        "map" => (element.get(0)?, Some(element.get(1)?)),
        _ => (element, None),
    };
    let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
    let key = match key {
        Value::String(address) => Key::Address(address.parse().ok()?),
        Value::Number(_) => Key::Port(port(key)?),
        _ => {
            let fields = key.get("concat")?;
            Key::Interface(
                fields.get(0)?.as_str()?.to_owned(),
                fields.get(1)?.as_str()?.parse().ok()?,
            )
        }
    };
    let data = match data {
        None => Data::None,
        Some(data) => match data.get("jump") {
            Some(jump) => Data::Jump(jump.get("target")?.as_str()?.to_owned()),
            None => {
                let fields = data.get("concat")?;
                Data::Endpoint(fields.get(0)?.as_str()?.parse().ok()?, port(fields.get(1)?)?)
            }
        },
    };
    Some(Element {
        set: set.to_owned(),
        key,
        data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::net::Ipv4Addr;

    #[test]
    fn reads_what_nft_writes() {
        let listing = json!({"nftables": [
            {"metainfo": {"json_schema_version": 1}},
            {"table": {"family": "inet", "name": "t"}},
            {"set": {"name": "ports", "type": ["ifname", "ipv4_addr"], "elem": [{"concat": ["hm1", "10.0.0.1"]}]}},
            {"map": {"name": "to_addr", "map": "verdict", "elem": [["10.0.0.1", {"jump": {"target": "ci_1"}}]]}},
            {"map": {"name": "pub_tcp", "elem": [[80, {"concat": ["10.0.0.1", 8080]}]]}},
            {"chain": {"name": "ci_1"}},
            {"rule": {"chain": "ci_1", "expr": []}},
        ]});
        let found = parse("t", &listing).expect("all of it is ours");
        let address = Ipv4Addr::new(10, 0, 0, 1);
        let wanted = [
            ("ports", Key::Interface("hm1".to_owned(), address), Data::None),
            ("to_addr", Key::Address(address), Data::Jump("ci_1".to_owned())),
            ("pub_tcp", Key::Port(80), Data::Endpoint(address, 8080)),
        ];
        let wanted = wanted.map(|(set, key, data)| Element {
            set: set.to_owned(),
            key,
            data,
        });
        assert_eq!(found.elements, wanted.into());
        assert!(found.chains.contains_key("ci_1") && found.sets.contains_key("pub_tcp"));
        assert!(
            parse(
                "t",
                &json!({"nftables": [{"set": {"name": "s", "elem": [{"range": [1, 2]}]}}]})
            )
            .is_none()
        );
    }
}
