//! In whose name a task's images are pulled, and whether it may have them.
//!
//! As on AWS it is the execution role that pulls. Only the account's own images come without one: a task that names no role
//! is started as if its account pulled. Public images need nobody's consent.
//! Ref: ECS developer guide, "Amazon ECS task execution IAM role"; ECR user guide, "Private repository policies".

use honmaru_base::{Scope, Time};
use honmaru_ecr::RegistryAction;
use honmaru_machine::{Access, Principal, State};

/// Who acts in the execution role's name.
const TASKS: &str = "ecs-tasks.amazonaws.com";

/// In whose name images are pulled.
pub(crate) struct Puller<'a> {
    /// Account and region of the task.
    pub(crate) scope: &'a Scope,
    /// The task's ARN.
    pub(crate) task: String,
    /// When it pulls.
    pub(crate) now: Time,
    /// The ARN of the task's execution role.
    pub(crate) role: Option<String>,
}

/// Why an image is not given to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// ECS cannot act in the role's name.
    Role(String),
    /// The role gets no token of the registry.
    Token(String),
    /// The role may not have the image.
    Forbidden(String),
}

impl Refusal {
    /// Why the task stops, in AWS's words. Ref: ECS developer guide, "CannotPullContainer task errors",
    /// "ResourceInitializationError errors".
    pub(crate) fn text(&self, image: &str, of: &Scope) -> String {
        match self {
            Self::Role(why) => format!(
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval \
                 failed: {why}"
            ),
            Self::Token(why) => format!(
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval \
                 failed: unable to retrieve ecr registry auth: service call has been retried 1 time(s): \
                 AccessDeniedException: {why}"
            ),
            Self::Forbidden(why) => format!(
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref \
                 {image}: pulling from the registry of account {} failed with status code 403 Forbidden: {why}",
                of.account
            ),
        }
    }
}

