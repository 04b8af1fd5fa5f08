//! The default VPC's subnets, and two security groups: the world reaches the load balancer on port 80 (and that
//! of HTTPS), and only the load balancer reaches the tasks, on the app's port.

use super::tags;
use super::walls::WayOut;
use crate::cli::app::App;
use crate::cli::client::{Client, EC2, code_of};
use anyhow::Context;
use serde_json::{Value, json};

/// The port on which the load balancer listens.
pub const LISTENER_PORT: u16 = 80;

const EVERYONE: &str = "0.0.0.0/0";

/// Where the app is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The default VPC.
    pub vpc: String,
    /// Its default subnets.
    pub subnets: Vec<String>,
    /// The load balancer's security group.
    pub balancer_group: String,
    /// The tasks' security group.
    pub task_group: String,
}

/// Finds the subnets and makes the groups.
pub async fn ensure(client: &Client, app: &App, port: u16) -> anyhow::Result<Network> {
    let filter = json!({ "Filter": [{ "Name": "default-for-az", "Value": ["true"] }] });
    let answer = client.call(EC2, "DescribeSubnets", filter).await?;
    let rows = answer["subnetSet"].as_array().map(Vec::as_slice).unwrap_or_default();
    let vpc = rows
        .first()
        .and_then(|row| row["vpcId"].as_str())
        .context("the account has no default VPC")?
        .to_owned();
    let subnets: Vec<String> = rows
        .iter()
        .filter_map(|row| row["subnetId"].as_str())
        .map(str::to_owned)
        .collect();
    let balancer_group = group(
        client,
        app,
        &vpc,
        &app.balancer_group(),
        &format!("load balancer of {}: what it listens on, from everywhere", app.name()),
    )
    .await?;
    let task_group = group(
        client,
        app,
        &vpc,
        &app.task_group(),
        &format!("tasks of {}: the app port from the load balancer only", app.name()),
    )
    .await?;
    let everyone = json!([{ "CidrIp": EVERYONE }]);
    let balancer = json!([{ "GroupId": balancer_group }]);
    tokio::try_join!(
        allow(client, &balancer_group, permission(LISTENER_PORT, "IpRanges", everyone)),
        allow(client, &task_group, permission(port, "Groups", balancer)),
    )?;
    Ok(Network {
        vpc,
        subnets,
        balancer_group,
        task_group,
    })
}

fn permission(port: u16, source: &str, sources: Value) -> Value {
    json!({ "IpProtocol": "tcp", "FromPort": port, "ToPort": port, source: sources })
}

/// Opens a port of the tasks to the load balancer.
pub async fn open_port(client: &Client, app: &App, port: u16) -> anyhow::Result<()> {
    let (task, balancer) = (app.task_group(), app.balancer_group());
    let (task, balancer) = tokio::try_join!(find_group(client, &task), find_group(client, &balancer))?;
    let (Some(task), Some(balancer)) = (task, balancer) else {
        return Ok(());
    };
    let from = json!([{ "GroupId": balancer["groupId"] }]);
    allow(
        client,
        task["groupId"].as_str().unwrap_or_default(),
        permission(port, "Groups", from),
    )
    .await
}

async fn allow(client: &Client, group: &str, permission: Value) -> anyhow::Result<()> {
    let input = json!({ "GroupId": group, "IpPermissions": [permission] });
    match client.call(EC2, "AuthorizeSecurityGroupIngress", input).await {
        Err(error) if code_of(&error) == Some("InvalidPermission.Duplicate") => Ok(()),
        answer => answer.map(|_| ()),
    }
}

/// Opens a port of the load balancer to everybody.
pub async fn open_to_all(client: &Client, network: &Network, port: u16) -> anyhow::Result<()> {
    let everyone = json!([{ "CidrIp": EVERYONE }]);
    allow(client, &network.balancer_group, permission(port, "IpRanges", everyone)).await
}

/// Takes that back.
pub async fn close_to_all(client: &Client, network: &Network, port: u16) -> anyhow::Result<()> {
    let everyone = json!([{ "CidrIp": EVERYONE }]);
    let input = json!({
        "GroupId": network.balancer_group, "IpPermissions": [permission(port, "IpRanges", everyone)],
    });
    match client.call(EC2, "RevokeSecurityGroupIngress", input).await {
        Err(error) if code_of(&error) == Some("InvalidPermission.NotFound") => Ok(()),
        answer => answer.map(|_| ()),
    }
}

