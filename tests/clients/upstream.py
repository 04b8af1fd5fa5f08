"""A registry with a certificate authority of its own and a token service, for pull-through tests: upstream.py FOLDER

Serves over https, pull only: `open/app` to everybody, `shut/app` to user `robot` with password `s3cret`. Tokens are
bearer tokens of `/token`, as the distribution project's "Token Authentication Specification" has them. Prints one line of
JSON: the host, the authority's certificate, the digests. `PUT /move` gives `v1` of both another image, `/seen` tells what
was asked. Serves until it is ended.
"""

import base64
import http.server
import json
import os
import secrets
import ssl
import subprocess
import sys
import threading
import urllib.parse

import image

folder = sys.argv[1]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
openssl("req", "-x509", *EC, "-days", "2", "-subj", "/CN=upstream authority",
        "-keyout", f"{folder}/authority.key", "-out", f"{folder}/authority.crt")
openssl("req", "-new", *EC, "-subj", "/CN=upstream", "-keyout", f"{folder}/server.key", "-out", f"{folder}/server.csr")
with open(f"{folder}/server.ext", "w") as extensions:
    extensions.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n")
openssl("x509", "-req", "-in", f"{folder}/server.csr", "-CA", f"{folder}/authority.crt", "-CAkey",
        f"{folder}/authority.key", "-CAcreateserial", "-days", "2", "-extfile", f"{folder}/server.ext",
        "-out", f"{folder}/server.crt")

layouts = {mark: os.path.join(folder, mark) for mark in ("first", "second")}
digests = {mark: image.write(path, mark) for mark, path in layouts.items()}
tags = {"v1": digests["first"]}
tokens = {}
seen = []
lock = threading.Lock()


def content(digest):
    for path in layouts.values():
        file = os.path.join(path, "blobs/sha256", digest.removeprefix("sha256:"))
        if os.path.isfile(file):
            with open(file, "rb") as opened:
                return opened.read()
    return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def token(self, query):
        given = self.headers.get("Authorization", "")
        user = None
        if given:
            if given != "Basic " + base64.b64encode(b"robot:s3cret").decode():
                return self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}')
            user = "robot"
        token = secrets.token_urlsafe(24)
        with lock:
            tokens[token] = (user, query.get("scope", [""])[0])
        seen.append({"token": user, "scope": query.get("scope", [""])[0], "service": query.get("service", [""])[0]})
        return self.answer(200, json.dumps({"token": token, "expires_in": 300}).encode())

    def may(self, repository):
        """Whether the token of this request is good for the repository; nothing in it is good for the base."""
        user, scope = tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "), (None, None))
        if scope is None:
            return False
        if repository is None:
            return user is not None or scope == ""
        return scope == f"repository:{repository}:pull" and (user is not None or repository.startswith("open/"))

    def challenge(self, repository):
        text = f'Bearer realm="https://localhost:{port}/token",service="upstream.test"'
        if repository:
            text += f',scope="repository:{repository}:pull"'
        self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}',
                    [("WWW-Authenticate", text)])

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/token":
            return self.token(urllib.parse.parse_qs(url.query))
        if url.path == "/seen":
            return self.answer(200, json.dumps(seen).encode())
        if url.path == "/v2/":
            # Nobody who is unknown is let in: a rule without a secret does not validate.
            user, _ = tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "), (None, None))
            return self.answer(200, b"{}") if user else self.challenge(None)
        parts = url.path.removeprefix("/v2/").rsplit("/", 2)
        if len(parts) != 3 or parts[0] not in ("open/app", "shut/app"):
            return self.answer(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}')
        repository, kind, reference = parts
        if not self.may(repository):
            return self.challenge(repository)
        digest = tags.get(reference, reference)
        data = content(digest)
        seen.append({"path": url.path, "found": data is not None})
        if data is None:
            return self.answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such thing"}]}')
        media_type = MANIFEST if kind == "manifests" else "application/octet-stream"
        return self.answer(200, data, [("Content-Type", media_type), ("Docker-Content-Digest", digest)])

    do_HEAD = do_GET

    def do_PUT(self):
        if self.path == "/move":
            tags["v1"] = digests["second"]
        self.answer(200)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
port = server.server_address[1]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{folder}/server.crt", f"{folder}/server.key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(json.dumps({"host": f"localhost:{port}", "ca": f"{folder}/authority.crt", "digests": digests}), flush=True)
server.serve_forever()
