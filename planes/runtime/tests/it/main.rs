//! The runtime on the real kernel: shims, namespaces, cgroups. Needs root and busybox-static.

mod basics;
mod world;
