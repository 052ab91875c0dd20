#!/usr/bin/env python3
"""Bad programs and bad luck: each gives one clear line, touches nobody else, and the next request is answered."""
import os
import signal
import socket
import subprocess
import time

from project import Project, alive, check, isolate, until

TOML = """
[project]
name = "misfortune"
[services.good]
command = "sleep 1000"
ready = { notify = true, timeout = "30s" }
autostart = false
[services.plain]
command = "sleep 1000"
[services.missing]
command = "./no-such-program"
autostart = false
restart = "never"
[services.noexec]
command = "./not-executable"
autostart = false
restart = "never"
[services.nobody]
command = "sleep 1000"
user = "no-such-user-here"
autostart = false
restart = "never"
[services.nowhere]
command = "sleep 1000"
directory = "/no/such/folder"
autostart = false
restart = "never"
[services.huge]
command = ["sh", "-c", "exit 3"]
autostart = false
restart = "never"
[services.flood]
command = ["sh", "-c", "yes 'a line of a flood' | head -c 20000000; exec sleep 1000"]
autostart = false
[services.early]
command = ["sh", "-c", "exit 7"]
autostart = false
restart = "never"
ready = { notify = true }
"""


def refuses(project, name, word):
    done = project.run("start", name, seconds=15)
    check(done.returncode == 1, f"{name} does not start")
    check(word in project.supervisor_log() + done.stderr + project.run("why", name).stdout, f"and it is said why: {word}")
    check(project.status("plain")["state"] == "running", "nobody else was touched")


def test_misfortune():
    with Project(TOML, {}) as project:
        (project.folder / "not-executable").write_text("no program")
        project.ok("up", "--detach")
        for name, word in (("missing", "no-such-program"), ("noexec", "not-executable"), ("nobody", "no-such-user-here"),
                           ("nowhere", "directory"), ("early", "7")):
            refuses(project, name, word)

        # A hanging start blocks nothing, and a forged word of readiness is not believed.
        waiting = subprocess.Popen([*project.command(), "start", "good"], stdin=subprocess.DEVNULL)
        until(lambda: project.status("good").get("stage") == "ready-wait", "good waits for its word")
        begin = time.monotonic()
        project.status()
        check(time.monotonic() - begin < 0.5, "status answers at once while a start hangs")
        environment = open(f"/proc/{project.status('good')['pid']}/environ").read().split("\0")
        path = next(one for one in environment if one.startswith("NOTIFY_SOCKET=")).split("=", 1)[1]
        forger = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        forger.connect(path)
        forger.send(b"READY=1")
        forger.send(b"MAINPID=1")
        for size in (0, 1, 64, 8192):
            forger.send(b"x" * size)
        time.sleep(0.2)
        check(project.status("good")["stage"] == "ready-wait", "a forged READY=1 is not believed")
        check("is not of this service" in project.supervisor_log() or "not of this service" in project.supervisor_log(),
              "and it is said")
        project.ok("stop", "good")
        waiting.wait(10)

        project.ok("start", "flood")
        project.ok("status")
        until(lambda: "a line of a flood" in project.run("logs", "flood", "-n", "1").stdout, "a flood of a log is written", 20)

        # Bad clients.
        control = project.where()["control"]
        idle = []
        for content in (b"", b"{\"method\":", b"garbage\0", b"\0", b"{}\0", b"[" * 5000 + b"\0"):
            one = socket.socket(socket.AF_UNIX)
            one.connect(control)
            one.send(content)
            idle.append(one)
        for _ in range(200):
            one = socket.socket(socket.AF_UNIX)
            one.connect(control)
            idle.append(one)
        project.ok("status")
        leaver = subprocess.Popen([*project.command(), "restart", "plain"], stdin=subprocess.DEVNULL)
        leaver.send_signal(signal.SIGKILL)
        leaver.wait()
        until(project.is_state("plain", "running"), "a client that leaves changes nothing")

        # The logger dies, then the manager, again and again.
        logger = project.where()["logger_pid"]
        check(logger > 0, "the logger has a pid")
        os.kill(logger, signal.SIGKILL)
        until(lambda: project.where()["logger_pid"] not in (0, logger), "a killed logger is back")
        pid = project.status("plain")["pid"]
        for round_number in range(5):
            manager = project.where()["manager_pid"]
            os.kill(manager, signal.SIGKILL)
            until(lambda: project.where().get("manager_pid", 0) not in (0, manager), f"manager {round_number + 2} works")
        check(alive(pid) and project.status("plain")["pid"] == pid, "and nothing was restarted")


if __name__ == "__main__":
    isolate()
    test_misfortune()
