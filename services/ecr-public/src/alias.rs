//! The default alias of an account's public registry: eight characters that follow from the account's number.
//!
//! AWS draws aliases at random. A one-to-one map of numbers needs no row, no look-up, and cannot collide.

use honmaru_base::AccountId;

const LETTERS: u64 = 26;
const DIGITS: u64 = 36;
/// How many aliases there are: a letter, then seven letters or digits. More than there are account numbers.
const ALIASES: u64 = LETTERS * DIGITS.pow(7);
const ACCOUNTS: u64 = 1_000_000_000_000;
/// Neighbours among accounts get aliases that look nothing alike. Prime to [`ALIASES`], with its inverse.
const FACTOR: u64 = 1_099_511_627_791;
const INVERSE: u64 = 914_653_867_759;
/// Account zero does not become `a0000000`.
const OFFSET: u64 = 1_234_567_890_123;

const _: () = assert!(ACCOUNTS <= ALIASES);
const _: () = assert!(times(FACTOR, INVERSE) == 1);

/// `a * b` modulo [`ALIASES`].
const fn times(a: u64, b: u64) -> u64 {
    // Both are below 2^41: the product needs 82 bits, and the rest fits again.
    ((a as u128 * b as u128) % ALIASES as u128) as u64
}

/// The alias of an account's public registry, for example `q7h2x0dk`.
pub fn alias_of(account: &AccountId) -> String {
    // An account id has twelve digits.
    let number: u64 = account.as_str().parse().unwrap_or(0);
    let mut rest = (times(number, FACTOR) + OFFSET) % ALIASES;
    let mut alias = [b'a'; 8];
    for place in alias.iter_mut().skip(1).rev() {
        let digit = u8::try_from(rest % DIGITS).unwrap_or(0);
        *place = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        rest /= DIGITS;
    }
    let [first, ..] = &mut alias;
    *first += u8::try_from(rest).unwrap_or(0);
    alias.iter().map(|byte| char::from(*byte)).collect()
}

/// The account with this alias.
pub fn account_of(alias: &str) -> Option<AccountId> {
    let (first, rest) = alias.as_bytes().split_first()?;
    if rest.len() != 7 || !first.is_ascii_lowercase() {
        return None;
    }
    let mut number = u64::from(first - b'a');
    for byte in rest {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'z' => byte - b'a' + 10,
            _ => return None,
        };
        number = number * DIGITS + u64::from(digit);
    }
    let number = times((number + ALIASES - OFFSET) % ALIASES, INVERSE);
    if number >= ACCOUNTS {
        return None;
    }
    format!("{number:012}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_account_has_one_alias_and_back() {
        let mut seen = BTreeSet::new();
        let numbers = (0..2_000_u64).chain([111_111_111_111, 123_456_789_012, 999_999_999_999]);
        for number in numbers {
            let account: AccountId = format!("{number:012}").parse().unwrap();
            let alias = alias_of(&account);
            assert_eq!(account_of(&alias), Some(account), "{alias}");
            assert!(seen.insert(alias));
        }
    }

    #[test]
    fn what_is_no_alias_is_nobodys() {
        for text in [
            "",
            "a",
            "00000000",
            "A0000000",
            "a000000",
            "a00000000",
            "a000000-",
            "ä0000000",
        ] {
            assert_eq!(account_of(text), None, "{text}");
        }
    }
}
