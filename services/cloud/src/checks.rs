//! What calls need from other services: those of ECS subnets, groups, roles, target groups, before they are carried out;
//! policies of repositories that their author may set another one.

use honmaru_base::{ApiError, Scope};
use honmaru_ecs::{Service, TaskDefinition, service_key, task_definition_key};
use honmaru_elbv2::{Listener, Rule};
use honmaru_identity::ProtocolFamily;
use honmaru_machine::{Access, Call, State, Tx};
use serde_json::Value;

/// RunTask.
pub(crate) fn run_task(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    check_network(tx, &call.scope, &input)?;
    check_roles(tx, call, &input)?;
    honmaru_ecs::run_task(tx, call, input)
}

/// StartTask.
pub(crate) fn start_task(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    check_network(tx, &call.scope, &input)?;
    check_roles(tx, call, &input)?;
    honmaru_ecs::start_task(tx, call, input)
}

/// CreateService.
pub(crate) fn create_service(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    check_network(tx, &call.scope, &input)?;
    check_targets(tx, &call.scope, &input)?;
    honmaru_ecs::create_service(tx, call, input)
}

/// UpdateService. Target groups are checked only when they are named anew: a group whose listener is gone must not
/// keep anybody from scaling to 0.
pub(crate) fn update_service(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let cluster = short(text(&input, "cluster").unwrap_or("default"));
    let key = service_key(cluster, short(text(&input, "service").unwrap_or_default()));
    if tx.get::<Service>(&call.scope, &key).is_some() {
        check_network(tx, &call.scope, &input)?;
        check_targets(tx, &call.scope, &input)?;
    }
    honmaru_ecs::update_service(tx, call, input)
}

/// ECR's SetRepositoryPolicy.
pub(crate) fn set_repository_policy(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let forced = is_forced(&input);
    let answer = honmaru_ecr::shared::set_policy(tx, call, input.clone())?;
    let accesses = honmaru_ecr::shared::policy_access(tx, call, &input);
    check_lock_out(tx, call, &accesses, forced).map(|()| answer)
}

/// ECR Public's SetRepositoryPolicy.
pub(crate) fn set_public_policy(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let forced = is_forced(&input);
    let answer = honmaru_ecr_public::set_policy(tx, call, input.clone())?;
    let accesses = honmaru_ecr_public::policy_access(tx, call, &input);
    check_lock_out(tx, call, &accesses, forced).map(|()| answer)
}

/// IAM's DeleteServerCertificate. Seen: hashicorp/terraform issue 3746.
pub(crate) fn delete_server_certificate(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let name = text(&input, "ServerCertificateName").unwrap_or_default();
    if let Some(row) = honmaru_iam::server_certificate_of_name(tx, &call.scope.account, name)
        && let Some(user) = honmaru_elbv2::certificate_user(tx, &row.arn)
    {
        return Err(ApiError::new(
            "DeleteConflictException",
            format!(
                "Certificate: {} is currently in use by {user}. Please remove it first before deleting it from IAM.",
                row.id
            ),
        ));
    }
    honmaru_iam::delete_server_certificate(tx, call, input)
}

/// IAM's UpdateServerCertificate: whoever serves with the certificate does so under its new ARN.
pub(crate) fn update_server_certificate(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let account = &call.scope.account;
    let arn_of =
        |tx: &Tx<'_>, name: &str| honmaru_iam::server_certificate_of_name(tx, account, name).map(|row| row.arn.clone());
    let old_name = text(&input, "ServerCertificateName").unwrap_or_default().to_owned();
    let new_name = text(&input, "NewServerCertificateName").unwrap_or(&old_name).to_owned();
    let old = arn_of(tx, &old_name);
    let answer = honmaru_iam::update_server_certificate(tx, call, input)?;
    if let (Some(old), Some(new)) = (old, arn_of(tx, &new_name)) {
        honmaru_elbv2::certificate_renamed(tx, &old, &new);
    }
    Ok(answer)
}

fn is_forced(input: &Value) -> bool {
    input.get("force").and_then(Value::as_bool).unwrap_or(false)
}

