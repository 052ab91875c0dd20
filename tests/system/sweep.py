"""The kill sweep: the manager is killed at a system call of a scenario, or that call fails, and afterwards everything is as if
nothing had happened.  Each scenario runs undisturbed first (the twin), then once for each chosen call.

    tests/system/run.py --build BUILD sweep         a seeded sample (ABIDE_SWEEP_SEED, ABIDE_SWEEP_SECONDS)
    ABIDE_SWEEP=full tests/system/run.py sweep      every call of every scenario, and every kind of failure: half an hour
"""
import collections
import contextlib
import errno
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import time

from harness import BIN, Instance, alive, until

STEP = BIN / "abide-step"
SETTLE_SECONDS = 15
ERRORS = ("EINTR", "EAGAIN", "EMFILE", "ENOMEM", "ENOSPC", "EIO", "ENOSYS", "EPERM")

# Short deadlines: a TERM of which nobody knows whether it was given costs a second, not ten.
TOML = """
[project]
name = "sweep"
[services.db]
command = "sleep 1000"
[services.api]
command = "sleep 1000"
requires = ["db"]
pre-start = [["sh", "-c", "echo pre >> {dir}/lines"]]
post-stop = [["sh", "-c", "echo post >> {dir}/lines"]]
stop = { timeout = "1s" }
reload = { signal = "CONT" }
restart = "always"
restart-delay = "20ms"
restart-limit = { count = 10000, within = "60s" }
[services.word]
command = ["sh", "-c", "exec ./ready"]
ready = { notify = true }
stop = { timeout = "1s" }
autostart = false
[services.talk]
command = ["sh", "-c", "echo hello; echo >&3; exec sleep 1000"]
ready = { fd = 3 }
stop = { timeout = "1s" }
[services.held]
command = "sleep 1000"
stop = { timeout = "1s" }
autostart = false
[services.probed]
command = "sleep 1000"
ready = { exec = ["true"] }
stop = { timeout = "1s" }
autostart = false
[services.keeper]
command = ["sh", "-c", "exec ./keep >> {dir}/lines"]
ready = { notify = true }
fd-store-max = 1
stop = { timeout = "1s" }
autostart = false
[services.job]
kind = "task"
command = ["sh", "-c", "echo job >> {dir}/lines; exit 0"]
description = "one"
autostart = false
"""
READY = """#!/usr/bin/env python3
import os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
s.send(b"READY=1")
time.sleep(1000)
"""
# Stores a descriptor when it has none.
KEEP = """#!/usr/bin/env python3
import array, os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
print("has" + os.environ.get("LISTEN_FDS", "0"), flush=True)
if "LISTEN_FDS" not in os.environ:
    s.sendmsg([b"FDSTORE=1\\nFDNAME=one"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [os.memfd_create("one")]))])
s.send(b"READY=1")
time.sleep(1000)
"""
ADDED = """[services.added]
command = "sleep 1000"
"""


def start_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rsplit(")", 1)[1].split()[1])
    except OSError:
        return None


def at_rest(what):
    """The value of what(), once it stays the same: groups of what is over are removed some 50 ms later."""
    before, end = None, time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < end and before != (before := what()):
        time.sleep(0.2)
    return before


def descriptors_of(pid):
    """How many of each kind: {"pipe": 3, "socket": 2, ...}."""
    kinds = collections.Counter()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            kinds[re.sub(r":?\[\d+\]| \(deleted\)|\d+", "", os.readlink(f"/proc/{pid}/fd/{fd}"))] += 1
    return dict(sorted(kinds.items()))


