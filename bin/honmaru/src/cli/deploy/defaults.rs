//! What is safe for every ordinary app, set once: on what `deploy` makes, and on what an earlier version of it made. A
//! tag says that it was; from then on it is the user's to change, and only what the plan says is set again.

use super::manifest::Plan;
use crate::cli::app::{APP_TAG, App};
use crate::cli::client::{Client, ECR, ELBV2, LOGS, Service, code_of};
use serde_json::{Value, json};

/// The tag on what has its defaults.
const TAG: &str = "honmaru:defaults";
/// Its value: the first set of defaults.
const FIRST: &str = "1";
/// How long logs are kept where nothing says another time: control L-02.
const LOG_DAYS: u32 = 365;
/// How long earlier versions of `deploy` kept them.
const LOG_DAYS_EARLIER: u64 = 30;
/// Ref: ELBv2 `LoadBalancerAttribute`.
const DROPS_ODD_HEADERS: &str = "routing.http.drop_invalid_header_fields.enabled";
/// The tag of images that moves: the newest one has it.
pub const NEWEST_TAG: &str = "latest";
/// What the tags begin with that an image of `deploy` has for ever.
pub const IMAGE_TAG: &str = "image-";
/// What the tags begin with that images have while they are needed.
pub const IN_USE_TAG: &str = "in-use-";
/// Images of `deploy` that are kept, whether they are needed or not.
const IMAGES_KEPT: u32 = 30;
/// How long images without a tag are kept, in days: of a tag that was moved.
const UNTAGGED_DAYS: u32 = 30;
/// More images than are ever in use.
const IN_USE_MAX: u32 = 10_000;

/// A resource of the app, and how its service calls it.
enum Made<'a> {
    Repository(&'a str),
    Balancer(&'a str),
    LogGroup(&'a str),
}

impl Made<'_> {
    /// Whether its defaults have still to be set: it is `deploy`'s own and was not tagged yet.
    async fn is_due(&self, client: &Client, app: &App) -> anyhow::Result<bool> {
        let (service, operation, input) = match self {
            Self::Repository(arn) => (ECR, "ListTagsForResource", json!({ "resourceArn": arn })),
            Self::Balancer(arn) => (ELBV2, "DescribeTags", json!({ "ResourceArns": [arn] })),
            Self::LogGroup(arn) => (LOGS, "ListTagsForResource", json!({ "resourceArn": arn })),
        };
        let answer = client.call(service, operation, input).await?;
        let found = match self {
            Self::Repository(_) => &answer["tags"],
            Self::Balancer(_) => &answer["TagDescriptions"][0]["Tags"],
            Self::LogGroup(_) => &answer["tags"],
        };
        Ok(tag(found, APP_TAG) == Some(app.name()) && tag(found, TAG).is_none())
    }

    async fn mark(&self, client: &Client) -> anyhow::Result<()> {
        let list = json!([{ "Key": TAG, "Value": FIRST }]);
        let (service, operation, input): (Service, &str, Value) = match self {
            Self::Repository(arn) => (ECR, "TagResource", json!({ "resourceArn": arn, "tags": list })),
            Self::Balancer(arn) => (ELBV2, "AddTags", json!({ "ResourceArns": [arn], "Tags": list })),
            Self::LogGroup(arn) => (
                LOGS,
                "TagResource",
                json!({ "resourceArn": arn, "tags": { TAG: FIRST } }),
            ),
        };
        client.call(service, operation, input).await?;
        Ok(())
    }
}

/// A tag's value: in a list of pairs, or in a map.
fn tag<'a>(tags: &'a Value, key: &str) -> Option<&'a str> {
    let of_list = tags.as_array().into_iter().flatten().find(|tag| tag["Key"] == key);
    of_list.map_or(&tags[key], |tag| &tag["Value"]).as_str()
}

/// The repository: tags that cannot be moved, and a lifecycle policy. What is in use must be tagged before.
pub async fn of_repository(client: &Client, app: &App, arn: &str) -> anyhow::Result<Vec<String>> {
    let made = Made::Repository(arn);
    if !made.is_due(client, app).await? {
        return Ok(Vec::new());
    }
    let name = app.name();
    let mut said = Vec::new();
    let describe = json!({ "repositoryNames": [name] });
    let answer = client.call(ECR, "DescribeRepositories", describe).await?;
    if answer["repositories"][0]["imageTagMutability"] == "MUTABLE" {
        let moves = json!([{ "filterType": "WILDCARD", "filter": NEWEST_TAG }]);
        let input = json!({
            "repositoryName": name, "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
            "imageTagMutabilityExclusionFilters": moves,
        });
        client.call(ECR, "PutImageTagMutability", input).await?;
        said.push(format!("tags of images cannot be moved, apart from `{NEWEST_TAG}`"));
    }
    let policy = client
        .call(ECR, "GetLifecyclePolicy", json!({ "repositoryName": name }))
        .await;
    match policy {
        Err(error) if code_of(&error) == Some("LifecyclePolicyNotFoundException") => {
            let input = json!({ "repositoryName": name, "lifecyclePolicyText": lifecycle_policy().to_string() });
            client.call(ECR, "PutLifecyclePolicy", input).await?;
            said.push(format!(
                "the newest {IMAGES_KEPT} images are kept, and every one that runs or may be rolled back to"
            ));
        }
        other => drop(other?),
    }
    made.mark(client).await?;
    Ok(said)
}

