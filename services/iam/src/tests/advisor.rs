//! The access advisor: what policies grant, and what was used of it.

use super::*;

const HOUR_MS: i64 = 3_600 * 1_000;

fn access(cloud: &mut Cloud, by: Accessor, namespace: &str, action: &str, region: &str, at: Time) {
    let id = match &by {
        Accessor::User(name) => user_of_name(&cloud.state, &account(), name).map(|user| user.entity.id.clone()),
        Accessor::Role(name) => role_of_name(&cloud.state, &account(), name).map(|role| role.entity.id.clone()),
    };
    let accessed = Accessed {
        account: account(),
        by,
        id: id.unwrap_or_default(),
        namespace: namespace.to_owned(),
        action: action.to_owned(),
        last: LastUse {
            at,
            region: region.to_owned(),
        },
    };
    let mut tx = Tx::new(&mut cloud.state, at, &mut cloud.rng);
    note_access(&mut tx, accessed);
    tx.commit();
}

fn ada() -> Accessor {
    Accessor::User("ada".to_owned())
}

fn report(cloud: &mut Cloud, arn: &str, granularity: &str) -> Value {
    let generated = cloud.ok(
        "GenerateServiceLastAccessedDetails",
        json!({"Arn": arn, "Granularity": granularity}),
    );
    cloud.ok("GetServiceLastAccessedDetails", json!({"JobId": generated["JobId"]}))
}

fn with_ada(policy: &str) -> (Cloud, String) {
    let mut cloud = Cloud::new();
    let made = cloud.ok("CreateUser", json!({"UserName": "ada"}));
    let put = json!({"UserName": "ada", "PolicyName": "p", "PolicyDocument": policy});
    cloud.ok("PutUserPolicy", put);
    (cloud, made["User"]["Arn"].as_str().unwrap().to_owned())
}

fn namespaces(report: &Value) -> Vec<&str> {
    let services = report["ServicesLastAccessed"].as_array().unwrap().iter();
    services.map(|one| one["ServiceNamespace"].as_str().unwrap()).collect()
}

#[test]
fn a_report_has_the_services_that_policies_grant_and_their_last_use() {
    let (mut cloud, arn) = with_ada(&allow("ecs:Run*", "*"));
    cloud.ok("CreateGroup", json!({"GroupName": "team"}));
    cloud.ok("AddUserToGroup", json!({"GroupName": "team", "UserName": "ada"}));
    let logs = json!({"GroupName": "team", "PolicyName": "p", "PolicyDocument": allow("logs:*", "*")});
    cloud.ok("PutGroupPolicy", logs);
    access(&mut cloud, ada(), "ecs", "RunTask", "eu-west-1", NOW.plus_ms(-5_000));
    // Without a permission: an attempt, of a service that the report has not got.
    access(&mut cloud, ada(), "iam", "ListUsers", "us-east-1", NOW);
    let told = report(&mut cloud, &arn, "SERVICE_LEVEL");
    assert_eq!(
        (&told["JobStatus"], &told["JobType"]),
        (&json!("COMPLETED"), &json!("SERVICE_LEVEL"))
    );
    assert_eq!(namespaces(&told), ["ecs", "logs"]);
    let (ecs, logs) = (&told["ServicesLastAccessed"][0], &told["ServicesLastAccessed"][1]);
    assert_eq!(ecs["ServiceName"], "Amazon Elastic Container Service");
    assert_eq!(ecs["LastAuthenticatedEntity"], arn);
    assert_eq!(ecs["LastAuthenticatedRegion"], "eu-west-1");
    assert_eq!(ecs["LastAuthenticated"], json!(NOW.as_ms() / 1_000 - 5));
    assert_eq!(
        (&ecs["TotalAuthenticatedEntities"], &logs["TotalAuthenticatedEntities"]),
        (&json!(1), &json!(0))
    );
    assert!(logs.get("LastAuthenticated").is_none() && ecs.get("TrackedActionsLastAccessed").is_none());
    let told = report(&mut cloud, &arn, "ACTION_LEVEL");
    let actions = told["ServicesLastAccessed"][0]["TrackedActionsLastAccessed"]
        .as_array()
        .unwrap();
    assert_eq!(actions.len(), 1, "of ECS only what begins with Run: {actions:?}");
    assert_eq!(
        (&actions[0]["ActionName"], &actions[0]["LastAccessedEntity"]),
        (&json!("RunTask"), &json!(arn))
    );
}

