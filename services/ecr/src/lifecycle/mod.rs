//! Lifecycle policies: read, shown, judged. Ref: ECR user guide, "Lifecycle policy properties in Amazon ECR".

mod canonical;
mod evaluate;
mod policy;

pub(crate) use canonical::canonical;
pub(crate) use evaluate::{Candidate, Verdict, evaluate};
pub(crate) use policy::Policy;
