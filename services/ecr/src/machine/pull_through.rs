//! Pull-through cache rules: which repositories mirror which others.

use crate::model::{PullThroughRule, Tag, UpstreamCheck};
use honmaru_base::{Scope, Time};
use honmaru_machine::{State, Tx};

/// Ref: ECR user guide, "Pull through cache": upstream is checked for a newer image at least once every 24 hours, at a
/// pull.
const CHECK_EVERY_S: i64 = 24 * 3_600;
/// After a check whose end nobody saw, or that failed: the next pull after this time tries again.
const CHECK_AGAIN_S: i64 = 15 * 60;

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

/// Whether upstream is to be asked for a tag of a mirror that is in the cache already.
pub fn is_check_due(state: &State, scope: &Scope, name: &str, tag: &str, now: Time) -> bool {
    let key = Tag::key(name, tag);
    let last = state.get::<UpstreamCheck>(scope, &key);
    state.get::<Tag>(scope, &key).is_some()
        && last.is_none_or(|last| now.since_ms(last.next) >= 0)
        && rule_for(state, scope, name).is_some()
}

/// Takes the check of a tag upon oneself: true for one caller only. [`put_image`](crate::put_image) ends it; a check
/// that does not end so is tried again later.
pub fn begin_check(tx: &mut Tx<'_>, scope: &Scope, name: &str, tag: &str) -> bool {
    let now = tx.now();
    if !is_check_due(tx, scope, name, tag, now) {
        return false;
    }
    let next = now.plus_s(CHECK_AGAIN_S);
    tx.put(scope, &Tag::key(name, tag), UpstreamCheck { next });
    true
}

/// What the tag of a mirror names was just fetched.
pub(super) fn note_checked(tx: &mut Tx<'_>, scope: &Scope, name: &str, tag: &str) {
    if rule_for(tx, scope, name).is_some() {
        let next = tx.now().plus_s(CHECK_EVERY_S);
        tx.put(scope, &Tag::key(name, tag), UpstreamCheck { next });
    }
}
