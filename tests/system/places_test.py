"""Where an instance lives: as process 1, without descriptors, beside another one, where somebody has planted things."""
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import time

from harness import BIN, Instance, alive, instance, until, needs_root, skip

CALM = '[services.calm]\ncommand = ["sleep", "1000"]\n'
ORPHANS = '[services.orphans]\ncommand = ["sh", "-c", "for i in 1 2 3 4 5; do (sleep 0.1 & ) ; done; exec sleep 1000"]\n'


def as_process_one(one, *words):
    """The anchor is process 1 of a pid namespace; what it prints goes to a file."""
    output = open(one.folder / "output", "w")
    return subprocess.Popen(["unshare", "-pf", "--kill-child", "--mount-proc", str(BIN / "abide"), "-C", str(one.folder), "up",
                             *words], stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def child_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        found = children.read().split()
    return int(found[0]) if found else None


def test_as_process_one_of_a_container():
    needs_root()
    one = Instance(CALM + ORPHANS)
    outer = as_process_one(one)
    try:
        until(lambda: one.run("status").returncode == 0)
        one.reaches("calm", "running")
        one.reaches("orphans", "running")
        first = child_of(outer.pid)
        with open(f"/proc/{first}/status") as status:
            text = status.read()
        assert "NSpid:" in text and text.split("NSpid:")[1].splitlines()[0].split()[-1] == "1", text
        with open(f"/proc/{first}/cmdline", "rb") as words:
            assert words.read().startswith(b"abide-anchor"), "the anchor itself is process 1"
        time.sleep(0.4)
        zombies = [p for p in children_of(first) if state_of(p) == "Z"]
        assert not zombies, "orphans are reaped"
        # The manager dies; the container lives on.
        manager = one.where()["manager_pid"]
        inner = pid_outside(first, manager)
        os.kill(inner, signal.SIGKILL)
        until(lambda: one.where()["manager_pid"] != manager)
        start = time.monotonic()
        os.kill(first, signal.SIGTERM)
        assert outer.wait(15) == 0, (one.folder / "output").read_text()
        assert time.monotonic() - start < 1.5, "nobody waits for the printer"
    finally:
        outer.kill()
        outer.wait()
        one.close()


def test_a_second_signal_shortens_the_stop_of_process_one():
    needs_root()
    one = Instance('[services.deaf]\ncommand = ["sh", "-c", "trap : TERM; while :; do sleep 0.1; done"]\nstop = { timeout = "60s" }\n')
    outer = as_process_one(one)
    try:
        until(lambda: one.run("status").returncode == 0)
        one.reaches("deaf", "running")
        time.sleep(0.2)
        first = child_of(outer.pid)
        start = time.monotonic()
        os.kill(first, signal.SIGTERM)
        time.sleep(0.5)
        assert outer.poll() is None
        os.kill(first, signal.SIGTERM)
        outer.wait(20)
        assert time.monotonic() - start < 15
    finally:
        outer.kill()
        outer.wait()
        one.close()


def test_an_essential_service_gives_the_container_its_status():
    needs_root()
    one = Instance('[services.job]\ncommand = ["sh", "-c", "sleep 0.3; exit 9"]\nrestart = "never"\nessential = true\n')
    outer = as_process_one(one)
    try:
        assert outer.wait(20) == 9, (one.folder / "output").read_text()
    finally:
        outer.kill()
        outer.wait()
        one.close()


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(p) for p in children.read().split()]


def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


def pid_outside(first, inner):
    """Our pid of a child of `first` that is `inner` in its own namespace."""
    for pid in children_of(first):
        with open(f"/proc/{pid}/status") as status:
            if status.read().split("NSpid:")[1].splitlines()[0].split()[-1] == str(inner):
                return pid
    raise AssertionError(f"no child {inner}")