/// Rules of a group for outgoing packets, as they are given: each has one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing(Vec<Value>);

impl Outgoing {
    fn of(ways: &[WayOut]) -> Self {
        let rule = |way: &WayOut| {
            let to = json!([{ "CidrIp": way.cidr }]);
            match way.port {
                Some(port) => permission(port, "IpRanges", to),
                None => json!({ "IpProtocol": "-1", "IpRanges": to }),
            }
        };
        Self(ways.iter().map(rule).collect())
    }

    /// From `ipPermissionsEgress` of a description.
    fn read(permissions: &Value) -> Self {
        const SOURCES: [(&str, &str, &str, &str); 4] = [
            ("ipRanges", "cidrIp", "IpRanges", "CidrIp"),
            ("ipv6Ranges", "cidrIpv6", "Ipv6Ranges", "CidrIpv6"),
            ("groups", "groupId", "Groups", "GroupId"),
            ("prefixListIds", "prefixListId", "PrefixListIds", "PrefixListId"),
        ];
        let mut rules = Vec::new();
        for permission in permissions.as_array().into_iter().flatten() {
            for (list, member, given_list, given) in SOURCES {
                for source in permission[list].as_array().into_iter().flatten() {
                    let mut rule = json!({ "IpProtocol": permission["ipProtocol"] });
                    rule[given_list] = json!([{ given: source[member] }]);
                    for (port, given) in [("fromPort", "FromPort"), ("toPort", "ToPort")] {
                        let number = permission[port].as_str().and_then(|port| port.parse::<i32>().ok());
                        if let Some(number) = number.filter(|_| permission["ipProtocol"] != "-1") {
                            rule[given] = json!(number);
                        }
                    }
                    rules.push(rule);
                }
            }
        }
        Self(rules)
    }

    fn without(&self, others: &Self) -> Vec<&Value> {
        self.0.iter().filter(|rule| !others.0.contains(rule)).collect()
    }
}

/// Lets a group's tasks out by these ways alone. What comes back are the rules before, if that changed something.
pub async fn set_egress(client: &Client, group: &str, ways: &[WayOut]) -> anyhow::Result<Option<Outgoing>> {
    let answer = client
        .call(EC2, "DescribeSecurityGroups", json!({ "GroupId": [group] }))
        .await?;
    let before = Outgoing::read(&answer["securityGroupInfo"][0]["ipPermissionsEgress"]);
    let wanted = Outgoing::of(ways);
    let has_changed = move_egress(client, group, &before, &wanted).await?;
    Ok(has_changed.then_some(before))
}

/// Takes that back.
pub async fn restore_egress(client: &Client, group: &str, rules: &Outgoing) -> anyhow::Result<()> {
    let answer = client
        .call(EC2, "DescribeSecurityGroups", json!({ "GroupId": [group] }))
        .await?;
    let now = Outgoing::read(&answer["securityGroupInfo"][0]["ipPermissionsEgress"]);
    move_egress(client, group, &now, rules).await?;
    Ok(())
}

/// What is missing comes before the rest goes, so that nothing that may stay open is closed in between.
async fn move_egress(client: &Client, group: &str, from: &Outgoing, to: &Outgoing) -> anyhow::Result<bool> {
    let (missing, surplus) = (to.without(from), from.without(to));
    for (operation, rules) in [
        ("AuthorizeSecurityGroupEgress", &missing),
        ("RevokeSecurityGroupEgress", &surplus),
    ] {
        if !rules.is_empty() {
            let input = json!({ "GroupId": group, "IpPermissions": rules });
            client.call(EC2, operation, input).await?;
        }
    }
    Ok(!missing.is_empty() || !surplus.is_empty())
}

/// What was changed, in words.
pub fn egress_words(ways: &[WayOut]) -> String {
    let word = |way: &WayOut| match (way.cidr.as_str(), way.port) {
        ("0.0.0.0/0", None) => "everywhere".to_owned(),
        ("0.0.0.0/0", Some(port)) => format!("TCP port {port} everywhere"),
        (cidr, None) => cidr.to_owned(),
        (cidr, Some(port)) => format!("TCP port {port} of {cidr}"),
    };
    match ways {
        [] => "the tasks may open connections to nobody".to_owned(),
        ways => {
            let words: Vec<String> = ways.iter().map(word).collect();
            format!("the tasks may open connections to {}", words.join(", "))
        }
    }
}

