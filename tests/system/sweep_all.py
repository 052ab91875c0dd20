#!/usr/bin/env python3
"""The whole of the sweep: every call of every scenario, in several processes side by side, since a round mostly waits.

usage: tests/system/sweep_all.py [--build DIR] [--jobs 8] [--part I/N] [TEST...]

TEST is one of sweep_test.py's, such as test_failing_system_calls; --part takes one of N parts of equal size.  Ends with how many
rounds were disturbed and how many differ from their twin; the exit status is 0 only when none does.
"""
import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
FIGURES = re.compile(r"^ +\S+: (\d+) \w+, (?:killed at )?(\d+) [^,]*, (\d+) differ", re.M)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=str(HERE.parent.parent / "build/release"))
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--part", default="1/1")
    parser.add_argument("tests", nargs="*")
    args = parser.parse_args()
    part, parts = map(int, args.part.split("/"))
    env = dict(os.environ, ABIDE_BIN=str(pathlib.Path(args.build).resolve() / "bin"), ABIDE_SWEEP="full")
    namespace = ["unshare", "-pf", "--kill-child", "--mount-proc"] if os.geteuid() == 0 else []
    command = [*namespace, sys.executable, str(HERE / "harness.py"), str(HERE / "sweep_test.py"), *args.tests]
    began = time.monotonic()
    jobs = [subprocess.Popen(command, env={**env, "ABIDE_SWEEP_PART": f"{(part - 1) + parts * job + 1}/{parts * args.jobs}"},
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for job in range(args.jobs)]
    rounds = differ = failed = 0
    signal.signal(signal.SIGTERM, lambda *_: [job.kill() for job in jobs])  # with each goes all that it has started
    for job in jobs:
        output = job.communicate()[0]
        figures = FIGURES.findall(output)
        rounds += sum(int(done) for _, done, _ in figures)
        differ += sum(int(bad) for _, _, bad in figures)
        if job.returncode:
            failed += 1
            print(output, flush=True)
    print(f"{rounds} rounds, {differ} differ, {failed} of {args.jobs} processes failed ({time.monotonic() - began:.0f} s)")
    return 1 if differ or failed or not rounds else 0


if __name__ == "__main__":
    sys.exit(main())
