#!/usr/bin/env python3
"""Puts each bug of tests/mutations/list.txt into a copy of the tree and demands that the core tests or the simulator fail.

usage: tools/mutate.py [--only NAME] [--seeds N]
Builds in build/mutations; the checkout is never changed.  Exits 0 when every bug was caught.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def mutations():
    text = (ROOT / "tests/mutations/list.txt").read_text()
    for block in text.split("\n\n"):
        lines = [l for l in block.splitlines() if not l.startswith("#")]
        if len(lines) < 3:
            continue
        old = "\n".join(l[1:] for l in lines[2:] if l.startswith("-"))
        new = "\n".join(l[1:] for l in lines[2:] if l.startswith("+"))
        yield lines[0], lines[1], old, new


def run(command, **kwargs):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only")
    parser.add_argument("--seeds", default="3000")
    args = parser.parse_args()
    tree = ROOT / "build/mutations/tree"
    build = ROOT / "build/mutations/build"
    shutil.rmtree(tree, ignore_errors=True)
    keep = shutil.ignore_patterns("build", ".git", ".abide")
    shutil.copytree(ROOT, tree, ignore=keep)
    configure = run(["cmake", "-S", tree, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"])
    if configure.returncode:
        sys.exit(configure.stdout)
    caught, missed = 0, []
    for name, file, old, new in mutations():
        if args.only and name != args.only:
            continue
        path = tree / file
        original = path.read_text()
        if original.count(old) != 1:
            sys.exit(f"mutate.py: {name}: its text stands {original.count(old)} times in {file}; mend tests/mutations/list.txt")
        path.write_text(original.replace(old, new))
        made = run(["cmake", "--build", build, "-j2", "--target", "unit_core", "abide-sim"])
        if made.returncode:
            path.write_text(original)
            sys.exit(f"mutate.py: {name} does not compile:\n{made.stdout[-3000:]}")
        by = ""
        for label, command in (("unit.core", [build / "unit_core" if (build / "unit_core").exists() else build / "bin/unit_core"]),
                               ("simulator", [build / "bin/abide-sim", "--seeds", args.seeds, "--seconds", "30"])):
            try:
                result = run([str(c) for c in command], timeout=120)
                if result.returncode != 0:
                    by = label
                    break
            except subprocess.TimeoutExpired:
                by = label + " (time)"
                break
        path.write_text(original)
        print(f"{'caught' if by else 'MISSED'}  {name}  {by}", flush=True)
        if by:
            caught += 1
        else:
            missed.append(name)
    print(f"{caught} caught, {len(missed)} missed")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
