//! Passwords of users: what an account asks of them, and what is kept of them. Nothing signs in with one as yet.
//!
//! Invariant: a password is never kept, only what argon2id makes of it; neither is in an answer, a log or a debug text.

use argon2::password_hash::{PasswordHash as Phc, SaltString};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use honmaru_base::{ApiError, Rng, Scope, Time};
use honmaru_machine::{Resource, State};
use serde::{Deserialize, Serialize};

/// Ref: OWASP, "Password Storage Cheat Sheet": argon2id with 19 MiB, two passes and one lane.
const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Ref: RFC 9106, section 3.1: 16 bytes of salt are enough for passwords.
const SALT_BYTES: usize = 16;
/// Ref: UpdateAccountPasswordPolicy, `PasswordReusePrevention`: 1 to 24 earlier passwords.
pub(crate) const REMEMBERED_MAX: usize = 24;
/// Ref: UpdateAccountPasswordPolicy, `MinimumPasswordLength`: 6 when it is not given.
pub(crate) const MINIMUM_LENGTH_DEFAULT: i32 = 6;
/// Ref: IAM User Guide, "Set an account password policy for IAM users": what holds in an account without a policy.
const WITHOUT_POLICY_LENGTH: i32 = 8;
const WITHOUT_POLICY_CLASSES: usize = 3;
/// Ref: UpdateAccountPasswordPolicy, `RequireSymbols`.
const SYMBOLS: &str = "!@#$%^&*()_+-=[]{}|'";
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// A password on its way to its hash.
#[derive(Clone)]
pub(crate) struct Password(String);

impl Password {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// What is kept of a password: a PHC string, with the parameters it was made with and a salt of its own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PasswordHash(String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash")
    }
}

impl PasswordHash {
    /// The hash of a password, with a new salt. It takes tens of milliseconds, and [`MEMORY_KIB`].
    pub(crate) fn of(password: &Password, rng: &mut dyn Rng) -> Self {
        let mut salt = [0; SALT_BYTES];
        rng.fill(&mut salt);
        let salt = SaltString::encode_b64(&salt).expect("a salt has at most 48 bytes");
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("they are within argon2's bounds");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = argon2.hash_password(password.0.as_bytes(), &salt);
        Self(hash.expect("a password has at most 128 characters").to_string())
    }

    /// Whether it is that password's. It takes as long as making one, wherever the two differ.
    pub(crate) fn is_of(&self, password: &Password) -> bool {
        Phc::new(&self.0).is_ok_and(|hash| {
            let argon2 = Argon2::default();
            argon2.verify_password(password.0.as_bytes(), &hash).is_ok()
        })
    }
}

/// A user's password for the console; its key is the user's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoginProfile {
    /// When the user got a password.
    pub(crate) created_at: Time,
    /// When the password was last set.
    pub(crate) changed_at: Time,
    /// Whether the user is to choose another one at the next sign-in.
    pub(crate) reset_required: bool,
    /// The password's hash, then those before it, the latest first.
    hashes: Vec<PasswordHash>,
}

impl Resource for LoginProfile {
    const KIND: &'static str = "iam.login_profile";
}

impl LoginProfile {
    pub(crate) fn new(hash: PasswordHash, reset_required: bool, now: Time) -> Self {
        Self {
            created_at: now,
            changed_at: now,
            reset_required,
            hashes: vec![hash],
        }
    }

    /// The hash of the password.
    pub(crate) fn current(&self) -> Option<&PasswordHash> {
        self.hashes.first()
    }

    /// The hashes of the latest passwords, the present one among them.
    pub(crate) fn latest(&self, count: usize) -> &[PasswordHash] {
        &self.hashes[..count.min(self.hashes.len())]
    }

    /// Sets another password, and remembers those before it.
    pub(crate) fn set(&mut self, hash: PasswordHash, now: Time) {
        self.hashes.insert(0, hash);
        self.hashes.truncate(REMEMBERED_MAX);
        self.changed_at = now;
    }
}

/// What an account asks of the passwords of its users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PasswordPolicy {
    /// In characters.
    pub(crate) minimum_length: i32,
    pub(crate) require_symbols: bool,
    pub(crate) require_numbers: bool,
    pub(crate) require_uppercase: bool,
    pub(crate) require_lowercase: bool,
    /// Whether every user may change the own password without a policy that says so.
    pub(crate) users_may_change: bool,
    /// For how many days a password may be used.
    #[serde(default)]
    pub(crate) max_age_days: Option<i32>,
    /// How many earlier passwords may not be chosen again.
    #[serde(default)]
    pub(crate) remembered: Option<i32>,
    /// Whether the console refuses a new password once the old one has expired. There is no console.
    #[serde(default)]
    pub(crate) hard_expiry: Option<bool>,
}

impl Resource for PasswordPolicy {
    const KIND: &'static str = "iam.password_policy";
}

