"""The supervisors that are measured, each behind the same four verbs: start, own, stop, restartable.

Each starts N services, all of them the program bench/tiny.cc, which tells by itself when it began to run (bench/slots.hpp).
"""
import json
import mmap
import os
import select
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path

HEADER, SLOT = 32, 32


class Slots:
    """The file in which the services write when they began."""

    def __init__(self, path, count):
        self.path, self.count = path, count
        size = (HEADER + SLOT * count + 8192) // 4096 * 4096 + 4096
        with open(path, "w+b") as file:
            file.truncate(size)
            self.map = mmap.mmap(file.fileno(), size)

    def launch_ns(self):
        return struct.unpack_from("q", self.map, 0)[0]

    def slot(self, index):
        """(first_ns, ready_ns, pid, starts)"""
        return struct.unpack_from("qqiI", self.map, HEADER + SLOT * index)

    def all(self):
        return [self.slot(index) for index in range(self.count)]

    def wait_started(self, seconds=60, pause=0.01):
        """Until every service has begun; the time of the last first instruction, in nanoseconds after the launch."""
        deadline = time.monotonic() + seconds
        missing = 0
        while time.monotonic() < deadline:
            while missing < self.count and self.slot(missing)[3] > 0:
                missing += 1
            if missing == self.count:
                return max(first for first, _, _, _ in self.all()) - self.launch_ns()
            time.sleep(pause)
        raise RuntimeError(f"service {missing} of {self.count} has not begun after {seconds} s")

    def pids(self):
        return [pid for _, _, pid, _ in self.all()]


class Ends:
    """Waits for the end of processes by their pidfds, so that whoever measures takes no time from who is measured."""

    def __init__(self, pids):
        self.fds = {os.pidfd_open(pid) for pid in pids}
        self.epoll = select.epoll()
        for fd in self.fds:
            self.epoll.register(fd, select.EPOLLIN)

    def wait(self, seconds=60):
        deadline = time.monotonic() + seconds
        while self.fds:
            ended = self.epoll.poll(max(0, deadline - time.monotonic()))
            if not ended:
                raise RuntimeError(f"{len(self.fds)} services have not ended after {seconds} s")
            for fd, _ in ended:
                self.epoll.unregister(fd)
                self.fds.remove(fd)
                os.close(fd)


