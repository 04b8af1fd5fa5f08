//! Lifecycle policies: previewed and carried out.

use super::support::{DAY_MS, Ecr};
use serde_json::json;

#[test]
fn a_lifecycle_policy_is_previewed_and_carried_out() {
    let mut ecr = Ecr::new();
    ecr.repository("app");
    for (content, tag) in [("1", "v1"), ("2", "v2"), ("3", "v3")] {
        ecr.image("app", content, Some(tag));
        ecr.advance(1_000);
    }
    let text = json!({"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType":
        "imageCountMoreThan", "countNumber": 1}, "action": {"type": "expire"}}]})
    .to_string();
    let shown = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}"#;
    assert_ne!(text, shown, "put in another order");
    let none = ecr.error("GetLifecyclePolicy", json!({"repositoryName": "app"}));
    assert_eq!(none.0, "LifecyclePolicyNotFoundException");
    let preview = json!({"repositoryName": "app", "lifecyclePolicyText": text});
    ecr.ok("StartLifecyclePolicyPreview", preview);
    let preview = ecr.ok("GetLifecyclePolicyPreview", json!({"repositoryName": "app"}));
    assert_eq!(preview["status"], "COMPLETE");
    assert_eq!(preview["summary"]["expiringImageTotalCount"], 2);
    assert_eq!(ecr.tags("app").len(), 3, "a preview deletes nothing");
    assert_eq!(preview["lifecyclePolicyText"], shown);
    let put = ecr.ok(
        "PutLifecyclePolicy",
        json!({"repositoryName": "app", "lifecyclePolicyText": text}),
    );
    assert_eq!(put["lifecyclePolicyText"], shown);
    let got = ecr.ok("GetLifecyclePolicy", json!({"repositoryName": "app"}));
    assert_eq!(got["lifecyclePolicyText"], shown);
    ecr.settle();
    assert_eq!(ecr.tags("app").len(), 3, "a new policy waits for a moment");
    ecr.advance(61_000);
    ecr.settle();
    assert_eq!(ecr.tags("app"), ["v3"]);
    ecr.image("app", "4", Some("v4"));
    ecr.settle();
    assert_eq!(ecr.tags("app").len(), 2, "the next evaluation is tomorrow");
    ecr.advance(DAY_MS);
    ecr.settle();
    assert_eq!(ecr.tags("app"), ["v4"]);
    let bad = json!({"repositoryName": "app", "lifecyclePolicyText": "{\"rules\":[]}"});
    assert_eq!(ecr.error("PutLifecyclePolicy", bad).0, "InvalidParameterException");
}

