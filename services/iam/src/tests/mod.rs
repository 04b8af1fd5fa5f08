//! IAM as its callers see it: operations by name over trees, each authorised first, and rolled back when it fails.

mod access;
mod account;
mod advisor;
mod calls;
mod certificates;
mod escalation;
mod managed_policies;
mod mfa;
mod passwords;
mod policies;
mod roles;
mod saml;
mod signing;
mod ssh_keys;
mod users;

use crate::*;
use honmaru_base::{AccountId, ApiError, Scope, SeededRng, Time};
use honmaru_identity::ProtocolFamily;
use honmaru_machine::{Access, BoxFuture, Call, Handler, Principal, PrincipalKind, State, Tx};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

const ACCOUNT: &str = "123456789012";
const NOW: Time = Time::from_ms(1_790_000_000_000);

struct Cloud {
    state: State,
    rng: SeededRng,
    passwords: Arc<Asked>,
}

/// Keeps a change of a password for whoever carries it out.
#[derive(Default)]
struct Asked(Mutex<Option<PasswordChange>>);

impl Passwords for Asked {
    fn change(&self, change: PasswordChange) -> BoxFuture<Result<Value, ApiError>> {
        *self.0.lock().unwrap() = Some(change);
        Box::pin(async { Ok(Value::Null) })
    }
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
        referer: String::new(),
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
            passwords: Arc::default(),
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
        let passwords: Arc<dyn Passwords> = self.passwords.clone();
        let operation = operations()
            .into_iter()
            .chain(password_operations(&passwords))
            .find(|o| o.name == name)
            .unwrap_or_else(|| panic!("no {name}"));
        let call = call(principal);
        let access = (operation.access)(&self.state, &call, &input);
        authorize(&self.state, &call, &access, ProtocolFamily::Query)?;
        match operation.handler {
            Handler::Read(f) => f(&self.state, &call, input),
            Handler::Write(f) => self.write(|tx| f(tx, &call, input)),
            Handler::Async(f) => {
                let mut context = Context::from_waker(Waker::noop());
                let Poll::Ready(answer) = f(call, input).as_mut().poll(&mut context) else {
                    panic!("{name} waits")
                };
                let change = self.passwords.0.lock().unwrap().take();
                change.map_or(answer, |change| self.set_password(change))
            }
            Handler::WriteJson(_) => panic!("IAM answers with trees"),
        }
    }

    /// Carries a change of a password out, step by step.
    fn set_password(&mut self, change: PasswordChange) -> Result<Value, ApiError> {
        let work = change.look(&self.state)?;
        let worked = work.map(|work| work.run(&mut self.rng)).transpose()?;
        self.write(|tx| change.write(tx, worked))
    }

    fn write(&mut self, change: impl FnOnce(&mut Tx<'_>) -> Result<Value, ApiError>) -> Result<Value, ApiError> {
        let mut tx = Tx::new(&mut self.state, NOW, &mut self.rng);
        let answer = change(&mut tx);
        match &answer {
            Ok(_) => drop(tx.commit()),
            Err(_) => tx.roll_back(),
        }
        answer
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
