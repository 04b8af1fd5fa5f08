//! Lifecycle policies: read, judged, carried out. Ref: ECR user guide, "Lifecycle policy properties in Amazon ECR".

mod evaluate;
mod policy;

pub(crate) use evaluate::{Candidate, evaluate};
pub(crate) use policy::Policy;
