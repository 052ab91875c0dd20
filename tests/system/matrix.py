"""The matrix on real processes: a service is held at a stage, its manager is lost in some way, something happens meanwhile, a
client waits or follows.  The twin of a cell meets the same with a manager that was only stopped for that time.  Both must tell
the same.

Cells are chosen so that every pair of values stands together at least once (ABIDE_MATRIX=full: all of them).
"""
import atexit
import contextlib
import functools
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import scopes
import sweep
from harness import BIN, Instance, alive, until

# Each command says that it began, and goes on when the file NAME.go is there.
GATED = """#!/bin/sh
echo "$1 $ABIDE_RUN" | tee -a "{dir}/lines-of-$ABIDE_SERVICE"
while [ ! -e {dir}/$1.go ]; do sleep 0.02; done
echo "$1 $ABIDE_RUN done" | tee -a "{dir}/lines-of-$ABIDE_SERVICE"
"""
# The main process: ready when main.go is there; forks when it is told to.
MAIN = """#!/usr/bin/env python3
import os, signal, socket, sys, time
run = os.environ.get("ABIDE_RUN", "")
def tell(word):
    with open("{dir}/lines-of-" + os.environ["ABIDE_SERVICE"], "a") as file:
        file.write(f"{{word}} {{run}}\\n")
    print(word, run, flush=True)
def fork_once(*_):
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "600"])
def fork_twice(*_):
    if os.fork() == 0:
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "600"])
        os._exit(0)
    os.wait()
def end(*_):
    tell("main got TERM")
    while not os.path.exists("{dir}/term.go"):
        time.sleep(0.02)
    os._exit(0)
signal.signal(signal.SIGUSR1, fork_once)
signal.signal(signal.SIGUSR2, fork_twice)
signal.signal(signal.SIGTERM, end)
tell("main")
while not os.path.exists("{dir}/main.go"):
    time.sleep(0.02)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
s.send(b"READY=1")
while True:
    signal.pause()
"""
TOML = """
[project]
name = "matrix"
[services.db]
command = ["{dir}/main-of-db"]
ready = {{ notify = true }}
[services.job]
kind = "task"
command = ["{dir}/gated", "job"]
[services."{table}"]
command = ["{dir}/main"]
requires = ["db", "job:succeeded"]
ready = {{ notify = true }}
pre-start = [["{dir}/gated", "pre-start"]]
post-start = [["{dir}/gated", "post-start"]]
pre-stop = [["{dir}/gated", "pre-stop"]]
post-stop = [["{dir}/gated", "post-stop"]]
stop = {{ command = ["{dir}/gated", "stop-command"], timeout = "4s" }}
reload = {{ command = ["{dir}/gated", "reload"] }}
restart = "always"
restart-delay = {{ min = "600ms", max = "600ms", jitter = 0 }}
{more}
"""
GATES = ("db", "job", "main", "pre-start", "post-start", "pre-stop", "stop-command", "term", "post-stop", "reload", "health")
HOOKS = ("pre-start", "post-start", "pre-stop", "stop-command", "post-stop")
# More of the service, in the cells of one stage.
MORE = {"health probe": 'health = {{ exec = ["{dir}/gated", "health"], every = "100ms", timeout = "20s" }}', "created": "autostart = false"}

STAGES = ("waiting", "waiting on a job", "created", "pre-start", "main", "post-start", "ready", "health probe", "reloading", "pre-stop",
          "stop-command", "signal sent", "post-stop", "backoff")
# hang: it stands still, until it is killed for it.  An upgrade is to the same program, to one that writes a newer format, or
# from that one back.
HOWS = ("killed", "segfault", "hang", "out of memory", "twice", "upgrade", "upgrade to newer", "upgrade to older")
THENS = ("continues", "is stopped", "is restarted", "dies", "forks once", "forks twice")
# Those that ask the manager, or wait in the queue of its socket (emit); and those that follow what it and the logger write.
ASKING = ("start", "stop", "restart", "emit")
FOLLOWING = {"wait": ("wait", "NAME", "--for", "stopped"), "events -f": ("--json", "events", "-f", "--since", "start"),
             "logs -f": ("--json", "logs", "NAME", "-f", "-n", "10000")}
# Gates that are open when it stops.
STOPPING = {"pre-stop": (), "stop-command": ("pre-stop",), "post-stop": ("pre-stop", "stop-command"),
            "signal sent": ("pre-stop", "stop-command")}
