//! From an image source to a prepared image: manifest, configuration, layers.

use super::record::Source;
use super::store::{LayerStore, remove_tree};
use super::{LayerLease, PreparedImage, PullError, error::PullCause};
use crate::blobs::{at, blocking};
use crate::oci::CONFIG_BYTES_MAX;
use crate::{Algorithm, BlobStore, Expected, UnpackError, unpack_layer};
use crate::{Descriptor, Digest, Image, ImageSource, MANIFEST_BYTES_MAX, Manifest, Platform, Reference, RemoteError};
use bytes::Bytes;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;

/// How often a pull is tried when its failure may pass.
const ATTEMPTS_MAX: u32 = 3;
/// The first wait between attempts; it doubles.
const BACKOFF: Duration = Duration::from_millis(500);
/// Pieces of a layer between the network and the unpacker.
const PIECES_QUEUED_MAX: usize = 32;
/// Ref: overlayfs: OVL_MAX_STACK is 500.
const LAYERS_MAX: usize = 500;

/// Where blobs of an image come from.
#[derive(Clone)]
enum Origin {
    Registry,
    Remote {
        reference: Arc<Reference>,
        credentials: Option<String>,
    },
}

impl Origin {
    fn source(&self) -> Source {
        match self {
            Self::Registry => Source::Registry,
            Self::Remote { credentials: None, .. } => Source::Public,
            Self::Remote { .. } => Source::Guarded,
        }
    }

    /// Whether a blob may be taken. The registry holds no foreign ones: a manifest may name anybody's as such, and nobody
    /// asks whose they are.
    fn check(&self, descriptor: &Descriptor) -> Result<(), PullCause> {
        match self {
            Self::Registry if descriptor.is_foreign() => Err(PullCause::BlobMissing(descriptor.digest.to_string())),
            Self::Registry | Self::Remote { .. } => Ok(()),
        }
    }
}

pub(super) async fn prepare(store: &LayerStore, image: ImageSource) -> Result<PreparedImage, PullError> {
    let named = match &image {
        ImageSource::Local { manifest_digest } => manifest_digest.clone(),
        ImageSource::Remote { reference, .. } => reference
            .parse::<Reference>()
            .map_or_else(|_| reference.clone(), |reference| reference.to_string()),
    };
    let mut attempts = 1;
    let mut wait = BACKOFF;
    loop {
        match attempt(store, &image).await {
            Ok(prepared) => return Ok(prepared),
            Err(cause) if cause.is_transient() && attempts < ATTEMPTS_MAX => {
                tracing::info!(image = %named, attempts, err = %honmaru_base::chain(&cause), "pull is tried again");
                tokio::time::sleep(wait).await;
                wait *= 2;
                attempts += 1;
            }
            Err(cause) => {
                return Err(PullError {
                    attempts,
                    reference: named,
                    cause,
                });
            }
        }
    }
}

async fn attempt(store: &LayerStore, image: &ImageSource) -> Result<PreparedImage, PullCause> {
    let origin = match image {
        ImageSource::Local { .. } => Origin::Registry,
        ImageSource::Remote { reference, credentials } => {
            let reference = reference
                .parse()
                .map_err(|error| PullCause::Remote(RemoteError::Reference(error)))?;
            Origin::Remote {
                reference: Arc::new(reference),
                credentials: credentials.clone(),
            }
        }
    };
    let (mut digest, mut manifest) = match (&origin, image) {
        (_, ImageSource::Local { manifest_digest }) => {
            let digest: Digest = manifest_digest.parse().map_err(PullCause::Digest)?;
            let manifest = manifest_at(store, &origin, &digest, None).await?;
            (digest, manifest)
        }
        (Origin::Remote { reference, credentials }, ImageSource::Remote { .. }) => match reference.digest() {
            Some(digest) => (digest.clone(), manifest_at(store, &origin, digest, None).await?),
            None => {
                let remotes = &store.shared.remotes;
                let found = remotes
                    .manifest(reference, None, credentials.as_deref())
                    .await
                    .map_err(remote)?;
                let manifest = Manifest::parse(&found.bytes, found.media_type.as_deref());
                let manifest = manifest.map_err(PullCause::Manifest)?;
                let digest = store
                    .shared
                    .pulled
                    .put(Algorithm::Sha256, found.bytes)
                    .await
                    .map_err(PullCause::Store)?;
                (digest, manifest)
            }
        },
        (Origin::Registry, ImageSource::Remote { .. }) => return Err(PullCause::NotFound),
    };
    if manifest.is_index() {
        let host = Platform::host();
        let unfit = || PullCause::Platform(format!("{}/{}", host.os, host.architecture));
        // Whose manifests an index of the registry names is known to the registry alone, which chose one.
        if matches!(origin, Origin::Registry) {
            return Err(unfit());
        }
        let chosen = manifest.select(&host).ok_or_else(unfit)?.clone();
        manifest = manifest_at(store, &origin, &chosen.digest, Some(&chosen.media_type)).await?;
        digest = chosen.digest;
    }
    let config = manifest
        .config
        .clone()
        .ok_or_else(|| PullCause::Config("it is absent".to_owned()))?;
    origin.check(&config)?;
    let bytes = blob(store, &origin, &config).await?;
    let parsed: Image = serde_json::from_slice(&bytes).map_err(|error| PullCause::Config(error.to_string()))?;
    let diff_ids = &parsed.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() || diff_ids.len() > LAYERS_MAX {
        let (layers, ids) = (manifest.layers.len(), diff_ids.len());
        return Err(PullCause::Config(format!(
            "{layers} layers and {ids} diff ids, at most {LAYERS_MAX}"
        )));
    }
    let lease = layers(
        store,
        &origin,
        &manifest.layers,
        diff_ids,
        vec![digest.clone(), config.digest],
    )
    .await?;
    let layers = stacked(lease.layers())
        .into_iter()
        .map(|diff_id| store.layer_path(diff_id))
        .collect();
    Ok(PreparedImage {
        manifest_digest: digest.to_string(),
        config: parsed.config.unwrap_or_default(),
        layers,
        lease,
    })
}

