//! What an image says of itself.

use serde_json::Value;

/// The parts of an image's configuration that a deployment needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// What runs first.
    pub entrypoint: Vec<String>,
    /// Its arguments, or what runs where there is no entry point.
    pub cmd: Vec<String>,
    /// TCP ports that it exposes, sorted.
    pub exposed_ports: Vec<u16>,
    /// The user that it runs as; empty for root.
    pub user: String,
}

impl ImageFacts {
    /// From `buildah inspect --type image`.
    pub(crate) fn read(inspected: &Value) -> Self {
        let config = &inspected["OCIv1"]["config"];
        let words = |name: &str| -> Vec<String> {
            config[name]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        let port = |port: &String| -> Option<u16> {
            let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            if protocol == "tcp" { number.parse().ok() } else { None }
        };
        let mut exposed_ports: Vec<u16> = config["ExposedPorts"]
            .as_object()
            .into_iter()
            .flat_map(|ports| ports.keys())
            .filter_map(port)
            .collect();
        exposed_ports.sort_unstable();
        Self {
            entrypoint: words("Entrypoint"),
            cmd: words("Cmd"),
            exposed_ports,
            user: config["User"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// Whether it says what to run.
    pub fn starts_something(&self) -> bool {
        !self.entrypoint.is_empty() || !self.cmd.is_empty()
    }

    /// Whether it runs as root.
    pub fn runs_as_root(&self) -> bool {
        matches!(self.user.split(':').next(), None | Some("" | "0" | "root"))
    }
}
