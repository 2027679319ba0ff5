"""Prints how many tests passed and failed in the JUnit XML files that `swift test` wrote, and those
that failed, each on a line with what was wrong."""

import os
import sys
import xml.etree.ElementTree

#: Characters of a failure that are told; the whole is in the output of the tests.
_WORDS_MAX = 300


def count(paths):
    passed, failed = 0, []
    for path in filter(os.path.exists, paths):
        for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
            troubles = [*case.iter("failure"), *case.iter("error")]
            if troubles:
                why = " ".join((troubles[0].get("message") or troubles[0].text or "").split())
                failed.append(f"{case.get('classname')}/{case.get('name')}: {why[:_WORDS_MAX]}")
            elif case.find("skipped") is None:
                passed += 1
    return passed, failed


if __name__ == "__main__":
    passed, failed = count(sys.argv[1:])
    print(passed, len(failed), *failed, sep="\n")
