"""Ends that come together: the kernel tells the anchor of one of them, and the manager finds the others."""
import errno
import os
import pathlib
import platform
import signal

from harness import alive, instance, until
from last_resort_test import kill_anchor
from sweep import Stepper

MANY = [f"s{i}" for i in range(8)]
TOML = "".join(f'[services.{name}]\ncommand = ["sleep", "1000"]\nrestart = "never"\n' for name in MANY)
WAITID = 247 if platform.machine() == "x86_64" else 95
P_ALL = 0


def is_stopped(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "tT"


def all_are_told(one):
    """The anchor never looks for others than those that signals name."""
    pids, anchor = [one.status(name)["pid"] for name in MANY], one.where()["anchor_pid"]
    os.kill(anchor, signal.SIGSTOP)
    until(lambda: is_stopped(anchor))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in pids))
    looks = Stepper(anchor, "deny-of", WAITID, errno.ECHILD, P_ALL)
    os.kill(anchor, signal.SIGCONT)
    for name in MANY:
        one.reaches(name, "failed")
        assert one.status(name)["last_exit"]["signal"] == "KILL"
    looks.end()
    assert not is_stopped(anchor)


def waked_by_ends(manager):
    """How many processes are in the set that it sleeps on, where its sockets are (proc_pid_fdinfo(5))."""
    links = {fd.name: os.readlink(fd) for fd in pathlib.Path(f"/proc/{manager}/fd").iterdir()}
    for fd in (fd for fd, link in links.items() if "eventpoll" in link):
        lines = pathlib.Path(f"/proc/{manager}/fdinfo/{fd}").read_text().splitlines()
        watched = [links.get(line.split()[1], "") for line in lines if line.startswith("tfd:")]
        if any(link.startswith("socket:") for link in watched):
            return sum("pidfd" in link for link in watched)
    raise AssertionError("it sleeps on no socket")


def test_ends_whose_signals_coalesced_are_told():
    with instance(TOML) as one:
        all_are_told(one)


def test_an_end_wakes_the_manager_once():
    """The anchor tells it; the pidfds, of an earlier manager's processes as well, are looked at only then."""
    with instance(TOML) as one:
        manager = one.where()["manager_pid"]
        assert waked_by_ends(manager) == 0
        os.kill(manager, signal.SIGKILL)
        until(lambda: one.where()["manager_pid"] not in (0, manager))
        until(lambda: all(one.state(name) == "running" for name in MANY))
        assert waked_by_ends(one.where()["manager_pid"]) == 0
        kill_anchor(one)  # the next one is not their parent
        until(lambda: waked_by_ends(one.where()["manager_pid"]) == len(MANY))


def test_those_of_an_earlier_manager_as_well():
    with instance(TOML) as one:
        manager = one.where()["manager_pid"]
        os.kill(manager, signal.SIGKILL)
        until(lambda: one.where()["manager_pid"] not in (0, manager))
        all_are_told(one)
