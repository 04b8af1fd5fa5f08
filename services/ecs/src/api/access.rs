//! What a caller must be allowed to do. Ref: Service Authorization Reference, "Actions, resources, and condition keys
//! for Amazon Elastic Container Service".

use crate::input::Input;
use crate::model::{Family, TaskDefinition};
use crate::names::{
    DEFAULT_CLUSTER, arn, cluster_arn, family_and_revision, service_arn, short_name, task_arn, task_definition_key,
};
use honmaru_machine::{Access, Call, Handler, Operation, State};
use serde_json::Value;

type AccessFn = fn(&State, &Call, &Value) -> Vec<Access>;

/// An operation with the access that its name asks for.
pub(super) fn operation(name: &'static str, handler: Handler) -> Operation {
    Operation {
        name,
        access: access_of(name),
        handler,
    }
}

fn access_of(name: &str) -> AccessFn {
    match name {
        "CreateCluster" => |_, call, input| {
            let name = text(input, "clusterName").unwrap_or(DEFAULT_CLUSTER);
            vec![Access::new("ecs:CreateCluster", vec![cluster_arn(&call.scope, name)])]
        },
        "DeleteCluster" => |_, call, input| on_cluster("ecs:DeleteCluster", call, input),
        "UpdateCluster" => |_, call, input| on_cluster("ecs:UpdateCluster", call, input),
        "UpdateClusterSettings" => |_, call, input| on_cluster("ecs:UpdateClusterSettings", call, input),
        "PutClusterCapacityProviders" => |_, call, input| on_cluster("ecs:PutClusterCapacityProviders", call, input),
        "DescribeClusters" => |_, call, input| {
            let named = texts(input, "clusters");
            let named = if named.is_empty() {
                vec![DEFAULT_CLUSTER.to_owned()]
            } else {
                named
            };
            let arns = named.iter().map(|c| cluster_arn(&call.scope, short_name(c))).collect();
            vec![Access::new("ecs:DescribeClusters", arns)]
        },
        "ListClusters" => |_, _, _| vec![Access::any("ecs:ListClusters")],
        "DescribeCapacityProviders" => |_, _, _| vec![Access::any("ecs:DescribeCapacityProviders")],
        "RegisterTaskDefinition" => register,
        "DeregisterTaskDefinition" => |_, _, _| vec![Access::any("ecs:DeregisterTaskDefinition")],
        "DescribeTaskDefinition" => |_, _, _| vec![Access::any("ecs:DescribeTaskDefinition")],
        "ListTaskDefinitions" => |_, _, _| vec![Access::any("ecs:ListTaskDefinitions")],
        "ListTaskDefinitionFamilies" => |_, _, _| vec![Access::any("ecs:ListTaskDefinitionFamilies")],
        "DeleteTaskDefinitions" => |state, call, input| {
            let arns = texts(input, "taskDefinitions")
                .iter()
                .map(|name| definition_arn(state, call, name))
                .collect();
            vec![Access::new("ecs:DeleteTaskDefinitions", arns)]
        },
        "RunTask" => |state, call, input| run("ecs:RunTask", state, call, input),
        "StartTask" => |state, call, input| run("ecs:StartTask", state, call, input),
        "StopTask" => |_, call, input| on_task("ecs:StopTask", call, input),
        "ExecuteCommand" => |_, call, input| {
            let mut all = on_task("ecs:ExecuteCommand", call, input);
            if let (Some(access), Some(container)) = (all.first_mut(), text(input, "container")) {
                access
                    .context
                    .push(("ecs:container-name".to_owned(), vec![container.to_owned()]));
            }
            all
        },
        "DescribeTasks" => |_, call, input| on_tasks("ecs:DescribeTasks", call, input),
        "GetTaskProtection" => |_, call, input| on_tasks("ecs:GetTaskProtection", call, input),
        "UpdateTaskProtection" => |_, call, input| on_tasks("ecs:UpdateTaskProtection", call, input),
        "ListTasks" => |_, call, input| in_cluster("ecs:ListTasks", call, input),
        "ListServices" => |_, call, input| in_cluster("ecs:ListServices", call, input),
        "ListContainerInstances" => |_, call, input| on_cluster("ecs:ListContainerInstances", call, input),
        "DescribeContainerInstances" => |_, call, input| in_cluster("ecs:DescribeContainerInstances", call, input),
        "CreateService" => |_, call, input| on_service("ecs:CreateService", "serviceName", call, input),
        "UpdateService" => |_, call, input| on_service("ecs:UpdateService", "service", call, input),
        "DeleteService" => |_, call, input| on_service("ecs:DeleteService", "service", call, input),
        "ListServiceDeployments" => |_, call, input| on_service("ecs:ListServiceDeployments", "service", call, input),
        "DescribeServices" => |_, call, input| {
            let cluster = cluster_name(input);
            let arns = texts(input, "services")
                .iter()
                .map(|name| service_arn(&call.scope, cluster, short_name(name)))
                .collect();
            vec![Access::new("ecs:DescribeServices", arns)]
        },
        "DescribeServiceDeployments" => |_, _, input| {
            vec![Access::new(
                "ecs:DescribeServiceDeployments",
                texts(input, "serviceDeploymentArns"),
            )]
        },
        "DescribeServiceRevisions" => |_, _, input| {
            vec![Access::new(
                "ecs:DescribeServiceRevisions",
                texts(input, "serviceRevisionArns"),
            )]
        },
        "StopServiceDeployment" => |_, _, input| {
            let arn = text(input, "serviceDeploymentArn").unwrap_or("*").to_owned();
            vec![Access::new("ecs:StopServiceDeployment", vec![arn])]
        },
        "TagResource" => |_, _, input| on_resource("ecs:TagResource", input),
        "UntagResource" => |_, _, input| on_resource("ecs:UntagResource", input),
        "ListTagsForResource" => |_, _, input| on_resource("ecs:ListTagsForResource", input),
        "PutAccountSetting" => |_, _, _| vec![Access::any("ecs:PutAccountSetting")],
        "PutAccountSettingDefault" => |_, _, _| vec![Access::any("ecs:PutAccountSettingDefault")],
        "DeleteAccountSetting" => |_, _, _| vec![Access::any("ecs:DeleteAccountSetting")],
        "ListAccountSettings" => |_, _, _| vec![Access::any("ecs:ListAccountSettings")],
        other => unreachable!("operation `{other}` has no access rule"),
    }
}

fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn texts(input: &Value, name: &str) -> Vec<String> {
    let items = input.get(name).and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn cluster_name(input: &Value) -> &str {
    text(input, "cluster").map_or(DEFAULT_CLUSTER, short_name)
}

fn on_cluster(action: &str, call: &Call, input: &Value) -> Vec<Access> {
    vec![Access::new(action, vec![cluster_arn(&call.scope, cluster_name(input))])]
}

/// Actions without a resource type that know the condition key `ecs:cluster`.
fn in_cluster(action: &str, call: &Call, input: &Value) -> Vec<Access> {
    let cluster = cluster_arn(&call.scope, cluster_name(input));
    vec![Access::any(action).with("ecs:cluster", vec![cluster])]
}

fn on_task(action: &str, call: &Call, input: &Value) -> Vec<Access> {
    let cluster = cluster_name(input);
    let task = short_name(text(input, "task").unwrap_or("*"));
    vec![
        Access::new(action, vec![task_arn(&call.scope, cluster, task)])
            .with("ecs:cluster", vec![cluster_arn(&call.scope, cluster)]),
    ]
}

fn on_tasks(action: &str, call: &Call, input: &Value) -> Vec<Access> {
    let cluster = cluster_name(input);
    let arns = texts(input, "tasks")
        .iter()
        .map(|task| task_arn(&call.scope, cluster, short_name(task)))
        .collect();
    vec![Access::new(action, arns).with("ecs:cluster", vec![cluster_arn(&call.scope, cluster)])]
}

fn on_service(action: &str, member: &str, call: &Call, input: &Value) -> Vec<Access> {
    let cluster = cluster_name(input);
    let service = short_name(text(input, member).unwrap_or("*"));
    vec![
        Access::new(action, vec![service_arn(&call.scope, cluster, service)])
            .with("ecs:cluster", vec![cluster_arn(&call.scope, cluster)]),
    ]
}

fn on_resource(action: &str, input: &Value) -> Vec<Access> {
    vec![Access::new(
        action,
        vec![text(input, "resourceArn").unwrap_or("*").to_owned()],
    )]
}

/// The ARN that a task definition's name means: with the newest revision when none is given.
fn definition_arn(state: &State, call: &Call, name: &str) -> String {
    let (family, revision) = family_and_revision(name);
    let revision = match revision {
        Some(revision) => revision.to_owned(),
        None => state
            .get::<Family>(&call.scope, family)
            .map_or_else(|| "*".to_owned(), |family| family.last_revision.to_string()),
    };
    arn(&call.scope, &format!("task-definition/{family}:{revision}"))
}

/// Whoever makes a role available to tasks must be allowed to pass it.
fn pass_roles(roles: impl IntoIterator<Item = String>) -> Vec<Access> {
    let pass = |role| {
        Access::new("iam:PassRole", vec![role]).with("iam:PassedToService", vec!["ecs-tasks.amazonaws.com".to_owned()])
    };
    roles.into_iter().map(pass).collect()
}

/// A role's ARN from its ARN or its name.
fn role_arn(call: &Call, role: &str) -> String {
    if role.starts_with("arn:") {
        role.to_owned()
    } else {
        format!("arn:aws:iam::{}:role/{role}", call.scope.account)
    }
}

fn register(_: &State, call: &Call, input: &Value) -> Vec<Access> {
    let roles = ["taskRoleArn", "executionRoleArn"]
        .iter()
        .filter_map(|name| text(input, name));
    let mut all = vec![Access::any("ecs:RegisterTaskDefinition")];
    all.extend(pass_roles(roles.map(|role| role_arn(call, role))));
    all
}

fn run(action: &str, state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let cluster = cluster_arn(&call.scope, cluster_name(input));
    let name = text(input, "taskDefinition").unwrap_or("*");
    let definition = definition_arn(state, call, name);
    let mut all = vec![Access::new(action, vec![definition]).with("ecs:cluster", vec![cluster])];
    let overrides = Input::new(input.get("overrides").cloned().unwrap_or(Value::Null));
    let own = find_definition(state, call, name);
    let roles = [
        overrides
            .owned("taskRoleArn")
            .or_else(|| own.and_then(|d| d.task_role_arn.clone())),
        overrides
            .owned("executionRoleArn")
            .or_else(|| own.and_then(|d| d.execution_role_arn.clone())),
    ];
    all.extend(pass_roles(
        roles.into_iter().flatten().map(|role| role_arn(call, &role)),
    ));
    all
}

fn find_definition<'a>(state: &'a State, call: &Call, name: &str) -> Option<&'a TaskDefinition> {
    let (family, revision) = family_and_revision(name);
    let revision = match revision {
        Some(revision) => revision.parse().ok()?,
        None => state.get::<Family>(&call.scope, family)?.last_revision,
    };
    state.get::<TaskDefinition>(&call.scope, &task_definition_key(family, revision))
}
