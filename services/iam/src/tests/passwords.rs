//! Passwords: what an account asks of them, how they are set and changed, and who may.

use super::*;
use crate::machine::scope_of;
use crate::model::key_of;
use crate::password::LoginProfile;
use base64::Engine;

const VIOLATION: &str = "PasswordPolicyViolationException";

fn policy(more: Value) -> Value {
    let mut policy = json!({"MinimumPasswordLength": 6});
    policy
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    policy
}

impl Cloud {
    fn with_ada() -> Self {
        let mut cloud = Self::new();
        cloud.ok("CreateUser", json!({"UserName": "Ada"}));
        cloud
    }

    fn password(&mut self, operation: &str, password: &str) -> Result<Value, ApiError> {
        let administrator = self.user(ADMINISTRATOR);
        self.call_as(
            administrator,
            operation,
            json!({"UserName": "ada", "Password": password}),
        )
    }

    fn changed(&mut self, old: &str, new: &str) -> Result<Value, ApiError> {
        let ada = self.user("ada");
        self.call_as(ada, "ChangePassword", json!({"OldPassword": old, "NewPassword": new}))
    }

    fn may_change(&mut self) {
        let document = allow("iam:ChangePassword", "arn:aws:iam::123456789012:user/${aws:username}");
        self.ok(
            "PutUserPolicy",
            json!({"UserName": "ada", "PolicyName": "own", "PolicyDocument": document}),
        );
    }

    fn reported(&mut self, name: &str) -> Vec<String> {
        let content = self.ok("GetCredentialReport", json!({}))["Content"].clone();
        let csv = base64::engine::general_purpose::STANDARD.decode(content.as_str().unwrap());
        let csv = String::from_utf8(csv.unwrap()).unwrap();
        let line = csv.lines().find(|line| line.starts_with(&format!("{name},"))).unwrap();
        line.split(',').map(str::to_owned).collect()
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, ApiError>) -> (String, String) {
    let error = answer.unwrap_err();
    (error.code, error.message)
}

#[test]
fn a_policy_is_set_as_a_whole_and_goes() {
    let mut cloud = Cloud::new();
    for operation in ["GetAccountPasswordPolicy", "DeleteAccountPasswordPolicy"] {
        let error = cloud.refusal(operation, json!({}));
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            (
                "NoSuchEntityException",
                "The Password Policy with domain name 123456789012 cannot be found."
            )
        );
    }
    let all = json!({"MinimumPasswordLength": 128, "RequireSymbols": true, "RequireNumbers": true,
        "RequireUppercaseCharacters": true, "RequireLowercaseCharacters": true, "AllowUsersToChangePassword": true,
        "MaxPasswordAge": 1_095, "PasswordReusePrevention": 24, "HardExpiry": true});
    cloud.ok("UpdateAccountPasswordPolicy", all.clone());
    let mut shown = all;
    shown["ExpirePasswords"] = json!(true);
    assert_eq!(cloud.ok("GetAccountPasswordPolicy", json!({}))["PasswordPolicy"], shown);
    // What is not given has its default again.
    cloud.ok("UpdateAccountPasswordPolicy", json!({}));
    assert_eq!(
        cloud.ok("GetAccountPasswordPolicy", json!({}))["PasswordPolicy"],
        json!({"MinimumPasswordLength": 6, "RequireSymbols": false, "RequireNumbers": false,
            "RequireUppercaseCharacters": false, "RequireLowercaseCharacters": false,
            "AllowUsersToChangePassword": false, "ExpirePasswords": false})
    );
    cloud.ok("DeleteAccountPasswordPolicy", json!({}));
    assert_eq!(
        cloud.code("GetAccountPasswordPolicy", json!({})),
        "NoSuchEntityException"
    );
}