def mains_of(name):
    """Processes with the service's name in their environment whose parent is the anchor, hooks aside."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if b"ABIDE_SERVICE=" + name.encode() in environment and alive(pid):
                found.append(int(pid))
    return found


class World:
    """One instance, and what can be seen of it from outside."""

    def __init__(self, more="", files=None):
        self.instance = Instance("", {"ready": READY, "keep": KEEP, "added.toml": ADDED, **(files or {})})
        self.instance.config.write_text((TOML + more).replace("{dir}", str(self.instance.folder)))
        result = self.instance.up()
        assert result.returncode == 0, result.stdout + result.stderr + self.instance.supervisor_log()
        self.used = 0

    def close(self):
        self.instance.close()

    def services(self):
        result = self.instance.run("status", "--json")
        return {s["name"]: s for s in json.loads(result.stdout)} if result.returncode == 0 else {}

    def manager(self):
        return self.instance.where()["manager_pid"]

    def logger(self):
        """One that died young is started again after a pause."""
        return until(lambda: next((pid for pid in [self.instance.where()["logger_pid"]] if pid and alive(pid)), None))

    def anchor(self):
        return self.instance.where()["anchor_pid"]

    def said(self):
        """What `talk` wrote, in the files of its log."""
        folder = pathlib.Path(self.instance.where()["log"])
        return sum(file.read_bytes().count(b"hello") for file in folder.rglob("*") if file.is_file() and "talk" in str(file))

    def held(self):
        """What is held for those that run: descriptors of anchor and logger, control groups, sockets, children.  At rest, so much
        and no more."""
        self.settled()
        where = self.instance.where()
        anchor = where["anchor_pid"]
        groups = next((line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2"), None)
        own = next((line[3:].strip() for line in open(f"/proc/{where['manager_pid']}/cgroup") if line.startswith("0::")), "")
        home = os.path.dirname(own) if groups and own.count("/") > 1 else None
        # Once it has rung for the manager, it keeps the doorbell and what it is asked by.
        logger = {name: count for name, count in descriptors_of(self.logger()).items()
                  if count > 1 or not name.endswith(("/events/doorbell", "[eventfd]"))}
        return {"anchor": descriptors_of(anchor), "logger": logger,
                "groups": at_rest(lambda: sum(len(folders) for _, folders, _ in os.walk(groups + home)) if home else 0),
                "notify": len(os.listdir(where["runtime"] + "/notify")),
                "children": sum(parent_of(pid) == anchor for pid in filter(str.isdigit, os.listdir("/proc")))}

    def lines(self):
        path = self.instance.folder / "lines"
        return path.read_text().split() if path.exists() else []

    def emitted(self):
        return sum(event["type"] == "abide.user.sweep" for event in self.instance.events())

    def settled(self):
        """Everything rests where it is wanted, and processes and status agree: a manager that came back answers from the journal
        before it has looked at the processes."""
        end = time.monotonic() + SETTLE_SECONDS
        services, good = {}, 0
        while time.monotonic() < end:
            services = self.services()
            rest = services and all(
                s["state"] in ("running", "created", "completed", "failed") if s["want"] == "up" else s["state"] in ("inactive", "completed", "failed")
                for s in services.values()) and all(alive(s["pid"]) for s in services.values() if s.get("pid"))
            good = good + 1 if rest else 0
            if good == 2:
                return services
            time.sleep(0.01)
        raise AssertionError(f"does not come to rest: { {n: (s['want'], s['state'], s.get('stage')) for n, s in services.items()} }")

    def snapshot(self):
        services = self.settled()
        return {"services": services, "lines": self.lines(), "said": self.said(), "emitted": self.emitted(),
                "starts": {n: start_of(s["pid"]) for n, s in services.items() if s.get("pid")}}


def difference(before, after):
    """What a scenario did, in words that two rounds of it share."""
    told = {}
    for name, new in after["services"].items():
        old = before["services"].get(name)
        if old is None:
            told[name] = "new"
            continue
        same = old.get("pid") == new.get("pid") and before["starts"].get(name) == after["starts"].get(name)
        last = new.get("last_exit") or {}
        told[name] = {"state": new["state"], "want": new["want"], "runs": (new["run"] or 0) - (old["run"] or 0),
                      "process": "same" if same else "another",
                      "exit": None if same else last.get("signal", last.get("code"))}
    told["lines"] = after["lines"][len(before["lines"]):]
    told["said"] = after["said"] - before["said"]
    told["emitted"] = after["emitted"] - before["emitted"]
    return told


# ---- scenarios: what is done, and how it is undone ------------------------------------------------------------------

def restart(world):
    return world.instance.run("restart", "api")


def dies(world):
    pid = world.services()["api"]["pid"]
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 30  # managers that are killed before they are ready are started after pauses of up to 5 s
    while time.monotonic() < end:  # asked for its pid so often that the manager is busy with both
        api = world.services().get("api", {})
        if api.get("pid") not in (None, 0, pid) and api.get("state") == "running":
            break
    return None


def stop_and_start(world):
    down = world.instance.run("stop", "word")
    up = world.instance.run("start", "word")
    return down if down.returncode else up


def task(world):
    return world.instance.run("start", "job")


def talk(world):
    return world.instance.run("restart", "talk")


def reload_and_status(world):
    return world.instance.run("reload", "api")


def first_bad(answers):
    answers = list(answers)
    return next((answer for answer in answers if answer.returncode), answers[0])


def create_and_start(world):
    return first_bad(world.instance.run(verb, "held") for verb in ("create", "start", "stop"))


def pause_and_unpause(world):
    paused = world.instance.run("pause", "db")
    unpaused = world.instance.run("unpause", "db")
    return paused if paused.returncode else unpaused


def destroy_and_start(world):
    destroyed = world.instance.run("force-destroy", "word")
    up = world.instance.run("start", "word")
    return destroyed if destroyed.returncode else up


def chain(world):
    """What needs it is stopped before it, and comes after it."""
    return first_bad(world.instance.run(*words) for words in (("stop", "db"), ("start", "api")))


def probe(world):
    return first_bad(world.instance.run(verb, "probed") for verb in ("start", "stop"))


def store(world):
    return first_bad(world.instance.run(verb, "keeper") for verb in ("start", "restart", "stop"))


def add_and_remove(world):
    return first_bad(world.instance.run(*words) for words in (("add", str(world.instance.folder / "added.toml")), ("start", "added"),
                                                              ("remove", "added")))


def reload_config(world):
    text = world.instance.config.read_text()
    old, new = ("\"one\"", "\"two\"") if "\"one\"" in text else ("\"two\"", "\"one\"")
    world.instance.config.write_text(text.replace(old, new))
    return world.instance.run("reload-config")


def emit(world):
    return world.instance.run("emit", "sweep", "round=1")


def upgrade(world):
    return world.instance.run("upgrade", "--to", str(BIN), "--probation", "0s")


def nothing(world):
    return world.instance.run("status", "--json")


SCENARIOS = {"restart": restart, "dies": dies, "stop-start": stop_and_start, "task": task, "talk": talk, "reload": reload_and_status,
             "chain": chain, "probe": probe, "store": store, "add": add_and_remove, "config": reload_config,
             "create": create_and_start, "pause": pause_and_unpause, "destroy": destroy_and_start, "emit": emit, "upgrade": upgrade}


class Stepper:
    def __init__(self, pid, *words):
        self.process = subprocess.Popen([str(STEP), str(pid), *map(str, words)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline().strip() == "attached"

    def end(self, seconds=0.0):
        """(calls seen, number of the call it acted on or -1)"""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        self.process.terminate()
        self.process.wait(10)
        # Not communicate(): the line may have come with the first one, and then it is in the buffer of this file already.
        calls, number, _ = self.process.stdout.read().split()
        self.process.stdout.close()
        return int(calls), int(number)


def check_events(world):
    """Event numbers count up, without a gap or a repetition."""
    ids = [int(event["id"]) for event in world.instance.events()]
    assert all(a < b for a, b in zip(ids, ids[1:])), "event numbers do not rise"
    return ids


SIGNAL_CALLS = (62, 424)  # kill, pidfd_send_signal


def accepted(told, twin, answer, wanted, call):
    """Why this round differs from its twin in a way that is not allowed; None when all is well."""
    for name, one in services_of(told):
        other = twin[name]
        if one == other:
            continue
        # TERM is given at most once: killed in the very call, nobody knows whether it was given, and KILL follows.
        if call in SIGNAL_CALLS and {**one, "exit": 0} == {**other, "exit": 0} and one["exit"] == "KILL" and other["exit"] == "TERM":
            continue
        # The request died with the manager before anybody had read it, and its client was told so.
        if answer not in (None, wanted) and one["process"] == "same" and one["runs"] == 0:
            continue
        return f"{name}: {one}, its twin: {other}"
    if told["lines"] != twin["lines"] and not (answer not in (None, wanted) and not told["lines"]):
        return f"commands ran: {told['lines']}, its twin's: {twin['lines']}"
    if told["emitted"] != twin["emitted"] and not (answer not in (None, wanted) and not told["emitted"]):
        return f"{told['emitted']} events emitted, its twin has {twin['emitted']}"
    if told["said"] != (0 if told["talk"]["process"] == "same" else twin["said"]):
        return f"{told['said']} lines in the log, its twin has {twin['said']}"
    return None


def services_of(told):
    return [(name, one) for name, one in told.items() if name not in ("lines", "said", "emitted")]


def tolerable(told, twin, answer, wanted, _call):
    """The same for a call that failed (docs/testing.md).  A start that failed is repeated by the service's policy, a command that
    could not be started is left out, a request that failed was answered so and changed nothing; who had nothing to do with it is
    untouched, and all comes to rest where its twin did."""
    refused = answer not in (None, wanted)
    again = 0  # starts that the twin did not need
    for name, one in services_of(told):
        other = twin[name]
        if one["process"] == "same" and one["runs"] == 0 and (refused or one == other):
            continue
        if other["runs"] == 0:
            return f"{name} had nothing to do with it: {one}, its twin: {other}"
        if (one["state"], one["want"]) != (other["state"], other["want"]):
            return f"{name}: {one}, its twin: {other}"
        if not other["runs"] <= one["runs"] <= other["runs"] + 1:
            return f"{name} was started {one['runs']} times, its twin {other['runs']} times"
        again += one["runs"] - other["runs"]
        # TERM that could not be sent is followed by KILL; the last exit is of the start that failed.
        ends = (other["exit"], "KILL") if one["runs"] == other["runs"] else None
        if ends and one["exit"] not in ends:
            return f"{name} ended with {one['exit']}, its twin with {other['exit']}"
    if not (0 if refused else twin["emitted"]) <= told["emitted"] <= twin["emitted"]:
        return f"{told['emitted']} events emitted, its twin has {twin['emitted']}"
    for word in {*told["lines"], *twin["lines"]}:
        ran, other = told["lines"].count(word), twin["lines"].count(word)
        if not (0 if refused else other - 1) <= ran <= other + again:
            return f"command '{word}' ran {ran} times, its twin's {other} times"
    if not (0 if refused else twin["said"]) <= told["said"] <= twin["said"] + again:
        return f"{told['said']} lines in the log, its twin has {twin['said']}"
    return None


class Sweep:
    """Rounds of one scenario.  What is disturbed is the manager, or another `subject` of the world."""

    def __init__(self, world, name, subject=World.manager, counting="count"):
        self.subject = subject
        self.name, self.action = name, SCENARIOS[name]
        self.world = world
        self.prepare()
        before = world.snapshot()
        self.wanted = self.code(self.action(world))
        self.twin = difference(before, world.snapshot())
        self.prepare()
        stepper = Stepper(self.subject(world), counting)
        self.action(world)
        world.settled()
        self.calls, _ = stepper.end(0.2)  # what it does for itself, and the logger, come after the answer

    @staticmethod
    def code(result):
        return None if result is None else result.returncode

    def prepare(self):
        """Where each round begins: everything as after `up`, but the task has run and `word` is up."""
        for name in ("word",):
            if self.world.services().get(name, {}).get("state") != "running":
                until(lambda: self.world.instance.run("start", name).returncode == 0, 10)
        self.world.settled()

    def round(self, *words):
        """One disturbed round.  (acted on call number or -1, why it is wrong or None)"""
        world = self.world
        self.prepare()
        before = world.snapshot()
        stepper = Stepper(self.subject(world), *words)
        try:
            answer = self.code(self.action(world))
        except subprocess.TimeoutExpired as late:
            return stepper.end()[1], f"no answer: {late}"
        _, number = stepper.end(0.05 if self.subject is World.manager else 0.2)
        if self.subject is World.logger:  # what is in the pipe stays there until the next one reads it
            with contextlib.suppress(AssertionError):
                until(lambda: world.said() >= before["said"] + self.twin["said"], 3)
        with contextlib.suppress(AssertionError):  # a log that could not be written is tried again after a second
            until(lambda: world.emitted() >= before["emitted"] + self.twin["emitted"], 3)
        try:
            until(lambda: world.instance.run("status").returncode == 0, 10)
            after = world.snapshot()
        except AssertionError as late:
            return number, str(late)
        told = difference(before, after)
        judge = tolerable if words[0] == "fail" else accepted
        wrong = judge(told, self.twin, answer, self.wanted, number)
        for name in ("api", "db"):
            pid = after["services"][name].get("pid")
            if wrong is None and mains_of(name) != [pid]:
                wrong = f"{name} runs as {mains_of(name)}, status says {pid}"
        if wrong is None and before["lines"] != after["lines"][:len(before["lines"])]:
            wrong = "lines were lost"
        check_events(world)
        return number, wrong


def create_held(world):
    assert world.instance.run("create", "held").returncode == 0


def let_go(world, pid):
    """The same process goes on; then another is held."""
    started = False
    with contextlib.suppress(subprocess.TimeoutExpired):
        started = world.instance.run("start", "held", timeout=10).returncode == 0
    same = started and world.services()["held"]["pid"] == pid and pathlib.Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    if same:
        world.instance.run("stop", "held")
        create_held(world)
    return same


def recovery_round(world, *words):
    """The manager is killed, and the next one is disturbed in its recovery.  (calls, number of the one, what is not as before)"""
    before = world.snapshot()
    stepper = Stepper(world.anchor(), "child", *words)
    os.kill(world.manager(), signal.SIGKILL)
    until(lambda: world.instance.run("status").returncode == 0, 20)
    calls, number = stepper.end(0.05)
    after = world.snapshot()
    told = difference(before, after)
    wrong = [f"{n}: {one}" for n, one in services_of(told) if one == "new" or one["process"] != "same" or one["runs"] != 0]
    if told["lines"] or told["said"]:
        wrong.append(f"commands ran: {told['lines']}, and said {told['said']}")
    if json.loads(world.instance.run("generation", "--json").stdout)["rescue"]:
        wrong.append("it is rescued")
    if after["services"]["held"]["state"] == "created" and not let_go(world, after["services"]["held"]["pid"]):
        wrong.append("what was held before its exec can't be let go")
    return calls, number, "; ".join(wrong) or None


def error_number(name):
    return getattr(errno, name)


def sample(calls, count, draw):
    """The calls that are disturbed; ABIDE_SWEEP_PART=2/5 takes the second fifth of the whole, spread over all of it."""
    if count is None:
        part, parts = map(int, os.environ.get("ABIDE_SWEEP_PART", "1/1").split("/"))
        return range(part, calls + 1, parts)
    return sorted(draw.sample(range(1, calls + 1), min(count, calls)))


def draw_of():
    return random.Random(int(os.environ.get("ABIDE_SWEEP_SEED", "1")))
