//! What this service asks of whoever keeps the bytes and drives the engine.

use honmaru_base::ApiError;
use honmaru_machine::{BoxFuture, State, Tx};
use serde_json::Value;

/// A look at the state.
pub type Look = Box<dyn FnOnce(&State) -> Result<Value, ApiError> + Send>;
/// A change of the state; on an error every change is taken back.
pub type Change = Box<dyn FnOnce(&mut Tx<'_>) -> Result<Value, ApiError> + Send>;

/// What became of a part of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// The upload has so many bytes now.
    At(u64),
    /// The part does not begin where the upload ends: at this byte.
    OutOfOrder(u64),
    /// No such upload.
    Unknown,
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completed {
    /// The blob is whole and durable, with so many bytes.
    Done(u64),
    /// Nothing was uploaded.
    Empty,
    /// The content has another digest; nothing of it remains.
    Mismatch,
    /// No such upload.
    Unknown,
}

/// The keeper of blobs. `owner` is `<account>/<region>/<repository>`, as the registry plane names its uploads.
pub trait Layers: Send + Sync {
    /// Looks at the state.
    fn read(&self, look: Look) -> BoxFuture<Result<Value, ApiError>>;
    /// Changes the state; returns when the change is durable.
    fn write(&self, change: Change) -> BoxFuture<Result<Value, ApiError>>;
    /// Stores a manifest's bytes under their SHA-256 digest, durably.
    fn put_blob(&self, bytes: Vec<u8>) -> BoxFuture<Result<(), ApiError>>;
    /// A blob of at most `bytes_max` bytes.
    fn get_blob(&self, digest: String, bytes_max: u64) -> BoxFuture<Result<Option<Vec<u8>>, ApiError>>;
    /// Begins an upload and returns its id.
    fn begin_upload(&self, owner: String) -> BoxFuture<Result<String, ApiError>>;
    /// Adds a part that begins at byte `first`.
    fn append_upload(
        &self,
        owner: String,
        id: String,
        first: u64,
        bytes: Vec<u8>,
    ) -> BoxFuture<Result<Appended, ApiError>>;
    /// Ends an upload whose content must have this digest.
    fn complete_upload(&self, owner: String, id: String, digest: String) -> BoxFuture<Result<Completed, ApiError>>;
}
