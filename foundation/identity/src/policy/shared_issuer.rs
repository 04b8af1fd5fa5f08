//! Issuers of web identities that strangers share: whoever trusts one must say whom of all its users.
//! Ref: IAM User Guide, "Identity-provider controls for shared OIDC providers".

use crate::policy::document::{Effect, Statement};
use crate::policy::principal::PrincipalEntry;

/// Issuers, and what tells their users apart: a claim, or a condition key.
const SHARED: [(&str, &[&str]); 16] = [
    ("token.actions.githubusercontent.com", &["sub", "job_workflow_ref"]),
    ("agent.buildkite.com", &["sub"]),
    ("api.pulumi.com/oidc", &["aud"]),
    ("app.terraform.io", &["sub"]),
    ("gitlab.com", &["sub"]),
    ("oidc-configuration.audit-log.githubusercontent.com", &["sub"]),
    ("oidc.codefresh.io", &["sub"]),
    ("oidc.op1.openshiftapps.com/2f785sojlpb85i7402pk3qogugim5nfb", &["sub"]),
    ("oidc.vercel.com", &["aud"]),
    ("proidc.upbound.io", &["sub"]),
    ("sandboxes.cloud", &["aud"]),
    ("scalr.io", &["sub"]),
    (
        "sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d",
        &["sts:RoleSessionName"],
    ),
    ("studio.datachain.ai/api", &["sub"]),
    ("tokens.cloud.shisho.dev", &["sub"]),
    ("vstoken.actions.githubusercontent.com", &["sub"]),
];

/// Amazon Cognito's identity pools, which no provider in IAM stands for: any condition will do. The text was recorded by
/// badmintoncryer/cdk-preflight, pf-iam-trust-policy-cognito-condition.
const COGNITO: &str = "cognito-identity.amazonaws.com";

/// Whether a statement of a trust policy says whom of a shared issuer's users it means. An error is the text that IAM
/// answers.
pub(crate) fn check(statement: &Statement) -> Result<(), String> {
    if statement.effect != Effect::Allow || !statement.actions.matches("sts:assumerolewithwebidentity") {
        return Ok(());
    }
    let trusted = statement.principals.iter().flat_map(|principals| &principals.entries);
    for entry in trusted {
        let PrincipalEntry::Federated(name) = entry else {
            continue;
        };
        if name == COGNITO && statement.conditions.is_empty() {
            return Err("A condition block must be present for the Cognito provider".to_owned());
        }
        let issuer = name.split_once(":oidc-provider/").map(|(_, issuer)| issuer);
        let Some((issuer, claims)) = SHARED.iter().find(|(shared, _)| Some(*shared) == issuer) else {
            continue;
        };
        let key = |claim: &&str| match claim.contains(':') {
            true => (*claim).to_owned(),
            false => format!("{issuer}:{claim}"),
        };
        let keys: Vec<String> = claims.iter().map(key).collect();
        let narrows = |key: &String| statement.conditions.iter().any(|condition| condition.narrows(key));
        if !keys.iter().any(narrows) {
            return Err(format!(
                "Trust policy with trusted principal {name} must evaluate, using StringEquals, StringLike or \
                 StringEqualsIgnoreCase, {} which is not scoped to all.",
                keys.join(" or ")
            ));
        }
    }
    Ok(())
}
