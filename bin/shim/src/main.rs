//! Supervisor of one task; std and libc only, static, embedded in honmaru.

fn main() {}
