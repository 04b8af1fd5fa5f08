//! The only driver: group commit, snapshots, watch, timers, reconciler scheduling.