#[test]
fn what_policies_grant_is_any_action_that_they_allow() {
    let statement = |effect: &str, actions: Value| {
        let one = json!({"Effect": effect, "Resource": "*", "Action": actions});
        json!({"Version": "2012-10-17", "Statement": [one]}).to_string()
    };
    let without = |actions: Value| {
        let one = json!({"Effect": "Allow", "Resource": "*", "NotAction": actions});
        json!({"Version": "2012-10-17", "Statement": [one]}).to_string()
    };
    let all = [
        "cloudtrail",
        "ec2",
        "ecr",
        "ecr-public",
        "ecs",
        "elasticloadbalancing",
        "iam",
        "logs",
        "sts",
        "tag",
        "wafv2",
    ];
    let except = |name: &str| all.into_iter().filter(|one| *one != name).collect::<Vec<_>>();
    for (policy, expected) in [
        (statement("Allow", json!("*")), all.to_vec()),
        (
            statement("Allow", json!(["s3:*", "ECR:GetAuthorizationToken"])),
            vec!["ecr"],
        ),
        (statement("Deny", json!("ecs:*")), vec![]),
        (without(json!("iam:*")), except("iam")),
        (without(json!("iam:Create*")), all.to_vec()),
    ] {
        let (mut cloud, arn) = with_ada(&policy);
        assert_eq!(
            namespaces(&report(&mut cloud, &arn, "SERVICE_LEVEL")),
            expected,
            "{policy}"
        );
    }
}

#[test]
fn groups_and_policies_tell_who_used_them() {
    let mut cloud = Cloud::new();
    let policy = cloud.ok(
        "CreatePolicy",
        json!({"PolicyName": "p", "PolicyDocument": allow("ecs:*", "*")}),
    );
    let policy = policy["Policy"]["Arn"].as_str().unwrap().to_owned();
    let group = cloud.ok("CreateGroup", json!({"GroupName": "team"}));
    let group = group["Group"]["Arn"].as_str().unwrap().to_owned();
    cloud.ok("AttachGroupPolicy", json!({"GroupName": "team", "PolicyArn": policy}));
    for name in ["ada", "bob", "eve"] {
        cloud.ok("CreateUser", json!({"UserName": name}));
        cloud.ok("AddUserToGroup", json!({"GroupName": "team", "UserName": name}));
    }
    let service = trust(json!({"Service": "ecs-tasks.amazonaws.com"}));
    cloud.ok(
        "CreateRole",
        json!({"RoleName": "app", "AssumeRolePolicyDocument": service}),
    );
    cloud.ok("AttachRolePolicy", json!({"RoleName": "app", "PolicyArn": policy}));
    let app = Accessor::Role("app".to_owned());
    access(
        &mut cloud,
        Accessor::User("bob".to_owned()),
        "ecs",
        "ListTasks",
        "us-east-1",
        NOW.plus_ms(-2_000),
    );
    access(&mut cloud, ada(), "ecs", "ListTasks", "us-east-1", NOW.plus_ms(-1_000));
    access(&mut cloud, app, "ecs", "RunTask", "us-west-2", NOW);
    for (arn, names, last) in [
        (&group, vec!["ada", "bob", "eve"], "user/ada"),
        (&policy, vec!["app", "ada", "bob", "eve"], "role/app"),
    ] {
        let job = cloud.ok("GenerateServiceLastAccessedDetails", json!({"Arn": arn}))["JobId"].clone();
        let told = cloud.ok("GetServiceLastAccessedDetails", json!({"JobId": job}));
        let ecs = &told["ServicesLastAccessed"][0];
        assert!(
            ecs["LastAuthenticatedEntity"].as_str().unwrap().ends_with(last),
            "{ecs}"
        );
        assert_eq!(
            ecs["TotalAuthenticatedEntities"],
            json!(names.len() - 1),
            "eve did nothing"
        );
        let mut found = Vec::new();
        let mut asked = json!({"JobId": job, "ServiceNamespace": "ecs", "MaxItems": 3});
        loop {
            let page = cloud.ok("GetServiceLastAccessedDetailsWithEntities", asked.clone());
            let list = page["EntityDetailsList"].as_array().unwrap().iter();
            found.extend(list.map(|one| one["EntityInfo"]["Name"].as_str().unwrap().to_owned()));
            if page["IsTruncated"] == false {
                break;
            }
            asked["Marker"] = page["Marker"].clone();
        }
        assert_eq!(found, names);
    }
}