#[test]
fn a_login_profile_from_its_beginning_to_its_end() {
    let mut cloud = Cloud::with_ada();
    let of_ada = json!({"UserName": "ada"});
    for operation in ["GetLoginProfile", "UpdateLoginProfile", "DeleteLoginProfile"] {
        let error = cloud.refusal(operation, of_ada.clone());
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("NoSuchEntityException", "Login Profile for User Ada cannot be found.")
        );
    }
    assert_eq!(
        cloud.code(
            "CreateLoginProfile",
            json!({"UserName": "bob", "Password": "c0rrect-Horse"})
        ),
        "NoSuchEntityException"
    );
    assert_eq!(cloud.code("CreateLoginProfile", of_ada.clone()), "ValidationError");
    let made = cloud.ok(
        "CreateLoginProfile",
        json!({"UserName": "ada", "Password": "c0rrect-Horse", "PasswordResetRequired": true}),
    );
    assert_eq!(
        made["LoginProfile"],
        json!({"UserName": "Ada", "CreateDate": 1_790_000_000, "PasswordResetRequired": true})
    );
    assert_eq!(cloud.ok("GetLoginProfile", of_ada.clone()), made);
    assert_eq!(
        refused(cloud.password("CreateLoginProfile", "c0rrect-Horse")),
        (
            "EntityAlreadyExistsException".to_owned(),
            "Login Profile for user Ada already exists.".to_owned()
        )
    );
    // Without a password the rest is changed.
    cloud.ok(
        "UpdateLoginProfile",
        json!({"UserName": "ada", "PasswordResetRequired": false}),
    );
    let profile = cloud.ok("GetLoginProfile", of_ada.clone())["LoginProfile"].clone();
    assert_eq!(profile["PasswordResetRequired"], false);

    // It follows its user, and keeps the user from being deleted.
    cloud.ok("UpdateUser", json!({"UserName": "ada", "NewUserName": "Eve"}));
    let of_eve = json!({"UserName": "eve"});
    assert_eq!(
        cloud.ok("GetLoginProfile", of_eve.clone())["LoginProfile"]["UserName"],
        "Eve"
    );
    let error = cloud.refusal("DeleteUser", of_eve.clone());
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        (
            "DeleteConflictException",
            "Cannot delete entity, must delete login profile first."
        )
    );
    cloud.ok("DeleteLoginProfile", of_eve.clone());
    cloud.ok("DeleteUser", of_eve);
}

#[test]
fn what_an_account_asks_of_passwords() {
    let mut cloud = Cloud::with_ada();
    let one = "Password should have at least one";
    // Without a policy: eight characters, of three kinds.
    for (password, told) in [
        ("Sh0rt!", "Password should have a minimum length of 8".to_owned()),
        (
            "lower-case",
            format!("Password should meet 1 more of the following requirements: {one} uppercase letter, {one} number"),
        ),
        (
            "numb3rs4nd",
            format!("Password should meet 1 more of the following requirements: {one} uppercase letter, {one} symbol"),
        ),
        (
            "ÄÖÜäöü",
            format!(
                "Password should have a minimum length of 8, Password should meet 3 more of the following requirements: \
                 {one} uppercase letter, {one} lowercase letter, {one} number, {one} symbol"
            ),
        ),
    ] {
        assert_eq!(
            refused(cloud.password("CreateLoginProfile", password)),
            (VIOLATION.to_owned(), told)
        );
    }
    cloud.password("CreateLoginProfile", "Numb3rs4nd").unwrap();
    for (rule, password, told) in [
        (
            json!({"MinimumPasswordLength": 9}),
            "12345678",
            "Password should have a minimum length of 9",
        ),
        (
            json!({"RequireSymbols": true}),
            "Numb3r\"",
            "Password should have at least one symbol",
        ),
        (
            json!({"RequireNumbers": true}),
            "letters",
            "Password should have at least one number",
        ),
        (
            json!({"RequireUppercaseCharacters": true}),
            "lower-ä",
            "Password should have at least one uppercase letter",
        ),
        (
            json!({"RequireLowercaseCharacters": true}),
            "UPPER-ß",
            "Password should have at least one lowercase letter",
        ),
    ] {
        cloud.ok("UpdateAccountPasswordPolicy", policy(rule));
        assert_eq!(
            refused(cloud.password("UpdateLoginProfile", password)),
            (VIOLATION.to_owned(), told.to_owned())
        );
    }
    // A policy that asks for little takes what none would not.
    cloud.ok("UpdateAccountPasswordPolicy", json!({}));
    cloud.password("UpdateLoginProfile", "simple").unwrap();
}

