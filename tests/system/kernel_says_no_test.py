"""The kernel says no: seccomp filters in front, no memory, no processes, no descriptors, no disk, no control groups."""
import contextlib
import ctypes
import json
import os
import pathlib
import resource
import signal
import struct
import subprocess
import sys
import time

from harness import BIN, Instance, alive, instance, until, needs_root, skip

CALM = '[services.calm]\ncommand = ["sleep", "1000"]\n'
STACK = CALM + "".join(f'[services.s{i}]\ncommand = ["sleep", "1000"]\n' for i in range(10))
CLONE, CLONE3, CLOSE_RANGE, UNSHARE, MOUNT, KCMP = 56, 435, 436, 272, 165, 312
ENOSYS, EPERM, EAGAIN, ENOMEM = 38, 1, 11, 12
CLONE_VM = 0x100
X86 = os.uname().machine == "x86_64"  # the numbers above are of that table


def instruction(code, true, false, value):
    return struct.pack("HBBI", code, true, false, value)


def filter_program(refused, clone_vm=None):
    """seccomp(2): each number of `refused` gives its errno; with clone_vm, clone(2) with CLONE_VM gives that errno."""
    load, equal, mask, give = 0x20, 0x15, 0x54, 0x06
    program = b""
    for number, err in refused.items():
        program += instruction(load, 0, 0, 0) + instruction(equal, 0, 1, number)
        program += instruction(give, 0, 0, 0x50000 | err)
    if clone_vm is not None:
        program += instruction(load, 0, 0, 0) + instruction(equal, 0, 4, CLONE)
        program += instruction(load, 0, 0, 16) + instruction(mask, 0, 0, CLONE_VM) + instruction(equal, 0, 1, CLONE_VM)
        program += instruction(give, 0, 0, 0x50000 | clone_vm)
    return program + instruction(give, 0, 0, 0x7fff0000)


def with_filter(program):
    """For preexec_fn: from here on the filter holds for the process and all that come from it."""
    def install():
        libc = ctypes.CDLL(None, use_errno=True)
        text = ctypes.create_string_buffer(program)
        header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(text))
        if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, header, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
    return install


def up_behind(one, refused):
    return subprocess.run([str(BIN / "abide"), "-C", str(one.folder), "up", "--detach"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=30, preexec_fn=with_filter(filter_program(refused)))


def works_behind(refused):
    if not X86:
        skip("the filter is written for x86-64")
    with instance(STACK, up=False) as one:
        result = up_behind(one, refused)
        assert result.returncode == 0, result.stderr + one.supervisor_log()
        pids = {f"s{i}": one.status(f"s{i}")["pid"] for i in range(10)}
        with open(f"/proc/{pids['s1']}/status") as status:
            assert "Seccomp:\t2" in status.read(), "the filter is there"
        os.kill(one.where()["manager_pid"], signal.SIGKILL)
        os.kill(pids["s3"], signal.SIGKILL)
        until(lambda: one.status("s3")["pid"] not in (None, pids["s3"]) and one.state("s3") == "running")
        assert {n: one.status(n)["pid"] for n in pids if n != "s3"} == {n: p for n, p in pids.items() if n != "s3"}
        one.ok("down")
        assert not any(alive(p) for p in pids.values())


def test_clone3_is_not_there():
    works_behind({CLONE3: ENOSYS})


def test_clone3_is_not_permitted():
    works_behind({CLONE3: EPERM})


def test_close_range_is_not_there():
    works_behind({CLOSE_RANGE: ENOSYS})


def test_a_profile_like_that_of_docker():
    works_behind({CLONE3: ENOSYS, CLOSE_RANGE: EPERM, UNSHARE: EPERM, MOUNT: EPERM, KCMP: EPERM})


def no_process(err, word):
    """The manager can't make processes (the command line, which starts as it does, is already there)."""
    if not X86:
        skip("the filter is written for x86-64")
    with instance(CALM + 'restart = "never"\n', up=False) as one:
        words = open(one.folder / "output", "w")
        process = subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), "up", "--init"], stdout=words, stderr=words,
                                   preexec_fn=with_filter(filter_program({CLONE3: ENOSYS}, err)))
        until(lambda: one.run("status").returncode == 0)
        one.reaches("calm", "failed")
        why = one.ok("why", "calm")
        assert "clone" in why and word in why, why
        one.ok("down")
        assert process.wait(10) == 0


def test_no_process_to_be_had():
    no_process(EAGAIN, "temporarily unavailable")


def test_no_memory_for_a_process():
    no_process(ENOMEM, "memory")