#[test]
fn a_row_is_written_again_after_an_hour_and_goes_with_its_user() {
    let (mut cloud, arn) = with_ada(&allow("*", "*"));
    let at = |cloud: &mut Cloud| {
        report(cloud, &arn, "SERVICE_LEVEL")["ServicesLastAccessed"][4]["LastAuthenticated"].clone()
    };
    let begun = NOW.plus_ms(-2 * HOUR_MS);
    for (after_ms, expected_ms) in [(0, 0), (HOUR_MS - 1_000, 0), (HOUR_MS, HOUR_MS)] {
        access(
            &mut cloud,
            ada(),
            "ecs",
            "RunTask",
            "us-east-1",
            begun.plus_ms(after_ms),
        );
        assert_eq!(
            at(&mut cloud),
            json!((begun.as_ms() + expected_ms) / 1_000),
            "{after_ms}"
        );
    }
    cloud.ok("UpdateUser", json!({"UserName": "ada", "NewUserName": "eda"}));
    cloud.ok("UpdateUser", json!({"UserName": "eda", "NewUserName": "ada"}));
    assert!(!at(&mut cloud).is_null(), "a renamed user is the same");
    cloud.ok("DeleteUserPolicy", json!({"UserName": "ada", "PolicyName": "p"}));
    cloud.ok("DeleteUser", json!({"UserName": "ada"}));
    let scope = crate::machine::scope_of(&account());
    assert_eq!(cloud.state.list::<crate::accesses::ServiceAccess>(&scope).count(), 0);
}

#[test]
fn unknown_jobs_and_entities_are_none() {
    let (mut cloud, arn) = with_ada(&allow("ecs:*", "*"));
    let job = "00000000-0000-0000-0000-000000000000";
    let none = "NoSuchEntityException";
    assert_eq!(cloud.code("GetServiceLastAccessedDetails", json!({"JobId": job})), none);
    let entities = json!({"JobId": job, "ServiceNamespace": "ecs"});
    assert_eq!(cloud.code("GetServiceLastAccessedDetailsWithEntities", entities), none);
    for other in [arn.replace("ada", "eve"), arn.replace(":user/", ":policy/")] {
        assert_eq!(
            cloud.code("GenerateServiceLastAccessedDetails", json!({"Arn": other})),
            none,
            "{other}"
        );
    }
    let foreign = json!({"Arn": arn.replace(ACCOUNT, "999999999999")});
    assert_eq!(
        cloud.code("GenerateServiceLastAccessedDetails", foreign),
        "AccessDenied"
    );
    let word = json!({"Arn": "something-that-is-no-arn"});
    assert_eq!(
        cloud.code("GenerateServiceLastAccessedDetails", word),
        "InvalidInputException"
    );
}

#[test]
fn the_policies_that_grant_a_service_are_listed_by_kind() {
    let (mut cloud, arn) = with_ada(&allow("ecs:*", "*"));
    cloud.ok("CreateGroup", json!({"GroupName": "team"}));
    cloud.ok("AddUserToGroup", json!({"GroupName": "team", "UserName": "ada"}));
    let own = json!({"GroupName": "team", "PolicyName": "g", "PolicyDocument": allow("logs:Get*", "*")});
    cloud.ok("PutGroupPolicy", own);
    let read_only = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    cloud.ok("AttachUserPolicy", json!({"UserName": "ada", "PolicyArn": read_only}));
    let asked = json!({"Arn": arn, "ServiceNamespaces": ["logs", "ecs", "nothing"]});
    let told = cloud.ok("ListPoliciesGrantingServiceAccess", asked);
    let managed = json!({"PolicyName": "ReadOnlyAccess", "PolicyType": "MANAGED", "PolicyArn": read_only});
    let inline = |name: &str, kind: &str, entity: &str| json!({"PolicyName": name, "PolicyType": "INLINE", "EntityType": kind, "EntityName": entity});
    assert_eq!(
        told["PoliciesGrantingServiceAccess"],
        json!([
            {"ServiceNamespace": "logs", "Policies": [managed, inline("g", "GROUP", "team")]},
            {"ServiceNamespace": "ecs", "Policies": [inline("p", "USER", "ada"), managed]},
            {"ServiceNamespace": "nothing", "Policies": []},
        ])
    );
}