/// The layers to stack. One that occurs twice hides its lower occurrence wholly, and overlay refuses a directory twice.
fn stacked(diff_ids: &[Digest]) -> Vec<&Digest> {
    let last = |at: usize, diff_id: &Digest| !diff_ids.iter().skip(at + 1).any(|later| later == diff_id);
    diff_ids
        .iter()
        .enumerate()
        .filter(|(at, diff_id)| last(*at, diff_id))
        .map(|(_, diff_id)| diff_id)
        .collect()
}

fn remote(error: RemoteError) -> PullCause {
    if error.is_not_found() {
        PullCause::NotFound
    } else {
        PullCause::Remote(error)
    }
}

async fn manifest_at(
    store: &LayerStore,
    origin: &Origin,
    digest: &Digest,
    media_type: Option<&str>,
) -> Result<Manifest, PullCause> {
    let max = MANIFEST_BYTES_MAX as u64;
    let known = match origin {
        Origin::Registry => store
            .shared
            .registry
            .read(digest, max)
            .await
            .map_err(PullCause::Store)?,
        Origin::Remote { .. } => store.shared.pulled.read(digest, max).await.map_err(PullCause::Store)?,
    };
    let bytes = match (known, origin) {
        (Some(bytes), _) => bytes,
        (None, Origin::Registry) => return Err(PullCause::NotFound),
        (None, Origin::Remote { reference, credentials }) => {
            let remotes = &store.shared.remotes;
            let found = remotes
                .manifest(reference, Some(digest), credentials.as_deref())
                .await
                .map_err(remote)?;
            store
                .shared
                .pulled
                .put(digest.algorithm(), found.bytes.clone())
                .await
                .map_err(PullCause::Store)?;
            found.bytes
        }
    };
    Manifest::parse(&bytes, media_type.filter(|kind| !kind.is_empty())).map_err(PullCause::Manifest)
}

/// A small blob: the configuration.
async fn blob(store: &LayerStore, origin: &Origin, descriptor: &Descriptor) -> Result<Bytes, PullCause> {
    let digest = &descriptor.digest;
    let from: &BlobStore = match origin {
        Origin::Registry => &store.shared.registry,
        Origin::Remote { .. } => &store.shared.pulled,
    };
    if let Some(bytes) = from
        .read(digest, CONFIG_BYTES_MAX as u64)
        .await
        .map_err(PullCause::Store)?
    {
        return Ok(bytes);
    }
    let Origin::Remote { reference, credentials } = origin else {
        return Err(PullCause::BlobMissing(digest.to_string()));
    };
    let mut body = store
        .shared
        .remotes
        .blob(reference, digest, credentials.as_deref())
        .await
        .map_err(remote)?;
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece.map_err(PullCause::Remote)?);
        if bytes.len() > CONFIG_BYTES_MAX {
            return Err(PullCause::Config(format!("more than {CONFIG_BYTES_MAX} bytes")));
        }
    }
    let actual = Digest::of(digest.algorithm(), &bytes);
    if actual != *digest {
        return Err(PullCause::Remote(RemoteError::Digest {
            expected: digest.clone(),
            actual,
        }));
    }
    let bytes = Bytes::from(bytes);
    from.put(digest.algorithm(), bytes.clone())
        .await
        .map_err(PullCause::Store)?;
    Ok(bytes)
}

