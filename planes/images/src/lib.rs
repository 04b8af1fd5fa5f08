//! Content-addressed store, layers, unpacking.
