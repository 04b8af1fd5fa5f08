//! Who a container's command runs as: `user[:group]`, looked up in the image's own files.
//!
//! Runs inside the container's root. The files are a stranger's: read only if they are regular, and only up to a limit.

use crate::failure::{Failure, Step};
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

/// Longest passwd or group file that is read.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most supplementary groups. Ref: kernel, NGROUPS_MAX is 65,536; more than this in an image is a mistake.
const GROUPS_MAX: usize = 1024;

/// Ids inside the user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub home: String,
}

/// Resolves a user in the image that is this process's root.
pub fn resolve(user: Option<&str>) -> Step<Identity> {
    lookup(user.unwrap_or_default(), &read("/etc/passwd"), &read("/etc/group"))
}

/// A missing or strange file is an empty one: ids by number need none.
fn read(path: &str) -> String {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let Ok(file) = fs::OpenOptions::new().read(true).custom_flags(flags).open(path) else {
        return String::new();
    };
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return String::new();
    }
    let mut bytes = Vec::new();
    match file.take(FILE_BYTES_MAX).read_to_end(&mut bytes) {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => String::new(),
    }
}

/// Ref: Docker and runc's libcontainer/user: the default is root; a numeric user without an entry has group 0;
/// supplementary groups are those that list the user's name, unless a group is given.
fn lookup(user: &str, passwd: &str, group: &str) -> Step<Identity> {
    let (user, wanted_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number: Option<u32> = user.parse().ok();
    // A name that is all digits is a number first, as in Docker: then by name.
    let entry = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| {
            let uid = fields.get(2).and_then(|text| text.parse::<u32>().ok());
            fields.len() >= 4 && (fields.first() == Some(&user) || (number.is_some() && uid == number))
        });
    let field = |index: usize| entry.as_ref().and_then(|fields| fields.get(index)).copied();
    let uid = field(2).and_then(|text| text.parse().ok()).or(number).ok_or_else(|| {
        Failure::new(
            "user",
            format!("unable to find user {user}: no matching entries in passwd file"),
        )
    })?;
    let home = field(5)
        .filter(|home| !home.is_empty())
        .unwrap_or(if uid == 0 { "/root" } else { "/" })
        .to_string();
    let (gid, groups) = match wanted_group {
        Some(wanted) => (group_id(wanted, group)?, Vec::new()),
        None => {
            let gid = field(3).and_then(|text| text.parse().ok()).unwrap_or(0);
            (
                gid,
                field(0).map(|name| groups_of(name, gid, group)).unwrap_or_default(),
            )
        }
    };
    Ok(Identity { uid, gid, groups, home })
}

fn group_id(wanted: &str, group: &str) -> Step<u32> {
    let by_name = group.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(wanted))
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    });
    by_name.or_else(|| wanted.parse().ok()).ok_or_else(|| {
        Failure::new(
            "user",
            format!("unable to find group {wanted}: no matching entries in group file"),
        )
    })
}

fn groups_of(user: &str, gid: u32, group: &str) -> Vec<u32> {
    let listed = group.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let lists_user = fields.get(3)?.split(',').any(|member| member.trim() == user);
        if lists_user { fields.get(2)?.parse().ok() } else { None }
    });
    let mut groups: Vec<u32> = listed.filter(|id| *id != gid).take(GROUPS_MAX).collect();
    groups.push(gid);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102:Web:/srv/web:/bin/sh\nbroken\n";
    const GROUP: &str = "root:x:0:\nweb:x:102:\ndocs:x:200:other,web\nops:x:300:ops\n";

    fn check(user: &str, uid: u32, gid: u32, groups: &[u32], home: &str) {
        let expected = Identity {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.into(),
        };
        assert_eq!(lookup(user, PASSWD, GROUP), Ok(expected), "{user}");
    }

    #[test]
    fn users_and_groups_as_docker_resolves_them() {
        check("", 0, 0, &[0], "/root");
        check("web", 101, 102, &[200, 102], "/srv/web");
        check("101", 101, 102, &[200, 102], "/srv/web");
        check("web:docs", 101, 200, &[], "/srv/web");
        check("7:8", 7, 8, &[], "/");
        check("7", 7, 0, &[], "/");
        check("7:ops", 7, 300, &[], "/");
    }

    #[test]
    fn unknown_names_are_named() {
        let message = |user| lookup(user, PASSWD, GROUP).unwrap_err().message;
        assert_eq!(
            message("nobody"),
            "unable to find user nobody: no matching entries in passwd file"
        );
        assert_eq!(
            message("web:none"),
            "unable to find group none: no matching entries in group file"
        );
    }
}
