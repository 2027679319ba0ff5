"""Experiments with failing endpoints: callers and endpoints as processes of their own, what can happen
to an endpoint, and what follows from what callers and endpoints saw.

The end-to-end tests hold our proxy to numbers with these; `__main__.py` compares it with Envoy.
"""

import os
import sys

sys.path.insert(
    0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "deploy", "lib"))
