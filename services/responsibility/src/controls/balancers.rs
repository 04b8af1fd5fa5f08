//! Load balancers: TLS, the firewall for requests, what they do with odd requests.

use crate::control::{Control, Finding, Fix, Outcome, Owner, Scope, Severity, act, each, fail, pass, run};
use crate::facts::{Balancer, Facts, list, text};
use crate::layers::Layer;
use serde_json::Value;

pub const CONTROLS: &[Control] = &[
    Control {
        id: "N-05",
        title: "HTTP leads to HTTPS",
        owner: Owner::You,
        severity: Severity::Medium,
        layer: Layer::Edge,
        scope: Scope::App,
        refs: &["ELB.1"],
        check: redirects,
    },
    Control {
        id: "N-06",
        title: "TLS 1.2 or newer, with a certificate that is valid for 14 days more",
        owner: Owner::Shared,
        severity: Severity::High,
        layer: Layer::Edge,
        scope: Scope::App,
        refs: &["ELB.17"],
        check: tls,
    },
    Control {
        id: "N-07",
        title: "requests with odd headers are not passed on",
        owner: Owner::You,
        severity: Severity::Low,
        layer: Layer::Edge,
        scope: Scope::App,
        refs: &["ELB.4", "ELB.12"],
        check: odd_requests,
    },
    Control {
        id: "N-08",
        title: "a web ACL with rules looks at requests",
        owner: Owner::You,
        severity: Severity::Medium,
        layer: Layer::Edge,
        scope: Scope::App,
        refs: &["ELB.16", "WAF.10"],
        check: web_acl,
    },
];

const NO_BALANCER: &str = "there is no load balancer for HTTP";
const DAYS_MIN: f64 = 14.0;
const DAY_S: f64 = 24.0 * 60.0 * 60.0;
const OLD_PROTOCOLS: [&str; 4] = ["SSLv2", "SSLv3", "TLSv1", "TLSv1.1"];

fn name(balancer: &Balancer) -> &str {
    text(&balancer.raw, "LoadBalancerName")
}

fn arn(balancer: &Balancer) -> &str {
    text(&balancer.raw, "LoadBalancerArn")
}

/// One finding for each application load balancer.
fn each_application(facts: &Facts, finding: impl FnMut(&Balancer) -> Finding) -> Vec<Finding> {
    let found = facts.balancers.as_ref().map_err(Clone::clone).map(|balancers| {
        let is_application = |balancer: &&Balancer| text(&balancer.raw, "Type") == "application";
        balancers
            .iter()
            .filter(is_application)
            .cloned()
            .collect::<Vec<Balancer>>()
    });
    each(&found, NO_BALANCER, finding)
}

/// The app that `honmaru deploy` would serve it for.
fn app(balancer: &Balancer) -> &str {
    balancer.services.first().map_or(name(balancer), String::as_str)
}

fn leads_to_https(listener: &Value) -> bool {
    list(listener, "DefaultActions").any(|action| {
        text(action, "Type") == "redirect" && text(&action["RedirectConfig"], "Protocol").eq_ignore_ascii_case("HTTPS")
    })
}

fn redirects(facts: &Facts) -> Vec<Finding> {
    each_application(facts, |balancer| {
        let http: Vec<&Value> = balancer
            .listeners
            .iter()
            .filter(|l| text(l, "Protocol") == "HTTP")
            .collect();
        let plain: Vec<&str> = http
            .iter()
            .filter(|l| !leads_to_https(l))
            .map(|l| text(l, "Port"))
            .collect();
        let outcome = if balancer.listeners.is_empty() {
            Outcome::NotApplicable("it has no listener".to_owned())
        } else if plain.is_empty() {
            pass(match http.len() {
                0 => "it has no HTTP listener".to_owned(),
                _ => "the default action of each HTTP listener is a redirect to HTTPS".to_owned(),
            })
        } else {
            let secure = balancer.listeners.iter().find(|l| text(l, "Protocol") == "HTTPS");
            let seen = format!("HTTP listener on port {} without a redirect to HTTPS", plain.join(", "));
            fail(seen, redirect(facts, balancer, &http, secure))
        };
        Finding::new(name(balancer), outcome)
    })
}

