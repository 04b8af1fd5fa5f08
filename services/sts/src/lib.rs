//! AWS STS: caller identity and sessions.
