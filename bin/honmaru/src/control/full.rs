//! What is refused while the disk is full: whatever leaves something, but what takes something away and so makes room.

use honmaru_base::ApiError;
use honmaru_cloudtrail::is_read_only;
use honmaru_engine::{Engine, EngineError, WhenFull};
use honmaru_wire::{Common, Protocol, Target};

/// How the operations begin that take something away.
const REMOVING: [&str; 11] = [
    "BatchDelete",
    "Delete",
    "Deregister",
    "Detach",
    "Disassociate",
    "Release",
    "Remove",
    "Revoke",
    "Stop",
    "Terminate",
    "Untag",
];

/// What becomes of an operation's change while the log has no room.
pub(super) fn when_full(operation: &str) -> WhenFull {
    if REMOVING.iter().any(|word| operation.starts_with(word)) {
        WhenFull::Write
    } else {
        WhenFull::Refuse
    }
}

/// Refuses a call whose work may leave something beside the log, too.
pub(super) fn check(engine: &Engine, target: &Target) -> Result<(), EngineError> {
    let operation = target.operation.name();
    if is_read_only(operation) || when_full(operation) == WhenFull::Write || engine.has_room() {
        return Ok(());
    }
    Err(EngineError::Full)
}

/// What callers are told. Ref: "Common errors" in the API references: the service cannot answer now; SDKs ask again.
pub(super) fn error(protocol: Protocol) -> ApiError {
    honmaru_wire::common_error(
        protocol,
        Common::Unavailable,
        "There is no space left on the disk of this cloud's state directory: make room, or delete what is not needed.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_away_goes_on() {
        for operation in [
            "DeleteCluster",
            "BatchDeleteImage",
            "StopTask",
            "UntagResource",
            "DeregisterTargets",
        ] {
            assert_eq!(when_full(operation), WhenFull::Write, "{operation}");
        }
        for operation in [
            "CreateCluster",
            "RunTask",
            "UpdateService",
            "PutLogEvents",
            "TagResource",
        ] {
            assert_eq!(when_full(operation), WhenFull::Refuse, "{operation}");
        }
    }
}