fn redirect(facts: &Facts, balancer: &Balancer, http: &[&Value], secure: Option<&Value>) -> Fix {
    let Some(secure) = secure else {
        return run(
            "deploy the app with a certificate for its name; HTTP then leads to HTTPS",
            format!(
                "honmaru deploy DIR --name {}{} --tls-cert fullchain.pem --tls-key key.pem",
                app(balancer),
                facts.flags
            ),
        );
    };
    let listener = http.iter().find(|listener| !leads_to_https(listener));
    let listener = listener.map_or("", |listener| text(listener, "ListenerArn"));
    run(
        "let it lead there",
        format!(
            "aws elbv2 modify-listener --listener-arn {listener} --default-actions \
             'Type=redirect,RedirectConfig={{Protocol=HTTPS,Port={},StatusCode=HTTP_301}}'",
            text(secure, "Port")
        ),
    )
}

fn tls(facts: &Facts) -> Vec<Finding> {
    each(&facts.balancers, NO_BALANCER, |balancer| {
        if balancer.certificates.is_empty() {
            return Finding::new(
                name(balancer),
                Outcome::NotApplicable("it has no listener with TLS".to_owned()),
            );
        }
        let old: Vec<String> = balancer
            .protocols
            .iter()
            .flat_map(|(policy, protocols)| {
                let old = protocols
                    .iter()
                    .filter(|protocol| OLD_PROTOCOLS.contains(&protocol.as_str()));
                old.map(move |protocol| format!("{protocol} by {policy}"))
            })
            .collect();
        let (mut ends, mut unseen, mut soon) = (Vec::new(), Vec::new(), false);
        for (arn, end) in &balancer.certificates {
            let short = crate::facts::last_part(arn);
            match end {
                Err(reason) => unseen.push(format!("{short}: {reason}")),
                Ok(end_s) => {
                    let days = (end_s - facts.now_s) / DAY_S;
                    soon |= days < DAYS_MIN;
                    ends.push(format!("{short} ends in {} days", days.floor()));
                }
            }
        }
        let policies: Vec<&str> = balancer.protocols.iter().map(|(policy, _)| policy.as_str()).collect();
        let outcome = if !old.is_empty() {
            let what = "choose a newer policy for its listeners, for example ELBSecurityPolicy-TLS13-1-2-2021-06";
            fail(old.join(", "), act(what))
        } else if soon {
            let command = format!(
                "honmaru deploy DIR --name {}{} --tls-cert fullchain.pem --tls-key key.pem",
                app(balancer),
                facts.flags
            );
            fail(
                ends.join(", "),
                run("renew the certificate and deploy with it", command),
            )
        } else if !unseen.is_empty() {
            Outcome::NotAssessed(unseen.join(", "))
        } else {
            pass(format!("{}; policy {}", ends.join(", "), policies.join(", ")))
        };
        Finding::new(name(balancer), outcome)
    })
}

fn odd_requests(facts: &Facts) -> Vec<Finding> {
    const DROPS: &str = "routing.http.drop_invalid_header_fields.enabled";
    const DESYNC: &str = "routing.http.desync_mitigation_mode";
    each_application(facts, |balancer| {
        let value = |key: &str| {
            let found = balancer.attributes.iter().find(|(name, _)| name == key);
            found.map(|(_, value)| value.as_str())
        };
        let outcome = match (value(DROPS), value(DESYNC)) {
            (Some(drops), Some(desync)) => {
                let seen = format!("{DROPS}: {drops}, {DESYNC}: {desync}");
                if drops == "true" && ["defensive", "strictest"].contains(&desync) {
                    pass(seen)
                } else {
                    fail(
                        seen,
                        run(
                            "drop them",
                            format!(
                                "aws elbv2 modify-load-balancer-attributes --load-balancer-arn {} --attributes \
                                 Key={DROPS},Value=true Key={DESYNC},Value=defensive",
                                arn(balancer)
                            ),
                        ),
                    )
                }
            }
            _ => Outcome::NotAssessed("its attributes could not be read".to_owned()),
        };
        Finding::new(name(balancer), outcome)
    })
}

