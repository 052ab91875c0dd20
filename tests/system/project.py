"""A project folder with its instance, for the tests that are whole stories: each is one script, which ends with status 0 only
when all it asked was seen.  It runs in a pid namespace of its own, so that nothing of it outlives it.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("ABIDE_BIN", ROOT / "build" / "release" / "bin")).resolve()
LIMIT_S = int(os.environ.get("ABIDE_TEST_LIMIT", "90"))


def isolate():
    """Runs this script again in a pid namespace of its own, with a bound on its time."""
    if os.environ.get("ABIDE_TEST_ISOLATED"):
        return
    environment = dict(os.environ, ABIDE_TEST_ISOLATED="1")
    command = ["timeout", "-s", "KILL", str(LIMIT_S), "unshare", "-pf", "--kill-child", "--mount-proc",
               sys.executable, *sys.argv]
    sys.exit(subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False).returncode)


def check(condition, what):
    if not condition:
        raise AssertionError(what)
    print("ok   " + what, flush=True)


def until(question, what, seconds=10.0):
    """Waits until question() is true; its value is returned."""
    end = time.monotonic() + seconds
    while True:
        value = question()
        if value:
            print("ok   " + what, flush=True)
            return value
        if time.monotonic() > end:
            raise AssertionError("not in time: " + what)
        time.sleep(0.02)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


class Project:
    """A project folder with an abide.toml and its instance, which is gone when the `with` block ends."""

    def __init__(self, toml, files=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="abide-test-"))
        os.chmod(self.folder, 0o755)
        for name, content in (files or {}).items():
            path = self.folder / name
            path.write_text(content)
            path.chmod(0o755)
        self.configure(toml)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(self.run("status").stdout)
            for line in self.supervisor_log().splitlines()[-20:]:
                print("supervisor: " + line)
        self.run("down", "--timeout", "2s", seconds=15)
        shutil.rmtree(self.folder, ignore_errors=True)

    def configure(self, toml):
        (self.folder / "abide.toml").write_text(toml.replace("{dir}", str(self.folder)))

    def command(self):
        return [str(BIN / "abide"), "-C", str(self.folder)]

    def run(self, *words, seconds=30):
        command = [*self.command(), *words]
        try:
            return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", "did not answer in time")

    def ok(self, *words, seconds=30):
        done = self.run(*words, seconds=seconds)
        check(done.returncode == 0, " ".join(words) + (f" ({done.stderr.strip()})" if done.returncode else ""))
        return done.stdout

    def status(self, name=None):
        done = self.run("status", "--json")
        if done.returncode != 0:
            return [] if name is None else {}
        services = json.loads(done.stdout)
        if name is None:
            return services
        return next((one for one in services if one["name"] == name), {})

    def where(self):
        done = self.run("where", "--json")
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def is_state(self, name, *states):
        return lambda: self.status(name).get("state") in states

    def supervisor_log(self):
        try:
            return (self.folder / ".abide" / "log" / "supervisor.log").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def events(self):
        lines = []
        for segment in sorted(pathlib.Path(self.where()["events"]).glob("*.jsonl")):
            lines += [json.loads(line) for line in segment.read_text().splitlines() if line]
        return lines