/// Whoever sets a policy must be able to set another one, unless they say that they know. What was set is taken back with
/// the error. Ref: SetRepositoryPolicy, `force`.
fn check_lock_out(state: &State, call: &Call, accesses: &[Access], forced: bool) -> Result<(), ApiError> {
    if forced || honmaru_iam::authorize(state, call, accesses, ProtocolFamily::Json).is_ok() {
        return Ok(());
    }
    Err(invalid(
        "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'The policy would prevent you from setting another \
         policy in the future; specify force to set it nevertheless'"
            .to_owned(),
    ))
}

fn invalid(message: String) -> ApiError {
    ApiError::new("InvalidParameterException", message)
}

fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn texts<'a>(input: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    input
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Subnets and groups must exist, all in one VPC. AWS passes EC2's error on in its own text.
fn check_network(state: &State, scope: &Scope, input: &Value) -> Result<(), ApiError> {
    let Some(vpc) = input.pointer("/networkConfiguration/awsvpcConfiguration") else {
        return Ok(());
    };
    let mut vpc_id: Option<&str> = None;
    for id in texts(vpc, "subnets") {
        let subnet = honmaru_ec2::subnet(state, scope, id).map_err(|err| {
            invalid(format!(
                "Error retrieving subnet information for [{id}]: {} (ErrorCode: {})",
                err.message, err.code
            ))
        })?;
        if vpc_id.is_some_and(|known| known != subnet.vpc_id) {
            return Err(invalid("All subnets must belong to the same VPC.".to_owned()));
        }
        vpc_id = Some(&subnet.vpc_id);
    }
    for id in texts(vpc, "securityGroups") {
        let group = honmaru_ec2::security_group(state, scope, id).map_err(|err| {
            invalid(format!(
                "Error retrieving security group information for [{id}]: {} (ErrorCode: {})",
                err.message, err.code
            ))
        })?;
        if vpc_id.is_some_and(|known| known != group.vpc_id) {
            return Err(invalid(format!(
                "Security group {id} does not appear to belong to the same VPC as the input subnets."
            )));
        }
    }
    Ok(())
}

/// The roles of the task must exist; their trust is checked when a container asks for credentials.
fn check_roles(state: &State, call: &Call, input: &Value) -> Result<(), ApiError> {
    let definition = definition(state, &call.scope, text(input, "taskDefinition").unwrap_or_default());
    let overrides = input.get("overrides").cloned().unwrap_or(Value::Null);
    let roles = [
        text(&overrides, "taskRoleArn").or_else(|| definition.and_then(|d| d.task_role_arn.as_deref())),
        text(&overrides, "executionRoleArn").or_else(|| definition.and_then(|d| d.execution_role_arn.as_deref())),
    ];
    for role in roles.into_iter().flatten() {
        if honmaru_iam::role_by_arn(state, role).is_none() {
            return Err(ApiError::new(
                "ClientException",
                format!(
                    "ECS was unable to assume the role '{role}' that was provided for this task. Please verify that \
                     the role being passed has the proper trust relationship and permissions and that your IAM user \
                     has permissions to pass this role."
                ),
            ));
        }
    }
    Ok(())
}

/// The definition that a name means; ECS itself says when there is none.
fn definition<'a>(state: &'a State, scope: &'a Scope, name: &str) -> Option<&'a TaskDefinition> {
    let name = short(name);
    match name.split_once(':') {
        Some((family, revision)) => {
            state.get::<TaskDefinition>(scope, &task_definition_key(family, revision.parse().ok()?))
        }
        None => {
            let mut newest: Option<&TaskDefinition> = None;
            // As ECS itself finds it: the newest that is active.
            let found = state.find::<TaskDefinition>(scope, "family", name);
            for (_, found) in found.filter(|(_, found)| found.deregistered_at.is_none()) {
                newest = Some(found);
            }
            newest
        }
    }
}

