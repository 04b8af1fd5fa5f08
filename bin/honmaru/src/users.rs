//! The unprivileged users that control and edge run as.
//!
//! They are numbers without names, so that nothing is written to /etc/passwd: above Debian's 65,535 and below the
//! 100,000 where the containers' ranges begin. Two of them, so that edge, which parses strangers' bytes, cannot
//! read control's state.

/// User and group id of `control`.
pub const CONTROL_UID: u32 = 70_001;
/// User and group id of `edge`.
pub const EDGE_UID: u32 = 70_002;

/// The user id that a role must have.
pub fn uid_of(role: &str) -> u32 {
    match role {
        "control" => CONTROL_UID,
        "edge" => EDGE_UID,
        _ => 0,
    }
}
