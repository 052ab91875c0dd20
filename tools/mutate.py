#!/usr/bin/env python3
"""Puts each bug of tests/mutations/list.txt into one source file and demands that the core tests or the simulator fail.

    tools/mutate.py BUILD [--part I/N] [--seeds N] [NAME...]
    tools/mutate.py --check        only whether every bug still finds its place

BUILD is a built tree (build/release).  Only the changed file is compiled, to a folder of its own, and linked before the
rest of the tree's objects; neither the checkout nor BUILD is changed.  Two bugs at a time.  --part 2/4 takes the second
quarter of the list.  Ends with `N passed, N failed`: a bug that was caught has passed.
"""
import argparse
import concurrent.futures
import json
import pathlib
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ("unit_core", "abide-sim")
PATIENCE = 180  # seconds: a test that hangs has noticed as well


def mutations():
    text = (ROOT / "tests/mutations/list.txt").read_text()
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if len(lines) < 3:
            continue
        hunks = [[]]
        for line in lines[2:]:
            hunks.append([]) if line == "@@" else hunks[-1].append(line)
        yield lines[0], lines[1], [tuple("\n".join(line[1:] for line in hunk if line.startswith(sign)) for sign in "-+")
                                   for hunk in hunks]


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          **options)


class Tree:
    """How the built tree compiles a file and links a program, with one object put in front."""

    def __init__(self, build):
        self.build = build
        entries = json.loads((build / "compile_commands.json").read_text())
        self.compile = {e["file"]: (shlex.split(e["command"]), e["directory"]) for e in entries
                        if "/abide_core.dir/" in e["command"] or "/sim/" in e["file"]}
        self.link = {}
        for program in PROGRAMS:
            lines = run(["ninja", "-C", str(build), "-t", "commands", program]).stdout.splitlines()
            link = next(line for line in reversed(lines) if f" -o bin/{program} " in line)
            self.link[program] = [word for word in shlex.split(link) if word not in (":", "&&")]

    def object_of(self, source, text, folder):
        command, directory = self.compile[str(ROOT / source)]
        changed, made = folder / pathlib.Path(source).name, folder / "changed.o"
        changed.write_text(text)
        words = list(command)
        words[words.index("-o") + 1] = str(made)
        words[words.index("-c") + 1] = str(changed)
        words += ["-I", str(ROOT / source.rsplit("/", 1)[0]), "-w"]
        return made, run(words, cwd=directory)

    def program_of(self, program, made, folder):
        words = list(self.link[program])
        words[words.index("-o") + 1] = str(folder / program)
        first = next(i for i, word in enumerate(words) if word.endswith(".o"))
        words.insert(first, str(made))
        return run(words, cwd=self.build)


def misplaced(mutation):
    """What is wrong with where the bug goes, or None."""
    _, source, hunks = mutation
    text = (ROOT / source).read_text()
    for old, new in hunks:
        if text.count(old) != 1:
            return f"its text stands {text.count(old)} times in {source}; mend tests/mutations/list.txt"
        text = text.replace(old, new)
    return None


def check():
    wrong = [(mutation[0], trouble) for mutation in mutations() if (trouble := misplaced(mutation))]
    for name, trouble in wrong:
        print(f"{name}: {trouble}")
    print(f"{len(list(mutations())) - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


def attempt(tree, mutation, seeds):
    """(name, what caught it or None, trouble or None, seconds)"""
    name, source, hunks = mutation
    start = time.monotonic()

    def result(by=None, trouble=None):
        return name, by, trouble, time.monotonic() - start

    if trouble := misplaced(mutation):
        return result(trouble=trouble)
    text = (ROOT / source).read_text()
    for old, new in hunks:
        text = text.replace(old, new)
    folder = tree.build / "mutations" / name
    folder.mkdir(parents=True, exist_ok=True)
    made, compiled = tree.object_of(source, text, folder)
    if compiled.returncode:
        return result(trouble="does not compile:\n" + compiled.stdout[-3000:])
    for program, words in zip(PROGRAMS, ([], ["--seeds", str(seeds), "--seconds", "40"])):
        linked = tree.program_of(program, made, folder)
        if linked.returncode:
            return result(trouble="does not link:\n" + linked.stdout[-3000:])
        try:
            tested = run([str(folder / program), *words], timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return result(by=f"{program}: hangs")
        (folder / f"{program}.log").write_text(tested.stdout)
        if tested.returncode:
            told = [line for line in tested.stdout.splitlines() if "FAILED" in line or line.startswith("abide-sim:")]
            return result(by=f"{program}: {told[0].removeprefix('[  FAILED  ]').strip() if told else 'it dies'}"[:110])
    return result()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path, nargs="?")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--part", default="1/1", metavar="I/N")
    parser.add_argument("--seeds", type=int, default=3000)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    if options.check:
        return check()
    if options.build is None:
        parser.error("BUILD is missing")
    part, parts = (int(word) for word in options.part.split("/"))
    chosen = [m for m in mutations() if not options.names or m[0] in options.names]
    chosen = chosen[len(chosen) * (part - 1) // parts:len(chosen) * part // parts]
    tree = Tree(options.build.resolve())
    caught = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, by, trouble, seconds in pool.map(lambda m: attempt(tree, m, options.seeds), chosen):
            caught += by is not None
            print(f"{'caught' if by else 'MISSED'}  {name} ({seconds:.0f} s)  {by or trouble or ''}", flush=True)
    print(f"{caught} passed, {len(chosen) - caught} failed")
    return 0 if caught == len(chosen) and chosen else 1


if __name__ == "__main__":
    sys.exit(main())
