"""Certificates by the `openssl` command: good ones for static proxies, and every bad kind."""

import datetime
import json
import os
import subprocess

_CONFIGURATION = """
[ca]
default_ca = this
[this]
dir = {directory}
database = {directory}/index.txt
new_certs_dir = {directory}
rand_serial = yes
default_md = sha256
unique_subject = no
policy = anything
[anything]
commonName = optional
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = {usages}
subjectAltName = {names}
"""


def _openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"openssl {' '.join(arguments)}:\n{done.stderr}")


class Certificate:
    """Paths of a certificate (chain) and its private key."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key


class Authority:
    """A root that issues leaves for one trust domain."""

    def __init__(self, directory, trust_domain="mesh.internal", name="root"):
        self._open(directory, trust_domain, name)
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", self._key, "-out", self.bundle, "-days", "2", "-subj", f"/CN={name}",
            "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-addext", f"subjectAltName=URI:spiffe://{trust_domain}")

    @classmethod
    def of_controller(cls, directory, data):
        """The issuing half of a controller's authority, from its data directory."""
        with open(os.path.join(data, "authority.json")) as file:
            state = json.load(file)
        self = cls.__new__(cls)
        self._open(directory, state["trustDomain"], "stolen")
        for path, text in ((self.bundle, state["issuer"]["certificate"]),
                           (self._key, state["issuer"]["key"])):
            with open(path, "w") as file:
                file.write(text + "\n")
        return self

    def _open(self, directory, trust_domain, name):
        self.trust_domain = trust_domain
        self._directory = os.path.join(directory, f"authority-{name}")
        os.mkdir(self._directory)
        open(self._file("index.txt"), "w").close()
        self.bundle, self._key = self._file("root.pem"), self._file("root.key")

    def _file(self, name):
        return os.path.join(self._directory, name)

    def spiffe_id(self, workload, namespace="default"):
        return f"spiffe://{self.trust_domain}/ns/{namespace}/sa/{workload}"

    def issue(self, workload, file=None, names=None, usages="serverAuth, clientAuth",
              begins=-3600, ends=86400):
        """A leaf valid from `begins` to `ends` seconds from now."""
        file = file or workload
        key, request, leaf = (self._file(file + end) for end in (".key", ".csr", ".pem"))
        configuration = self._file(file + ".cnf")
        with open(configuration, "w") as text:
            text.write(_CONFIGURATION.format(
                directory=self._directory, usages=usages,
                names=names or f"URI:{self.spiffe_id(workload)}"))
        _openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", request, "-subj", f"/CN={file}")
        now = datetime.datetime.now(datetime.timezone.utc)
        dates = [(now + datetime.timedelta(seconds=offset)).strftime("%Y%m%d%H%M%SZ")
                 for offset in (begins, ends)]
        _openssl(
            "ca", "-batch", "-notext", "-config", configuration, "-extensions", "leaf",
            "-cert", self.bundle, "-keyfile", self._key, "-in", request, "-out", leaf,
            "-startdate", dates[0], "-enddate", dates[1])
        return Certificate(leaf, key)

    def issue_chain(self, *arguments, **named):
        """A leaf followed by our own certificate, for when that is not the root."""
        issued = self.issue(*arguments, **named)
        with open(self.bundle) as ours, open(issued.certificate, "a") as chain:
            chain.write(ours.read())
        return issued
