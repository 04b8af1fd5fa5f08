//! In whose name repositories come to be that a creation template makes: its role's, if it names one.
//!
//! Beside the permissions of whoever pushes or pulls, which stand in `honmaru_ecr::creation_access`. Replication makes
//! repositories in the registry's own name.
//! Ref: CreateRepositoryCreationTemplate, `customRoleArn`; ECR user guide, "Create an IAM role for repository creation
//! templates".

use honmaru_base::{AccountId, ApiError, Scope, Time};
use honmaru_ecr::RegistryAction;
use honmaru_iam::{Assuming, Role, role_by_arn, trusts_service};
use honmaru_identity::ProtocolFamily;
use honmaru_machine::{Call, Principal, PrincipalKind, State};

/// Who assumes such a role, and what its sessions are called.
const ECR: &str = "ecr.amazonaws.com";
const SESSION: &str = "ecr-repository-creation-template";

/// Whether the role of the template that would make a repository lets it be made. Good where none would be made, or the
/// template names no role.
pub fn may_create(state: &State, scope: &Scope, action: RegistryAction, name: &str, now: Time) -> Result<(), ApiError> {
    let Some((template, arn, accesses)) = honmaru_ecr::creation_role(state, scope, action, name) else {
        return Ok(());
    };
    let is_trusted = |account: &AccountId, role: &Role| {
        let by_ecr = Assuming {
            service: ECR,
            account,
            source_arn: None,
            region: scope.region.as_str(),
            now,
        };
        trusts_service(state, role, &by_ecr)
    };
    let found = role_by_arn(state, arn).filter(|(account, role)| is_trusted(account, role));
    let Some((account, role)) = found else {
        return Err(ApiError::new(
            "AccessDeniedException",
            format!(
                "The repository '{name}' cannot be created: Amazon ECR is unable to assume the role '{arn}' of the \
                 repository creation template with prefix '{}'",
                template.prefix
            ),
        ));
    };
    let call = Call {
        scope: scope.clone(),
        principal: session(&account, role),
        request_id: String::new(),
        now,
        source_ip: None,
        user_agent: ECR.to_owned(),
        host: String::new(),
        secure: true,
    };
    honmaru_iam::authorize(state, &call, &accesses, ProtocolFamily::Json)
}

fn session(account: &AccountId, role: &Role) -> Principal {
    let entity = &role.entity;
    Principal {
        account: account.clone(),
        arn: format!("arn:aws:sts::{account}:assumed-role/{}/{SESSION}", entity.name),
        user_id: format!("{}:{SESSION}", entity.id),
        kind: PrincipalKind::AssumedRole {
            role: entity.name.clone(),
            session: SESSION.to_owned(),
        },
        access_key_id: String::new(),
        tags: entity.tags.clone(),
        session_policies: Vec::new(),
        session: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{NOW, call, root, scope};
    use honmaru_base::SeededRng;
    use honmaru_machine::Tx;
    use serde_json::{Value, json};

    const ROLE: &str = "arn:aws:iam::111111111111:role/makes";

    fn write(state: &mut State, operations: &[honmaru_machine::Operation], name: &str, input: Value) {
        let operation = operations.iter().find(|operation| operation.name == name).unwrap();
        let honmaru_machine::Handler::Write(handler) = operation.handler else {
            panic!("{name}")
        };
        let mut rng = SeededRng::from_u64(1);
        let mut tx = Tx::new(state, NOW, &mut rng);
        handler(&mut tx, &call(root()), input).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// What comes of a push to `auto/app`, whose template names a role that trusts `service` and may do `actions`.
    fn check(service: Option<&str>, actions: &[&str], expected: &str) {
        let mut state = State::new();
        crate::register_all(&mut state);
        let iam = honmaru_iam::operations();
        if let Some(service) = service {
            let trust = json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}]});
            let role = json!({"RoleName": "makes", "AssumeRolePolicyDocument": trust.to_string()});
            write(&mut state, &iam, "CreateRole", role);
            let allow = json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": actions, "Resource": "*"}]});
            let policy = json!({"RoleName": "makes", "PolicyName": "p", "PolicyDocument": allow.to_string()});
            write(&mut state, &iam, "PutRolePolicy", policy);
        }
        let template = honmaru_ecr::CreationTemplate {
            prefix: "auto".to_owned(),
            description: None,
            resource_tags: [("team".to_owned(), "web".to_owned())].into(),
            mutability: honmaru_ecr::Mutability::Mutable,
            mutability_filters: Vec::new(),
            repository_policy: None,
            lifecycle_policy: None,
            applied_for: ["CREATE_ON_PUSH".to_owned()].into(),
            custom_role_arn: Some(ROLE.to_owned()),
            created_at: NOW,
            updated_at: NOW,
        };
        let mut rng = SeededRng::from_u64(1);
        let mut tx = Tx::new(&mut state, NOW, &mut rng);
        tx.put(&scope(), "auto", template);
        let try_to = |action, name| may_create(&tx, &scope(), action, name, NOW);
        let said = try_to(RegistryAction::UploadBegin, "auto/app");
        match said {
            Ok(()) => assert_eq!(expected, ""),
            Err(error) => assert!(!expected.is_empty() && error.message.contains(expected), "{error}"),
        }
        // Where the template makes nothing, nobody asks for its role.
        assert_eq!(try_to(RegistryAction::ManifestRead, "auto/app"), Ok(()));
        assert_eq!(try_to(RegistryAction::UploadBegin, "other/app"), Ok(()));
        honmaru_ecr::create_repository(&mut tx, &scope(), honmaru_ecr::Repository::plain("auto/app", NOW)).unwrap();
        assert_eq!(
            may_create(&tx, &scope(), RegistryAction::UploadBegin, "auto/app", NOW),
            Ok(())
        );
    }

    #[test]
    fn a_templates_role_must_trust_ecr_and_may_make_and_tag() {
        let ecr = Some("ecr.amazonaws.com");
        check(None, &[], "unable to assume the role");
        check(Some("ecs-tasks.amazonaws.com"), &["ecr:*"], "unable to assume the role");
        check(ecr, &["ecr:TagResource"], "ecr:CreateRepository");
        check(ecr, &["ecr:CreateRepository"], "ecr:TagResource");
        check(ecr, &["ecr:CreateRepository", "ecr:TagResource"], "");
    }
}