fn web_acl(facts: &Facts) -> Vec<Finding> {
    each_application(facts, |balancer| {
        let outcome = match &balancer.web_acl {
            Err(reason) => Outcome::NotAssessed(reason.clone()),
            Ok(None) => fail(
                "no web ACL",
                act(format!(
                    "deploy the app without `--no-waf`, or associate a web ACL: `aws wafv2 associate-web-acl \
                     --web-acl-arn ARN --resource-arn {}`",
                    arn(balancer)
                )),
            ),
            Ok(Some(acl)) => {
                let rules: Vec<&str> = list(acl, "Rules").map(|rule| text(rule, "Name")).collect();
                let counts = list(acl, "Rules")
                    .filter(|rule| rule["OverrideAction"]["Count"].is_object() || rule["Action"]["Count"].is_object())
                    .count();
                let blocks = acl["DefaultAction"]["Block"].is_object();
                let named = format!("web ACL `{}`", text(acl, "Name"));
                if rules.len() > counts || blocks {
                    pass(format!("{named} with {}", rules.join(", ")))
                } else if rules.is_empty() {
                    fail(
                        format!("{named} has no rule and lets everything through"),
                        act("give it rules"),
                    )
                } else {
                    fail(format!("every rule of {named} only counts"), act("let its rules block"))
                }
            }
        };
        Finding::new(name(balancer), outcome)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{edited, fix_of, status_of};
    use serde_json::json;

    fn with(change: impl Fn(&mut Balancer)) -> Facts {
        edited(|facts| change(&mut facts.balancers.as_mut().expect("seen")[0]))
    }

    #[test]
    fn http_leads_to_https() {
        assert_eq!(status_of(&with(|_| {}), "N-05", "shop"), "pass");
        let plain = |balancer: &mut Balancer| balancer.listeners[0]["DefaultActions"] = json!([{ "Type": "forward" }]);
        assert_eq!(status_of(&with(plain), "N-05", "shop"), "fail");
        assert!(
            fix_of(&with(plain), "N-05", "shop")
                .command
                .expect("there")
                .contains("modify-listener")
        );
        let alone = with(|balancer| {
            plain(balancer);
            balancer.listeners.truncate(1);
        });
        assert!(
            fix_of(&alone, "N-05", "shop")
                .command
                .expect("there")
                .contains("--tls-cert")
        );
    }

    #[test]
    fn certificates_and_protocols() {
        assert_eq!(status_of(&with(|_| {}), "N-06", "shop"), "pass");
        let soon = with(|b| b.certificates = vec![("arn:c".to_owned(), Ok(1_000_000.0 + 13.0 * DAY_S))]);
        assert_eq!(status_of(&soon, "N-06", "shop"), "fail");
        let over = with(|b| b.certificates = vec![("arn:c".to_owned(), Ok(1.0))]);
        assert_eq!(status_of(&over, "N-06", "shop"), "fail");
        let old = with(|b| b.protocols = vec![("Old".to_owned(), vec!["TLSv1".to_owned()])]);
        assert_eq!(status_of(&old, "N-06", "shop"), "fail");
        let unseen = with(|b| b.certificates = vec![("arn:c".to_owned(), Err("not IAM's".to_owned()))]);
        assert_eq!(status_of(&unseen, "N-06", "shop"), "not-assessed");
        assert_eq!(
            status_of(&with(|b| b.certificates.clear()), "N-06", "shop"),
            "not-applicable"
        );
    }

    #[test]
    fn odd_requests_are_dropped() {
        assert_eq!(status_of(&with(|_| {}), "N-07", "shop"), "pass");
        assert_eq!(
            status_of(&with(|b| b.attributes[0].1 = "false".to_owned()), "N-07", "shop"),
            "fail"
        );
        assert_eq!(
            status_of(&with(|b| b.attributes[1].1 = "monitor".to_owned()), "N-07", "shop"),
            "fail"
        );
        assert_eq!(
            status_of(&with(|b| b.attributes.clear()), "N-07", "shop"),
            "not-assessed"
        );
    }

    #[test]
    fn somebody_looks_at_requests() {
        assert_eq!(status_of(&with(|_| {}), "N-08", "shop"), "pass");
        assert_eq!(status_of(&with(|b| b.web_acl = Ok(None)), "N-08", "shop"), "fail");
        let empty = json!({ "Name": "shop", "Rules": [], "DefaultAction": { "Allow": {} } });
        assert_eq!(
            status_of(&with(|b| b.web_acl = Ok(Some(empty.clone()))), "N-08", "shop"),
            "fail"
        );
        let counts = json!({ "Rules": [{ "Name": "a", "OverrideAction": { "Count": {} } }] });
        assert_eq!(
            status_of(&with(|b| b.web_acl = Ok(Some(counts.clone()))), "N-08", "shop"),
            "fail"
        );
        assert_eq!(
            status_of(&with(|b| b.web_acl = Err("denied".to_owned())), "N-08", "shop"),
            "not-assessed"
        );
    }
}
