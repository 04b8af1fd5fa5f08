//! Names on the host: every one of them begins with or contains the instance's id.

use crate::NetworkError;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::Path;

/// What the tables of all instances are called at their beginning.
pub(crate) const TABLE_PREFIX: &str = "honmaru_";

/// The longest interface name: IFNAMSIZ without its final zero.
const INTERFACE_NAME_MAX: usize = 15;

/// The longest task id.
const TASK_ID_MAX: usize = 64;

/// Six hexadecimal digits from the state directory's path: tells instances on one host apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceId(String);

impl InstanceId {
    /// The id of a state directory. The directory should exist, so that different spellings of it give one id.
    pub fn of(state_dir: &Path) -> Self {
        let path = state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_path_buf());
        let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
        let mut id = hex::encode(digest);
        id.truncate(6);
        Self(id)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nft table's name, in family `inet`.
    pub fn table(&self) -> String {
        format!("{TABLE_PREFIX}{}", self.0)
    }

    /// What the names of all interfaces of this instance begin with.
    pub fn interface_prefix(&self) -> String {
        format!("hm{}", self.0)
    }

    /// The label of our addresses on `lo`.
    pub(crate) fn address_label(&self) -> String {
        format!("lo:hm{}", self.0)
    }

    /// The metric of our unreachable routes: how we know them again.
    pub(crate) fn route_metric(&self) -> u32 {
        0x0200_0000 | u32::from_str_radix(&self.0, 16).unwrap_or(0)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The host side's interface name of a task: the instance's prefix and 35 bits of the task id's digest.
pub fn interface_name(id: &InstanceId, task_id: &str) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut name = id.interface_prefix();
    let digest = Sha256::digest(task_id.as_bytes());
    name.extend(
        digest
            .iter()
            .take(INTERFACE_NAME_MAX - name.len())
            .map(|b| char::from(LETTERS[usize::from(b & 31)])),
    );
    name
}

/// Ten hexadecimal digits of a text: part of a generated nft name, never an nft keyword.
pub(crate) fn short(text: &str) -> String {
    let mut id = hex::encode(Sha256::digest(text.as_bytes()));
    id.truncate(10);
    id
}

/// Refuses task ids that could leave our directory or break a name.
pub(crate) fn check_task_id(task_id: &str) -> Result<(), NetworkError> {
    let valid = (1..=TASK_ID_MAX).contains(&task_id.len())
        && task_id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if valid {
        Ok(())
    } else {
        Err(NetworkError::TaskId(task_id.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_fit_and_differ() {
        let id = InstanceId::of(Path::new("/nowhere/in/particular"));
        let (a, b) = (interface_name(&id, "task-a"), interface_name(&id, "task-b"));
        assert_ne!(a, b);
        assert_eq!(a.len(), INTERFACE_NAME_MAX);
        assert!(a.starts_with(&id.interface_prefix()));
        assert!(id.address_label().len() <= INTERFACE_NAME_MAX);
    }

    #[test]
    fn task_ids_stay_inside_the_directory() {
        for bad in ["", "..", "a/b", "a b", &"x".repeat(65)] {
            assert!(check_task_id(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(check_task_id("0123456789abcdef0123456789abcdef").is_ok());
    }
}
