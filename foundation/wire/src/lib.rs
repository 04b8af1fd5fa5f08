//! The AWS protocols, driven by the API models.
//!
//! [`tree`] turns the untyped trees that handlers get and return into the generated structs and back.

#![forbid(unsafe_code)]

pub mod tree;
