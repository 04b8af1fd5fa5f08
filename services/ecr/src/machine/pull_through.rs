//! Pull-through cache rules: which repositories mirror which others.

use crate::model::PullThroughRule;
use honmaru_base::Scope;
use honmaru_machine::State;

/// The prefix that means every repository without a rule of its own. Ref: ECR `ecrRepositoryPrefix`.
const ROOT: &str = "ROOT";

/// Where a repository's images come from when it lacks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Registry and repository there, for example `registry-1.docker.io/library/nginx`.
    pub repository: String,
    /// The secret with the credentials, where the rule names one.
    pub credential_arn: Option<String>,
}

/// The rule with the longest prefix that covers the repository.
pub(crate) fn rule_for<'a>(state: &'a State, scope: &Scope, name: &str) -> Option<&'a PullThroughRule> {
    // Prefixes of a name are few: its directories, from the longest.
    let mut head = name;
    while let Some((shorter, _)) = head.rsplit_once('/') {
        if let Some(rule) = state.get::<PullThroughRule>(scope, shorter) {
            return Some(rule);
        }
        head = shorter;
    }
    state.get::<PullThroughRule>(scope, ROOT)
}

/// Where the images of a repository come from when it lacks them, if a pull-through cache rule covers it.
pub fn upstream_of(state: &State, scope: &Scope, name: &str) -> Option<Upstream> {
    let rule = rule_for(state, scope, name)?;
    let rest = if rule.prefix == ROOT {
        name
    } else {
        name.strip_prefix(&rule.prefix)?.strip_prefix('/')?
    };
    let prefix = rule.upstream_prefix.as_deref().filter(|prefix| *prefix != ROOT);
    let repository = match prefix {
        Some(prefix) => format!("{}/{prefix}/{rest}", rule.upstream_url),
        None => format!("{}/{rest}", rule.upstream_url),
    };
    Some(Upstream {
        repository,
        credential_arn: rule.credential_arn.clone(),
    })
}
