"""Prints "PASSED FAILED": the sums over the JUnit XML files that `swift test` wrote."""

import os
import sys
import xml.etree.ElementTree


def count(paths):
    passed = failed = 0
    for path in filter(os.path.exists, paths):
        for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif case.find("skipped") is None:
                passed += 1
    return passed, failed


if __name__ == "__main__":
    print(*count(sys.argv[1:]))
