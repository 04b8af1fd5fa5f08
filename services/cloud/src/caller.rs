//! Who speaks to the registry: the token says who asked for it, the state whether they are still there.
//!
//! A token is as good as what it was asked for with: it ends with the user, the role or the access key, and a key that is
//! made inactive rests it. What they may do is asked anew for every request, so that it is not looked at here.

use honmaru_base::Time;
use honmaru_ecr::TokenError;
use honmaru_machine::{Principal, PrincipalKind, State};

/// What the ids of temporary access keys begin with. Those keys are nobody's row.
const TEMPORARY: &str = "ASIA";

/// Whoever an `Authorization` header of a registry client speaks for.
pub fn registry_caller(state: &State, authorization: &str, now: Time) -> Result<Principal, TokenError> {
    let principal = honmaru_ecr::check_authorization(state, authorization, now)?;
    current(state, principal).ok_or(TokenError::Invalid)
}

/// The principal as it is now; nothing when it is gone, even if another has its name by now.
fn current(state: &State, mut principal: Principal) -> Option<Principal> {
    let account = &principal.account;
    if let PrincipalKind::AssumedRole { role, .. } = &principal.kind {
        let role = honmaru_iam::role_of_name(state, account, role)?;
        let is_same = principal.user_id.split(':').next() == Some(role.entity.id.as_str());
        principal.tags = tags_of(&principal, &role.entity.tags);
        return is_same.then_some(principal);
    }
    if let PrincipalKind::FederatedUser { user: Some(user), .. } = &principal.kind {
        let user = honmaru_iam::user_of_name(state, account, user)?;
        let session = principal.session.as_ref()?;
        let is_same = session.issuer.as_ref()?.id == user.entity.id;
        principal.tags = tags_of(&principal, &user.entity.tags);
        return is_same.then_some(principal);
    }
    let PrincipalKind::User { name } = &principal.kind else {
        return Some(principal);
    };
    if !principal.access_key_id.starts_with(TEMPORARY) {
        let owner = honmaru_iam::access_key(state, &principal.access_key_id)?;
        let is_same = owner.key.is_active() && owner.user.entity.id == principal.user_id;
        return is_same.then(|| honmaru_iam::user_principal(&owner.account, owner.user, &principal.access_key_id));
    }
    let user = honmaru_iam::user_of_name(state, account, name)?;
    if user.entity.id != principal.user_id {
        return None;
    }
    principal.tags = user.entity.tags.clone();
    Some(principal)
}

