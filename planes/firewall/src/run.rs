//! The evaluation of one request: rules in order, until one decides.

use crate::answer;
use crate::firewall::{Acts, Kind, PlannedAction, PlannedGroup, PlannedKey, PlannedRate, PlannedRule};
use crate::inspect::{Addresses, Look, cookie_pairs, forwarded_one};
use crate::rule::Fallback;
use crate::sample::{Samples, Taken};
use crate::{Decision, Verdict};
use std::borrow::Cow;

/// Whether the evaluation goes on.
pub(crate) enum Step {
    Next,
    End(Box<Verdict>),
}

pub(crate) struct Run<'r, 'p> {
    look: Look<'r, 'p>,
    labels: Vec<String>,
    inserted: Vec<(String, String)>,
    counted: Vec<String>,
}

/// What a rate-based rule finds in a request.
enum Key {
    /// Nothing to count, or the fallback says no.
    None,
    /// The fallback says that the rule matches.
    Matches,
    Is(Vec<u8>),
}

/// Who decided, for the verdict and the samples.
#[derive(Clone, Copy)]
struct Origin<'a> {
    rule: &'a PlannedRule,
    /// The group's reference, when `rule` is inside of a group.
    outer: Option<(&'a PlannedRule, &'a PlannedGroup)>,
}

impl<'r, 'p> Run<'r, 'p> {
    pub(crate) fn new(look: Look<'r, 'p>) -> Self {
        Self {
            look,
            labels: Vec::new(),
            inserted: Vec::new(),
            counted: Vec::new(),
        }
    }

    /// A rule of the web ACL.
    pub(crate) fn rule(&mut self, rule: &PlannedRule) -> Step {
        match &rule.kind {
            Kind::Group(group) => self.group(rule, group),
            Kind::Plain { .. } | Kind::Rate { .. } => match self.matches(rule) {
                Some(acts) => self.act(acts, Origin { rule, outer: None }),
                None => Step::Next,
            },
        }
    }

    fn group(&mut self, outer: &PlannedRule, group: &PlannedGroup) -> Step {
        if let Some(scope) = &group.scope_down
            && !self.look.holds(scope, &mut self.labels).unwrap_or(false)
        {
            return Step::Next;
        }
        for rule in &group.rules {
            let Some(acts) = self.matches(rule) else {
                continue;
            };
            let origin = Origin {
                rule,
                outer: Some((outer, group)),
            };
            let ends = !matches!(acts.action, PlannedAction::Count { .. });
            if ends && group.count {
                // The group's decision is turned into Count: its evaluation ends, the web ACL's goes on.
                self.sample(origin, "COUNT", Some(acts.action.name()), None);
                self.counted.push(outer.metric.clone());
                return Step::Next;
            }
            if let Step::End(verdict) = self.act(acts, origin) {
                return Step::End(verdict);
            }
        }
        Step::Next
    }

