//! The compiled web ACL: its rules in order, and what they remember between requests.

use crate::answer::{self, Bodies};
use crate::inspect::{BODY_BYTES_MAX, Look};
use crate::managed;
use crate::plan::{Node, Plan, Planner, qualified};
use crate::rate::RateTable;
use crate::rule::{Action, Effect, GroupOverrides, Home, RateLimit, Rule, Statement, parse_rules};
use crate::run::{Run, Step};
use crate::sample::{SampleSet, Samples};
use crate::{Answer, CompileError, RequestView, Verdict};
use honmaru_base::Time;
use honmaru_contract::edge::WebAcl;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A web ACL compiled to a plan. `Send + Sync`; share it in an `Arc`.
///
/// CAPTCHA and challenge tokens are neither issued nor accepted: a rule with such an action refuses what it matches.
pub struct Firewall {
    plan: Plan,
    rules: Vec<PlannedRule>,
    default: PlannedAction,
    default_samples: Option<Arc<Samples>>,
    metrics: BTreeMap<String, Arc<Samples>>,
    rates: BTreeMap<String, (RateLimit, Arc<RateTable>)>,
    body_bytes_wanted: usize,
}

/// What happens on a match.
#[derive(Debug, Clone)]
pub(crate) enum PlannedAction {
    Allow { insert: Vec<(String, String)> },
    Count { insert: Vec<(String, String)> },
    Block(Answer),
    Captcha,
    Challenge,
}

pub(crate) struct PlannedRule {
    pub(crate) name: String,
    pub(crate) metric: String,
    /// Fully qualified.
    pub(crate) labels: Vec<String>,
    pub(crate) kind: Kind,
    pub(crate) samples: Option<Arc<Samples>>,
}

pub(crate) enum Kind {
    /// A statement with an action.
    Plain { node: Node, acts: Acts },
    /// A rate with an action.
    Rate { rate: PlannedRate, acts: Acts },
    /// Rules of a group.
    Group(PlannedGroup),
}

/// An action, and the name of the one that it replaces.
pub(crate) struct Acts {
    pub(crate) action: PlannedAction,
    pub(crate) overridden: Option<&'static str>,
}

pub(crate) struct PlannedRate {
    pub(crate) limit: RateLimit,
    pub(crate) keys: Vec<PlannedKey>,
    pub(crate) scope_down: Option<Node>,
    pub(crate) table: Arc<RateTable>,
}

pub(crate) enum PlannedKey {
    Text(usize),
    /// A cookie's name and the transformations on its value.
    Cookie(String, Vec<crate::Transformation>),
    Method,
    Ip,
    ForwardedIp,
    Labels(String),
}

pub(crate) struct PlannedGroup {
    /// `<vendor>#<group>#` or `<group>#`.
    pub(crate) prefix: String,
    pub(crate) managed: bool,
    pub(crate) scope_down: Option<Node>,
    /// The group's decision becomes Count.
    pub(crate) count: bool,
    pub(crate) rules: Vec<PlannedRule>,
}

/// Where rules come from while they are compiled.
struct Context<'a> {
    acl: &'a WebAcl,
    bodies: &'a Bodies,
    /// For labels, with a colon at the end.
    labels: String,
    /// For the identity of rates.
    path: String,
}

struct Compiler<'a> {
    planner: Planner,
    previous: Option<&'a Firewall>,
    metrics: BTreeMap<String, Arc<Samples>>,
    rates: BTreeMap<String, (RateLimit, Arc<RateTable>)>,
}

impl Firewall {
    /// Compiles a web ACL.
    pub fn compile(acl: &WebAcl) -> Result<Firewall, CompileError> {
        Self::compile_from(None, acl)
    }

    /// Checks all that [`Firewall::compile`] checks but the size of the matchers; much cheaper with managed groups.
    pub fn check(acl: &WebAcl) -> Result<(), CompileError> {
        Compiler::new(None).read(acl).map(|_| ())
    }

    /// Compiles a web ACL and takes over the counts of unchanged rate-based rules and the samples of `previous`.
    pub fn compile_from(previous: Option<&Firewall>, acl: &WebAcl) -> Result<Firewall, CompileError> {
        let mut compiler = Compiler::new(previous);
        let (rules, default, default_samples) = compiler.read(acl)?;
        let plan = compiler.planner.finish()?;
        let reads_body = plan.fields.iter().any(crate::rule::Field::reads_body);
        Ok(Firewall {
            body_bytes_wanted: if reads_body { BODY_BYTES_MAX } else { 0 },
            plan,
            rules,
            default,
            default_samples,
            metrics: compiler.metrics,
            rates: compiler.rates,
        })
    }

    /// How many bytes of a body the rules look at; 0: bodies are not inspected and need not be buffered.
    pub fn body_bytes_wanted(&self) -> usize {
        self.body_bytes_wanted
    }