/// Target groups must exist, take addresses, and have a load balancer.
fn check_targets(state: &State, scope: &Scope, input: &Value) -> Result<(), ApiError> {
    let balancers = input
        .get("loadBalancers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    for arn in balancers.filter_map(|balancer| text(balancer, "targetGroupArn")) {
        let group = honmaru_elbv2::target_group(state, scope, arn)
            .map_err(|_| invalid(format!("The specified target group does not exist: {arn}")))?;
        if group.target_type != "ip" {
            return Err(invalid(format!(
                "The provided target group {arn} has target type {}, which is incompatible with the awsvpc network \
                 mode specified in the task definition.",
                group.target_type
            )));
        }
        if !has_load_balancer(state, scope, arn) {
            return Err(invalid(format!(
                "The target group with targetGroupArn {arn} does not have an associated load balancer."
            )));
        }
    }
    Ok(())
}

fn has_load_balancer(state: &State, scope: &Scope, group: &str) -> bool {
    let names = |actions: &[Value]| actions.iter().any(|action| mentions(action, group));
    state
        .list::<Listener>(scope)
        .any(|(_, listener)| names(&listener.default_actions))
        || state.list::<Rule>(scope).any(|(_, rule)| names(&rule.actions))
}

fn mentions(tree: &Value, wanted: &str) -> bool {
    match tree {
        Value::String(text) => text == wanted,
        Value::Array(items) => items.iter().any(|item| mentions(item, wanted)),
        Value::Object(members) => members.values().any(|member| mentions(member, wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{NOW, call, root, scope};
    use honmaru_base::SeededRng;
    use honmaru_ecr::Repository;
    use serde_json::json;

    type Handler = fn(&mut Tx<'_>, &Call, Value) -> Result<Value, ApiError>;

    /// What becomes of a policy of one statement that root sets, first as it is, then by force.
    fn check(set: Handler, of: &Scope, statement: &Value, is_refused: bool) {
        let mut state = State::new();
        crate::register_all(&mut state);
        let mut rng = SeededRng::from_u64(1);
        let mut tx = Tx::new(&mut state, NOW, &mut rng);
        tx.put(of, "app", Repository::plain("app", NOW));
        drop(tx.commit());
        let text = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        let mut input = json!({"repositoryName": "app", "policyText": text});
        for forced in [false, true] {
            input["force"] = json!(forced);
            let mut tx = Tx::new(&mut state, NOW, &mut rng);
            let answer = set(&mut tx, &call(root()), input.clone());
            match answer {
                Ok(_) => assert!(forced || !is_refused, "{statement}"),
                Err(error) => {
                    assert!(is_refused && !forced, "{statement}: {error}");
                    assert_eq!(error.code, "InvalidParameterException");
                    assert!(
                        error.message.contains("prevent you from setting another policy"),
                        "{error}"
                    );
                    tx.roll_back();
                    assert!(state.get::<Repository>(of, "app").unwrap().policy.is_none());
                }
            }
        }
    }

    #[test]
    fn a_certificate_that_is_served_with_stays_and_keeps_its_listeners_under_another_name() {
        let mut state = State::new();
        crate::register_all(&mut state);
        let mut rng = SeededRng::from_u64(1);
        let mut tx = Tx::new(&mut state, NOW, &mut rng);
        honmaru_ec2::ensure_default_vpc(&mut tx, &scope(), "172.31.0.0/16".parse().unwrap()).unwrap();
        tx.commit();
        let subnets: Vec<String> = honmaru_ec2::default_subnets(&state, &scope())
            .iter()
            .map(|subnet| subnet.id.clone())
            .collect();
        let mut try_it = |service: &str, name: &str, input: Value| {
            let all = match service {
                "iam" => crate::iam_operations(),
                _ => honmaru_elbv2::operations(),
            };
            let operation = all.into_iter().find(|operation| operation.name == name).unwrap();
            let mut tx = Tx::new(&mut state, NOW, &mut rng);
            let answer = match operation.handler {
                honmaru_machine::Handler::Read(handler) => handler(&tx, &call(root()), input),
                handler => handler.write(&mut tx, &call(root()), input).unwrap(),
            };
            match answer.is_ok() {
                true => drop(tx.commit()),
                false => tx.roll_back(),
            }
            answer
        };
        let mut ok = |service: &str, name: &str, input: Value| try_it(service, name, input).unwrap();
        let upload = json!({"ServerCertificateName": "shop",
            "CertificateBody": include_str!("../../iam/src/tests/pem/rsa.pem"),
            "PrivateKey": include_str!("../../iam/src/tests/pem/rsa.key")});
        let metadata = ok("iam", "UploadServerCertificate", upload)["ServerCertificateMetadata"].clone();
        let balancer = ok(
            "elbv2",
            "CreateLoadBalancer",
            json!({"Name": "web", "Subnets": &subnets[..2]}),
        );
        let balancer = balancer["LoadBalancers"][0]["LoadBalancerArn"]
            .as_str()
            .unwrap()
            .to_owned();
        let fixed = json!([{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "204"}}]);
        let listener = json!({"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443, "DefaultActions": fixed,
            "Certificates": [{"CertificateArn": metadata["Arn"]}]});
        let listener = ok("elbv2", "CreateListener", listener)["Listeners"][0]["ListenerArn"].clone();
        let renamed = json!({"ServerCertificateName": "shop", "NewServerCertificateName": "store", "NewPath": "/web/"});
        ok("iam", "UpdateServerCertificate", renamed);
        let shown = ok("elbv2", "DescribeListeners", json!({"ListenerArns": [listener]}));
        assert_eq!(
            shown["Listeners"][0]["Certificates"][0]["CertificateArn"],
            format!("arn:aws:iam::{}:server-certificate/web/store", crate::calls::ACCOUNT)
        );
        let of_store = json!({"ServerCertificateName": "store"});
        let refused = try_it("iam", "DeleteServerCertificate", of_store.clone()).unwrap_err();
        assert_eq!(refused.code, "DeleteConflictException");
        let id = metadata["ServerCertificateId"].as_str().unwrap();
        assert_eq!(
            refused.message,
            format!(
                "Certificate: {id} is currently in use by {balancer}. Please remove it first before deleting it from IAM."
            )
        );
        try_it("elbv2", "DeleteListener", json!({"ListenerArn": listener})).unwrap();
        try_it("iam", "DeleteServerCertificate", of_store).unwrap();
    }

    #[test]
    fn a_policy_that_locks_its_author_out_needs_force() {
        let public = honmaru_ecr_public::scope_of(scope().account);
        let deny = |action: &str, principal: Value| json!({"Effect": "Deny", "Principal": principal, "Action": action});
        let arn = json!({"AWS": "arn:aws:iam::111111111111:root"});
        for (set, of, service) in [
            (set_repository_policy as Handler, scope(), "ecr"),
            (set_public_policy as Handler, public, "ecr-public"),
        ] {
            check(set, &of, &deny(&format!("{service}:*"), json!("*")), true);
            check(
                set,
                &of,
                &deny(&format!("{service}:SetRepositoryPolicy"), arn.clone()),
                true,
            );
            check(
                set,
                &of,
                &deny(&format!("{service}:DeleteRepositoryPolicy"), json!("*")),
                false,
            );
            let other = json!({"AWS": "arn:aws:iam::222222222222:root"});
            check(set, &of, &deny(&format!("{service}:*"), other), false);
        }
    }

    #[test]
    fn the_roles_that_must_exist_are_those_of_the_revision_that_runs() {
        let mut state = State::new();
        crate::register_all(&mut state);
        let mut rng = SeededRng::from_u64(1);
        let mut tx = Tx::new(&mut state, NOW, &mut rng);
        let call = call(root());
        let definition = json!({"family": "web", "containerDefinitions": [{"name": "c", "image": "i", "memory": 64}]});
        let mut without_role = definition.clone();
        without_role["taskRoleArn"] = json!("arn:aws:iam::111111111111:role/gone");
        for input in [definition, without_role] {
            honmaru_ecs::register_task_definition(&mut tx, &call, input).unwrap();
        }
        let run = json!({"taskDefinition": "web"});
        assert_eq!(check_roles(&tx, &call, &run).unwrap_err().code, "ClientException");
        let operations = honmaru_ecs::operations();
        let deregister = operations
            .iter()
            .find(|o| o.name == "DeregisterTaskDefinition")
            .unwrap();
        let honmaru_machine::Handler::Write(handler) = deregister.handler else {
            panic!("it changes something")
        };
        handler(&mut tx, &call, json!({"taskDefinition": "web:2"})).unwrap();
        check_roles(&tx, &call, &run).unwrap();
    }
}