CLIENTS = ("nothing", *ASKING, *FOLLOWING)
# There are no actions and no chroot sessions yet; sim/matrix.cc lists them as pending.
NAMES = ("single", "instance of several")
SCOPES = ("project", "system", "user") if os.geteuid() == 0 else ("project",)


def pairwise(*columns):
    """A short list of rows in which every pair of values of two columns stands together; greedy, always the same."""
    pairs = list(itertools.combinations(range(len(columns)), 2))
    left = {(i, a, j, b): None for i, j in pairs for a in columns[i] for b in columns[j]}  # in order
    rows = []
    while left:
        i, a, j, b = next(iter(left))
        narrow = [[a] if at == i else [b] if at == j else column for at, column in enumerate(columns)]
        best = max(itertools.product(*narrow), key=lambda row: sum((i, row[i], j, row[j]) in left for i, j in pairs))
        rows.append(best)
        for i, j in pairs:
            left.pop((i, best[i], j, best[j]), None)
    return rows


@functools.cache
def own_machine():
    atexit.register(shutil.rmtree, scopes.own_machine(), ignore_errors=True)


def instance_in(scope):
    if scope == "project":
        return Instance("")
    own_machine()
    return scopes.UserInstance() if scope == "user" else scopes.SystemInstance()


class Case:
    def __init__(self, stage, name, scope):
        self.stage = stage
        self.name = "s@1" if name == "instance of several" else "s"
        table = "s@" if name == "instance of several" else "s"
        more = MORE.get(stage, "") + ('\ninstances = ["1", "2"]' if name == "instance of several" else "")
        self.instance = instance_in(scope)
        folder = self.instance.folder
        self.folder = folder
        main = MAIN.replace("{{", "{").replace("}}", "}")
        texts = {"gated": GATED.replace("{dir}", str(folder)), "main": main.replace("{dir}", str(folder)),
                 "main-of-db": main.replace("{dir}/main.go", str(folder / "db.go")).replace("{dir}", str(folder))}
        for file, text in texts.items():
            (folder / file).write_text(text)
            (folder / file).chmod(0o755)
        toml = TOML.format(dir=folder, table=table, more=more.format(dir=folder))
        self.instance.config.write_text(toml if scope == "project" else toml.replace('[project]\nname = "matrix"\n', ""))
        self.instance.give()
        self.clients, self.follower, self.kind = [], None, "nothing"

    def close(self):
        for client in (*self.clients, *filter(None, [self.follower])):
            client.kill()
            client.communicate()
        self.open_all()
        self.instance.close()

    def open(self, gate):
        (self.folder / f"{gate}.go").touch()

    def shut(self, gate):
        with contextlib.suppress(FileNotFoundError):
            (self.folder / f"{gate}.go").unlink()

    def open_all(self):
        for gate in GATES:
            self.open(gate)

    def service(self):
        result = self.instance.run("status", "--json")
        services = json.loads(result.stdout) if result.returncode == 0 else []
        return next((s for s in services if s["name"] == self.name), {})

    def lines(self):
        path = self.folder / f"lines-of-{self.name}"
        return path.read_text().splitlines() if path.exists() else []

    def story_lines(self):
        """How often it was looked whether the service is well is chance."""
        return [line for line in self.lines() if not line.startswith("health ")]

    def begin(self, *words, output=subprocess.PIPE):
        return subprocess.Popen([*self.instance.command(), *words], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                text=True, **self.instance.who)

    def client(self, verb):
        client = self.begin(verb, "word" if verb == "emit" else self.name)
        self.clients.append(client)
        return client

    def follow(self):
        words = (self.name if word == "NAME" else word for word in FOLLOWING[self.kind])
        with open(self.folder / "followed", "w") as output:
            self.follower = self.begin(*words, output=output)

    def add_client(self, kind):
        self.kind = kind
        if kind in FOLLOWING:
            self.follow()
        elif kind in ASKING and kind != "emit":
            self.client(kind)
        time.sleep(0 if kind == "nothing" else 0.15)

    def reach(self):
        """Brings the service to its stage, where a gate holds it."""
        stage = self.stage
        shut = {"waiting": ("db",), "waiting on a job": ("job",), "pre-start": ("pre-start",), "main": ("main",),
                "post-start": ("post-start",), "signal sent": ("term",), "health probe": ("health",), "reloading": ("reload",)}
        for gate in GATES:
            if gate not in shut.get(stage, ()) and gate not in ("pre-stop", "stop-command", "post-stop", "reload"):
                self.open(gate)
        self.clients.append(self.begin("up", "--detach"))
        until(lambda: self.instance.run("status").returncode == 0, 10)
        if stage in ("pre-start", "main", "post-start") or stage.startswith("waiting"):
            return self.wait_for()
        if stage == "created":
            assert self.clients[0].wait(20) == 0, self.clients[0].communicate()
            assert self.instance.run("create", self.name).returncode == 0
            return self.wait_for()
        until(lambda: self.service().get("state") == "running", 10)
        if stage == "reloading":
            self.client("reload")
        elif stage in STOPPING:
            for gate in STOPPING[stage]:
                self.open(gate)
            self.client("stop")
        elif stage == "backoff":
            self.open("post-stop")
            for _ in range(2):
                pid = self.service()["pid"]
                os.kill(pid, signal.SIGKILL)
                until(lambda pid=pid: self.service().get("pid") != pid, 10)
                if self.service().get("state") != "backoff":
                    until(lambda: self.service().get("state") in ("running", "backoff"), 10)
        return self.wait_for()

    def is_there(self):
        state, began = self.service().get("state"), {line.split()[0] for line in self.lines() if not line.endswith("done")}
        if self.stage in HOOKS:
            return self.stage in began
        marks = {"main": "main 1", "health probe": "health 1", "signal sent": "main got TERM 1"}
        if self.stage in marks:
            return marks[self.stage] in self.lines()
        return state == {"ready": "running", "waiting on a job": "waiting"}.get(self.stage, self.stage)

    def wait_for(self):
        def there():
            return self.is_there()
        there.__doc__ = f"{self.name} is at {self.stage}: {self.service()}"
        until(there, 10)

    # ---- the gap ----------------------------------------------------------------------------------------------------

    def victim(self):
        """The process that the stage is about: the hook that waits at its gate, else the main process."""
        hook, main = None, None
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                names = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                if b"ABIDE_SERVICE=" + self.name.encode() not in names or not alive(int(pid)):
                    continue
                if any(word.endswith(b"/gated") for word in words):
                    hook = int(pid)
                elif any(word.endswith(b"/main") for word in words):
                    main = int(pid)
        return hook, main

    def meanwhile(self, then):
        hook, main = self.victim()
        if self.kind == "emit":
            self.client("emit")
        if then in ("is stopped", "is restarted"):
            self.client({"is stopped": "stop", "is restarted": "restart"}[then])
            time.sleep(0.1)  # it has connected, and waits in the queue of the socket
        elif then == "dies" and (hook or main):
            os.kill(hook or main, signal.SIGKILL)
        elif then.startswith("forks") and main:
            os.kill(main, signal.SIGUSR1 if then == "forks once" else signal.SIGUSR2)
        time.sleep(0.1)

    def interrupt(self, how, then, loses):
        where = self.instance.where()
        manager, anchor = where["manager_pid"], where["anchor_pid"]
        if not loses:  # the twin
            os.kill(manager, signal.SIGSTOP)
            self.meanwhile(then)
            os.kill(manager, signal.SIGCONT)
            return
        if how.startswith("upgrade"):
            target = ("--to", str(self.next_program())) if how == "upgrade to newer" else ("--to", str(self.program()))
            upgrade = self.begin("upgrade", *target, "--probation", "100ms")
            self.meanwhile(then)
            told, _ = upgrade.communicate(timeout=30)
            assert upgrade.returncode == 0, f"upgrade: {upgrade.returncode} {told}"
            return
        if how == "out of memory":
            self.exhaust(manager, then)
        elif how == "hang":
            os.kill(manager, signal.SIGSTOP)
            self.meanwhile(then)
            os.kill(manager, signal.SIGKILL)
        else:
            os.kill(anchor, signal.SIGSTOP)  # so that the next one does not come before all has happened
            os.kill(manager, signal.SIGSEGV if how == "segfault" else signal.SIGKILL)
            self.meanwhile(then)
            os.kill(anchor, signal.SIGCONT)
        until(lambda: self.where_manager() not in (None, manager), 10)
        if how == "twice":
            second = self.where_manager()
            os.kill(second, signal.SIGKILL)
            until(lambda: self.where_manager() not in (None, second), 10)

    def exhaust(self, manager, then):
        """There is no memory for the next thing that it has to do."""
        meanwhile = self.meanwhile
        for _ in range(10):
            stepper = sweep.Stepper(manager, "nomem-from", 1)
            meanwhile(then)
            self.instance.run("status")  # if nothing else comes
            stepper.end(1)
            if not alive(manager):
                return
            # It came to rest in between and gave back its code, and the breakpoints with it.
            meanwhile = lambda then: None

    def program(self):
        return self.instance.programs

    def next_program(self):
        path = self.folder / "abide-manager-next"
        if not path.exists():
            shutil.copy(BIN / "abide-manager-next", path)
        return path

    def where_manager(self):
        result = self.instance.run("where", "--json")
        return json.loads(result.stdout)["manager_pid"] if result.returncode == 0 else None

    def story(self):
        """Gates open, everything comes to rest; then what was seen."""
        self.open_all()
        codes = []
        for client in self.clients:
            client.communicate(timeout=15)
            codes.append(client.returncode)
        quiet, last, end = 0, None, time.monotonic() + 15
        while quiet < 6 and time.monotonic() < end:
            service = self.service()
            now = (service.get("state"), service.get("run"), self.story_lines())
            rest = service.get("state") in ("running", "inactive", "failed", "completed", "created")
            quiet = quiet + 1 if rest and now == last else 0
            last = now
            time.sleep(0.05)
        service = self.service()
        last_exit = service.get("last_exit") or {}
        return {"lines": self.story_lines(), "state": service.get("state"), "want": service.get("want"), "run": service.get("run"),
                "restarts": service.get("restarts"), "last_exit": last_exit.get("signal", last_exit.get("code")),
                "clients": codes, "rest": quiet >= 6, "told": self.told()}

    # ---- what emit, wait and those that follow were told, in words that a cell and its twin share -----------------------

    def logged(self):
        """The event log, as its files have it."""
        lines = []
        for file in sorted(pathlib.Path(self.instance.where()["events"]).glob("*.jsonl")):
            lines += file.read_text().splitlines()
        return lines

    def followed(self):
        return (self.folder / "followed").read_text().splitlines()

    def told(self):
        if self.kind == "emit":
            return [json.loads(line)["type"] for line in self.logged() if ".user." in line]
        if self.kind == "wait":
            return self.told_waiter()
        if self.kind == "events -f":
            return self.told_events()
        if self.kind == "logs -f":
            return self.told_lines()
        return None

    def told_waiter(self):
        """What it waits for comes at last; a waiter that is gone has had its answer before."""
        assert self.instance.run("stop", self.name).returncode == 0
        assert self.follower.wait(15) == 0, self.followed()
        first = next(line for line in self.followed() if self.name in line)
        return [word for word in first.split() if not word[0].isdigit()]

    def told_events(self):
        assert self.instance.run("emit", "last").returncode == 0
        until(lambda: any('"abide.user.last"' in line for line in self.followed()), 10)
        seen, written = self.followed(), self.logged()
        numbers = [int(json.loads(line)["id"]) for line in seen]
        if numbers != list(range(1, len(numbers) + 1)):
            return f"events have holes or doubles: {numbers}"
        return "all, once" if seen == written[:len(seen)] else "not what the log has"

    def told_lines(self):
        def seen():
            return [json.loads(line)["text"] for line in self.followed()]
        with contextlib.suppress(AssertionError):
            until(lambda: len(seen()) >= len(self.lines()), 5)
        time.sleep(0.1)
        # A hook and the main process write at the same time: into the file in one order, perhaps, into the pipe in another.
        return "all, once" if sorted(seen()) == sorted(self.lines()) else f"lines: {seen()}, written: {self.lines()}"


def live(stage, how, then, client, name, scope, loses):
    case = Case(stage, name, scope)
    try:
        case.reach()
        if how == "upgrade to older":
            assert case.instance.run("upgrade", "--to", str(case.next_program()), "--probation", "0s").returncode == 0
        case.add_client(client)
        case.interrupt(how, then, loses)
        return case.story()
    finally:
        case.close()


def judge(row):
    """Why the cell differs from its twin; None when it does not."""
    one, twin = live(*row, True), live(*row, False)
    if one == twin:
        return None
    return "; ".join(f"{key}: {one[key]}, its twin: {twin[key]}" for key in one if one[key] != twin[key])


def rows():
    if os.environ.get("ABIDE_MATRIX") == "full":
        return list(itertools.product(STAGES, HOWS, THENS, CLIENTS, NAMES, SCOPES))
    return pairwise(STAGES, HOWS, THENS, CLIENTS, NAMES, SCOPES)


def draw_of():
    return random.Random(int(os.environ.get("ABIDE_SWEEP_SEED", "1")))
