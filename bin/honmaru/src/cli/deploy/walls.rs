//! Walls around an app that only its owner can know to be right: a root file system that nobody writes to, and a way
//! out that leads to known networks alone. What is not said stays as it is: a forgotten option opens nothing.

use crate::cli::failure::Usage;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::str::FromStr;

/// The directory that programs expect to be able to write to.
const WRITABLE_DEFAULT: &str = "/tmp";
/// MiB of a writable directory where nothing says another number.
const WRITABLE_DEFAULT_MIB: u32 = 64;
/// Everybody may write, as to `/tmp` elsewhere, whichever user the image has.
const WRITABLE_MODE: &str = "mode=1777";

/// A directory in memory that the app may write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writable {
    path: String,
    mib: u32,
}

impl FromStr for Writable {
    type Err = Usage;

    fn from_str(text: &str) -> Result<Self, Usage> {
        let wrong = |why: &str| {
            Usage(format!(
                "`{text}` is no writable directory: {why}\nhint: write `/var/cache`, or `/var/cache:128` for 128 MiB"
            ))
        };
        let (path, mib) = match text.rsplit_once(':') {
            Some((path, mib)) => (path, mib.parse().map_err(|_| wrong("behind the colon stand MiB"))?),
            None => (text, WRITABLE_DEFAULT_MIB),
        };
        let names = path.strip_prefix('/').ok_or_else(|| wrong("it begins with `/`"))?;
        if path.chars().any(char::is_control) || names.split('/').any(|name| matches!(name, "" | "." | "..")) {
            return Err(wrong("each part of the path is a name"));
        }
        if mib == 0 {
            return Err(wrong("it has 1 MiB at least"));
        }
        Ok(Self {
            path: path.to_owned(),
            mib,
        })
    }
}

/// The root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// As it is now; at first writable.
    Kept,
    /// The app may write everywhere.
    Writable,
    /// The app may write to these directories alone; nothing: to those that it has now, at first `/tmp`.
    ReadOnly(Option<Vec<Writable>>),
}

impl Root {
    /// From what was said. Naming a directory means a read-only root around it.
    pub fn of(read_only: Option<bool>, writable: Option<&[String]>, memory_mib: u32) -> Result<Self, Usage> {
        let dirs: Option<Vec<Writable>> = writable
            .map(|dirs| dirs.iter().map(|dir| dir.parse()).collect())
            .transpose()?;
        let all = || dirs.iter().flatten();
        if let Some(twice) = all().find(|dir| all().filter(|other| other.path == dir.path).count() > 1) {
            return Err(Usage(format!("`{}` is named twice as writable", twice.path)));
        }
        let sum = all().fold(0_u32, |sum, dir| sum.saturating_add(dir.mib));
        if sum > memory_mib {
            return Err(Usage(format!(
                "the writable directories have {sum} MiB together, and the task {memory_mib}\nhint: they are in its memory: \
                 make them smaller (`PATH:MIB`), or give it more (`--memory`)"
            )));
        }
        match (read_only, dirs) {
            (Some(false), Some(_)) => Err(Usage(
                "a root that is writable needs no writable directories\nhint: leave out `--writable` (or `writable`), or \
                 say `--read-only`"
                    .to_owned(),
            )),
            (Some(false), None) => Ok(Self::Writable),
            (None, None) => Ok(Self::Kept),
            (_, dirs) => Ok(Self::ReadOnly(dirs)),
        }
    }

    /// The members of a container definition that say so. `now` is that of the version in force.
    pub fn members(&self, now: Option<&Value>) -> Vec<(&'static str, Value)> {
        let now = now.filter(|container| container["readonlyRootFilesystem"] == true);
        let now = now.map(|container| container["linuxParameters"]["tmpfs"].clone());
        let mounts = |dirs: &[Writable]| {
            let mount =
                |dir: &Writable| json!({ "containerPath": dir.path, "size": dir.mib, "mountOptions": [WRITABLE_MODE] });
            Value::Array(dirs.iter().map(mount).collect())
        };
        let tmpfs = match (self, now) {
            (Self::Writable, _) | (Self::Kept, None) => return Vec::new(),
            (Self::ReadOnly(Some(dirs)), _) => mounts(dirs),
            (Self::Kept | Self::ReadOnly(None), Some(now)) => now,
            (Self::ReadOnly(None), None) => mounts(&[Writable {
                path: WRITABLE_DEFAULT.to_owned(),
                mib: WRITABLE_DEFAULT_MIB,
            }]),
        };
        let mut members = vec![("readonlyRootFilesystem", json!(true))];
        if tmpfs.as_array().is_some_and(|mounts| !mounts.is_empty()) {
            members.push(("linuxParameters", json!({ "tmpfs": tmpfs })));
        }
        members
    }
}

/// Where tasks may open connections to: a network, and a TCP port of it or everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayOut {
    /// For example `10.0.0.0/8`.
    pub cidr: String,
    /// Nothing: all of them, whatever the protocol.
    pub port: Option<u16>,
}

impl WayOut {
    /// The ways out that were named: `all`, `none`, or networks.
    pub fn of(words: &[String]) -> Result<Vec<Self>, Usage> {
        match words {
            [one] if one == "all" => Ok(vec![Self {
                cidr: "0.0.0.0/0".to_owned(),
                port: None,
            }]),
            [one] if one == "none" => Ok(Vec::new()),
            [] => Err(Usage(
                "`egress` names nothing\nhint: say \"none\" if the app calls nobody".to_owned(),
            )),
            several => several.iter().map(|word| word.parse()).collect(),
        }
    }
}

