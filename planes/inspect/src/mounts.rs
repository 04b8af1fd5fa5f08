//! The mounts of a container, and which files of the host they show. Ref: proc_pid_mountinfo(5).

/// One mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    /// Device, for example `254:0`.
    pub device: String,
    /// Which directory or file of that file system.
    pub root: String,
    /// Where.
    pub point: String,
    /// Its options, for example `ro`.
    pub options: Vec<String>,
    /// Whether what is mounted below it elsewhere appears here, too, or the other way round.
    pub is_shared: bool,
    /// For example `overlay`.
    pub kind: String,
}

/// Reads `mountinfo`.
pub fn mountinfo(text: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let mut fields = left.split(' ').skip(2);
        Some(Mount {
            device: fields.next()?.to_owned(),
            root: plain(fields.next()?),
            point: plain(fields.next()?),
            options: fields.next()?.split(',').map(str::to_owned).collect(),
            is_shared: fields.any(|tag| tag.starts_with("shared:")),
            kind: right.split(' ').next()?.to_owned(),
        })
    };
    text.lines().filter_map(mount).collect()
}

/// Blanks and backslashes are octal there.
fn plain(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

/// The host's path of what a mount shows, if the host has mounted that file system, too.
pub fn host_path(mount: &Mount, host: &[Mount]) -> Option<String> {
    let under = |of_host: &Mount| {
        let rest = match of_host.root.as_str() {
            "/" => mount.root.as_str(),
            root => mount
                .root
                .strip_prefix(root)
                .filter(|r| r.is_empty() || r.starts_with('/'))?,
        };
        Some(format!("{}{rest}", of_host.point.trim_end_matches('/')))
    };
    let path = host
        .iter()
        .filter(|of_host| of_host.device == mount.device)
        .find_map(under)?;
    Some(if path.is_empty() { "/".to_owned() } else { path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_is_traced_to_the_hosts_path() {
        let host = mountinfo(
            "27 1 254:0 / / rw - ext4 /dev/vda rw\n30 27 254:9 /sub /srv/my\\040data rw shared:3 - xfs /dev/vdb rw\n",
        );
        assert!(host.iter().any(|mount| mount.is_shared));
        let inside = mountinfo(
            "75 43 0:41 / / ro,nodev - overlay overlay rw\n87 75 254:0 /etc/shadow /x rw - ext4 /dev/vda rw\n\
             88 75 254:9 /sub/a /y rw - xfs /dev/vdb rw\n89 75 254:9 /subway /z rw - xfs /dev/vdb rw\n",
        );
        let paths: Vec<Option<String>> = inside.iter().map(|mount| host_path(mount, &host)).collect();
        let path = |text: &str| Some(text.to_owned());
        assert_eq!(paths, [None, path("/etc/shadow"), path("/srv/my data/a"), None]);
        assert!(inside[0].options.iter().any(|option| option == "ro"));
    }
}
