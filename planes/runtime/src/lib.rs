//! Speaks to shims; root file systems, cgroups.
