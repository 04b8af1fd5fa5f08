//! One process, by its files in /proc. Ref: proc(5).

use crate::Seen;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The kinds of namespaces that are compared.
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

/// A line of `uid_map`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first id inside of the namespace.
    pub inside: u32,
    /// The first id on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// A line of `limits`; nothing: unlimited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// For example `Max open files`.
    pub name: String,
    /// What the process may raise it to.
    pub hard: Option<u64>,
}

/// What `status` says of a process's rights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// Effective user id on the host.
    pub uid: u32,
    /// Capabilities that count now.
    pub cap_eff: u64,
    /// Capabilities that it can ever get.
    pub cap_bnd: u64,
    /// `NoNewPrivs`.
    pub no_new_privs: Option<u32>,
    /// `Seccomp`: 0 none, 1 strict, 2 a filter.
    pub seccomp: Option<u32>,
}

/// Reads `status`.
pub fn status(text: &str) -> Seen<Status> {
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let mask = |name: &str| {
        field(name)
            .and_then(|hex| u64::from_str_radix(hex, 16).ok())
            .ok_or_else(|| format!("/proc/<pid>/status has no `{name}`"))
    };
    let uid = field("Uid").and_then(|ids| ids.split_whitespace().nth(1)?.parse().ok());
    Ok(Status {
        uid: uid.ok_or("/proc/<pid>/status has no `Uid`")?,
        cap_eff: mask("CapEff")?,
        cap_bnd: mask("CapBnd")?,
        no_new_privs: field("NoNewPrivs").and_then(|value| value.parse().ok()),
        seccomp: field("Seccomp").and_then(|value| value.parse().ok()),
    })
}

/// Reads `uid_map`.
pub fn uid_map(text: &str) -> Vec<IdRange> {
    let range = |line: &str| {
        let mut ids = line.split_whitespace().map(str::parse);
        Some(IdRange {
            inside: ids.next()?.ok()?,
            outside: ids.next()?.ok()?,
            count: ids.next()?.ok()?,
        })
    };
    text.lines().filter_map(range).collect()
}

/// Reads `limits`: a name, the soft limit, the hard limit, a unit that may be missing.
pub fn limits(text: &str) -> Vec<Ulimit> {
    let limit = |line: &str| {
        // The name has blanks; columns are parted by two of them or more.
        let (name, rest) = line.split_once("  ")?;
        let hard = rest.split_whitespace().nth(1)?;
        Some(Ulimit {
            name: name.to_owned(),
            hard: match hard {
                "unlimited" => None,
                number => Some(number.parse().ok()?),
            },
        })
    };
    text.lines().skip(1).filter_map(limit).collect()
}

/// The namespaces of the process whose directory this is, by kind.
pub fn namespaces(process: &Path) -> BTreeMap<String, String> {
    NAMESPACES
        .iter()
        .filter_map(|kind| {
            let link = fs::read_link(process.join("ns").join(kind)).ok()?;
            Some(((*kind).to_owned(), link.display().to_string()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_from_status() {
        let text = "Name:\tsh\nUid:\t536936446\t536936446\t0\t0\nCapEff:\t0000000000000000\nCapBnd:\t00000000a00425fb\n\
                    NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let seen = status(text).expect("a status");
        assert_eq!(
            seen,
            Status {
                uid: 536_936_446,
                cap_eff: 0,
                cap_bnd: 0xa004_25fb,
                no_new_privs: Some(1),
                seccomp: Some(2)
            }
        );
        assert!(status("Name:\tsh\n").is_err());
    }

    #[test]
    fn maps_and_limits_are_read() {
        let range = |inside, outside, count| IdRange { inside, outside, count };
        assert_eq!(
            uid_map("         0  536870912      65536\n"),
            [range(0, 536_870_912, 65_536)]
        );
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max cpu time              unlimited            unlimited            seconds   \n\
                    Max open files            1024                 20000                files     \n\
                    Max nice priority         0                    0                    \n";
        let seen: Vec<(String, Option<u64>)> = limits(text).into_iter().map(|l| (l.name, l.hard)).collect();
        let named = |name: &str, hard| (name.to_owned(), hard);
        assert_eq!(
            seen,
            [
                named("Max cpu time", None),
                named("Max open files", Some(20_000)),
                named("Max nice priority", Some(0))
            ]
        );
    }
}
