"""Listening sockets and stored descriptors: they outlive every process of the service and of the supervisor."""
import errno
import os
import signal
import socket
import threading
import time

from harness import instance, until
from sweep import Stepper

# Answers every client with its name of the socket and its pid; ends when told, never with a client half served.
SERVER = """import os, select, signal, socket, sys
assert int(os.environ["LISTEN_PID"]) == os.getpid(), os.environ
names = os.environ["LISTEN_FDNAMES"].split(":")
assert int(os.environ["LISTEN_FDS"]) == len(names), os.environ
sockets = {socket.socket(fileno=3 + i): name for i, name in enumerate(names)}
over = []
signal.signal(signal.SIGTERM, lambda *_: over.append(1))
for s in sockets:
    s.setblocking(False)
while not over:
    for s in select.select(list(sockets), [], [], 0.05)[0]:
        try:
            if s.type == socket.SOCK_DGRAM:
                data, peer = s.recvfrom(100)
                s.sendto(sockets[s].encode() + b" " + data, peer)
                continue
            client = s.accept()[0]
            client.sendall(f"{sockets[s]} {os.getpid()}".encode())
            client.close()
        except BlockingIOError:
            pass
"""
TOML = """
[services.web]
command = ["python3", "server.py"]
stop = { timeout = "5s" }
sockets = [{ name = "http", listen = "tcp:127.0.0.1:18441" }, { name = "local", listen = "unix:web.sock" },
           { name = "dns", listen = "udp:127.0.0.1:18442" }]
"""


def ask(family, address):
    with socket.socket(family) as client:
        client.settimeout(15)
        client.connect(address)
        answer = b""
        while piece := client.recv(100):
            answer += piece
        return answer.decode().split()


class Clients(threading.Thread):
    """Keeps connecting, one connection after the other, and remembers each failure."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.served, self.failures, self.over = folder, 0, [], False

    def run(self):
        while not self.over:
            for family, address in ((socket.AF_INET, ("127.0.0.1", 18441)), (socket.AF_UNIX, str(self.folder / "web.sock"))):
                try:
                    answer = ask(family, address)
                    assert answer and answer[0] in ("http", "local"), answer
                    self.served += 1
                except Exception as wrong:  # any failure at all is one too many
                    self.failures.append(repr(wrong))
            time.sleep(0.005)


def datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(b"question", ("127.0.0.1", 18442))
        return client.recv(100)


def test_nothing_is_refused_while_service_and_manager_are_replaced():
    with instance(TOML, {"server.py": SERVER}) as one:
        assert ask(socket.AF_INET, ("127.0.0.1", 18441)) == ["http", str(one.status("web")["pid"])]
        assert datagram() == b"dns question"
        clients = Clients(one.folder)
        clients.start()
        try:
            for _ in range(3):
                manager = one.where()["manager_pid"]
                os.kill(manager, signal.SIGKILL)
                pid = one.status("web")["pid"]
                one.ok("restart", "web")
                assert one.status("web")["pid"] != pid
                os.kill(one.where()["manager_pid"], signal.SIGKILL)
                until(lambda: one.state("web") == "running")
            before = clients.served
            until(lambda: clients.served > max(20, before + 5))
        finally:
            clients.over = True
            clients.join(30)
        assert not clients.failures, clients.failures[:3]
        assert datagram() == b"dns question"


def test_a_stopped_service_leaves_its_clients_waiting_not_refused():
    with instance(TOML, {"server.py": SERVER}) as one:
        one.ok("stop", "web")
        answers = []
        client = threading.Thread(target=lambda: answers.append(ask(socket.AF_INET, ("127.0.0.1", 18441))))
        client.start()
        time.sleep(0.3)
        assert not answers
        one.ok("start", "web")
        client.join(10)
        assert answers and answers[0][0] == "http", answers


def test_the_pid_variable_through_the_set_up_stub():
    toml = TOML + 'limits = { oom-score-adjust = 200 }\n'
    with instance(toml, {"server.py": SERVER}) as one:
        answer = ask(socket.AF_INET, ("127.0.0.1", 18441))
        assert answer == ["http", str(one.status("web")["pid"])], answer
        with open(f"/proc/{answer[1]}/oom_score_adj") as score:
            assert score.read() == "200\n"


def test_an_address_in_use_is_one_clear_line():
    with socket.create_server(("127.0.0.1", 18441)):
        with instance(TOML + 'restart = "never"\n', {"server.py": SERVER}, up=False) as one:
            result = one.up()
            assert result.returncode == 1 and "18441" in result.stderr + one.ok("why", "web"), result
            assert "in use" in one.ok("why", "web"), one.ok("why", "web")


# Counts its own runs in a memory file that it does not hold itself while it is away.
MEMORY = """import os, signal, socket, sys, time
def tell(text, fds=()):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ["NOTIFY_SOCKET"])
    socket.send_fds(s, [text.encode()], list(fds))
