//! What a caller must be allowed to do. Ref: Service Authorization Reference, "Actions, resources, and condition keys
//! for Amazon Elastic Container Service".

use super::request_conditions::{
    instance_arn, of_definition, of_deployments, of_providers, of_service, of_setting, of_tasks, provider_arns,
};
use super::tag_conditions::{of_creation, of_request, of_resources};
use crate::input::Input;
use crate::model::{Family, Service, TaskDefinition};
use crate::names::{
    DEFAULT_CLUSTER, arn, cluster_arn, cluster_of_service, family_and_revision, service_arn, service_key, short_name,
    task_arn, task_definition_arn,
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
        "CreateCluster" => |state, call, input| {
            let arn = cluster_arn(&call.scope, text(input, "clusterName").unwrap_or(DEFAULT_CLUSTER));
            let access = of_providers(Access::new("ecs:CreateCluster", vec![arn.clone()]), call, input);
            of_creation(state, call, input, access, &arn)
        },
        "DeleteCluster" => |state, call, input| on_cluster("ecs:DeleteCluster", state, call, input),
        "UpdateCluster" => |state, call, input| on_cluster("ecs:UpdateCluster", state, call, input),
        "UpdateClusterSettings" => |state, call, input| on_cluster("ecs:UpdateClusterSettings", state, call, input),
        "PutClusterCapacityProviders" => |state, call, input| {
            let all = on_cluster("ecs:PutClusterCapacityProviders", state, call, input);
            all.into_iter()
                .map(|access| of_providers(access, call, input))
                .collect()
        },
        "DescribeClusters" => |state, call, input| {
            let named = texts(input, "clusters");
            let named = if named.is_empty() {
                vec![DEFAULT_CLUSTER.to_owned()]
            } else {
                named
            };
            let arns = named.iter().map(|c| cluster_arn(&call.scope, short_name(c))).collect();
            of_resources(state, call, vec![Access::new("ecs:DescribeClusters", arns)])
        },
        "ListClusters" => |_, _, _| vec![Access::any("ecs:ListClusters")],
        "DescribeCapacityProviders" => {
            |_, call, input| vec![Access::new("ecs:DescribeCapacityProviders", provider_arns(call, input))]
        }
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
            of_resources(state, call, vec![Access::new("ecs:DeleteTaskDefinitions", arns)])
        },
        "RunTask" => |state, call, input| run("ecs:RunTask", state, call, input),
        "StartTask" => |state, call, input| run("ecs:StartTask", state, call, input),
        "StopTask" => |state, call, input| on_task("ecs:StopTask", state, call, input),
        // Ref: ECS developer guide, "Using IAM policies to limit access to ECS Exec": the task and its cluster.
        "ExecuteCommand" => |state, call, input| {
            let mut all = on_task("ecs:ExecuteCommand", state, call, input);
            let tasks: Vec<String> = all.iter().flat_map(|access| access.resources.clone()).collect();
            let cluster = cluster_arn(&call.scope, cluster_name(input));
            let of_cluster =
                Access::new("ecs:ExecuteCommand", vec![cluster.clone()]).with("ecs:cluster", vec![cluster]);
            all.extend(of_resources(state, call, vec![of_cluster]));
            for access in &mut all {
                access.context.push(("ecs:task".to_owned(), tasks.clone()));
                if let Some(container) = text(input, "container") {
                    let container = vec![container.to_owned()];
                    access.context.push(("ecs:container-name".to_owned(), container));
                }
            }
            all
        },
        "DescribeTasks" => |state, call, input| on_tasks("ecs:DescribeTasks", state, call, input),
        "GetTaskProtection" => |state, call, input| on_tasks("ecs:GetTaskProtection", state, call, input),
        "UpdateTaskProtection" => |state, call, input| on_tasks("ecs:UpdateTaskProtection", state, call, input),
        // Ref: the reference names container instances; without one, AWS asks for `*`.
        "ListTasks" => |_, call, input| match text(input, "containerInstance") {
            Some(instance) => on_instances("ecs:ListTasks", call, input, &[instance.to_owned()]),
            None => in_cluster("ecs:ListTasks", call, input),
        },
        "ListServices" => |_, call, input| in_cluster("ecs:ListServices", call, input),
        "ListContainerInstances" => |state, call, input| on_cluster("ecs:ListContainerInstances", state, call, input),
        "DescribeContainerInstances" => |_, call, input| {
            let instances = texts(input, "containerInstances");
            on_instances("ecs:DescribeContainerInstances", call, input, &instances)
        },
        "CreateService" => |state, call, input| {
            let mut all = on_service("ecs:CreateService", "serviceName", state, call, input);
            match all.pop() {
                Some(access) => {
                    let arn = access.resources.first().cloned().unwrap_or_default();
                    let definition = text(input, "taskDefinition").and_then(|name| find_definition(state, call, name));
                    let access = of_service(access, call, input, None, definition);
                    of_creation(state, call, input, access, &arn)
                }
                None => all,
            }
        },
        "UpdateService" => |state, call, input| {
            let name = short_name(text(input, "service").unwrap_or("*"));
            let service = state.get::<Service>(&call.scope, &service_key(cluster_name(input), name));
            let definition =
                text(input, "taskDefinition").or_else(|| Some(service?.primary()?.task_definition.as_str()));
            let definition = definition.and_then(|name| find_definition(state, call, name));
            let all = on_service("ecs:UpdateService", "service", state, call, input);
            all.into_iter()
                .map(|access| of_service(access, call, input, service, definition))
                .collect()
        },
        "DeleteService" => |state, call, input| on_service("ecs:DeleteService", "service", state, call, input),
        "ListServiceDeployments" => |state, call, input| {
            let name = text(input, "service").unwrap_or("*");
            let cluster = cluster_of_service(text(input, "cluster"), name);
            of_one_service("ecs:ListServiceDeployments", cluster, name, state, call)
        },
        "DescribeServices" => |state, call, input| {
            let cluster = cluster_name(input);
            let arns = texts(input, "services")
                .iter()
                .map(|name| service_arn(&call.scope, cluster, short_name(name)))
                .collect();
            let access = Access::new("ecs:DescribeServices", arns);
            let access = access.with("ecs:cluster", vec![cluster_arn(&call.scope, cluster)]);
            of_resources(state, call, vec![access])
        },
        "DescribeServiceDeployments" => |_, call, input| {
            let named = texts(input, "serviceDeploymentArns");
            of_deployments("ecs:DescribeServiceDeployments", call, &named)
        },
        "DescribeServiceRevisions" => |_, call, input| {
            let named = texts(input, "serviceRevisionArns");
            of_deployments("ecs:DescribeServiceRevisions", call, &named)
        },
        "StopServiceDeployment" => |_, call, input| {
            let named = text(input, "serviceDeploymentArn").unwrap_or("*").to_owned();
            of_deployments("ecs:StopServiceDeployment", call, &[named])
        },
        "TagResource" => |state, call, input| on_resource("ecs:TagResource", state, call, input),
        "UntagResource" => |state, call, input| on_resource("ecs:UntagResource", state, call, input),
        "ListTagsForResource" => |state, call, input| on_resource("ecs:ListTagsForResource", state, call, input),
        "PutAccountSetting" => |_, _, input| vec![of_setting(Access::any("ecs:PutAccountSetting"), input)],
        "PutAccountSettingDefault" => {
            |_, _, input| vec![of_setting(Access::any("ecs:PutAccountSettingDefault"), input)]
        }
        "DeleteAccountSetting" => |_, _, input| vec![of_setting(Access::any("ecs:DeleteAccountSetting"), input)],
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