/// A group by its name.
pub async fn find_group(client: &Client, name: &str) -> anyhow::Result<Option<Value>> {
    let input = json!({ "Filter": [{ "Name": "group-name", "Value": [name] }] });
    let answer = client.call(EC2, "DescribeSecurityGroups", input).await?;
    Ok(answer["securityGroupInfo"]
        .as_array()
        .and_then(|groups| groups.first())
        .cloned())
}

async fn group(client: &Client, app: &App, vpc: &str, name: &str, description: &str) -> anyhow::Result<String> {
    if let Some(known) = find_group(client, name).await? {
        return Ok(known["groupId"].as_str().unwrap_or_default().to_owned());
    }
    let create = json!({
        "GroupName": name, "GroupDescription": description, "VpcId": vpc,
        "TagSpecification": tags::specification(app, "security-group"),
    });
    let answer = client.call(EC2, "CreateSecurityGroup", create).await?;
    Ok(answer["groupId"]
        .as_str()
        .with_context(|| format!("EC2 does not say the id of group {name}"))?
        .to_owned())
}

/// Takes back the ports of earlier versions, once none of their tasks is left.
pub async fn forget_other_ports(client: &Client, network: &Network, port: u16) -> anyhow::Result<()> {
    let input = json!({ "GroupId": [network.task_group] });
    let answer = client.call(EC2, "DescribeSecurityGroups", input).await?;
    let permissions = answer["securityGroupInfo"][0]["ipPermissions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for old in other_ports(&permissions, &network.balancer_group, port) {
        let from = json!([{ "GroupId": network.balancer_group }]);
        let input = json!({ "GroupId": network.task_group, "IpPermissions": [permission(old, "Groups", from)] });
        client.call(EC2, "RevokeSecurityGroupIngress", input).await?;
    }
    Ok(())
}

/// Single ports other than `port` that are open to the load balancer alone: those that `deploy` once opened.
fn other_ports(permissions: &[Value], balancer_group: &str, port: u16) -> Vec<u16> {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<u16>().ok());
    let is_balancers = |permission: &&Value| {
        let groups = permission["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
        groups.len() == 1
            && groups
                .iter()
                .all(|group| group["groupId"].as_str() == Some(balancer_group))
            && permission["ipRanges"].as_array().is_none_or(Vec::is_empty)
    };
    permissions
        .iter()
        .filter(is_balancers)
        .filter(|permission| permission["fromPort"] == permission["toPort"])
        .filter_map(|permission| number(&permission["fromPort"]))
        .filter(|open| *open != port)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_the_way_out_are_compared() {
        let described = json!([
            { "ipProtocol": "-1", "fromPort": "-1", "toPort": "-1", "ipRanges": [{ "cidrIp": "0.0.0.0/0" }] },
            { "ipProtocol": "tcp", "fromPort": "443", "toPort": "443",
              "ipRanges": [{ "cidrIp": "10.0.0.0/8" }, { "cidrIp": "1.2.3.4/32" }], "groups": "" },
        ]);
        let now = Outgoing::read(&described);
        let ways = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            Outgoing::of(&WayOut::of(&words).map_err(|usage| usage.0).expect("valid"))
        };
        let same = ways(&["0.0.0.0/0", "1.2.3.4:443", "10.0.0.0/8:443"]);
        assert_eq!((now.without(&same).len(), same.without(&now).len()), (0, 0));
        let other = ways(&["10.0.0.0/8:443", "10.0.0.0/8:80"]);
        assert_eq!((now.without(&other).len(), other.without(&now).len()), (2, 1));
        assert_eq!(now.without(&ways(&["none"])).len(), 3);
    }

    #[test]
    fn only_ports_of_our_own_making_are_taken_back() {
        let rule = |from: &str, to: &str, group: &str, ranges: Value| {
            json!({ "ipProtocol": "tcp", "fromPort": from, "toPort": to, "groups": [{ "groupId": group }],
                    "ipRanges": ranges })
        };
        let permissions = [
            rule("8080", "8080", "sg-lb", json!("")),
            rule("3000", "3000", "sg-lb", json!("")),
            rule("9000", "9100", "sg-lb", json!("")),
            rule("22", "22", "sg-admin", json!("")),
            rule("81", "81", "sg-lb", json!([{ "cidrIp": "10.0.0.0/8" }])),
        ];
        assert_eq!(other_ports(&permissions, "sg-lb", 8080), [3000]);
    }
}
