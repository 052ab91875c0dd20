#!/usr/bin/env python3
"""Runs the system tests: real programs, real processes, each file in a pid namespace of its own, so that nothing outlives it.

usage: tests/system/run.py [--build DIR] [PATTERN...]

A test file is tests/system/NAME_test.py with functions test_*; the harness is harness.py.  What a machine can't run is told and
not counted as passed.  A file may take ABIDE_FILE_SECONDS (180).  Ends with `N passed, N failed`, and `, N skipped` if any.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
FILE_SECONDS = float(os.environ.get("ABIDE_FILE_SECONDS", "180"))
YOUNG_SECONDS = 10


def remove_groups():
    """The empty control groups of instances that a test killed; one that a test is just making is younger."""
    mount = next((line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2"), "")
    for group in pathlib.Path(mount).glob("abide-abide-test-*") if mount else []:
        try:
            if time.time() - group.stat().st_mtime < YOUNG_SECONDS or "populated 1" in (group / "cgroup.events").read_text():
                continue
            for folder, _, _ in os.walk(group, topdown=False):
                os.rmdir(folder)
        except OSError:
            pass  # somebody lives there, or it is gone


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=str(HERE.parent.parent / "build/release"))
    parser.add_argument("patterns", nargs="*")
    args = parser.parse_args()
    env = dict(os.environ, ABIDE_BIN=str(pathlib.Path(args.build).resolve() / "bin"))
    passed = failed = skipped = 0
    remove_groups()  # of an earlier run that was killed
    for file in sorted(HERE.glob("*_test.py")):
        if args.patterns and not any(p in file.name for p in args.patterns):
            continue
        start = time.monotonic()
        namespace = ["unshare", "-pf", "--kill-child", "--mount-proc"] if os.geteuid() == 0 else []
        try:
            result = subprocess.run(namespace + [sys.executable, str(HERE / "harness.py"), str(file)], env=env,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=FILE_SECONDS)
            output = result.stdout
        except subprocess.TimeoutExpired as late:
            output = (late.stdout or b"").decode(errors="replace") + f"\nFAIL {file.name}: more than {FILE_SECONDS} s\n"
        good = sum(line.startswith("ok ") for line in output.splitlines())
        bad = sum(line.startswith("FAIL ") for line in output.splitlines())
        unable = [line for line in output.splitlines() if line.startswith("skipped ")]
        if good + bad + len(unable) == 0:
            bad = 1
        print(f"{file.name}: {good} passed, {bad} failed ({time.monotonic() - start:.1f} s)", flush=True)
        if bad or args.patterns:  # who asks for a file wants to see its figures
            print(output, flush=True)
        for line in [] if bad or args.patterns else unable:
            print("  " + line, flush=True)
        passed, failed, skipped = passed + good, failed + bad, skipped + len(unable)
    remove_groups()
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed + skipped else 0


if __name__ == "__main__":
    sys.exit(main())
