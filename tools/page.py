#!/usr/bin/env python3
"""Compares a page of docs/ with what a program prints; ABIDE_WRITE=1 writes the page anew.

    tools/page.py FILE PROGRAM [OPTION...]
"""
import difflib
import os
import pathlib
import subprocess
import sys


def main():
    page, command = pathlib.Path(sys.argv[1]), sys.argv[2:]
    made = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if made.returncode:
        return made.returncode
    if os.environ.get("ABIDE_WRITE"):
        page.write_text(made.stdout)
    kept = page.read_text() if page.exists() else ""
    if kept == made.stdout:
        return 0
    lines = difflib.unified_diff(kept.splitlines(), made.stdout.splitlines(), str(page), " ".join(command), lineterm="", n=0)
    print("\n".join(list(lines)[:60]))
    print(f"{page} differs: see whether the change was meant, then ABIDE_WRITE=1 {' '.join(sys.argv)}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
