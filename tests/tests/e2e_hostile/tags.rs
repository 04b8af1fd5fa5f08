//! Tags are found over all services.

use anyhow::{Context, Result, ensure};
use honmaru_tests::cloud::Cloud;
use serde_json::json;

pub fn tags(cloud: &Cloud) -> Result<()> {
    let tag = "key=team,value=blue";
    cloud.aws(&["ecs", "create-cluster", "--cluster-name", "tagged", "--tags", tag])?;
    cloud.aws(&[
        "logs",
        "create-log-group",
        "--log-group-name",
        "/tagged",
        "--tags",
        "team=blue",
    ])?;
    cloud.aws(&[
        "ecr",
        "create-repository",
        "--repository-name",
        "tagged",
        "--tags",
        "Key=team,Value=blue",
    ])?;
    cloud.aws(&[
        "iam",
        "tag-user",
        "--user-name",
        "audited",
        "--tags",
        "Key=team,Value=red",
    ])?;
    let group = cloud.aws(&["ec2", "describe-security-groups"])?;
    let group = group["SecurityGroups"][0]["GroupId"]
        .as_str()
        .context("a group")?
        .to_owned();
    cloud.aws(&[
        "ec2",
        "create-tags",
        "--resources",
        &group,
        "--tags",
        "Key=team,Value=blue",
    ])?;
    let find = |arguments: &[&str]| -> Result<Vec<String>> {
        let call = [&["resourcegroupstaggingapi", "get-resources"], arguments].concat();
        let found = cloud.aws(&call)?;
        let list = found["ResourceTagMappingList"].as_array().cloned().unwrap_or_default();
        Ok(list
            .iter()
            .filter_map(|item| item["ResourceARN"].as_str().map(str::to_owned))
            .collect())
    };
    let blue = find(&["--tag-filters", "Key=team,Values=blue"])?;
    ensure!(blue.len() == 4, "{blue:?}");
    for service in [":ecs:", ":logs:", ":ecr:", ":ec2:"] {
        ensure!(blue.iter().any(|arn| arn.contains(service)), "{service}: {blue:?}");
    }
    let red = find(&["--tag-filters", "Key=team,Values=red"])?;
    ensure!(
        red.len() == 1 && red.iter().all(|arn| arn.ends_with(":user/audited")),
        "{red:?}"
    );
    let groups = find(&["--resource-type-filters", "ec2:security-group"])?;
    ensure!(groups.iter().any(|arn| arn.ends_with(&group)), "{groups:?}");
    // The CLI follows the tokens of pages of one.
    ensure!(
        find(&["--tag-filters", "Key=team", "--page-size", "1"])?.len() == 5,
        "pages lose resources"
    );
    let values = cloud.aws(&["resourcegroupstaggingapi", "get-tag-values", "--key", "team"])?;
    ensure!(values["TagValues"] == json!(["blue", "red"]), "{values}");
    let keys = cloud.aws(&["resourcegroupstaggingapi", "get-tag-keys"])?;
    ensure!(
        keys["TagKeys"]
            .as_array()
            .is_some_and(|keys| keys.contains(&json!("team"))),
        "{keys}"
    );
    Ok(())
}
