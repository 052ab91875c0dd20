"""create and start: everything is prepared, nothing runs; whoever comes later lets it go."""
import errno
import json
import os
import pathlib
import platform
import signal
import threading
import time

from harness import alive, instance, until
from sweep import Stepper

WEB = '[services.web]\ncommand = ["sh", "-c", "echo $$$$ > ran; exec sleep 1000"]\nautostart = false\n'
SENDTO = 44 if platform.machine() == "x86_64" else 206


def events(one, kind, subject="web"):
    return [e for e in one.events() if e["type"] == "abide.service." + kind and e["subject"] == subject]


def comm(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def ran(one):
    return (one.folder / "ran").exists()


def kill_manager(one):
    pid = one.where()["manager_pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: one.where()["manager_pid"] not in (0, pid), 10)


def test_is_held_before_its_exec_and_let_go():
    with instance(WEB) as one:
        one.ok("create", "web")
        status = one.status("web")
        assert status["state"] == "created" and status["pid"] > 0, status
        assert comm(status["pid"]) == "abide-hold" and not ran(one)
        assert [e["data"]["pid"] for e in events(one, "created")] == [status["pid"]]
        assert not events(one, "started")
        one.ok("start", "web")
        until(lambda: ran(one))
        assert one.status("web")["pid"] == status["pid"] == int((one.folder / "ran").read_text())
        assert comm(status["pid"]) != "abide-hold" and len(events(one, "started")) == 1


def test_what_cant_be_let_go_is_a_start_that_failed():
    with instance(WEB) as one:
        one.ok("create", "web")
        held = one.status("web")["pid"]
        denied = Stepper(one.where()["manager_pid"], "deny", SENDTO, errno.EIO)
        asked = threading.Thread(target=one.run, args=("start", "web"))  # it isn't answered, either
        asked.start()
        until(lambda: not alive(held))
        denied.end()
        asked.join()
        assert "can't be let go" in one.supervisor_log()
        one.ok("start", "web")
        until(lambda: ran(one))


def test_hooks_see_what_the_program_will_have():
    # The project lies in /tmp, which the service does not see.
    toml = '[services.web]\ncommand = ["sleep", "1000"]\nautostart = false\ndirectory = "/var"\n' \
           'limits = { nofile = 321 }\nsandbox = { private-tmp = true }\n'
    with instance(toml) as one:
        one.ok("create", "web")
        pid = one.status("web")["pid"]
        assert " 321 " in next(l for l in open(f"/proc/{pid}/limits") if l.startswith("Max open files"))
        assert any(l.split()[4] == "/tmp" for l in open(f"/proc/{pid}/mountinfo"))
        group = pathlib.Path(f"/proc/{pid}/cgroup").read_text()
        manager = pathlib.Path(f"/proc/{one.where()['manager_pid']}/cgroup").read_text()
        assert "0::" not in group or group.split("0::")[1] != manager.split("0::")[1]
        assert os.readlink(f"/proc/{pid}/cwd") == "/var"
        one.ok("start", "web")
        assert one.status("web")["pid"] == pid and comm(pid) == "sleep"


def test_is_let_go_by_a_later_manager():
    with instance(WEB) as one:
        one.ok("create", "web")
        pid = one.status("web")["pid"]
        for _ in range(3):
            kill_manager(one)
            assert one.state("web") == "created" and one.status("web")["pid"] == pid
        assert not ran(one)
        one.ok("start", "web")
        until(lambda: ran(one))
        assert one.status("web")["pid"] == pid and len(events(one, "created")) == 1
        one.ok("stop", "web")
        assert not alive(pid)


def test_kill_9_around_the_release():
    """The manager dies about when it lets go: the program runs once, or is let go by the next start."""
    with instance(WEB) as one:
        for turn in range(12):
            one.ok("create", "web")
            pid, manager = one.status("web")["pid"], one.where()["manager_pid"]
            starter = threading.Thread(target=lambda: one.run("start", "web"))
            starter.start()
            time.sleep(turn * 0.001)
            os.kill(manager, signal.SIGKILL)
            starter.join()
            one.ok("start", "web")
            assert one.status("web")["pid"] == pid
            until(lambda: ran(one))
            one.ok("stop", "web")
            (one.folder / "ran").unlink()
        assert len(events(one, "created")) == len(events(one, "started")) == 12


def test_stop_and_remove_undo_it():
    # WINCH is what a stub would not even notice.
    for more in ("", 'stop = { signal = "WINCH", final = "never" }\n'):
        with instance(WEB + more) as one:
            one.ok("create", "web")
            pid = one.status("web")["pid"]
            one.ok("stop", "web")
            assert not alive(pid) and one.state("web") == "inactive" and not ran(one)
            one.ok("create", "web")
            pid = one.status("web")["pid"]
            one.ok("remove", "web")
            assert not alive(pid) and one.run("status", "web").returncode == 3


def test_what_it_needs_comes_up():
    toml = WEB + 'requires = ["db"]\npre-start = [["sh", "-c", "echo pre > pre"]]\n' \
                 '[services.db]\ncommand = ["sleep", "1000"]\nautostart = false\n'
    with instance(toml) as one:
        one.ok("create", "web")
        assert one.state("db") == "running" and (one.folder / "pre").exists() and not ran(one)
        one.ok("stop", "db")
        assert one.state("web") == "inactive"


def test_the_end_of_one_that_is_held_is_told_as_it_was():
    with instance(WEB + 'restart = "never"\n') as one:
        one.ok("create", "web")
        os.kill(one.status("web")["pid"], signal.SIGKILL)
        one.reaches("web", "failed")
        assert one.status("web")["last_exit"]["signal"] == "KILL" and not events(one, "started")


def test_a_program_that_is_missing_fails_when_it_is_let_go():
    with instance('[services.web]\ncommand = ["/no/such/program"]\nautostart = false\nrestart = "never"\n') as one:
        one.ok("create", "web")
        assert one.run("start", "web").returncode == 1
        assert one.state("web") == "failed" and "exec" in one.ok("why", "web")


def test_refusals():
    with instance('[services.web]\ncommand = ["sleep", "1000"]\n[services.all]\nkind = "group"\nautostart = false\n') as one:
        assert one.run("create", "web").returncode == 7
        assert one.run("create", "all").returncode == 7
        assert one.run("create", "nobody").returncode == 3
        assert one.state("web") == "running"


def test_listening_sockets_are_its_own():
    toml = '[services.web]\ncommand = ["sh", "-c", "echo $$LISTEN_PID $$$$ > ran; exec sleep 1000"]\nautostart = false\n' \
           'sockets = [{ name = "s", listen = "unix:/tmp/abide-create-test.sock" }]\n'
    with instance(toml) as one:
        one.ok("create", "web")
        assert os.path.exists("/tmp/abide-create-test.sock")
        one.ok("start", "web")
        until(lambda: ran(one) and (one.folder / "ran").read_text().strip())
        listen, own = (one.folder / "ran").read_text().split()
        assert listen == own


def test_the_end_of_the_instance_ends_what_is_held():
    with instance(WEB) as one:
        one.ok("create", "web")
        pid = one.status("web")["pid"]
        one.ok("down")
        assert not alive(pid) and not ran(one)


def test_without_the_anchor_nothing_is_let_go():
    with instance(WEB) as one:
        one.ok("create", "web")
        pid = one.status("web")["pid"]
        where = one.where()
        for name in ("anchor_pid", "manager_pid", "logger_pid"):
            os.kill(where[name], signal.SIGKILL)
        until(lambda: not alive(pid))
        assert not ran(one)
