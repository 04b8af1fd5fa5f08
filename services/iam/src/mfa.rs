//! Virtual MFA devices: a shared seed, and the one-time codes that are made of it (RFC 6238: HMAC-SHA-1, 30 seconds,
//! six digits), as every authenticator app makes them.
//!
//! Invariants: a code proves something once, and none before it does so afterwards; wrong codes are answered
//! only a few times in each 30 seconds, so that the six digits cannot be tried out.

use crate::machine::scope_of;
use crate::model::{USER, key_of};
use honmaru_base::{Rng, Scope, Time};
use honmaru_machine::{Principal, PrincipalKind, Resource, State, Tx};
use ring::hmac;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long a code stands on the display, in milliseconds. Ref: RFC 6238, section 5.2.
const STEP_MS: i64 = 30_000;
/// Codes of so many steps before and after now count, for clocks that differ a little. Ref: RFC 6238, section 6.
const STEPS_NEAR: i64 = 1;
/// Where two codes in a row are looked for when a device is enabled or synchronised: half an hour to each side.
const STEPS_FAR: i64 = 60;
/// Whoever types two codes is that slow, and the clock is right all the same.
const STEPS_SLOW: i64 = 2;
/// Wrong codes that are answered for a device in one step.
const GUESSES_MAX: u64 = 5;
/// AWS's seeds are 64 characters of base32.
const SEED_BYTES: usize = 40;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A virtual MFA device; its key is its ARN, which is its serial number.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct MfaDevice {
    /// `arn:aws:iam::ACCOUNT:mfa/PATH/NAME`.
    pub arn: String,
    /// The secret that the user's app has, too.
    seed: Vec<u8>,
    /// Whose second factor it is.
    #[serde(default)]
    pub assigned: Option<Assigned>,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
    #[serde(skip)]
    guesses: Guesses,
}

/// The user of a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assigned {
    /// The row key of the user.
    pub user: String,
    /// Since when.
    pub enabled_at: Time,
    /// By how many steps its clock is ahead of ours.
    ahead: i64,
    /// The step of the last code that proved something.
    last_step: i64,
}

/// The step and how many wrong codes came in it. It is shared by all copies of a row and stays when the call fails that
/// guessed wrong; a restart forgets it.
#[derive(Clone, Default)]
struct Guesses(Arc<AtomicU64>);

impl PartialEq for Guesses {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Guesses {
    fn count(&self, step: i64) -> u64 {
        let (of, count) = Self::parts(self.0.load(Ordering::Relaxed));
        if of == step.unsigned_abs() { count } else { 0 }
    }

    fn note(&self, step: i64) {
        let next = (step.unsigned_abs() << 8) | (self.count(step) + 1).min(0xff);
        self.0.store(next, Ordering::Relaxed);
    }

    fn parts(packed: u64) -> (u64, u64) {
        (packed >> 8, packed & 0xff)
    }
}

impl std::fmt::Debug for MfaDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MfaDevice")
            .field("arn", &self.arn)
            .field("assigned", &self.assigned)
            .finish_non_exhaustive()
    }
}

impl Resource for MfaDevice {
    const KIND: &'static str = "iam.mfa_device";
    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        if let Some(assigned) = &self.assigned {
            add(USER, assigned.user.clone());
        }
    }
}

fn step_of(at: Time) -> i64 {
    at.as_ms().div_euclid(STEP_MS)
}

impl MfaDevice {
    /// A new device with a seed of its own, that nobody uses yet.
    pub(crate) fn new(arn: String, tags: Vec<(String, String)>, rng: &mut dyn Rng) -> Self {
        let mut seed = vec![0; SEED_BYTES];
        rng.fill(&mut seed);
        Self {
            arn,
            seed,
            assigned: None,
            tags,
            guesses: Guesses::default(),
        }
    }

    /// The seed as apps take it. Forty bytes are sixty-four characters, without padding.
    pub(crate) fn base32_seed(&self) -> String {
        let groups = self.seed.chunks(5).flat_map(|group| {
            let bits = group.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            (0..8).map(move |n| char::from(BASE32[(bits >> (35 - 5 * n) & 31) as usize]))
        });
        groups.collect()
    }

    /// What a user's app shows at a moment.
    pub fn code_at(&self, at: Time) -> String {
        self.code_of(step_of(at))
    }

