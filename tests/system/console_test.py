"""The terminal of a container: what it prints is in the log, whoever dies between the runtime's create and the logger."""
import json
import os
import pathlib
import signal
import threading
import time

from harness import instance, until

import containers
from oci_test import box, code, each, fails, kill_manager

WORDS = "test -t 0 && test -t 1 && echo on a terminal; trap 'exit 0' TERM; n=0; " \
        "while :; do n=$((n+1)); echo line $n; sleep 0.05; done"


def terminal(script):
    """What config.json has else with a terminal."""
    made = containers.config(script)
    made["process"]["terminal"] = True
    made["mounts"] += [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
                       {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                        "options": ["newinstance", "ptmxmode=0666", "mode=0620"]}]
    return {"process": made["process"], "mounts": made["mounts"]}


def console(runtime, script, more=""):
    return box(runtime, script, more=more, **terminal(script))


def texts(one):
    return [json.loads(line)["text"] for line in one.ok("logs", "--json", "-n", "30000", "box").splitlines()]


def masters(pid):
    """How many masters of terminals a process has."""
    found = 0
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += os.readlink(fd).endswith("ptmx")
        except FileNotFoundError:
            pass
    return found


def goes_on(one):
    before = len(texts(one))
    until(lambda: len(texts(one)) > before + 2)


def no_master_is_left(one):
    until(lambda: not any(masters(one.where()[k]) for k in ("anchor_pid", "manager_pid", "logger_pid")))


@each
def test_the_output_of_a_terminal(runtime):
    with console(runtime, WORDS) as one:
        one.ok("create", "box")
        # The anchor holds it for a manager that dies, the manager for an anchor that does (the last resort).
        assert masters(one.where()["manager_pid"]) == 1
        assert masters(one.where()["anchor_pid"]) == 1
        one.ok("start", "box")
        until(lambda: "line 3" in texts(one))
        assert texts(one)[:2] == ["on a terminal", "line 1"], texts(one)
        one.ok("stop", "box")
        assert code(one) == 0
        no_master_is_left(one)
        folder = pathlib.Path(one.where()["runtime"], "oci")
        assert not list(folder.glob("*")), list(folder.rglob("*"))


@each
def test_all_that_a_short_life_printed(runtime):
    with console(runtime, "echo hello; echo done; exit 7") as one:
        for turn in range(1, 6):
            one.run("start", "box")
            one.reaches("box", "failed")
            assert code(one) == 7
            until(lambda: texts(one) == ["hello", "done"] * turn)
        no_master_is_left(one)


@each
def test_more_than_a_terminal_holds(runtime):
    with console(runtime, "i=0; while test $i -lt 20000; do echo $i; i=$((i+1)); done", more='kind = "task"') as one:
        one.ok("start", "box")
        until(lambda: len(texts(one)) >= 20000)
        assert texts(one) == [str(i) for i in range(20000)]


@each
def test_the_manager_dies_while_the_container_has_it(runtime):
    with console(runtime, WORDS) as one:
        one.ok("create", "box")
        kill_manager(one)
        one.ok("start", "box")
        goes_on(one)
        kill_manager(one)
        goes_on(one)
        one.ok("stop", "box")
        assert code(one) == 0
        no_master_is_left(one)


@each
def test_the_manager_dies_anywhere_in_a_start(runtime):
    with console(runtime, WORDS) as one:
        for turn in range(12):
            manager = one.where()["manager_pid"]
            starter = threading.Thread(target=lambda: one.run("start", "box"))
            starter.start()
            time.sleep(turn * 0.005)
            os.kill(manager, signal.SIGKILL)
            starter.join()
            one.ok("start", "box")
            goes_on(one)
            one.ok("stop", "box")
            assert code(one) == 0, one.status("box")
        no_master_is_left(one)


@each
def test_the_logger_dies(runtime):
    with console(runtime, WORDS) as one:
        one.ok("start", "box")
        goes_on(one)
        pid = one.status("box")["pid"]
        for _ in range(2):
            logger = one.where()["logger_pid"]
            os.kill(logger, signal.SIGKILL)
            until(lambda: one.where()["logger_pid"] not in (0, logger))
            goes_on(one)
        os.kill(one.where()["logger_pid"], signal.SIGKILL)
        kill_manager(one)
        goes_on(one)
        assert one.status("box")["pid"] == pid


