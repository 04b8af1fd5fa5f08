//! IP sets.

use super::entities::{New, begin, find, locked, store, tags};
use crate::error;
use crate::model::IpSet;
use crate::types::{
    CreateIPSetRequest, CreateIPSetResponse, GetIPSetRequest, GetIPSetResponse, IPSet, IPSetSummary,
    UpdateIPSetRequest, UpdateIPSetResponse,
};
use honmaru_base::ApiError;
use honmaru_machine::{Call, State, Tx};
use ipnet::IpNet;

/// Ref: WAFv2 quotas: addresses of an IP set.
const ADDRESSES_MAX: usize = 10_000;

/// Address ranges in CIDR notation of that version, without /0.
fn check(version: &str, addresses: &[String]) -> Result<(), ApiError> {
    if !matches!(version, "IPV4" | "IPV6") {
        return Err(error::invalid(
            "IP_ADDRESS_VERSION",
            version,
            "The IP address version is not valid",
        ));
    }
    if addresses.len() > ADDRESSES_MAX {
        return Err(error::limit_exceeded());
    }
    for address in addresses {
        let valid = match address.parse::<IpNet>() {
            Ok(IpNet::V4(net)) => version == "IPV4" && net.prefix_len() > 0,
            Ok(IpNet::V6(net)) => version == "IPV6" && net.prefix_len() > 0,
            Err(_) => false,
        };
        if !valid {
            let reason = "The parameter contains formatting that is not valid";
            return Err(error::invalid("IP_ADDRESS", address, reason));
        }
    }
    Ok(())
}

pub(super) fn create(tx: &mut Tx<'_>, call: &Call, input: CreateIPSetRequest) -> Result<CreateIPSetResponse, ApiError> {
    check(&input.ip_address_version, &input.addresses)?;
    let new = New {
        name: input.name,
        scope: input.scope,
        description: input.description,
        tags: tags(input.tags.unwrap_or_default())?,
    };
    let entity = begin::<IpSet>(tx, call, new)?;
    let summary = IPSetSummary {
        name: Some(entity.name.clone()),
        id: Some(entity.id.clone()),
        description: Some(entity.description.clone().unwrap_or_default()),
        lock_token: Some(entity.lock_token.clone()),
        arn: Some(entity.arn.clone()),
    };
    store(
        tx,
        &call.scope,
        IpSet {
            entity,
            version: input.ip_address_version,
            addresses: input.addresses,
        },
    );
    Ok(CreateIPSetResponse { summary: Some(summary) })
}

pub(super) fn get(state: &State, call: &Call, input: GetIPSetRequest) -> Result<GetIPSetResponse, ApiError> {
    let row = find::<IpSet>(state, call, &input.scope, &input.name, &input.id)?;
    Ok(GetIPSetResponse {
        ip_set: Some(IPSet {
            name: row.entity.name.clone(),
            id: row.entity.id.clone(),
            arn: row.entity.arn.clone(),
            description: Some(row.entity.description.clone().unwrap_or_default()),
            ip_address_version: row.version.clone(),
            addresses: row.addresses.clone(),
        }),
        lock_token: Some(row.entity.lock_token.clone()),
    })
}

pub(super) fn update(tx: &mut Tx<'_>, call: &Call, input: UpdateIPSetRequest) -> Result<UpdateIPSetResponse, ApiError> {
    let mut row: IpSet = locked(tx, call, (&input.scope, &input.name, &input.id), &input.lock_token)?;
    check(&row.version, &input.addresses)?;
    row.addresses = input.addresses;
    row.entity.description = input.description;
    let next_lock_token = Some(row.entity.lock_token.clone());
    store(tx, &call.scope, row);
    Ok(UpdateIPSetResponse { next_lock_token })
}