names = os.environ.get("LISTEN_FDNAMES", "").split(":")
if "memo" in names:
    memo = 3 + names.index("memo")
else:
    memo = os.memfd_create("memo")
    tell("FDSTORE=1\\nFDNAME=memo", [memo])
tell("FDSTORE=1\\nFDNAME=memo", [memo])  # the same file once more is not kept twice
os.lseek(memo, 0, os.SEEK_END)
os.write(memo, b"run\\n")
a, b = socket.socketpair()
tell("FDSTORE=1\\nFDNAME=gone", [a.fileno()])  # its other end goes with us
tell("FDSTORE=1\\nFDNAME=more", [os.memfd_create("1")])
tell("FDSTORE=1\\nFDNAME=more", [os.memfd_create("2")])
tell("FDSTORE=1\\nFDNAME=much", [os.memfd_create("3"), os.memfd_create("4"), os.memfd_create("5")])
if os.path.exists("forget"):
    tell("FDSTOREREMOVE=1\\nFDNAME=more")
print("runs:", os.pread(memo, 1000, 0).count(b"run"), "names:", *sorted(names), flush=True)
tell("READY=1")
time.sleep(1000)
"""
STORING = '[services.a]\ncommand = ["python3", "m.py"]\nready = { notify = true }\nfd-store-max = 5\n' \
          'restart-delay = "50ms"\nrestart-limit = { count = 100, within = "1s" }\n'


def runs_of(one):
    return [line.split("runs: ", 1)[1] for line in one.ok("logs", "a").splitlines() if "runs: " in line]


def test_stored_descriptors_come_back_and_outlive_the_manager():
    with instance(STORING, {"m.py": MEMORY}) as one:
        until(lambda: runs_of(one) == ["1 names: "])
        for n in (2, 3):
            os.kill(one.where()["manager_pid"], signal.SIGKILL)
            until(lambda: one.state("a") == "running")
            os.kill(one.status("a")["pid"], signal.SIGKILL)
            until(lambda n=n: len(runs_of(one)) == n)
            # memo, two of more, and what still fits of much; the socket pair's end hung up.
            count, names = runs_of(one)[-1].split(" names: ")
            assert count == str(n) and "gone" not in names and names.startswith("memo more more much"), runs_of(one)
            assert len(names.split()) <= 5, names
        one.ok("restart", "a")
        until(lambda: len(runs_of(one)) == 4)
        assert runs_of(one)[-1].startswith("4 names: memo"), runs_of(one)
        one.ok("stop", "a")
        one.ok("start", "a")
        until(lambda: len(runs_of(one)) == 5)
        assert runs_of(one)[-1] == "1 names: ", "a stop for good forgets them"


def test_a_stored_descriptor_is_forgotten_by_its_name():
    with instance(STORING, {"m.py": MEMORY, "forget": ""}) as one:
        until(lambda: runs_of(one) == ["1 names: "])
        os.kill(one.status("a")["pid"], signal.SIGKILL)
        until(lambda: len(runs_of(one)) == 2)
        names = runs_of(one)[-1].split(" names: ")[1].split()
        assert "memo" in names and "more" not in names, names


def test_nothing_is_stored_without_the_key():
    with instance(STORING.replace("fd-store-max = 5\n", ""), {"m.py": MEMORY}) as one:
        until(lambda: runs_of(one) == ["1 names: "])
        os.kill(one.status("a")["pid"], signal.SIGKILL)
        until(lambda: runs_of(one) == ["1 names: "] * 2)
        left = sum(os.path.basename(os.readlink(f"/proc/{one.where()['anchor_pid']}/fd/{fd}")).startswith("memfd:memo")
                   for fd in os.listdir(f"/proc/{one.where()['anchor_pid']}/fd"))
        assert left == 0, "what was not asked for is closed"


# At each USR1 a child of its own, of which the supervisor has not heard, stores one more.
STORES = """import os, signal, socket, sys, time
def store(*_):
    if os.fork() == 0:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.connect(os.environ["NOTIFY_SOCKET"])
        fd = os.memfd_create("one")
        socket.send_fds(s, [b"FDSTORE=1\\nFDNAME=one"], [fd])
        s.recv(1)  # as in life: it is still there when it is asked about
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGUSR1, store)
print("runs: 1 names:", os.environ.get("LISTEN_FDS", "0"), flush=True)
while True: signal.pause()
"""


def test_a_call_that_fails_once_keeps_no_descriptor_from_being_stored():
    toml = STORING.replace("ready = { notify = true }\n", "").replace("fd-store-max = 5", "fd-store-max = 32")
    with instance(toml, {"m.py": STORES}) as one:
        until(lambda: runs_of(one) == ["1 names: 0"])
        pid, rounds = one.status("a")["pid"], 24
        for at in range(1, rounds + 1):
            disturbed = Stepper(one.where()["manager_pid"], "fail", at, errno.EIO)
            os.kill(pid, signal.SIGUSR1)
            time.sleep(0.05)
            disturbed.end()
        os.kill(pid, signal.SIGKILL)
        until(lambda: len(runs_of(one)) == 2)
        assert runs_of(one)[-1] == f"1 names: {rounds}", runs_of(one)


# A connection whose last close waits for its reader, who never reads (SO_LINGER, socket(7)).
LINGER = """import os, socket, struct, sys, time
def tell(text, fds=()):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ["NOTIFY_SOCKET"])
    socket.send_fds(s, [text.encode()], list(fds))
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
client.setblocking(False)
try:
    while True: client.send(b"x" * 65536)
