//! In whose name repositories come to be that a creation template makes: its role's, if it names one.
//!
//! Beside the permissions of whoever pushes or pulls, which stand in [`super::creation_access`]. Replication asks the role
//! alone: whoever pushed needs no permission in the other registry.
//! Ref: CreateRepositoryCreationTemplate, `customRoleArn`; ECR user guide, "Create an IAM role for repository creation
//! templates".

use super::access::{creation_role, making_access};
use super::registry::{REPLICATION, RegistryAction, template_for};
use crate::model::CreationTemplate;
use honmaru_base::{AccountId, ApiError, Scope, Time};
use honmaru_iam::{Assuming, Role, role_by_arn, trusts_service};
use honmaru_machine::{Access, Principal, PrincipalKind, State};

/// Who assumes such a role, and what its sessions are called.
const ECR: &str = "ecr.amazonaws.com";
const SESSION: &str = "ecr-repository-creation-template";

/// Whether the role of the template that would make a repository lets it be made. Good where none would be made, or the
/// template names no role.
pub fn may_create(state: &State, scope: &Scope, action: RegistryAction, name: &str, now: Time) -> Result<(), ApiError> {
    match creation_role(state, scope, action, name) {
        Some((template, accesses)) => role_may(state, scope, template, &accesses, name, now),
        None => Ok(()),
    }
}

/// The template for a copy's repository, where there is one; an error where its role does not let it be made.
pub(super) fn replication_template<'s>(
    state: &'s State,
    scope: &Scope,
    name: &str,
    now: Time,
) -> Result<Option<&'s CreationTemplate>, ApiError> {
    let Some(template) = template_for(state, scope, name, REPLICATION) else {
        return Ok(None);
    };
    let accesses = making_access(state, scope, name, Some(template));
    role_may(state, scope, template, &accesses, name, now).map(|()| Some(template))
}