/// Sees to it that every layer is there, and leases them all.
async fn layers(
    store: &LayerStore,
    origin: &Origin,
    descriptors: &[Descriptor],
    diff_ids: &[Digest],
    blobs: Vec<Digest>,
) -> Result<LayerLease, PullCause> {
    let mut work = JoinSet::new();
    for (descriptor, diff_id) in descriptors.iter().zip(diff_ids) {
        origin.check(descriptor)?;
        let (store, origin) = (store.clone(), origin.clone());
        let expected = Expected {
            digest: descriptor.digest.clone(),
            diff_id: diff_id.clone(),
        };
        let size = u64::try_from(descriptor.size).unwrap_or(0);
        work.spawn(async move { layer(&store, &origin, expected, size).await });
    }
    let mut leases = Vec::with_capacity(diff_ids.len());
    // The first failure drops the set, which ends the other downloads.
    while let Some(done) = work.join_next().await {
        match done {
            Ok(lease) => leases.push(lease?),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    // One lease for all, taken while the single ones still hold.
    Ok(store.lease(diff_ids.to_vec(), blobs))
}

/// The right to unpack one layer. It travels with the work that blocks: when a pull is given up, that work runs on for
/// a moment, and nobody else may begin the same layer before it has ended.
struct Turn {
    _gate: OwnedMutexGuard<()>,
    _slot: OwnedSemaphorePermit,
}

async fn layer(store: &LayerStore, origin: &Origin, expected: Expected, size: u64) -> Result<LayerLease, PullCause> {
    let diff_id = expected.diff_id.clone();
    let gate = store.gate(&diff_id).lock_owned().await;
    if store.has_layer(&expected, origin.source()).map_err(PullCause::Store)? {
        return Ok(store.lease(vec![diff_id], Vec::new()));
    }
    // A closed semaphore would be a bug of ours: it is never closed.
    let slot = store
        .shared
        .slots
        .clone()
        .acquire_owned()
        .await
        .expect("the slots are never closed");
    let turn = Turn {
        _gate: gate,
        _slot: slot,
    };
    let turn = match origin {
        Origin::Registry => unpack_local(store, expected, turn).await?,
        Origin::Remote { reference, credentials } => {
            let (credentials, source) = (credentials.as_deref(), origin.source());
            unpack_remote(store, reference, credentials, source, expected, size, turn).await?
        }
    };
    let lease = store.lease(vec![diff_id], Vec::new());
    drop(turn);
    Ok(lease)
}

async fn unpack_local(store: &LayerStore, expected: Expected, turn: Turn) -> Result<Turn, PullCause> {
    let store = store.clone();
    blocking(move || {
        let missing = || PullCause::BlobMissing(expected.digest.to_string());
        let (file, _) = store
            .shared
            .registry
            .open_blob(&expected.digest)
            .map_err(PullCause::Store)?
            .ok_or_else(missing)?;
        unpack(&store, file.into_reader(), &expected, Source::Registry).map(|()| turn)
    })
    .await
}

/// Unpacks while downloading: the compressed layer is never stored.
async fn unpack_remote(
    store: &LayerStore,
    reference: &Reference,
    credentials: Option<&str>,
    source: Source,
    expected: Expected,
    size: u64,
    turn: Turn,
) -> Result<Turn, PullCause> {
    let mut body = store
        .shared
        .remotes
        .blob(reference, &expected.digest, credentials)
        .await
        .map_err(remote)?;
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(PIECES_QUEUED_MAX);
    let unpacking = {
        let store = store.clone();
        let pieces = Pieces {
            receiver,
            piece: Bytes::new(),
        };
        tokio::task::spawn_blocking(move || unpack(&store, pieces, &expected, source).map(|()| turn))
    };
    let mut received = 0_u64;
    let mut failure = None;
    while let Some(piece) = body.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                let _ = sender.send(Err(io::Error::other("the download ended early"))).await;
                failure = Some(error);
                break;
            }
        };
        received += piece.len() as u64;
        // More than the manifest says cannot have the right digest: the unpacker is told to stop.
        let piece = if received > size {
            Err(io::Error::other("more bytes than announced"))
        } else {
            Ok(piece)
        };
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    drop(sender);
    let unpacked = match unpacking.await {
        Ok(unpacked) => unpacked,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    match (unpacked, failure) {
        (Err(_), Some(error)) => Err(PullCause::Remote(error)),
        (unpacked, _) => unpacked,
    }
}

/// Unpacks into a temporary directory and publishes the layer; leaves nothing when it fails. Blocks.
fn unpack(store: &LayerStore, bytes: impl Read, expected: &Expected, source: Source) -> Result<(), PullCause> {
    let temporary = store.temporary_path();
    std::fs::create_dir(&temporary)
        .map_err(at("create directory", &temporary))
        .map_err(PullCause::Store)?;
    let failed = |source: UnpackError| PullCause::Layer {
        diff_id: expected.diff_id.to_string(),
        source,
    };
    let done = unpack_layer(bytes, expected, &temporary, &store.shared.limits)
        .map_err(failed)
        .and_then(|unpacked| store.publish(&temporary, &unpacked, source));
    if done.is_err()
        && let Err(error) = remove_tree(&temporary)
    {
        tracing::warn!(dir = %temporary.display(), err = %honmaru_base::chain(&error), "leftover of a layer stays");
    }
    done
}

/// Pieces from the network as a blocking reader.
struct Pieces {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let n = self.piece.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.piece.split_to(n));
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_that_occurs_twice_is_stacked_once_at_its_upper_place() {
        let [a, b] = [Digest::sha256(b"a"), Digest::sha256(b"b")];
        assert_eq!(stacked(&[a.clone(), b.clone(), a.clone()]), [&b, &a]);
        assert_eq!(stacked(&[a.clone(), b.clone()]), [&a, &b]);
    }
}
