"""Readiness that means ready: each kind with a real program, and programs that never get there."""
import contextlib
import os
import signal
import subprocess
import time

from harness import BIN, instance, until

NOTIFY = """import os, socket, sys, time
def tell(text):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ["NOTIFY_SOCKET"])
    s.send(text.encode())
time.sleep(0.3)
for text in sys.argv[1:]:
    tell(text)
time.sleep(1000)
"""


def service(command, ready, more=""):
    return f'[services.a]\ncommand = {command}\nready = {ready}\n{more}\n' \
           '[services.b]\ncommand = ["sleep", "1000"]\nrequires = ["a"]\n'


def gates(toml, files=None, at_least=0.25):
    """`b` runs only after `a` is ready, which takes its program a while."""
    with instance(toml, files, up=False) as one:
        start = time.monotonic()
        result = one.up()
        assert result.returncode == 0, result.stderr + one.supervisor_log()
        assert time.monotonic() - start >= at_least
        assert one.state("a") == "running" and one.state("b") == "running"


def test_notify():
    gates(service('["python3", "n.py", "READY=1"]', "{ notify = true }"), {"n.py": NOTIFY})


def test_notify_status_is_shown():
    toml = service('["python3", "n.py", "STATUS=warming up\\nREADY=1"]', "{ notify = true }")
    with instance(toml, {"n.py": NOTIFY}) as one:
        assert "warming up" in one.ok("status", "a")


def test_descriptor():
    gates(service('["sh", "-c", "sleep 0.3; echo >&3; exec 3>&-; sleep 1000"]', "{ fd = 3 }"))


def test_tcp():
    code = "import socket,time; time.sleep(0.3); s=socket.create_server((\'127.0.0.1\', 18431)); time.sleep(1000)"
    gates(service(f'["python3", "-c", "{code}"]', '{ tcp = "127.0.0.1:18431" }'))


def test_unix():
    code = "import socket,time; time.sleep(0.3); s=socket.socket(socket.AF_UNIX); s.bind(\'s\'); s.listen(); time.sleep(1000)"
    gates(service(f'["python3", "-c", "{code}"]', '{ unix = "s" }'))


def test_http():
    code = "import time; time.sleep(0.3); import http.server as h; " \
           "h.HTTPServer((\'127.0.0.1\', 18432), h.SimpleHTTPRequestHandler).serve_forever()"
    gates(service(f'["python3", "-c", "{code}"]', '{ http = "http://127.0.0.1:18432/" }'))


def test_exec():
    gates(service('["sh", "-c", "sleep 0.3; touch up; sleep 1000"]', '{ exec = ["test", "-e", "up"] }'))


def test_log_line():
    gates(service('["sh", "-c", "sleep 0.3; echo now ready to serve; sleep 1000"]', '{ log = "ready to .*" }'))


def test_pid_file_of_a_forking_daemon():
    script = "#!/bin/sh\n(sleep 0.3; sleep 1000 & echo $! > a.pid) &\nexit 0\n"
    with instance(service('["./fork.sh"]', '{ pidfile = "a.pid" }'), {"fork.sh": script}) as one:
        pid = int((one.folder / "a.pid").read_text())
        assert one.status("a")["pid"] == pid
        os.kill(pid, 9)
        until(lambda: one.status("a")["restarts"] == 1)


def test_a_pid_file_that_is_none_holds_up_nobody():
    """A FIFO, and a link to a terminal where nobody types: whoever reads them waits."""
    shown, terminal = os.openpty()
    try:
        for make in ("mkfifo a.pid", f"ln -s {os.ttyname(terminal)} a.pid", "ln -s real.pid a.pid; echo $$$$ > real.pid"):
            toml = service(["sh", "-c", make + "; exec sleep 1000"], '{ pidfile = "a.pid", timeout = "2s" }') + \
                '[services.calm]\ncommand = ["sleep", "1000"]\n'
            with instance(toml, up=False) as one:
                one.run("up", "--detach", "calm")
                one.ok("start", "--no-wait", "a")
                until((one.folder / "a.pid").is_symlink if "ln" in make else (one.folder / "a.pid").exists)
                manager, end = one.where()["manager_pid"], time.monotonic() + 1
                while time.monotonic() < end:
                    start = time.monotonic()
                    assert one.status("a")["state"] == "starting", "a file that is none says nothing"
                    assert time.monotonic() - start < 0.5, "the manager answers"
                assert one.where()["manager_pid"] == manager
    finally:
        os.close(shown)
        os.close(terminal)


