"""The words of sd_notify(3), said by real programs."""
import os
import time

from harness import instance, until

SPEAK = """import array, os, select, signal, socket, sys, time
def tell(text, *fds):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ["NOTIFY_SOCKET"])
    s.sendmsg([text.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
    s.close()
def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
def on(number, what):
    signal.signal(number, lambda *_: what())
def sleep():
    while True:
        time.sleep(1000)
"""


def speaker(program, more="", ready="notify = true"):
    toml = f'[services.a]\ncommand = ["python3", "a.py"]\nready = {{ {ready} }}\n{more}\n'
    return instance(toml, {"a.py": SPEAK + program})


def words(one, name="a"):
    return [e["type"].rsplit(".", 1)[1] for e in one.events() if e.get("subject") == name]


RELOADS = """def reload():
    tell("RELOADING=1\\nMONOTONIC_USEC=%d" % now())
    time.sleep(1.5)
    open("reloaded", "w").close()
    tell("READY=1")
on(signal.SIGHUP, reload)
tell("READY=1")
sleep()
"""


def test_a_reload_by_signal_waits_for_its_end():
    with speaker(RELOADS, 'reload = { signal = "HUP" }') as one:
        one.ok("reload", "a")
        assert (one.folder / "reloaded").exists() and one.state("a") == "running"
        assert [w for w in words(one) if w.startswith("relo")] == ["reloading", "reloaded"], words(one)


def test_a_reload_that_never_ends_has_failed():
    with speaker(RELOADS.replace("1.5", "100"), 'reload = { signal = "HUP", timeout = "1s" }') as one:
        result = one.run("reload", "a")
        assert result.returncode == 1 and "READY=1" in result.stderr, result
        assert one.state("a") == "running"


def test_a_reload_by_signal_of_one_that_says_nothing():
    program = 'on(signal.SIGHUP, lambda: open("reloaded", "w").close())\ntell("READY=1")\nsleep()\n'
    with speaker(program, 'reload = { signal = "HUP" }') as one:
        start = time.monotonic()
        one.ok("reload", "a")
        assert time.monotonic() - start < 5
        until(lambda: (one.folder / "reloaded").exists())
        assert words(one)[-2:] == ["reloading", "reloaded"]


def test_what_was_said_of_an_earlier_reload_does_not_end_this_one():
    old = RELOADS.replace('    tell("RELOADING=1', '    tell("RELOADING=1\\nMONOTONIC_USEC=1")\n    tell("READY=1")\n'
                          '    time.sleep(0.1)\n    tell("RELOADING=1')
    with speaker(old, 'reload = { signal = "HUP" }') as one:
        one.ok("reload", "a")
        assert (one.folder / "reloaded").exists()
        assert [w for w in words(one) if w.startswith("relo")] == ["reloading", "reloaded"], words(one)


def test_a_reload_by_command_waits_for_what_it_set_off():
    command = 'reload = { command = ["sh", "-c", "kill -HUP $MAINPID; sleep 0.5"] }'
    with speaker(RELOADS, command) as one:
        one.ok("reload", "a")
        assert (one.folder / "reloaded").exists()
        assert [w for w in words(one) if w.startswith("relo")] == ["reloading", "reloaded"], words(one)


def test_a_barrier_is_let_go_after_what_was_said_before_it():
    """Its descriptor is closed only when the status has been taken in."""
    program = """def barrier():
    tell("STATUS=before the barrier")
    read, write = os.pipe()
    tell("BARRIER=1", write)
    os.close(write)
    poll = select.poll()
    poll.register(read, select.POLLHUP)
    open("passed" if poll.poll(5000) else "hung", "w").close()
on(signal.SIGUSR1, barrier)
tell("READY=1")
sleep()
"""
    with speaker(program) as one:
        one.ok("kill", "a", "--signal", "USR1")
        until(lambda: (one.folder / "passed").exists() or (one.folder / "hung").exists())
        assert (one.folder / "passed").exists()
        assert "before the barrier" in one.ok("status", "a")