#[test]
fn a_preview_is_filtered_by_tags_and_by_images() {
    let mut ecr = Ecr::new();
    ecr.repository("app");
    let one = ecr.image("app", "1", Some("v1"));
    let two = ecr.image("app", "2", None);
    ecr.image("app", "3", Some("v3"));
    ecr.advance(10 * DAY_MS);
    let text = json!({"rules": [
        {"rulePriority": 1, "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days",
            "countNumber": 5}, "action": {"type": "expire"}},
        {"rulePriority": 2, "selection": {"tagStatus": "tagged", "tagPatternList": ["v*"], "countType":
            "sinceImagePushed", "countUnit": "days", "countNumber": 5}, "action": {"type": "expire"}}]});
    let start = json!({"repositoryName": "app", "lifecyclePolicyText": text.to_string()});
    let none = ecr.error("GetLifecyclePolicyPreview", json!({"repositoryName": "app"}));
    assert_eq!(none.0, "LifecyclePolicyPreviewNotFoundException");
    ecr.ok("StartLifecyclePolicyPreview", start);
    let shown = |more: serde_json::Value| -> Vec<(String, i64)> {
        let mut input = json!({"repositoryName": "app"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let preview = ecr.ok("GetLifecyclePolicyPreview", input);
        assert_eq!(preview["summary"]["expiringImageTotalCount"], 3);
        let results = preview["previewResults"].as_array().unwrap();
        results
            .iter()
            .map(|one| {
                let digest = one["imageDigest"].as_str().unwrap().to_owned();
                (digest, one["appliedRulePriority"].as_i64().unwrap())
            })
            .collect()
    };
    assert_eq!(shown(json!({})).len(), 3);
    assert_eq!(shown(json!({"filter": {"tagStatus": "UNTAGGED"}})), [(two.clone(), 1)]);
    assert_eq!(shown(json!({"filter": {"tagStatus": "TAGGED"}})).len(), 2);
    assert_eq!(shown(json!({"imageIds": [{"imageTag": "v1"}]})), [(one.clone(), 2)]);
    assert_eq!(
        shown(json!({"imageIds": [{"imageDigest": one, "imageTag": "v1"}]})),
        [(one, 2)]
    );
    assert_eq!(
        shown(json!({"imageIds": [{"imageDigest": two, "imageTag": "v1"}]})),
        [],
        "they do not agree"
    );
    assert_eq!(shown(json!({"maxResults": 1})).len(), 1);
    let both = json!({"repositoryName": "app", "imageIds": [{"imageTag": "v1"}], "maxResults": 1});
    assert_eq!(
        ecr.error("GetLifecyclePolicyPreview", both).0,
        "InvalidParameterException"
    );
}

#[test]
fn a_lifecycle_policy_archives_and_later_expires() {
    let mut ecr = Ecr::new();
    ecr.repository("app");
    ecr.image("app", "1", Some("v1"));
    ecr.image("app", "2", Some("v2"));
    ecr.advance(60 * DAY_MS);
    // A pull keeps an image from being archived.
    ecr.ok(
        "BatchGetImage",
        json!({"repositoryName": "app", "imageIds": [{"imageTag": "v2"}]}),
    );
    ecr.advance(40 * DAY_MS);
    let text = json!({"rules": [
        {"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "sinceImagePulled", "countUnit": "days",
            "countNumber": 90}, "action": {"type": "transition", "targetStorageClass": "archive"}},
        {"rulePriority": 2, "selection": {"tagStatus": "any", "storageClass": "archive", "countType":
            "sinceImageTransitioned", "countUnit": "days", "countNumber": 365}, "action": {"type": "expire"}}]})
    .to_string();
    ecr.ok(
        "StartLifecyclePolicyPreview",
        json!({"repositoryName": "app", "lifecyclePolicyText": text}),
    );
    let preview = ecr.ok("GetLifecyclePolicyPreview", json!({"repositoryName": "app"}));
    assert_eq!(
        preview["summary"],
        json!({"expiringImageTotalCount": 0,
               "transitioningImageTotalCounts": [{"targetStorageClass": "ARCHIVE", "imageTotalCount": 1}]})
    );
    let result = &preview["previewResults"][0];
    assert_eq!(
        (&result["imageTags"], &result["action"], &result["storageClass"]),
        (
            &json!(["v1"]),
            &json!({"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}),
            &json!("STANDARD")
        )
    );
    let put = json!({"repositoryName": "app", "lifecyclePolicyText": text});
    ecr.ok("PutLifecyclePolicy", put);
    ecr.advance(61_000);
    ecr.settle();
    assert_eq!(ecr.tags("app"), ["v2"]);
    let archived = json!({"repositoryName": "app", "filter": {"imageStatus": "ARCHIVED"}});
    assert_eq!(ecr.ok("ListImages", archived.clone())["imageIds"][0]["imageTag"], "v1");
    ecr.advance(366 * DAY_MS);
    ecr.settle();
    let all = json!({"repositoryName": "app", "filter": {"imageStatus": "ANY"}});
    let left = ecr.ok("DescribeImages", all);
    assert_eq!(left["imageDetails"].as_array().unwrap().len(), 1);
    assert_eq!(
        left["imageDetails"][0]["imageStatus"], "ARCHIVED",
        "v2 was not pulled either"
    );
}
