"""The words of sd_notify(3), said by real programs."""
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
