"""Clients that take only one form of an image's manifest, Docker's or OCI's: by tag they get that one, whichever was
pushed, and all that it names; by digest everybody gets what was pushed."""

import base64
import hashlib
import json
import subprocess

import registry
from common import ENDPOINT, PORT, client, main, send

OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = {OCI: "application/vnd.oci.image.layer.v1.tar+gzip", DOCKER: "application/vnd.docker.image.rootfs.diff.tar.gzip"}
TOOL_TIMEOUT_S = 120


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry:
    """The registry for a client whose requests have these headers."""

    def __init__(self, **headers):
        self.headers = headers

    def get(self, path, accept=None, expected=200, method="GET", **more):
        headers = self.headers | more | ({"Accept": accept} if accept else {})
        status, answered, body = send(f"{ENDPOINT}/v2/{path}", headers=headers, method=method)
        assert status == expected, (method, path, accept, status, body)
        return {name.lower(): value for name, value in answered.items()}, body

    def pull(self, repository, tag, accept):
        """All of an image, with every digest looked at, as a client does that takes one form only. Its digest, and what it
        is made of."""
        looked, _ = self.get(f"{repository}/manifests/{tag}", accept, method="HEAD")
        digest = looked["docker-content-digest"]
        for reference in (tag, digest):
            headers, body = self.get(f"{repository}/manifests/{reference}", accept)
            assert headers["content-type"] == accept == looked["content-type"], (headers, looked)
            assert headers["docker-content-digest"] == digest == digest_of(body), headers
            assert int(headers["content-length"]) == len(body) == int(looked["content-length"]), (headers, looked)
        manifest = json.loads(body)
        assert manifest["mediaType"] == accept and manifest["layers"][0]["mediaType"] == LAYER[accept], manifest
        self.get(f"{repository}/manifests/{tag}", accept, 304, **{"If-None-Match": headers["etag"]})
        parts = [manifest["config"], *manifest["layers"]]
        for part in parts:
            _, blob = self.get(f"{repository}/blobs/{part['digest']}")
            assert (digest_of(blob), len(blob)) == (part["digest"], part["size"]), part
        return digest, [part["digest"] for part in parts]


def copy(source, target, source_password, target_password, *options):
    command = ["skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", *options, source, target]
    command += ["--src-creds", f"AWS:{source_password}", "--dest-creds", f"AWS:{target_password}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S)
    assert done.returncode == 0, (command, done.stderr)


def forms():
    """`app:v1` was pushed in OCI's form."""
    password = registry.token()["password"]
    host = f"docker://127.0.0.1:{PORT}"
    own = Registry(Authorization="Basic " + base64.b64encode(f"AWS:{password}".encode()).decode())
    ecr = client("ecr")
    # skopeo converts for itself, and pushes the same layers.
    copy(f"{host}/app:v1", f"{host}/app:docker", password, password, "--format", "v2s2")
    made = {}
    for tag, stored, other in (("v1", OCI, DOCKER), ("docker", DOCKER, OCI)):
        pushed, parts = own.pull("app", tag, stored)
        converted, same = own.pull("app", tag, other)
        assert pushed != converted and parts == same, (tag, pushed, converted, parts, same)
        # What was pushed comes to who takes it, or everything, or says nothing; and by its digest to everybody.
        for accept in (f"{other}, {stored};q=0.1", f"{other}, */*", "*/*", "application/json", None):
            headers, _ = own.get(f"app/manifests/{tag}", accept)
            assert (headers["content-type"], headers["docker-content-digest"]) == (stored, pushed), (accept, headers)
        headers, _ = own.get(f"app/manifests/{pushed}", other)
        assert headers["content-type"] == stored, headers
        _, body = own.get(f"app/manifests/{tag}", INDEX, 404)
        assert json.loads(body)["errors"][0]["code"] == "MANIFEST_UNKNOWN", body
        got = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": tag}], acceptedMediaTypes=[other])
        assert not got["failures"], got
        image = got["images"][0]
        assert (image["imageManifestMediaType"], image["imageId"]["imageDigest"]) == (other, pushed), got
        assert digest_of(image["imageManifest"].encode()) == converted, got
        made[tag] = (pushed, converted)
    # A conversion is no image of the repository.
    held = {image["imageDigest"] for image in ecr.list_images(repositoryName="app")["imageIds"]}
    assert held == {made["v1"][0], made["docker"][0]}, (held, made)
    got = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageDigest": made["v1"][1]}])
    assert got["failures"][0]["failureCode"] == "ImageNotFound", got
    public(password, host)
    ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "docker"}])


def public(password, host):
    """Public repositories do the same, for strangers too."""
    shop = client("ecr-public")
    uri = shop.create_repository(repositoryName="shop")["repository"]["repositoryUri"]
    repository = "public/" + uri.split("/", 1)[1]
    token = shop.get_authorization_token()["authorizationData"]["authorizationToken"]
    own = base64.b64decode(token).decode().split(":", 1)[1]
    copy(f"{host}/app:v1", f"{host}/{repository}:v1", password, own)
    stranger = Registry()
    pushed, parts = stranger.pull(repository, "v1", OCI)
    converted, same = stranger.pull(repository, "v1", DOCKER)
    assert pushed != converted and parts == same, (pushed, converted)
    shop.delete_repository(repositoryName="shop", force=True)


if __name__ == "__main__":
    main({"forms": forms})