@each
def test_ready_by_a_line(runtime):
    with console(runtime, "sleep 0.2; echo now; exec sleep 1000", more='ready = { log = "^now$", timeout = "10s" }') as one:
        one.ok("start", "box")
        assert "ready" in one.status("box")["conditions"] and texts(one) == ["now"]


@each
def test_without_a_log_nobody_waits(runtime):
    script = "i=0; while test $i -lt 3000; do echo $i; i=$((i+1)); done; exit 9"
    for mode in ("none", "inherit"):
        with console(runtime, script, more=f'log = "{mode}"') as one:
            one.run("start", "box")
            one.reaches("box", "failed")
            assert code(one) == 9
            no_master_is_left(one)


def stand_in(one, runtime, body):
    """A runtime that does as the other one does, but for `create`."""
    path = one.folder / "runtime"
    path.write_text(f"#!/usr/bin/python3\nimport os, sys, socket, time\nwords = sys.argv[1:]\nreal = '{runtime}'\n"
                    "way = words.index('--console-socket') if '--console-socket' in words else 0\n"
                    f"if 'create' in words and way:\n{body}\nos.execvp(real, [real] + words)\n")
    path.chmod(0o755)
    config = one.folder / "abide.toml"
    config.write_text(config.read_text().replace(f'runtime = "{runtime}"', f'runtime = "{path}"'))
    one.ok("reload-config")


@each
def test_a_runtime_that_never_sends(runtime):
    with console(runtime, WORDS) as one:
        # The real one makes the container, with a socket of somebody else's.
        stand_in(one, runtime, "    other = socket.socket(socket.AF_UNIX); other.bind('other'); other.listen(1)\n"
                               "    words[way + 1] = 'other'\n    if os.fork():\n        status = os.wait()[1]\n"
                               "        sys.exit(os.waitstatus_to_exitcode(status))")
        fails(one, "sent no terminal")
        no_master_is_left(one)


@each
def test_a_runtime_that_never_ends(runtime):
    with console(runtime, WORDS, more='ready = { delay = "10ms", timeout = "1s" }') as one:
        stand_in(one, runtime, "    time.sleep(1000)")
        start = time.monotonic()
        fails(one)
        assert time.monotonic() - start < 15


@each
def test_what_is_no_terminal_is_not_taken(runtime):
    with console(runtime, WORDS) as one:
        # A pipe, a file, many, none, and a connection that says nothing and stays; then the real one sends its own.
        stand_in(one, runtime, """    kept = []
    def say(text, fds):
        s = socket.socket(socket.AF_UNIX)
        s.connect(words[way + 1])
        kept.append(s)
        if text: socket.send_fds(s, [text], fds)
    r, w = os.pipe()
    say(b'x', [r])
    say(b'x', [os.open('/etc/passwd', os.O_RDONLY)])
    say(b'x', [r] * 100)
    say(b'x' * 100000, [])
    say(b'no descriptor', [])
    time.sleep(0.3)
    for s in kept: s.close()
    os.closerange(r, w + 1)""")
        one.ok("start", "box")
        goes_on(one)
        assert texts(one)[0] == "on a terminal"
        assert masters(one.where()["anchor_pid"]) == 1


@each
def test_a_place_longer_than_an_address(runtime):
    name = "a-name-so-long-that-no-socket-can-have-it-in-its-address"
    toml = f'[services.{name}]\noci = {{ bundle = "box", runtime = "{runtime}" }}\nautostart = false\nrestart = "never"\n'
    with instance(toml, up=False) as one:
        containers.make_bundle(one.folder / "box", "", **terminal("echo here; exec sleep 1000"))
        up = one.up()
        assert up.returncode == 0, up.stderr
        one.ok("start", name)
        until(lambda: "here" in one.ok("logs", name))
        one.ok("down", "--timeout", "3s")
