//! Who serves with a certificate, for the service whose certificates they are.

use crate::model::Listener;
use honmaru_machine::{State, Tx};

/// The load balancer that serves with a certificate, in whatever region of the account.
pub fn certificate_user(state: &State, arn: &str) -> Option<String> {
    let mut users = state.find_everywhere::<Listener>("certificate", arn);
    users.next().map(|(_, _, listener)| listener.load_balancer_arn.clone())
}

/// Listeners go on with a certificate that is called otherwise now.
pub fn certificate_renamed(tx: &mut Tx<'_>, old: &str, new: &str) {
    let users = tx.find_everywhere::<Listener>("certificate", old);
    let users: Vec<_> = users.map(|(scope, arn, _)| (scope.clone(), arn.to_owned())).collect();
    for (scope, listener) in users {
        tx.update::<Listener>(&scope, &listener, |row| {
            for arn in row.certificates.iter_mut().filter(|arn| *arn == old) {
                new.clone_into(arn);
            }
        });
    }
}
