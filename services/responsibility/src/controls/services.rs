//! Services: how they are rolled out, and who may run commands in them.

use crate::control::{Control, Finding, Outcome, Owner, Scope, Severity, each, fail, pass, run};
use crate::facts::{Facts, Service, last_part, text};
use crate::layers::Layer;

pub const CONTROLS: &[Control] = &[
    Control {
        id: "T-21",
        title: "what is done with `exec` is recorded, or `exec` is off",
        owner: Owner::Shared,
        severity: Severity::Medium,
        layer: Layer::Logs,
        scope: Scope::App,
        refs: &["CIS 5.23", "CIS 5.24"],
        check: exec,
    },
    Control {
        id: "D-01",
        title: "one task that ends, or a bad version, does not end the app",
        owner: Owner::You,
        severity: Severity::Medium,
        layer: Layer::Code,
        scope: Scope::App,
        refs: &[],
        check: spare,
    },
];

const NO_SERVICE: &str = "there is no service";

/// `aws ecs update-service` for it.
fn update(service: &Service, options: &str) -> String {
    format!(
        "aws ecs update-service --cluster {} --service {} {options}",
        service.cluster, service.name
    )
}

fn exec(facts: &Facts) -> Vec<Finding> {
    each(&facts.services, NO_SERVICE, |service| {
        if service.raw["enableExecuteCommand"] != true {
            return Finding::new(&service.name, pass("enableExecuteCommand: false"));
        }
        let cluster = match &facts.clusters {
            Err(reason) => return Finding::new(&service.name, Outcome::NotAssessed(reason.clone())),
            Ok(clusters) => clusters
                .iter()
                .find(|cluster| text(cluster, "clusterName") == service.cluster),
        };
        let Some(cluster) = cluster else {
            return Finding::new(
                &service.name,
                Outcome::NotAssessed("its cluster was not described".to_owned()),
            );
        };
        let configuration = &cluster["configuration"]["executeCommandConfiguration"];
        let arn = text(&service.raw, "taskDefinition");
        let definition = facts
            .definitions
            .iter()
            .flatten()
            .find(|definition| definition.arn == arn);
        let has_logs = definition.map(|definition| {
            definition
                .containers()
                .all(|c| text(&c["logConfiguration"], "logDriver") == "awslogs")
        });
        let off = update(service, "--no-enable-execute-command --force-new-deployment");
        let logging = text(configuration, "logging");
        let outcome = match (logging, has_logs) {
            ("NONE", _) => fail(
                "enableExecuteCommand: true, executeCommandConfiguration.logging: NONE",
                run("switch it off, or let the cluster record it", off),
            ),
            ("OVERRIDE", _) => pass(format!(
                "executeCommandConfiguration.logging: OVERRIDE, to {}",
                configuration["logConfiguration"]
            )),
            (_, None) => Outcome::NotAssessed(format!("task definition {} could not be read", last_part(arn))),
            (_, Some(true)) => pass("enableExecuteCommand: true; sessions go to the containers' log group (DEFAULT)"),
            (_, Some(false)) => fail(
                "enableExecuteCommand: true, and no log group that sessions could go to",
                run("switch it off, or give its containers a log group", off),
            ),
        };
        Finding::new(&service.name, outcome)
    })
}

fn spare(facts: &Facts) -> Vec<Finding> {
    each(&facts.services, NO_SERVICE, |service| {
        let desired = service.raw["desiredCount"].as_u64().unwrap_or_default();
        let breaker = &service.raw["deploymentConfiguration"]["deploymentCircuitBreaker"];
        let rolls_back = breaker["enable"] == true && breaker["rollback"] == true;
        let seen = format!(
            "desiredCount: {desired}, deploymentCircuitBreaker: {}",
            if rolls_back { "takes back" } else { "off" }
        );
        let outcome = if desired >= 2 || rolls_back {
            pass(seen)
        } else {
            fail(
                seen,
                run(
                    "let the circuit breaker take a bad version back",
                    update(
                        service,
                        "--deployment-configuration \
                         '{\"deploymentCircuitBreaker\":{\"enable\":true,\"rollback\":true}}'",
                    ),
                ),
            )
        };
        Finding::new(&service.name, outcome)
    })
}

#[cfg(test)]
mod tests {
    use crate::sample::{edited, status_of};
    use serde_json::json;

    #[test]
    fn sessions_are_recorded() {
        assert_eq!(status_of(&edited(|_| {}), "T-21", "shop"), "pass");
        let logging = |logging: &str| {
            edited(|facts| {
                facts.clusters.as_mut().expect("seen")[0]["configuration"] =
                    json!({ "executeCommandConfiguration": { "logging": logging } });
            })
        };
        assert_eq!(status_of(&logging("NONE"), "T-21", "shop"), "fail");
        assert_eq!(status_of(&logging("OVERRIDE"), "T-21", "shop"), "pass");
        let silent = edited(|facts| {
            facts.definitions.as_mut().expect("seen")[0].raw["containerDefinitions"][0]["logConfiguration"] =
                json!(null);
        });
        assert_eq!(status_of(&silent, "T-21", "shop"), "fail");
        let off = edited(|facts| {
            facts.services.as_mut().expect("seen")[0].raw["enableExecuteCommand"] = json!(false);
            facts.clusters = Err("denied".to_owned());
        });
        assert_eq!(status_of(&off, "T-21", "shop"), "pass");
        let denied = edited(|facts| facts.clusters = Err("denied".to_owned()));
        assert_eq!(status_of(&denied, "T-21", "shop"), "not-assessed");
    }

    #[test]
    fn two_tasks_or_a_breaker() {
        let service = |count: u32, enable: bool| {
            edited(|facts| {
                let raw = &mut facts.services.as_mut().expect("seen")[0].raw;
                raw["desiredCount"] = json!(count);
                raw["deploymentConfiguration"] =
                    json!({ "deploymentCircuitBreaker": { "enable": enable, "rollback": enable } });
            })
        };
        assert_eq!(status_of(&service(1, false), "D-01", "shop"), "fail");
        assert_eq!(status_of(&service(2, false), "D-01", "shop"), "pass");
        assert_eq!(status_of(&service(1, true), "D-01", "shop"), "pass");
    }
}
