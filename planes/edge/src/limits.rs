//! Every limit of the edge, in one place. "ALB" marks limits that AWS documents for Application Load Balancers.

use std::time::Duration;

/// Longest request line in bytes (ALB: 16 K); longer ones get 414.
pub(crate) const REQUEST_LINE_BYTES_MAX: usize = 16 * 1024;
/// Longest single request header in bytes (ALB: 16 K).
pub(crate) const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Longest request header section in bytes (ALB: 64 K).
pub(crate) const HEADERS_BYTES_MAX: usize = 64 * 1024;
/// Longest response header section in bytes (ALB: 32 K); longer ones get 502.
pub(crate) const RESPONSE_HEADERS_BYTES_MAX: usize = 32 * 1024;
/// What hyper may buffer for one connection: room for the largest head that we answer ourselves, and a body chunk.
pub(crate) const READ_BUFFER_BYTES_MAX: usize = 160 * 1024;
/// Addresses in X-Forwarded-For (ALB: more than 30 get 463).
pub(crate) const FORWARDED_ADDRESSES_MAX: usize = 30;
/// A trace header that is longer is replaced (ALB: 7 KB).
pub(crate) const TRACE_BYTES_MAX: usize = 7 * 1024;
/// Parallel streams of one HTTP/2 connection (ALB: 128).
pub(crate) const H2_STREAMS_MAX: u32 = 128;
/// Time for a connection to a target to be made (ALB: 10 s).
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same while another target could be tried: the kernel repeats a lost SYN after one second.
pub(crate) const CONNECT_TIMEOUT_WITH_ALTERNATIVE: Duration = Duration::from_millis(1_500);
/// How many targets one request may be tried on.
pub(crate) const ATTEMPTS_MAX: usize = 4;
/// Bytes of a request body that are kept so that it can be sent again to another target.
pub(crate) const REPLAY_BYTES_MAX: usize = 64 * 1024;
/// Idle connections kept per target.
pub(crate) const IDLE_CONNECTIONS_MAX: usize = 256;
/// How long an idle connection to a target is kept.
pub(crate) const IDLE_CONNECTION_MS_MAX: u64 = 50_000;
/// How often idle connections to targets are looked at.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How long a target is avoided after a connection to it failed, unless there is no other.
pub(crate) const SUSPECT_MS: u64 = 2_000;
/// Pause between the first checks of a target that was not yet healthy.
pub(crate) const INITIAL_CHECK_PAUSE: Duration = Duration::from_millis(250);
/// Bytes of a health check's answer that are read before it is cut off.
pub(crate) const CHECK_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long a closed listener's connections may finish their requests.
pub(crate) const CLOSE_GRACE: Duration = Duration::from_secs(30);
/// How long the whole edge waits for requests in flight when it is asked to stop.
pub(crate) const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// How long connections that were just accepted have to be counted before the edge waits for them.
pub(crate) const SHUTDOWN_SETTLE: Duration = Duration::from_millis(20);
/// Pause between attempts to open a listener whose address is not there yet.
pub(crate) const BIND_RETRY_PAUSE: Duration = Duration::from_millis(300);
/// The listen backlog.
pub(crate) const BACKLOG: i32 = 4_096;
/// Time for a client's TLS handshake.
pub(crate) const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest pause between attempts to reach `control`.
pub(crate) const DIAL_PAUSE_MIN: Duration = Duration::from_millis(50);
/// See [`DIAL_PAUSE_MIN`].
pub(crate) const DIAL_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Health changes that wait for `control`. When it is full the oldest news is dropped and all of it is sent again.
pub(crate) const NEWS_QUEUED_MAX: usize = 4_096;
/// How long the validity of `AWSALB` cookies is, in seconds (ALB: 7 days, fixed).
pub(crate) const COOKIE_EXPIRY_S: u64 = 7 * 24 * 3_600;
/// Idle time of a TCP listener's connection, in seconds, when the listener has no attribute (NLB: 350).
pub(crate) const TCP_IDLE_S_DEFAULT: u64 = 350;

const _: () = assert!(HEADER_BYTES_MAX <= HEADERS_BYTES_MAX && HEADERS_BYTES_MAX < READ_BUFFER_BYTES_MAX);
