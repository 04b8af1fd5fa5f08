//! The text of a policy as the API shows it, whatever was put: rules in the order of their priorities, members in the
//! order in which they are documented, without white space. Ref: AWS CLI reference, example of `put-lifecycle-policy`;
//! Terraform's `aws_ecr_lifecycle_policy`, which was told so by the API.

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Text {
    rules: Vec<Rule>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    rule_priority: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    selection: Selection,
    action: Action,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    tag_status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag_pattern_list: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag_prefix_list: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_class: Option<String>,
    count_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    count_unit: Option<String>,
    count_number: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_storage_class: Option<String>,
}

/// A policy that [`super::Policy`] could read, as it is shown; any other text stays as it is.
pub(crate) fn canonical(text: &str) -> String {
    let written = serde_json::from_str::<Text>(text).and_then(|mut text| {
        text.rules.sort_by_key(|rule| rule.rule_priority);
        serde_json::to_string(&text)
    });
    written.unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::Policy;

    #[test]
    fn rules_and_members_come_in_their_order() {
        let put = r#"{ "rules": [
            {"action": {"type": "expire"}, "rulePriority": 20,
             "selection": {"countNumber": 3, "countType": "imageCountMoreThan", "tagStatus": "any"}},
            {"selection": {"countUnit": "days", "countNumber": 90, "storageClass": "standard", "tagPatternList": ["b", "a"],
                           "countType": "sinceImagePulled", "tagStatus": "tagged"},
             "action": {"targetStorageClass": "archive", "type": "transition"}, "description": "ä", "rulePriority": 3}]}"#;
        let shown = concat!(
            r#"{"rules":[{"rulePriority":3,"description":"ä","selection":{"tagStatus":"tagged","tagPatternList":["b","a"],"#,
            r#""storageClass":"standard","countType":"sinceImagePulled","countUnit":"days","countNumber":90},"#,
            r#""action":{"type":"transition","targetStorageClass":"archive"}},{"rulePriority":20,"#,
            r#""selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":3},"#,
            r#""action":{"type":"expire"}}]}"#
        );
        assert_eq!(canonical(put), shown);
        assert_eq!(canonical(shown), shown);
        assert_eq!(Policy::parse(put), Policy::parse(shown));
    }
}
