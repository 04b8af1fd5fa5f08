//! What this service asks of whoever keeps the bytes and drives the engine.

use honmaru_base::ApiError;
use honmaru_machine::{BoxFuture, Call, Principal, State, Tx};
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

/// The parts that an upload came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts {
    /// How many.
    pub count: u64,
    /// Bytes of the smallest of all but the last one; nothing when there are fewer than two.
    pub smallest: Option<u64>,
    /// Bytes of the last one.
    pub last: u64,
}

impl Parts {
    /// The same with one more part.
    #[must_use]
    pub fn and(self, bytes: u64) -> Self {
        let before = (self.count > 0).then_some(self.last);
        Self {
            count: self.count + 1,
            smallest: self.smallest.into_iter().chain(before).min(),
            last: bytes,
        }
    }
}

/// Keeps blobs from being collected until it is dropped.
pub type Kept = Box<dyn std::any::Any + Send + Sync>;

/// What became of a look at an upstream registry's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// It is there and has a user name and an access token.
    Good,
    /// There is no such secret.
    Missing,
}

/// Why a mirror has an image not fetched.
#[derive(Debug, Clone, PartialEq)]
pub enum NotPulled {
    /// Upstream does not let this registry in; why, for the caller.
    Denied(String),
    /// Upstream's rate limit is reached.
    TooMany(String),
    /// Upstream cannot be reached, or gave no image.
    Unavailable(String),
    /// It is not upstream that refuses.
    Refused(ApiError),
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
    /// An image's manifest in its other form, Docker's or OCI's, with its media type; nothing where it has none.
    fn other_form(&self, manifest: &[u8], media_type: &str) -> Option<(String, Vec<u8>)>;
    /// How many bytes each of these blobs has; nothing for one that is not there.
    fn blob_sizes(&self, digests: Vec<String>) -> BoxFuture<Result<Vec<Option<u64>>, ApiError>>;
    /// Keeps these blobs from being collected, whether or not they are there yet: from before they are stored until a row
    /// names them.
    fn keep(&self, digests: Vec<String>) -> BoxFuture<Kept>;
    /// The parts of an upload so far, as far as they are known: a restart forgets them.
    fn parts(&self, owner: String, id: String) -> BoxFuture<Parts>;
    /// Begins an upload in somebody's name and returns its id.
    fn begin_upload(&self, owner: String, by: Principal) -> BoxFuture<Result<String, ApiError>>;
    /// Adds a part that begins at byte `first`.
    fn append_upload(
        &self,
        owner: String,
        id: String,
        first: u64,
        bytes: Vec<u8>,
    ) -> BoxFuture<Result<Appended, ApiError>>;
    /// Whether there is a secret that this cloud may give to an upstream registry.
    fn secret(&self, arn: String) -> BoxFuture<Result<Secret, ApiError>>;
    /// Asks an upstream registry whether it lets us in with a secret, or without one: why not, when it does not.
    fn try_upstream(&self, registry: String, secret: Option<String>) -> BoxFuture<Result<Option<String>, ApiError>>;
    /// Has a mirror fetch an image by tag or digest where it lacks it, or where its tag is to be compared with upstream's;
    /// makes the repository where there is none. Good also when upstream has no such image. The call is in the
    /// registry's scope.
    fn pull(&self, call: Call, repository: String, reference: String) -> BoxFuture<Result<(), NotPulled>>;
    /// Ends an upload whose content must have this digest.
    fn complete_upload(&self, owner: String, id: String, digest: String) -> BoxFuture<Result<Completed, ApiError>>;
}