/// The session's own tags, and those that its role or user has now.
fn tags_of(principal: &Principal, own: &[(String, String)]) -> Vec<(String, String)> {
    let session = principal.session.as_ref().map(|session| session.tags.as_slice());
    honmaru_sts::with_session_tags(session.unwrap_or_default(), own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{NOW, call, root, scope};
    use honmaru_base::{ApiError, SeededRng};
    use honmaru_identity::ProtocolFamily;
    use honmaru_machine::{Handler, Tx};
    use serde_json::{Value, json};

    /// A cloud of IAM and ECR, with a user `ada` and one of her keys.
    struct Cloud {
        state: State,
        turn: u64,
        key: String,
    }

    impl Cloud {
        fn new() -> Self {
            let mut state = State::new();
            crate::register_all(&mut state);
            let mut cloud = Self {
                state,
                turn: 1,
                key: String::new(),
            };
            cloud.iam("CreateUser", json!({"UserName": "ada"}));
            let key = cloud.iam("CreateAccessKey", json!({"UserName": "ada"}));
            cloud.key = key["AccessKey"]["AccessKeyId"].as_str().unwrap().to_owned();
            cloud
        }

        fn iam(&mut self, name: &str, input: Value) -> Value {
            let operations = honmaru_iam::operations();
            let operation = operations.into_iter().find(|operation| operation.name == name).unwrap();
            let call = call(root());
            let Handler::Write(handler) = operation.handler else {
                panic!("{name}")
            };
            self.write(|tx| handler(tx, &call, input)).unwrap()
        }

        fn write<T>(&mut self, change: impl FnOnce(&mut Tx<'_>) -> Result<T, ApiError>) -> Result<T, ApiError> {
            let mut rng = SeededRng::from_u64(self.turn);
            self.turn += 1;
            change(&mut Tx::new(&mut self.state, NOW, &mut rng))
        }

        /// A token that ada asked for with her key, as a header.
        fn token(&mut self) -> String {
            let owner = honmaru_iam::access_key(&self.state, &self.key).unwrap();
            let ada = honmaru_iam::user_principal(&owner.account, owner.user, &self.key);
            let token = self.write(|tx| Ok(honmaru_ecr::authorization_token(tx, &ada))).unwrap();
            format!("Basic {token}")
        }

        fn caller(&self, token: &str) -> Result<Principal, TokenError> {
            registry_caller(&self.state, token, NOW)
        }

        /// Whether the bearer of a token may read a manifest of repository `app`.
        fn may_read(&self, token: &str) -> bool {
            let call = call(self.caller(token).unwrap());
            let access = honmaru_ecr::repository_access(&self.state, &scope(), "app", "ecr:BatchGetImage");
            honmaru_iam::authorize(&self.state, &call, &[access], ProtocolFamily::Json).is_ok()
        }
    }

    fn policy(condition: Value) -> Value {
        let allow = json!({"Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": "*", "Condition": condition});
        json!({"UserName": "ada", "PolicyName": "p",
               "PolicyDocument": json!({"Version": "2012-10-17", "Statement": [allow]}).to_string()})
    }

    #[test]
    fn a_token_rests_with_its_key_and_ends_with_its_user() {
        let mut cloud = Cloud::new();
        let token = cloud.token();
        assert!(cloud.caller(&token).is_ok());
        let key = cloud.key.clone();
        let status = |status: &str| json!({"UserName": "ada", "AccessKeyId": key, "Status": status});
        cloud.iam("UpdateAccessKey", status("Inactive"));
        assert_eq!(cloud.caller(&token), Err(TokenError::Invalid));
        cloud.iam("UpdateAccessKey", status("Active"));
        assert!(cloud.caller(&token).is_ok());
        cloud.iam("DeleteAccessKey", json!({"UserName": "ada", "AccessKeyId": key}));
        cloud.iam("DeleteUser", json!({"UserName": "ada"}));
        assert_eq!(cloud.caller(&token), Err(TokenError::Invalid));
        // Another one of the same name is another one.
        cloud.iam("CreateUser", json!({"UserName": "ada"}));
        assert_eq!(cloud.caller(&token), Err(TokenError::Invalid));
    }

    /// A token that somebody with temporary credentials asked for, as a header.
    fn token_of(cloud: &mut Cloud, kind: PrincipalKind, user_id: String, entity: &honmaru_iam::Entity) -> String {
        let mut principal = root();
        principal.kind = kind;
        principal.user_id = user_id;
        principal.access_key_id = "ASIAQAAAAAAAAAAAAAAA".to_owned();
        let issuer = json!({"arn": entity.arn, "id": entity.id, "name": entity.name});
        let session = json!({"issued_at": NOW, "transitive_tag_keys": [], "issuer": issuer});
        principal.session = Some(serde_json::from_value(session).unwrap());
        let token = cloud
            .write(|tx| Ok(honmaru_ecr::registry_token(tx, &principal)))
            .unwrap();
        format!("Bearer {token}")
    }

    #[test]
    fn a_sessions_token_ends_with_its_role_and_a_federated_ones_with_its_user() {
        let mut cloud = Cloud::new();
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}]});
        let role = json!({"RoleName": "pulls", "AssumeRolePolicyDocument": trust.to_string()});
        cloud.iam("CreateRole", role.clone());
        let account = root().account;
        let entity = honmaru_iam::role_of_name(&cloud.state, &account, "pulls")
            .unwrap()
            .entity
            .clone();
        let kind = PrincipalKind::AssumedRole {
            role: "pulls".to_owned(),
            session: "s".to_owned(),
        };
        let of_role = token_of(&mut cloud, kind, format!("{}:s", entity.id), &entity);
        let entity = honmaru_iam::user_of_name(&cloud.state, &account, "ada")
            .unwrap()
            .entity
            .clone();
        let kind = PrincipalKind::FederatedUser {
            name: "guest".to_owned(),
            user: Some("ada".to_owned()),
        };
        let of_guest = token_of(&mut cloud, kind, format!("{account}:guest"), &entity);
        let kind = PrincipalKind::User { name: "ada".to_owned() };
        let of_user = token_of(&mut cloud, kind, entity.id.clone(), &entity);
        let tokens = [&of_role, &of_guest, &of_user];
        assert!(tokens.iter().all(|token| cloud.caller(token).is_ok()));
        let key = cloud.key.clone();
        cloud.iam("DeleteAccessKey", json!({"UserName": "ada", "AccessKeyId": key}));
        // Sessions outlive the key that asked for them. Ref: IAM User Guide, "Disabling permissions for temporary
        // security credentials".
        assert!(tokens.iter().all(|token| cloud.caller(token).is_ok()));
        cloud.iam("DeleteRole", json!({"RoleName": "pulls"}));
        cloud.iam("DeleteUser", json!({"UserName": "ada"}));
        assert!(
            tokens
                .iter()
                .all(|token| cloud.caller(token) == Err(TokenError::Invalid))
        );
        // Others of the same names are others.
        cloud.iam("CreateRole", role);
        cloud.iam("CreateUser", json!({"UserName": "ada"}));
        assert!(
            tokens
                .iter()
                .all(|token| cloud.caller(token) == Err(TokenError::Invalid))
        );
    }

    #[test]
    fn of_a_session_tags_and_managed_policies_are_those_of_the_request() {
        let mut cloud = Cloud::new();
        let document = |effect: &str, condition: Value| {
            let one = json!({"Effect": effect, "Action": "ecr:BatchGetImage", "Resource": "*", "Condition": condition});
            json!({"Version": "2012-10-17", "Statement": [one]}).to_string()
        };
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}]});
        cloud.iam(
            "CreateRole",
            json!({"RoleName": "pulls", "AssumeRolePolicyDocument": trust.to_string()}),
        );
        let team = json!({"StringEquals": {"aws:PrincipalTag/team": "web", "aws:PrincipalTag/stage": "live"}});
        let own = json!({"RoleName": "pulls", "PolicyName": "p", "PolicyDocument": document("Allow", team)});
        cloud.iam("PutRolePolicy", own);
        let limit = json!({"PolicyName": "limit", "PolicyDocument": document("Allow", json!({}))});
        let limit = cloud.iam("CreatePolicy", limit)["Policy"]["Arn"].clone();
        let role = honmaru_iam::role_of_name(&cloud.state, &root().account, "pulls").unwrap();
        let session = json!({
            "access_key_id": "ASIAQAAAAAAAAAAAAAAA", "secret_access_key": "", "account": root().account,
            "arn": "arn:aws:sts::111111111111:assumed-role/pulls/s", "user_id": format!("{}:s", role.entity.id),
            "role_arn": role.entity.arn, "session_name": "s", "tags": [["stage", "live"]],
            "policies": [document("Allow", json!({}))],
            // A hundred kilobytes, where a token may have sixteen.
            "policy_arns": [limit, "arn:aws:iam::aws:policy/ReadOnlyAccess"], "issued_at": NOW, "expires_at": NOW,
        });
        let session = serde_json::from_value(session).unwrap();
        let principal = honmaru_sts::session_principal(&cloud.state, &session).unwrap();
        assert_eq!(
            principal.session_policies.len(),
            1,
            "managed policies are not copied for each call"
        );
        let token = cloud
            .write(|tx| Ok(honmaru_ecr::registry_token(tx, &principal)))
            .unwrap();
        let token = format!("Bearer {token}");
        assert_eq!(cloud.caller(&token), Ok(principal));
        assert!(!cloud.may_read(&token), "the role has no team");
        let tags = json!([{"Key": "team", "Value": "web"}, {"Key": "stage", "Value": "test"}]);
        cloud.iam("TagRole", json!({"RoleName": "pulls", "Tags": tags}));
        assert!(cloud.may_read(&token), "the role's tags of now, below the session's");
        let denied = document("Deny", json!({}));
        let version = json!({"PolicyArn": limit, "PolicyDocument": denied, "SetAsDefault": true});
        cloud.iam("CreatePolicyVersion", version);
        assert!(!cloud.may_read(&token), "the policy's document of now");
    }

    #[test]
    fn a_push_from_another_account_needs_consent_for_each_of_its_actions() {
        use honmaru_ecr::RegistryAction::{BlobCheck, ManifestWrite, UploadBegin, UploadComplete, UploadPart};
        let mut cloud = Cloud::new();
        let mut guest = root();
        guest.account = "222222222222".parse().unwrap();
        guest.arn = "arn:aws:iam::222222222222:root".to_owned();
        let token = cloud.write(|tx| Ok(honmaru_ecr::registry_token(tx, &guest))).unwrap();
        let call = call(cloud.caller(&format!("Bearer {token}")).unwrap());
        let mut consent = |actions: &[&str]| {
            let allow = json!({"Effect": "Allow", "Principal": {"AWS": guest.arn}, "Action": actions});
            let mut row = honmaru_ecr::Repository::plain("app", NOW);
            row.policy =
                (!actions.is_empty()).then(|| json!({"Version": "2012-10-17", "Statement": [allow]}).to_string());
            cloud
                .write(|tx| {
                    tx.put(&scope(), "app", row);
                    Ok(())
                })
                .unwrap();
            let may = |action| {
                let accesses = honmaru_ecr::registry_access(&cloud.state, &scope(), action, Some("app"));
                honmaru_iam::authorize(&cloud.state, &call, &accesses, ProtocolFamily::Json).is_ok()
            };
            [BlobCheck, UploadBegin, UploadPart, UploadComplete, ManifestWrite].map(may)
        };
        assert_eq!(consent(&[]), [false; 5]);
        assert_eq!(consent(&["ecr:PutImage"]), [false, false, false, false, true]);
        assert_eq!(consent(&["ecr:*Layer*"]), [true, true, true, true, false]);
        assert_eq!(consent(&["ecr:*"]), [true; 5]);
    }

    #[test]
    fn policies_and_tags_are_those_of_the_request_not_of_the_token() {
        let mut cloud = Cloud::new();
        let token = cloud.token();
        assert!(!cloud.may_read(&token));
        cloud.iam(
            "PutUserPolicy",
            policy(json!({"StringEquals": {"aws:PrincipalTag/team": "web"}})),
        );
        assert!(!cloud.may_read(&token));
        cloud.iam(
            "TagUser",
            json!({"UserName": "ada", "Tags": [{"Key": "team", "Value": "web"}]}),
        );
        assert!(cloud.may_read(&token));
        cloud.iam("DeleteUserPolicy", json!({"UserName": "ada", "PolicyName": "p"}));
        assert!(!cloud.may_read(&token));
    }
}
