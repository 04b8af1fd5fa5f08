//! Inputs and outputs of EC2 as its records write them: members have the names of its XML, and lists are objects with
//! `items`.
//! Ref: CloudTrail User Guide, "CloudTrail log file examples", Amazon EC2 (`instancesSet`, `_return`); records of
//! AuthorizeSecurityGroupIngress, CreateTags and DescribeSecurityGroups as accounts published them.

use super::{DEPTH_MAX, decapitalized};
use crate::model::{Kind, Member, Service, Shape};
use serde_json::{Map, Value, json};

/// Lists of ids that are not called by their items' name with `Set`.
const SETS: [(&str, &str); 5] = [
    ("resourceId", "resourcesSet"),
    ("groupId", "securityGroupIdSet"),
    ("groupName", "securityGroupSet"),
    ("vpcId", "vpcSet"),
    ("subnetId", "subnetSet"),
];

/// A tree as a record has it.
pub(super) fn recorded(service: &Service, shape: &Shape, tree: &Value) -> Value {
    named(service, shape, tree, DEPTH_MAX)
}

fn named(service: &Service, shape: &Shape, value: &Value, depth: usize) -> Value {
    match (&shape.kind, value) {
        _ if depth == 0 => value.clone(),
        (Kind::Structure(structure), Value::Object(members)) => {
            let members = members.iter().map(|(name, value)| match structure.by_name(name) {
                Some(member) => named_member(service, member, value, depth - 1),
                None => (name.clone(), value.clone()),
            });
            Value::Object(members.collect())
        }
        _ => value.clone(),
    }
}

fn named_member(service: &Service, member: &Member, value: &Value, depth: usize) -> (String, Value) {
    let target = service.target(member);
    let name = match decapitalized(member.wire()) {
        // A word of the language that once wrote the records.
        name if name == "return" => "_return".to_owned(),
        name => name,
    };
    match (&target.kind, value) {
        (Kind::List(element), Value::Array(items)) => {
            let element = service.target(element);
            let item = |item: &Value| match element.kind {
                Kind::Structure(_) => named(service, element, item, depth),
                _ => json!({ name.as_str(): item }),
            };
            let items: Vec<Value> = items.iter().map(item).collect();
            let list = match items.is_empty() {
                true => Value::Object(Map::new()),
                false => json!({ "items": items }),
            };
            (set(&name), list)
        }
        _ => (name, named(service, target, value, depth)),
    }
}

/// What a list is called. The XML calls a request's lists by one of their items.
fn set(name: &str) -> String {
    match SETS.iter().find(|(item, _)| *item == name) {
        Some((_, set)) => (*set).to_owned(),
        None if name.ends_with('s') || name.ends_with("Set") => name.to_owned(),
        None => format!("{name}Set"),
    }
}

#[cfg(test)]
mod tests {
    use crate::trail::{Side, recorded};
    use serde_json::{Value, json};

    fn of(operation: &str, side: Side, tree: &Value) -> Value {
        let ec2 = crate::service("ec2").expect("a model");
        recorded(ec2, ec2.operation(operation).expect("an operation"), side, tree)
    }

    #[test]
    fn lists_have_items_and_members_are_called_as_in_xml() {
        let input = json!({ "GroupId": "sg-1", "IpPermissions": [{ "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22,
            "IpRanges": [{ "CidrIp": "0.0.0.0/0" }], "UserIdGroupPairs": [] }] });
        let wanted = json!({ "groupId": "sg-1", "ipPermissions": { "items": [{ "ipProtocol": "tcp", "fromPort": 22,
            "toPort": 22, "ipRanges": { "items": [{ "cidrIp": "0.0.0.0/0" }] }, "groups": {} }] } });
        assert_eq!(of("AuthorizeSecurityGroupIngress", Side::Input, &input), wanted);
        let output = json!({ "Return": true, "SecurityGroupRules": [{ "GroupId": "sg-1", "IsEgress": false }] });
        let wanted = json!({ "_return": true,
            "securityGroupRuleSet": { "items": [{ "groupId": "sg-1", "isEgress": false }] } });
        assert_eq!(of("AuthorizeSecurityGroupIngress", Side::Output, &output), wanted);
    }

    #[test]
    fn lists_of_ids_are_sets_of_what_they_name() {
        let input = json!({ "Resources": ["sg-1"], "Tags": [{ "Key": "Name", "Value": "a" }] });
        let wanted = json!({ "resourcesSet": { "items": [{ "resourceId": "sg-1" }] },
            "tagSet": { "items": [{ "key": "Name", "value": "a" }] } });
        assert_eq!(of("CreateTags", Side::Input, &input), wanted);
        let input = json!({ "GroupIds": ["sg-1"], "Filters": [{ "Name": "vpc-id", "Values": ["vpc-1"] }] });
        let wanted = json!({ "securityGroupIdSet": { "items": [{ "groupId": "sg-1" }] }, "filterSet": { "items": [
            { "name": "vpc-id", "valueSet": { "items": [{ "value": "vpc-1" }] } }] } });
        assert_eq!(of("DescribeSecurityGroups", Side::Input, &input), wanted);
        let input = json!({ "Description": "words", "GroupName": "web" });
        let wanted = json!({ "groupDescription": "words", "groupName": "web" });
        assert_eq!(of("CreateSecurityGroup", Side::Input, &input), wanted);
    }
}
