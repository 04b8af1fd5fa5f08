"""A small registry client for the crash test: pushes until the connection breaks, and says what was acknowledged.

crash.py push SEED COUNT FILE    pushes COUNT images as SEED draws them, with a line in FILE for whatever is acknowledged
crash.py check FILE              pulls everything that was acknowledged, and compares every digest

It knows the distribution protocol only, and no library: what it sends is what this file says.
"""

import hashlib
import http.client
import json
import os
import random
import sys

PORT = int(os.environ["HONMARU_PORT"])
REPOSITORIES = ("app", "team/other")
OCI = "application/vnd.oci.image"
CONFIG = f"{OCI}.config.v1+json"
# What a connection does when the other side is killed.
BROKEN = (ConnectionError, http.client.HTTPException, TimeoutError)


class Client:
    def __init__(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)

    def call(self, method, path, body=None, headers=None):
        """Status, headers, body."""
        self.connection.request(method, path, body=body, headers=headers or {})
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def good(self, wanted, method, path, body=None, headers=None):
        status, headers, said = self.call(method, path, body, headers)
        assert status == wanted, f"{method} {path}: {status}, not {wanted}: {said[:300]!r}"
        return headers, said


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def upload(client, repository, data, way):
    """Uploads a blob in one of the protocol's ways."""
    name, base = digest(data), f"/v2/{repository}/blobs/uploads/"
    if way == "mounted":
        other = next(one for one in REPOSITORIES if one != repository)
        status, headers, said = client.call("POST", f"{base}?mount={name}&from={other}")
        if status == 201:
            return
        assert status == 202, (status, said)
        client.good(201, "PUT", f"{headers['Location']}?digest={name}", data)
    elif way == "post":
        client.good(201, "POST", f"{base}?digest={name}", data)
    elif way == "put":
        headers, _ = client.good(202, "POST", base)
        client.good(201, "PUT", f"{headers['Location']}?digest={name}", data)
    else:
        headers, _ = client.good(202, "POST", base)
        third = max(1, len(data) // 3)
        for start in range(0, len(data), third):
            part = data[start : start + third]
            span = {"Content-Range": f"{start}-{start + len(part) - 1}"}
            headers, _ = client.good(202, "PATCH", headers["Location"], part, span)
        client.good(201, "PUT", f"{headers['Location']}?digest={name}")


def push_image(client, draw, repository, tag):
    """Pushes an image of a few layers; its manifest's digest."""
    layers = []
    for _ in range(draw.randint(1, 3)):
        if draw.random() < 0.4:
            # Layers that many images have, of every round.
            layers.append(random.Random(draw.randint(0, 5)).randbytes(200_000))
        else:
            layers.append(draw.randbytes(draw.choice((300, 40_000, 1_500_000))))
    config = json.dumps({"architecture": "amd64", "os": "linux", "tag": tag}).encode()

    def described(data, kind):
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": described(config, CONFIG),
        "layers": [described(data, f"{OCI}.layer.v1.tar") for data in layers],
    }
    bytes_ = json.dumps(manifest).encode()
    for attempt in range(3):
        for data in (*layers, config):
            status, _, _ = client.call("HEAD", f"/v2/{repository}/blobs/{digest(data)}")
            if status == 404:
                upload(client, repository, data, draw.choice(("mounted", "post", "put", "chunks")))
            else:
                assert status == 200, status
        kind = {"Content-Type": manifest["mediaType"]}
        status, _, said = client.call("PUT", f"/v2/{repository}/manifests/{tag}", bytes_, kind)
        if status == 201:
            return digest(bytes_)
        # A blob that only a deleted image named may be collected between HEAD and PUT: collections run without grace.
        assert status == 404 and b"MANIFEST_BLOB_UNKNOWN" in said, (status, said)
    raise AssertionError("a manifest was refused three times")


def push(seed, count, path):
    draw, client = random.Random(int(seed)), Client()
    acknowledged = []
    with open(path, "a") as file:

        def note(what, image):
            file.write(json.dumps([what, *image]) + "\n")
            file.flush()

        try:
            # An upload that nobody goes on with: a leftover.
            client.good(202, "POST", f"/v2/{REPOSITORIES[0]}/blobs/uploads/")
            for n in range(int(count)):
                repository, tag = draw.choice(REPOSITORIES), f"v{seed}-{n}"
                image = (repository, tag, push_image(client, draw, repository, tag))
                note("pushed", image)
                acknowledged.append(image)
                if draw.random() < 0.4:
                    gone = acknowledged.pop(draw.randrange(len(acknowledged)))
                    # From here on it may be there or not.
                    note("deleting", gone)
                    client.good(202, "DELETE", f"/v2/{gone[0]}/manifests/{gone[2]}")
        except BROKEN as error:
            print(json.dumps({"broke": repr(error)}))
            return
    print(json.dumps({"broke": None}))


def check(path):
    images = {}
    with open(path) as file:
        for line in file:
            what, repository, tag, name = json.loads(line)
            if what == "pushed":
                images[(repository, name)] = tag
            else:
                images.pop((repository, name), None)
    client, whole = Client(), set()
    for (repository, name), tag in images.items():
        headers, manifest = client.good(200, "GET", f"/v2/{repository}/manifests/{tag}")
        assert digest(manifest) == name == headers["Docker-Content-Digest"], (repository, tag, name)
        parsed = json.loads(manifest)
        for blob in (parsed["config"], *parsed["layers"]):
            if (repository, blob["digest"]) in whole:
                continue
            _, data = client.good(200, "GET", f"/v2/{repository}/blobs/{blob['digest']}")
            assert digest(data) == blob["digest"] and len(data) == blob["size"], (repository, tag, blob)
            whole.add((repository, blob["digest"]))
    print(json.dumps({"images": len(images), "blobs": len(whole)}))


if __name__ == "__main__":
    {"push": push, "check": check}[sys.argv[1]](*sys.argv[2:])
