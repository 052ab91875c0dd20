"""The anchor itself is killed, which it can be where it is not process 1: another one comes, and services live on."""
import contextlib
import itertools
import os
import pathlib
import platform
import signal
import socket
import subprocess
import threading
import time

import sweep
from create_test import events
from harness import alive, instance, until
from upgrade_test import TOML, generation, pids

TALK = TOML + """
[services.talks]
command = "./talk"
"""
TALK_SCRIPT = "#!/bin/sh\ni=0\nwhile :; do i=$((i+1)); echo line $i; sleep 0.01; done\n"


def adopted(one):
    return generation(one)["reason"] == "adopted"


def bury(pid):
    with contextlib.suppress(OSError):
        os.waitpid(pid, 0)


def kill_anchor(one):
    anchor = one.where()["anchor_pid"]
    orphans = pathlib.Path(f"/proc/{anchor}/task/{anchor}/children").read_text().split()
    assert anchor > 1
    os.kill(anchor, signal.SIGKILL)
    if os.getpid() == 1:  # of the namespace of the tests: what is left behind is ours, and an init buries it
        for pid in orphans:
            threading.Thread(target=bury, args=(int(pid),), daemon=True).start()
    until(lambda: one.run("where").returncode == 0 and one.where()["anchor_pid"] not in (0, anchor))
    until(lambda: adopted(one))


def test_services_live_on_under_another_anchor():
    with instance(TALK, {"talk": TALK_SCRIPT}) as one:
        until(lambda: one.state("talks") == "running")
        before = pids(one)
        epoch = generation(one)["epoch"]
        for _ in range(3):
            kill_anchor(one)
            assert pids(one) == before
        assert generation(one)["epoch"] == epoch + 3
        time.sleep(0.3)
        text = one.ok("logs", "talks", "-n", "100000")
        numbers = [int(line.split()[-1]) for line in text.splitlines() if "line" in line]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 10, "output was lost, doubled or reordered"
        # The logger dies too: the pipe was found again, so nobody gets SIGPIPE.
        os.kill(one.where()["logger_pid"], signal.SIGKILL)
        time.sleep(0.5)
        assert alive(before["talks"][0]) and pids(one) == before
        # What it starts from now on is its own again; what it adopted can be stopped and started.
        one.ok("restart", "child", "talks")
        assert one.status("child")["pid"] != before["child"][0]
        one.ok("start", "idle")


def test_the_exit_of_an_adopted_service_is_known_or_unknown_but_never_wrong():
    toml = TOML + """
[services.ends]
command = ["sh", "-c", "trap 'exit 7' USR1; while :; do sleep 0.05; done"]
restart = "never"
"""
    with instance(toml) as one:
        until(lambda: one.state("ends") == "running")
        pid = one.status("ends")["pid"]
        kill_anchor(one)
        time.sleep(0.2)
        os.kill(pid, signal.SIGUSR1)
        until(lambda: one.state("ends") in ("failed", "completed", "inactive"))
        code = one.status("ends")["last_exit"].get("code")
        assert code in (7, "unknown"), code
        release = tuple(int(part) for part in platform.release().split(".")[:2])
        if release >= (6, 15):
            assert code == 7, "the kernel knows it"


def test_nobody_else_takes_the_instance_meanwhile():
    with instance(TOML) as one:
        until(lambda: one.state("plain") == "running")
        before = pids(one)
        kill_anchor(one)
        assert one.up().returncode == 0, "it finds the one that runs"
        assert pids(one) == before
        one.ok("down")
        assert not alive(before["plain"][0])


def kill_together(one, *names):
    """None of them gets to do anything about it."""
    where = one.where()
    own = [where[f"{name}_pid"] for name in names]
    children = pathlib.Path(f"/proc/{where['anchor_pid']}/task/{where['anchor_pid']}/children").read_text().split()
    assert min(own) > 1
    for kind in (signal.SIGSTOP, signal.SIGKILL):
        for pid in own:
            os.kill(pid, kind)
    if os.getpid() == 1:
        for pid in children:
            threading.Thread(target=bury, args=(int(pid),), daemon=True).start()
    until(lambda: not any(alive(pid) for pid in own))


def kill_all_three(one):
    kill_together(one, "manager", "logger", "anchor")


HALVES = """#!/bin/sh
i=0
while :; do
    i=$((i+1))
    printf 'line '
    sleep 0.001
    echo $i
done
"""


