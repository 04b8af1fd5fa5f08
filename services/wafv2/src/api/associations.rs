//! Associations of web ACLs with load balancers.

use crate::association;
use crate::error;
use crate::model::WebAcl;
use crate::rules::by_arn;
use crate::types::{
    AssociateWebACLRequest, AssociateWebACLResponse, DisassociateWebACLRequest, DisassociateWebACLResponse,
    ListResourcesForWebACLRequest, ListResourcesForWebACLResponse,
};
use honmaru_base::ApiError;
use honmaru_machine::{Call, State, Tx};

pub(super) fn associate(
    tx: &mut Tx<'_>,
    call: &Call,
    input: AssociateWebACLRequest,
) -> Result<AssociateWebACLResponse, ApiError> {
    association::associate(tx, &call.scope, &input.web_acl_arn, &input.resource_arn)?;
    Ok(AssociateWebACLResponse {})
}

pub(super) fn disassociate(
    tx: &mut Tx<'_>,
    call: &Call,
    input: DisassociateWebACLRequest,
) -> Result<DisassociateWebACLResponse, ApiError> {
    association::disassociate(tx, &call.scope, &input.resource_arn)?;
    Ok(DisassociateWebACLResponse {})
}

pub(super) fn resources(
    state: &State,
    call: &Call,
    input: ListResourcesForWebACLRequest,
) -> Result<ListResourcesForWebACLResponse, ApiError> {
    let acl = by_arn::<WebAcl>(state, &call.scope, &input.web_acl_arn).ok_or_else(error::nonexistent)?;
    // Only load balancers can be associated, so every other type has no resources.
    let balancers = matches!(input.resource_type.as_deref(), None | Some("APPLICATION_LOAD_BALANCER"));
    let found = if balancers {
        association::resources_of(state, &call.scope, &acl.entity.arn)
    } else {
        Vec::new()
    };
    Ok(ListResourcesForWebACLResponse {
        resource_arns: Some(found),
    })
}
