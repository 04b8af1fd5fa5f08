//! Policy documents: JSON text to statements, strictly. Ref: IAM User Guide, "Grammar of the IAM JSON policy language".

use crate::policy::condition::Condition;
use crate::policy::named::{check_action, check_resource};
use crate::policy::pattern::{ArnPattern, Pattern};
use crate::policy::principal::PrincipalEntry;
use crate::policy::shared_issuer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The longest document that is parsed at all, in bytes. Each API has a smaller limit of its own.
pub const POLICY_DOCUMENT_BYTES_MAX: usize = 131_072;

/// A document that is no policy; the text is for `MalformedPolicyDocument`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(pub String);

/// What a document is attached to, which decides about the elements that it must and must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// On a user, group or role, or a boundary, or a session policy: no Principal.
    Identity,
    /// On a resource: with a Principal.
    Resource,
    /// A role's trust policy: with a Principal, without Resource, STS actions only.
    Trust,
    /// A stored document that was checked when it was written.
    Stored,
}

/// Allow or Deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Allow.
    Allow,
    /// Deny, which always wins.
    Deny,
}

/// A list that is matched, or whose complement is (`NotAction`, ...).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OneOf<T> {
    pub(crate) negated: bool,
    pub(crate) entries: Vec<T>,
}

impl<T> OneOf<T> {
    pub(crate) fn matches(&self, matches: impl Fn(&T) -> bool) -> bool {
        self.entries.iter().any(matches) != self.negated
    }
}

/// The actions of a statement, in lower case, by vendor: AWS's ReadOnlyAccess names thousands, those of ECS are few.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Actions {
    /// Whether the complement is meant (`NotAction`).
    negated: bool,
    /// Whether `*` is among them.
    everything: bool,
    by_vendor: BTreeMap<String, Vec<Pattern>>,
}

impl Actions {
    fn insert(&mut self, action: &str) {
        match action.split_once(':') {
            Some((vendor, _)) => {
                let named = self.by_vendor.entry(vendor.to_owned()).or_default();
                named.push(Pattern::literal(action));
            }
            None => self.everything = true,
        }
    }

    /// Whether an action in lower case is meant.
    pub(crate) fn matches(&self, action: &str) -> bool {
        let vendor = action.split(':').next().unwrap_or_default();
        let is_named = |named: &Vec<Pattern>| named.iter().any(|pattern| pattern.matches(action));
        (self.everything || self.by_vendor.get(vendor).is_some_and(is_named)) != self.negated
    }

    /// Whether any action of a vendor is meant.
    fn reach(&self, vendor: &str) -> bool {
        let named = self.by_vendor.get(vendor);
        if !self.negated {
            return self.everything || named.is_some();
        }
        // `ecs:` is named by what names all actions, and by nothing less.
        let all = format!("{vendor}:");
        !self.everything && !named.is_some_and(|named| named.iter().any(|pattern| pattern.matches(&all)))
    }

    fn is_empty(&self) -> bool {
        !self.everything && self.by_vendor.is_empty()
    }
}

/// One statement, compiled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    pub(crate) sid: Option<String>,
    pub(crate) effect: Effect,
    pub(crate) principals: Option<OneOf<PrincipalEntry>>,
    pub(crate) actions: Actions,
    pub(crate) resources: Option<OneOf<ArnPattern>>,
    pub(crate) conditions: Vec<Condition>,
}

/// A compiled policy document.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(crate) statements: Vec<Statement>,
    version_2012: bool,
}

impl Policy {
    /// Whether a statement allows any action of a service (its namespace, for example `ecs`), on whatever resource and
    /// under whatever condition. What is denied elsewhere does not count.
    pub fn grants(&self, service: &str) -> bool {
        let service = service.to_ascii_lowercase();
        self.allowing().any(|statement| statement.actions.reach(&service))
    }

    /// The same of one action, in lower case.
    pub fn may_allow(&self, action: &str) -> bool {
        self.allowing().any(|statement| statement.actions.matches(action))
    }

    fn allowing(&self) -> impl Iterator<Item = &Statement> {
        self.statements.iter().filter(|one| one.effect == Effect::Allow)
    }
}

/// JSON without duplicate keys.
enum Json {
    Object(Vec<(String, Json)>),
    Array(Vec<Json>),
    Text(String),
    Other(String),
}

