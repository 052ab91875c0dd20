"""Rules that ask the compiler, or look at what it made.

purity    the undefined symbols of the pure folders' object files, against tools/purity.txt
syscalls  manager, logger, cli and programs leave no system call undefined: they have src/kernel for that
tiny      the program `abide` has no allocator, no exceptions, no interpreter and no shared library
headers   every header compiles alone; a header whose text and includes did not change is not compiled again
"""
import hashlib
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tidy_text import PURE, Finding

SHELL_FOLDERS = ("manager", "logger", "cli")
SYSTEM_CALLS = set("""accept accept4 bind chdir chmod chown clone close connect creat dup dup2 dup3 epoll_create1 epoll_ctl
    epoll_wait epoll_pwait eventfd execv execve execveat execvp fchdir fchmod fchown fchownat fcntl fdatasync flock fork fstat
    fsync ftruncate getdents getenv setenv gethostbyname getaddrinfo getpwnam getpwuid getgrnam getpid getppid getsockname
    getsockopt getuid geteuid getgid inotify_add_watch inotify_init1 ioctl isatty kill lchown link linkat listen lseek lstat
    memfd_create mkdir mkdirat mknod mmap mount mprotect munmap nanosleep open open64 openat openat64 opendir pidfd_open
    pidfd_send_signal pipe pipe2 poll ppoll prctl pread pread64 pwrite pwrite64 raise read readdir readlink readlinkat readv
    recv recvfrom recvmsg rename renameat renameat2 rmdir select send sendfile sendmsg sendto setgid setgroups setpgid
    setpriority setresgid setresuid setrlimit getrlimit setsid setsockopt setuid shutdown sigaction signal signalfd sigprocmask
    socket socketpair splice stat statx symlink sync syscall time timerfd_create timerfd_settime truncate umask umount2 uname
    unlink unlinkat vfork wait wait4 waitid waitpid write writev clock_gettime""".split())
# Standard library that is a system call by another name.
SYSTEM_CLASSES = re.compile(r"std::filesystem::.*|std::chrono::_V2::.*_clock::now\(\)|std::basic_[io]?fstream<.*|std::thread::.*")

FORBIDDEN_IN_TINY = re.compile(
    r"(^|\s|:)(malloc|calloc|realloc|free|brk|sbrk|printf|vfprintf|snprintf|fopen|abort|exit|atexit|__libc_start_main|"
    r"operator new.*|operator delete.*|__cxa_\w+|_Unwind_\w+|__gxx_personality\w*|std::.*|dl_\w+|dlopen)(\(|$|@)")


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, errors="replace", **options)


def objects_of(build, folder):
    return sorted(Path(build).glob(f"**/abide_{folder}.dir/**/src/{folder}/*.o"))


def symbols(path):
    """(undefined, defined) of one object file, demangled.  Weak definitions count as defined."""
    undefined, defined = set(), set()
    for line in run("nm", "-C", str(path)).stdout.splitlines():
        match = re.match(r"^([0-9a-f ]*)\s([A-Za-z])\s(.*)$", line)
        if match:
            (undefined if match.group(2) in "Uw" else defined).add(match.group(3))
    return undefined, defined


def read_allowed(root):
    """[(folders and files or None, pattern)] of tools/purity.txt."""
    allowed = []
    for line in (Path(root) / "tools/purity.txt").read_text().splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        folders, _, pattern = line.partition(" ")
        allowed.append((None if folders == "*" else set(folders.split(",")), re.compile(pattern.strip())))
    return allowed


def permitted(symbol, folder, file, allowed):
    return any((places is None or folder in places or f"{folder}/{file}" in places) and pattern.fullmatch(symbol)
               for places, pattern in allowed)


def rule_purity(tree, build):
    """Pure folders call no system call, clock, random source or stream: by the symbols of their object files."""
    allowed = read_allowed(tree.root)
    found, undefined, defined = [], {}, set()
    for folder in PURE:
        objects = objects_of(build, folder)
        sources = [n for n in tree.files("src") if tree.room(n) == folder and n.endswith(".cc")]
        if sources and len(objects) < len(sources):
            found.append(Finding(f"src/{folder}", 1, f"{len(objects)} of {len(sources)} object files in {build}: build first"))
        for path in objects:
            needs, has = symbols(path)
            undefined[folder, path] = needs
            defined |= has
    for (folder, path), needs in undefined.items():
        for symbol in sorted(needs - defined):
            if not permitted(symbol, folder, path.name[:-2], allowed):
                found.append(Finding(f"src/{folder}/{path.name[:-2]}", 1, f"calls {symbol[:150]}"))
    return found


