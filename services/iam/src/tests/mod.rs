//! IAM as its callers see it: operations by name over trees, each authorised first, and rolled back when it fails.

mod access;
mod account;
mod advisor;
mod calls;
mod certificates;
mod escalation;
mod managed_policies;
mod mfa;
mod policies;
mod roles;
mod users;

use crate::*;
use honmaru_base::{AccountId, ApiError, Scope, SeededRng, Time};
use honmaru_identity::ProtocolFamily;
use honmaru_machine::{Access, Call, Handler, Principal, PrincipalKind, State, Tx};
use serde_json::{Value, json};

const ACCOUNT: &str = "123456789012";
const NOW: Time = Time::from_ms(1_790_000_000_000);

struct Cloud {
    state: State,
    rng: SeededRng,
}

fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}

fn principal(kind: PrincipalKind, arn: &str) -> Principal {
    Principal {
        account: account(),
        arn: arn.to_owned(),
        user_id: "ID".to_owned(),
        kind,
        access_key_id: "AKIA".to_owned(),
        tags: Vec::new(),
        session_policies: Vec::new(),
        session: None,
    }
}

fn call(principal: Principal) -> Call {
    Call {
        scope: Scope::new(ACCOUNT, "us-east-1").unwrap(),
        principal,
        request_id: "request".to_owned(),
        now: NOW,
        source_ip: Some([203, 0, 113, 9].into()),
        user_agent: "test".to_owned(),
        host: "localhost:4566".to_owned(),
        secure: false,
    }
}

impl Cloud {
    fn new() -> Self {
        let mut state = State::new();
        register(&mut state);
        let mut cloud = Self {
            state,
            rng: SeededRng::from_u64(1),
        };
        let mut tx = Tx::new(&mut cloud.state, NOW, &mut cloud.rng);
        ensure_administrator(&mut tx, &account());
        tx.commit();
        cloud
    }

    fn user(&self, name: &str) -> Principal {
        user_principal(&account(), user_of_name(&self.state, &account(), name).unwrap(), "AKIA")
    }

    fn call_as(&mut self, principal: Principal, name: &str, input: Value) -> Result<Value, ApiError> {
        let operation = operations()
            .into_iter()
            .find(|o| o.name == name)
            .unwrap_or_else(|| panic!("no {name}"));
        let call = call(principal);
        let access = (operation.access)(&self.state, &call, &input);
        authorize(&self.state, &call, &access, ProtocolFamily::Query)?;
        match operation.handler {
            Handler::Read(f) => f(&self.state, &call, input),
            Handler::Write(f) => {
                let mut tx = Tx::new(&mut self.state, NOW, &mut self.rng);
                let answer = f(&mut tx, &call, input);
                match &answer {
                    Ok(_) => drop(tx.commit()),
                    Err(_) => tx.roll_back(),
                }
                answer
            }
            Handler::WriteJson(_) | Handler::Async(_) => panic!("IAM answers with trees, at once"),
        }
    }

    fn ok(&mut self, name: &str, input: Value) -> Value {
        let administrator = self.user(ADMINISTRATOR);
        self.call_as(administrator, name, input)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn refusal(&mut self, name: &str, input: Value) -> ApiError {
        let administrator = self.user(ADMINISTRATOR);
        self.call_as(administrator, name, input.clone())
            .err()
            .unwrap_or_else(|| panic!("{name} {input} worked"))
    }

    fn code(&mut self, name: &str, input: Value) -> String {
        self.refusal(name, input).code
    }
}

fn allow(action: &str, resource: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]})
        .to_string()
}

fn trust(principal: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]})
        .to_string()
}
