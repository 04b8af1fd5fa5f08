//! A service's events: the newest hundred, in AWS's words.

use crate::model::{Service, ServiceEvent};
use honmaru_base::{Scope, uuid};
use honmaru_machine::Tx;

/// Ref: ECS `Service.events`: the most recent 100.
pub(crate) const EVENTS_MAX: u64 = 100;

/// Appends an event to a service's row that the caller will write: `(service <name>) <message>`.
pub(crate) fn push_event(tx: &mut Tx<'_>, scope: &Scope, service: &mut Service, message: &str) {
    let id = uuid(tx.rng());
    let event = ServiceEvent {
        id,
        at: tx.now(),
        message: format!("(service {}) {message}", service.name),
    };
    let number = service.next_event;
    service.next_event += 1;
    tx.put(scope, &event_key(service, number), event);
    if let Some(old) = number.checked_sub(EVENTS_MAX) {
        tx.delete::<ServiceEvent>(scope, &event_key(service, old));
    }
}

/// Appends an event to a service. Does nothing when the service is gone.
pub fn service_event(tx: &mut Tx<'_>, scope: &Scope, service_key: &str, message: &str) {
    if let Some(mut service) = tx.get::<Service>(scope, service_key).cloned() {
        push_event(tx, scope, &mut service, message);
        tx.put(scope, service_key, service);
    }
}

fn event_key(service: &Service, number: u64) -> String {
    format!("{}/{number:012}", service.key())
}