def test_a_logger_that_was_left_alone_makes_room_for_the_next_one():
    toml = TALK + """
[services.errors]
command = ["sh", "-c", "exec >/dev/null; while :; do echo error >&2; sleep 0.01; done"]
"""
    with instance(toml, {"talk": HALVES}) as one:
        until(lambda: one.state("talks") == "running" and one.state("errors") == "running")
        for _ in range(3):
            time.sleep(0.1)
            before, logger = pids(one), one.where()["logger_pid"]
            kill_together(one, "manager", "anchor")
            assert alive(logger), "it reads on"
            result = one.up()
            assert result.returncode == 0, result.stderr + one.supervisor_log()
            until(lambda: not alive(logger))
            until(lambda: one.where()["logger_pid"] not in (0, logger))
            size = (one.folder / ".abide/log/talks/current").stat().st_size
            until(lambda: (one.folder / ".abide/log/talks/current").stat().st_size > size + 100)
            assert pids(one) == before, "nobody reads, and who writes is ended by SIGPIPE"
        assert "another logger" not in one.supervisor_log(), one.supervisor_log()
        one.ok("stop", "talks")
        lines = [line.split(" | ", 1)[1] for line in one.ok("logs", "talks", "-n", "100000").splitlines()]
        lines = lines[:-1]  # its end may have come in the middle of one
        wrong = [pair for i, pair in enumerate(itertools.pairwise(["line 0", *lines])) if pair[1] != f"line {i + 1}"]
        assert not wrong and len(lines) > 10, f"cut, lost, doubled or in another order: {len(wrong)}, {wrong[:3]}"


def test_services_are_found_again_when_the_whole_supervisor_was_killed():
    with instance(TALK, {"talk": TALK_SCRIPT}) as one:
        until(lambda: one.state("talks") == "running")
        before, newest = pids(one), int(one.ok("events").splitlines()[-1].split()[2])
        for _ in range(2):
            kill_all_three(one)
            assert one.run("status").returncode == 4, "nobody answers"
            assert alive(before["plain"][0]) and alive(before["child"][0])
            result = one.up()
            assert result.returncode == 0, result.stderr + one.supervisor_log()
            assert "had been killed" in result.stderr, result.stderr
            assert pids(one)["plain"] == before["plain"] and pids(one)["child"] == before["child"], pids(one)
            assert pids(one)["task"] == before["task"] and one.state("idle") == "inactive"
        numbers = [int(line.split()[2]) for line in one.ok("events").splitlines()]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > newest, "events are lost or doubled"
        # They are supervised as before: who ends is started again, who is stopped ends.
        os.kill(before["child"][0], signal.SIGKILL)
        until(lambda: one.status("child")["pid"] not in (0, before["child"][0]))
        one.ok("stop", "child", "plain")
        assert not alive(before["plain"][0])
        one.ok("start", "idle")


def test_who_ended_without_a_supervisor_is_started_again():
    with instance(TOML) as one:
        until(lambda: one.state("child") == "running")
        before = pids(one)
        kill_all_three(one)
        os.kill(before["child"][0], signal.SIGKILL)
        until(lambda: not alive(before["child"][0]))
        result = one.up()
        assert result.returncode == 0 and "1 process " in result.stderr, result.stderr
        assert one.state("child") == "running"
        assert one.status("child")["pid"] != before["child"][0] and pids(one)["plain"] == before["plain"]
        assert one.status("child")["last_exit"]["code"] == "unknown", "nobody was there to know it"


def test_a_mirror_of_others_is_no_journal():
    """Nobody of it lives, or it is another boot's, or others may write it: the instance begins anew, and nothing else happens."""
    with instance(TOML) as one:
        mirror = pathlib.Path(one.where()["runtime"]) / "journal"
        before = mirror.read_bytes()
        one.ok("down")
        assert not mirror.exists(), "an end in order leaves none"
        mirror.write_bytes(before)
        mirror.chmod(0o600)
        result = one.up()
        assert result.returncode == 0 and "killed" not in result.stderr, result.stderr
        kill_all_three(one)
        mirror.chmod(0o622)
        result = one.up()
        assert result.returncode == 0 and "killed" not in result.stderr, result.stderr


STORES = """import os, socket, sys, time
def notify(text, fds=()):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ["NOTIFY_SOCKET"])
    socket.send_fds(s, [text], list(fds))
names = os.environ["LISTEN_FDNAMES"].split(":")
listener = socket.socket(fileno=3 + names.index("local"))
if "precious" in names:
    with open("back", "w") as file:
        file.write(os.pread(3 + names.index("precious"), 100, 0).decode())
else:
    fd = os.memfd_create("precious")
    os.write(fd, b"kept")
    notify(b"FDSTORE=1\\nFDNAME=precious", [fd])
notify(b"READY=1")
while os.path.exists("busy"):
    time.sleep(0.01)
while True:
    client = listener.accept()[0]
    client.sendall(client.recv(10))
    client.close()
"""
STORED = """
[services.stores]
command = ["python3", "stores.py"]
ready = { notify = true }
fd-store-max = 4
sockets = [{ name = "local", listen = "unix:stores.sock" }]
stop = { signal = "KILL" }
"""


def test_what_waits_at_a_listening_socket_and_what_was_stored_outlive_the_anchor():
    with instance(TOML + STORED, {"stores.py": STORES, "busy": ""}) as one:
        until(lambda: one.state("stores") == "running")
        clients = []
        for round_ in range(2):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(10)
            client.connect(str(one.folder / "stores.sock"))  # in the queue: nobody accepts
            client.sendall(b"hello")
            clients.append(client)
            kill_anchor(one)
            if round_ == 0:
                os.kill(one.where()["manager_pid"], signal.SIGKILL)  # what one inherited, the next one has from the anchor
                one.ok("status")
        (one.folder / "busy").unlink()
        os.kill(one.status("stores")["pid"], signal.SIGSTOP)  # it is not the one that answers
        one.ok("restart", "stores")
        for client in clients:
            assert client.recv(10) == b"hello"
        assert (one.folder / "back").read_text() == "kept"


