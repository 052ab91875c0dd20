"""Programs that misbehave, and a world that says no: one clear line, no other service touched, the manager answers."""
import os
import signal
import socket
import time

from harness import alive, instance, until

CALM = '[services.calm]\ncommand = ["sleep", "1000"]\n'


def fails_to_start(command, word, more=""):
    toml = CALM + f'[services.a]\ncommand = {command}\nrestart = "never"\n{more}\n'
    with instance(toml, {"plain.txt": "text", "bad.sh": "#!/no/such/interpreter\n"}, up=False) as one:
        os.chmod(one.folder / "plain.txt", 0o644)
        assert one.up().returncode == 1
        why = one.ok("why", "a")
        assert word in why, why
        one.reaches("calm", "running")  # `up` has not waited for it
        assert one.state("a") == "failed"


def test_missing_program():
    fails_to_start('["/no/such/program"]', "exec")


def test_not_executable():
    fails_to_start('["./plain.txt"]', "exec")


def test_bad_interpreter():
    fails_to_start('["./bad.sh"]', "exec")


def test_too_many_arguments():
    # Refused with their place before anything runs: one that execve would refuse, and too many of them.
    for words in ('"%s"' % ("x" * 140000), ", ".join(['"%s"' % ("x" * 100000)] * 60)):
        with instance(CALM + '[services.a]\ncommand = ["true", %s]\n' % words, up=False) as one:
            result = one.up()
            assert result.returncode == 2 and "abide.toml:" in result.stderr, result


def test_wrong_directory():
    fails_to_start('["sleep", "1"]', "directory", 'directory = "/no/such/folder"')


def test_wrong_user():
    if os.geteuid() == 0:
        # In a project of root's, `user =` is allowed; the name is looked up when the run starts.
        fails_to_start('["sleep", "1"]', "user", 'user = "nobody-of-that-name"')


def test_ignores_term():
    toml = CALM + '[services.a]\ncommand = ["sh", "-c", "trap : TERM; while :; do sleep 0.1; done"]\n' \
                  'stop = { timeout = "300ms" }\n'
    with instance(toml) as one:
        time.sleep(0.2)
        pid = one.status("a")["pid"]
        one.ok("stop", "a")
        assert not alive(pid)
        assert one.status("a")["last_exit"]["signal"] in (9, "KILL", "SIGKILL")


def test_is_stopped():
    with instance(CALM) as one:
        pid = one.status("calm")["pid"]
        os.kill(pid, signal.SIGSTOP)
        start = time.monotonic()
        one.ok("stop", "calm")
        assert not alive(pid) and time.monotonic() - start < 2


def test_children_that_leave_the_session_end_with_it():
    toml = '[services.a]\ncommand = ["sh", "-c", "setsid sleep 987 & echo $! > child; wait"]\n'
    with instance(toml) as one:
        child = until(lambda: (one.folder / "child").exists() and (one.folder / "child").read_text().strip())
        one.ok("stop", "a")
        until(lambda: not alive(int(child)), 5)


def test_forks_without_end():
    toml = CALM + '[services.a]\ncommand = ["sh", "-c", "i=0; while [ $i -lt 300 ]; do sleep 50 & i=$((i+1)); done; wait"]\n'
    with instance(toml) as one:
        time.sleep(0.7)
        one.ok("stop", "a")
        left = [p for p in os.listdir("/proc") if p.isdigit() and b"sleep\x0050" in cmdline(p)]
        assert not left, left


FORKER = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end = time.monotonic() + 8
for _ in range(4000):
    # Each child makes two of its own before it rests, so that whoever kills one after the other comes too late.
    if os.fork() == 0:
        os.fork()
        os.fork()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(30)
        os._exit(0)
    time.sleep(0.004)
    if time.monotonic() > end:
        break
