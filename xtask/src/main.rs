//! Demo, test, bench, tidy, models.

fn main() {}