except BlockingIOError:
    pass
client.setblocking(True)
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 6))
tell("FDSTORE=1\\nFDNAME=slow\\nREADY=1", [client.fileno()])
time.sleep(1000)
"""


def test_a_close_that_waits_holds_up_nobody():
    server = socket.create_server(("127.0.0.1", 0))
    toml = f'[services.a]\ncommand = ["python3", "linger.py", "{server.getsockname()[1]}"]\nready = {{ notify = true }}\n' \
           'fd-store-max = 5\n[services.b]\ncommand = ["sleep", "1000"]\n'
    with instance(toml, {"linger.py": LINGER}) as one:
        peer = server.accept()[0]  # never read from
        # Its own copies end with it, where the kernel does not wait; the stored one is the last.
        one.ok("stop", "a")
        waits = until(lambda: [p for p in closers(one) if in_close(p)], 3)
        worst = 0.0
        for _ in range(10):
            start = time.monotonic()
            one.ok("restart", "b")
            worst = max(worst, time.monotonic() - start)
        assert worst < 1.0, worst
        manager = one.where()["manager_pid"]
        start = time.monotonic()
        os.kill(manager, signal.SIGKILL)
        until(lambda: one.where()["manager_pid"] != manager)
        assert time.monotonic() - start < 2, "nor is the anchor in it"
        assert [p for p in closers(one) if p in waits], "all of this while the close waits"
        peer.close()


def closers(one):
    """Short-lived children of the anchor that close descriptors for it: they have its name."""
    anchor = one.where()["anchor_pid"]
    with open(f"/proc/{anchor}/task/{anchor}/children") as children:
        found = children.read().split()
    return [p for p in found if open(f"/proc/{p}/cmdline", "rb").read().startswith(b"abide-anchor")]


def in_close(pid):
    with open(f"/proc/{pid}/syscall") as call:
        return call.read().split()[0] in ("3", "57")  # close(2) of x86-64, aarch64
