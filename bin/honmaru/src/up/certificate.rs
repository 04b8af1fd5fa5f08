//! Files that `control` needs and, having no privileges, may not be able to read: copied to where it can.

use super::UpOptions;
use crate::control::{TlsFiles, check_upstream_secrets, rewrite_replicas, tls_acceptor};
use crate::dirs::Dirs;
use crate::trust;
use crate::users::CONTROL_UID;
use anyhow::Context;
use sha2::{Digest, Sha256};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

/// The options with the copies' paths. A copy's name tells its content: with a renewed certificate the role's options
/// differ, and `up` starts `control` anew.
pub(super) fn install(mut options: UpOptions, dirs: &Dirs) -> anyhow::Result<UpOptions> {
    if let (Some(cert), Some(key)) = (&options.tls_cert, &options.tls_key) {
        let files = TlsFiles {
            cert: cert.clone(),
            key: key.clone(),
        };
        // Wrong files are refused here, with a sentence, and not by a role that ends again and again.
        tls_acceptor(&files)?;
        options.tls_cert = Some(copy(dirs, &files.cert, "crt")?);
        options.tls_key = Some(copy(dirs, &files.key, "key")?);
        // Without an authority's file the chain vouches for itself.
        let vouching = options.tls_ca.take().unwrap_or(files.cert);
        trust::certificates(&vouching)?;
        let bytes = fs::read(&vouching).with_context(|| format!("failed to read {}", vouching.display()))?;
        let path = dirs.tls_ca();
        write(&path, &bytes, 0o644, 0).with_context(|| format!("failed to write {}", path.display()))?;
        options.tls_ca = Some(path);
    } else {
        // That of an earlier start vouches for nobody.
        let _ = fs::remove_file(dirs.tls_ca());
    }
    if let Some(file) = &options.oidc_ca {
        options.oidc_ca = Some(copy(dirs, file, "ca")?);
    }
    if let Some(file) = &options.upstream_ca {
        options.upstream_ca = Some(copy(dirs, file, "ca")?);
    }
    if let Some(file) = &options.upstream_secrets {
        check_upstream_secrets(file)?;
        options.upstream_secrets = Some(copy(dirs, file, "secrets")?);
    }
    if let Some(file) = &options.replicas {
        let bytes = rewrite_replicas(file, |ca| copy(dirs, ca, "ca"))?;
        options.replicas = Some(keep(dirs, &bytes, "replicas")?);
    }
    Ok(options)
}

fn copy(dirs: &Dirs, from: &Path, suffix: &str) -> anyhow::Result<PathBuf> {
    let bytes = fs::read(from).with_context(|| format!("failed to read {}", from.display()))?;
    keep(dirs, &bytes, suffix)
}

fn keep(dirs: &Dirs, bytes: &[u8], suffix: &str) -> anyhow::Result<PathBuf> {
    let digest = hex::encode(Sha256::digest(bytes));
    let path = dirs
        .control()
        .join(format!("tls-{}.{suffix}", digest.get(..16).unwrap_or(&digest)));
    write(&path, bytes, 0o600, CONTROL_UID).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(path)
}

fn write(path: &Path, bytes: &[u8], mode: u32, uid: u32) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    let _ = fs::remove_file(&partial);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&partial)?;
    file.write_all(bytes)?;
    chown(&partial, Some(uid), Some(uid))?;
    fs::rename(&partial, path)
}
