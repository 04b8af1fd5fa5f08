//! IAM as its callers see it: operations by name over trees, and the decision about calls.
