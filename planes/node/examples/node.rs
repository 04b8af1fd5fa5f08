//! The agent as a process of its own, for tests that kill it: `node <state dir> <socket> <control's uid>`.

use honmaru_node::{NodeConfig, run};
use std::path::PathBuf;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or_else(|| format!("{what} is missing"));
    let state_dir = PathBuf::from(next("the state directory")?);
    let config = NodeConfig {
        blob_key: state_dir.join("blobs.key"),
        state_dir,
        socket: next("the socket")?.into(),
        control_uid: next("control's uid")?.parse()?,
        name: "test".to_owned(),
        version: "0".to_owned(),
        local_registries: honmaru_images::Loopback::Closed,
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    run(config, std::future::pending()).await?;
    Ok(())
}
