"""Hooks of config.json that run after the create: they fail or hang, and no container, control group or process is left."""
import pathlib
import time

from harness import alive, until

import containers
from oci_test import LONG, box, each, events, hooks

HANGS = "echo $$ > %s; exec sleep 1000"


def hung(one):
    """The pid of the hook, once it hangs."""
    file = one.folder / "hook"
    until(lambda: file.exists() and file.read_text().strip(), 5)
    return int(file.read_text())


def write_hook(one, kind, script):
    containers.make_bundle(one.folder / "box", LONG, **hooks(kind, script))


def nothing_is_left(one, runtime):
    assert containers.known(runtime) == [], "a container is left"
    assert containers.groups() == [], "a control group is left"
    where = one.where()
    own = {where["anchor_pid"], where["manager_pid"], where["logger_pid"]}
    anchor = pathlib.Path(f"/proc/{where['anchor_pid']}/task/{where['anchor_pid']}/children")
    until(lambda: {int(p) for p in anchor.read_text().split()} <= own, 3)


@each
def test_a_poststop_hook_that_hangs(runtime):
    """The delete is ended with its hook, done again without, and what happened is told."""
    with box(runtime, LONG, more='hook-timeout = "1s"') as one:
        write_hook(one, "poststop", HANGS % (one.folder / "hook"))
        one.ok("start", "box")
        start = time.monotonic()
        one.ok("stop", "box")
        assert time.monotonic() - start < 20
        assert not alive(hung(one))
        nothing_is_left(one, runtime)
        stopped = [e for e in one.events() if e["type"] == "abide.service.stopped"][-1]
        assert "hook-timeout" in stopped["data"]["detail"], stopped
        assert "hook-timeout" in one.ok("why", "box")
        # And the service is as good as before.
        write_hook(one, "poststop", "exit 0")
        one.ok("start", "box")
        one.ok("stop", "box")
        stopped = [e for e in one.events() if e["type"] == "abide.service.stopped"][-1]
        assert "hook-timeout" not in stopped["data"].get("detail", ""), stopped


@each
def test_a_poststop_hook_that_fails(runtime):
    with box(runtime, LONG) as one:
        write_hook(one, "poststop", "exit 3")
        one.ok("start", "box")
        one.ok("stop", "box")
        assert one.state("box") == "inactive"
        nothing_is_left(one, runtime)


@each
def test_a_force_destroy_while_a_poststop_hook_hangs(runtime):
    with box(runtime, LONG, more='hook-timeout = "30s"') as one:
        write_hook(one, "poststop", HANGS % (one.folder / "hook"))
        one.ok("start", "box")
        one.ok("stop", "box", "--no-wait")
        hook = hung(one)
        one.ok("force-destroy", "box")
        assert not alive(hook)
        nothing_is_left(one, runtime)


@each
def test_hooks_of_the_start_that_fail(runtime):
    for kind in ("startContainer", "poststart"):
        with box(runtime, LONG) as one:
            write_hook(one, kind, "exit 3")
            one.run("start", "box")
            # What a runtime makes of it is its own affair (crun goes on); what it leaves is ours.
            until(lambda: one.state("box") in ("failed", "running"))
            one.ok("stop", "box")
            nothing_is_left(one, runtime)


@each
def test_hooks_of_the_start_that_hang(runtime):
    for kind in ("startContainer", "poststart"):
        with box(runtime, LONG, more='ready = { delay = "10ms", timeout = "1s" }') as one:
            # A startContainer hook runs in the container.
            write_hook(one, kind, HANGS % ("/tmp/hook" if kind == "startContainer" else one.folder / "hook"))
            started = one.run("start", "box")
            told = events(one)
            # See "Services that are containers" in docs/reference.md.
            early = runtime == "crun" and kind == "startContainer"
            assert started.returncode == (0 if early else 1), (kind, started)
            assert ("service.ready" in told) == early, (kind, told)
            if early:
                one.ok("stop", "box")
            else:
                one.reaches("box", "failed")
                assert "too long" in one.ok("why", "box")
            nothing_is_left(one, runtime)
