//! The keys of OpenID Connect issuers, fetched before AssumeRoleWithWebIdentity needs them.
//!
//! Only issuers that the role's account has made a provider are asked, and each at most once in [`PAUSE`], whatever
//! callers send; over https only, but in development mode also over plain HTTP on this machine. Redirects are not
//! followed. A slow issuer keeps its own callers waiting, and nobody else.

use crate::trust;
use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use honmaru_engine::{Engine, EngineError};
use honmaru_sts::JWKS_BYTES_MAX;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

/// How long both documents together may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two fetches of one issuer, also after a failure: a token with an unknown key may not cause more.
const PAUSE: Duration = Duration::from_secs(10);
/// Keys are fetched again after this time even if a token's key is known: issuers withdraw keys.
const FRESH: Duration = Duration::from_secs(3_600);
/// Issuers remembered at most; each is a provider that somebody with permissions has made.
const ISSUERS_MAX: usize = 256;
struct Known {
    asked: Instant,
    key_ids: Vec<String>,
}

/// Nothing before the first fetch. The lock is held while the issuer is asked: calls for it wait for the one answer.
type Slot = Arc<Mutex<Option<Known>>>;

/// The issuer does not answer, as opposed to answering badly.
#[derive(Debug, thiserror::Error)]
#[error("the issuer cannot be reached")]
struct Unreachable;

/// Which issuers were asked, and when.
pub struct Issuers {
    ca: Option<PathBuf>,
    /// Whether issuers on this machine may speak plain HTTP.
    dev: bool,
    known: std::sync::Mutex<HashMap<String, Slot>>,
}

/// What a token says before its signature is verified: good for nothing but finding the issuer's key.
struct Claimed {
    issuer: String,
    key_id: Option<String>,
}

fn claimed(token: &str) -> Option<Claimed> {
    let mut parts = token.split('.').take(2).map(|part| {
        let json = URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice::<Value>(&json).ok()
    });
    let (header, claims) = (parts.next()??, parts.next()??);
    Some(Claimed {
        issuer: claims.get("iss")?.as_str()?.to_owned(),
        key_id: header.get("kid").and_then(Value::as_str).map(str::to_owned),
    })
}

impl Issuers {
    /// Nobody is known yet; `ca` are further certificates to trust, `dev` allows plain HTTP on this machine.
    pub fn new(ca: Option<PathBuf>, dev: bool) -> Self {
        Self {
            ca,
            dev,
            known: std::sync::Mutex::default(),
        }
    }

    /// Sees to it that the state has the keys for a call's token, if they can be had. The call itself says what is
    /// wrong when they cannot.
    pub async fn ensure(&self, engine: &Engine, input: &Value) -> Result<(), EngineError> {
        let text = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(Claimed { issuer, key_id }) = claimed(&text("WebIdentityToken")) else {
            return Ok(());
        };
        let Some(url) = self.key_of(&issuer).map(str::to_owned) else {
            return Ok(());
        };
        let role = text("RoleArn");
        let is_provider = engine.read(|state| {
            let account = honmaru_iam::role_by_arn(state, &role).map(|(account, _)| account);
            account.is_some_and(|account| honmaru_iam::oidc_provider(state, &account, &issuer).is_some())
        });
        if !is_provider.await? {
            return Ok(());
        }
        let Some(slot) = self.slot(&url) else {
            return Ok(());
        };
        let mut known = slot.lock().await;
        if let Some(issuer) = known.as_ref() {
            let has_key = key_id.as_ref().is_none_or(|id| issuer.key_ids.contains(id)) && !issuer.key_ids.is_empty();
            let limit = if has_key { FRESH } else { PAUSE };
            if issuer.asked.elapsed() < limit {
                return Ok(());
            }
        }
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.fetch(&issuer)).await;
        let fetched = fetched.map_err(|_| anyhow::Error::new(Unreachable).context("no answer in time"));
        let (jwks, is_unreachable) = match fetched.flatten() {
            Ok(jwks) => (Some(jwks), false),
            Err(error) => {
                tracing::warn!(issuer, error = %format!("{error:#}"), "failed to fetch the keys of an issuer");
                (None, error.is::<Unreachable>())
            }
        };
        *known = Some(Known {
            asked: Instant::now(),
            key_ids: jwks.as_deref().map(key_ids).unwrap_or_default(),
        });
        let put = engine.write(move |tx| -> Result<(), honmaru_base::ApiError> {
            match jwks {
                // It takes whatever the bound of the fetch lets through.
                Some(jwks) => drop(honmaru_sts::put_issuer_keys(tx, &issuer, &jwks)),
                None if is_unreachable => honmaru_sts::note_unreachable_issuer(tx, &issuer),
                None => {}
            }
            Ok(())
        });
        let _ = put.await?;
        Ok(())
    }

    /// What is known of an issuer; nothing when too many are known already.
    fn slot(&self, url: &str) -> Option<Slot> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ISSUERS_MAX && !known.contains_key(url) {
            // One that cannot be locked is being asked.
            let is_fresh = |known: &Option<Known>| known.as_ref().is_some_and(|known| known.asked.elapsed() < FRESH);
            known.retain(|_, slot| slot.try_lock().map_or(true, |known| is_fresh(&known)));
            if known.len() >= ISSUERS_MAX {
                return None;
            }
        }
        Some(known.entry(url.to_owned()).or_default().clone())
    }
}

