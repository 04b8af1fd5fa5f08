//! This service's part of the edge's configuration.

use crate::model::{Association, WebAcl};
use crate::rules::{by_arn, resolve};
use honmaru_contract::edge;
use honmaru_machine::State;
use std::collections::BTreeMap;

/// The web ACLs that protect something, by ARN, with all that their rules refer to.
pub fn edge_web_acls(state: &State) -> BTreeMap<String, edge::WebAcl> {
    let mut acls = BTreeMap::new();
    for (owner, _, association) in state.all::<Association>() {
        let arn = &association.web_acl_arn;
        if acls.contains_key(arn) {
            continue;
        }
        if let Some(acl) = by_arn::<WebAcl>(state, owner, arn) {
            acls.insert(arn.clone(), resolve(state, owner, &acl.entity.name, &acl.settings));
        }
    }
    acls
}