def test_delay():
    gates(service('["sleep", "1000"]', '{ delay = "300ms" }'))


def test_an_up_that_waits_ends_when_a_service_is_never_ready():
    toml = '[services.a]\ncommand = ["sleep", "1000"]\nready = { notify = true, timeout = "300ms" }\n' \
           'restart-limit = { count = 10000, within = "1s" }\n[services.b]\ncommand = ["sleep", "1000"]\n'
    with instance(toml, up=False) as one:
        up = one.run("up", "--detach", timeout=15)
        assert up.returncode == 1 and "a: " in up.stderr and "not ready in time" in up.stderr and "tried again" in up.stderr, up
        assert one.state("b") == "running"


def test_never_ready():
    toml = service('["sleep", "1000"]', '{ notify = true, timeout = "300ms" }', 'restart = "never"')
    with instance(toml, up=False) as one:
        result = one.up()
        assert result.returncode == 1, result
        assert one.state("a") == "failed" and one.state("b") == "failed"
        assert "too long" in one.ok("why", "a")


def test_exits_before_ready():
    toml = service('["sh", "-c", "exit 4"]', '{ notify = true }', 'restart = "never"')
    with instance(toml, up=False) as one:
        assert one.up().returncode == 1
        assert one.status("a")["last_exit"]["code"] == 4


def test_health_lost_restarts():
    toml = '[services.a]\ncommand = ["sh", "-c", "touch ok; sleep 1000"]\n' \
           'health = { exec = ["test", "-e", "ok"], every = "100ms", failures = 2 }\n'
    with instance(toml) as one:
        until(lambda: "healthy" in str(one.status("a")["conditions"]))
        os.unlink(one.folder / "ok")
        until(lambda: one.status("a")["restarts"] == 1)


def test_watchdog():
    beat = NOTIFY.replace("time.sleep(1000)", "[(time.sleep(0.1), tell('WATCHDOG=1')) for _ in range(10)]\ntime.sleep(1000)")
    toml = '[services.a]\ncommand = ["python3", "n.py", "READY=1"]\nready = { notify = true }\nwatchdog = "500ms"\n'
    with instance(toml, {"n.py": beat}) as one:
        time.sleep(0.8)
        assert one.status("a")["restarts"] == 0
        until(lambda: one.status("a")["restarts"] >= 1)


def pipes_of(pid):
    found = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("pipe:")
    return found


def test_a_manager_killed_while_it_hears_of_readiness_leaves_no_pipe():
    """At each system call of the turn in which the word arrives."""
    toml = """[services.a]
command = ["sh", "-c", "until [ -e go ]; do sleep 0.02; done; rm go; echo >&3; exec sleep 1000"]
ready = { fd = 3 }
autostart = false
"""
    with instance(toml) as one:
        go = one.folder / "go"
        killed = 0
        for call in range(1, 25):
            before = pipes_of(one.where()["anchor_pid"])
            start = subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), "start", "a"], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            until(lambda: one.status("a")["pid"] and one.state("a") == "starting")
            manager = one.where()["manager_pid"]
            step = subprocess.Popen([str(BIN / "abide-step"), str(manager), "kill", str(call)], stdout=subprocess.PIPE, text=True)
            step.stdout.readline()
            go.touch()
            until(lambda: not go.exists())
            time.sleep(0.05)
            step.terminate()
            step.communicate(timeout=10)
            until(lambda: one.run("status").returncode == 0)
            assert start.wait(10) == 0 and one.state("a") == "running", call
            killed += one.where()["manager_pid"] != manager
            one.ok("stop", "a")
            until(lambda: pipes_of(one.where()["anchor_pid"]) == before, 3)
        assert killed > 10, killed


def test_one_that_is_created_becomes_ready_under_the_next_manager():
    toml = """[services.a]
command = ["sh", "-c", "echo >&3; exec sleep 1000"]
ready = { fd = 3, timeout = "5s" }
autostart = false
"""
    with instance(toml) as one:
        one.ok("create", "a")
        manager = one.where()["manager_pid"]
        os.kill(manager, signal.SIGKILL)
        until(lambda: one.where()["manager_pid"] != manager)
        one.ok("start", "a")
        assert one.state("a") == "running" and one.status("a")["restarts"] == 0
