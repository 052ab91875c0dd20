"""What the supervisor stands on is taken away: its programs, the C library and the loader, the file system it came from; and its
anchor is replaced.  Services are not touched, and a manager that dies comes back all the same."""
import contextlib
import ctypes
import glob
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import harness
from harness import BIN, instance, needs_root, until
from sweep import Stepper
from upgrade_test import TOML, expect, generation, pids, running

MS_BIND, MNT_DETACH = 4096, 2
libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind=None, flags=0):
    done = libc.mount(str(source).encode(), str(target).encode(), kind and kind.encode(), ctypes.c_ulong(flags), None)
    assert done == 0, os.strerror(ctypes.get_errno())


@contextlib.contextmanager
def programs(folder):
    """The programs of Abide as copies in a folder of their own."""
    for name in ("abide", "abide-manager", "abide-hold"):
        shutil.copy(BIN / name, folder / name)
    before, harness.BIN = harness.BIN, folder
    try:
        yield folder
    finally:
        harness.BIN = before


def kill_manager(one):
    old = one.where()["manager_pid"]
    os.kill(old, signal.SIGKILL)
    until(lambda: one.where()["manager_pid"] not in (0, old))


def test_the_anchor_is_replaced():
    with running() as one:
        before, anchor = pids(one), one.where()["anchor_pid"]
        for _ in range(5):
            expect(one, 0, "--anchor")
        assert generation(one)["anchor_execs"] == 5 and one.where()["anchor_pid"] == anchor
        expect(one, 7, "--anchor", "--to", "/bin/true", word="no anchor")
        kill_manager(one)
        assert generation(one)["anchor_execs"] == 5 and pids(one) == before
        os.kill(before["child"][0], signal.SIGKILL)
        until(lambda: one.status("child")["pid"] not in (None, before["child"][0]))
        assert one.status("child")["last_exit"]["signal"] == "KILL"


def pending(pid):
    """Signals that wait for a process, as a mask."""
    return int(re.search(r"^ShdPnd:\s*(\w+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1], 16)


def test_a_manager_that_stops_while_the_anchor_is_replaced_is_found():
    """The old anchor was told that it stopped, and the new one is not told again."""
    with running() as one:
        before, anchor, manager = pids(one), one.where()["anchor_pid"], one.where()["manager_pid"]
        rehearsal = Stepper(anchor, "child", "stop", 1)
        asked = subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), "upgrade", "--anchor"], stderr=subprocess.DEVNULL)
        calls, number = rehearsal.end(5)
        assert number >= 0
        os.kill(manager, signal.SIGSTOP)
        until(lambda: not pending(anchor))
        for child in pathlib.Path(f"/proc/{anchor}/task/{anchor}/children").read_text().split():
            if int(child) != manager:
                os.kill(int(child), signal.SIGCONT)
        until(lambda: one.where()["manager_pid"] not in (0, manager), 20)
        asked.wait(20)
        assert generation(one)["anchor_execs"] == 1 and pids(one) == before


def test_the_anchor_is_replaced_under_load():
    toml = TOML + "".join(f"""
[services.busy{i}]
command = ["sh", "-c", "exit {i}"]
restart = "always"
restart-delay = "20ms"
restart-limit = {{ count = 10000, within = "60s" }}
autostart = false
""" for i in range(1, 9))
    with running(toml) as one:
        before = pids(one)["plain"]
        one.ok("start", "--no-wait", *(f"busy{i}" for i in range(1, 9)))
        for round_ in range(20):
            expect(one, 0, "--anchor")
            if round_ % 5 == 4:
                kill_manager(one)
        for i in range(1, 9):
            until(lambda i=i: one.status(f"busy{i}")["restarts"] >= 10, 20)
            assert one.status(f"busy{i}")["last_exit"]["code"] == i, "a status was lost or given to another one"
        assert pids(one)["plain"] == before


def test_its_own_files_are_removed():
    folder = pathlib.Path(harness.tempfile.mkdtemp(prefix="abide-programs-"))
    with programs(folder), instance(TOML) as one:
        until(lambda: one.state("plain") == "running")
        harness.BIN = BIN
        before = pids(one)
        shutil.rmtree(folder)
        kill_manager(one)
        assert pids(one) == before and "deleted" in generation(one)["program"]
        expect(one, 0, "--to", str(BIN), "--probation", "0s")
        kill_manager(one)
        assert pids(one) == before and "deleted" not in generation(one)["program"]


def test_its_file_is_replaced_half_written():
    folder = pathlib.Path(harness.tempfile.mkdtemp(prefix="abide-programs-"))
    with programs(folder), instance(TOML) as one:
        until(lambda: one.state("plain") == "running")
        harness.BIN = BIN
        before = pids(one)
        half = folder / "half"
        half.write_bytes((BIN / "abide-manager").read_bytes()[:100_000])
        half.chmod(0o755)
        half.rename(folder / "abide-manager")  # as package managers do
        kill_manager(one)
        expect(one, 7, "--to", str(folder / "abide-manager"), word="cut off")
        kill_manager(one)
        assert pids(one) == before
        shutil.rmtree(folder)


def test_the_file_system_is_unmounted():
    needs_root()
    folder = pathlib.Path(harness.tempfile.mkdtemp(prefix="abide-programs-"))
    mount("tmpfs", folder, "tmpfs")
    with programs(folder), instance(TOML) as one:
        until(lambda: one.state("plain") == "running")
        harness.BIN = BIN
        before = pids(one)
        assert libc.umount2(str(folder).encode(), MNT_DETACH) == 0
        kill_manager(one)
        expect(one, 0, "--to", str(BIN), "--probation", "0s")
        assert pids(one) == before
    folder.rmdir()


def test_the_c_library_and_the_loader_are_gone():
    needs_root()
    with running() as one:
        before = pids(one)
        nothing = one.folder / "nothing"
        nothing.write_text("")
        victims = [pathlib.Path(p).resolve() for pattern in ("/lib*/ld-linux*", "/lib/*/libc.so.6", "/lib/*/libstdc++.so.6",
                                                             "/usr/lib/*/libstdc++.so.6", "/lib/*/libgcc_s.so.1")
                   for p in glob.glob(pattern)]
        hidden = []
        try:
            for victim in dict.fromkeys(victims):
                mount(nothing, victim, None, MS_BIND)
                hidden.append(victim)
            try:
                broken = subprocess.run(["/bin/true"], check=False).returncode
            except OSError:
                broken = 1
            assert broken != 0, "the C library is still there"
            kill_manager(one)
            expect(one, 0, "--probation", "0s")
            expect(one, 0, "--anchor")
            kill_manager(one)
            assert pids(one) == before
            one.ok("stop", "child")
            assert json.loads(one.ok("status", "--json"))[0]["state"] in ("inactive", "completed", "running")
        finally:
            for victim in hidden:
                assert libc.umount2(str(victim).encode(), MNT_DETACH) == 0