"""


def test_one_that_forks_while_it_is_killed_ends():
    """TERM changes nothing, and it forks on while it gets its KILL: bounded here by count and by time."""
    toml = CALM + '[services.a]\ncommand = ["/usr/bin/python3", "forker.py"]\nautostart = false\nstop.timeout = "300ms"\n'
    with instance(toml) as one:
        (one.folder / "forker.py").write_text(FORKER)
        calm = one.status("calm")["pid"]
        for words in (["stop", "a"], ["force-destroy", "a"]):
            one.ok("start", "a")
            until(lambda: sum(b"forker.py" in cmdline(p) for p in os.listdir("/proc") if p.isdigit()) > 40)
            one.ok(*words)
            left = [p for p in os.listdir("/proc") if p.isdigit() and b"forker.py" in cmdline(p)]
            assert not left, left
            assert one.status("calm")["pid"] == calm


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def test_a_flood_of_output_disturbs_nobody():
    toml = '[services.flood]\ncommand = ["sh", "-c", "yes 0123456789012345678901234567890123456789 | head -c 60000000; sleep 100"]\n' \
           'log = { max-size = "1M", keep = 1 }\n' \
           '[services.talk]\ncommand = ["sh", "-c", "while :; do echo tick; sleep 0.05; done"]\n'
    with instance(toml) as one:
        time.sleep(0.5)
        start = time.monotonic()
        one.ok("status")
        assert time.monotonic() - start < 1
        until(lambda: one.ok("logs", "-n", "5", "talk").count("tick") >= 5, 5)


def notify_socket(one, name):
    with open(f"/proc/{one.status(name)['pid']}/environ", "rb") as environ:
        for entry in environ.read().split(b"\0"):
            if entry.startswith(b"NOTIFY_SOCKET="):
                return entry.split(b"=", 1)[1].decode()
    raise AssertionError("no NOTIFY_SOCKET")


WAITING = CALM + '[services.a]\ncommand = ["sleep", "1000"]\nready = { notify = true, timeout = "60s" }\nautostart = false\n'


def test_forged_notify_messages_change_nothing():
    with instance(WAITING) as one:
        one.ok("start", "a", "--no-wait")
        one.reaches("a", "starting")
        path = notify_socket(one, "a")
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.setblocking(False)
        sender.connect(path)
        for text in (b"READY=1", b"", b"\0" * 100, b"MAINPID=1\nREADY=1", b"READY=1" + b"x" * 60000):
            try:
                sender.send(text)
            except OSError:
                pass
        for _ in range(100_000):
            try:
                sender.send(b"READY=1")
            except OSError:
                pass
        one.ok("status")
        assert one.state("a") == "starting"
        assert one.state("calm") == "running"


def control(one):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(one.where()["control"])
    return client


def test_clients_that_misbehave():
    with instance(CALM) as one:
        half = control(one)
        half.send(b'{"method":"io.abide.Control.Sta')
        garbage = control(one)
        garbage.send(b"\xff\xfe garbage\0")
        idle = [control(one) for _ in range(300)]
        leaver = control(one)
        leaver.send(b'{"method":"io.abide.Control.Restart","parameters":{"names":["calm"]}}\0')
        leaver.close()
        huge = control(one)
        try:
            for _ in range(64):
                huge.send(b'"' * (1 << 20))
        except OSError:
            pass
        one.reaches("calm", "running")
        assert one.ok("status")
        for client in idle + [half, garbage, huge]:
            client.close()
        assert one.ok("status")


def test_two_instances_at_once():
    import subprocess
    from harness import BIN
    with instance(CALM, up=False) as one:
        both = [subprocess.Popen([str(BIN / "abide"), "-C", str(one.folder), "up", "--detach"], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE) for _ in range(5)]
        ends = [p.wait(timeout=20) for p in both]
        assert 0 in ends, ends
        assert one.state("calm") == "running"
        anchors = [p for p in os.listdir("/proc") if p.isdigit() and cmdline(p).startswith(b"abide-anchor")]
        assert len(anchors) == 1, anchors


def test_started_without_descriptors():
    import subprocess
    from harness import BIN
    with instance(CALM, up=False) as one:
        subprocess.run(["sh", "-c", f"exec {BIN}/abide -C {one.folder} up --detach <&- >&- 2>&-"], timeout=20)
        assert one.state("calm") == "running"


def test_a_read_only_log_folder():
    with instance(CALM, up=False) as one:
        (one.folder / ".abide").mkdir()
        (one.folder / ".abide/log").write_text("a file where a folder should be")
        result = one.up()
        assert result.returncode in (0, 1, 7), result
        if result.returncode == 0:
            assert one.state("calm") == "running"
        else:
            assert "log" in result.stderr


def test_planted_symlink_in_the_log_folder():
    with instance('[services.a]\ncommand = ["sh", "-c", "echo secret; sleep 100"]\n', up=False) as one:
        target = one.folder / "victim"
        target.write_text("untouched")
        (one.folder / ".abide/log/a").mkdir(parents=True)
        (one.folder / ".abide/log/a/current").symlink_to(target)
        one.up()
        time.sleep(0.3)
        assert target.read_text() == "untouched"
        assert one.state("a") == "running"


def test_a_logger_that_hung_up_is_not_written_to():
    """It has ended, and the anchor is slow to say so: what is to be told to it waits for the next one."""
    service = '[services.%s]\ncommand = ["sh", "-c", "echo up; exec sleep 1000"]\nready = { log = "up" }\nautostart = false\n'
    with instance(service % "a" + service % "b" + '[services.c]\ncommand = ["sleep", "1000"]\n') as one:
        where = one.where()
        os.kill(where["anchor_pid"], signal.SIGSTOP)
        try:
            os.kill(where["logger_pid"], signal.SIGKILL)
            time.sleep(0.1)
            one.ok("start", "a", "b", "--no-wait")
            time.sleep(0.2)
        finally:
            os.kill(where["anchor_pid"], signal.SIGCONT)
        for name in ("a", "b"):
            one.reaches(name, "running")
            until(lambda: "up" in one.ok("logs", name))
        assert one.where()["manager_pid"] == where["manager_pid"], "the manager gave up"