/// The one row of an account.
pub(crate) const POLICY: &str = "policy";

/// The password policy of an account, if it has set one.
pub(crate) fn policy_of<'a>(state: &'a State, scope: &Scope) -> Option<&'a PasswordPolicy> {
    state.get(scope, POLICY)
}

impl PasswordPolicy {
    /// How many of the latest passwords may not be chosen again.
    pub(crate) fn remembered(&self) -> usize {
        self.remembered.map_or(0, |count| usize::try_from(count).unwrap_or(0))
    }

    /// Until when a password that was set at a moment may be used.
    pub(crate) fn expires_at(&self, changed_at: Time) -> Option<Time> {
        self.max_age_days.map(|days| changed_at + i64::from(days) * DAY_MS)
    }
}

/// Checks a password against the policy of the account, or against what holds without one.
pub(crate) fn check(policy: Option<&PasswordPolicy>, password: &Password) -> Result<(), ApiError> {
    let text = &password.0;
    // Seen: redhat-cop/agnosticd pull request 6594.
    let classes = [
        (
            policy.is_some_and(|policy| policy.require_uppercase),
            text.contains(|c: char| c.is_ascii_uppercase()),
            "Password should have at least one uppercase letter",
        ),
        (
            policy.is_some_and(|policy| policy.require_lowercase),
            text.contains(|c: char| c.is_ascii_lowercase()),
            "Password should have at least one lowercase letter",
        ),
        (
            policy.is_some_and(|policy| policy.require_numbers),
            text.contains(|c: char| c.is_ascii_digit()),
            "Password should have at least one number",
        ),
        (
            policy.is_some_and(|policy| policy.require_symbols),
            text.contains(|c: char| SYMBOLS.contains(c)),
            "Password should have at least one symbol",
        ),
    ];
    let mut wanting = Vec::new();
    let minimum = policy.map_or(WITHOUT_POLICY_LENGTH, |policy| policy.minimum_length);
    if text.chars().count() < usize::try_from(minimum).unwrap_or(0) {
        wanting.push(format!("Password should have a minimum length of {minimum}"));
    }
    let absent = classes.iter().filter(|(_, is_there, _)| !is_there);
    if policy.is_some() {
        let required = absent.filter(|(is_required, _, _)| *is_required);
        wanting.extend(required.map(|(_, _, text)| (*text).to_owned()));
    } else {
        let absent: Vec<&str> = absent.map(|(_, _, text)| *text).collect();
        let more = (WITHOUT_POLICY_CLASSES + absent.len()).saturating_sub(classes.len());
        if more > 0 {
            let list = absent.join(", ");
            wanting.push(format!(
                "Password should meet {more} more of the following requirements: {list}"
            ));
        }
    }
    if wanting.is_empty() {
        return Ok(());
    }
    Err(violation(wanting.join(", ")))
}

/// The password is not one that the account takes.
pub(crate) fn violation(message: impl Into<String>) -> ApiError {
    ApiError::new("PasswordPolicyViolationException", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use honmaru_base::SeededRng;

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    #[test]
    fn a_hash_is_of_its_password_only_and_never_the_same_twice() {
        let mut rng = SeededRng::from_u64(1);
        let (one, two) = (
            PasswordHash::of(&password("Ünï-c0de"), &mut rng),
            PasswordHash::of(&password("Ünï-c0de"), &mut rng),
        );
        assert!(one.is_of(&password("Ünï-c0de")) && two.is_of(&password("Ünï-c0de")));
        assert!(!one.is_of(&password("Ünï-c0dE")) && !one.is_of(&password("")));
        assert_ne!(one, two);
        assert!(one.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.0);
        assert_eq!(format!("{one:?} {:?}", password("x")), "PasswordHash Password");
    }

    /// What an independent implementation made: `argon2-cffi` 25.1, `PasswordHasher(2, 19456, 1)`.
    #[test]
    fn hashes_are_those_that_others_make() {
        let made = PasswordHash(OTHERS.to_owned());
        assert!(made.is_of(&password("correct horse")));
        assert!(!made.is_of(&password("battery staple")));
    }

    const OTHERS: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$aSBISOQwu1p3zjPs1gEZhg$Koq/yNvxrtuKOCcIVhU422wa3ZObbDyGUe3j+a5vhMs";

    #[test]
    fn what_is_kept_is_read_back_and_bounded() {
        let mut profile = LoginProfile::new(PasswordHash("0".to_owned()), true, Time::from_ms(1));
        for n in 1..40 {
            profile.set(PasswordHash(n.to_string()), Time::from_ms(2));
        }
        assert_eq!(profile.latest(100).len(), REMEMBERED_MAX);
        assert_eq!(profile.current(), Some(&PasswordHash("39".to_owned())));
        let text = serde_json::to_string(&profile).unwrap();
        assert_eq!(serde_json::from_str::<LoginProfile>(&text).unwrap(), profile);
    }
}