impl Issuers {
    /// An issuer's URL as providers are kept by it, unless it may not be asked.
    fn key_of<'a>(&self, url: &'a str) -> Option<&'a str> {
        honmaru_iam::issuer_key(url).filter(|_| self.dev || url.starts_with("https://"))
    }

    /// The issuer's key set. Ref: OpenID Connect Discovery 1.0, section 4.
    async fn fetch(&self, issuer: &str) -> anyhow::Result<String> {
        let tls = trust::connector(self.ca.as_deref())?;
        let base = issuer.trim_end_matches('/');
        let document = get(&tls, &format!("{base}/.well-known/openid-configuration")).await?;
        let document: Value = serde_json::from_str(&document).context("the discovery document is no JSON")?;
        // Ref: section 4.3: the issuer must be exactly the one that was asked.
        if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
            bail!("the discovery document is another issuer's");
        }
        let uri = document
            .get("jwks_uri")
            .and_then(Value::as_str)
            .context("the discovery document has no jwks_uri")?;
        // Only its scheme and host: the keys' address may have a query.
        let plain = uri.split(['?', '#']).next().unwrap_or_default();
        if self.key_of(plain).is_none() {
            bail!("`{uri}` is not https");
        }
        get(&tls, uri).await
    }
}

/// The ids of a key set; a key without one has an empty id.
fn key_ids(jwks: &str) -> Vec<String> {
    let set: Value = serde_json::from_str(jwks).unwrap_or_default();
    let keys = set.get("keys").and_then(Value::as_array).into_iter().flatten();
    keys.map(|key| key.get("kid").and_then(Value::as_str).unwrap_or_default().to_owned())
        .collect()
}

/// A small document.
async fn get(tls: &TlsConnector, url: &str) -> anyhow::Result<String> {
    let uri: Uri = url.parse().with_context(|| format!("`{url}` is no URL"))?;
    let is_secure = uri.scheme_str() == Some("https");
    let host = uri.host().with_context(|| format!("`{url}` names no host"))?;
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let name = host.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
    let stream = TcpStream::connect((name.as_str(), port)).await;
    let stream = stream
        .context(Unreachable)
        .with_context(|| format!("failed to connect to {authority}"))?;
    if !is_secure {
        return ask(stream, &uri, &authority).await;
    }
    let stream = tls.connect(ServerName::try_from(name)?, stream).await;
    ask(
        stream.with_context(|| format!("no TLS with {authority}"))?,
        &uri,
        &authority,
    )
    .await
}

async fn ask<S>(stream: S, uri: &Uri, authority: &str) -> anyhow::Result<String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/json");
    let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await;
    let answer = answer.context(Unreachable)?;
    let status = answer.status();
    if status.is_server_error() {
        return Err(anyhow::Error::new(Unreachable).context(format!("{uri} answered {status}")));
    }
    if !status.is_success() {
        bail!("{uri} answered {status}");
    }
    let body = Limited::new(answer.into_body(), JWKS_BYTES_MAX).collect().await;
    let body = body
        .map_err(|error| anyhow::anyhow!("{uri} answered badly: {error}"))?
        .to_bytes();
    driver.abort();
    String::from_utf8(body.to_vec()).with_context(|| format!("{uri} answered no text"))
}