    /// Decides about a request. Never panics, whatever the bytes.
    pub fn inspect(&self, request: &RequestView<'_>) -> Verdict {
        let mut run = Run::new(Look::new(*request, &self.plan));
        for rule in &self.rules {
            if let Step::End(verdict) = run.rule(rule) {
                return *verdict;
            }
        }
        run.default_action(&self.default, self.default_samples.as_deref())
    }

    /// The samples of the rule with that metric name (the web ACL's own: the default action) from `from` to `to`.
    /// An unknown name has none.
    pub fn samples(&self, rule_metric_name: &str, from: Time, to: Time, items_max: u32) -> SampleSet {
        let items_max = usize::try_from(items_max).unwrap_or(usize::MAX);
        match self.metrics.get(rule_metric_name) {
            Some(samples) => samples.read(from, to, items_max),
            None => SampleSet::default(),
        }
    }

    /// The addresses that the rate-based rule limits now; nothing when there is no such rule or when it does not count by
    /// address. Rules inside of a group are named `<group rule>/<rule>`.
    pub fn limited_addresses(&self, rule: &str, now: Time) -> Option<Vec<String>> {
        let (limit, table) = self.rates.get(rule)?;
        if !matches!(
            limit.keys[..],
            [crate::rule::RateKey::Ip | crate::rule::RateKey::ForwardedIp]
        ) {
            return None;
        }
        let keys = table.over(limit.limit, now, limit.window_s);
        Some(
            keys.iter()
                .map(|key| String::from_utf8_lossy(key.get(4..).unwrap_or_default()).into_owned())
                .collect(),
        )
    }
}

type Read = (Vec<PlannedRule>, PlannedAction, Option<Arc<Samples>>);

impl<'a> Compiler<'a> {
    fn new(previous: Option<&'a Firewall>) -> Self {
        Self {
            planner: Planner::default(),
            previous,
            metrics: BTreeMap::new(),
            rates: BTreeMap::new(),
        }
    }

    fn read(&mut self, acl: &WebAcl) -> Result<Read, CompileError> {
        let bodies = answer::bodies(&acl.custom_response_bodies)?;
        let context = Context {
            acl,
            bodies: &bodies,
            labels: format!("awswaf:{}:webacl:{}:", acl.account, acl.name),
            path: String::new(),
        };
        let default = plan_action(&Action::parse_default(&acl.default_action)?, &bodies)?;
        let mut rules = Vec::new();
        for rule in parse_rules(&acl.rules, Home::WebAcl)? {
            rules.push(
                self.rule(&rule, None, &context)
                    .map_err(|error| error.in_rule(&rule.name))?,
            );
        }
        let metric = acl
            .visibility_config
            .get("MetricName")
            .and_then(Value::as_str)
            .unwrap_or(&acl.name);
        let sampled = acl
            .visibility_config
            .get("SampledRequestsEnabled")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let samples = sampled.then(|| self.samples(metric));
        Ok((rules, default, samples))
    }

    fn samples(&mut self, metric: &str) -> Arc<Samples> {
        let before = self.previous.and_then(|previous| previous.metrics.get(metric));
        self.metrics
            .entry(metric.to_owned())
            .or_insert_with(|| before.map(Arc::clone).unwrap_or_default())
            .clone()
    }

    fn rule(
        &mut self,
        rule: &Rule,
        overrides: Option<(&GroupOverrides, &Bodies)>,
        context: &Context<'_>,
    ) -> Result<PlannedRule, CompileError> {
        let kind = match (&rule.statement, &rule.effect) {
            (Statement::Managed(reference), Effect::Override { count }) => {
                let group = managed::group(&reference.vendor, &reference.name, reference.version.as_deref())?;
                let scope_down = reference.scope_down.as_deref();
                let scope_down = scope_down
                    .map(|s| self.planner.node(s, context.acl, &context.labels))
                    .transpose()?;
                let inner = Context {
                    acl: context.acl,
                    bodies: context.bodies,
                    labels: format!("awswaf:managed:aws:{}:", group.namespace),
                    path: format!("{}/", rule.name),
                };
                let mut rules = Vec::new();
                for rule in group.typed_rules() {
                    rules.push(self.rule(&rule, Some((&reference.overrides, context.bodies)), &inner)?);
                }
                let prefix = format!("{}#{}#", reference.vendor, reference.name);
                Kind::Group(PlannedGroup {
                    prefix,
                    managed: true,
                    scope_down,
                    count: *count,
                    rules,
                })
            }
            (Statement::Group { arn, overrides }, Effect::Override { count }) => {
                Kind::Group(self.own_group(arn, overrides, *count, &rule.name, context)?)
            }
            (Statement::Rate(limit), Effect::Act(action)) => {
                let acts = acts(rule, action, overrides, context)?;
                Kind::Rate {
                    rate: self.rate(limit, &format!("{}{}", context.path, rule.name), context)?,
                    acts,
                }
            }
            (statement, Effect::Act(action)) => {
                let acts = acts(rule, action, overrides, context)?;
                Kind::Plain {
                    node: self.planner.node(statement, context.acl, &context.labels)?,
                    acts,
                }
            }
            (_, Effect::Override { .. }) => {
                return Err(CompileError::invalid(
                    "OVERRIDE_ACTION",
                    "OverrideAction",
                    "Only a rule group can be overridden",
                ));
            }
        };
        Ok(PlannedRule {
            name: rule.name.clone(),
            metric: rule.metric.clone(),
            labels: rule
                .labels
                .iter()
                .map(|label| qualified(label, &context.labels))
                .collect(),
            kind,
            samples: (rule.sampled && !rule.metric.is_empty()).then(|| self.samples(&rule.metric)),
        })
    }