impl FromStr for WayOut {
    type Err = Usage;

    fn from_str(text: &str) -> Result<Self, Usage> {
        let wrong = |why: &str| {
            Usage(format!(
                "`{text}` is no way out: {why}\nhint: say `all`, `none`, a network as `10.0.0.0/8`, or a TCP port of one as \
                 `0.0.0.0/0:443`"
            ))
        };
        if text == "all" || text == "none" {
            return Err(wrong("it stands alone"));
        }
        let (network, port) = match text.rsplit_once(':') {
            Some((network, port)) => {
                let port: u16 = port.parse().map_err(|_| wrong("behind the colon stands a port"))?;
                (network, Some(port).filter(|port| *port > 0))
            }
            None => (text, None),
        };
        let (address, bits) = network.split_once('/').unwrap_or((network, "32"));
        let address: Ipv4Addr = address
            .parse()
            .map_err(|_| wrong("a network begins with an IPv4 address"))?;
        let bits: u32 = bits.parse().map_err(|_| wrong("behind the slash stand 0 to 32"))?;
        if bits > 32 {
            return Err(wrong("behind the slash stand 0 to 32"));
        }
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        let first = Ipv4Addr::from(u32::from(address) & mask);
        if first != address {
            return Err(wrong(&format!("the network with that address is {first}/{bits}")));
        }
        Ok(Self {
            cidr: format!("{first}/{bits}"),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn ways_out() {
        let check = |list: &[&str], expected: Result<&[(&str, Option<u16>)], &str>| {
            let found = WayOut::of(&words(list)).map_err(|usage| usage.0);
            match expected {
                Ok(expected) => {
                    let found = found.expect("valid");
                    let found: Vec<_> = found.iter().map(|way| (way.cidr.as_str(), way.port)).collect();
                    assert_eq!(found, expected, "{list:?}");
                }
                Err(expected) => assert!(found.expect_err("wrong").contains(expected), "{list:?}"),
            }
        };
        check(&["all"], Ok(&[("0.0.0.0/0", None)]));
        check(&["none"], Ok(&[]));
        check(
            &["10.0.0.0/8", "1.2.3.4:5432"],
            Ok(&[("10.0.0.0/8", None), ("1.2.3.4/32", Some(5432))]),
        );
        check(&["0.0.0.0/0:443"], Ok(&[("0.0.0.0/0", Some(443))]));
        check(&["none", "10.0.0.0/8"], Err("stands alone"));
        check(&[], Err("names nothing"));
        check(&["10.1.2.3/8"], Err("is 10.0.0.0/8"));
        check(&["10.0.0.0/33"], Err("0 to 32"));
        check(&["::/0"], Err("no way out"));
        check(&["example.com:443"], Err("IPv4 address"));
    }

    #[test]
    fn roots() {
        let of = |read_only, writable: Option<&[&str]>| {
            Root::of(read_only, writable.map(words).as_deref(), 512).map_err(|usage| usage.0)
        };
        let read_only =
            json!({ "readonlyRootFilesystem": true, "linuxParameters": { "tmpfs": [{ "containerPath": "/x" }] } });
        let writable = json!({ "readonlyRootFilesystem": false });
        let paths = |root: &Root, now: Option<&Value>| -> Option<Vec<String>> {
            let members = root.members(now);
            members.first()?;
            let tmpfs = members
                .get(1)
                .map(|(_, value)| value["tmpfs"].clone())
                .unwrap_or_default();
            let mounts = tmpfs.as_array().cloned().unwrap_or_default();
            let path = |mount: &Value| mount["containerPath"].as_str().unwrap_or_default().to_owned();
            Some(mounts.iter().map(path).collect())
        };
        let some = |list: &[&str]| Some(words(list));
        let kept = of(None, None).expect("valid");
        assert_eq!(paths(&kept, None), None);
        assert_eq!(paths(&kept, Some(&writable)), None);
        assert_eq!(paths(&kept, Some(&read_only)), some(&["/x"]));
        let wanted = of(Some(true), None).expect("valid");
        assert_eq!(paths(&wanted, None), some(&["/tmp"]));
        assert_eq!(paths(&wanted, Some(&writable)), some(&["/tmp"]));
        assert_eq!(paths(&wanted, Some(&read_only)), some(&["/x"]));
        let named = of(None, Some(&["/a", "/b/c:8"])).expect("valid");
        assert_eq!(paths(&named, Some(&read_only)), some(&["/a", "/b/c"]));
        let nothing = of(Some(true), Some(&[])).expect("valid");
        assert_eq!(paths(&nothing, None), some(&[]));
        assert_eq!(paths(&of(Some(false), None).expect("valid"), Some(&read_only)), None);
        for (read_only, dirs, expected) in [
            (Some(false), ["/a"].as_slice(), "needs no writable directories"),
            (None, &["/a", "/a:1"], "named twice"),
            (None, &["/a:500", "/b"], "564 MiB together"),
            (None, &["a"], "begins with `/`"),
            (None, &["/"], "is a name"),
            (None, &["/a/../b"], "is a name"),
            (None, &["/a:"], "stand MiB"),
            (None, &["/a:0"], "1 MiB"),
        ] {
            let error = of(read_only, Some(dirs)).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }
}
