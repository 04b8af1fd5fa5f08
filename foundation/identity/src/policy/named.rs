//! What statements may name: actions and resources.

use crate::policy::document::{LEGACY, PolicyError, PolicyKind, malformed};

const NOT_STS: &str = "AssumeRole policy may only specify STS AssumeRole actions.";

/// What a trust policy may name, and nothing else: no wildcard, and no other letters. Ref: badmintoncryer/cdk-preflight,
/// pf-iam-trust-policy-action-sts-only, which tried these and others with UpdateAssumeRolePolicy.
const TRUSTED_ACTIONS: [&str; 6] = [
    "sts:AssumeRole",
    "sts:AssumeRoleWithSAML",
    "sts:AssumeRoleWithWebIdentity",
    "sts:SetContext",
    "sts:SetSourceIdentity",
    "sts:TagSession",
];

/// Whether a statement of a document of that kind may name an action. The texts are those of IAM.
pub(crate) fn check_action(text: &str, kind: PolicyKind) -> Result<(), PolicyError> {
    if text != "*" {
        let Some((vendor, name)) = text.split_once(':') else {
            return malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if vendor.contains(['*', '?']) {
            return malformed("Action vendors (e.g., aws, ec2, etc.) must not contain wildcards.");
        }
        if vendor.is_empty() || !vendor.chars().all(|c| plain(c) || c == '.') {
            return malformed(format!("Vendor {vendor} is not valid"));
        }
        // AWS takes any name, also one that no operation can have.
        if name.is_empty() || name.contains(':') {
            return malformed("Actions/Condition can contain only one colon.");
        }
        if kind == PolicyKind::Trust && !TRUSTED_ACTIONS.contains(&text) {
            return malformed(NOT_STS);
        }
    } else if kind == PolicyKind::Trust {
        return malformed(NOT_STS);
    }
    Ok(())
}

/// Ref: ARNs' partitions; "IAM JSON policy elements: Resource", incomplete ARNs; the texts are CreatePolicy's.
pub(crate) fn check_resource(text: &str) -> Result<(), PolicyError> {
    const PARTITIONS: [&str; 7] = [
        "aws",
        "aws-cn",
        "aws-us-gov",
        "aws-iso",
        "aws-iso-b",
        "aws-iso-e",
        "aws-iso-f",
    ];
    const IAM_PATHS: &str = "user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, \
                             policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/";
    let mut parts = text.splitn(6, ':').skip(1);
    let Some(partition) = parts.next() else {
        return malformed(format!("Resource {text} must be in ARN format or \"*\"."));
    };
    let (service, region, account, resource) = (parts.next(), parts.next(), parts.next(), parts.next());
    let is_open = |part: &str| part.contains(['*', '?', '$']);
    if !text.starts_with("arn:") || !(PARTITIONS.contains(&partition) || is_open(partition)) {
        let all = [Some(partition), service, region, account, resource].map(|part| part.unwrap_or("*"));
        let all = all.join(":");
        return malformed(format!(
            "Partition \"{partition}\" is not valid for resource \"arn:{all}\"."
        ));
    }
    // Of fewer parts those at the end are filled in, but an account must look like one.
    let is_account =
        |account: &str| account.is_empty() || is_open(account) || account.bytes().all(|b| b.is_ascii_digit());
    let is_cut = |account: &str| resource.is_none() && (account.is_empty() || !is_account(account));
    // No variable stands for an account.
    if service == Some("") || account.is_some_and(|account| account.contains("${") || is_cut(account)) {
        return malformed(LEGACY);
    }
    if service.is_none_or(|service| service.contains(['*', '?'])) {
        return malformed("Resource vendor must be fully qualified and cannot contain regexes.");
    }
    if service == Some("iam") {
        if region.is_some_and(|region| !region.is_empty() && !is_open(region)) {
            return malformed(format!("IAM resource {text} cannot contain region information."));
        }
        // No wildcard stands for a kind: `*/app` is refused, too.
        let is_known = |resource: &str| {
            ["*", "root"].contains(&resource) || IAM_PATHS.split(", ").any(|path| resource.starts_with(path))
        };
        if resource.is_some_and(|resource| !is_known(resource)) {
            return malformed(format!(
                "IAM resource path must either be \"*\", root, or start with {IAM_PATHS}."
            ));
        }
    }
    Ok(())
}
