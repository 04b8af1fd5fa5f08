"""An OpenID Connect issuer on loopback, for tests: issuer.py FOLDER [http]

Makes a certificate and two RSA keys with openssl in FOLDER, serves the discovery document and the key set over https
(with `http`: over plain HTTP), and prints one line of JSON: the issuer, and tokens that are good or wrong in one way each. Serves until it is ended.
"""

import base64
import http.server
import json
import ssl
import subprocess
import sys
import time

folder = sys.argv[1]


def openssl(*arguments, stdin=None):
    return subprocess.run(["openssl", *arguments], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
openssl("req", "-x509", *EC, "-days", "2", "-subj", "/CN=authority",
        "-keyout", f"{folder}/authority.key", "-out", f"{folder}/authority.crt")
openssl("req", "-new", *EC, "-subj", "/CN=issuer", "-keyout", f"{folder}/issuer.key", "-out", f"{folder}/issuer.csr")
with open(f"{folder}/issuer.ext", "w") as extensions:
    extensions.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n")
openssl("x509", "-req", "-in", f"{folder}/issuer.csr", "-CA", f"{folder}/authority.crt", "-CAkey", f"{folder}/authority.key",
        "-CAcreateserial", "-days", "2", "-extfile", f"{folder}/issuer.ext", "-out", f"{folder}/issuer.crt")
for name in ("good", "stranger"):
    openssl("genrsa", "-out", f"{folder}/{name}.key", "2048")

modulus = openssl("rsa", "-in", f"{folder}/good.key", "-noout", "-modulus").decode().strip().split("=")[1]
keys = {"keys": [{"kty": "RSA", "kid": "k1", "alg": "RS256", "use": "sig", "n": url64(bytes.fromhex(modulus)), "e": "AQAB"}]}
fetches = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        documents = {
            "/.well-known/openid-configuration": {"issuer": issuer, "jwks_uri": f"{issuer}/keys"},
            "/keys": keys,
            "/count": {"fetches": fetches.count("/keys")},
        }
        fetches.append(self.path)
        body = json.dumps(documents.get(self.path)).encode()
        self.send_response(200 if self.path in documents else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if sys.argv[2:] == ["http"]:
    issuer = f"http://127.0.0.1:{server.server_address[1]}"
else:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/issuer.crt", f"{folder}/issuer.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    issuer = f"https://localhost:{server.server_address[1]}"


def token(key="good", kid="k1", **changes):
    now = int(time.time())
    claims = {"iss": issuer, "aud": "sts.amazonaws.com", "sub": "repo:org/app:ref:refs/heads/main", "iat": now, "exp": now + 600}
    parts = [url64(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT", "kid": kid}, {**claims, **changes})]
    signed = ".".join(parts)
    return signed + "." + url64(openssl("dgst", "-sha256", "-sign", f"{folder}/{key}.key", stdin=signed.encode()))


print(json.dumps({
    "issuer": issuer,
    "good": token(),
    "forged": token(key="stranger"),
    "unknown_key": token(kid="k2"),
    "audience": token(aud="somebody-else"),
    "subject": token(sub="repo:org/other:ref:refs/heads/main"),
    "expired": token(exp=int(time.time()) - 60),
}), flush=True)
server.serve_forever()
