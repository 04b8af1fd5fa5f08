//! The names of the shared entry: which load balancer a host name leads to.
//!
//! Of several that claim a name the oldest has it, so that nobody's address changes because somebody else's balancer was
//! made. What a certificate says comes after what a balancer is called: it may be another's name, too.

use honmaru_contract::edge;
use honmaru_elbv2::LoadBalancer;
use honmaru_machine::State;
use std::collections::BTreeMap;

/// A load balancer's tag whose value is a further name of it in the shared entry, for example `shop.localhost`.
const HOST_NAME_TAG: &str = "honmaru:host-name";
/// Every name below it is that of a load balancer, or nobody's: no certificate takes them all.
const OWN_PATTERN: &str = "*.localhost";

/// What one load balancer would be reached by.
struct Claim<'a> {
    arn: &'a str,
    /// Its name, lower case.
    name: String,
    dns_name: String,
    tagged: Option<String>,
    /// The names of its HTTPS listeners' certificates.
    certified: Vec<String>,
}

/// Host names, or patterns with `*.` in front, to the load balancers' ARNs.
pub(crate) fn host_names(state: &State, served: &BTreeMap<String, edge::LoadBalancer>) -> BTreeMap<String, String> {
    let mut balancers: Vec<(&str, &LoadBalancer)> = state.all::<LoadBalancer>().map(|(_, arn, b)| (arn, b)).collect();
    balancers.sort_by_key(|(arn, balancer)| (balancer.created, arn.to_owned()));
    let claims = balancers.into_iter().map(|(arn, balancer)| {
        let served = served.get(arn);
        Claim {
            arn,
            name: balancer.name.to_ascii_lowercase(),
            dns_name: served.map(|served| served.dns_name.clone()).unwrap_or_default(),
            tagged: balancer.tags.get(HOST_NAME_TAG).map(|name| name.to_ascii_lowercase()),
            certified: served.map(certified).unwrap_or_default(),
        }
    });
    settle(&claims.collect::<Vec<_>>())
}

fn certified(balancer: &edge::LoadBalancer) -> Vec<String> {
    let listeners = balancer
        .listeners
        .iter()
        .filter(|listener| listener.protocol == "HTTPS");
    let certificates = listeners.flat_map(|listener| &listener.certificates);
    let names = certificates.flat_map(|certificate| &certificate.names);
    let names = names.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
    names.filter(|name| name != OWN_PATTERN).collect()
}

/// Who has which name; the oldest balancer comes first.
fn settle(claims: &[Claim<'_>]) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let mut claim = |name: String, arn: &str| {
        names.entry(name).or_insert_with(|| arn.to_owned());
    };
    // Nobody else's, whatever they are tagged with.
    for it in claims.iter().filter(|it| !it.dns_name.is_empty()) {
        claim(it.dns_name.clone(), it.arn);
    }
    for it in claims {
        for name in it.tagged.iter().cloned().chain([format!("{}.localhost", it.name)]) {
            claim(name, it.arn);
        }
    }
    // A certificate is often that of several apps: each has the name that begins with its own.
    for it in claims {
        for name in &it.certified {
            match name.split_once('.') {
                Some((label, parent)) if label == "*" || label == it.name => {
                    claim(format!("{}.{parent}", it.name), it.arn);
                }
                _ => {}
            }
        }
    }
    for it in claims {
        for name in &it.certified {
            claim(name.clone(), it.arn);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim<'a>(name: &'a str, tagged: Option<&str>, certified: &[&str]) -> Claim<'a> {
        Claim {
            arn: name,
            name: name.to_owned(),
            dns_name: format!("{name}-1.us-east-1.elb.localhost"),
            tagged: tagged.map(str::to_owned),
            certified: certified.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn names_of_certificates_lead_to_their_balancers_and_take_nobody_elses() {
        let all = ["shop.example.com", "blog.example.com", "example.com", "*.example.com"];
        let names = settle(&[
            claim(
                "old",
                None,
                &["*.example.com", "new.localhost", "new-1.us-east-1.elb.localhost"],
            ),
            claim("shop", Some("new-1.us-east-1.elb.localhost"), &all),
            claim("blog", Some("example.com"), &all),
            claim("new", None, &["www.new.example.com"]),
        ]);
        for (name, arn) in [
            ("new-1.us-east-1.elb.localhost", "new"),
            ("new.localhost", "new"),
            ("old.example.com", "old"),
            ("shop.example.com", "shop"),
            ("blog.example.com", "blog"),
            ("example.com", "blog"),
            ("*.example.com", "old"),
            ("www.new.example.com", "new"),
        ] {
            assert_eq!(names.get(name).map(String::as_str), Some(arn), "{name}");
        }
        assert_eq!(names.len(), 4 + 4 + 6, "{names:?}");
    }

    #[test]
    fn only_https_listeners_give_names_and_not_all_of_localhost() {
        let listener = |protocol: &str, names: &[&str]| {
            let certificate = serde_json::json!({"arn": "a", "chain_pem": "", "key_pem": "", "names": names});
            serde_json::json!({"arn": "a", "protocol": protocol, "port": 443, "rules": [], "certificates": [certificate]})
        };
        let balancer: edge::LoadBalancer = serde_json::from_value(serde_json::json!({
            "name": "shop", "dns_name": "shop-1", "addresses": [], "attributes": {}, "web_acl": null,
            "listeners": [listener("HTTPS", &["*.localhost", "Shop.example.com."]), listener("TLS", &["b.example.com"])],
        }))
        .unwrap();
        assert_eq!(certified(&balancer), ["shop.example.com"]);
    }
}
