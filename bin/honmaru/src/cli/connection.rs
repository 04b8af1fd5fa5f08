//! Which cloud a command talks to.

use super::client::Client;
use std::path::{Path, PathBuf};

const STATE_DEFAULT: &str = "/var/lib/honmaru";

/// The options that every command has.
#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// The directory of the cloud on this machine
    #[arg(long, env = "HONMARU_STATE", value_name = "DIR", default_value = STATE_DEFAULT)]
    pub state: PathBuf,
    /// The AWS endpoint, when it is not the one that the state directory or AWS_ENDPOINT_URL names
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
}

impl Connection {
    /// A client for that cloud.
    pub fn open(&self) -> anyhow::Result<Client> {
        Client::open(&self.state, self.endpoint.as_deref())
    }

    /// What a suggested command needs to reach the same cloud, with a blank in front; often nothing.
    pub fn flags(&self) -> String {
        let is_known = std::env::var_os("HONMARU_STATE").is_some_and(|known| known == self.state.as_os_str());
        let mut flags = String::new();
        if self.state != Path::new(STATE_DEFAULT) && !is_known {
            flags = format!(" --state {}", self.state.display());
        }
        if let Some(endpoint) = &self.endpoint {
            flags = format!("{flags} --endpoint {endpoint}");
        }
        flags
    }
}
