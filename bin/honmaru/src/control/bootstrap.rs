//! What must be there before the first call: keys, the administrator, the default VPC of a scope.

use super::ControlOptions;
use super::scopes::KnownScopes;
use crate::trust;
use anyhow::Context;
use honmaru_base::{ApiError, Scope};
use honmaru_engine::Engine;
use honmaru_identity::Sealer;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The keys of the first administrator, as `<state>/control/credentials.json` holds them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AdministratorKeys {
    /// `AKIA...`.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
    /// The account.
    pub account: String,
    /// The region of the first start.
    pub region: String,
    /// The endpoint: `https://` when it speaks TLS under a name of its certificate.
    pub endpoint: String,
    /// The PEM file that vouches for the endpoint's certificate, where the system's authorities do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The shared entry of the load balancers.
    pub entry: String,
    /// The same with TLS, where it has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_entry: Option<String>,
}

/// What the first steps yield.
pub struct Bootstrap {
    /// Seals and opens session tokens.
    pub sealer: Sealer,
    /// The scopes that have their default VPC.
    pub scopes: KnownScopes,
}

/// Makes what is missing.
pub async fn run(engine: &Engine, options: &ControlOptions) -> anyhow::Result<Bootstrap> {
    let scope = Scope {
        account: options.account.clone(),
        region: options.region.clone(),
    };
    let (for_write, dev) = (scope.clone(), options.dev);
    let ensured = engine
        .write(move |tx| -> Result<_, ApiError> {
            if dev {
                honmaru_iam::allow_loopback_issuers(tx);
            }
            let sealing_key = honmaru_sts::ensure_key(tx);
            let administrator = honmaru_iam::ensure_administrator(tx, &for_write.account);
            Ok((sealing_key, administrator))
        })
        .await?;
    let (sealing_key, (access_key_id, secret_access_key)) = ensured.context("failed to make the first keys")?;
    let scopes = KnownScopes::open(engine).await?;
    scopes
        .ensure(engine, &scope)
        .await?
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let (endpoint, ca) = endpoint(options)?;
    let keys = AdministratorKeys {
        access_key_id,
        secret_access_key,
        account: options.account.to_string(),
        region: options.region.to_string(),
        endpoint,
        ca,
        entry: format!("http://{}", options.http),
        secure_entry: options.https.map(|address| format!("https://{address}")),
    };
    write_keys(&options.dirs.credentials(), &keys)?;
    Ok(Bootstrap {
        sealer: Sealer::new(&sealing_key),
        scopes,
    })
}

/// The endpoint's URL for clients on this machine, and what vouches for it.
fn endpoint(options: &ControlOptions) -> anyhow::Result<(String, Option<String>)> {
    let plain = format!("http://{}", options.listen);
    let Some(files) = &options.tls else {
        return Ok((plain, None));
    };
    let chain = trust::certificates(&files.cert)?;
    let Some(host) = trust::host_for(&chain, options.listen) else {
        tracing::warn!("the certificate has no name that leads to this endpoint: commands here use plain HTTP");
        return Ok((plain, None));
    };
    let ca = options.tls_ca.as_ref().map(|path| path.display().to_string());
    let ca = ca.filter(|_| !trust::is_believed_by_system(&chain, &host));
    Ok((format!("https://{host}:{}", options.listen.port()), ca))
}

fn write_keys(path: &Path, keys: &AdministratorKeys) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    let _ = std::fs::remove_file(&partial);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .with_context(|| format!("failed to write {}", partial.display()))?;
    file.write_all(&serde_json::to_vec_pretty(keys)?)?;
    file.sync_all()?;
    std::fs::rename(&partial, path).with_context(|| format!("failed to write {}", path.display()))
}
