//! Access key ids, secrets and unique ids in AWS's forms. Ref: IAM User Guide, "IAM identifiers".
//!
//! Like AWS's, our ids carry their account in their first 40 bits, so that a key's owner is found without a search.

use base64::Engine;
use honmaru_base::{AccountId, Rng, alphanumeric_id};

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Long-term or temporary: what the first four characters of an access key id tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// `AKIA`: the key of an IAM user.
    LongTerm,
    /// `ASIA`: a temporary key of STS, which is used with a session token only.
    Temporary,
}

impl KeyKind {
    /// The four characters.
    pub fn prefix(self) -> &'static str {
        match self {
            KeyKind::LongTerm => "AKIA",
            KeyKind::Temporary => "ASIA",
        }
    }

    /// The kind of an access key id, by its prefix.
    pub fn of(access_key_id: &str) -> Option<Self> {
        [KeyKind::LongTerm, KeyKind::Temporary]
            .into_iter()
            .find(|kind| access_key_id.starts_with(kind.prefix()))
    }
}

/// A new access key id of 20 characters for `account`.
pub fn access_key_id(kind: KeyKind, account: &AccountId, rng: &mut dyn Rng) -> String {
    // Twelve digits fit in 40 bits. Layout of the 80 bits: 1 (always set), 40 account, 39 random.
    let account: u64 = account.as_str().parse().expect("an account id is twelve digits");
    let mut random = [0; 8];
    rng.fill(&mut random);
    let random = u128::from(u64::from_le_bytes(random) >> 25);
    let bits: u128 = 1 << 79 | u128::from(account) << 39 | random;
    let text: String = (0..16)
        .map(|i| BASE32[(bits >> (75 - 5 * i) & 31) as usize] as char)
        .collect();
    format!("{}{text}", kind.prefix())
}

/// The account that an access key id of [`access_key_id`] carries; nothing for a text of another form.
pub fn account_of_access_key_id(access_key_id: &str) -> Option<AccountId> {
    let kind = KeyKind::of(access_key_id)?;
    let text = access_key_id.strip_prefix(kind.prefix())?;
    if text.len() != 16 {
        return None;
    }
    let mut bits: u128 = 0;
    for byte in text.bytes() {
        let digit = BASE32.iter().position(|&b| b == byte)?;
        bits = bits << 5 | digit as u128;
    }
    if bits >> 79 == 0 {
        return None;
    }
    let account = (bits >> 39) as u64 & ((1 << 40) - 1);
    format!("{account:012}").parse().ok()
}

/// A new secret access key: 40 characters of base64, 240 random bits.
pub fn secret_access_key(rng: &mut dyn Rng) -> String {
    let mut bytes = [0; 30];
    rng.fill(&mut bytes);
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A unique id such as `AIDA...` (user), `AROA...` (role), `ANPA...` (policy), `AGPA...` (group), `AIPA...`
/// (instance profile): the prefix and 17 characters.
pub fn unique_id(prefix: &str, rng: &mut dyn Rng) -> String {
    format!("{prefix}{}", alphanumeric_id(rng, 17))
}

#[cfg(test)]
mod tests {
    use super::*;
    use honmaru_base::SeededRng;

    #[test]
    fn an_access_key_id_carries_its_account() {
        let mut rng = SeededRng::from_u64(1);
        for account in ["000000000000", "123456789012", "999999999999"] {
            let account: AccountId = account.parse().unwrap();
            let id = access_key_id(KeyKind::Temporary, &account, &mut rng);
            assert_eq!(id.len(), 20);
            assert!(id.starts_with("ASIA"));
            assert_eq!(account_of_access_key_id(&id), Some(account));
        }
        assert_eq!(account_of_access_key_id("AKIDEXAMPLE"), None);
        assert_eq!(account_of_access_key_id("AKIAIOSFODNN7EXAMPLE"), None);
        assert_eq!(account_of_access_key_id("AKIAé"), None);
    }
}
