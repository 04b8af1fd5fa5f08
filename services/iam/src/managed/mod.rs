//! AWS's managed policies for the services of this cloud and for what tasks and people commonly have besides, as AWS has
//! them, read-only. Ref: AWS Managed Policy Reference Guide.
//!
//! Not here: the thousand and more policies of other services, and versions other than the default one.

mod catalog;
mod linked;

pub(crate) use linked::{SERVICE_LINKED_PATH, service_linked};

use honmaru_identity::{Policy, PolicyError, PolicyKind};
use std::sync::{Arc, OnceLock};

/// A policy that AWS manages.
#[derive(Debug)]
pub struct AwsManaged {
    /// `arn:aws:iam::aws:policy/...`.
    pub arn: &'static str,
    /// `ANPA...`, as in AWS; those with `HONMARU` are of policies whose ids no record tells.
    pub id: &'static str,
    /// The description.
    pub description: &'static str,
    /// The number of the default version: 17 of `v17`.
    pub version: u32,
    /// When AWS created it, in seconds since the epoch.
    pub created_s: u32,
    /// When AWS created the default version, in seconds since the epoch.
    pub updated_s: u32,
    /// The document of the default version.
    pub document: &'static str,
    /// The same, compiled: made when it is first evaluated.
    compiled: OnceLock<Arc<Policy>>,
}

impl AwsManaged {
    /// The name: the ARN's last part.
    pub fn name(&self) -> &'static str {
        self.arn.rsplit('/').next().unwrap_or(self.arn)
    }

    /// The default version's id.
    pub fn version_id(&self) -> String {
        format!("v{}", self.version)
    }

    /// The compiled document. Kept here and not by its text: the largest have a hundred kilobytes, too much to hash on
    /// every call of whoever has them.
    pub(crate) fn compiled(&self) -> Result<Arc<Policy>, PolicyError> {
        if let Some(policy) = self.compiled.get() {
            return Ok(policy.clone());
        }
        let policy = Arc::new(Policy::parse(self.document, PolicyKind::Stored)?);
        Ok(self.compiled.get_or_init(|| policy).clone())
    }
}

/// The AWS managed policy of an ARN.
pub fn aws_managed(arn: &str) -> Option<&'static AwsManaged> {
    let at = catalog::ALL.binary_search_by(|policy| policy.arn.cmp(arn)).ok()?;
    catalog::ALL.get(at)
}

/// All of them, in the order of their ARNs.
pub(crate) fn all_aws_managed() -> &'static [AwsManaged] {
    &catalog::ALL
}
