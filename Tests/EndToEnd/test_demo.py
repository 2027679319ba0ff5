"""The demo itself: whoever tries the project first sees it."""

import os
import sys

from harness.case import EndToEndCase, prebuilt
from localmesh.processes import run

_SCRIPT = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "lib", "demo.py")


class Demo(EndToEndCase):
    def test_its_whole_story_holds(self):
        def directory(program):
            return os.path.dirname(prebuilt().path(program))
        _, output, _ = run([
            sys.executable, _SCRIPT, "--once", "--proxy-binaries", directory("mesh-proxy"),
            "--control-binaries", directory("mesh-controller")], seconds=120)
        self.assertIn("no request failed", output)
        self.assertNotIn(" NO ", output)
