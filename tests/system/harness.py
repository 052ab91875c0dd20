#!/usr/bin/env python3
"""What the system tests share: an instance in a temporary project, and waiting with a bound.

Run as a program it runs the functions test_* of the given file, one instance each, and prints a line for each.
"""
import contextlib
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

BIN = pathlib.Path(os.environ.get("ABIDE_BIN", "build/release/bin"))
STEP_SECONDS = 20


class Skipped(Exception):
    """What a test asks of the machine is not there."""


def skip(why):
    raise Skipped(why)


def needs_root():
    if os.geteuid() != 0:
        skip("needs root")


def until(what, seconds=10.0, pause=0.01):
    """The first true value of what(); fails when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not true within {seconds} s: {what.__doc__ or what}")
        time.sleep(pause)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Instance:
    """A project of ours; other scopes say what is different (scopes.py)."""
    who = {}  # subprocess's user, group, env
    programs = BIN

    def command(self):
        return [str(BIN / "abide"), "-C", str(self.folder)]

    def __init__(self, toml, files=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="abide-test-"))
        os.chmod(self.folder, 0o755)
        self.config = self.folder / "abide.toml"
        self.config.write_text(toml)
        for name, text in (files or {}).items():
            path = self.folder / name
            path.write_text(text)
            path.chmod(0o755)

    def give(self):
        """All that lies in the folder becomes the user's whose instance it is."""

    def run(self, *words, timeout=STEP_SECONDS, text=True, stdin=None):
        return subprocess.run([*self.command(), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=text, timeout=timeout,
                              input=stdin, **self.who)

    def ok(self, *words, **more):
        result = self.run(*words, **more)
        assert result.returncode == 0, f"abide {' '.join(words)}: {result.returncode}\n{result.stdout}{result.stderr}"
        return result.stdout

    def up(self, *words):
        return self.run("up", "--detach", *words)

    def status(self, name):
        return next(s for s in json.loads(self.ok("status", "--json")) if s["name"] == name)

    def state(self, name):
        return self.status(name)["state"]

    def reaches(self, name, state, seconds=10):
        def there():
            return self.state(name) == state
        there.__doc__ = f"{name} is {state}"
        until(there, seconds)

    def where(self):
        return json.loads(self.ok("where", "--json"))

    def events(self):
        """The whole event log, as its files have it."""
        segments = sorted(pathlib.Path(self.where()["events"]).glob("*.jsonl"))
        return [json.loads(line) for segment in segments for line in segment.read_text().splitlines()]

    def supervisor_log(self):
        path = self.folder / ".abide/log/supervisor.log"
        return path.read_text() if path.exists() else ""

    def close(self):
        with contextlib.suppress(Exception):
            self.run("down", "--timeout", "2s")
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def instance(toml, files=None, up=True):
    one = Instance(toml, files)
    try:
        if up:
            result = one.up()
            assert result.returncode == 0, f"up: {result.returncode}\n{result.stdout}{result.stderr}{one.supervisor_log()}"
        yield one
    finally:
        one.close()


def main():
    file = pathlib.Path(sys.argv[1])
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["harness"] = sys.modules["__main__"]
    spec.loader.exec_module(module)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    failed = 0
    for name, test in list(vars(module).items()):
        if not name.startswith("test_") or (len(sys.argv) > 2 and name not in sys.argv[2:]):
            continue
        start = time.monotonic()
        try:
            test()
            print(f"ok {name} ({time.monotonic() - start:.2f} s)", flush=True)
        except Skipped as why:
            print(f"skipped {name}: {why}", flush=True)
        except BaseException:  # a test may fail in any way; the next one runs all the same
            failed += 1
            print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