    fn own_group(
        &mut self,
        arn: &str,
        overrides: &GroupOverrides,
        count: bool,
        reference: &str,
        context: &Context<'_>,
    ) -> Result<PlannedGroup, CompileError> {
        const FIELD: &str = "RULE_GROUP_REFERENCE_STATEMENT";
        let missing = || CompileError::missing(FIELD, arn, "The rule group does not exist");
        let group = context.acl.rule_groups.get(arn).ok_or_else(missing)?;
        let name = group.get("Name").and_then(Value::as_str).unwrap_or_default();
        let bodies = answer::bodies(group.get("CustomResponseBodies").unwrap_or(&Value::Null))?;
        let inner = Context {
            acl: context.acl,
            bodies: &bodies,
            labels: format!("awswaf:{}:rulegroup:{name}:", context.acl.account),
            path: format!("{reference}/"),
        };
        let parsed = parse_rules(group.get("Rules").unwrap_or(&Value::Null), Home::RuleGroup)?;
        // Ref: WAFv2: overrides of rules that an own group does not have are an error; of a managed one they are ignored.
        if let Some(unknown) = overrides
            .actions
            .keys()
            .find(|name| !parsed.iter().any(|rule| rule.name == **name))
        {
            let reason = "The rule group has no rule of that name";
            return Err(CompileError::invalid("EXCLUDED_RULE", unknown.clone(), reason));
        }
        let mut rules = Vec::new();
        for rule in &parsed {
            rules.push(self.rule(rule, Some((overrides, context.bodies)), &inner)?);
        }
        Ok(PlannedGroup {
            prefix: format!("{name}#"),
            managed: false,
            scope_down: None,
            count,
            rules,
        })
    }

    fn rate(&mut self, limit: &RateLimit, path: &str, context: &Context<'_>) -> Result<PlannedRate, CompileError> {
        use crate::rule::RateKey;
        let keys = limit.keys.iter().map(|key| match key {
            RateKey::Text(input) => PlannedKey::Text(self.planner.input(input)),
            RateKey::Cookie(name, chain) => PlannedKey::Cookie(name.clone(), chain.clone()),
            RateKey::Method => PlannedKey::Method,
            RateKey::Ip => PlannedKey::Ip,
            RateKey::ForwardedIp => PlannedKey::ForwardedIp,
            RateKey::Labels(namespace) => PlannedKey::Labels(qualified(namespace, &context.labels)),
        });
        let keys = keys.collect();
        let scope_down = limit.scope_down.as_deref();
        let scope_down = scope_down
            .map(|s| self.planner.node(s, context.acl, &context.labels))
            .transpose()?;
        // A changed setting resets the counts, as AWS documents.
        let before = self
            .previous
            .and_then(|previous| previous.rates.get(path))
            .filter(|(old, _)| old == limit);
        let table = before.map(|(_, table)| Arc::clone(table)).unwrap_or_default();
        self.rates.insert(path.to_owned(), (limit.clone(), Arc::clone(&table)));
        Ok(PlannedRate {
            limit: limit.clone(),
            keys,
            scope_down,
            table,
        })
    }
}

fn acts(
    rule: &Rule,
    action: &Action,
    overrides: Option<(&GroupOverrides, &Bodies)>,
    context: &Context<'_>,
) -> Result<Acts, CompileError> {
    match overrides.and_then(|(overrides, bodies)| Some((overrides.actions.get(&rule.name)?, bodies))) {
        Some((instead, bodies)) => Ok(Acts {
            action: plan_action(instead, bodies)?,
            overridden: Some(action.name()),
        }),
        None => Ok(Acts {
            action: plan_action(action, context.bodies)?,
            overridden: None,
        }),
    }
}

fn plan_action(action: &Action, bodies: &Bodies) -> Result<PlannedAction, CompileError> {
    Ok(match action {
        Action::Allow { insert } => PlannedAction::Allow {
            insert: answer::prefixed(insert),
        },
        Action::Count { insert } => PlannedAction::Count {
            insert: answer::prefixed(insert),
        },
        Action::Block(None) => PlannedAction::Block(answer::forbidden()),
        Action::Block(Some(custom)) => PlannedAction::Block(answer::custom(custom, bodies)?),
        Action::Captcha { .. } => PlannedAction::Captcha,
        Action::Challenge { .. } => PlannedAction::Challenge,
    })
}