# Speaks on a socket that it connected once; what could not be said stands in the file `unsaid`.
SPEAKS = """import os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
def say(text):
    try:
        s.send(text)
    except OSError as why:
        with open("unsaid", "a") as file:
            file.write(f"{text} {why}\\n")
said = set()
while True:
    say(b"WATCHDOG=1")
    for word in ("READY", "RELOADING", "AGAIN"):
        if word not in said and os.path.exists(word):
            said.add(word)
            say({"READY": b"READY=1\\nSTATUS=here", "RELOADING": b"RELOADING=1", "AGAIN": b"READY=1"}[word])
    time.sleep(0.001)
"""
READY_BY_PIPE = "#!/bin/sh\nwhile [ ! -e READY ]; do sleep 0.01; done\necho >&3\nexec sleep 1000\n"
SPOKEN = """
[services.speaks]
command = ["python3", "speaks.py"]
ready = { notify = true, timeout = "30s" }
watchdog = "1s"
[services.pipe]
command = "./pipe"
ready = { fd = 3, timeout = "30s" }
"""


def test_what_services_say_reaches_the_manager_after_another_anchor_came():
    with instance(TOML + SPOKEN, {"speaks.py": SPEAKS, "pipe": READY_BY_PIPE}, up=False) as one:
        assert one.run("up", "--detach", "plain", "child").returncode == 0
        one.ok("start", "--no-wait", "speaks", "pipe")
        one.ok("create", "idle")
        until(lambda: one.status("speaks")["pid"] and one.status("pipe")["pid"] and one.state("idle") == "created")
        time.sleep(0.2)
        before = pids(one)
        kill_anchor(one)
        (one.folder / "READY").touch()
        until(lambda: one.state("speaks") == "running" and one.state("pipe") == "running")
        (one.folder / "RELOADING").touch()
        until(lambda: one.state("speaks") == "reloading")
        kill_anchor(one)
        (one.folder / "AGAIN").touch()
        until(lambda: one.state("speaks") == "running")
        time.sleep(1.5)  # longer than the watchdog waits
        one.ok("start", "idle")
        after = pids(one)
        assert {name: after[name][:2] for name in after} == {name: before[name][:2] for name in before}, (before, after)
        assert not (one.folder / "unsaid").exists(), (one.folder / "unsaid").read_text()[:400]


def test_no_output_is_lost_when_the_logger_is_killed_with_the_anchor():
    with instance(TALK, {"talk": TALK_SCRIPT.replace("0.01", "0.001")}) as one:
        until(lambda: one.state("talks") == "running")
        for _ in range(3):
            before, where = pids(one), one.where()
            for kind in (signal.SIGSTOP, signal.SIGKILL):
                os.kill(where["logger_pid"], kind)
                if kind == signal.SIGSTOP:
                    os.kill(where["anchor_pid"], kind)
            kill_anchor(one)
            assert pids(one) == before, "nobody reads, and who writes is ended by SIGPIPE"
        one.ok("stop", "talks")
        text = one.ok("logs", "talks", "-n", "100000")
        numbers = [int(line.split()[-1]) for line in text.splitlines() if "line" in line]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 10, "output was lost, doubled or reordered"


def test_who_was_let_go_and_ended_unseen_was_started_all_the_same():
    """It is nobody's child any more, so when it has ended nothing is left of it but what it said."""
    toml = """
[services."job@"]
kind = "task"
command = ["sh", "-c", "echo $$$$ >> ran-%i"]
restart = "never"
autostart = false
"""
    with instance(toml) as one:
        names = [f"job@{i}" for i in range(40)]
        one.ok("create", *names)
        kill_anchor(one)
        calls = sweep.Stepper(one.where()["manager_pid"], "count")
        one.ok("start", names[0])
        last = calls.end(0.1)[0]
        for i, name in enumerate(names[1:]):
            where, pid = one.where(), one.status(name)["pid"]
            stepper = sweep.Stepper(where["manager_pid"], "kill", 1 + i * last // len(names))
            os.kill(where["anchor_pid"], signal.SIGSTOP)  # so that no other manager comes before its end
            start = subprocess.Popen([*one.command(), "start", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until(lambda: not alive(where["manager_pid"]) or not alive(pid))
            time.sleep(0.02)
            os.kill(where["anchor_pid"], signal.SIGCONT)
            stepper.end(0.05)
            start.wait(20)
            until(lambda: one.state(name) in ("completed", "failed"))  # how it ended only a newer kernel knows
        for i, name in enumerate(names):
            ran = (one.folder / f"ran-{i}").read_text().split()
            told = [str(event["data"]["pid"]) for event in events(one, "started", name)]
            assert told == ran and len(ran) == 1, (name, told, ran, one.ok("events", "--service", name))
