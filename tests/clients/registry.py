"""ECR as boto3 sees it, and the registry behind it through its HTTP API."""

import base64
import json
import os
import urllib.parse

from common import ENDPOINT, PORT, client, fails, main, send, signed, wait

HOST = f"127.0.0.1:{PORT}"


def create(*names):
    """Makes repositories and returns the URI of the first."""
    ecr = client("ecr")
    for name in names:
        repository = ecr.create_repository(repositoryName=name, tags=[{"Key": "made-by", "Value": "test"}])["repository"]
        assert repository["repositoryArn"].endswith(f":repository/{name}"), repository
        assert repository["repositoryUri"].endswith(f"/{name}"), repository
        assert repository["imageTagMutability"] == "MUTABLE", repository
    fails("RepositoryAlreadyExistsException", ecr.create_repository, 400, repositoryName=names[0])
    return {"uri": ecr.describe_repositories(repositoryNames=[names[0]])["repositories"][0]["repositoryUri"]}


def token():
    """User and password for registry clients, as GetAuthorizationToken gives them."""
    data = client("ecr").get_authorization_token()["authorizationData"][0]
    user, password = base64.b64decode(data["authorizationToken"]).decode().split(":", 1)
    assert user == "AWS", user
    assert data["proxyEndpoint"].startswith("http"), data
    return {"user": user, "password": password, "endpoint": data["proxyEndpoint"]}


def access():
    """Without a token nothing is read; a wrong one is no better; the challenge says how to come in."""
    url = f"{ENDPOINT}/v2/"
    status, headers, body = send(url)
    assert status == 401, (status, body)
    challenge = {name.lower(): value for name, value in headers.items()}["www-authenticate"]
    assert challenge.startswith("Basic realm="), challenge
    assert json.loads(body)["errors"][0]["code"] == "UNAUTHORIZED", body
    for path in ("app/manifests/v1", "app/tags/list", "app/blobs/sha256:" + "0" * 64):
        status, _, body = send(url + path)
        assert status == 401, (path, status, body)
    wrong = base64.b64encode(b"AWS:nonsense").decode()
    status, _, _ = send(url, headers={"Authorization": f"Basic {wrong}"})
    assert status in (401, 403), status
    good = {"Authorization": "Basic " + base64.b64encode(f"AWS:{token()['password']}".encode()).decode()}
    status, _, body = send(url, headers=good)
    assert status == 200, (status, body)
    status, _, body = send(url + "none/manifests/latest", headers=good)
    assert (status, json.loads(body)["errors"][0]["code"]) == (404, "NAME_UNKNOWN"), (status, body)
    status, _, body = send(url + "app/manifests/none", headers=good)
    assert (status, json.loads(body)["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN"), (status, body)


def operator():
    """`honmaru registry` asks a path of its own: signed for its own service, by whoever may; nobody else gets an answer."""
    path = "/_honmaru/registry/usage"
    status, _, body = send(ENDPOINT + path)
    assert status == 400 and b"MissingAuthenticationToken" in body, (status, body)
    status, _, body = signed("ecr", b"", {}, method="GET", path=path)
    assert status == 400 and b"Credential should be scoped" in body, (status, body)
    status, _, body = signed("honmaru", b"", {}, method="GET", path=path, secret="wrong")
    assert status == 400 and b"Signature" in body, (status, body)
    status, _, body = signed("honmaru", b"", {}, method="GET", path=path)
    lines = [json.loads(line) for line in body.splitlines()]
    assert status == 200 and lines[-1]["done"]["usage"]["total"]["repositories"] >= 4, (status, body)
    assert signed("honmaru", b"", {}, method="POST", path=path)[0] == 405
    assert signed("honmaru", b"", {}, method="GET", path="/_honmaru/registry/gc")[0] == 405
    assert signed("honmaru", b"", {}, method="GET", path="/_honmaru/registry/none")[0] == 404
    iam = client("iam")
    iam.create_user(UserName="reader")
    allowed = {"Effect": "Allow", "Action": ["ecr:*", "honmaru:GetRegistryUsage"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    who = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    assert signed("honmaru", b"", {}, method="GET", path=path, **who)[0] == 200
    for path in ("/_honmaru/registry/gc", "/_honmaru/registry/verify"):
        status, _, body = signed("honmaru", b"", {}, method="POST", path=path, **who)
        assert status == 400 and b"AccessDenied" in body, (status, body)
    # All of it is in the trail, also what was refused.
    trail = client("cloudtrail")

    def refused():
        named = [{"AttributeKey": "EventName", "AttributeValue": "CollectRegistryGarbage"}]
        events = [json.loads(event["CloudTrailEvent"]) for event in trail.lookup_events(LookupAttributes=named)["Events"]]
        return [event for event in events if "AccessDenied" in event.get("errorCode", "")]

    wait("the refused collection in the trail", 10, refused)
    iam.delete_access_key(UserName="reader", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="reader", PolicyName="p")
    iam.delete_user(UserName="reader")


def uploads():
    """A wrong digest, a manifest that names a missing blob: the documented error, and nothing is kept."""
    good = {"Authorization": "Basic " + base64.b64encode(f"AWS:{token()['password']}".encode()).decode()}
    base = f"{ENDPOINT}/v2/app"
    status, headers, body = send(f"{base}/blobs/uploads/", b"", good, "POST")
    assert status == 202, (status, body)
    location = {name.lower(): value for name, value in headers.items()}["location"]
    location = urllib.parse.urljoin(ENDPOINT, location)
    joint = "&" if "?" in location else "?"
    wrong = "sha256:" + "1" * 64
    octets = {**good, "Content-Type": "application/octet-stream"}
    status, _, body = send(f"{location}{joint}digest={wrong}", b"content", octets, "PUT")
    assert (status, json.loads(body)["errors"][0]["code"]) == (400, "DIGEST_INVALID"), (status, body)
    status, _, _ = send(f"{base}/blobs/{wrong}", None, good, "HEAD")
    assert status == 404, status
    manifest_type = "application/vnd.oci.image.manifest.v1+json"
    missing = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": wrong, "size": 7}
    manifest = {"schemaVersion": 2, "mediaType": manifest_type, "config": missing, "layers": []}
    status, _, body = send(f"{base}/manifests/broken", json.dumps(manifest).encode(),
                           {**good, "Content-Type": manifest_type}, "PUT")
    assert status in (400, 404), (status, body)
    assert json.loads(body)["errors"][0]["code"] in ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"), body
    images = client("ecr").list_images(repositoryName="app")["imageIds"]
    assert all(image.get("imageTag") != "broken" for image in images), images


def images(digest):
    """DescribeImages, BatchGetImage, ListImages and BatchDeleteImage agree with what skopeo pushed."""
    ecr = client("ecr")
    details = ecr.describe_images(repositoryName="app", imageIds=[{"imageTag": "v1"}])["imageDetails"]
    assert len(details) == 1 and details[0]["imageDigest"] == digest, details
    assert sorted(details[0]["imageTags"]) == ["v1", "v2"], details
    assert details[0]["imageSizeInBytes"] > 100_000, details
    got = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}, {"imageTag": "none"}])
    assert got["images"][0]["imageId"]["imageDigest"] == digest, got
    assert json.loads(got["images"][0]["imageManifest"])["schemaVersion"] == 2, got
    assert got["failures"][0]["failureCode"] == "ImageNotFound", got
    fails("ImageNotFoundException", ecr.describe_images, 400, repositoryName="app", imageIds=[{"imageTag": "none"}])
    # A tag goes; the image stays while another tag is on it.
    gone = ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v2"}])
    assert gone["imageIds"][0]["imageTag"] == "v2", gone
    details = ecr.describe_images(repositoryName="app", imageIds=[{"imageDigest": digest}])["imageDetails"]
    assert details[0]["imageTags"] == ["v1"], details
    layer = json.loads(got["images"][0]["imageManifest"])["layers"][0]["digest"]
    available = ecr.batch_check_layer_availability(repositoryName="app", layerDigests=[layer, "sha256:" + "2" * 64])
    assert [found["layerAvailability"] for found in available["layers"]] == ["AVAILABLE", "UNAVAILABLE"], available
    url = ecr.get_download_url_for_layer(repositoryName="app", layerDigest=layer)["downloadUrl"]
    status, _, body = send(url)
    assert status == 200 and len(body) > 100_000, (status, len(body))