def rule_syscalls(tree, build):
    """Manager, logger and command line reach the kernel through src/kernel only: by the symbols of their object files."""
    found, allowed = [], read_allowed(tree.root)
    for folder in SHELL_FOLDERS:
        sources = [n for n in tree.files("src") if tree.room(n) == folder and n.endswith(".cc")]
        objects = objects_of(build, folder)
        if len(objects) < len(sources):
            found.append(Finding(f"src/{folder}", 1, f"{len(objects)} of {len(sources)} object files in {build}: build first"))
        for path in objects:
            for symbol in sorted(symbols(path)[0]):
                if (symbol in SYSTEM_CALLS or SYSTEM_CLASSES.fullmatch(symbol)) and \
                        not permitted(symbol, folder, path.name[:-2], allowed):
                    found.append(Finding(f"src/{folder}/{path.name[:-2]}", 1, f"calls {symbol}"))
    return found


def rule_tiny(tree, build):
    """The program that is PID 1 has nothing in it that can fail at a distance."""
    path = Path(build) / "bin/abide"
    name = "bin/abide"
    if not path.exists():
        return [Finding(name, 1, f"not in {build}: build first")]
    found = []
    segments = run("readelf", "-lW", str(path)).stdout
    for segment, what in (("INTERP", "a program interpreter"), ("DYNAMIC", "a dynamic section"), ("TLS", "thread-local storage")):
        if re.search(rf"^\s+{segment}\s", segments, re.M):
            found.append(Finding(name, 1, f"has {what}"))
    listed = run("nm", "-C", str(path)).stdout.splitlines()
    if len(listed) < 5:
        found.append(Finding(name, 1, "has no symbols: what is in it can't be seen"))
    for line in listed:
        match = FORBIDDEN_IN_TINY.search(line[19:] if len(line) > 19 else line)
        if match:
            found.append(Finding(name, 1, f"contains {line[19:][:120]}"))
    if re.search(r"\s\.(eh_frame_hdr|gcc_except_table)\s", run("readelf", "-SW", str(path)).stdout) and \
            ".gcc_except_table" in run("readelf", "-SW", str(path)).stdout:
        found.append(Finding(name, 1, "has exception tables"))
    return found


class HeaderCheck:
    """Compiles headers alone, at most two at a time, and remembers the good ones by the hash of all they include."""

    def __init__(self, tree, build):
        self.tree, self.build = tree, Path(build)
        self.cache = self.build / "tidy-headers.json"
        compiler = os.environ.get("CXX", "g++")
        self.command = [compiler, "-std=c++23", "-D_GNU_SOURCE", "-DFMT_HEADER_ONLY", "-fsyntax-only", "-x", "c++",
                        "-I", str(tree.root / "src"), "-I", str(tree.root / "include"), "-I", str(tree.root / "tests"),
                        "-I", str(tree.root / "sim"),
                        "-Wall", "-Wno-pragma-once-outside-header"]
        self.salt = " ".join(self.command) + run(compiler, "--version").stdout.split("\n")[0]

    def digest(self, name):
        seen, todo = set(), [name]
        while todo:
            current = todo.pop()
            if current not in seen:
                seen.add(current)
                for _, quote, include in self.tree.includes(current):
                    target = self.tree.resolve(current, include) if quote == '"' else None
                    if target:
                        todo.append(target)
        text = self.salt + "".join(n + self.tree.text[n] for n in sorted(seen))
        return hashlib.sha256(text.encode()).hexdigest()

    def compile(self, name):
        done = run(*self.command, str(self.tree.root / name))
        if done.returncode == 0:
            return None
        errors = [line for line in done.stderr.splitlines() if "error:" in line]
        return (errors or done.stderr.splitlines() or ["failed"])[0]

    def findings(self):
        try:
            good = set(json.loads(self.cache.read_text()))
        except (OSError, ValueError):
            good = set()
        headers = [n for n in self.tree.files("src", "include", "sim", "tests") if n.endswith((".hpp", ".h"))]
        digests = {name: self.digest(name) for name in headers}
        with ThreadPoolExecutor(2) as pool:
            todo = [name for name in headers if digests[name] not in good]
            results = dict(zip(todo, pool.map(self.compile, todo)))
        self.build.mkdir(parents=True, exist_ok=True)
        self.cache.write_text(json.dumps(sorted(digests[n] for n in headers if results.get(n) is None)))
        return [Finding(name, 1, f"does not compile alone: {why}") for name, why in results.items() if why]


def rule_headers(tree, build):
    """Every header compiles alone."""
    return HeaderCheck(tree, build).findings()


BUILD_RULES = {"headers": rule_headers, "purity": rule_purity, "syscalls": rule_syscalls, "tiny": rule_tiny}