fn on_cluster(action: &str, state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let access = Access::new(action, vec![cluster_arn(&call.scope, cluster_name(input))]);
    of_resources(state, call, vec![access])
}

/// Actions without a resource type that know the condition key `ecs:cluster`.
fn in_cluster(action: &str, call: &Call, input: &Value) -> Vec<Access> {
    let cluster = cluster_arn(&call.scope, cluster_name(input));
    vec![Access::any(action).with("ecs:cluster", vec![cluster])]
}

fn on_instances(action: &str, call: &Call, input: &Value, instances: &[String]) -> Vec<Access> {
    let cluster = cluster_name(input);
    let arns = instances.iter().map(|id| instance_arn(call, cluster, id)).collect();
    vec![Access::new(action, arns).with("ecs:cluster", vec![cluster_arn(&call.scope, cluster)])]
}

fn on_task(action: &str, state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let cluster = cluster_name(input);
    let task = short_name(text(input, "task").unwrap_or("*"));
    let access = Access::new(action, vec![task_arn(&call.scope, cluster, task)])
        .with("ecs:cluster", vec![cluster_arn(&call.scope, cluster)]);
    of_resources(state, call, vec![access])
}

fn on_tasks(action: &str, state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let cluster = cluster_name(input);
    let arns = texts(input, "tasks")
        .iter()
        .map(|task| task_arn(&call.scope, cluster, short_name(task)))
        .collect();
    let access = Access::new(action, arns).with("ecs:cluster", vec![cluster_arn(&call.scope, cluster)]);
    of_resources(state, call, vec![access])
}

fn on_service(action: &str, member: &str, state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let service = text(input, member).unwrap_or("*");
    of_one_service(action, cluster_name(input), service, state, call)
}

fn of_one_service(action: &str, cluster: &str, service: &str, state: &State, call: &Call) -> Vec<Access> {
    let access = Access::new(action, vec![service_arn(&call.scope, cluster, short_name(service))])
        .with("ecs:cluster", vec![cluster_arn(&call.scope, cluster)]);
    of_resources(state, call, vec![access])
}

fn on_resource(action: &str, state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let arn = text(input, "resourceArn").unwrap_or("*").to_owned();
    let access = of_request(Access::new(action, vec![arn]), input);
    of_resources(state, call, vec![access])
}

/// The ARN that a task definition's name means: of the very revision that the operation will find.
fn definition_arn(state: &State, call: &Call, name: &str) -> String {
    if let Some(found) = find_definition(state, call, name) {
        return task_definition_arn(&call.scope, &found.family, found.revision);
    }
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

fn register(state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let roles = ["taskRoleArn", "executionRoleArn"]
        .iter()
        .filter_map(|name| text(input, name));
    let made = arn(
        &call.scope,
        &format!("task-definition/{}:*", text(input, "family").unwrap_or("*")),
    );
    let access = of_definition(Access::new("ecs:RegisterTaskDefinition", vec![made.clone()]), input);
    let mut all = of_creation(state, call, input, access, &made);
    all.extend(pass_roles(roles.map(|role| role_arn(call, role))));
    all
}

fn run(action: &str, state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let cluster = cluster_arn(&call.scope, cluster_name(input));
    let name = text(input, "taskDefinition").unwrap_or("*");
    let definition = definition_arn(state, call, name);
    let own = find_definition(state, call, name);
    let access = Access::new(action, vec![definition]).with("ecs:cluster", vec![cluster]);
    let access = of_tasks(access, call, input, own);
    let made = task_arn(&call.scope, cluster_name(input), "*");
    // The task definition's tags: the task has none yet.
    let mut all = of_resources(state, call, of_creation(state, call, input, access, &made));
    let overrides = Input::new(input.get("overrides").cloned().unwrap_or(Value::Null));
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
    super::find::definition(state, &call.scope, name)
}
