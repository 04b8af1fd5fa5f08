//! Where node and edge dial in: a unix socket whose peers prove who they are by their user id.

use super::{Control, edge_link, link, node_link};
use crate::users::uid_of;
use anyhow::{Context, bail};
use honmaru_contract::edge::FromEdge;
use honmaru_contract::node::FromNode;
use honmaru_contract::{Hello, PROTOCOL};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};

/// How long a plane has for its first message.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Accepts planes, for ever.
pub async fn serve(control: Arc<Control>, path: &Path) -> anyhow::Result<()> {
    // A socket of a control that was killed: the role's lock says that it is gone.
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).with_context(|| format!("failed to listen on {}", path.display()))?;
    // Who may connect is decided by the peer's user id, below.
    std::fs::set_permissions(path, Permissions::from_mode(0o666))?;
    loop {
        let (stream, _) = listener.accept().await.context("failed to accept a plane")?;
        let control = control.clone();
        tokio::spawn(async move {
            if let Err(error) = welcome(control, stream).await {
                tracing::warn!(error = %format!("{error:#}"), "a plane's connection ended");
            }
        });
    }
}

async fn welcome(control: Arc<Control>, stream: UnixStream) -> anyhow::Result<()> {
    let peer = stream.peer_cred().context("failed to learn who dials")?.uid();
    if peer == uid_of("node") {
        let (mut receiver, sender) = link::split::<FromNode, _>(stream);
        match tokio::time::timeout(HELLO_TIMEOUT, receiver.next())
            .await
            .context("no greeting came")??
        {
            Some(FromNode::Hello(hello)) => {
                check("node", &hello)?;
                node_link::run(control, hello, receiver, sender).await
            }
            _ => bail!("a node said something else before its greeting"),
        }
    } else if peer == uid_of("edge") {
        let (mut receiver, sender) = link::split::<FromEdge, _>(stream);
        match tokio::time::timeout(HELLO_TIMEOUT, receiver.next())
            .await
            .context("no greeting came")??
        {
            Some(FromEdge::Hello(hello)) => {
                check("edge", &hello)?;
                edge_link::run(control, receiver, sender).await
            }
            _ => bail!("an edge said something else before its greeting"),
        }
    } else {
        bail!("a process of user {peer} dialled; only node and edge may")
    }
}

fn check(role: &str, hello: &Hello) -> anyhow::Result<()> {
    if hello.role != role {
        bail!("a process of the user of `{role}` says that it is `{}`", hello.role);
    }
    if hello.protocol != PROTOCOL {
        bail!(
            "`{role}` speaks protocol {}, this control {PROTOCOL}: upgrade the older one",
            hello.protocol
        );
    }
    tracing::info!(role, name = hello.name, version = hello.version, "a plane connected");
    Ok(())
}