def test_no_process_for_a_moment():
    """The restart policy is the answer to a refusal that passes."""
    pids = pathlib.Path("/sys/fs/cgroup/pids")
    if not (pids / "cgroup.procs").exists() or not os.access(pids, os.W_OK):
        skip("no pids controller of version 1 here")
    narrow = pids / f"abide-test-{os.getpid()}-{time.monotonic_ns()}"
    narrow.mkdir()
    with instance(CALM) as one:
        try:
            manager = one.where()["manager_pid"]
            (narrow / "cgroup.procs").write_text(str(manager))
            (narrow / "pids.max").write_text("1")
            old = one.status("calm")["pid"]
            os.kill(old, signal.SIGKILL)
            until(lambda: one.state("calm") == "backoff")
            assert "clone" in one.ok("why", "calm"), one.ok("why", "calm")
            assert one.where()["manager_pid"] == manager
            (narrow / "pids.max").write_text("max")
            one.reaches("calm", "running", 20)
        finally:
            for pid in (narrow / "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):
                    (pids / "cgroup.procs").write_text(pid)
            one.ok("down")
            with contextlib.suppress(OSError):
                narrow.rmdir()


def test_no_descriptors():
    """Beyond its budget the manager refuses services, with the reason, and serves whom it can."""
    toml = CALM + "".join(f'[services.s{i}]\ncommand = ["sleep", "1000"]\nautostart = false\nrestart = "never"\n' for i in range(40))
    with instance(toml) as one:
        manager = one.where()["manager_pid"]
        calm = one.status("calm")["pid"]
        old = resource.prlimit(manager, resource.RLIMIT_NOFILE)
        highest = max(map(int, os.listdir(f"/proc/{manager}/fd")))
        resource.prlimit(manager, resource.RLIMIT_NOFILE, (highest + 60, old[1]))
        names = [f"s{i}" for i in range(40)]
        result = one.run("start", *names, timeout=60)
        assert result.returncode == 1, result
        states = [one.state(name) for name in names]
        assert "running" in states and "failed" in states, states
        refused = names[states.index("failed")]
        why = one.ok("why", refused)
        assert "descriptors are in use" in why and str(highest + 60) in why, why
        assert one.status("calm")["pid"] == calm and alive(calm)
        assert one.where()["manager_pid"] == manager, "it did not die of it"
        resource.prlimit(manager, resource.RLIMIT_NOFILE, old)
        one.ok("start", refused)
        assert one.state(refused) == "running"


@contextlib.contextmanager
def small_disk(path, size):
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0750", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False)


TALK = '[services.talk]\ncommand = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo line $i ' + "x" * 900 + \
       '; sleep 0.002; done"]\nlog = { max-size = "64M", keep = 1 }\n'


def test_the_disk_of_the_logs_is_full():
    needs_root()
    one = Instance(CALM + TALK)
    with small_disk(one.folder / ".abide/log", "256k"):
        try:
            assert one.up().returncode == 0, one.supervisor_log()
            pid = one.status("talk")["pid"]
            folder = one.folder / ".abide/log"
            until(lambda: os.statvfs(folder).f_bavail == 0)
            time.sleep(0.5)
            one.ok("status")
            assert one.status("talk")["pid"] == pid and alive(pid), "it is not stopped by a full disk"
            with open(f"/proc/{pid}/stat") as stat:
                before = stat.read().split()[13:15]
            time.sleep(0.3)
            with open(f"/proc/{pid}/stat") as stat:
                assert stat.read().split()[13:15] >= before, "nor does it hang in a write"
            one.ok("restart", "calm")
            # Room again: the lines go on, and the gap is told.
            subprocess.run(["mount", "-o", "remount,size=8m", str(folder)], check=True)
            size = sum(f.stat().st_size for f in (folder / "talk").iterdir())
            until(lambda: sum(f.stat().st_size for f in (folder / "talk").iterdir()) > size + 5000, 20)
        finally:
            one.close()


def test_the_log_folder_becomes_read_only():
    needs_root()
    one = Instance(CALM + TALK)
    with small_disk(one.folder / ".abide/log", "8m"):
        try:
            assert one.up().returncode == 0
            folder = one.folder / ".abide/log"
            until(lambda: (folder / "talk/current").exists())
            pids = [one.status(n)["pid"] for n in ("calm", "talk")]
            # As when the folder is replaced by something that can't be written, and the logger has to begin anew.
            subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=8m,mode=0750", "tmpfs", str(folder)], check=True)
            logger = one.where()["logger_pid"]
            os.kill(logger, signal.SIGKILL)
            until(lambda: one.where()["logger_pid"] not in (0, logger))
            time.sleep(1)
            one.ok("status")
            one.ok("restart", "calm")
            assert one.state("calm") == "running" and one.status("talk")["pid"] == pids[1] and alive(pids[1])
            # Its output goes to standard error now, as with a read-only project; the next logger looks again.
            subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
            os.kill(one.where()["logger_pid"], signal.SIGKILL)
            until(lambda: (folder / "talk/current").exists() and (folder / "talk/current").stat().st_size > 5000, 25)
            subprocess.run(["umount", "-l", str(folder)], check=True)
        finally:
            one.close()


def test_a_read_only_project_has_no_log_files_and_runs():
    needs_root()
    one = Instance(CALM)
    subprocess.run(["mount", "--bind", str(one.folder), str(one.folder)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(one.folder)], check=True)
    try:
        result = one.up()
        assert result.returncode == 0, result
        assert one.state("calm") == "running"
        assert not (one.folder / ".abide").exists()
    finally:
        one.run("down")
        subprocess.run(["umount", "-l", str(one.folder)], check=False)
        one.close()


def without_control_groups():
    """In a mount namespace of its own, where nothing of /sys/fs/cgroup is left."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    libc.mount(b"none", b"/", None, 0x44000, None)  # private, with all below
    if libc.mount(b"tmpfs", b"/sys/fs/cgroup", b"tmpfs", 0, b"size=4k") != 0:
        raise OSError(ctypes.get_errno(), "mount")



def test_without_control_groups_a_crash_loses_no_session():
    needs_root()
    toml = CALM + '[services.a]\npre-start = [["sh", "-c", "sleep 987 & echo $! > child"]]\n' \
                  'command = ["sh", "-c", "sleep 988 & exec sleep 989"]\n'
    one = Instance(toml)
    try:
        result = subprocess.run([str(BIN / "abide"), "-C", str(one.folder), "up", "--detach"], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, timeout=30, preexec_fn=without_control_groups)
        assert result.returncode == 0, result.stderr + one.supervisor_log()
        assert "tracked by session" in one.supervisor_log()
        left_behind = int((one.folder / "child").read_text())
        main = one.status("a")["pid"]
        until(lambda: sleeping("988"))
        for _ in range(2):
            manager = one.where()["manager_pid"]
            os.kill(manager, signal.SIGKILL)
            until(lambda: one.where()["manager_pid"] != manager)
        assert one.status("a")["pid"] == main and alive(left_behind)
        # Both sessions are still known: the pre-start command's, whose leader is long gone, and the main one's.
        one.ok("stop", "a")
        assert not alive(left_behind) and not alive(main) and not sleeping("988")
        one.ok("start", "a")
        one.ok("force-destroy", "a")
        until(lambda: not sleeping("987") and not sleeping("988") and not sleeping("989"))
    finally:
        one.close()


def sleeping(seconds):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            if file.read() == b"sleep\0" + seconds.encode() + b"\0":
                found.append(pid)
    return found


def test_no_memory_while_services_are_being_started():
    """The OOM killer takes the manager, and with it every child that still shares its memory."""
    memory = pathlib.Path("/sys/fs/cgroup/memory")
    if not (memory / "memory.limit_in_bytes").exists() or not os.access(memory, os.W_OK):
        skip("no memory controller of version 1 here")
    names = [f"s{i}" for i in range(200)]
    toml = CALM + "".join(f'[services.{name}]\ncommand = ["sleep", "1000"]\nautostart = false\n' for name in names)
    narrow = memory / f"abide-test-{os.getpid()}-{time.monotonic_ns()}"
    narrow.mkdir()
    home = next(line.split(":", 2)[2].strip() for line in open("/proc/self/cgroup") if ":memory:" in line)
    with instance(toml) as one:
        try:
            manager = one.where()["manager_pid"]
            calm = one.status("calm")["pid"]
            (narrow / "cgroup.procs").write_text(str(manager))
            # What it has stays where it was charged; from here on it may have this much more.
            (narrow / "memory.limit_in_bytes").write_text(str(512 << 10))
            one.run("start", "--no-wait", *names, timeout=60)
            until(lambda: one.where()["manager_pid"] != manager, 20)
            kills = (narrow / "memory.oom_control").read_text()
            assert "oom_kill 0" not in kills, kills
            assert one.status("calm")["pid"] == calm and alive(calm)
            one.run("start", *names, timeout=60)
            until(lambda: all(s["state"] == "running" for s in json.loads(one.ok("status", "--json"))), 30)
            pids = {s["name"]: s["pid"] for s in json.loads(one.ok("status", "--json"))}
            assert len(set(pids.values())) == len(names) + 1
            one.ok("down", timeout=60)
            assert not sleeping("1000"), "nobody was started twice and lost"
        finally:
            for pid in (narrow / "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):
                    (memory / home.lstrip("/") / "cgroup.procs").write_text(pid)
            until(lambda: not (narrow / "cgroup.procs").read_text().split(), 10)
            with contextlib.suppress(OSError):
                narrow.rmdir()


def test_clocks_of_another_origin():
    """CLOCK_MONOTONIC and CLOCK_BOOTTIME ten days ahead of ours, in a time namespace.  A jump of the wall clock would be the
    machine's own: the simulator makes those (sim/world.cc, up to an hour in one step of fifty), and no deadline may follow."""
    needs_root()
    offset = ["unshare", "--time", "--monotonic", "864000", "--boottime", "864000"]
    if subprocess.run([*offset, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        skip("no time namespaces here")
    toml = CALM + '[services.again]\ncommand = ["sh", "-c", "sleep 0.1; exit 1"]\nrestart-delay = "200ms"\n'
    with instance(toml, up=False) as one:
        result = subprocess.run([*offset, str(BIN / "abide"), "-C", str(one.folder), "up", "--detach"], timeout=30,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert one.run("status").returncode == 0, result
        calm = one.status("calm")["pid"]
        for _ in range(2):
            manager = one.where()["manager_pid"]
            os.kill(manager, signal.SIGKILL)
            until(lambda: one.where()["manager_pid"] != manager)
            assert one.status("calm")["pid"] == calm and alive(calm)
        until(lambda: one.status("again")["restarts"] >= 3)
        os.kill(calm, signal.SIGKILL)
        until(lambda: one.status("calm")["pid"] not in (None, calm) and one.state("calm") == "running")


def group_of(pid):
    with open(f"/proc/{pid}/cgroup") as groups:
        return next(line.strip()[3:] for line in groups if line.startswith("0::"))


def test_a_group_that_nobody_claims_is_removed_by_the_next_manager():
    """As a manager leaves it that was killed after a run was over in the journal, and before its group was removed."""
    mount = next((line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2"), None)
    with instance(CALM) as one:
        if mount is None or "tracked by session" in one.supervisor_log():
            skip("no control groups here")
        calm = one.status("calm")["pid"]
        group = pathlib.Path(mount + group_of(calm))
        left = [group.with_name(name) for name in ("calm+r77.main", "gone%3A+r1.main")]
        for folder in left:
            folder.mkdir()
        manager = one.where()["manager_pid"]
        os.kill(manager, signal.SIGKILL)
        until(lambda: one.where()["manager_pid"] != manager)
        until(lambda: not any(folder.exists() for folder in left))
        assert one.status("calm")["pid"] == calm and group.exists()


def test_groups_of_what_is_over_go_when_it_is_quiet():
    """They are given up at once and removed later; the one that is made again for a command of the same run goes too."""
    mount = next((line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2"), None)
    toml = CALM + '[services.a]\ncommand = ["sleep", "985"]\nrestart-delay = "0s"\npost-stop = [["true"]]\n'
    with instance(toml) as one:
        if mount is None or "tracked by session" in one.supervisor_log():
            skip("no control groups here")
        for _ in range(3):
            before = one.status("a")["pid"]
            os.kill(before, signal.SIGKILL)
            until(lambda: one.status("a")["pid"] not in (None, before) and one.state("a") == "running")
        one.ok("stop", "a")
        calm = pathlib.Path(mount + group_of(one.status("calm")["pid"]))
        until(lambda: [folder.name for folder in calm.parent.glob("*+r*")] == [calm.name])


def test_manager_and_child_are_killed_between_clone_and_exec():
    """What the OOM killer does to a child that still shares the manager's memory: both are gone at once.  A child that is born
    into a frozen group stays in that window for as long as we like."""
    mount = next((line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2"), None)
    with instance(CALM + '[services.a]\ncommand = ["sleep", "986"]\n') as one:
        if mount is None or "tracked by session" in one.supervisor_log():
            skip("no control groups here")
        calm = one.status("calm")["pid"]
        before = one.status("a")
        leaf = pathlib.Path(mount + group_of(before["pid"]))
        leaf = leaf.with_name(f"a+r{before['run'] + 1}.main")  # of the next run
        one.ok("stop", "a")
        leaf.mkdir()
        (leaf / "cgroup.freeze").write_text("1")
        try:
            one.ok("start", "a", "--no-wait")
            born = until(lambda: (leaf / "cgroup.procs").read_text().split())
            manager = one.where()["manager_pid"]
            with open(f"/proc/{born[0]}/cmdline", "rb") as words:
                assert words.read().startswith(b"abide-manager"), "it has not executed yet"
            one.ok("status")  # and it holds up nobody
            os.kill(manager, signal.SIGKILL)
            os.kill(int(born[0]), signal.SIGKILL)
            until(lambda: one.where()["manager_pid"] != manager)
            assert one.status("calm")["pid"] == calm and alive(calm)
        finally:
            with contextlib.suppress(OSError):  # it may be given back already
                (leaf / "cgroup.freeze").write_text("0")
        one.reaches("a", "running", 20)
        until(lambda: len(sleeping("986")) == 1)
        assert one.status("a")["pid"] == int(sleeping("986")[0])


def up_without_control_groups(one):
    result = subprocess.run([str(BIN / "abide"), "-C", str(one.folder), "up", "--detach"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, timeout=30, preexec_fn=without_control_groups)
    assert result.returncode == 0, result.stderr + one.supervisor_log()
    assert "tracked by session" in one.supervisor_log()


def test_without_control_groups_who_left_the_session_ends_too():
    """Found by his parents while they live, and by his session from then on."""
    needs_root()
    toml = CALM + '[services.a]\ncommand = ["sh", "-c", "setsid sh -c \'trap : TERM; sleep 981; sleep 982\' & exec sleep 983"]\n' \
                  'stop.timeout = "300ms"\n'
    one = Instance(toml)
    try:
        up_without_control_groups(one)
        until(lambda: sleeping("981") and sleeping("983"))
        calm = one.status("calm")["pid"]
        one.ok("stop", "a")
        assert not sleeping("981") and not sleeping("982") and not sleeping("983")
        assert one.status("calm")["pid"] == calm
    finally:
        one.close()


DAEMON = """
import os, socket, sys, time
if os.fork():
    time.sleep(0.2)
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
if sys.argv[1] == "pidfile":
    open("daemon.pid.new", "w").write(str(os.getpid()))
    os.rename("daemon.pid.new", "daemon.pid")
if sys.argv[1] == "notify":
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ["NOTIFY_SOCKET"])
    s.send(b"MAINPID=%d\\nREADY=1" % os.getpid())
os.execvp("sleep", ["sleep", sys.argv[2]])
"""


def test_without_control_groups_a_daemon_is_known_by_its_pid_file():
    needs_root()
    toml = CALM + f'[services.d]\ncommand = ["{sys.executable}", "daemon.py", "pidfile", "971"]\n' \
                  'ready = { pidfile = "daemon.pid", timeout = "8s" }\n'
    one = Instance(toml)
    try:
        (one.folder / "daemon.py").write_text(DAEMON)
        up_without_control_groups(one)
        pid = one.status("d")["pid"]
        until(lambda: sleeping("971") == [str(pid)])
        manager = one.where()["manager_pid"]
        os.kill(manager, signal.SIGKILL)
        until(lambda: one.where()["manager_pid"] != manager)
        assert one.status("d")["pid"] == pid and one.state("d") == "running"
        # What names somebody else's process makes it nobody's own.
        one.ok("stop", "d")
        assert not sleeping("971")
        calm = one.status("calm")["pid"]
        (one.folder / "daemon.py").write_text(DAEMON.replace("str(os.getpid())", f'"{calm}"'))
        one.run("start", "d", "--timeout", "2s")
        assert one.status("calm")["pid"] == calm and one.status("d")["pid"] != calm
    finally:
        one.close()


SENDER = """
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
s.send(sys.argv[1].encode().decode("unicode_escape").encode())
time.sleep(1000)
"""


def test_without_control_groups_a_sender_is_of_its_session_and_user():
    needs_root()
    command = 'command = ["/usr/bin/python3", "sender.py", %s]\n'
    toml = CALM + '[services.n]\nready.notify = true\nuser = "nobody"\n' + command % '"READY=1"' + \
        '[services.m]\nready.notify = true\n' + command % r'"MAINPID=1\\nREADY=1"'
    one = Instance(toml)
    try:
        os.chmod(one.folder, 0o755)
        (one.folder / "sender.py").write_text(SENDER)
        up_without_control_groups(one)
        assert "ready" in one.status("n")["conditions"]
        assert "ready" in one.status("m")["conditions"] and one.status("m")["pid"] != 1
        assert "MAINPID=1 is not a process of this service" in one.supervisor_log()
    finally:
        one.close()
