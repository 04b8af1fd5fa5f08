//! The runtime on the real kernel: shims, namespaces, cgroups. Needs root and busybox-static.

mod basics;
mod isolation;
mod lifecycle;
mod limits;
mod sessions;
mod survival;
mod unified;
mod world;
