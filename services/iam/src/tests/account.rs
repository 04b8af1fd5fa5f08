//! The account as a whole: pages, limits, and everything at once.

use super::*;

#[test]
fn pages_follow_one_another() {
    let mut cloud = Cloud::new();
    for i in 0..7 {
        cloud.ok("CreateUser", json!({"UserName": format!("u{i}")}));
    }
    let (mut names, mut marker) = (Vec::new(), Value::Null);
    loop {
        let page = cloud.ok("ListUsers", json!({"MaxItems": 3, "Marker": marker}));
        let users = page["Users"].as_array().unwrap();
        assert!(users.len() <= 3);
        names.extend(users.iter().map(|user| user["UserName"].as_str().unwrap().to_owned()));
        marker = page["Marker"].clone();
        assert_eq!(page["IsTruncated"], !marker.is_null());
        if marker.is_null() {
            break;
        }
    }
    assert_eq!(names, ["administrator", "u0", "u1", "u2", "u3", "u4", "u5", "u6"]);
    assert_eq!(cloud.code("ListUsers", json!({"Marker": "!"})), "ValidationError");
}

#[test]
fn the_whole_account_at_once_and_in_pages() {
    let mut cloud = Cloud::new();
    cloud.ok(
        "CreateUser",
        json!({"UserName": "ada", "Tags": [{"Key": "k", "Value": "v"}]}),
    );
    cloud.ok("CreateGroup", json!({"GroupName": "team"}));
    cloud.ok("AddUserToGroup", json!({"UserName": "ada", "GroupName": "team"}));
    cloud.ok(
        "PutGroupPolicy",
        json!({"GroupName": "team", "PolicyName": "p", "PolicyDocument": allow("ecs:*", "*")}),
    );
    cloud.ok(
        "CreateRole",
        json!({"RoleName": "task", "AssumeRolePolicyDocument": trust(json!({"Service": "ecs-tasks.amazonaws.com"}))}),
    );
    cloud.ok("CreateInstanceProfile", json!({"InstanceProfileName": "web"}));
    cloud.ok(
        "AddRoleToInstanceProfile",
        json!({"InstanceProfileName": "web", "RoleName": "task"}),
    );
    cloud.ok(
        "CreatePolicy",
        json!({"PolicyName": "own", "PolicyDocument": allow("ecr:*", "*")}),
    );
    let all = cloud.ok("GetAccountAuthorizationDetails", json!({}));
    assert_eq!(all["UserDetailList"].as_array().unwrap().len(), 2);
    assert_eq!(all["UserDetailList"][0]["UserName"], "ada");
    assert_eq!(all["UserDetailList"][0]["GroupList"], json!(["team"]));
    assert!(
        all["GroupDetailList"][0]["GroupPolicyList"][0]["PolicyDocument"]
            .as_str()
            .unwrap()
            .starts_with("%7B")
    );
    assert_eq!(
        all["RoleDetailList"][0]["InstanceProfileList"][0]["InstanceProfileName"],
        "web"
    );
    let names: Vec<&Value> = all["Policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["PolicyName"])
        .collect();
    assert_eq!(names, ["own", "AdministratorAccess"]);
    assert_eq!(all["Policies"][0]["PolicyVersionList"][0]["IsDefaultVersion"], true);
    let (mut marker, mut seen) = (Value::Null, 0);
    loop {
        let page = cloud.ok(
            "GetAccountAuthorizationDetails",
            json!({"MaxItems": 1, "Marker": marker}),
        );
        let lists = ["UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"];
        seen += lists
            .iter()
            .map(|list| page[*list].as_array().unwrap().len())
            .sum::<usize>();
        if page["IsTruncated"] == false {
            break;
        }
        marker = page["Marker"].clone();
    }
    assert_eq!(seen, 6);
    let roles = cloud.ok("GetAccountAuthorizationDetails", json!({"Filter": ["Role"]}));
    assert_eq!(
        (
            &roles["UserDetailList"],
            roles["RoleDetailList"].as_array().unwrap().len()
        ),
        (&json!([]), 1)
    );
}

#[test]
fn an_account_has_so_many_and_no_more() {
    let mut cloud = Cloud::new();
    for i in 0..300 {
        cloud.ok("CreateGroup", json!({"GroupName": format!("g{i}")}));
    }
    let administrator = cloud.user(ADMINISTRATOR);
    let refused = cloud.call_as(administrator.clone(), "CreateGroup", json!({"GroupName": "one-more"}));
    assert_eq!(
        refused.map_err(|error| (error.code, error.message)),
        Err((
            "LimitExceededException".to_owned(),
            "Cannot exceed quota for GroupsPerAccount: 300".to_owned()
        ))
    );
    for i in 0..100 {
        let url = format!("https://i{i}.example");
        cloud.ok("CreateOpenIDConnectProvider", json!({"Url": url}));
    }
    let refused = cloud.call_as(
        administrator,
        "CreateOpenIDConnectProvider",
        json!({"Url": "https://one-more.example"}),
    );
    assert_eq!(
        refused.map_err(|error| error.message),
        Err("Cannot exceed quota for OpenIdConnectProvidersPerAccount: 100".to_owned())
    );
}

#[test]
fn every_operation_that_is_listed_is_there() {
    let listed: std::collections::BTreeSet<&str> = include_str!("../../operations.txt").split_whitespace().collect();
    let passwords: Arc<dyn Passwords> = Arc::<Asked>::default();
    let there = operations().into_iter().chain(password_operations(&passwords));
    let there: std::collections::BTreeSet<&str> = there.map(|operation| operation.name).collect();
    assert_eq!(listed, there);
}