#[test]
fn users_change_their_own_password_if_they_know_it() {
    let mut cloud = Cloud::with_ada();
    cloud.may_change();
    assert_eq!(
        refused(cloud.changed("0ld-Passwords", "N3w-passwords")).0,
        "NoSuchEntityException"
    );
    let create = json!({"UserName": "ada", "Password": "0ld-Passwords", "PasswordResetRequired": true});
    cloud.ok("CreateLoginProfile", create);
    assert_eq!(
        refused(cloud.changed("0ld-passwords", "N3w-passwords")),
        ("AccessDenied".to_owned(), "The old password is not correct.".to_owned())
    );
    assert_eq!(refused(cloud.changed("0ld-Passwords", "new")).0, VIOLATION);
    assert_eq!(cloud.changed("0ld-Passwords", "N3w-passwords").unwrap(), json!({}));
    let profile = cloud.ok("GetLoginProfile", json!({"UserName": "ada"}))["LoginProfile"].clone();
    assert_eq!(profile["PasswordResetRequired"], false);
    assert_eq!(
        refused(cloud.changed("0ld-Passwords", "N3w-passwords")).0,
        "AccessDenied"
    );
    // Whoever is no user has none to change.
    let root = principal(PrincipalKind::Root, "arn:aws:iam::123456789012:root");
    let input = json!({"OldPassword": "0ld-Passwords", "NewPassword": "N3w-passwords"});
    assert_eq!(
        refused(cloud.call_as(root, "ChangePassword", input)).0,
        "InvalidUserTypeException"
    );
}

#[test]
fn an_account_lets_every_user_change_the_own_password() {
    let mut cloud = Cloud::with_ada();
    cloud.password("CreateLoginProfile", "0ld-Passwords").unwrap();
    let ada = |cloud: &mut Cloud, name: &str, input: Value| {
        let ada = cloud.user("ada");
        cloud.call_as(ada, name, input)
    };
    for may in [false, true] {
        cloud.ok(
            "UpdateAccountPasswordPolicy",
            policy(json!({"AllowUsersToChangePassword": may})),
        );
        assert_eq!(ada(&mut cloud, "GetAccountPasswordPolicy", json!({})).is_ok(), may);
        assert_eq!(cloud.changed("0ld-Passwords", "N3w-passwords").is_ok(), may);
        // Nothing else comes with it.
        let update = json!({"UserName": "ada", "Password": "0ther-Passwords"});
        for (name, input) in [
            ("UpdateLoginProfile", update),
            ("DeleteAccountPasswordPolicy", json!({})),
            ("GetLoginProfile", json!({})),
        ] {
            assert_eq!(refused(ada(&mut cloud, name, input)).0, "AccessDenied", "{name}");
        }
    }
    // Not a role, whose session has no password; and whoever is denied it stays denied.
    let deny = allow("iam:ChangePassword", "*").replace("Allow", "Deny");
    cloud.ok(
        "PutUserPolicy",
        json!({"UserName": "ada", "PolicyName": "deny", "PolicyDocument": deny}),
    );
    assert_eq!(
        refused(cloud.changed("N3w-passwords", "0ther-Passwords")).0,
        "AccessDenied"
    );
}

#[test]
fn earlier_passwords_are_not_chosen_again() {
    let mut cloud = Cloud::with_ada();
    cloud.may_change();
    cloud.password("CreateLoginProfile", "Passw0rd-1").unwrap();
    let prevention = |count: i32| policy(json!({"PasswordReusePrevention": count}));
    cloud.ok("UpdateAccountPasswordPolicy", prevention(2));
    cloud.changed("Passw0rd-1", "Passw0rd-2").unwrap();
    cloud.changed("Passw0rd-2", "Passw0rd-3").unwrap();
    for again in ["Passw0rd-3", "Passw0rd-2"] {
        assert_eq!(
            refused(cloud.changed("Passw0rd-3", again)),
            (
                VIOLATION.to_owned(),
                "Password does not conform to the account password policy.".to_owned()
            )
        );
    }
    // Those before were kept, too, and count once the account asks for more.
    cloud.ok("UpdateAccountPasswordPolicy", prevention(3));
    assert_eq!(refused(cloud.changed("Passw0rd-3", "Passw0rd-1")).0, VIOLATION);
    cloud.ok("UpdateAccountPasswordPolicy", prevention(2));
    cloud.changed("Passw0rd-3", "Passw0rd-1").unwrap();
    // What an administrator sets is remembered, and free.
    cloud.password("UpdateLoginProfile", "Passw0rd-3").unwrap();
    assert_eq!(refused(cloud.changed("Passw0rd-3", "Passw0rd-1")).0, VIOLATION);
    cloud.ok("DeleteAccountPasswordPolicy", json!({}));
    cloud.changed("Passw0rd-3", "Passw0rd-3").unwrap();
}