class Subject:
    name = ""
    settle = 0.3  # seconds before a restart is measured: s6 and runit restart at most once a second

    def __init__(self, tools, folder, count):
        self.tiny, self.tool = tools
        self.folder, self.count = Path(folder), count
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.slots = Slots(self.folder / "slots", count)
        self.process = None
        self.prepare()

    def prepare(self):
        pass

    def command(self):
        raise NotImplementedError

    def stamped(self):
        return [self.tool, "stamp", self.slots.path, *self.command()]

    def start(self):
        """Nanoseconds from the launch to the first instruction of the last service."""
        with open(self.folder / "output", "wb") as output:
            self.process = subprocess.Popen(self.stamped(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            cwd=self.folder)
        return self.slots.wait_started()

    def own(self):
        """Pids of the supervisor's own processes: all that isn't a measured service."""
        children = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except OSError:
                    continue
                children.setdefault(parent, []).append(int(entry.name))
        found, todo, services = [], [self.root()], set(self.slots.pids())
        while todo:
            pid = todo.pop()
            if pid not in services:
                found.append(pid)
            todo += children.get(pid, [])
        return found

    def root(self):
        return self.process.pid

    def ask_to_stop(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """Seconds until all services have ended."""
        ends = Ends(self.slots.pids())
        began = time.monotonic()
        self.ask_to_stop()
        ends.wait()
        took = time.monotonic() - began
        self.process.wait(60)
        return took

    def link_index(self, folder, index):
        os.symlink(f"{index}:{self.slots.path}", folder / "index")


class BareLoop(Subject):
    name = "bare loop"

    def command(self):
        return [self.tool, "loop", self.tiny, self.slots.path, str(self.count)]


class S6(Subject):
    name, settle = "s6", 1.2

    def prepare(self):
        (self.folder / "scan").mkdir()
        for index in range(self.count):
            service = self.folder / f"scan/s{index}"
            service.mkdir()
            # s6-supervise runs ./run with the service's name as an argument; tiny takes that for no arguments.
            os.symlink(self.tiny, service / "run")
            self.link_index(service, index)

    def command(self):
        return ["s6-svscan", "-c", str(self.count + 10), self.folder / "scan"]

    def ask_to_stop(self):
        subprocess.run(["s6-svscanctl", "-t", self.folder / "scan"], check=True)


class Runit(Subject):
    name, settle = "runit", 1.2

    def prepare(self):
        (self.folder / "scan").mkdir()
        for index in range(self.count):
            service = self.folder / f"scan/s{index}"
            service.mkdir()
            os.symlink(self.tiny, service / "run")
            self.link_index(service, index)

    def command(self):
        return ["runsvdir", "-P", self.folder / "scan"]

    def ask_to_stop(self):
        self.process.send_signal(signal.SIGHUP)


class Supervisor(Subject):
    name, settle = "supervisor", 1.2

    def prepare(self):
        lines = ["[supervisord]", "nodaemon=true", "user=root", f"logfile={self.folder}/log", f"pidfile={self.folder}/pid",
                 f"childlogdir={self.folder}", "minfds=8192", "minprocs=200"]
        for index in range(self.count):
            lines += [f"[program:s{index}]", f"command={self.tiny} {index} {self.slots.path}", "stdout_logfile=NONE",
                      "stderr_logfile=NONE", "autorestart=true"]
        (self.folder / "conf").write_text("\n".join(lines) + "\n")

    def command(self):
        return ["supervisord", "-c", self.folder / "conf"]


class Abide(Subject):
    """Everything on: a cgroup a run, journal, log pipe, events."""
    name, extra, program = "abide, defaults", "", None

    def service(self, index):
        return f'command = ["{self.tiny}", "{index}", "{self.slots.path}"]\n'

    def prepare(self):
        text = "".join(f"[services.s{index}]\n{self.service(index)}{self.extra}\n" for index in range(self.count))
        (self.folder / "abide.toml").write_text(text)

    def abide(self, *arguments):
        done = subprocess.run([self.program, "-C", self.folder, *arguments], capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(f"abide {' '.join(arguments)}: {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def command(self):
        return [self.program, "-C", self.folder, "up", "--detach"]

    def start(self):
        took = super().start()
        status = self.process.wait(120)
        if status != 0:
            raise RuntimeError(f"abide up: {status}: {(self.folder / 'output').read_text()[-400:]}")
        self.places = json.loads(self.abide("where", "--json"))
        return took

    def root(self):
        return self.places["anchor_pid"]

    def ask_to_stop(self):
        self.ending = subprocess.Popen([self.program, "-C", self.folder, "down"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        took = super().stop()
        if self.ending.wait(60) != 0:
            raise RuntimeError("abide down failed")
        return took


class AbideLean(Abide):
    name, extra = "abide, lean", 'log = "none"\n'


class AbideChain(AbideLean):
    """Each service waits for the one before it, works for its own time, and tells that it is ready."""
    name, own_us = "abide, chain", 5000

    def service(self, index):
        after = f'requires = ["s{index - 1}"]\n' if index else ""
        return f'command = ["{self.tiny}", "{index}", "{self.slots.path}", "{self.own_us}"]\nready = {{ notify = true }}\n{after}'


class AbideLines(Abide):
    """Each service writes ten lines a second and notes how long its longest write took."""
    name, period_us = "abide, lines", 100_000

    def service(self, index):
        return f'command = ["{self.tiny}-lines", "{index}", "{self.slots.path}", "{self.period_us}"]\n'.replace("-tiny-", "-")

    def set_back(self):
        for index in range(self.count):
            struct.pack_into("q", self.slots.map, HEADER + SLOT * index + 8, 0)

    def longest_ms(self):
        return [ready / 1e6 for _, ready, _, _ in self.slots.all()]

    def lines(self):
        return sum(struct.unpack_from("q", self.slots.map, HEADER + SLOT * index + 24)[0] for index in range(self.count))
