#!/usr/bin/env python3
"""Stop rules: order, a program that ignores TERM, leftovers of a double fork, leaving the session, a stopped program, hooks."""
import os
import signal
import time

from project import Project, alive, check, isolate, until

STRAY = """#!/usr/bin/env python3
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    open("{dir}/stray.pid", "w").write(str(os.getpid()))
    time.sleep(1000)
time.sleep(1000)
"""
TOML = """
[project]
name = "stopping"
[services.base]
command = "sleep 1000"
[services.top]
command = "sleep 1000"
requires = ["base"]
[services.deaf]
command = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
stop = { timeout = "400ms" }
[services.stray]
command = "./stray"
stop = { timeout = "2s" }
[services.frozen]
command = "sleep 1000"
stop = { timeout = "400ms" }
[services.hooks]
command = "sleep 1000"
pre-start = [["sh", "-c", "echo pre-start >> {dir}/order"]]
post-start = [["sh", "-c", "echo post-start >> {dir}/order"]]
pre-stop = [["sh", "-c", "echo pre-stop $MAINPID >> {dir}/order"]]
post-stop = [["sh", "-c", "echo post-stop $ABIDE_REASON >> {dir}/order"]]
"""


def test_stopping():
    with Project(TOML) as project:
        (project.folder / "stray").write_text(STRAY.replace("{dir}", str(project.folder)))
        (project.folder / "stray").chmod(0o755)
        project.ok("up", "--detach")
        until(lambda: (project.folder / "stray.pid").exists(), "the double fork is done")
        time.sleep(0.1)
        stray = int((project.folder / "stray.pid").read_text())
        main_pid = project.status("stray")["pid"]
        project.ok("stop", "stray")
        check(not alive(stray) and not alive(main_pid), "what left its session is stopped with its service")

        begin = time.monotonic()
        project.ok("stop", "deaf")
        check(0.3 < time.monotonic() - begin < 3, "a program that ignores TERM is killed after its timeout")
        check(project.status("deaf")["last_exit"]["signal"] == "KILL", "and that is told")

        os.kill(project.status("frozen")["pid"], signal.SIGSTOP)
        project.ok("stop", "frozen")
        check(project.status("frozen")["state"] == "inactive", "a stopped program can be stopped")

        pid = project.status("hooks")["pid"]
        project.ok("stop", "hooks")
        lines = (project.folder / "order").read_text().split("\n")
        check(lines[:3] == ["pre-start", "post-start", f"pre-stop {pid}"], "the commands around a service run in their order")
        check(lines[3] == "post-stop requested", "and are told why")

        project.ok("stop", "base")
        check(project.status("top")["state"] == "inactive", "a dependent stops with what it requires")
        stopped = [one["subject"] for one in project.events() if one["type"] == "abide.service.stopped"]
        check(stopped.index("top") < stopped.index("base"), "in the reverse order")
        project.ok("start", "top")
        check(project.status("base")["state"] == "running", "a start pulls up what it requires")
        project.ok("force-destroy", "base")
        until(project.is_state("top", "inactive"), "force-destroy takes the dependents along")


if __name__ == "__main__":
    isolate()
    test_stopping()
