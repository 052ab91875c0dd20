"""A pause is told when all of the service stands still, and a freeze that can't be done, or is not done in time, fails it."""
import contextlib
import pathlib
import subprocess

from harness import instance, needs_root, skip, until

import containers

WEB = '[services.web]\ncommand = ["sleep", "1000"]\nwatchdog = "1h"\n'


def leaf_of(one):
    pid = one.status("web")["pid"]
    line = next(l for l in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines() if l.startswith("0::"))
    return pathlib.Path("/sys/fs/cgroup" + line[3:])


@contextlib.contextmanager
def web():
    needs_root()
    if not containers.isolated():
        skip("changes mounts: run it by tests/system/run.py")
    containers.make_view()
    with instance(WEB) as one:
        yield one, leaf_of(one)


@contextlib.contextmanager
def covered(file, by):
    subprocess.run(["mount", "--bind", str(by), str(file)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(file)], check=True)


@contextlib.contextmanager
def never_frozen(one, leaf):
    """The file takes the word and does nothing: what it was told."""
    idle = one.folder / "idle"
    idle.write_text("0")
    with covered(leaf / "cgroup.freeze", idle):
        yield idle


def told(one):
    return [e["type"] for e in one.events() if e["type"].endswith("paused")]


def pauses(one, leaf):
    one.ok("pause", "web")
    assert one.state("web") == "paused" and "frozen 1" in (leaf / "cgroup.events").read_text()
    assert told(one) == ["abide.service.paused"]
    one.ok("unpause", "web")
    assert one.state("web") == "running" and "frozen 0" in (leaf / "cgroup.events").read_text()


def fails(one, word):
    paused = one.run("pause", "web")
    assert paused.returncode == 1 and word in paused.stderr, paused
    assert one.state("web") == "running" and told(one) == []


def test_a_freeze_that_is_refused():
    with web() as (one, leaf):
        with covered(leaf / "cgroup.freeze", "/dev/full"):
            fails(one, "could not be paused")
        pauses(one, leaf)


def test_a_freeze_that_takes_too_long():
    with web() as (one, leaf):
        with never_frozen(one, leaf):
            early = one.run("pause", "web", "--timeout", "200ms")
            assert early.returncode == 6 and told(one) == [], early
            fails(one, "in time")
        pauses(one, leaf)


def test_a_manager_that_dies_while_it_freezes():
    with web() as (one, leaf):
        with never_frozen(one, leaf) as idle:
            one.ok("pause", "web", "--no-wait")
            until(lambda: idle.read_text() == "1")
            assert told(one) == []
        where = one.where()
        subprocess.run(["kill", "-KILL", str(where["manager_pid"])], check=True)
        one.reaches("web", "paused")
        assert "frozen 1" in (leaf / "cgroup.events").read_text() and told(one) == ["abide.service.paused"]
        one.ok("unpause", "web")
