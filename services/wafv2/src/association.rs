//! Which web ACL protects which load balancer.

use crate::error;
use crate::model::{Association, WebAcl};
use crate::rules::by_arn;
use honmaru_base::{ApiError, Arn, Scope};
use honmaru_machine::{State, Tx};

/// Whether there is an Application Load Balancer of that ARN.
pub(crate) fn load_balancer_exists(state: &State, owner: &Scope, arn: &str) -> bool {
    state
        .get::<honmaru_elbv2::LoadBalancer>(owner, arn)
        .is_some_and(|balancer| balancer.kind == "application")
}

/// A resource that a web ACL can protect here: an Application Load Balancer of the caller's account and region.
/// `WAFInvalidParameterException` for another ARN, `WAFUnavailableEntityException` never: a load balancer is there at
/// once or not at all.
fn check_resource(owner: &Scope, resource_arn: &str) -> Result<(), ApiError> {
    let arn: Arn = resource_arn.parse().map_err(|_| error::invalid_arn(resource_arn))?;
    let is_balancer = arn.service == "elasticloadbalancing" && arn.resource.starts_with("loadbalancer/app/");
    if !is_balancer {
        return Err(error::invalid_arn(resource_arn));
    }
    if arn.account != owner.account.as_str() || arn.region != owner.region.as_str() {
        return Err(error::nonexistent());
    }
    Ok(())
}

/// Puts a web ACL before a resource, in place of another one. `WAFNonexistentItemException` when either is missing.
pub fn associate(tx: &mut Tx<'_>, owner: &Scope, web_acl_arn: &str, resource_arn: &str) -> Result<(), ApiError> {
    let is_acl = |arn: Arn| arn.service == "wafv2" && arn.resource.split('/').nth(1) == Some("webacl");
    if !web_acl_arn.parse().is_ok_and(is_acl) {
        return Err(error::invalid_arn(web_acl_arn));
    }
    let acl = by_arn::<WebAcl>(tx, owner, web_acl_arn).ok_or_else(error::nonexistent)?;
    if acl.entity.scope != "REGIONAL" {
        let reason = "A web ACL of scope CLOUDFRONT is associated through its distribution";
        return Err(error::invalid("WEB_ACL", web_acl_arn, reason));
    }
    check_resource(owner, resource_arn)?;
    if !load_balancer_exists(tx, owner, resource_arn) {
        return Err(error::nonexistent());
    }
    let association = Association {
        web_acl_arn: web_acl_arn.to_owned(),
    };
    if tx.get::<Association>(owner, resource_arn) != Some(&association) {
        tx.put(owner, resource_arn, association);
    }
    Ok(())
}

/// Takes the web ACL away. It is no error when there is none.
pub fn disassociate(tx: &mut Tx<'_>, owner: &Scope, resource_arn: &str) -> Result<(), ApiError> {
    check_resource(owner, resource_arn)?;
    tx.delete::<Association>(owner, resource_arn);
    Ok(())
}

/// The ARN of the web ACL that protects a resource.
pub fn web_acl_of(state: &State, owner: &Scope, resource_arn: &str) -> Option<String> {
    state
        .get::<Association>(owner, resource_arn)
        .map(|association| association.web_acl_arn.clone())
}

/// The ARNs of the resources that a web ACL protects.
pub fn resources_of(state: &State, owner: &Scope, web_acl_arn: &str) -> Vec<String> {
    state
        .find::<Association>(owner, "web_acl", web_acl_arn)
        .map(|(resource, _)| resource.to_owned())
        .collect()
}

/// The protected resource of a call, checked.
pub(crate) fn protected_web_acl<'s>(
    state: &'s State,
    owner: &Scope,
    resource_arn: &str,
) -> Result<Option<&'s WebAcl>, ApiError> {
    check_resource(owner, resource_arn)?;
    if !load_balancer_exists(state, owner, resource_arn) {
        return Err(error::nonexistent());
    }
    Ok(web_acl_of(state, owner, resource_arn).and_then(|arn| by_arn::<WebAcl>(state, owner, &arn)))
}