impl Policy {
    /// Parses a document. Errors: whatever `MalformedPolicyDocument` answers for.
    pub fn parse(text: &str, kind: PolicyKind) -> Result<Self, PolicyError> {
        if text.len() > POLICY_DOCUMENT_BYTES_MAX {
            return malformed("The policy document is too long.");
        }
        let json: Json = serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => PolicyError(trim_position(&error.to_string())),
            _ if kind == PolicyKind::Trust => PolicyError("This policy contains invalid Json".to_owned()),
            _ => PolicyError(format!(
                "Syntax error at position ({},{})",
                error.line(),
                error.column()
            )),
        })?;
        let Json::Object(members) = json else {
            return malformed(SYNTAX);
        };
        let (mut version_2012, mut statements) = (false, None);
        for (name, value) in members {
            match (name.as_str(), value) {
                ("Version", Json::Text(version)) if version == "2012-10-17" => version_2012 = true,
                ("Version", Json::Text(version)) if version == "2008-10-17" => {}
                ("Version", Json::Text(_)) if kind == PolicyKind::Identity => return malformed(SYNTAX),
                ("Version", _) => return malformed("Policy document must be version 2012-10-17 or greater."),
                ("Id", Json::Text(_)) => {}
                ("Statement", Json::Array(list)) => statements = Some(list),
                ("Statement", one @ Json::Object(_)) => statements = Some(vec![one]),
                ("Id" | "Statement", _) => return malformed(SYNTAX),
                (unknown, _) => return unknown_field(unknown, kind),
            }
        }
        let Some(statements) = statements else {
            return malformed(match kind {
                PolicyKind::Identity => SYNTAX,
                _ => "Missing required field Statement",
            });
        };
        if kind == PolicyKind::Identity && statements.is_empty() {
            return malformed(SYNTAX);
        }
        let statements: Vec<Statement> = statements
            .into_iter()
            .map(|statement| statement_of(statement, kind, version_2012))
            .collect::<Result<_, _>>()?;
        // Ref: "IAM JSON policy elements: Sid": unique "in IAM"; of resource-based policies each service says itself, and
        // ECR's may repeat them (the suite of getmoto/moto).
        let mut sids = BTreeSet::new();
        if kind != PolicyKind::Resource
            && statements
                .iter()
                .filter_map(|s| s.sid.as_deref())
                .any(|sid| !sids.insert(sid))
        {
            return malformed("Statement IDs (SID) in a single policy must be unique.");
        }
        Ok(Self {
            statements,
            version_2012,
        })
    }

    /// Whether the document says that it is of version 2012-10-17, as managed policies must.
    pub fn is_version_2012(&self) -> bool {
        self.version_2012
    }

    /// The condition keys and variables that the document uses, as it writes them, each once.
    pub fn context_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        for statement in &self.statements {
            let resources = statement.resources.iter().flat_map(|resources| &resources.entries);
            let used = resources
                .flat_map(ArnPattern::variables)
                .chain(statement.conditions.iter().flat_map(Condition::keys));
            for key in used {
                if !keys.iter().any(|known| known.eq_ignore_ascii_case(key)) {
                    keys.push(key.to_owned());
                }
            }
        }
        keys
    }

    /// The ARNs of users and roles that the document names as principals.
    pub fn principal_arns(&self) -> impl Iterator<Item = &str> {
        self.statements
            .iter()
            .filter_map(|s| s.principals.as_ref())
            .flat_map(|p| &p.entries)
            .filter_map(|entry| match entry {
                PrincipalEntry::Arn(arn) => Some(arn.as_str()),
                PrincipalEntry::Anyone
                | PrincipalEntry::Account(_)
                | PrincipalEntry::Service(_)
                | PrincipalEntry::Federated(_)
                | PrincipalEntry::Canonical => None,
            })
    }
}

/// IAM's words for a document that is no policy, and for one whose values cannot be read.
pub(crate) const SYNTAX: &str = "Syntax errors in policy.";
pub(crate) const LEGACY: &str = "The policy failed legacy parsing";

pub(crate) fn malformed<T>(text: impl Into<String>) -> Result<T, PolicyError> {
    Err(PolicyError(text.into()))
}

/// CreateRole names what it does not know; CreatePolicy does not.
fn unknown_field<T>(name: &str, kind: PolicyKind) -> Result<T, PolicyError> {
    match kind {
        PolicyKind::Identity => malformed(SYNTAX),
        PolicyKind::Resource | PolicyKind::Trust | PolicyKind::Stored => malformed(format!("Unknown field {name}")),
    }
}