def lifecycle():
    """A lifecycle policy is kept, previewed in the documented order, and refused when it is nonsense."""
    ecr = client("ecr")
    fails("LifecyclePolicyNotFoundException", ecr.get_lifecycle_policy, 400, repositoryName="app")
    policy = {"rules": [{
        "rulePriority": 1,
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 100},
        "action": {"type": "expire"},
    }]}
    ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=json.dumps(policy))
    kept = ecr.get_lifecycle_policy(repositoryName="app")["lifecyclePolicyText"]
    assert json.loads(kept) == policy, kept
    fails("InvalidParameterException", ecr.put_lifecycle_policy, 400, repositoryName="app",
          lifecyclePolicyText=json.dumps({"rules": [{"rulePriority": 0}]}).ljust(100))
    ecr.start_lifecycle_policy_preview(repositoryName="app")
    ecr.get_waiter("lifecycle_policy_preview_complete").wait(
        repositoryName="app", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    preview = ecr.get_lifecycle_policy_preview(repositoryName="app")
    assert preview["previewResults"] == [], preview
    ecr.delete_lifecycle_policy(repositoryName="app")


def immutable():
    """Makes the tags of `fixed` immutable; `fixed_holds` looks after a second push was tried."""
    ecr = client("ecr")
    answer = ecr.put_image_tag_mutability(repositoryName="fixed", imageTagMutability="IMMUTABLE")
    assert answer["imageTagMutability"] == "IMMUTABLE", answer


def fixed_holds(digest):
    details = client("ecr").describe_images(repositoryName="fixed", imageIds=[{"imageTag": "v1"}])["imageDetails"]
    assert details[0]["imageDigest"] == digest, details


def delete():
    """A repository with images goes only by force."""
    ecr = client("ecr")
    fails("RepositoryNotEmptyException", ecr.delete_repository, 400, repositoryName="app")
    names = [found["repositoryName"] for found in ecr.describe_repositories()["repositories"]]
    for name in names:
        ecr.delete_repository(repositoryName=name, force=True)
    assert ecr.describe_repositories()["repositories"] == []


if __name__ == "__main__":
    main({
        "create": create,
        "token": token,
        "access": access,
        "uploads": uploads,
        "images": images,
        "lifecycle": lifecycle,
        "immutable": immutable,
        "fixed_holds": fixed_holds,
        "operator": operator,
        "delete": delete,
    })