    /// The action of a rule that matches; its labels are added.
    fn matches<'x>(&mut self, rule: &'x PlannedRule) -> Option<&'x Acts> {
        let (matched, acts) = match &rule.kind {
            Kind::Plain { node, acts } => (self.look.holds(node, &mut self.labels).unwrap_or(false), acts),
            Kind::Rate { rate, acts } => (self.exceeds(rate), acts),
            Kind::Group(_) => return None,
        };
        if !matched {
            return None;
        }
        for label in &rule.labels {
            if !self.labels.contains(label) {
                self.labels.push(label.clone());
            }
        }
        Some(acts)
    }

    fn act(&mut self, acts: &Acts, origin: Origin<'_>) -> Step {
        let request = self.look.request;
        let decision = match &acts.action {
            PlannedAction::Count { insert } => {
                self.insert(insert);
                self.sample(origin, "COUNT", acts.overridden, None);
                self.counted.push(origin.rule.metric.clone());
                return Step::Next;
            }
            PlannedAction::Allow { insert } => {
                self.insert(insert);
                Decision::Allow {
                    insert_headers: std::mem::take(&mut self.inserted),
                }
            }
            PlannedAction::Block(answer) => Decision::Block(answer.clone()),
            PlannedAction::Captcha => Decision::Captcha(answer::captcha(&request)),
            PlannedAction::Challenge => Decision::Challenge(answer::challenge(&request)),
        };
        if let Decision::Allow { insert_headers } = &decision {
            self.inserted.clone_from(insert_headers);
        }
        self.sample(
            origin,
            decision.name(),
            acts.overridden,
            decision.answer().map(|answer| answer.status),
        );
        let (rule, kind) = match (origin.outer, &origin.rule.kind) {
            (Some((outer, group)), _) => (outer, if group.managed { "MANAGED_RULE_GROUP" } else { "GROUP" }),
            (None, Kind::Rate { .. }) => (origin.rule, "RATE_BASED"),
            (None, Kind::Plain { .. } | Kind::Group(_)) => (origin.rule, "REGULAR"),
        };
        Step::End(Box::new(Verdict {
            decision,
            labels: std::mem::take(&mut self.labels),
            terminating_rule: rule.name.clone(),
            terminating_rule_type: kind,
            rule_inside_group: origin.outer.map(|_| origin.rule.name.clone()),
            counted: std::mem::take(&mut self.counted),
        }))
    }

    pub(crate) fn default_action(mut self, action: &PlannedAction, samples: Option<&Samples>) -> Verdict {
        let decision = match action {
            PlannedAction::Block(answer) => Decision::Block(answer.clone()),
            PlannedAction::Allow { insert } | PlannedAction::Count { insert } => {
                self.insert(insert);
                Decision::Allow {
                    insert_headers: self.inserted.clone(),
                }
            }
            PlannedAction::Captcha => Decision::Captcha(answer::captcha(&self.look.request)),
            PlannedAction::Challenge => Decision::Challenge(answer::challenge(&self.look.request)),
        };
        if let Some(samples) = samples {
            let taken = Taken {
                action: decision.name(),
                overridden: None,
                inside_group: None,
                labels: &self.labels,
                inserted: &self.inserted,
                status: decision.answer().map(|answer| answer.status),
            };
            samples.take(&self.look.request, taken);
        }
        Verdict {
            decision,
            labels: self.labels,
            terminating_rule: "Default_Action".to_owned(),
            terminating_rule_type: "REGULAR",
            rule_inside_group: None,
            counted: self.counted,
        }
    }

    /// A later rule's header replaces an earlier one of the same name.
    fn insert(&mut self, headers: &[(String, String)]) {
        for (name, value) in headers {
            self.inserted.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
            self.inserted.push((name.clone(), value.clone()));
        }
    }

    fn sample(&self, origin: Origin<'_>, action: &'static str, overridden: Option<&'static str>, status: Option<u16>) {
        let inside = origin
            .outer
            .map(|(_, group)| format!("{}{}", group.prefix, origin.rule.name));
        let taken = Taken {
            action,
            overridden,
            inside_group: inside.as_deref(),
            labels: &self.labels,
            inserted: &self.inserted,
            status,
        };
        let outer = origin.outer.and_then(|(outer, _)| outer.samples.as_deref());
        for samples in [origin.rule.samples.as_deref(), outer].into_iter().flatten() {
            samples.take(&self.look.request, taken);
        }
    }

    fn exceeds(&mut self, rate: &PlannedRate) -> bool {
        if let Some(scope) = &rate.scope_down
            && !self.look.holds(scope, &mut self.labels).unwrap_or(false)
        {
            return false;
        }
        match self.key(rate) {
            Key::None => false,
            Key::Matches => true,
            Key::Is(key) => rate.table.count(&key, self.look.request.now, rate.limit.window_s) > rate.limit.limit,
        }
    }

    /// The key's parts, each after its length, so that no two lists of parts give the same key.
    fn key(&self, rate: &PlannedRate) -> Key {
        let request = &self.look.request;
        let mut whole = Vec::new();
        for part in &rate.keys {
            let part: Cow<'_, [u8]> = match part {
                PlannedKey::Ip => Cow::Owned(request.peer.to_canonical().to_string().into_bytes()),
                PlannedKey::Method => Cow::Borrowed(request.method.as_bytes()),
                PlannedKey::ForwardedIp => {
                    let Some(from) = &rate.limit.forwarded else {
                        return Key::None;
                    };
                    match forwarded_one(request, from) {
                        Addresses::Are(found) => match found.first() {
                            Some(address) => Cow::Owned(address.to_canonical().to_string().into_bytes()),
                            None => return Key::None,
                        },
                        Addresses::Malformed if from.fallback == Fallback::Match => return Key::Matches,
                        Addresses::Malformed | Addresses::NoHeader => return Key::None,
                    }
                }
                PlannedKey::Text(input) => match self.look.decided(*input) {
                    Some(true) => return Key::Matches,
                    Some(false) => return Key::None,
                    None => match self.look.texts(*input).first() {
                        Some(text) => Cow::Borrowed(&**text),
                        None => return Key::None,
                    },
                },
                PlannedKey::Cookie(name, chain) => {
                    let found = cookie_pairs(request).find(|(have, _)| *have == name.as_bytes());
                    let Some((_, value)) = found else {
                        return Key::None;
                    };
                    chain.iter().fold(Cow::Borrowed(value), |value, transformation| {
                        transformation.apply(&value).map_or(value, Cow::Owned)
                    })
                }
                PlannedKey::Labels(namespace) => {
                    let mut found: Vec<&str> = self
                        .labels
                        .iter()
                        .map(String::as_str)
                        .filter(|label| label.starts_with(namespace))
                        .collect();
                    if found.is_empty() {
                        return Key::None;
                    }
                    found.sort_unstable();
                    Cow::Owned(found.join("\n").into_bytes())
                }
            };
            whole.extend((part.len() as u32).to_be_bytes());
            whole.extend_from_slice(&part);
        }
        Key::Is(whole)
    }
}

impl PlannedAction {
    /// Its name in samples.
    fn name(&self) -> &'static str {
        match self {
            PlannedAction::Allow { .. } => "ALLOW",
            PlannedAction::Count { .. } => "COUNT",
            PlannedAction::Block(_) => "BLOCK",
            PlannedAction::Captcha => "CAPTCHA",
            PlannedAction::Challenge => "CHALLENGE",
        }
    }
}
