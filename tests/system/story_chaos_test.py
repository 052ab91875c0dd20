#!/usr/bin/env python3
"""The manager is killed again and again, at random instants of a start, of a life and of a stop: nothing is lost or doubled."""
import contextlib
import os
import random
import signal
import subprocess
import time

from project import Project, alive, check, isolate, until

SERVICES = 40
NOTIFY = """#!/usr/bin/env python3
import os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
s.send(b"READY=1")
time.sleep(1000)
"""


def toml():
    text = '[project]\nname = "chaos"\n'
    for i in range(SERVICES):
        text += f'[services.s{i}]\ncommand = "sleep 1000"\nrestart = "always"\n'
        text += f'pre-start = [["sh", "-c", "echo s{i} >> {{dir}}/starts"]]\n' if i % 4 == 0 else ""
        text += f'requires = ["s{i - 1}"]\n' if i % 5 == 4 else ""
    return text + '[services.word]\ncommand = "./notify"\nready = { notify = true }\nrequires = ["s0"]\n'


def kill_managers(rounds, draw):
    killed = 0
    for _ in range(rounds):
        time.sleep(draw.random() * 0.03)
        pids = subprocess.run(["pgrep", "-fx", "abide-manager"], capture_output=True, text=True, check=False).stdout.split()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
                killed += 1
    return killed


def processes_of(name, instance_words):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if b"ABIDE_SERVICE=" + name.encode() + b"\0" not in file.read() + b"\0":
                    continue
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if instance_words in file.read() and alive(pid):
                    found.append(int(pid))
        except OSError:
            continue
    return found


def test_chaos():
    seed = int(os.environ.get("ABIDE_TEST_SEED", "1"))
    draw = random.Random(seed)
    with Project(toml(), {"notify": NOTIFY}) as project:
        starting = subprocess.Popen([*project.command(), "up", "--detach"], stdin=subprocess.DEVNULL)
        check(kill_managers(25, draw) >= 3, "managers died during the start")
        until(lambda: all(one["state"] == "running" for one in project.status() or [{"state": ""}]),
              f"all run after managers died in the start (seed {seed})", 30)
        starting.wait(30)
        pids = {one["name"]: one["pid"] for one in project.status()}
        for name, pid in pids.items():
            words = b"notify" if name == "word" else b"sleep"
            check(processes_of(name, words) == [pid], f"{name} runs exactly once")
        check(len(project.run("status").stdout.splitlines()) >= SERVICES + 1, "status answers")
        lines = (project.folder / "starts").read_text().split()
        check(all(lines.count(one) >= 1 for one in (f"s{i}" for i in range(0, SERVICES, 4))), "every pre-start ran")

        for _ in range(4):
            victim = draw.choice(sorted(pids))
            os.kill(pids[victim], signal.SIGKILL)
            kill_managers(2, draw)
            until(lambda name=victim: project.status(name).get("state") == "running" and
                  project.status(name).get("pid") != pids[name], f"{victim} is back", 20)
            pids = {one["name"]: one["pid"] for one in project.status()}

        stopping = subprocess.Popen([*project.command(), "down"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        kill_managers(6, draw)
        until(lambda: not any(alive(pid) for pid in pids.values()), "all are down after managers died in the stop", 30)
        stopping.wait(30)


if __name__ == "__main__":
    isolate()
    test_chaos()