fn trim_position(text: &str) -> String {
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn statement_of(json: Json, kind: PolicyKind, variables: bool) -> Result<Statement, PolicyError> {
    let Json::Object(members) = json else {
        return malformed(SYNTAX);
    };
    let (mut sid, mut effect) = (None, None);
    let (mut principals, mut actions, mut resources) = (None, None, None);
    let mut conditions = Vec::new();
    for (name, value) in members {
        let negated = name.starts_with("Not");
        match name.as_str() {
            "Sid" => {
                let Json::Text(text) = value else {
                    return malformed(SYNTAX);
                };
                let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric());
                match kind {
                    PolicyKind::Identity if !is_plain => {
                        return malformed(
                            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
                        );
                    }
                    PolicyKind::Trust if !is_plain => {
                        return malformed(format!("The following Statement Ids are invalid: {text}"));
                    }
                    PolicyKind::Identity | PolicyKind::Resource | PolicyKind::Trust | PolicyKind::Stored => {}
                }
                sid = Some(text).filter(|text| !text.is_empty());
            }
            "Effect" => {
                effect = match value {
                    Json::Text(text) if text == "Allow" => Some(Effect::Allow),
                    Json::Text(text) if text == "Deny" => Some(Effect::Deny),
                    Json::Text(text) if kind == PolicyKind::Identity => {
                        let is_case = ["allow", "deny"].contains(&text.to_ascii_lowercase().as_str());
                        return malformed(if is_case { LEGACY } else { SYNTAX });
                    }
                    Json::Text(text) => return malformed(format!("Invalid effect: {text}")),
                    _ => return malformed(SYNTAX),
                };
            }
            // Ref: "AWS JSON policy elements: NotPrincipal", key points.
            "NotPrincipal" if kind == PolicyKind::Trust => return malformed("Has prohibited field NotPrincipal"),
            "Principal" | "NotPrincipal" => {
                if principals.is_some() {
                    return malformed("Statement/policy cannot have both Principal and NotPrincipal.");
                }
                principals = Some(OneOf {
                    negated,
                    entries: principals_of(value, kind)?,
                });
            }
            "Action" | "NotAction" => {
                if actions.is_some() {
                    return malformed(match kind {
                        PolicyKind::Identity => SYNTAX,
                        _ => "Statement/policy cannot have both Action and NotAction.",
                    });
                }
                let mut named = Actions {
                    negated,
                    ..Actions::default()
                };
                for text in texts(value)? {
                    check_action(&text, kind)?;
                    named.insert(&text.to_ascii_lowercase());
                }
                actions = Some(named);
            }
            "Resource" | "NotResource" => {
                if resources.is_some() {
                    return malformed(match kind {
                        PolicyKind::Identity => SYNTAX,
                        _ => "Statement/policy cannot have both Resource and NotResource.",
                    });
                }
                let entries = texts(value)?
                    .iter()
                    .map(|text| resource_of(text, kind, variables))
                    .collect::<Result<Vec<_>, _>>()?;
                resources = Some(OneOf { negated, entries });
            }
            "Condition" => conditions = conditions_of(value, kind, variables)?,
            unknown => return unknown_field(unknown, kind),
        }
    }
    let Some(effect) = effect else {
        return malformed(match kind {
            PolicyKind::Identity => SYNTAX,
            _ => "Missing required field Effect",
        });
    };
    let some = |is_empty: bool| kind != PolicyKind::Identity || !is_empty;
    let Some(actions) = actions.filter(|actions| some(actions.is_empty())) else {
        return malformed(match kind {
            PolicyKind::Trust => "Missing required field Action",
            _ => "Policy statement must contain actions.",
        });
    };
    match kind {
        PolicyKind::Identity if principals.is_some() => {
            return malformed("Policy document should not specify a principal.");
        }
        PolicyKind::Identity
            if !resources
                .as_ref()
                .is_some_and(|resources| some(resources.entries.is_empty())) =>
        {
            return malformed("Policy statement must contain resources.");
        }
        PolicyKind::Resource | PolicyKind::Trust if principals.is_none() => {
            return malformed("Missing required field Principal");
        }
        PolicyKind::Trust if resources.is_some() => return malformed("Has prohibited field Resource"),
        PolicyKind::Identity | PolicyKind::Resource | PolicyKind::Trust | PolicyKind::Stored => {}
    }
    let statement = Statement {
        sid,
        effect,
        principals,
        actions,
        resources,
        conditions,
    };
    if kind == PolicyKind::Trust {
        shared_issuer::check(&statement).map_err(PolicyError)?;
    }
    Ok(statement)
}

