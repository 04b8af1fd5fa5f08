//! Container log storage, tail, filter.
