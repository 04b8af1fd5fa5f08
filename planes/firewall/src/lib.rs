//! Request inspection: WAFv2 rules compiled to a plan.
