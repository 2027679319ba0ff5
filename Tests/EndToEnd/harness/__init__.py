"""What the end-to-end tests share: a controllable application, a byte-exact client, certificates,
and the test case that starts proxies and stops them. Processes come from deploy/lib/localmesh."""

import os
import sys

sys.path.insert(
    0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "deploy", "lib"))
