//! STS's operations.

mod assume_role;
mod claims;
mod decode;
mod errors;
mod federation;
mod identity;
mod web_identity;

use honmaru_machine::{Access, Handler, Operation};
use honmaru_wire::tree::Tree;

/// Every operation that is implemented.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation {
            name: "GetCallerIdentity",
            // No permission is needed, and none can take it away. Ref: STS API Reference, GetCallerIdentity.
            access: |_, _, _| Vec::new(),
            handler: Handler::Read(|_, call, _| Ok(identity::caller(call).into_tree())),
        },
        Operation {
            name: "GetAccessKeyInfo",
            access: |_, _, _| vec![Access::any("sts:GetAccessKeyInfo")],
            handler: Handler::Read(|_, _, input| identity::key_info(Tree::from_tree(input)).map(Tree::into_tree)),
        },
        Operation {
            name: "GetSessionToken",
            // Ref: STS API Reference: no permissions are required.
            access: |_, _, _| Vec::new(),
            handler: Handler::Write(|tx, call, input| {
                identity::session_token(tx, call, Tree::from_tree(input)).map(Tree::into_tree)
            }),
        },
        Operation {
            name: "GetFederationToken",
            access: federation::access,
            handler: Handler::Write(|tx, call, input| {
                federation::token(tx, call, Tree::from_tree(input)).map(Tree::into_tree)
            }),
        },
        Operation {
            name: "DecodeAuthorizationMessage",
            access: |_, _, _| vec![Access::any("sts:DecodeAuthorizationMessage")],
            handler: Handler::Read(|state, call, input| {
                decode::message(state, call, Tree::from_tree(input)).map(Tree::into_tree)
            }),
        },
        Operation {
            name: "AssumeRole",
            access: assume_role::access,
            handler: Handler::Write(|tx, call, input| {
                assume_role::assume_role(tx, call, Tree::from_tree(input)).map(Tree::into_tree)
            }),
        },
        Operation {
            name: "AssumeRoleWithWebIdentity",
            // The caller has no credentials; the trust policy is evaluated with the token's claims by the handler.
            access: |_, _, _| Vec::new(),
            handler: Handler::Write(|tx, call, input| {
                web_identity::assume_role(tx, call, Tree::from_tree(input)).map(Tree::into_tree)
            }),
        },
    ]
}
