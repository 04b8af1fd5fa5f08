"""Artifacts by the Python client of the ORAS project: artifacts.py HOST PASSWORD FOLDER

Pushes an artifact, signatures for it in both of cosign's forms (the tag `sha256-<hex>.sig`, and a manifest with a subject
of OCI 1.1), finds them again, pulls, and deletes. Prints digests as JSON. cosign itself is in no registry of packages that
these tests can reach: its wire behaviour is what is checked here, not its keys.
"""

import hashlib
import json
import os
import sys
import urllib.parse

import oras.client
import oras.defaults
import oras.oci

host, password, folder = sys.argv[1:4]
os.chdir(folder)
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"
PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"

registry = oras.client.OrasClient(insecure=True, auth_backend="basic")
registry.auth.set_basic_auth("AWS", password)


def request(method, path, **more):
    answer = registry.do_request(f"http://{host}/v2/artifacts/{path}", method, **more)
    return answer.status_code, answer


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


with open("report.txt", "w") as file:
    file.write("all is well\n")
target = f"{host}/artifacts:v1"
answer = registry.push(target=target, files=["report.txt:text/plain"], quiet=True,
                       manifest_annotations={"org.example.kind": "report"})
assert answer.status_code == 201, answer.status_code
subject = answer.headers["Docker-Content-Digest"]
manifest = registry.get_manifest(target)
assert manifest["layers"][0]["mediaType"] == "text/plain", manifest
assert manifest["annotations"]["org.example.kind"] == "report", manifest

# In pieces, as large artifacts are pushed.
with open("large.bin", "wb") as file:
    file.write(os.urandom(3 << 20))
answer = registry.push(target=f"{host}/artifacts:large", files=["large.bin:application/octet-stream"], quiet=True,
                       do_chunked=True, chunk_size=1 << 20)
assert answer.status_code == 201, answer.status_code

os.makedirs("back", exist_ok=True)
pulled = registry.pull(target=target, outdir="back")
with open(pulled[0]) as file:
    assert file.read() == "all is well\n", pulled

# cosign's older form: a tag that names the digest.
with open("payload.json", "w") as file:
    json.dump({"critical": {"image": {"docker-manifest-digest": subject}}}, file)
tag = subject.replace(":", "-") + ".sig"
answer = registry.push(target=f"{host}/artifacts:{tag}", files=[f"payload.json:{PAYLOAD}"], quiet=True)
assert answer.status_code == 201, answer.status_code
assert registry.get_manifest(f"{host}/artifacts:{tag}")["layers"][0]["mediaType"] == PAYLOAD
missing = "sha256-" + "0" * 64 + ".sig"
status, answer = request("GET", f"manifests/{missing}", headers={"Accept": MANIFEST})
assert status == 404 and answer.json()["errors"][0]["code"] == "MANIFEST_UNKNOWN", (status, answer.text)

# OCI 1.1: a manifest with the image as its subject, pushed by digest.
status, answer = request("GET", "manifests/v1", headers={"Accept": MANIFEST})
size = len(answer.content)
assert digest_of(answer.content) == subject
empty = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": digest_of(b"{}")}
with open("empty.json", "wb") as file:
    file.write(b"{}")
registry.upload_blob("empty.json", registry.get_container(target), empty)
with open("payload.json", "rb") as file:
    payload = file.read()
signature = {
    "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": SIGNATURE, "config": empty,
    "layers": [{"mediaType": PAYLOAD, "size": len(payload), "digest": digest_of(payload)}],
    "subject": {"mediaType": MANIFEST, "size": size, "digest": subject},
    "annotations": {"dev.cosignproject.cosign/signature": "MEUC"},
}
data = json.dumps(signature).encode()
status, answer = request("PUT", f"manifests/{digest_of(data)}", data=data, headers={"Content-Type": MANIFEST})
assert status == 201 and answer.headers["OCI-Subject"] == subject, (status, answer.headers)
# The client's own way to say a subject.
named = oras.oci.Subject(mediaType=MANIFEST, digest=subject, size=size)
with open("sbom.json", "w") as file:
    file.write("{}")
answer = registry.push(target=f"{host}/artifacts:sbom", files=["sbom.json:application/spdx+json"], quiet=True,
                       subject=named)
assert answer.status_code == 201, answer.status_code
sbom = answer.headers["Docker-Content-Digest"]

status, answer = request("GET", f"referrers/{subject}")
found = {entry["digest"]: entry for entry in answer.json()["manifests"]}
assert set(found) == {digest_of(data), sbom}, found
assert found[digest_of(data)]["artifactType"] == SIGNATURE, found
assert found[digest_of(data)]["annotations"] == signature["annotations"], found
status, answer = request("GET", f"referrers/{subject}?artifactType={urllib.parse.quote(SIGNATURE)}")
assert [entry["digest"] for entry in answer.json()["manifests"]] == [digest_of(data)], answer.text
assert answer.headers["OCI-Filters-Applied"] == "artifactType", answer.headers
status, answer = request("GET", f"referrers/sha256:{'0' * 64}")
assert (status, answer.json()["manifests"]) == (200, []), answer.text

tags = registry.get_tags(f"{host}/artifacts")
assert set(tags) == {"v1", "large", "sbom", tag}, tags
deleted = registry.delete_tags(f"{host}/artifacts", ["large"])
assert deleted == ["large"], deleted
assert "large" not in registry.get_tags(f"{host}/artifacts")
print(json.dumps({"subject": subject, "signature": digest_of(data), "sbom": sbom, "kind": SIGNATURE, "tag": tag}))
