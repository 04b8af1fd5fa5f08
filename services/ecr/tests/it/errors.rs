//! Errors that the model lists and that no other file here provokes, each by the operations that may answer with it.
//! Ref: ECR API reference, "Errors" of each operation.
//!
//! Not here, because nothing in this cloud can lead to them: `BlockedByOrganizationPolicyException` (no organizations),
//! `LifecyclePolicyPreviewInProgressException` (a preview is ready when it is asked for), `UnableToDecryptSecretValueException`
//! (secrets are in a file of the operator's), `UnableToGetUpstreamLayerException` (a mirror has an image's layers before it
//! shows the image) and `UnableToListUpstreamImageReferrersException` (referrers are not asked of upstream).

use super::support::{Ecr, manifest, sha};
use serde_json::{Value, json};

/// An operation's input with the repository's name beside it.
fn of(repository: &str, mut input: Value) -> Value {
    input["repositoryName"] = json!(repository);
    input
}

#[test]
fn every_operation_on_a_repository_says_when_there_is_none() {
    let ecr = Ecr::new();
    let image = json!({"imageDigest": sha(b"x")});
    let arn = "arn:aws:ecr:us-east-1:000000000000:repository/none";
    let upload = "11111111-1111-4111-8111-111111111111";
    let rule = json!({"rules": [{"rulePriority": 1, "action": {"type": "expire"},
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}}]});
    let policy = json!({"Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}});
    for (operation, input) in [
        (
            "BatchCheckLayerAvailability",
            of("none", json!({"layerDigests": [sha(b"x")]})),
        ),
        ("BatchDeleteImage", of("none", json!({"imageIds": [image]}))),
        ("BatchGetImage", of("none", json!({"imageIds": [image]}))),
        (
            "CompleteLayerUpload",
            of("none", json!({"uploadId": upload, "layerDigests": [sha(b"x")]})),
        ),
        ("DeleteLifecyclePolicy", of("none", json!({}))),
        ("DeleteRepository", of("none", json!({}))),
        ("DeleteRepositoryPolicy", of("none", json!({}))),
        ("DescribeImageReplicationStatus", of("none", json!({"imageId": image}))),
        ("DescribeImageScanFindings", of("none", json!({"imageId": image}))),
        ("DescribeImageSigningStatus", of("none", json!({"imageId": image}))),
        ("DescribeImages", of("none", json!({}))),
        ("DescribeRepositories", json!({"repositoryNames": ["none"]})),
        ("GetDownloadUrlForLayer", of("none", json!({"layerDigest": sha(b"x")}))),
        ("GetLifecyclePolicy", of("none", json!({}))),
        ("GetLifecyclePolicyPreview", of("none", json!({}))),
        ("GetRepositoryPolicy", of("none", json!({}))),
        ("InitiateLayerUpload", of("none", json!({}))),
        ("ListImageReferrers", of("none", json!({"subjectId": image}))),
        ("ListImages", of("none", json!({}))),
        ("ListTagsForResource", json!({"resourceArn": arn})),
        ("PutImage", of("none", json!({"imageManifest": manifest("x")}))),
        (
            "PutImageScanningConfiguration",
            of("none", json!({"imageScanningConfiguration": {"scanOnPush": true}})),
        ),
        (
            "PutImageTagMutability",
            of("none", json!({"imageTagMutability": "IMMUTABLE"})),
        ),
        (
            "PutLifecyclePolicy",
            of("none", json!({"lifecyclePolicyText": rule.to_string()})),
        ),
        (
            "SetRepositoryPolicy",
            of("none", json!({"policyText": policy.to_string()})),
        ),
        ("StartImageScan", of("none", json!({"imageId": image}))),
        (
            "StartLifecyclePolicyPreview",
            of("none", json!({"lifecyclePolicyText": rule.to_string()})),
        ),
        (
            "TagResource",
            json!({"resourceArn": arn, "tags": [{"Key": "k", "Value": "v"}]}),
        ),
        ("UntagResource", json!({"resourceArn": arn, "tagKeys": ["k"]})),
        (
            "UpdateImageStorageClass",
            of("none", json!({"imageId": image, "targetStorageClass": "ARCHIVE"})),
        ),
        (
            "UploadLayerPart",
            of(
                "none",
                json!({"uploadId": upload, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": "eA=="}),
            ),
        ),
    ] {
        let (code, message) = ecr.error(operation, input);
        assert_eq!(code, "RepositoryNotFoundException", "{operation}: {message}");
        assert!(message.contains("'none'"), "{operation}: {message}");
    }
}

#[test]
fn every_operation_on_an_image_says_when_there_is_none() {
    let ecr = Ecr::new();
    ecr.repository("app");
    ecr.image("app", "one", Some("v1"));
    for image in [json!({"imageDigest": sha(b"x")}), json!({"imageTag": "v2"})] {
        for (operation, input) in [
            ("DescribeImageReplicationStatus", json!({"imageId": image})),
            ("DescribeImageScanFindings", json!({"imageId": image})),
            ("DescribeImageSigningStatus", json!({"imageId": image})),
            ("DescribeImages", json!({"imageIds": [image]})),
            ("StartImageScan", json!({"imageId": image})),
            (
                "UpdateImageStorageClass",
                json!({"imageId": image, "targetStorageClass": "ARCHIVE"}),
            ),
        ] {
            let (code, message) = ecr.error(operation, of("app", input));
            assert_eq!(code, "ImageNotFoundException", "{operation} of {image}: {message}");
        }
    }
}

#[test]
fn errors_of_single_operations() {
    let ecr = Ecr::new();
    ecr.repository("app");
    let many: Vec<Value> = (0..51).map(|n| json!({"Key": format!("k{n}"), "Value": ""})).collect();
    let twice = [json!({"Key": "k", "Value": ""}), json!({"Key": "k", "Value": "v"})];
    let reserved = [json!({"Key": "aws:k", "Value": ""})];
    let arn = "arn:aws:ecr:us-east-1:000000000000:repository/app";
    for (tags, code) in [
        (&many[..], "TooManyTagsException"),
        (&twice, "InvalidTagParameterException"),
        (&reserved, "InvalidTagParameterException"),
    ] {
        assert_eq!(
            ecr.error("CreateRepository", of("tagged", json!({"tags": tags}))).0,
            code
        );
        assert_eq!(
            ecr.error("TagResource", json!({"resourceArn": arn, "tags": tags})).0,
            code
        );
    }
    assert_eq!(
        ecr.error("DescribeRepositories", json!({"repositoryNames": ["tagged"]}))
            .0,
        "RepositoryNotFoundException",
        "what was refused made nothing"
    );
    // 50 are enough, and count together with those that are there.
    ecr.ok("TagResource", json!({"resourceArn": arn, "tags": many[..50]}));
    assert_eq!(
        ecr.error("TagResource", json!({"resourceArn": arn, "tags": many[50..]}))
            .0,
        "TooManyTagsException"
    );
    let id = ecr.ok("InitiateLayerUpload", of("app", json!({})))["uploadId"].clone();
    let complete = of("app", json!({"uploadId": id, "layerDigests": [sha(b"")]}));
    assert_eq!(ecr.error("CompleteLayerUpload", complete).0, "EmptyUploadException");
    let put = of(
        "app",
        json!({"imageManifest": manifest("x"), "imageDigest": sha(b"other")}),
    );
    assert_eq!(ecr.error("PutImage", put).0, "ImageDigestDoesNotMatchException");
    for operation in ["DeleteRepositoryCreationTemplate", "UpdateRepositoryCreationTemplate"] {
        let (code, message) = ecr.error(operation, json!({"prefix": "none"}));
        assert_eq!(code, "TemplateNotFoundException", "{operation}: {message}");
    }
    let principal = json!({"principalArn": "arn:aws:iam::000000000000:role/reader"});
    assert_eq!(
        ecr.error("DeregisterPullTimeUpdateExclusion", principal.clone()).0,
        "ExclusionNotFoundException"
    );
    ecr.ok("RegisterPullTimeUpdateExclusion", principal.clone());
    assert_eq!(
        ecr.error("RegisterPullTimeUpdateExclusion", principal.clone()).0,
        "ExclusionAlreadyExistsException"
    );
    ecr.ok("DeregisterPullTimeUpdateExclusion", principal);
    for url in ["registry", "", "registry.example:x/y z"] {
        let rule = json!({"ecrRepositoryPrefix": "up", "upstreamRegistryUrl": url});
        let (code, message) = ecr.error("CreatePullThroughCacheRule", rule);
        assert_eq!(code, "UnsupportedUpstreamRegistryException", "{url}: {message}");
    }
}
