"""The same thing very often: calls while the manager is replaced again and again, and what the anchor needs meanwhile.

ABIDE_CALLS=1000000 ABIDE_CALL_UPGRADES=1000 is what is promised; without them it takes some seconds."""
import json
import multiprocessing
import os
import pathlib
import random
import signal
import socket
import subprocess
import time

from harness import BIN, instance, until

CALLS = int(os.environ.get("ABIDE_CALLS", "20000"))
UPGRADES = int(os.environ.get("ABIDE_CALL_UPGRADES", str(max(10, CALLS // 1000))))
SEED = int(os.environ.get("ABIDE_TEST_SEED", "1"))
CALLERS = 3
PATIENCE_SECONDS = 20
ANCHOR_KIB = 400
TOML = '[project]\nname = "endures"\n' + "".join(f"""
[services.c{i}]
command = ["sleep", "1000"]
log = "none"
stop = {{ signal = "KILL" }}
""" for i in range(CALLERS))


class Caller:
    """One client: keeps a connection, and makes a call again when its manager left before the answer, as `abide` does.  What changes
    something has a name, so that the second time is the first."""

    def __init__(self, path, number):
        self.path, self.number, self.socket = path, number, None
        self.made = self.repeated = self.pairs = self.starts = 0
        self.failures, self.longest = [], 0.0

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def once(self, message):
        """The reply, or None when the connection ended before it."""
        if self.socket is None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE_SECONDS)
            self.socket.connect(self.path)  # the anchor has the listening socket: never refused
        reply = b""
        try:
            self.socket.sendall(message)
            while not reply.endswith(b"\0"):
                piece = self.socket.recv(65536)
                if not piece:
                    raise ConnectionResetError
                reply += piece
        except (ConnectionResetError, BrokenPipeError):
            self.close()
            return None
        return reply

    def call(self, method, parameters, expected):
        message = json.dumps({"method": f"io.abide.Control.{method}", "parameters": parameters}).encode() + b"\0"
        began = time.monotonic()
        try:
            while (reply := self.once(message)) is None:
                self.repeated += 1
        except OSError as error:
            self.close()
            reply = repr(error).encode()
        self.longest = max(self.longest, time.monotonic() - began)
        self.made += 1
        if expected not in reply:
            self.failures.append(f"{method} {parameters}: {reply[:300]}")

    def work(self, calls, over):
        draw = random.Random(SEED * 1000 + self.number)
        name = f"c{self.number}"
        others = [f"c{i}" for i in range(CALLERS)]
        while (self.made < calls or not over.is_set()) and len(self.failures) < 10:
            kind = draw.random()
            if kind < 0.1:
                self.close()  # the next call comes on a new connection
            if kind < 0.96:
                self.call("Status", {"names": [draw.choice(others)]}, b'"services":[{')
                continue
            verb, self.pairs = ("Start", self.pairs + 1) if self.starts else ("Stop", self.pairs)
            self.starts = not self.starts
            self.call(verb, {"names": [name], "request": f"{name}-{self.made}"}, b'"outcome":"done"')
        if self.starts:
            self.call("Start", {"names": [name]}, b'"outcome":"done"')
            self.pairs += 1


def run_caller(path, number, calls, over, results):
    caller = Caller(path, number)
    caller.work(calls, over)
    results.put((number, caller.made, caller.repeated, caller.pairs, caller.failures, caller.longest))


def test_no_call_fails_while_the_manager_is_replaced():
    with instance(TOML) as one:
        until(lambda: all(s["state"] == "running" for s in json.loads(one.ok("status", "--json"))))
        path = one.where()["control"]
        over, results = multiprocessing.Event(), multiprocessing.Queue()
        callers = [multiprocessing.Process(target=run_caller, args=(path, i, -(-CALLS // CALLERS), over, results))
                   for i in range(CALLERS)]
        began = time.monotonic()
        for caller in callers:
            caller.start()
        refused = []
        for _ in range(UPGRADES):
            done = subprocess.run([str(BIN / "abide"), "-C", str(one.folder), "upgrade", "--probation", "0s"],
                                  capture_output=True, text=True, timeout=60)
            if done.returncode != 0:
                refused.append(done.stderr)
        over.set()
        told = [results.get(timeout=600) for _ in callers]
        for caller in callers:
            caller.join()
        failures = [line for entry in told for line in entry[4]]
        print(f"{sum(entry[1] for entry in told)} calls over {UPGRADES} upgrades in {time.monotonic() - began:.0f} s: "
              f"{len(failures)} failed, {sum(entry[2] for entry in told)} asked again, longest {max(e[5] for e in told) * 1000:.0f} ms")
        assert not failures and not refused, (failures[:5], refused[:5])
        assert sum(entry[1] for entry in told) >= CALLS
        # Each stop and each start happened once, however often it was asked for.
        for number, _, _, pairs, _, _ in told:
            assert one.status(f"c{number}")["run"] == 1 + pairs, (one.status(f"c{number}"), pairs)


def kib_of(pid, *names):
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return [int(line.split()[1]) for name in names for line in lines if line.startswith(name + ":")]


def test_the_anchor_stays_small():
    count = 150
    many = "".join(f'[services.m{i}]\ncommand = ["sleep", "1000"]\n' for i in range(count))  # each with a log pipe
    with instance("[project]\nname = \"small\"\n" + many) as one:
        until(lambda: sum(s["state"] == "running" for s in json.loads(one.ok("status", "--json"))) == count, 30)
        anchor = one.where()["anchor_pid"]
        for _ in range(5):
            os.kill(one.where()["manager_pid"], signal.SIGKILL)
            one.ok("status")
        one.ok("upgrade", "--probation", "0s", timeout=30)
        resident, proportional = kib_of(anchor, "Rss", "Pss")
        print(f"{count} services: the anchor has {resident} KiB resident, {proportional} KiB of its own share")
        assert resident <= ANCHOR_KIB