/// Ref: ECR user guide, "Lifecycle policy evaluation rules": what has the tags of a rule is never expired by one of a lower
/// priority, so that the first rule holds fast what is in use.
fn lifecycle_policy() -> Value {
    let rule = |priority: u32, description: &str, selection: Value| {
        json!({ "rulePriority": priority, "description": description, "selection": selection,
                "action": { "type": "expire" } })
    };
    let tagged = |prefix: &str, count: u32| {
        json!({ "tagStatus": "tagged", "tagPrefixList": [prefix], "countType": "imageCountMoreThan",
                "countNumber": count })
    };
    let untagged = json!({ "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days",
                           "countNumber": UNTAGGED_DAYS });
    json!({ "rules": [
        rule(1, "honmaru: what runs or may be rolled back to stays", tagged(IN_USE_TAG, IN_USE_MAX)),
        rule(2, "honmaru: the newest images stay", tagged(IMAGE_TAG, IMAGES_KEPT)),
        rule(3, "honmaru: what has lost its tag goes", untagged),
    ] })
}

/// The load balancer: odd headers are dropped, unless the plan says otherwise.
pub async fn of_balancer(client: &Client, plan: &Plan, arn: &str) -> anyhow::Result<Vec<String>> {
    let made = Made::Balancer(arn);
    let is_due = made.is_due(client, &plan.app).await?;
    let wanted = match plan.odd_headers {
        Some(passed) => !passed,
        None if is_due => true,
        None => return Ok(Vec::new()),
    };
    let of_balancer = json!({ "LoadBalancerArn": arn });
    let answer = client
        .call(ELBV2, "DescribeLoadBalancerAttributes", of_balancer)
        .await?;
    let rows = answer["Attributes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let now = rows.iter().find(|row| row["Key"] == DROPS_ODD_HEADERS);
    let is_other = now.is_none_or(|row| row["Value"] != json!(wanted.to_string()));
    if is_other {
        let attribute = json!({ "Key": DROPS_ODD_HEADERS, "Value": wanted.to_string() });
        let modify = json!({ "LoadBalancerArn": arn, "Attributes": [attribute] });
        client.call(ELBV2, "ModifyLoadBalancerAttributes", modify).await?;
    }
    if is_due {
        made.mark(client).await?;
    }
    let words = match wanted {
        true => {
            "headers whose names have other characters than letters, digits and hyphens are dropped (`--odd-headers` \
             passes them on)"
        }
        false => "headers with odd names are passed on",
    };
    Ok(is_other.then(|| words.to_owned()).into_iter().collect())
}

/// The log group: how long it keeps what it has.
pub async fn of_logs(client: &Client, plan: &Plan, is_new: bool) -> anyhow::Result<Vec<String>> {
    let group = plan.app.log_group();
    let describe = json!({ "logGroupNamePrefix": group });
    let answer = client.call(LOGS, "DescribeLogGroups", describe).await?;
    let mut rows = answer["logGroups"].as_array().into_iter().flatten();
    let Some(row) = rows.find(|row| row["logGroupName"] == json!(group)) else {
        return Ok(Vec::new());
    };
    let arn = row["arn"].as_str().unwrap_or_default().trim_end_matches(":*");
    let made = Made::LogGroup(arn);
    let is_due = made.is_due(client, &plan.app).await?;
    let now = row["retentionInDays"].as_u64();
    // Whoever set another time than an earlier `deploy` did wants that.
    let wanted = match plan.log_days {
        Some(days) => Some(days),
        None if is_due && (is_new || now == Some(LOG_DAYS_EARLIER)) => Some(LOG_DAYS),
        None => None,
    };
    let mut said = Vec::new();
    if let Some(days) = wanted.filter(|days| u64::from(*days) != now.unwrap_or_default()) {
        let (operation, input) = match days {
            0 => ("DeleteRetentionPolicy", json!({ "logGroupName": group })),
            days => (
                "PutRetentionPolicy",
                json!({ "logGroupName": group, "retentionInDays": days }),
            ),
        };
        client.call(LOGS, operation, input).await?;
        said.push(kept_words(days, now));
    }
    if is_due {
        made.mark(client).await?;
    }
    Ok(said)
}

fn kept_words(days: u32, before: Option<u64>) -> String {
    let now = match days {
        0 => "logs are kept until they are deleted".to_owned(),
        days => format!("logs are kept for {days} days"),
    };
    match before {
        Some(before) => format!("{now}, no longer for {before} (`--log-days` says otherwise)"),
        None => format!("{now} (`--log-days` says otherwise)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_either_form_are_read() {
        let list = json!([{ "Key": "a", "Value": "1" }, { "Key": TAG, "Value": FIRST }]);
        assert_eq!((tag(&list, TAG), tag(&list, "b")), (Some("1"), None));
        assert_eq!(tag(&json!({ "honmaru:app": "shop" }), APP_TAG), Some("shop"));
        assert_eq!(tag(&Value::Null, TAG), None);
    }

    #[test]
    fn what_is_in_use_comes_before_what_expires() {
        let policy = lifecycle_policy();
        let rules = policy["rules"].as_array().expect("rules");
        let selected: Vec<&Value> = rules
            .iter()
            .map(|rule| &rule["selection"]["tagPrefixList"][0])
            .collect();
        assert_eq!(selected, [&json!(IN_USE_TAG), &json!(IMAGE_TAG), &Value::Null]);
    }
}