def test_started_with_descriptors_closed():
    closings = ("<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-")
    for closing in closings:
        with instance('[services.a]\ncommand = ["sh", "-c", "ls -l /proc/self/fd > fds; echo out; exec sleep 1000"]\n',
                      up=False) as one:
            subprocess.run(["sh", "-c", f"exec {BIN}/abide -C {one.folder} up --detach {closing}"], timeout=20,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            assert one.state("a") == "running", closing
            until(lambda: "out" in one.ok("logs", "a"))
            listing = (one.folder / "fds").read_text()
            assert " 0 -> /dev/null" in listing and " 3 -> /proc/" in listing, f"{closing}: {listing}"
            assert " 4 ->" not in listing, f"{closing}: {listing}"
            for pid in (one.where()["anchor_pid"], one.where()["manager_pid"]):
                for fd in "012":
                    assert os.readlink(f"/proc/{pid}/fd/{fd}"), f"{closing}: {fd} of {pid} is open"


def test_two_instances_of_two_projects_at_once():
    with instance(CALM) as one, instance(CALM) as two:
        assert one.where()["runtime"] != two.where()["runtime"]
        pids = one.status("calm")["pid"], two.status("calm")["pid"]
        assert pids[0] != pids[1]
        one.ok("down")
        assert two.state("calm") == "running" and two.status("calm")["pid"] == pids[1] and not alive(pids[0])


def test_down_leaves_no_lock_and_up_takes_it_again():
    with instance(CALM) as one:
        runtime = pathlib.Path(one.where()["runtime"])
        locks = [p for p in runtime.iterdir() if "lock" in p.name]
        assert locks, "it is locked while it runs"
        one.ok("down")
        assert not [p for p in runtime.iterdir() if p.name in (locks[0].name, "control", "notify")], list(runtime.iterdir())
        for _ in range(5):  # down and up in a race: one of them has it, never two
            ups = [subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), "up", "--detach"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(3)]
            assert 0 in [p.wait(20) for p in ups]
            anchors = [p for p in os.listdir("/proc") if p.isdigit() and words_of(p).startswith(b"abide-anchor")]
            assert len(anchors) == 1, anchors
            one.ok("down")


def test_what_a_project_that_is_gone_left_is_taken_away():
    gone, kept, runs, last = [Instance(CALM) for _ in range(4)]
    try:
        for one in (gone, kept, runs, last):
            assert one.up().returncode == 0
        places = {one: pathlib.Path(one.where()["runtime"]) for one in (gone, kept, runs)}
        for one in (gone, kept):
            one.ok("down")
            assert (places[one] / "events").is_dir(), "they can still be read"
        shutil.rmtree(gone.folder)
        shutil.rmtree(runs.folder)
        last.ok("down")
        assert not places[gone].exists() and (places[kept] / "events").is_dir() and (places[runs] / "control").exists()
    finally:
        runs.folder.mkdir(exist_ok=True)
        runs.config.write_text(CALM)
        for one in (kept, runs, last):
            one.close()


def words_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def test_planted_links_in_the_runtime_folder():
    one = Instance(CALM)
    try:
        assert one.up().returncode == 0
        runtime = pathlib.Path(one.where()["runtime"])
        one.ok("down")
        victim = one.folder / "victim"
        victim.mkdir(mode=0o700)
        (victim / "kept").write_text("untouched")
        for name in ("control", "notify", "events", "lock"):
            for old in (runtime / name,):
                if old.is_dir() and not old.is_symlink():
                    subprocess.run(["rm", "-r", str(old)], check=True)
                elif old.exists() or old.is_symlink():
                    old.unlink()
            (runtime / name).symlink_to(victim / "kept" if name in ("control", "lock") else victim)
            result = one.up()
            assert result.returncode in (0, 1, 7), result
            if result.returncode:
                assert len(result.stderr.splitlines()) == 1, result.stderr
            one.run("down")
            assert [p.name for p in victim.iterdir()] == ["kept"], f"{name}: {list(victim.iterdir())}"
            assert (victim / "kept").read_text() == "untouched", name
            if (runtime / name).is_symlink():
                (runtime / name).unlink()
        assert one.up().returncode == 0
    finally:
        one.close()


