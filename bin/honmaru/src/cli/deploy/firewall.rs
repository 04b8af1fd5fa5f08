//! The web ACL in front of the load balancer: three of AWS's managed rule groups.

use super::tags;
use crate::cli::app::App;
use crate::cli::client::{Client, WAFV2, code_of};
use crate::cli::progress::Progress;
use anyhow::Context;
use serde_json::{Value, json};

/// Pages of web ACLs at most.
const PAGES_MAX: usize = 50;

/// A web ACL as `ListWebACLs` shows it.
pub async fn find(client: &Client, app: &App) -> anyhow::Result<Option<Value>> {
    let mut input = json!({ "Scope": "REGIONAL", "Limit": 100 });
    for _ in 0..PAGES_MAX {
        let answer = client.call(WAFV2, "ListWebACLs", input.clone()).await?;
        let rows = answer["WebACLs"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(found) = rows.iter().find(|row| row["Name"].as_str() == Some(app.name())) {
            return Ok(Some(found.clone()));
        }
        let Some(next) = answer["NextMarker"].as_str().filter(|_| !rows.is_empty()) else {
            break;
        };
        input["NextMarker"] = Value::String(next.to_owned());
    }
    Ok(None)
}

/// Makes the web ACL unless it exists (then it is the user's to change), and puts it in front of the load balancer.
pub async fn protect(client: &Client, app: &App, balancer: &str) -> anyhow::Result<()> {
    let known = match find(client, app).await? {
        Some(known) => known,
        None => {
            let create = json!({
                "Name": app.name(), "Scope": "REGIONAL", "DefaultAction": { "Allow": {} }, "Rules": rules(),
                "VisibilityConfig": visibility(app.name()), "Tags": tags::upper(app),
                "Description": format!("in front of {}", app.name()),
            });
            client.call(WAFV2, "CreateWebACL", create).await?["Summary"].clone()
        }
    };
    let arn = known["ARN"].as_str().context("WAFv2 does not say the web ACL's ARN")?;
    client
        .call(
            WAFV2,
            "AssociateWebACL",
            json!({ "WebACLArn": arn, "ResourceArn": balancer }),
        )
        .await?;
    Ok(())
}

/// Takes the app's own web ACL away from the load balancer; any other one stays.
pub async fn unprotect(client: &Client, app: &App, balancer: &str, progress: &Progress) -> anyhow::Result<()> {
    let resource = json!({ "ResourceArn": balancer });
    let answer = match client.call(WAFV2, "GetWebACLForResource", resource.clone()).await {
        Err(error) if code_of(&error) == Some("WAFNonexistentItemException") => return Ok(()),
        answer => answer?,
    };
    if answer["WebACL"]["Name"].as_str() == Some(app.name()) {
        client.call(WAFV2, "DisassociateWebACL", resource).await?;
        progress.warn(&format!("no web ACL is in front of `{}` any more", app.name()));
    }
    Ok(())
}

fn visibility(metric: &str) -> Value {
    json!({ "SampledRequestsEnabled": true, "CloudWatchMetricsEnabled": true, "MetricName": metric })
}

fn rules() -> Value {
    // Our own URLs end in `.localhost`: `Host_localhost_HEADER` is meant for requests that slipped past a proxy on their
    // way to a server's internal names, and here it would block every request. It still counts them.
    let override_host = json!([{ "Name": "Host_localhost_HEADER", "ActionToUse": { "Count": {} } }]);
    let rule = |priority: u32, group: &str, overrides: Option<Value>| {
        let mut statement = json!({ "VendorName": "AWS", "Name": group });
        if let (Some(overrides), Some(members)) = (overrides, statement.as_object_mut()) {
            members.insert("RuleActionOverrides".to_owned(), overrides);
        }
        json!({
            "Name": group, "Priority": priority, "OverrideAction": { "None": {} },
            "Statement": { "ManagedRuleGroupStatement": statement }, "VisibilityConfig": visibility(group),
        })
    };
    json!([
        rule(0, "AWSManagedRulesCommonRuleSet", None),
        rule(1, "AWSManagedRulesKnownBadInputsRuleSet", Some(override_host)),
        rule(2, "AWSManagedRulesSQLiRuleSet", None),
    ])
}
