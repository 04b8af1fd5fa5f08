//! Loading whole rulesets with Debian's `nft` program, from a script on its standard input.

use crate::NetworkError;
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long `nft` may take.
const NFT_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs a script as one transaction.
pub(crate) async fn load(script: &str) -> Result<(), NetworkError> {
    run(&["-f", "-"], script).await.map(drop)
}

/// Deletes a table of family inet; none is no error.
pub(crate) async fn delete_table(table: &str) -> Result<(), NetworkError> {
    load(&format!("table inet {table} {{ }}\ndelete table inet {table}\n")).await
}

/// A table of family inet as nft's JSON, or nothing when there is none.
pub(crate) async fn list_table(table: &str) -> Result<Option<Value>, NetworkError> {
    if !tables().await?.iter().any(|name| name == table) {
        return Ok(None);
    }
    json(&["-j", "list", "table", "inet", table]).await.map(Some)
}

/// All chains of this host, without their rules, as nft's JSON.
pub(crate) async fn list_chains() -> Result<Value, NetworkError> {
    json(&["-j", "list", "chains"]).await
}

/// A chain and its rules with their handles, as nft's JSON.
pub(crate) async fn list_chain(family: &str, table: &str, name: &str) -> Result<Value, NetworkError> {
    json(&["-j", "-a", "list", "chain", family, table, name]).await
}

async fn json(args: &[&str]) -> Result<Value, NetworkError> {
    let text = run(args, "").await?;
    serde_json::from_str(&text).map_err(|e| NetworkError::Nft(format!("its JSON is unreadable: {e}")))
}

/// The names of all tables of family inet.
pub(crate) async fn tables() -> Result<Vec<String>, NetworkError> {
    let text = run(&["list", "tables", "inet"], "").await?;
    Ok(text
        .lines()
        .filter_map(|line| line.strip_prefix("table inet "))
        .map(|name| name.trim().to_owned())
        .collect())
}

async fn run(args: &[&str], input: &str) -> Result<String, NetworkError> {
    let start = |source| NetworkError::system("run `nft` (Debian package nftables)", source);
    let mut child = Command::new("nft")
        .args(args)
        // The program is in /usr/sbin, which is not in everybody's path.
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let mut stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin.take() {
            // A write error means that nft ended early; its own words say why.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let both = async { tokio::join!(feed, child.wait_with_output()).1 };
    let output = tokio::time::timeout(NFT_TIMEOUT, both)
        .await
        .map_err(|_| NetworkError::Nft(format!("no end after {} s", NFT_TIMEOUT.as_secs())))?
        .map_err(start)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    text.truncate(text.floor_char_boundary(2_000));
    Err(NetworkError::Nft(text))
}
