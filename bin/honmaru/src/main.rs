//! The one binary: the CLI and the roles; wiring only.

fn main() {}
