"""A CA and a certificate for each side of the mesh hop, made anew by every run."""

from __future__ import annotations

import pathlib
import subprocess
from dataclasses import dataclass

CIPHER_SUITE = "TLS_AES_128_GCM_SHA256"
TRUST_DOMAIN = "bench.internal"


@dataclass(frozen=True)
class Identity:
    """The files and names of one side. `certificate_and_key` is both in one file."""

    name: str
    uri: str
    certificate: pathlib.Path
    key: pathlib.Path
    certificate_and_key: pathlib.Path
    issuer: pathlib.Path


def _openssl(*arguments: object):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def _make_issuer(directory: pathlib.Path, name: str):
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
             "-days", "2", "-subj", f"/CN={name}", "-keyout", directory / f"{name}.key",
             "-out", directory / f"{name}.pem",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def make_identity(directory: pathlib.Path, role: str, issuer: str, prefix: str = "") -> Identity:
    """P-256, one DNS name and one SPIFFE ID, good for both ends of a connection."""
    base = directory / f"{prefix}{role}"
    name, uri = f"{role}.{TRUST_DOMAIN}", f"spiffe://{TRUST_DOMAIN}/ns/default/sa/{role}"
    extensions = base.with_suffix(".extensions")
    extensions.write_text(
        f"subjectAltName=critical,DNS:{name},URI:{uri}\n"
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
        "extendedKeyUsage=serverAuth,clientAuth\n")
    key, request, certificate = (base.with_suffix(s) for s in (".key", ".csr", ".pem"))
    _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
             "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    _openssl("x509", "-req", "-in", request, "-days", "2", "-CA", directory / f"{issuer}.pem",
             "-CAkey", directory / f"{issuer}.key", "-extfile", extensions, "-out", certificate)
    both = base.with_suffix(".both.pem")
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    return Identity(name, uri, certificate, key, both, directory / "issuer.pem")


def make_identities(directory: pathlib.Path) -> dict[str, Identity]:
    """`caller` and `callee`, and a `stranger` for each from an issuer nobody trusts."""
    directory.mkdir(parents=True)
    for issuer in ("issuer", "stranger-issuer"):
        _make_issuer(directory, issuer)
    identities = {role: make_identity(directory, role, "issuer") for role in ("caller", "callee")}
    for role in ("caller", "callee"):
        identities[f"stranger-{role}"] = make_identity(
            directory, role, "stranger-issuer", "stranger-")
    return identities