fn texts(json: Json) -> Result<Vec<String>, PolicyError> {
    match json {
        Json::Text(text) => Ok(vec![text]),
        Json::Array(list) => list
            .into_iter()
            .map(|item| match item {
                Json::Text(text) => Ok(text),
                Json::Object(_) | Json::Array(_) | Json::Other(_) => malformed(SYNTAX),
            })
            .collect(),
        Json::Object(_) | Json::Other(_) => malformed(SYNTAX),
    }
}

fn resource_of(text: &str, kind: PolicyKind, variables: bool) -> Result<ArnPattern, PolicyError> {
    if kind == PolicyKind::Identity && text != "*" {
        check_resource(text)?;
    }
    Ok(ArnPattern::of_resource(text, variables))
}

fn principals_of(json: Json, kind: PolicyKind) -> Result<Vec<PrincipalEntry>, PolicyError> {
    match json {
        // CreateRole's own text; everyone is `{"AWS": "*"}` there.
        Json::Text(text) if text == "*" && kind == PolicyKind::Trust => {
            malformed("AssumeRolepolicy contained an invalid principal: \"STAR\":\"*\".")
        }
        Json::Text(text) if text == "*" => Ok(vec![PrincipalEntry::Anyone]),
        Json::Object(kinds) => {
            if kinds.is_empty() {
                return malformed("Missing required field Principal cannot be empty!");
            }
            let mut entries = Vec::new();
            for (element, value) in kinds {
                for text in texts(value)? {
                    let entry = PrincipalEntry::parse(&element, &text).map_err(PolicyError)?;
                    if kind == PolicyKind::Trust {
                        entry.check_trusted().map_err(PolicyError)?;
                    }
                    entries.push(entry);
                }
            }
            if entries.is_empty() {
                return malformed("The passed in policy has a statement with no principals!");
            }
            Ok(entries)
        }
        Json::Text(text) => malformed(format!("Invalid principal in policy: \"{text}\"")),
        Json::Array(_) | Json::Other(_) => malformed(SYNTAX),
    }
}

fn conditions_of(json: Json, kind: PolicyKind, variables: bool) -> Result<Vec<Condition>, PolicyError> {
    let Json::Object(operators) = json else {
        return malformed(SYNTAX);
    };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let Json::Object(keys) = keys else {
            return malformed(SYNTAX);
        };
        for (key, values) in keys {
            // Numbers and booleans may stand without quotes.
            let values = match values {
                Json::Array(list) => list,
                one => vec![one],
            };
            let values = values
                .into_iter()
                .map(|value| match value {
                    Json::Text(text) | Json::Other(text) => Ok(text),
                    Json::Object(_) | Json::Array(_) => malformed(SYNTAX),
                })
                .collect::<Result<Vec<_>, _>>()?;
            let condition = Condition::compile(&operator, &key, &values, variables);
            let condition = condition.map_err(|text| match kind {
                PolicyKind::Identity if text.starts_with("Invalid Condition type") => PolicyError(SYNTAX.to_owned()),
                _ => PolicyError(text),
            })?;
            // Documents that were stored before this was asked go on to mean what they meant.
            let is_arn = |value: &String| value.starts_with("arn:") || value.contains(['*', '?', '$']);
            if kind != PolicyKind::Stored && condition.is_of_arns() && !values.iter().all(is_arn) {
                return malformed(LEGACY);
            }
            conditions.push(condition);
        }
    }
    Ok(conditions)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Json;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E>(self, v: bool) -> Result<Json, E> {
                Ok(Json::Other(v.to_string()))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Json, E> {
                Ok(Json::Other(v.to_string()))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Json, E> {
                Ok(Json::Other(v.to_string()))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Json, E> {
                Ok(Json::Other(v.to_string()))
            }
            fn visit_unit<E: serde::de::Error>(self) -> Result<Json, E> {
                Err(E::custom("Syntax errors in policy."))
            }
            fn visit_str<E>(self, v: &str) -> Result<Json, E> {
                Ok(Json::Text(v.to_owned()))
            }
            fn visit_string<E>(self, v: String) -> Result<Json, E> {
                Ok(Json::Text(v))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    list.push(item);
                }
                Ok(Json::Array(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let (mut members, mut names) = (Vec::new(), BTreeSet::new());
                while let Some((name, value)) = map.next_entry::<String, Json>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom("Syntax errors in policy."));
                    }
                    members.push((name, value));
                }
                Ok(Json::Object(members))
            }
        }
        deserializer.deserialize_any(Visit)
    }
}