#[test]
fn what_was_worked_out_is_written_only_where_nobody_was_faster() {
    let mut cloud = Cloud::with_ada();
    cloud.password("CreateLoginProfile", "Passw0rd-1").unwrap();
    let late = |cloud: &mut Cloud, who: Principal, name: &str, input: Value| {
        let operations = password_operations(&(cloud.passwords.clone() as Arc<dyn Passwords>));
        let operation = operations.into_iter().find(|operation| operation.name == name).unwrap();
        let Handler::Async(handler) = operation.handler else {
            panic!("{name} works first")
        };
        drop(handler(call(who), input));
        let change = cloud.passwords.0.lock().unwrap().take().unwrap();
        let work = change.look(&cloud.state).unwrap().unwrap();
        (change, work.run(&mut cloud.rng).unwrap())
    };
    let (administrator, ada) = (cloud.user(ADMINISTRATOR), cloud.user("ada"));
    let input = json!({"OldPassword": "Passw0rd-1", "NewPassword": "Passw0rd-2"});
    let (change, worked) = late(&mut cloud, ada, "ChangePassword", input);
    let update = json!({"UserName": "ada", "Password": "Passw0rd-4"});
    let (later, by_administrator) = late(&mut cloud, administrator.clone(), "UpdateLoginProfile", update);
    cloud.password("UpdateLoginProfile", "Passw0rd-3").unwrap();
    assert_eq!(
        refused(cloud.write(|tx| change.write(tx, Some(worked)))),
        (
            "EntityTemporarilyUnmodifiableException".to_owned(),
            "Login Profile for User Ada cannot be modified while login profile is being created.".to_owned()
        )
    );
    // What an administrator sets rests on no old password.
    cloud.write(|tx| later.write(tx, Some(by_administrator))).unwrap();
    cloud.may_change();
    cloud.changed("Passw0rd-4", "Passw0rd-5").unwrap();
    // A user of the same name is another one.
    cloud.ok("DeleteLoginProfile", json!({"UserName": "ada"}));
    let create = json!({"UserName": "ada", "Password": "Passw0rd-2"});
    let (change, worked) = late(&mut cloud, administrator, "CreateLoginProfile", create);
    let own = json!({"UserName": "ada", "PolicyName": "own"});
    cloud.ok("DeleteUserPolicy", own);
    cloud.ok("DeleteUser", json!({"UserName": "ada"}));
    cloud.ok("CreateUser", json!({"UserName": "ada"}));
    assert_eq!(
        refused(cloud.write(|tx| change.write(tx, Some(worked)))).0,
        "EntityTemporarilyUnmodifiableException"
    );
}

#[test]
fn the_report_says_when_a_password_was_set_and_until_when_it_may_be_used() {
    let mut cloud = Cloud::with_ada();
    let none = ["false", "N/A", "N/A", "N/A"];
    assert_eq!(cloud.reported("Ada")[3..7], none);
    cloud.password("CreateLoginProfile", "Passw0rd-1").unwrap();
    assert_eq!(
        cloud.reported("Ada")[3..7],
        ["true", "no_information", "2026-09-21T14:13:20+00:00", "N/A"]
    );
    cloud.ok("UpdateAccountPasswordPolicy", policy(json!({"MaxPasswordAge": 10})));
    assert_eq!(cloud.reported("Ada")[6], "2026-10-01T14:13:20+00:00");
    let root = cloud.reported("<root_account>");
    assert_eq!(root[3..7], ["false", "N/A", "not_supported", "not_supported"]);
    // As recorded from AWS: whole seconds and a distance from UTC, in every column.
    let ada = cloud.reported("Ada");
    let moments: Vec<&String> = ada.iter().filter(|cell| cell.starts_with("20")).collect();
    assert!(
        moments.len() > 2 && moments.iter().all(|cell| cell.len() == 25 && cell.ends_with("+00:00")),
        "{ada:?}"
    );
    assert!(cloud.ok("GetUser", json!({"UserName": "ada"}))["User"]["PasswordLastUsed"].is_null());
}

#[test]
fn neither_passwords_nor_their_hashes_are_shown() {
    let mut cloud = Cloud::with_ada();
    let password = "c0rrect-Horse";
    let mut told = cloud.password("CreateLoginProfile", password).unwrap().to_string();
    for (name, input) in [
        ("GetLoginProfile", json!({"UserName": "ada"})),
        ("GetAccountAuthorizationDetails", json!({})),
        ("GetCredentialReport", json!({})),
    ] {
        told += &cloud.ok(name, input).to_string();
    }
    let row: &LoginProfile = cloud.state.get(&scope_of(&account()), &key_of("ada")).unwrap();
    told += &format!("{row:?}");
    assert!(!told.contains(password) && !told.contains("argon2"), "{told}");
    let kept = serde_json::to_string(row).unwrap();
    assert!(!kept.contains(password) && kept.contains("$argon2id$"), "{kept}");
}
