"""Replication to another cloud, as boto3 sees it on both sides."""

import base64
import json
import os
import subprocess
import tempfile
import time

from common import PORT, client, main, push, wait

NAME = "prod/app"
NOWHERE = {"region": "ap-south-1", "registryId": "222222222222"}
INDEX = "application/vnd.oci.image.index.v1+json"


def template():
    """The other cloud's template for what is replicated to it."""
    client("ecr").create_repository_creation_template(
        prefix="prod",
        appliedFor=["REPLICATION"],
        imageTagMutability="IMMUTABLE",
        resourceTags=[{"Key": "came-by", "Value": "replication"}],
    )


def configure(region, account):
    """A rule for one prefix, with a destination that is another cloud and one that nobody serves."""
    ecr = client("ecr")
    rule = {
        "destinations": [{"region": region, "registryId": account}, NOWHERE],
        "repositoryFilters": [{"filter": "prod/", "filterType": "PREFIX_MATCH"}],
    }
    ecr.put_replication_configuration(replicationConfiguration={"rules": [rule]})
    assert ecr.describe_registry()["replicationConfiguration"]["rules"] == [rule]


def pushed(tag, mark, repository=NAME):
    """Pushes an image, which takes no longer because another cloud is away, and returns its digest."""
    began = time.monotonic()
    push(repository, tag, mark)
    took = time.monotonic() - began
    assert took < 60, f"the push took {took:.1f} s"
    found = client("ecr").describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
    return {"digest": found["imageDetails"][0]["imageDigest"]}


def states(tag, account, repository=NAME):
    """How an image's copies stand: there, and where nobody is."""
    answer = client("ecr").describe_image_replication_status(repositoryName=repository, imageId={"imageTag": tag})
    found = {state["registryId"]: state for state in answer["replicationStatuses"]}
    return found.get(account), found.get(NOWHERE["registryId"])


def arrives(tag, account, limit_s="20"):
    """Waits until an image is said to be there, and asserts what is said of the destination that nobody serves."""
    wait(f"{tag} arrives", float(limit_s), lambda: states(tag, account)[0]["status"] == "COMPLETE")
    nowhere = wait("nobody serves it", 5, lambda: [s for s in [states(tag, account)[1]] if s["status"] == "FAILED"])
    assert nowhere[0]["failureCode"] == "DestinationNotMapped", nowhere


def waits(tag, account):
    """Asserts that an image is said to be on its way for a while."""
    for _ in range(10):
        there, _ = states(tag, account)
        assert there["status"] == "IN_PROGRESS", there
        time.sleep(0.1)


def uncovered(account):
    """What no rule covers goes nowhere."""
    pushed("v1", "other", "dev/app")
    assert states("v1", account, "dev/app") == (None, None)


def index(*digests):
    """Puts an index of two images, and returns its digest."""
    ecr = client("ecr")
    found = ecr.batch_get_image(repositoryName=NAME, imageIds=[{"imageDigest": digest} for digest in digests])
    entries = []
    for image, architecture in zip(found["images"], ("amd64", "arm64")):
        entries.append(
            {
                "mediaType": image["imageManifestMediaType"],
                "digest": image["imageId"]["imageDigest"],
                "size": len(image["imageManifest"]),
                "platform": {"os": "linux", "architecture": architecture},
            }
        )
    manifest = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    put = ecr.put_image(repositoryName=NAME, imageManifest=manifest, imageManifestMediaType=INDEX, imageTag="all")
    return {"digest": put["image"]["imageId"]["imageDigest"]}


def holds(tag, digest):
    """The other cloud has it under its tag, in a repository that its template made; skopeo pulls it by its digest."""
    ecr = client("ecr")
    details = ecr.describe_images(repositoryName=NAME, imageIds=[{"imageTag": tag}])["imageDetails"][0]
    assert details["imageDigest"] == digest, details
    made = ecr.describe_repositories(repositoryNames=[NAME])["repositories"]
    assert made[0]["imageTagMutability"] == "IMMUTABLE", made
    tags = ecr.list_tags_for_resource(resourceArn=made[0]["repositoryArn"])["tags"]
    assert tags == [{"Key": "came-by", "Value": "replication"}], tags
    data = ecr.get_authorization_token()["authorizationData"][0]
    credentials = base64.b64decode(data["authorizationToken"]).decode()
    with tempfile.TemporaryDirectory() as directory:
        command = ["skopeo", "copy", "--all", "--preserve-digests", "--src-tls-verify=false", "--src-creds", credentials]
        command += [f"docker://127.0.0.1:{PORT}/{NAME}@{digest}", f"oci:{directory}/back:latest"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        with open(os.path.join(directory, "back/index.json")) as file:
            assert digest in file.read()


def lacks(repository):
    """The other cloud has no such repository."""
    ecr = client("ecr")
    try:
        ecr.describe_repositories(repositoryNames=[repository])
    except ecr.exceptions.RepositoryNotFoundException:
        return
    raise AssertionError(f"{repository} is there")


if __name__ == "__main__":
    main({f.__name__: f for f in (template, configure, pushed, arrives, waits, uncovered, index, holds, lacks)})
