"""Makes the certificates and keys of these tests anew: `python make.py` in this directory (package `cryptography`).

They are for names of RFC 2606 and protect nothing. Valid from 2020 until 2120, but `expired` and `early`."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

PKCS8, TRADITIONAL = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL
CLEAR = serialization.NoEncryption()


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer=None, issuer_key=None, names=None, is_ca=False, years=(2020, 2120)):
    begin, end = (datetime.datetime(year, 1, 1) for year in years)
    made = (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer or subject))
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(begin).not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True))
    if names:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
    signer = issuer_key or key
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return made.sign(signer, digest).public_bytes(serialization.Encoding.PEM).decode()


def pem(key, form=PKCS8, encryption=CLEAR):
    return key.private_bytes(serialization.Encoding.PEM, form, encryption).decode()


def write(file, text):
    with open(file, "w") as out:
        out.write(text)


def pair(file, key, *names, **more):
    write(f"{file}.pem", certificate(names[0], key, names=names, **more))
    write(f"{file}.key", pem(key))


SECRET = serialization.BestAvailableEncryption(b"secret")
RSA = rsa.generate_private_key(65537, 2048)
pair("rsa", RSA, "shop.example.com", "*.shop.example.com")
write("rsa-traditional.key", pem(RSA, TRADITIONAL))
write("rsa-encrypted.key", pem(RSA, PKCS8, SECRET))
write("rsa-traditional-encrypted.key", pem(RSA, TRADITIONAL, SECRET))
pair("rsa-1024", rsa.generate_private_key(65537, 1024), "weak.example.com")
pair("p521", ec.generate_private_key(ec.SECP521R1()), "odd.example.com")
pair("p384", ec.generate_private_key(ec.SECP384R1()), "strong.example.com")
pair("ed25519", ed25519.Ed25519PrivateKey.generate(), "other.example.com")
pair("nowhere", ec.generate_private_key(ec.SECP256R1()), "localhost")
pair("expired", ec.generate_private_key(ec.SECP256R1()), "shop.example.com", years=(2020, 2021))
pair("early", ec.generate_private_key(ec.SECP256R1()), "shop.example.com", years=(2100, 2120))
UNLISTED = ec.generate_private_key(ec.SECP256R1())
write("unlisted.pem", certificate("Old.example.com", UNLISTED))
write("unlisted.key", pem(UNLISTED))
ROOT, BETWEEN, LEAF = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
write("root.pem", certificate("Test root", ROOT, is_ca=True))
write("between.pem", certificate("Test intermediate", BETWEEN, "Test root", ROOT, is_ca=True))
write("leaf.pem", certificate("api.example.com", LEAF, "Test intermediate", BETWEEN, ["api.example.com"]))
# As `openssl ecparam -genkey` writes it: the curve, then the key.
PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
write("leaf.key", PARAMETERS + pem(LEAF, TRADITIONAL))
