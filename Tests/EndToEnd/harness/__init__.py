"""What the end-to-end tests share: a controllable application, a byte-exact client, certificates,
and the test case that starts proxies and stops them. Processes come from deploy/lib/localmesh,
endpoints that fail and callers in an open loop from Tests/Benchmarks/resilience."""

import os
import sys

_ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
for _directory in ("deploy/lib", "Tests/Benchmarks"):
    sys.path.insert(0, os.path.join(_ROOT, _directory))