def test_planted_links_in_the_log_folder():
    one = Instance('[services.a]\ncommand = ["sh", "-c", "echo secret; exec sleep 100"]\n')
    try:
        victim = one.folder / "victim"
        victim.write_text("untouched")
        log = one.folder / ".abide/log"
        (log / "a").mkdir(parents=True)
        (log / "a/current").symlink_to(victim)
        (log / "supervisor.log").symlink_to(victim)
        result = one.up()
        assert victim.read_text() == "untouched"
        if result.returncode != 0:
            assert "supervisor.log" in result.stderr and len(result.stderr.splitlines()) == 1, result.stderr
            (log / "supervisor.log").unlink()
            assert one.up().returncode == 0
        time.sleep(0.3)
        assert victim.read_text() == "untouched" and one.state("a") == "running"
        one.ok("down")
        (log / "a/current").unlink()
        (log / "a").rmdir()
        outside = one.folder / "outside"
        outside.mkdir()
        (log / "a").symlink_to(outside)
        assert one.up().returncode == 0
        time.sleep(0.3)
        assert not list(outside.iterdir()) and one.state("a") == "running"
    finally:
        one.close()


def test_the_log_of_the_supervisor_is_bounded():
    toml = '[services.a]\ncommand = ["/no/such/program/' + "x" * 180 + '"]\nrestart = "always"\nrestart-delay = "1ms"\n' \
           'restart-limit = { count = 10000, within = "1s" }\nautostart = false\n'
    with instance(CALM + toml) as one:
        log = one.folder / ".abide/log/supervisor.log"
        # As if it had complained for weeks.
        with open(log, "a") as file:
            file.write("abide: an old line\n" * 60_000)
        one.run("start", "a", "--no-wait")
        until(lambda: (one.folder / ".abide/log/supervisor.log.1").exists(), 20)
        one.ok("stop", "a")
        assert log.stat().st_size < 1 << 20
        assert (one.folder / ".abide/log/supervisor.log.1").stat().st_size > 1 << 20
        manager = one.where()["manager_pid"]
        os.kill(manager, signal.SIGKILL)
        until(lambda: "starting the next" in log.read_text(), 5)


class Registers(ctypes.Structure):
    _fields_ = [("word", ctypes.c_ulonglong * 27)]


def make_it_fault(pid):
    """Sends a process to an address where nothing is, as a bug of its own would (ptrace(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    attach, detach, get, put = 16, 17, 12, 13
    if libc.ptrace(attach, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(pid, 0x40000000)
    registers = Registers()
    assert libc.ptrace(get, pid, None, ctypes.addressof(registers)) == 0
    registers.word[15] = 0xffffffffffffffff  # orig_rax: no system call is to be begun again
    registers.word[16] = 8                   # rip
    assert libc.ptrace(put, pid, None, ctypes.addressof(registers)) == 0
    libc.ptrace(detach, pid, None, None)


def test_a_fault_of_the_anchor_is_survived():
    if os.geteuid() != 0 or os.uname().machine != "x86_64":
        skip("needs root and x86-64")
    with instance(CALM + '[services.b]\ncommand = ["sleep", "1000"]\n') as one:
        where = one.where()
        pids = {n: one.status(n)["pid"] for n in ("calm", "b")}
        os.kill(where["anchor_pid"], signal.SIGSEGV)  # sent by somebody: nothing is wrong with it
        time.sleep(0.2)
        assert one.where() == where
        make_it_fault(where["anchor_pid"])
        until(lambda: one.where()["manager_pid"] != where["manager_pid"])
        assert one.where()["anchor_pid"] == where["anchor_pid"]
        assert {n: one.status(n)["pid"] for n in pids} == pids
        os.kill(pids["calm"], signal.SIGKILL)
        until(lambda: one.status("calm")["pid"] not in (None, pids["calm"]))
        assert "fault (SIGSEGV)" in one.supervisor_log()
        one.ok("down")
        assert not alive(where["anchor_pid"])