/// Whether a template's role may do this; good where it names none.
fn role_may(
    state: &State,
    scope: &Scope,
    template: &CreationTemplate,
    accesses: &[Access],
    name: &str,
    now: Time,
) -> Result<(), ApiError> {
    let Some(arn) = template.custom_role_arn.as_deref() else {
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
    honmaru_iam::authorize_service(state, ECR, session(&account, role), scope, accesses, now)
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
    use crate::model::{Image, Mutability, Registry, ReplicationResult, Repository};
    use crate::{Content, NewImage, PutImage, create_repository, link_layer, put_image};
    use honmaru_base::SeededRng;
    use honmaru_machine::{Call, Tx};
    use serde_json::{Value, json};

    const NOW: Time = Time::from_ms(1_800_000_000_000);
    const ROLE: &str = "arn:aws:iam::111111111111:role/makes";
    const ECR: Option<&str> = Some("ecr.amazonaws.com");

    fn scope(region: &str) -> Scope {
        Scope::new("111111111111", region).unwrap()
    }

    fn iam(state: &mut State, name: &str, input: Value) {
        let operations = honmaru_iam::operations();
        let operation = operations.iter().find(|operation| operation.name == name).unwrap();
        let honmaru_machine::Handler::Write(handler) = operation.handler else {
            panic!("{name}")
        };
        let root = Principal {
            account: scope("us-east-1").account,
            arn: "arn:aws:iam::111111111111:root".to_owned(),
            user_id: "111111111111".to_owned(),
            kind: PrincipalKind::Root,
            access_key_id: String::new(),
            tags: Vec::new(),
            session_policies: Vec::new(),
            session: None,
        };
        let call = Call {
            scope: scope("us-east-1"),
            principal: root,
            request_id: String::new(),
            now: NOW,
            source_ip: None,
            user_agent: String::new(),
            referer: String::new(),
            host: String::new(),
            secure: false,
        };
        let mut rng = SeededRng::from_u64(1);
        handler(&mut Tx::new(state, NOW, &mut rng), &call, input).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// A cloud with a template for `auto/` in a region, whose role trusts `service` and may do `actions`.
    fn cloud(region: &str, service: Option<&str>, actions: &[&str]) -> State {
        let mut state = State::new();
        honmaru_iam::register(&mut state);
        crate::register(&mut state);
        if let Some(service) = service {
            let trust = json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}]});
            let role = json!({"RoleName": "makes", "AssumeRolePolicyDocument": trust.to_string()});
            iam(&mut state, "CreateRole", role);
            let allow = json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": actions, "Resource": "*"}]});
            let policy = json!({"RoleName": "makes", "PolicyName": "p", "PolicyDocument": allow.to_string()});
            iam(&mut state, "PutRolePolicy", policy);
        }
        let template = CreationTemplate {
            prefix: "auto".to_owned(),
            description: None,
            resource_tags: [("team".to_owned(), "web".to_owned())].into(),
            mutability: Mutability::Immutable,
            mutability_filters: Vec::new(),
            repository_policy: None,
            lifecycle_policy: None,
            applied_for: ["CREATE_ON_PUSH".to_owned(), REPLICATION.to_owned()].into(),
            custom_role_arn: Some(ROLE.to_owned()),
            created_at: NOW,
            updated_at: NOW,
        };
        let mut rng = SeededRng::from_u64(1);
        let mut tx = Tx::new(&mut state, NOW, &mut rng);
        tx.put(&scope(region), "auto", template);
        drop(tx.commit());
        state
    }

    /// What comes of a push to `auto/app`.
    fn check(service: Option<&str>, actions: &[&str], expected: &str) {
        let home = scope("us-east-1");
        let mut state = cloud("us-east-1", service, actions);
        let mut rng = SeededRng::from_u64(1);
        let mut tx = Tx::new(&mut state, NOW, &mut rng);
        let try_to = |action, name| may_create(&tx, &home, action, name, NOW);
        match try_to(RegistryAction::UploadBegin, "auto/app") {
            Ok(()) => assert_eq!(expected, ""),
            Err(error) => assert!(!expected.is_empty() && error.message.contains(expected), "{error}"),
        }
        // Where the template makes nothing, nobody asks for its role.
        assert_eq!(try_to(RegistryAction::ManifestRead, "auto/app"), Ok(()));
        assert_eq!(try_to(RegistryAction::UploadBegin, "other/app"), Ok(()));
        create_repository(&mut tx, &home, Repository::plain("auto/app", NOW)).unwrap();
        assert_eq!(
            may_create(&tx, &home, RegistryAction::UploadBegin, "auto/app", NOW),
            Ok(())
        );
    }

    #[test]
    fn a_templates_role_must_trust_ecr_and_may_make_and_tag() {
        check(None, &[], "unable to assume the role");
        check(Some("ecs-tasks.amazonaws.com"), &["ecr:*"], "unable to assume the role");
        check(ECR, &["ecr:TagResource"], "ecr:CreateRepository");
        check(ECR, &["ecr:CreateRepository"], "ecr:TagResource");
        check(ECR, &["ecr:CreateRepository", "ecr:TagResource"], "");
    }

    /// What comes of an image's copy to a region whose template makes its repository.
    fn check_copy(service: Option<&str>, actions: &[&str], failure: Option<&str>) {
        let (home, away) = (scope("us-east-1"), scope("eu-west-1"));
        let mut state = cloud("eu-west-1", service, actions);
        let mut rng = SeededRng::from_u64(1);
        let mut tx = Tx::new(&mut state, NOW, &mut rng);
        let rules = json!({"rules": [
            {"destinations": [{"region": "eu-west-1", "registryId": "111111111111"}]}]});
        let row = Registry {
            replication: Some(rules),
            ..Registry::default()
        };
        tx.put(&home, Registry::KEY, row);
        create_repository(&mut tx, &home, Repository::plain("auto/app", NOW)).unwrap();
        let (image, blob) = (
            format!("sha256:{}", "1".repeat(64)),
            format!("sha256:{}", "2".repeat(64)),
        );
        link_layer(&mut tx, &home, "auto/app", &blob, 2).unwrap();
        let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
        let config = Content {
            digest: blob,
            size: 2,
            media_type: "application/vnd.oci.image.config.v1+json".to_owned(),
        };
        let image = NewImage {
            digest: image,
            media_type,
            manifest_bytes: 300,
            blobs: vec![config],
            config_media_type: None,
            artifact_type: None,
            manifests: Vec::new(),
            subject: None,
            annotations: Default::default(),
            architecture: None,
        };
        let put = || PutImage {
            tag: Some("v1".to_owned()),
            image: image.clone(),
            refuse_same: false,
            sparse: false,
        };
        put_image(&mut tx, &home, "auto/app", put()).unwrap();
        let made = |tx: &Tx<'_>| tx.get::<Repository>(&away, "auto/app").cloned();
        let codes = |tx: &Tx<'_>| -> Vec<Option<String>> {
            let results = tx.list::<ReplicationResult>(&home);
            results.map(|(_, row)| row.failure_code.clone()).collect()
        };
        match failure {
            Some(code) => {
                assert_eq!(made(&tx), None);
                assert_eq!(codes(&tx), [Some(code.to_owned())]);
                // The next push tries again.
                create_repository(&mut tx, &away, Repository::plain("auto/app", NOW)).unwrap();
                put_image(&mut tx, &home, "auto/app", put()).unwrap();
            }
            None => {
                let made = made(&tx).unwrap();
                assert_eq!((made.mutability, made.resource_tags.len()), (Mutability::Immutable, 1));
            }
        }
        assert_eq!(codes(&tx), []);
        assert!(tx.get::<Image>(&away, &Image::key("auto/app", &image.digest)).is_some());
    }

    #[test]
    fn replication_makes_repositories_in_the_name_of_the_templates_role() {
        check_copy(None, &[], Some("AccessDeniedException"));
        check_copy(
            Some("ecs-tasks.amazonaws.com"),
            &["ecr:*"],
            Some("AccessDeniedException"),
        );
        check_copy(ECR, &["ecr:CreateRepository"], Some("AccessDeniedException"));
        check_copy(ECR, &["ecr:CreateRepository", "ecr:TagResource"], None);
    }
}
