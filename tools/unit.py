#!/usr/bin/env python3
"""Runs the unit tests of a build tree through ctest and counts what they checked.

    tools/unit.py BUILD [CTEST-OPTION...]

A GoogleTest program counts with each of its cases, any other test with one.  A program that dies without saying which
case it was in counts as one failure.  Ends with a line `FAIL ...` for each failure, and `N passed, N failed`, and `, N
skipped` where this machine can't run some.
"""
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path


def cases(path):
    """Of a GoogleTest report: how many passed, what failed and how, and how many were skipped."""
    root = xml.parse(path).getroot()
    unable = sum(1 for case in root.iter("testcase") if case.get("result") == "skipped")
    ran = [case for case in root.iter("testcase") if case.get("result") == "completed"]
    bad = [f"{case.get('classname')}.{case.get('name')}: " + " ".join(case.find("failure").get("message", "").split())
           for case in ran if case.find("failure") is not None]
    return len(ran) - len(bad), bad, unable


def main():
    build, options = sys.argv[1], sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "ctest.xml"
        subprocess.run(["ctest", "--test-dir", build, "--output-on-failure", "--timeout", "180", "-j", "2",
                        "--output-junit", str(report), *options],
                       env={**os.environ, "GTEST_OUTPUT": f"xml:{folder}/gtest/", "GTEST_COLOR": "no"})
        passed = skipped = 0
        failed = []
        tests = list(xml.parse(report).getroot().iter("testcase")) if report.exists() else []
        for test in tests:
            name, good = test.get("name"), test.get("status") == "run"
            program = Path(folder) / "gtest" / (name.replace("unit.", "unit_") + ".xml")
            try:
                a, b, c = cases(program)
            except (OSError, xml.ParseError):
                a, b, c = int(good), [], 0
            passed, skipped = passed + a, skipped + c
            failed += [f"{name} {what}" for what in b] or ([] if good else [name])
        if not tests:
            failed.append(f"no test was found in {build}")
    for what in failed:
        print("FAIL", what)
    print(f"{passed} passed, {len(failed)} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
