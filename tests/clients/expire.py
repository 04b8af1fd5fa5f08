"""Goal: a lifecycle policy of `honmaru deploy` expires old images, and none that runs or may be rolled back to.

`expire.py REPOSITORY COUNT`: pushes that many images after the ones that are there, tagged as deploy tags its own, asks
what the policy would expire, and prints digests: {"expired": [...], "pushed": [...]}.
"""

import hashlib
import json
import sys
import time

import boto3

ecr = boto3.client("ecr")
name, count = sys.argv[1], int(sys.argv[2])
details = ecr.describe_images(repositoryName=name)["imageDetails"]
newest = next(row["imageDigest"] for row in details if "latest" in row.get("imageTags", []))
found = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageDigest": newest}])["images"][0]
manifest = json.loads(found["imageManifest"])


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


pushed = []
for number in range(count):
    text = json.dumps(dict(manifest, annotations={"number": f"{number} {time.time_ns()}"}))
    digest = digest_of(text.encode())
    tag = "image-" + digest.split(":")[1][:16]
    ecr.put_image(repositoryName=name, imageManifest=text, imageTag=tag, imageDigest=digest)
    pushed.append(digest)

# A tag stays where it is.
text = json.dumps(dict(manifest, annotations={"number": "other"}))
try:
    ecr.put_image(repositoryName=name, imageManifest=text, imageTag=tag)
except ecr.exceptions.ImageTagAlreadyExistsException:
    pass
else:
    raise AssertionError(f"{tag} was moved")

ecr.start_lifecycle_policy_preview(repositoryName=name)
deadline = time.monotonic() + 30
while True:
    preview = ecr.get_lifecycle_policy_preview(repositoryName=name, maxResults=100)
    if preview["status"] == "COMPLETE":
        break
    assert time.monotonic() < deadline, preview["status"]
    time.sleep(0.1)
print(json.dumps({"expired": [row["imageDigest"] for row in preview["previewResults"]], "pushed": pushed}))