    fn code_of(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.seed);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let bytes = tag.as_ref();
        // Ref: RFC 4226, section 5.3: four bytes from where the last half byte says, without the sign.
        let at = usize::from(bytes.last().copied().unwrap_or_default() & 0x0f);
        let word = bytes
            .iter()
            .skip(at)
            .take(4)
            .fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
    }

    /// The later step of two codes in a row, both of around `now`.
    fn steps_of(&self, first: &str, second: &str, now: Time) -> Option<i64> {
        let now = step_of(now);
        let near = (now - STEPS_FAR..now + STEPS_FAR).find(|step| {
            let (one, two) = (self.code_of(*step), self.code_of(step + 1));
            is_equal(&one, first) && is_equal(&two, second)
        });
        near.map(|step| step + 1)
    }

    /// Gives the device to a user who has two codes of it in a row; `false` when they are wrong.
    pub(crate) fn assign(&mut self, user: &str, codes: (&str, &str), now: Time) -> bool {
        if self.guesses.count(step_of(now)) >= GUESSES_MAX {
            return false;
        }
        let Some(step) = self.steps_of(codes.0, codes.1, now) else {
            self.guesses.note(step_of(now));
            return false;
        };
        let enabled_at = self.assigned.as_ref().map_or(now, |assigned| assigned.enabled_at);
        let known = self.assigned.as_ref().map_or(i64::MIN, |assigned| assigned.last_step);
        // The second code is the one on the display.
        let ahead = step - step_of(now);
        self.assigned = Some(Assigned {
            user: user.to_owned(),
            enabled_at,
            ahead: if ahead.abs() <= STEPS_SLOW { 0 } else { ahead },
            last_step: step.max(known),
        });
        true
    }

    /// The step that a code of about now belongs to, unless it or a later one was used before.
    fn proven(&self, code: &str, now: Time) -> Option<i64> {
        let assigned = self.assigned.as_ref()?;
        let now = step_of(now);
        if self.guesses.count(now) >= GUESSES_MAX {
            return None;
        }
        let theirs = now + assigned.ahead;
        let found = (theirs - STEPS_NEAR..=theirs + STEPS_NEAR)
            .filter(|step| *step > assigned.last_step)
            .find(|step| is_equal(&self.code_of(*step), code));
        if found.is_none() {
            self.guesses.note(now);
        }
        found
    }
}

/// Compares two codes in a time that does not depend on where they differ.
fn is_equal(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differences == 0
}

/// The devices of a user, by the user's name.
pub(crate) fn devices_of<'a>(state: &'a State, scope: &Scope, user: &str) -> Vec<&'a MfaDevice> {
    let key = key_of(user);
    let serials = state
        .find::<MfaDevice>(scope, USER, &key)
        .map(|(serial, _)| serial.to_owned());
    let serials: Vec<String> = serials.collect();
    serials.iter().filter_map(|serial| state.get(scope, serial)).collect()
}

/// Why a second factor was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MfaRefusal {
    /// The device is not there, or not the caller's.
    NotTheirs,
    /// The code is wrong, too old, or was used before.
    WrongCode,
}

/// Proves a user's second factor: the device is the user's own and the code is the one that it shows. The code cannot be
/// used again.
pub fn prove_mfa(tx: &mut Tx<'_>, principal: &Principal, serial: &str, code: &str) -> Result<(), MfaRefusal> {
    let PrincipalKind::User { name } = &principal.kind else {
        return Err(MfaRefusal::NotTheirs);
    };
    let (scope, now) = (scope_of(&principal.account), tx.now());
    let device = tx.get::<MfaDevice>(&scope, serial).ok_or(MfaRefusal::NotTheirs)?;
    if device
        .assigned
        .as_ref()
        .is_none_or(|assigned| assigned.user != key_of(name))
    {
        return Err(MfaRefusal::NotTheirs);
    }
    let step = device.proven(code, now).ok_or(MfaRefusal::WrongCode)?;
    tx.update::<MfaDevice>(&scope, serial, |row| {
        if let Some(assigned) = &mut row.assigned {
            assigned.last_step = step;
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use honmaru_base::SeededRng;

    /// RFC 6238, appendix B, and the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let mut device = MfaDevice::new("arn".to_owned(), Vec::new(), &mut SeededRng::from_u64(1));
        device.seed = b"12345678901234567890".to_vec();
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(device.code_at(Time::from_ms(seconds * 1_000)), code);
        }
        // RFC 4648, section 10, without padding.
        device.seed = b"foobarfoob".to_vec();
        assert_eq!(device.base32_seed(), "MZXW6YTBOJTG633C");
    }

    #[test]
    fn the_digits_cannot_be_tried_out() {
        let now = Time::from_ms(1_790_000_000_000);
        let mut device = MfaDevice::new("arn".to_owned(), Vec::new(), &mut SeededRng::from_u64(1));
        let before = device.code_at(Time::from_ms(now.as_ms() - STEP_MS));
        assert!(device.assign("ada", (&before, &device.code_at(now)), now));
        let later = Time::from_ms(now.as_ms() + 10 * STEP_MS);
        for _ in 0..GUESSES_MAX {
            assert_eq!(device.proven("x", later), None);
        }
        // Also for copies of the row: a call that fails takes back what it changed, but not this.
        assert_eq!(device.clone().proven(&device.code_at(later), later), None);
        let next = Time::from_ms(later.as_ms() + STEP_MS);
        assert!(device.proven(&device.code_at(next), next).is_some());
    }
}
