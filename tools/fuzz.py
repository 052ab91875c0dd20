#!/usr/bin/env python3
"""Runs the fuzz targets of a build tree of the preset `fuzz`, two at a time, each for some seconds.

    tools/fuzz.py BUILD [--seconds N] [TARGET...]

What is found on the way stays in BUILD/found/TARGET and is where the next run begins; an input that breaks a target
is put into BUILD/broken/ and shown by its name.  To keep one: copy it to tests/fuzz/corpus/TARGET.
Ends with `N passed, N failed`.
"""
import argparse
import concurrent.futures
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests/fuzz/corpus"
SEEDS = {"config": [ROOT / "tests/fixtures/config"]}


def run(program, build, seconds):
    target = program.name.removeprefix("fuzz_")
    found, broken = build / "found" / target, build / "broken"
    found.mkdir(parents=True, exist_ok=True)
    broken.mkdir(exist_ok=True)
    # -timeout: an input that takes ten seconds hangs the manager as well.
    command = [program, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2560", "-print_final_stats=1",
               f"-artifact_prefix={broken}/{target}-", found, CORPUS / target, *SEEDS.get(target, [])]
    try:
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=seconds + 120, errors="replace", cwd=build)
        return target, done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        return target, 1, str(late)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("targets", nargs="*")
    options = parser.parse_args()
    build = options.build.resolve()
    programs = sorted(p for p in (build / "bin").glob("fuzz_*") if p.is_file())
    if options.targets:
        programs = [p for p in programs if p.name.removeprefix("fuzz_") in options.targets]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for target, status, output in pool.map(lambda p: run(p, build, options.seconds), programs):
            runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", output)
            print(f"{'ok  ' if status == 0 else 'FAIL'} {target}: {runs.group(1) if runs else 0} inputs", flush=True)
            if status != 0:
                print(output[-6000:])
            passed, failed = passed + (status == 0), failed + (status != 0)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
