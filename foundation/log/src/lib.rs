//! Trait Log: an append-only revision log, with SQLite and memory.
