//! STS as its callers see it.
