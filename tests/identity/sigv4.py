#!/usr/bin/env python3
"""Verifies what others signed: AWS's SigV4 test suite (from botocore's source archive) and botocore's own signer.

Writes the cases to a temporary file and runs `cargo test --test sigv4_cases` over it.
Usage: python3 tests/identity/sigv4.py [BOTOCORE_SOURCE_DIR]
"""
import base64
import datetime
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile

VERSION = "1.44.5"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SUITE_NOW_MS = 1_440_938_160_000  # 2015-08-30T12:36:00Z


def source(scratch):
    """The directory of botocore's source archive."""
    if len(sys.argv) > 1:
        return sys.argv[1]
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", scratch]
    subprocess.run([*pip, f"botocore=={VERSION}"], check=True)
    with tarfile.open(os.path.join(scratch, f"botocore-{VERSION}.tar.gz")) as archive:
        archive.extractall(scratch, filter="data")
    return os.path.join(scratch, f"botocore-{VERSION}")


def suite(root):
    """The suite's signed requests (.sreq). A header's folded lines are joined with one space, as HTTP says."""
    for directory, _, files in sorted(os.walk(os.path.join(root, "tests/unit/auth/aws4_testsuite"))):
        for name in sorted(files):
            if not name.endswith(".sreq"):
                continue
            path = os.path.join(directory, name)
            text = open(path, encoding="utf-8").read().replace("\r\n", "\n")
            head, _, body = text.partition("\n\n")
            first, *rest = head.split("\n")
            method, target = first.split(" ", 1)
            target = target.rsplit(" ", 1)[0]
            headers = []
            for line in rest:
                if line[:1].isspace():
                    headers[-1][1] += " " + line.strip()
                elif line:
                    headers.append(list(line.split(":", 1)))
            # In one vector .sreq holds a wrong signature; .authz is right (and the same in all others).
            authz = open(path.replace(".sreq", ".authz"), encoding="utf-8").read().strip()
            headers = [[n, authz if n.lower() == "authorization" else v] for n, v in headers]
            path, _, query = target.partition("?")
            yield case(name, method, path, query, headers, body.encode(), SUITE_NOW_MS, True)


def case(name, method, path, query, headers, body, now_ms, ok):
    return {
        "name": name, "method": method, "path": path, "query": query, "headers": headers,
        "body": base64.b64encode(body).decode(), "secret": SECRET, "now_ms": now_ms, "ok": ok,
    }


def differential(count):
    """Random requests signed by botocore, in the header and in the query, with and without a token; each also with
    its body changed, which must not verify."""
    from urllib.parse import quote, urlsplit

    from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    rng = random.Random(20261122)
    letters = "abcXYZ019-._~ /+%&=é:*'()\"\\"
    word = lambda n: "".join(rng.choice(letters) for _ in range(rng.randrange(n)))
    for i in range(count):
        token = rng.choice([None, "token+/=" + "x" * rng.randrange(40)])
        credentials = Credentials("AKIDEXAMPLE", SECRET, token)
        service = rng.choice(["ecs", "iam", "sts", "lambda", "s3"])
        signer = rng.choice([S3SigV4Auth if service == "s3" else SigV4Auth, SigV4QueryAuth])
        if signer is SigV4QueryAuth and service == "s3":
            signer = S3SigV4Auth
        path = "/" + "/".join(quote(word(8), safe="-._~") for _ in range(rng.randrange(4)))
        if service != "s3":
            path += rng.choice(["", "/", "//x", "/./y", "/a/../b"])
        query = "&".join(
            quote(word(6), safe="-._~") + "=" + quote(word(6), safe="-._~") for _ in range(rng.randrange(4))
        )
        body = b"" if signer is SigV4QueryAuth else word(60).encode()
        method = "GET" if not body else rng.choice(["POST", "PUT"])
        url = "https://host.example:4566" + path + ("?" + query if query else "")
        headers = {"X-Custom": " a  b " + word(5).replace("é", "e"), "Content-Type": "application/x-amz-json-1.1"}
        if signer is SigV4QueryAuth:
            headers = {}
        request = AWSRequest(method=method, url=url, data=body, headers=headers)
        now = datetime.datetime.now(datetime.timezone.utc)
        signer(credentials, service, "us-east-1").add_auth(request)
        parts = urlsplit(request.url)
        sent = [[k, v if isinstance(v, str) else v.decode()] for k, v in request.headers.items()]
        if not any(k.lower() == "host" for k, _ in sent):
            sent.append(["Host", "host.example:4566"])
        now_ms = int(now.timestamp() * 1000)
        name = f"{signer.__name__} {service} {i} {parts.path}?{parts.query}"
        yield case(name, method, parts.path, parts.query, sent, body, now_ms, True)
        yield case("changed " + name, method, parts.path, parts.query, sent, body + b"!", now_ms, False)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        root = source(scratch)
        sys.path.append(root)
        cases = list(suite(root))
        assert len(cases) == 34, f"the suite has 34 vectors, {len(cases)} were found"
        try:
            cases += differential(1_000)
        except ImportError as error:
            sys.exit(f"error: botocore cannot be imported: {error}\nhint: pip install botocore=={VERSION}")
        path = os.path.join(scratch, "cases.jsonl")
        with open(path, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(one) + "\n" for one in cases)
        # From the workspace, as all tests are built: the package alone has other features, and builds its dependencies anew.
        command = ["cargo", "test", "-q", "--workspace", "--test", "sigv4_cases", "--", "--nocapture"]
        sys.exit(subprocess.run(command, env={**os.environ, "HONMARU_SIGV4_CASES": path}).returncode)


if __name__ == "__main__":
    main()
