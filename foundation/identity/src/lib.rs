//! SigV4, sealed sessions, IAM policy evaluation.
