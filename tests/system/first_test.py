"""Numbers of processes that are used again at once, and libabide as process 1: a pid namespace with a few hundred numbers, a crowd
that uses them up all the time.  No signal may reach the wrong one, no end may be told of the wrong one, none twice, none not."""
import contextlib
import json
import os
import pathlib
import subprocess
import threading
import time

from harness import BIN, instance, needs_root, skip

ROUNDS = int(os.environ.get("ABIDE_ROUNDS", "700"))
SECONDS = float(os.environ.get("ABIDE_REUSE_SECONDS", "12"))
PID_MAX = 400


def own_numbers():
    """pid_max of this namespace, which is its own since Linux 6.14."""
    needs_root()
    words = ["unshare", "-pf", "--kill-child", "--mount-proc", "sh", "-c",
             f"echo {PID_MAX} > /proc/sys/kernel/pid_max && cat /proc/sys/kernel/pid_max"]
    before = pathlib.Path("/proc/sys/kernel/pid_max").read_text()
    inside = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    after = pathlib.Path("/proc/sys/kernel/pid_max").read_text()
    if after != before:
        pathlib.Path("/proc/sys/kernel/pid_max").write_text(before)
        skip("pid_max is the whole machine's")
    if inside != str(PID_MAX):
        skip("pid_max can't be set")


def library(mode, tiers):
    own_numbers()
    for tier in tiers:
        words = ["unshare", "-pf", "--kill-child", "--mount-proc", str(BIN.resolve() / "abide-first"), tier, str(ROUNDS),
                 str(PID_MAX), mode, str(BIN.resolve() / "abide-mortal")]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60 + ROUNDS / 50,
                              check=False)
        print(f"   {mode}: {done.stdout.replace(chr(10), ' ')}")
        assert done.returncode == 0, f"{mode} {tier}: {done.returncode}\n{done.stdout}"
        words = done.stdout.split()
        assert int(words[words.index("in-use") + 1]) > ROUNDS / 2, "hardly a number was used again: this shows nothing"


def test_libabide_as_process_1():
    library("exclusive", ("exit_info", "pidfd", "sigchld"))


def test_libabide_beside_others():
    library("cooperative", ("exit_info", "pidfd", "sigchld"))


def test_libabide_while_somebody_takes_the_waits():
    library("thief", ("exit_info", "pidfd"))


QUICK = """
[services.quick{i}]
command = ["sh", "-c", "exit $((ABIDE_RUN % 50 + 1))"]
restart = "always"
restart-delay = {{ min = "1ms", max = "2ms", jitter = 0.0 }}
restart-limit = {{ count = 10000, within = "1s" }}
"""
LONG = """
[services.long{i}]
command = ["sleep", "1000"]
restart-limit = {{ count = 10000, within = "1s" }}
"""


def test_the_supervisor():
    own_numbers()
    # Only this file's own namespace, in which the runner has made us process 1.
    if os.getpid() != 1:
        skip("is for a namespace of its own (tests/system/run.py)")
    pathlib.Path("/proc/sys/kernel/pid_max").write_text(str(PID_MAX))
    toml = "".join(QUICK.format(i=i) for i in range(4)) + "".join(LONG.format(i=i) for i in range(3))
    with instance(toml) as one:
        crowd = subprocess.Popen([str(BIN / "abide-first"), "churn", str(int(SECONDS) + 1)], stdout=subprocess.PIPE, text=True)
        end = time.monotonic() + SECONDS
        asked = {"restart": 0, "kill": 0}

        def disturb(name, way):
            while time.monotonic() < end:
                if way == "restart":
                    done = one.run("restart", name)
                else:
                    done = one.run("kill", name, "--signal", "KILL")
                    time.sleep(0.01)
                asked[way] += done.returncode == 0

        hands = [threading.Thread(target=disturb, args=words) for words in
                 (("long0", "restart"), ("long1", "restart"), ("long2", "kill"))]
        for hand in hands:
            hand.start()
        while time.monotonic() < end:  # and the manager is another one again and again
            time.sleep(SECONDS / 6)
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.where()["manager_pid"], 9)
        for hand in hands:
            hand.join()
        told = crowd.communicate(timeout=30)[0].split()
        one.ok("stop", *(f"quick{i}" for i in range(4)), *(f"long{i}" for i in range(3)))
        ends, pids, late = {}, {}, []
        for event in one.events():
            if event["type"] != "abide.process.exited":
                continue
            data, name = event["data"], event["subject"]
            ends.setdefault((name, data["run"]), []).append(data["exit"])
            pids[data["pid"]] = pids.get(data["pid"], 0) + 1
        print(f"   supervisor: {len(ends)} ends, {asked}, crowd {told}, a number used up to {max(pids.values())} times")
        assert told[0] == "born" and int(told[1]) > 1000 and told[3] == "0", told
        assert len(ends) > 200 and max(pids.values()) > 2, (len(ends), max(pids.values()))
        for (name, run), exits in ends.items():
            assert len(exits) == 1, (name, run, exits)
            if name.startswith("quick"):
                # One that was stopped before it had come to its end was hit by the stop.
                assert exits[0].get("code") == run % 50 + 1 or exits[0].get("signal") == "TERM", (name, run, exits)
            elif exits[0].get("signal") != "TERM" and name != "long2":
                late.append((name, run, exits))
        # A manager that is killed while it gives a TERM leaves it to KILL: nobody knows whether it was given.
        assert len(late) <= 1, late