impl Puller<'_> {
    /// Whether an image that the registry has may be had.
    pub(crate) fn may_pull(&self, state: &State, of: &Scope, repository: &str) -> Result<(), Refusal> {
        if *of == honmaru_ecr_public::scope_of(of.account.clone()) {
            return Ok(());
        }
        let Some(role) = &self.role else {
            if of.account == self.scope.account {
                return Ok(());
            }
            let why = "the task definition names no execution role, and images of other accounts need one";
            return Err(Refusal::Forbidden(why.to_owned()));
        };
        let principal = honmaru_sts::task_principal(state, role, &self.task, self.now)
            .map_err(|error| Refusal::Role(error.message))?;
        let token = honmaru_ecr::token_access(state, self.scope);
        self.authorize(state, &principal, self.scope, &[token])
            .map_err(Refusal::Token)?;
        let reads = [RegistryAction::ManifestRead, RegistryAction::BlobRead]
            .map(|action| honmaru_ecr::registry_access(state, of, action, Some(repository)))
            .concat();
        self.authorize(state, &principal, of, &reads)
            .map_err(Refusal::Forbidden)
    }

    /// Whether an image that a mirror lacks may be fetched, and the mirror made where it is not there.
    pub(crate) fn may_import(&self, state: &State, of: &Scope, repository: &str) -> Result<(), String> {
        let Some(role) = &self.role else { return Ok(()) };
        let principal =
            honmaru_sts::task_principal(state, role, &self.task, self.now).map_err(|error| error.message)?;
        let mut accesses = honmaru_ecr::creation_access(state, of, RegistryAction::ManifestRead, repository);
        accesses.push(honmaru_ecr::import_access(state, of, repository));
        self.authorize(state, &principal, of, &accesses)
    }

    fn authorize(
        &self,
        state: &State,
        principal: &Principal,
        scope: &Scope,
        accesses: &[Access],
    ) -> Result<(), String> {
        honmaru_iam::authorize_service(state, TASKS, principal.clone(), scope, accesses, self.now)
            .map_err(|error| error.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use honmaru_base::SeededRng;
    use honmaru_ecr::{PullThroughRule, Registry, Repository};
    use honmaru_iam::{Entity, Role};
    use honmaru_machine::Tx;

    const ROLE: &str = "arn:aws:iam::111111111111:role/pulls";
    const OWN: &str = "111111111111";
    const OTHER: &str = "222222222222";
    const PULL: &str = "ecr:GetAuthorizationToken ecr:BatchGetImage ecr:GetDownloadUrlForLayer";
    const IMPORT: &str = "ecr:GetAuthorizationToken ecr:BatchGetImage ecr:GetDownloadUrlForLayer \
                          ecr:BatchImportUpstreamImage ecr:CreateRepository";

    /// What lies in a cloud before a task comes.
    #[derive(Clone, Copy)]
    struct Case<'a> {
        role: Option<&'a str>,
        /// Actions that the role may, on everything.
        allowed: &'a str,
        /// Actions that the repository's policy lets the account do.
        consent: &'a str,
        /// Actions that the repository's policy denies to everybody.
        denied: &'a str,
        /// Actions that the registry's policy lets the role do.
        registry: &'a str,
        /// The account that the repository belongs to; `public` before it for a public one.
        owner: &'a str,
    }

    const CASE: Case<'_> = Case {
        role: Some(ROLE),
        allowed: PULL,
        consent: "",
        denied: "",
        registry: "",
        owner: OWN,
    };

    fn statement(effect: &str, principal: &str, actions: &str) -> String {
        let actions: Vec<String> = actions.split_whitespace().map(|action| format!("{action:?}")).collect();
        format!(
            r#"{{"Effect": "{effect}", {principal} "Resource": "*", "Action": [{}]}}"#,
            actions.join(",")
        )
    }

    fn document(statements: &[String]) -> String {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#,
            statements.join(",")
        )
    }

    impl Case<'_> {
        fn decide<T>(self, decide: impl FnOnce(&Puller<'_>, &State, &Scope) -> T) -> T {
            let mut state = State::new();
            crate::register_all(&mut state);
            let (now, mut rng) = (Time::from_ms(1), SeededRng::from_u64(1));
            let own = Scope::new(OWN, "us-east-1").unwrap();
            let of = match self.owner.strip_prefix("public ") {
                Some(owner) => honmaru_ecr_public::scope_of(owner.parse().unwrap()),
                None => Scope::new(self.owner, "us-east-1").unwrap(),
            };
            let mut tx = Tx::new(&mut state, now, &mut rng);
            let mut repository = Repository::plain("app", now);
            let root = r#""Principal": {"AWS": "arn:aws:iam::111111111111:root"},"#;
            let mut policy = Vec::new();
            if !self.consent.is_empty() {
                policy.push(statement("Allow", root, self.consent));
            }
            if !self.denied.is_empty() {
                policy.push(statement("Deny", r#""Principal": "*","#, self.denied));
            }
            repository.policy = (!policy.is_empty()).then(|| document(&policy));
            honmaru_ecr::create_repository(&mut tx, &of, repository).unwrap();
            if !self.registry.is_empty() {
                let whom = format!(r#""Principal": {{"AWS": "{ROLE}"}},"#);
                let registry = Registry {
                    policy: Some(document(&[statement("Allow", &whom, self.registry)])),
                    ..Registry::default()
                };
                tx.put(&of, Registry::KEY, registry);
            }
            let rule = PullThroughRule {
                prefix: "hub".to_owned(),
                upstream_url: "registry.example".to_owned(),
                upstream_registry: None,
                upstream_prefix: None,
                credential_arn: None,
                custom_role_arn: None,
                created_at: now,
                updated_at: now,
            };
            tx.put(&of, "hub", rule);
            let allowed = (!self.allowed.is_empty()).then(|| document(&[statement("Allow", "", self.allowed)]));
            let entity = Entity {
                path: "/".to_owned(),
                name: "pulls".to_owned(),
                id: "AROAEXAMPLE".to_owned(),
                arn: ROLE.to_owned(),
                created_at: now,
                inline: allowed.map(|text| ("p".to_owned(), text)).into_iter().collect(),
                attached: [].into(),
                boundary: None,
                tags: Vec::new(),
            };
            let trust = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": {"Service": "ecs-tasks.amazonaws.com"}}]}"#;
            let role_row = Role {
                entity,
                trust: trust.to_owned(),
                description: None,
                max_session_s: 3_600,
                linked_service: None,
            };
            tx.put(&own.global(), "pulls", role_row);
            let puller = Puller {
                scope: &own,
                task: "arn:aws:ecs:us-east-1:111111111111:task/default/0123".to_owned(),
                now,
                role: self.role.map(str::to_owned),
            };
            decide(&puller, &tx, &of)
        }

        fn may_pull(self) -> Result<(), Refusal> {
            self.decide(|puller, state, of| puller.may_pull(state, of, "app"))
        }

        fn may_import(self, repository: &str) -> Result<(), String> {
            self.decide(|puller, state, of| puller.may_import(state, of, repository))
        }
    }

    #[test]
    fn images_of_other_accounts_need_their_consent_and_a_role_that_may() {
        let whole = Case {
            consent: "ecr:BatchGetImage ecr:GetDownloadUrlForLayer",
            owner: OTHER,
            ..CASE
        };
        assert_eq!(whole.may_pull(), Ok(()));
        let nobody = Some("arn:aws:iam::111111111111:role/none");
        for refused in [
            Case { role: None, ..whole },
            Case { role: nobody, ..whole },
            Case { allowed: "", ..whole },
            Case { consent: "", ..whole },
            Case {
                consent: "ecr:BatchGetImage",
                ..whole
            },
        ] {
            assert!(refused.may_pull().is_err());
        }
        let Err(refusal @ Refusal::Forbidden(_)) = (Case { consent: "", ..whole }).may_pull() else {
            panic!("the other account does not consent");
        };
        let text = refusal.text("app:1", &Scope::new(OTHER, "us-east-1").unwrap());
        for part in [
            "CannotPullContainerError: ",
            "registry of account 222222222222 failed with status code 403 Forbidden",
            "arn:aws:sts::111111111111:assumed-role/pulls/0123",
            "ecr:BatchGetImage",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_role_must_be_allowed_to_pull_the_accounts_own_images_too() {
        assert_eq!(CASE.may_pull(), Ok(()));
        let without = |action: &str| PULL.replace(action, "");
        let refused = |allowed: &str| Case { allowed, ..CASE }.may_pull().unwrap_err();
        let refusal = refused(&without("ecr:GetAuthorizationToken"));
        assert!(matches!(&refusal, Refusal::Token(why) if why.contains("ecr:GetAuthorizationToken")));
        let text = refusal.text("app:1", &Scope::new(OWN, "us-east-1").unwrap());
        assert!(text.starts_with("ResourceInitializationError: unable to pull secrets or registry auth: "));
        for action in ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"] {
            assert!(matches!(refused(&without(action)), Refusal::Forbidden(why) if why.contains(action)));
        }
        let nobody = Some("arn:aws:iam::111111111111:role/none");
        assert!(matches!(
            Case { role: nobody, ..CASE }.may_pull(),
            Err(Refusal::Role(_))
        ));
        let denied = "ecr:GetDownloadUrlForLayer";
        assert!(matches!(Case { denied, ..CASE }.may_pull(), Err(Refusal::Forbidden(_))));
        // The registry's policy grants as well as the role's own.
        let by_registry = Case {
            allowed: "ecr:GetAuthorizationToken",
            registry: "ecr:BatchGetImage ecr:GetDownloadUrlForLayer",
            ..CASE
        };
        assert_eq!(by_registry.may_pull(), Ok(()));
    }

    #[test]
    fn without_a_role_the_account_has_its_own_images_and_public_ones() {
        let none = Case { role: None, ..CASE };
        assert_eq!(none.may_pull(), Ok(()));
        let owner = "public 222222222222";
        assert_eq!(Case { owner, ..none }.may_pull(), Ok(()));
        assert_eq!(none.may_import("hub/app"), Ok(()));
    }

    #[test]
    fn what_a_mirror_lacks_is_fetched_for_a_role_that_may_import() {
        let refused = |case: Case<'_>| case.may_import("hub/app").unwrap_err();
        assert!(refused(CASE).contains("ecr:BatchImportUpstreamImage"));
        assert_eq!(
            Case {
                allowed: IMPORT,
                ..CASE
            }
            .may_import("hub/app"),
            Ok(())
        );
        let allowed = "ecr:BatchImportUpstreamImage";
        assert!(refused(Case { allowed, ..CASE }).contains("ecr:CreateRepository"));
        let registry = "ecr:BatchImportUpstreamImage ecr:CreateRepository";
        assert_eq!(Case { registry, ..CASE }.may_import("hub/app"), Ok(()));
        // What is there already needs no permission to be made.
        assert_eq!(Case { allowed, ..CASE }.may_import("app"), Ok(()));
    }
}
