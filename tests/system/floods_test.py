"""Services that flood what they are given: their output, and their notify socket."""
import contextlib
import os
import socket
import time

from harness import instance, needs_root, until

CALM = '[services.calm]\ncommand = ["sleep", "1000"]\n'


def bytes_below(folder):
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # rotated while we look
                total += os.lstat(os.path.join(at, name)).st_size
    return total


def test_a_flood_of_output_is_bounded_on_disk_and_disturbs_nobody():
    # A gigabyte, as fast as it is taken; at most keep + 1 files of max-size, and what is being compressed.
    toml = '[services.flood]\ncommand = ["sh", "-c", "yes 0123456789012345678901234567890123456789012345678 | head -c 1000000000; ' \
           'echo done > {0}/done; sleep 100"]\nlog = {{ max-size = "2M", keep = 2 }}\n' \
           '[services.talk]\ncommand = ["sh", "-c", "while :; do echo tick; sleep 0.05; done"]\n'
    with instance("", up=False) as one:
        one.config.write_text(toml.format(one.folder))
        assert one.up().returncode == 0
        begin = time.monotonic()
        worst = 0.0
        most = 0
        while time.monotonic() - begin < 6 and not (one.folder / "done").exists():
            start = time.monotonic()
            one.ok("status")
            worst = max(worst, time.monotonic() - start)
            most = max(most, bytes_below(one.folder / ".abide/log/flood"))
        assert worst < 1.5, worst
        assert most < 5 * (2 << 20), f"{most} bytes of logs"
        logger = one.where()["logger_pid"]
        with open(f"/proc/{logger}/status") as status:
            rss = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        assert rss < 48 << 10, f"{rss} KiB"
        until(lambda: one.ok("logs", "-n", "5", "talk").count("tick") >= 5, 5)


TELL = """import os, socket, sys, time
def tell(*texts, fds=()):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.setblocking(False)
    s.connect(os.environ["NOTIFY_SOCKET"])
    for text in texts:
        try:
            s.send(text)
        except OSError:
            pass
"""


def test_a_million_datagrams_from_a_service_itself():
    flood = TELL + """
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
for i in range(1000000):
    s.send(b"STATUS=%d" % i if i % 1000 == 0 else b"WATCHDOG=1")
s.send(b"STATUS=all sent\\nREADY=1")
time.sleep(1000)
"""
    quick = TELL + "time.sleep(0.2); tell(b'READY=1'); time.sleep(1000)\n"
    toml = '[services.flood]\ncommand = ["python3", "flood.py"]\nready = { notify = true, timeout = "100s" }\nautostart = false\n' \
           '[services.quick]\ncommand = ["python3", "quick.py"]\nready = { notify = true, timeout = "20s" }\nautostart = false\n'
    with instance(CALM + toml, {"flood.py": flood, "quick.py": quick}) as one:
        manager = one.where()["manager_pid"]
        one.ok("start", "flood", "--no-wait")
        time.sleep(0.3)
        start = time.monotonic()
        one.ok("start", "quick", timeout=20)
        assert time.monotonic() - start < 5, "one flooder does not hold up another one's READY"
        until(lambda: one.state("flood") == "running", 90)
        assert "all sent" in one.ok("status", "flood")
        assert one.where()["manager_pid"] == manager


def test_messages_of_every_size():
    sizes = TELL + """
tell(b"", b"\\0", b"\\n" * 4096, b"READY", b"=" * 8192, b"STATUS=" + b"\\xff" * 600, b"x" * 8193, b"READY=1" + b"x" * 65536)
tell(b"MAINPID=1", b"MAINPID=-1", b"MAINPID=99999999999", b"MAINPID=%d" % os.getppid(), b"FDSTORE=1", b"ERRNO=77777")
time.sleep(0.3)
print("still alive", flush=True)
tell(b"STATUS=fine\\nREADY=1")
time.sleep(1000)
"""
    toml = '[services.a]\ncommand = ["python3", "sizes.py"]\nready = { notify = true, timeout = "20s" }\n'
    with instance(CALM + toml, {"sizes.py": sizes}) as one:
        status = one.status("a")
        assert one.state("a") == "running" and "fine" in one.ok("status", "a")
        with open(f"/proc/{status['pid']}/cmdline", "rb") as file:
            assert b"sizes.py" in file.read(), "a foreign MAINPID is not believed"
        assert "MAINPID=1 is not a process of this service" in one.supervisor_log()


def test_a_foreign_main_pid():
    foreign = TELL + "tell(b'MAINPID=' + open('calm.pid', 'rb').read().strip() + b'\\nREADY=1'); time.sleep(1000)\n"
    toml = '[services.calm]\ncommand = ["sh", "-c", "echo $$ > calm.pid; exec sleep 1000"]\n' \
           '[services.a]\ncommand = ["python3", "foreign.py"]\nrequires = ["calm"]\nready = { notify = true }\n'
    with instance(toml, {"foreign.py": foreign}) as one:
        calm, a = one.status("calm")["pid"], one.status("a")["pid"]
        assert a != calm
        one.ok("stop", "a")
        assert one.status("calm")["pid"] == calm and one.state("calm") == "running", "the neighbour was not taken along"


def test_forged_by_another_user():
    """The socket of a service with a user of its own is open to all; who writes is looked at for each message."""
    needs_root()
    toml = CALM + '[services.a]\ncommand = ["sleep", "1000"]\nuser = "nobody"\nready = { notify = true, timeout = "60s" }\n' \
                  'autostart = false\n'
    with instance(toml) as one:
        one.ok("start", "a", "--no-wait")
        one.reaches("a", "starting")
        pid = until(lambda: one.status("a")["pid"])
        environment = until(lambda: open(f"/proc/{pid}/environ", "rb").read().split(b"\0"))
        path = next(e.split(b"=", 1)[1].decode() for e in environment if e.startswith(b"NOTIFY_SOCKET="))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)  # even the very same user: it is no process of the service
                s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                s.setblocking(False)
                s.connect(path)
                s.send(b"READY=1")
                pipe = os.pipe()
                socket.send_fds(s, [b"FDSTORE=1"], [pipe[0]])
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the socket can be reached by that user"
        time.sleep(0.3)
        assert one.state("a") == "starting"
        assert "not of this service" in one.supervisor_log()
