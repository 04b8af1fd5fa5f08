//! An app: the name from which the names of everything that `deploy` makes follow.

use super::failure::Usage;
use std::path::Path;
use std::str::FromStr;

/// The cluster of all apps.
pub const CLUSTER: &str = "default";
/// The tag on everything that `deploy` makes; its value is the app's name.
pub const APP_TAG: &str = "honmaru:app";
/// The prefix of the log streams: `<prefix>/<container>/<task>`.
pub const STREAM_PREFIX: &str = "ecs";
/// Ref: ELBv2: names of load balancers and target groups have at most 32 characters; `-65535` may be added.
const NAME_CHARACTERS_MAX: usize = 26;
/// Ref: ECR `RepositoryName`: at least 2.
const NAME_CHARACTERS_MIN: usize = 2;

/// An app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    name: String,
}

impl FromStr for App {
    type Err = Usage;

    fn from_str(name: &str) -> Result<Self, Usage> {
        let is_name = (NAME_CHARACTERS_MIN..=NAME_CHARACTERS_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && !name.ends_with('-')
            && !name.contains("--")
            // Ref: EC2 group names do not begin with `sg-`, ELBv2 names not with `internal-`.
            && !name.starts_with("sg-")
            && !name.starts_with("internal-");
        if !is_name {
            return Err(Usage(format!(
                "`{name}` is no name for an app\nhint: {NAME_CHARACTERS_MIN} to {NAME_CHARACTERS_MAX} lower-case letters, \
                 digits and single hyphens, a letter first, for example `--name shop`"
            )));
        }
        Ok(Self { name: name.to_owned() })
    }
}

impl App {
    /// The app that a directory's own name suggests.
    pub fn of_directory(dir: &Path) -> Result<Self, Usage> {
        let absolute = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        let text = absolute
            .file_name()
            .map(|name| name.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        let mut name = String::new();
        for c in text.chars() {
            let c = if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            };
            let may_begin = !name.is_empty() || c.is_ascii_lowercase();
            if may_begin && !(c == '-' && name.ends_with('-')) {
                name.push(c);
            }
        }
        let name: String = name.chars().take(NAME_CHARACTERS_MAX).collect();
        name.trim_end_matches('-').parse().map_err(|_| {
            Usage(format!(
                "no name for the app follows from `{}`\nhint: give one with `--name`",
                absolute.display()
            ))
        })
    }

    /// The name: of the service, the task definition's family, the container, the repository, the load balancer, the
    /// target group and the web ACL.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The log group.
    pub fn log_group(&self) -> String {
        format!("/honmaru/{}", self.name)
    }

    /// The log stream of a task.
    pub fn log_stream(&self, task_id: &str) -> String {
        format!("{STREAM_PREFIX}/{}/{task_id}", self.name)
    }

    /// The role with which the platform pulls the image and writes the logs.
    pub fn execution_role(&self) -> String {
        format!("honmaru-{}-execution", self.name)
    }

    /// The role that the app itself has.
    pub fn task_role(&self) -> String {
        format!("honmaru-{}-task", self.name)
    }

    /// The security group of the load balancer.
    pub fn balancer_group(&self) -> String {
        format!("{}-lb", self.name)
    }

    /// The security group of the tasks.
    pub fn task_group(&self) -> String {
        format!("{}-task", self.name)
    }

    /// The host name under which the shared entry finds it.
    pub fn host(&self) -> String {
        format!("{}.localhost", self.name)
    }

    /// The URL for people, when the shared entry is known.
    pub fn url(&self, entry: Option<&str>) -> Option<String> {
        let port = entry?.rsplit_once(':')?.1;
        let port = if port == "80" {
            String::new()
        } else {
            format!(":{port}")
        };
        Some(format!("http://{}{port}", self.host()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_before_anything_is_made() {
        for name in ["shop", "a1", "my-shop-2"] {
            assert!(name.parse::<App>().is_ok(), "{name}");
        }
        let long = "a".repeat(27);
        for name in ["", "a", "1a", "a-", "a--b", "Shop", "a_b", "sg-a", "internal-a", &long] {
            assert!(name.parse::<App>().is_err(), "{name}");
        }
    }

    #[test]
    fn directories_suggest_names() {
        for (dir, name) in [
            ("/x/My_Shop (2)", Some("my-shop-2")),
            ("/x/2nd", Some("nd")),
            ("/x/__", None),
            ("/", None),
        ] {
            let app = App::of_directory(Path::new(dir)).ok();
            assert_eq!(app.as_ref().map(App::name), name, "{dir}");
        }
    }

    #[test]
    fn urls_leave_the_usual_port_out() {
        let app: App = "hello".parse().expect("a name");
        assert_eq!(
            app.url(Some("http://127.0.0.1:8080")).as_deref(),
            Some("http://hello.localhost:8080")
        );
        assert_eq!(
            app.url(Some("http://127.0.0.1:80")).as_deref(),
            Some("http://hello.localhost")
        );
        assert_eq!(app.url(None), None);
    }
}
