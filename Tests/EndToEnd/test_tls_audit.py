"""testssl.sh looks at the listener for the mesh as a stranger would."""

import json
import os
import shutil
import unittest

from harness import case
from harness.case import EndToEndCase
from localmesh.processes import run


class TLSAudit(EndToEndCase):
    @unittest.skipIf(shutil.which("testssl") is None, "testssl.sh is not installed")
    def test_the_inbound_listener_speaks_tls_1_3_and_nothing_weak(self):
        if not case.is_long:
            self.skipTest("takes minutes; runs with --long")
        authority = self.authority()
        orders = self.inbound_proxy(self.app(), authority.issue("orders"), authority)
        report = os.path.join(self.directory, "report.json")
        # Its exit status counts findings, complaints about a private authority among them.
        run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1",
             "--nodns", "none", "--openssl-timeout", "5", "--protocols", "--std", "--fs",
             "--vulnerable", "--jsonfile", report, f"127.0.0.1:{orders.port('inbound')}"],
            seconds=900, check=False)
        with open(report) as file:
            findings = {entry["id"]: entry for entry in json.load(file)}
        for version in ("SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2"):
            self.assertIn("not offered", findings[version]["finding"])
        self.assertIn("offered", findings["TLS1_3"]["finding"])
        weak = [f"{entry['id']}: {entry['finding']}" for entry in findings.values()
                if entry["severity"] in ("MEDIUM", "HIGH", "CRITICAL")]
        self.assertEqual([], weak)
        for name in ("cipherlist_NULL", "cipherlist_aNULL", "cipherlist_EXPORT", "cipherlist_LOW",
                     "cipherlist_3DES_IDEA"):
            self.assertIn("not offered", findings[name]["finding"])
        self.assertTrue(orders.is_running())
