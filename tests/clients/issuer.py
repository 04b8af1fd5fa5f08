"""An OpenID Connect issuer on loopback, for tests: issuer.py FOLDER [http]

Makes a certificate, two RSA keys and one of P-521 with openssl in FOLDER, serves the discovery document and the key set over https
(with `http`: over plain HTTP), and prints one line of JSON: the issuer, and tokens that are good or wrong in one way each. Serves until it is ended.
Below the issuer's URL are further issuers: `/slow1` to `/slow3`, `/huge`, `/redirect`, `/lying`, `/fresh` and `/slash/`.
"""

import base64
import hashlib
import hmac
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

openssl("ecparam", "-name", "secp521r1", "-genkey", "-noout", "-out", f"{folder}/curve.key")

modulus = openssl("rsa", "-in", f"{folder}/good.key", "-noout", "-modulus").decode().strip().split("=")[1]
keys = {"keys": [{"kty": "RSA", "kid": "k1", "alg": "RS256", "use": "sig", "n": url64(bytes.fromhex(modulus)), "e": "AQAB"}]}
point = openssl("ec", "-in", f"{folder}/curve.key", "-pubout", "-outform", "DER")[-132:]
keys["keys"].append({"kty": "EC", "kid": "k521", "alg": "ES512", "crv": "P-521", "x": url64(point[:66]), "y": url64(point[66:])})
fetches = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/slow"):
            time.sleep(20)
        if self.path.startswith("/redirect/"):
            self.send_response(302)
            self.send_header("Location", f"{issuer}/fresh{self.path.removeprefix('/redirect')}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        documents = {
            "/.well-known/openid-configuration": {"issuer": issuer, "jwks_uri": f"{issuer}/keys"},
            "/keys": keys,
            "/count": {"fetches": fetches.count("/keys")},
            "/huge/keys": {"keys": keys["keys"] + [{"kty": "RSA", "kid": f"x{i}", "n": "A" * 400} for i in range(2_000)]},
        }
        for path, jwks in [("/fresh", "/keys"), ("/slash/", "/keys"), ("/huge", "/huge/keys")]:
            document = {"issuer": issuer + path, "jwks_uri": issuer + jwks}
            documents[f"{path.rstrip('/')}/.well-known/openid-configuration"] = document
        documents["/lying/.well-known/openid-configuration"] = documents["/.well-known/openid-configuration"]
        fetches.append(self.path)
        body = json.dumps(documents.get(self.path)).encode()
        self.send_response(200 if self.path in documents else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass  # Whoever asked did not wait, or did not want all of it.

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


def whole(der):
    """Both numbers of an ECDSA signature of P-521 in full length, which is how a token has them."""
    at, numbers = 3 if der[1] & 0x80 else 2, b""
    while at < len(der):
        size = der[at + 1]
        numbers += int.from_bytes(der[at + 2:at + 2 + size], "big").to_bytes(66, "big")
        at += 2 + size
    return numbers


def token(key="good", kid="k1", path="", header=None, text=None, **changes):
    now = int(time.time())
    claims = {"iss": issuer + path, "aud": "sts.amazonaws.com", "sub": "repo:org/app:ref:refs/heads/main", "iat": now, "exp": now + 600}
    head = json.dumps({"alg": "RS256", "typ": "JWT", "kid": kid, **(header or {})})
    signed = ".".join(url64(part.encode()) for part in (head, text or json.dumps({**claims, **changes})))
    if key == "curve":
        return signed + "." + url64(whole(openssl("dgst", "-sha512", "-sign", f"{folder}/{key}.key", stdin=signed.encode())))
    return signed + "." + url64(openssl("dgst", "-sha256", "-sign", f"{folder}/{key}.key", stdin=signed.encode()))


def symmetric():
    """A token whose \"secret\" is the issuer's public key."""
    signed = token(header={"alg": "HS256"}).rsplit(".", 1)[0]
    public = openssl("rsa", "-in", f"{folder}/good.key", "-pubout")
    return signed + "." + url64(hmac.new(public, signed.encode(), hashlib.sha256).digest())


def hostile():
    """One issuer's tokens, each with something wrong, and further issuers' tokens."""
    later = int(time.time()) + 3_600
    stranger = openssl("rsa", "-in", f"{folder}/stranger.key", "-noout", "-modulus").decode().strip().split("=")[1]
    embedded = {"kty": "RSA", "kid": "k1", "n": url64(bytes.fromhex(stranger)), "e": "AQAB"}
    twice = json.dumps({"iss": issuer, "aud": "sts.amazonaws.com", "exp": later, "sub": "a"})[:-1] + ', "sub": "b"}'
    tags = {"principal_tags": {"team": ["blue"]}, "transitive_tag_keys": ["team"]}
    return {
        "plain": token(),
        "none": token(header={"alg": "none"}).rsplit(".", 1)[0] + ".",
        "symmetric": symmetric(),
        "critical": token(header={"crit": ["exp"]}),
        "embedded": token(key="stranger", header={"jwk": embedded, "jku": f"{issuer}/keys"}),
        "twice": token(text=twice),
        "early": token(nbf=later),
        "trailing": token(path="/"),
        "nobody": token(sub=None),
        "away": token(iss="https://localhost:9"),
        "tagged": token(**{"https://aws.amazon.com/tags": tags, "https://aws.amazon.com/source_identity": "ada"}),
        **{path: token(path=f"/{path}") for path in ("slow1", "slow2", "slow3", "huge", "redirect", "lying", "fresh")},
        "slash": token(path="/slash/"),
    }


print(json.dumps({
    "issuer": issuer,
    "good": token(),
    "curve": token(key="curve", kid="k521", header={"alg": "ES512"}),
    "forged": token(key="stranger"),
    "unknown_key": token(kid="k2"),
    "audience": token(aud="somebody-else"),
    "subject": token(sub="repo:org/other:ref:refs/heads/main"),
    "expired": token(exp=int(time.time()) - 60),
    "tokens": hostile(),
}), flush=True)
server.serve_forever()
