"""The OCI distribution specification from outside: what its conformance suite asks, asked of a cloud with our own words.

Ref: opencontainers/distribution-spec, spec.md 1.1 and what 1.1+dev adds. Each kind of content goes the whole way: pushed,
listed, looked at, pulled, found by its subject, deleted, gone.
"""

import base64
import concurrent.futures
import hashlib
import json
import os
import random
import urllib.parse

from common import ENDPOINT, client, main, send
from registry import token

ONE, TWO = "conformance/one", "conformance/two"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
OCTETS = "application/octet-stream"
NOWHERE = "sha256:" + "5" * 64
CODES = {
    "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED",
    "UNSUPPORTED", "TOOMANYREQUESTS", "TAG_INVALID",
}
login = {}


def digest_of(content, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def ask(method, path, expected, body=None, **headers):
    """Asks, checks status and the form of an error, and returns headers (by lower-case name) and body."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        headers.setdefault("Content-Type", OCTETS)
    url = urllib.parse.urljoin(ENDPOINT, path)
    status, told, content = send(url, body, {**login, **headers}, method)
    told = {name.lower(): value for name, value in told.items()}
    wanted = expected if isinstance(expected, tuple) else (expected,)
    assert status in wanted, f"{method} {path}: wanted {wanted}, got {status}: {content[:300]!r}"
    if 400 <= status < 500 and content:
        for error in json.loads(content)["errors"]:
            assert error["code"] in CODES, f"{method} {path}: {error}"
    if method == "HEAD":
        assert content == b"", f"{method} {path} has a body"
    return told, content


def begin(repository, query=""):
    told, _ = ask("POST", f"/v2/{repository}/blobs/uploads/{query}", 202, b"")
    return told["location"]


def end(location, digest):
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


def finished(told, content, digest):
    """The answer to a whole upload: a location that gives the blob back."""
    assert told["docker-content-digest"] == digest, told
    _, back = ask("GET", told["location"], 200)
    assert back == content


def by_post(repository, content, digest):
    return ask("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", 201, content)[0]


def by_put(repository, content, digest):
    return ask("PUT", end(begin(repository), digest), 201, content)[0]


def by_stream(repository, content, digest):
    told, _ = ask("PATCH", begin(repository), 202, content)
    return ask("PUT", end(told["location"], digest), 201, b"")[0]


def by_chunks(repository, content, digest, last_with_put=False, out_of_order=False):
    location, size, sent = begin(repository), len(content) // 3 + 1, 0
    while sent < len(content):
        if out_of_order:
            # Ahead of what was received, or, at the end, from the beginning once more.
            at = sent + size if sent + size < len(content) else 0
            piece = content[at:at + size]
            told, _ = ask("PATCH", location, 416 if at != sent else 202, piece,
                          Content_Range=f"{at}-{at + len(piece) - 1}")
            told, _ = ask("GET", location, 204)
            assert told["range"].startswith("0-"), told
            assert sent == 0 or told["range"] == f"0-{sent - 1}", (told, sent)
            location = told["location"]
        piece = content[sent:sent + size]
        span = {"Content_Range": f"{sent}-{sent + len(piece) - 1}"}
        sent += len(piece)
        if last_with_put and sent == len(content):
            return ask("PUT", end(location, digest), 201, piece, **span)[0]
        told, _ = ask("PATCH", location, 202, piece, **span)
        assert told["range"] == f"0-{sent - 1}", told
        location = told["location"]
    return ask("PUT", end(location, digest), 201, b"")[0]


def blobs(algorithm):
    """Every way to push a blob, and what is wrong with each."""
    ways = [by_post, by_put, by_stream, by_chunks,
            lambda *rest: by_chunks(*rest, last_with_put=True),
            lambda *rest: by_chunks(*rest, out_of_order=True),
            lambda *rest: by_chunks(*rest, last_with_put=True, out_of_order=True)]
    for content in [os.urandom(3000), b"{}", b""]:
        for way in ways:
            digest = digest_of(content, algorithm)
            path = f"/v2/{ONE}/blobs/{digest}"
            ask("GET", path, 404)
            ask("HEAD", path, 404)
            if not content and way not in (by_post, by_put, by_stream):
                continue
            finished(way(ONE, content, digest), content, digest)
            told, _ = ask("HEAD", path, 200)
            assert (told["content-length"], told["docker-content-digest"]) == (str(len(content)), digest), told
            ask("DELETE", path, 202)
            ask("HEAD", path, 404)
            ask("DELETE", path, 404)
    bad = digest_of(b"something else", algorithm)
    content = os.urandom(100)
    ask("POST", f"/v2/{ONE}/blobs/uploads/?digest={bad}", 400, content)
    ask("PUT", end(begin(ONE), bad), 400, content)
    told, _ = ask("PATCH", begin(ONE), 202, content)
    ask("PUT", end(told["location"], bad), 400, b"")
    ask("HEAD", f"/v2/{ONE}/blobs/{bad}", 404)
    location = begin(ONE, f"?digest-algorithm={algorithm}")
    finished(ask("PUT", end(location, digest_of(content, algorithm)), 201, content)[0], content,
             digest_of(content, algorithm))
    for digest in ("sha256:short", "md5:" + "0" * 32, "nothing"):
        ask("PUT", end(begin(ONE), digest), 400, content)
    location = begin(ONE)
    ask("DELETE", location, 204)
    ask("GET", location, 404)
    ask("DELETE", location, 404)
    mounts(algorithm)
    ranges(algorithm)


def mounts(algorithm):
    content = os.urandom(200)
    digest = digest_of(content, algorithm)
    mount = f"/v2/{ONE}/blobs/uploads/?mount={digest}"
    # Not there, in a repository that is not there, or in none that is named: an upload begins.
    for source in (f"&from={TWO}", "&from=conformance/none", "", "&from=UPPER"):
        told, _ = ask("POST", mount + source, 202, b"")
        ask("DELETE", told["location"], 204)
    by_put(TWO, content, digest)
    told, _ = ask("POST", mount + f"&from={TWO}", 201, b"")
    finished(told, content, digest)
    ask("DELETE", f"/v2/{TWO}/blobs/{digest}", 202)
    ask("GET", f"/v2/{ONE}/blobs/{digest}", 200)
    settings = client("ecr")
    settings.put_account_setting(name="BLOB_MOUNTING", value="DISABLED")
    ask("POST", f"/v2/{TWO}/blobs/uploads/?mount={digest}&from={ONE}", 202, b"")
    settings.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    ask("POST", f"/v2/{TWO}/blobs/uploads/?mount={digest}&from={ONE}", 201, b"")


def ranges(algorithm):
    content = os.urandom(2048)
    digest = digest_of(content, algorithm)
    by_put(ONE, content, digest)
    path = f"/v2/{ONE}/blobs/{digest}"
    for asked, first, last in [("500-1499", 500, 1499), ("500-", 500, 2047), ("-500", 1548, 2047),
                               ("2000-5000", 2000, 2047), ("0-0", 0, 0), ("-9999", 0, 2047)]:
        told, got = ask("GET", path, 206, Range=f"bytes={asked}")
        assert got == content[first:last + 1], asked
        assert told["content-range"] == f"bytes {first}-{last}/2048", told
        assert told["content-length"] == str(len(got)), told
    for asked in ("500-0", "5000-10000", "2048-", "-0"):
        told, _ = ask("GET", path, 416, Range=f"bytes={asked}")
        assert told["content-range"] == "bytes */2048", told
    # A set of ranges may be answered with the whole.
    _, got = ask("GET", path, 200, Range="bytes=0-1,5-6")
    assert got == content


class Content:
    """Manifests in the order in which they must be pushed, and the blobs that they name."""

    def __init__(self, algorithm="sha256"):
        self.algorithm, self.blobs, self.manifests = algorithm, {}, []

    def blob(self, content, media_type):
        digest = digest_of(content, self.algorithm)
        self.blobs[digest] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def add(self, document, indent=None):
        content = json.dumps(document, indent=indent).encode()
        digest = digest_of(content, self.algorithm)
        self.manifests.append((digest, document["mediaType"], content))
        return {"mediaType": document["mediaType"], "digest": digest, "size": len(content)}

    def image(self, layers=2, **more):
        config = more.pop("config", None) or self.blob(
            json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
                        "noise": os.urandom(8).hex()}).encode(), CONFIG)
        named = more.pop("blobs", None) or [self.blob(os.urandom(300), LAYER) for _ in range(layers)]
        return self.add({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": named, **more}, indent=1)

    def artifact(self, kind, **more):
        return self.image(artifactType=kind, config=self.blob(b"{}", EMPTY),
                          blobs=[self.blob(os.urandom(50), "application/vnd.example.thing")], **more)

    def index(self, entries, **more):
        return self.add({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries, **more})


def kinds():
    """One of each kind of content: a name, the content, and by their subjects what refers to what."""
    for algorithm in ("sha256", "sha512"):
        made = Content(algorithm)
        platforms = [{**made.image(), "platform": {"os": "linux", "architecture": arch}} for arch in ("amd64", "arm64")]
        nested = made.index(platforms)
        made.index([nested, made.index([])])
        yield f"index-{algorithm}", made, {}
    plain = Content()
    plain.image()
    yield "image", plain, {}
    bare = Content()
    bare.image(0)
    yield "no-layers", bare, {}
    large = Content()
    large.image(annotations={f"large-{n}": "A" * 10_000 for n in range(390)})
    yield "large", large, {}
    custom = Content()
    custom.image(**{"org.example.unknown": {"nested": [1, None, "x"]}})
    custom.index([], custom=True)
    yield "custom-fields", custom, {}
    inline = Content()
    config = inline.blob(b"{}", EMPTY)
    inline.image(1, config={**config, "data": base64.b64encode(b"{}").decode()})
    yield "data-field", inline, {}
    foreign = Content()
    away = {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": NOWHERE,
            "size": 123456, "urls": ["https://store.example.com/x"]}
    foreign.image(blobs=[away, foreign.blob(os.urandom(64), LAYER)])
    yield "foreign-layers", foreign, {}
    about = Content()
    subject = about.image()
    notes = {"org.example.note": "hello"}
    referring = [
        {**about.image(subject=subject), "artifactType": CONFIG},
        {**about.artifact("application/vnd.example.one", subject=subject, annotations=notes),
         "artifactType": "application/vnd.example.one", "annotations": notes},
        {**about.artifact("application/vnd.example.two", subject=subject),
         "artifactType": "application/vnd.example.two"},
        {**about.index([], subject=subject, artifactType="application/vnd.example.one"),
         "artifactType": "application/vnd.example.one"},
        about.index([], subject=subject),
    ]
    yield "referrers", about, {subject["digest"]: referring}
    lonely = Content()
    missing = {"mediaType": MANIFEST, "digest": "sha256:" + "7" * 64, "size": 123}
    entry = {**lonely.artifact("application/vnd.example.one", subject=missing),
             "artifactType": "application/vnd.example.one"}
    yield "missing-subject", lonely, {missing["digest"]: [entry]}


def push(name, content):
    for digest, blob in content.blobs.items():
        by_put(ONE, blob, digest)
    for at, (digest, media_type, body) in enumerate(content.manifests):
        is_last = at + 1 == len(content.manifests)
        tags = [f"{name}-{n}" for n in range(10)] if is_last else []
        query = "?" + "&".join(f"tag={tag}" for tag in tags) if tags else ""
        status, told, answer = pushed(f"/v2/{ONE}/manifests/{digest}{query}", body, media_type)
        assert status == 201, (name, status, answer)
        assert told.get("OCI-Tag", "").replace(" ", "").split(",") == (tags or [""]), told
        assert told["Docker-Content-Digest"] == digest, told
        subject = json.loads(body).get("subject")
        assert told.get("OCI-Subject") == (subject and subject["digest"]), told
        _, back = ask("GET", told["Location"], 200)
        assert back == body, name


def pushed(path, body, media_type):
    """A PUT whose answer's repeated headers are joined."""
    import http.client

    url = urllib.parse.urlsplit(ENDPOINT)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    connection.request("PUT", path, body, {**login, "Content-Type": media_type})
    answer = connection.getresponse()
    told = {}
    for header, value in answer.getheaders():
        header = {"oci-tag": "OCI-Tag", "oci-subject": "OCI-Subject", "location": "Location",
                  "docker-content-digest": "Docker-Content-Digest"}.get(header.lower(), header)
        told[header] = f"{told[header]}, {value}" if header in told else value
    content = answer.read()
    connection.close()
    return answer.status, told, content


def look(name, content, referring):
    digest, media_type, body = content.manifests[-1]
    tags = json.loads(ask("GET", f"/v2/{ONE}/tags/list", 200)[1])
    assert tags == {"name": ONE, "tags": [f"{name}-{n}" for n in range(10)]}, tags
    page = json.loads(ask("GET", f"/v2/{ONE}/tags/list?n=3&last={name}-4", 200)[1])["tags"]
    assert page == [f"{name}-{n}" for n in (5, 6, 7)], page
    seen, path = [], f"/v2/{ONE}/tags/list?n=4"
    while path:
        told, answer = ask("GET", path, 200)
        seen += json.loads(answer)["tags"]
        link = told.get("link")
        assert link is None or link.endswith('>; rel="next"'), link
        path = link and link[1:link.index(">")]
    assert seen == tags["tags"], seen
    told, answer = ask("GET", f"/v2/{ONE}/tags/list?n=0", 200)
    assert json.loads(answer)["tags"] == [] and "link" not in told, told
    for reference in [f"{name}-0", *(one[0] for one in content.manifests)]:
        wanted = next((one for one in content.manifests if one[0] == reference), content.manifests[-1])
        for method in ("GET", "HEAD"):
            told, got = ask(method, f"/v2/{ONE}/manifests/{reference}", 200, Accept=wanted[1])
            assert told["content-type"] == wanted[1], told
            assert told["content-length"] == str(len(wanted[2])), told
            assert told["docker-content-digest"] == wanted[0], told
            assert method == "HEAD" or got == wanted[2], name
    for blob, bytes_ in content.blobs.items():
        told, got = ask("GET", f"/v2/{ONE}/blobs/{blob}", 200)
        assert got == bytes_ and told["docker-content-digest"] == blob, name
    for subject, entries in referring.items():
        path = f"/v2/{ONE}/referrers/{subject}"
        listed(path, entries)
        for kind in {entry.get("artifactType") for entry in entries} - {None}:
            told = listed(f"{path}?artifactType={kind}", [one for one in entries if one.get("artifactType") == kind])
            assert told["oci-filters-applied"] == "artifactType", told
        listed(f"{path}?artifactType=application/none", [])


def listed(path, entries):
    told, answer = ask("GET", path, 200)
    index = json.loads(answer)
    assert told["content-type"] == INDEX, told
    assert (index["schemaVersion"], index["mediaType"]) == (2, INDEX), index
    by_digest = lambda entry: entry["digest"]
    assert sorted(index["manifests"], key=by_digest) == sorted(entries, key=by_digest), (path, index, entries)
    return told


def remove(name, content, referring):
    path = f"/v2/{ONE}/manifests/"
    for n in range(9):
        ask("DELETE", f"{path}{name}-{n}", 202)
        ask("HEAD", f"{path}{name}-{n}", 404)
        ask("DELETE", f"{path}{name}-{n}", 404)
    named = {entry["digest"] for _, _, body in content.manifests for entry in json.loads(body).get("manifests", [])}
    for digest, _, body in content.manifests:
        for descriptor in json.loads(body).get("layers", []):
            if descriptor["digest"] in content.blobs:
                ask("DELETE", f"/v2/{ONE}/blobs/{descriptor['digest']}", 405)
        if digest in named:
            ask("DELETE", path + digest, 405)
    for digest, _, _ in reversed(content.manifests):
        ask("DELETE", path + digest, 202)
        ask("GET", path + digest, 404)
        ask("DELETE", path + digest, 404)
    # The last tag went with its manifest.
    ask("GET", f"{path}{name}-9", 404)
    assert json.loads(ask("GET", f"/v2/{ONE}/tags/list", 200)[1])["tags"] == [], name
    for digest in content.blobs:
        ask("DELETE", f"/v2/{ONE}/blobs/{digest}", (202, 404))
        ask("HEAD", f"/v2/{ONE}/blobs/{digest}", 404)
    for subject in referring:
        listed(f"/v2/{ONE}/referrers/{subject}", [])


def refusals():
    image = Content()
    image.image(1)
    for digest, blob in image.blobs.items():
        by_put(ONE, blob, digest)
    digest, media_type, body = image.manifests[-1]
    path = f"/v2/{ONE}/manifests/"
    put = lambda reference, content, expected, kind=media_type: ask(
        "PUT", path + reference, expected, content, Content_Type=kind)
    put(digest, body + b"  ", 400)
    put("sha256:baddigeststring", body, 400)
    put("good", body, 400, "text/plain")
    put("good", body, 400, INDEX)
    put("good", b"no json", 400)
    put("good", b"{}", 400)
    put(".bad", body, 400)
    put("x" * 129, body, 400)
    put("x" * 128, body, 201)
    put("too-large", body + b" " * (5 << 20), 413)
    document = json.loads(body)
    document["layers"][0] = {**document["layers"][0], "size": document["layers"][0]["size"] + 1}
    put("good", json.dumps(document).encode(), 400)
    document["layers"][0] = {**document["layers"][0], "digest": NOWHERE}
    _, answer = put("good", json.dumps(document).encode(), 404)
    assert json.loads(answer)["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN", answer
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"mediaType": MANIFEST, "digest": NOWHERE, "size": 9}]}
    _, answer = put("good", json.dumps(index).encode(), 404, INDEX)
    assert json.loads(answer)["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN", answer
    for method in ("GET", "HEAD", "DELETE"):
        ask(method, path + ".INVALID_MANIFEST_NAME", 404)
        ask(method, path + NOWHERE, 404)
        ask(method, path + "none", 404)
    ask("GET", path + "sha256:baddigeststring", (400, 404))
    ask("GET", f"/v2/{ONE}/referrers/nonsense", 400)
    ask("GET", f"/v2/{ONE}/tags/list?n=x", 400)
    for name in ("conformance/none", "none"):
        for what in ("tags/list", "manifests/v1", f"blobs/{NOWHERE}", f"referrers/{NOWHERE}"):
            _, answer = ask("GET", f"/v2/{name}/{what}", 404)
            assert json.loads(answer)["errors"][0]["code"] == "NAME_UNKNOWN", answer
        ask("POST", f"/v2/{name}/blobs/uploads/", 404, b"")
        ask("DELETE", f"/v2/{name}/manifests/{NOWHERE}", 404)
    for name in ("UPPER", "a..b", "-a", "a/", "a//b", "x" * 257):
        ask("GET", f"/v2/{name}/tags/list", (400, 404))
    for method, what, allow in [("POST", "manifests/v1", "PUT"), ("PUT", "tags/list", "GET"),
                                ("GET", "blobs/uploads/", "POST"), ("PATCH", f"blobs/{NOWHERE}", "DELETE")]:
        told, _ = ask(method, f"/v2/{ONE}/{what}", 405, b"" if method != "GET" else None)
        assert allow in told["allow"], told
    ask("DELETE", path + digest, 202)


def strangers():
    """Without credentials, and with those of somebody who may read only."""
    mine = dict(login)
    login.clear()
    for method, what in [("GET", ""), ("GET", "_catalog"), ("GET", f"{ONE}/manifests/v1"), ("HEAD", f"{ONE}/manifests/v1"),
                         ("GET", f"{ONE}/blobs/{NOWHERE}"), ("GET", f"{ONE}/tags/list"),
                         ("GET", f"{ONE}/referrers/{NOWHERE}"), ("POST", f"{ONE}/blobs/uploads/"),
                         ("PUT", f"{ONE}/manifests/v1"), ("DELETE", f"{ONE}/manifests/v1"),
                         ("DELETE", f"{ONE}/blobs/{NOWHERE}"), ("GET", "none/tags/list")]:
        told, _ = ask(method, f"/v2/{what}", 401, b"" if method in ("POST", "PUT") else None)
        assert told["www-authenticate"].startswith('Basic realm="'), told
    login.update(mine)


def catalog():
    """All repositories, page by page: of the protocol's older text, and ECR's registry has it."""
    seen, path = [], "/v2/_catalog?n=1"
    while path:
        told, answer = ask("GET", path, 200)
        seen += json.loads(answer)["repositories"]
        path = "link" in told and told["link"][1:told["link"].index(">")]
    assert seen == sorted(seen) and ONE in seen and TWO in seen, seen


def beside():
    """Pushes beside deletions of images that share their layers: whoever was told that a layer is there may name it."""
    layers = [os.urandom(500) for _ in range(3)]

    def push_and_delete(name):
        draw = random.Random(name)
        for n in range(15):
            config = json.dumps({"pusher": name, "n": n}).encode()
            blobs = [config, *draw.sample(layers, 2)]
            for blob in blobs:
                path = f"/v2/{ONE}/blobs/{digest_of(blob)}"
                if send(ENDPOINT + path, None, login, "HEAD")[0] != 200:
                    by_post(ONE, blob, digest_of(blob))
            named = [{"mediaType": kind, "digest": digest_of(blob), "size": len(blob)}
                     for blob, kind in zip(blobs, (CONFIG, LAYER, LAYER))]
            body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": named[0], "layers": named[1:]}).encode()
            ask("PUT", f"/v2/{ONE}/manifests/{name}", 201, body, Content_Type=MANIFEST)
            ask("DELETE", f"/v2/{ONE}/manifests/{digest_of(body)}", 202)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for _ in pool.map(push_and_delete, ("a", "b", "c", "d")):
            pass


def anew(ecr):
    """A repository that was deleted and made anew under its name: what was shown of the first is nothing of the second's."""
    name, blob = "conformance/anew", os.urandom(500)
    body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config":
                       {"mediaType": CONFIG, "digest": digest_of(blob), "size": len(blob)}}).encode()
    ecr.create_repository(repositoryName=name)
    by_post(name, blob, digest_of(blob))
    ask("HEAD", f"/v2/{name}/blobs/{digest_of(blob)}", 200)
    ecr.delete_repository(repositoryName=name, force=True)
    ecr.create_repository(repositoryName=name)
    ask("HEAD", f"/v2/{name}/blobs/{digest_of(blob)}", 404)
    ask("PUT", f"/v2/{name}/manifests/v1", 404, body, Content_Type=MANIFEST)
    by_post(name, blob, digest_of(blob))
    ask("PUT", f"/v2/{name}/manifests/v1", 201, body, Content_Type=MANIFEST)
    ecr.delete_repository(repositoryName=name, force=True)


def conformance():
    ecr = client("ecr")
    for name in (ONE, TWO):
        ecr.create_repository(repositoryName=name)
    login["Authorization"] = "Basic " + base64.b64encode(f"AWS:{token()['password']}".encode()).decode()
    _, body = ask("GET", "/v2/", 200)
    assert body == b"{}"
    assert json.loads(ask("GET", f"/v2/{ONE}/tags/list", 200)[1]) == {"name": ONE, "tags": []}
    listed(f"/v2/{ONE}/referrers/{NOWHERE}", [])
    catalog()
    for algorithm in ("sha256", "sha512"):
        blobs(algorithm)
    for name, content, referring in kinds():
        push(name, content)
        look(name, content, referring)
        remove(name, content, referring)
    refusals()
    beside()
    anew(ecr)
    strangers()
    for name in (ONE, TWO):
        ecr.delete_repository(repositoryName=name, force=True)


if __name__ == "__main__":
    main({"conformance": conformance})
