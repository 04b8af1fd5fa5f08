//! Lifecycle policies: read, judged. Ref: ECR user guide, "Lifecycle policy properties in Amazon ECR".

mod evaluate;
mod policy;

pub(crate) use evaluate::{Candidate, Verdict, evaluate};
pub(crate) use policy::Policy;
