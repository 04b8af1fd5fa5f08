//! The certificates of apps among IAM's server certificates: each app's have a path of their own, and a certificate's name
//! follows from its content. So what is there already is not uploaded again, and what is left over is found.

use super::{DAY_MS, Facts, Pair, SOON_DAYS, wrong};
use crate::cli::app::App;
use crate::cli::audit::at_ms;
use crate::cli::client::{Client, IAM, code_of};
use crate::cli::deploy::upper_tags;
use anyhow::Context;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use std::net::IpAddr;

/// The path of all apps' certificates.
const PATH: &str = "/honmaru/";
/// Pages of certificates at most.
const PAGES_MAX: usize = 50;

/// A certificate that IAM keeps for an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The app's name.
    pub app: String,
    /// Its own.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was uploaded and when it ends, in milliseconds since the epoch.
    pub uploaded_ms: i64,
    pub ends_ms: i64,
}

/// Whether a certificate ends so soon that its owner is warned.
pub fn ends_soon(ends_ms: i64, now_ms: i64) -> bool {
    ends_ms - now_ms < SOON_DAYS * DAY_MS
}

/// The app whose certificate an ARN names.
pub fn app_of(arn: &str) -> Option<&str> {
    let (_, path) = arn.split_once(":server-certificate")?;
    path.strip_prefix(PATH)?.split_once('/').map(|(app, _)| app)
}

/// The certificates of all apps.
pub async fn of_all(client: &Client) -> anyhow::Result<Vec<Kept>> {
    list(client, PATH).await
}

/// The certificates of an app, the newest last.
pub async fn of_app(client: &Client, app: &App) -> anyhow::Result<Vec<Kept>> {
    list(client, &path(app)).await
}

fn path(app: &App) -> String {
    format!("{PATH}{}/", app.name())
}

async fn list(client: &Client, path: &str) -> anyhow::Result<Vec<Kept>> {
    let mut input = json!({ "PathPrefix": path });
    let mut kept: Vec<Kept> = Vec::new();
    for _ in 0..PAGES_MAX {
        let answer = client.call(IAM, "ListServerCertificates", input.clone()).await?;
        let rows = answer["ServerCertificateMetadataList"].as_array();
        kept.extend(rows.into_iter().flatten().filter_map(row));
        let Some(marker) = answer["Marker"].as_str().filter(|_| answer["IsTruncated"] == "true") else {
            break;
        };
        input["Marker"] = Value::String(marker.to_owned());
    }
    kept.sort_by_key(|it| it.uploaded_ms);
    Ok(kept)
}

fn row(row: &Value) -> Option<Kept> {
    let text = |name: &str| row[name].as_str();
    let arn = text("Arn")?;
    Some(Kept {
        app: app_of(arn)?.to_owned(),
        name: text("ServerCertificateName")?.to_owned(),
        arn: arn.to_owned(),
        uploaded_ms: text("UploadDate").and_then(at_ms).unwrap_or_default(),
        ends_ms: text("Expiration").and_then(at_ms)?,
    })
}

/// Uploads a pair, unless it is there: its ARN.
pub async fn upload(client: &Client, app: &App, pair: &Pair) -> anyhow::Result<String> {
    let name = format!("{}-{}", app.name(), pair.digest);
    let known = of_app(client, app).await?;
    if let Some(known) = known.into_iter().find(|known| known.name == name) {
        return Ok(known.arn);
    }
    if !stays_private(&client.endpoint) {
        return Err(wrong(
            format!("the private key would travel unencrypted to {}", client.endpoint),
            "run the command on the cloud's machine, or start the cloud with `honmaru up --tls-cert FILE --tls-key FILE` and \
             use its `https://` endpoint",
        )
        .into());
    }
    let input = json!({
        "ServerCertificateName": name, "Path": path(app), "CertificateBody": pair.body_pem,
        "CertificateChain": pair.chain_pem, "PrivateKey": pair.key_pem(), "Tags": upper_tags(app),
    });
    let answer = client.call(IAM, "UploadServerCertificate", input).await?;
    let arn = answer["ServerCertificateMetadata"]["Arn"].as_str();
    Ok(arn.context("IAM does not say the certificate's ARN")?.to_owned())
}

/// Whether what is sent to an endpoint can be read on no network.
fn stays_private(endpoint: &str) -> bool {
    let Some(authority) = endpoint.strip_prefix("http://") else {
        return true;
    };
    let authority: Option<http::uri::Authority> = authority.parse().ok();
    authority.is_some_and(|authority| {
        let host = authority.host().trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    })
}

/// The server's own certificate of that name, and what it says of itself; nothing when there is none.
pub async fn read(client: &Client, name: &str) -> anyhow::Result<Option<(CertificateDer<'static>, Facts)>> {
    let of_name = json!({ "ServerCertificateName": name });
    let answer = match client.call(IAM, "GetServerCertificate", of_name).await {
        Err(error) if code_of(&error).is_some_and(|code| code.starts_with("NoSuchEntity")) => return Ok(None),
        answer => answer?,
    };
    let body = answer["ServerCertificate"]["CertificateBody"]
        .as_str()
        .unwrap_or_default();
    let leaf = rustls_pemfile::certs(&mut body.as_bytes()).find_map(Result::ok);
    Ok(leaf.and_then(|leaf| Facts::of(&leaf).map(|facts| (leaf, facts))))
}

/// Deletes an app's certificates but the one of that ARN. Those that something else serves with stay; what comes back are
/// their names.
pub async fn forget_others(client: &Client, app: &App, arn: Option<&str>) -> anyhow::Result<Vec<String>> {
    let mut stay = Vec::new();
    for old in of_app(client, app).await? {
        if Some(old.arn.as_str()) == arn {
            continue;
        }
        let delete = json!({ "ServerCertificateName": old.name });
        match client.call(IAM, "DeleteServerCertificate", delete).await {
            Err(error) if code_of(&error).is_some_and(|code| code.starts_with("DeleteConflict")) => stay.push(old.name),
            Err(error) if code_of(&error).is_some_and(|code| code.starts_with("NoSuchEntity")) => {}
            answer => {
                answer?;
            }
        }
    }
    Ok(stay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_to_this_machine_or_through_tls() {
        for (endpoint, private) in [
            ("http://127.0.0.1:4566", true),
            ("http://localhost:4566", true),
            ("http://[::1]:4566", true),
            ("https://cloud.example.com:4566", true),
            ("http://10.0.0.1:4566", false),
            ("http://cloud.example.com", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(stays_private(endpoint), private, "{endpoint}");
        }
    }

    #[test]
    fn an_apps_certificates_are_known_by_their_path() {
        let arn = |rest: &str| format!("arn:aws:iam::000000000000:server-certificate{rest}");
        assert_eq!(app_of(&arn("/honmaru/shop/shop-0123")), Some("shop"));
        for other in ["/shop", "/web/shop/a", "/honmaru/shop"] {
            assert_eq!(app_of(&arn(other)), None, "{other}");
        }
        let listed = json!({
            "Arn": arn("/honmaru/shop/shop-0123"), "ServerCertificateName": "shop-0123",
            "UploadDate": "2026-01-31T12:00:00Z", "Expiration": "2026-03-01T00:00:00Z",
        });
        let kept = row(&listed).expect("one of ours");
        assert_eq!((kept.uploaded_ms, kept.ends_ms), (1_769_860_800_000, 1_772_323_200_000));
    }
}