def test_a_start_is_given_more_time():
    program = 'tell("EXTEND_TIMEOUT_USEC=5000000")\ntime.sleep(1.5)\ntell("READY=1")\nsleep()\n'
    with speaker(program, ready='notify = true, timeout = "1s"') as one:
        assert one.status("a")["run"] == 1 and one.status("a")["restarts"] == 0


def test_a_stop_is_given_more_time():
    program = """def end():
    tell("EXTEND_TIMEOUT_USEC=5000000")
    time.sleep(1)
    open("ended", "w").close()
    os._exit(0)
on(signal.SIGTERM, end)
tell("READY=1")
sleep()
"""
    with speaker(program, 'stop = { timeout = "400ms" }') as one:
        one.ok("stop", "a")
        assert (one.folder / "ended").exists() and one.status("a")["last_exit"]["code"] == 0


def test_one_that_says_it_stops_is_draining():
    program = 'on(signal.SIGUSR1, lambda: tell("STOPPING=1"))\ntell("READY=1")\nsleep()\n'
    with speaker(program) as one:
        assert "draining" not in one.status("a")["conditions"]
        one.ok("kill", "a", "--signal", "USR1")
        until(lambda: "draining" in one.status("a")["conditions"])
        assert one.state("a") == "running"


def test_another_main_process_of_its_own():
    program = """child = os.fork()
if child == 0:
    sleep()
tell("MAINPID=%d\\nREADY=1" % child)
open("child", "w").write(str(child))
time.sleep(0.5)
os._exit(3)
"""
    with speaker(program) as one:
        until(lambda: (one.folder / "child").exists() and (one.folder / "child").read_text())
        child = int((one.folder / "child").read_text())
        until(lambda: one.status("a")["pid"] == child)
        time.sleep(1)
        # The end of the first one says nothing any more.
        assert one.state("a") == "running" and one.status("a")["restarts"] == 0
        os.kill(child, 9)
        until(lambda: one.status("a")["restarts"] == 1)


def test_a_main_process_of_somebody_else_is_not_taken():
    with speaker('tell("MAINPID=%d\\nREADY=1" % os.getppid())\nsleep()\n') as one:
        command = open(f"/proc/{one.status('a')['pid']}/cmdline").read()
        assert "a.py" in command and "is not a process of this service" in one.supervisor_log()


def test_a_service_sets_its_own_watchdog():
    program = 'tell("READY=1\\nWATCHDOG_USEC=300000")\nfor _ in range(12):\n    time.sleep(0.1)\n    tell("WATCHDOG=1")\nsleep()\n'
    with speaker(program, 'watchdog = "100s"') as one:
        time.sleep(0.8)
        assert one.status("a")["restarts"] == 0
        until(lambda: one.status("a")["restarts"] >= 1)
        assert "watchdog" in one.ok("why", "a")


CHILD = """import os, signal, time
def note(name):
    def write(*_):
        open(name, "w").close()
        if name == "main":
            os._exit(0)
    return write
name = "main" if os.fork() else "child"
signal.signal(signal.SIGTERM, note(name))
open(name + ".up", "w").write(str(os.getpid()))
while True:
    time.sleep(1000)
"""


def stop_with(scope):
    toml = f'[services.a]\ncommand = ["python3", "a.py"]\nstop = {{ scope = "{scope}", timeout = "500ms" }}\n'
    return instance(toml, {"a.py": CHILD})


def test_a_mixed_stop_signals_the_main_process_and_kills_all():
    with stop_with("mixed") as one:
        until(lambda: all((one.folder / f"{who}.up").exists() and (one.folder / f"{who}.up").read_text() for who in ("main", "child")))
        child = int((one.folder / "child.up").read_text())
        one.ok("stop", "a")
        assert (one.folder / "main").exists() and not (one.folder / "child").exists()
        until(lambda: not os.path.exists(f"/proc/{child}"))
        assert one.status("a")["last_exit"]["code"] == 0


def test_a_stop_of_all_signals_the_child_as_well():
    with stop_with("all") as one:
        until(lambda: all((one.folder / f"{who}.up").exists() for who in ("main", "child")))
        one.ok("stop", "a")
        assert (one.folder / "main").exists() and (one.folder / "child").exists()
