#!/usr/bin/env python3
"""tests/system/init/compare.py BUILD_DIR -- runs each case with tini or dumb-init and with abide by that name, and compares.

Each case runs in a pid namespace of its own (unshare -pf --mount-proc), once with the real program as PID 1 and once with
ours, with the same words and environment.  Compared are exit status, what the command printed, and, where a case says so,
the messages.  A case for `abide init` states what it expects, as there is no other program to compare with.
"""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

CASE_TIMEOUT_S = 10
# Prints each signal that it gets; ends on USR2 with status 5.  "ready" says that they are waited for.
PRINTER = r"""
import os, signal
waited = set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, 32, 33}
signal.pthread_sigmask(signal.SIG_BLOCK, waited)
os.write(1, b'ready\n')
while True:
    n = int(signal.sigwait(waited))
    os.write(1, b'%d\n' % n)
    if n == signal.SIGUSR2: break
while (late := signal.sigtimedwait(waited, 0.25)) is not None:  # a busy machine: several are pending, the lowest comes first
    os.write(1, b'%d\n' % late.si_signo)
os._exit(5)
"""


class Program:
    """One way to call an init: words, and the place of its executable."""

    def __init__(self, path, name, first=()):
        self.path, self.name, self.first = path, name, list(first)

    def command(self, words):
        return ["unshare", "-pf", "--mount-proc", "--kill-child", self.path, *self.first, *words]


def environment(extra):
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
    env.update(extra)
    return env


def run(program, words, env=None, stdin=subprocess.DEVNULL, cwd=None):
    done = subprocess.run(program.command(words), env=environment(env or {}), stdin=stdin, capture_output=True, text=True,
                          timeout=CASE_TIMEOUT_S, cwd=cwd, check=False)
    return done.returncode, done.stdout, done.stderr


def child_of(pid, timeout=3.0):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                words = file.read().split()
        except OSError:
            words = []
        if words:
            return int(words[0])
        time.sleep(0.005)
    raise RuntimeError("the init was not started")


def run_with_signals(program, words, signals, env=None, gap=0.06):
    """Sends signals to the init after its command said `ready`; the status and all that was printed."""
    process = subprocess.Popen(program.command(words), env=environment(env or {}), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        line = process.stdout.readline()
        if line != "ready\n":
            return None, line
        init = child_of(process.pid)
        for number in signals:
            try:
                os.kill(init, number)
            except ProcessLookupError:
                break  # it has ended, as its status and output will show
            time.sleep(gap)
        out, _ = process.communicate(timeout=CASE_TIMEOUT_S)
        return process.returncode, sorted(out.splitlines())
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def run_on_terminal(program, words, keys, env=None):
    """The init leads a session on a terminal of its own; `keys` are typed after the command said `ready`."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe("unshare", program.command(words), environment(env or {}))
    text, typed, end = b"", False, time.monotonic() + CASE_TIMEOUT_S
    while time.monotonic() < end:
        if select.select([master], [], [], 0.05)[0]:
            try:
                piece = os.read(master, 4096)
            except OSError:
                break
            if not piece:
                break
            text += piece
        if b"ready" in text and not typed:
            os.write(master, keys)
            typed = True
    else:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(master)
    return status, text.decode(errors="replace").replace("^C", "").replace("\r", "")


def plain(text):
    """Messages without what may differ: pids, and the version's suffix."""
    text = re.sub(r"\(\d+\)", "(PID)", text)
    text = re.sub(r"^.*tcsetpgrp failed: no tty.*\n", "", text, flags=re.M)  # tini loses it in a buffer when not on a terminal
    text = re.sub(r"(pid=|PID )\d+", r"\1N", text)
    return re.sub(r"^\S*/(tini|dumb-init): ", r"\1: ", text.replace(" - abide", ""), flags=re.M)


class Suite:
    def __init__(self):
        self.failures, self.count = [], 0

    def same(self, title, theirs, ours):
        self.count += 1
        if theirs != ours:
            self.failures.append(f"{title}\n    theirs: {theirs!r}\n    ours:   {ours!r}")

    def equal(self, title, got, wanted):
        self.same(title, wanted, got)


def python(script):
    return [sys.executable, "-c", script]


def tini_cases(suite, theirs, ours):
    shell = ["sh", "-c"]
    plain_cases = {
        "status 0": ["true"],
        "status 7": ["--", *shell, "exit 7"],
        "killed by TERM": ["--", *shell, "kill -TERM $$"],
        "killed by SEGV": ["--", *shell, "kill -SEGV $$"],
        "missing": ["no-such-program-here"],
        "missing path": ["/no/such/program"],
        "not executable": ["/etc/passwd"],
        "a folder": ["/etc"],
        "empty name": ["--", ""],
        "remapped": ["-e", "143", "--", *shell, "kill -TERM $$"],
        "remapped, other": ["-e", "143", "--", *shell, "exit 9"],
        "remapped twice": ["-e", "3", "-e9", "--", *shell, "exit 9"],
        "remap refused": ["-e", "256", "true"],
        "remap not a number": ["-e", "x", "true"],
        "remap empty": ["-e", "", "--", *shell, "exit 0"],
        "bad death signal": ["-p", "TERM", "true"],
        "good death signal": ["-p", "SIGTERM", "true"],
        "unknown option": ["-x", "true"],
        "long option": ["--help"],
        "version and more": ["--version", "true"],
        "version": ["--version"],
        "value missing": ["-e"],
        "no command": [],
        "only dashes": ["--"],
        "help": ["-h"],
        "clustered": ["-gsv", "--", *shell, "exit 4"],
        "option after operand": ["true", "-g"],
        "wrong option after operand": ["echo", "-n", "hello"],
        "dashes keep the rest": ["echo", "--", "-n", "hello"],
        "warn": ["-w", "--", *shell, "(sleep 0.05 &) ; (sleep 0.1 &) ; sleep 0.3"],
        "verbose": ["-vv", "--", *shell, "exit 3"],
        "most verbose": ["-vvv", "true"],
        "subreaper": ["-s", "true"],
        "script without #!": ["./script", "a", "b c"],
        "script by PATH": ["script", "a"],
    }
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "script")
        with open(script, "w", encoding="ascii") as file:
            file.write('echo "$0" "$#"\n')
        os.chmod(script, 0o755)
        for title, words in plain_cases.items():
            env = {"PATH": f"{folder}:/usr/bin:/bin"}
            a, b = run(theirs, words, env, cwd=folder), run(ours, words, env, cwd=folder)
            suite.same(f"tini: {title}", (a[0], plain(a[1]), plain(a[2])), (b[0], plain(b[1]), plain(b[2])))
    for title, env in {"verbosity": {"TINI_VERBOSITY": "3"}, "silent": {"TINI_VERBOSITY": "0"},
                       "negative": {"TINI_VERBOSITY": "-1"}, "subreaper": {"TINI_SUBREAPER": ""},
                       "posix": {"POSIXLY_CORRECT": "1"}}.items():
        a, b = run(theirs, ["echo", "-n", "x"], env), run(ours, ["echo", "-n", "x"], env)
        suite.same(f"tini variable: {title}", (a[0], plain(a[1]), plain(a[2])), (b[0], plain(b[1]), plain(b[2])))
    # Not as PID 1: tini warns, unless told to be a subreaper.
    for words in (["true"], ["-s", "true"]):
        done = [subprocess.run([p.path, *words], env=environment({}), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                               timeout=CASE_TIMEOUT_S, check=False) for p in (theirs, ours)]
        suite.same(f"tini not as PID 1 {words}", *[(d.returncode, plain(d.stderr)) for d in done])
    # A stop signal takes back a SIGCONT that has not been delivered yet (signal(7)): that one comes after all of them.
    everything = [n for n in range(1, 32)
                  if n not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGCONT, signal.SIGUSR2)]
    everything += [40, signal.SIGCONT, signal.SIGUSR2]
    for words, env in ((["--"], {}), (["-g", "--"], {}), (["--"], {"TINI_KILL_PROCESS_GROUP": "1"})):
        results = [run_with_signals(p, [*words, *python(PRINTER)], everything, env, 0.02) for p in (theirs, ours)]
        suite.same(f"tini: all signals {words} {env}", *results)
    group = "trap 'sleep 0.1; exit 6' TERM; (trap 'echo member; exit' TERM; while :; do sleep 0.05; done) & " \
            "sleep 0.1; echo ready; while :; do sleep 0.05; done"
    for words in ([], ["-g"]):
        results = [run_with_signals(p, [*words, "--", "sh", "-c", group], [signal.SIGTERM]) for p in (theirs, ours)]
        suite.same(f"tini: member of the group {words}", *results)
    for keys in (b"\x03",):
        words = ["--", "sh", "-c", "trap 'echo got it; exit 8' INT; echo ready; while :; do sleep 0.05; done"]
        suite.same("tini: Ctrl-C on a terminal", *[run_on_terminal(p, words, keys) for p in (theirs, ours)])
    ignored = ["--", *python("import signal; print(signal.getsignal(signal.SIGTTIN), signal.getsignal(signal.SIGTTOU), "
                             "signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getsignal(signal.SIGHUP))")]
    suite.same("tini: the child's signals", run(theirs, ignored), run(ours, ignored))


def dumb_cases(suite, theirs, ours):
    shell = ["sh", "-c"]
    cases = {
        "status 0": ["true"],
        "status 7": [*shell, "exit 7"],
        "killed by TERM": [*shell, "kill -TERM $$"],
        "missing": ["no-such-program-here"],
        "not executable": ["/etc/passwd"],
        "no command": [],
        "help": ["-h"],
        "long help": ["--help"],
        "version": ["-V"],
        "long version": ["--version"],
        "abbreviated": ["--vers"],
        "ambiguous": ["--ver"],
        "unknown long": ["--nope"],
        "unknown": ["-x"],
        "value not allowed": ["--help=1"],
        "value missing": ["--rewrite"],
        "short value missing": ["-r"],
        "single child": ["-c", *shell, "exit 4"],
        "long single child": ["--single-child", *shell, "exit 4"],
        "operands end options": ["echo", "-c", "--nope"],
        "rewrite": ["-r", "15:2", "true"],
        "rewrite long": ["--rewrite=15:0", "true"],
        "rewrite with a tail": ["-r", "15:2x", "true"],
        "rewrite refused": ["-r", "32:2", "true"],
        "rewrite by name refused": ["-r", "TERM:INT", "true"],
        "rewrite half": ["-r", "15", "true"],
        "session": [*python("import os; print(os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid(), os.getcwd())")],
        "no session": ["-c", *python("import os; print(os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid())")],
        "the child's signals": [*python("import signal; print(signal.getsignal(signal.SIGTTIN), "
                                        "signal.pthread_sigmask(signal.SIG_BLOCK, []))")],
        "verbose": ["-v", *shell, "exit 3"],
    }
    for title, words in cases.items():
        a, b = run(theirs, words, cwd="/tmp"), run(ours, words, cwd="/tmp")
        errors = [sorted(plain(x).splitlines()) for x in (a[2].replace(theirs.path, "X"), b[2].replace(ours.path, "X"))]
        suite.same(f"dumb-init: {title}", (a[0], a[1], errors[0]), (b[0], b[1], errors[1]))
    for env in ({"DUMB_INIT_DEBUG": "1"}, {"DUMB_INIT_SETSID": "0"}, {"DUMB_INIT_DEBUG": "1", "DUMB_INIT_SETSID": "0"}):
        words = python("import os; print(os.getsid(0) == os.getpid())")
        a, b = run(theirs, words, env), run(ours, words, env)
        suite.same(f"dumb-init variables {env}", (a[0], a[1], sorted(plain(a[2]).splitlines())),
                   (b[0], b[1], sorted(plain(b[2]).splitlines())))
    everything = [n for n in range(1, 32) if n not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGUSR2,
                                                       signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)]
    everything += [40, signal.SIGUSR2]
    for words in ([], ["-c"], ["-r", "15:1", "-r", "2:0"]):
        results = [run_with_signals(p, [*words, *python(PRINTER)], everything, {}, 0.02) for p in (theirs, ours)]
        suite.same(f"dumb-init: all signals {words}", *results)
    # In single-child mode the terminal's stop signals arrive as they are; then the init stops itself (not as PID 1).
    for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        results = [run_with_signals(p, ["-c", *python(PRINTER)], [number, signal.SIGCONT, signal.SIGUSR2]) for p in (theirs, ours)]
        suite.same(f"dumb-init: stop signal {number}", *results)
    suite.same("dumb-init: suspends with its child", *[suspend(p) for p in (theirs, ours)])
    left = ["sh", "-c", "(trap 'echo told; exit' TERM; echo up; sleep 5 & wait) & sleep 0.2; exit 4"]
    suite.same("dumb-init: TERM to those that are left", run(theirs, left)[0], run(ours, left)[0])
    words = ["sh", "-c", "trap 'echo got it; exit 8' INT; echo ready; while :; do sleep 0.05; done"]
    suite.same("dumb-init: Ctrl-C on a terminal", *[run_on_terminal(p, words, b"\x03") for p in (theirs, ours)])


def is_stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "T"


def suspend(program):
    """TSTP stops init and child, CONT lets both go on; without a namespace, as PID 1 can't be stopped."""
    process = subprocess.Popen([program.path, *program.first, *python(PRINTER)], stdout=subprocess.PIPE, text=True,
                               stdin=subprocess.DEVNULL, env=environment({}))
    try:
        process.stdout.readline()
        child = child_of(process.pid)
        os.kill(process.pid, signal.SIGTSTP)
        time.sleep(0.15)
        stopped = (is_stopped(process.pid), is_stopped(child))
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.15)
        going = (is_stopped(process.pid), is_stopped(child))
        os.kill(process.pid, signal.SIGUSR2)
        out, _ = process.communicate(timeout=CASE_TIMEOUT_S)
        return stopped, going, process.returncode, out
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def abide_cases(suite, ours):
    shell = ["--", "sh", "-c"]
    for title, words, wanted in (
            ("status", [*shell, "exit 7"], 7), ("signal", [*shell, "kill -9 $$"], 137),
            ("missing", ["--", "no-such-program-here"], 127), ("not executable", ["--", "/etc/passwd"], 126),
            ("no command", [], 125), ("unknown option", ["-x"], 125), ("bad rewrite", ["-r", "NOPE:2", "true"], 125),
            ("bad status", ["-e", "300", "true"], 125), ("remapped", ["-e", "7", *shell, "exit 7"], 0),
            ("operands end options", ["sh", "-c", "exit 5"], 5), ("help", ["-h"], 0), ("license", ["-l"], 0),
            ("version", ["--version"], 0), ("subreaper", ["-s", "-w", "-g", "true"], 0)):
        got = run(ours, words)
        suite.equal(f"abide init: {title}", got[0], wanted)
        suite.equal(f"abide init: {title}: one line at most", got[2].count("\n") <= 1, True)
    for closed in ("<&-", ">&-", "<&- >&- 2>&-"):
        done = subprocess.run(["sh", "-c", f'exec "$0" init -- sh -c "exit 3" {closed}', ours.path], check=False,
                              timeout=CASE_TIMEOUT_S)
        suite.equal(f"abide init: started with {closed}", done.returncode, 3)
    everything = [n for n in range(1, 32) if n not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGUSR2)]
    everything += [40, signal.SIGUSR2]
    wanted = sorted(str(n) for n in everything)
    for words in ([], ["-g"]):
        suite.equal(f"abide init: every signal once {words}",
                    run_with_signals(ours, [*words, "--", *python(PRINTER)], everything, {}, 0.02), (5, wanted))
    suite.equal("abide init: rewritten", run_with_signals(ours, ["-r", "TERM:INT", "-r", "1:0", "--", *python(PRINTER)],
                                                          [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2]), (5, ["12", "2"]))
    orphans = "for i in 1 2 3 4 5 6 7 8 9; do (sleep 0.0$i &); done; sleep 0.4; " \
              "ps -eo stat= | grep -c Z; exit 0"
    suite.equal("abide init: no zombie stays", run(ours, [*shell, orphans])[1], "0\n")
    suite.equal("abide init: inherited ignored CHLD", run(Program("/bin/sh", "sh", [
        "-c", 'trap "" CHLD; exec "$0" init -- sh -c "exit 9"', ours.path]), [])[0], 9)


def times(theirs, ours, rounds=4, runs=50):
    """`init -- true` against tini: the smallest of several rounds each, so that a busy machine disturbs less."""
    def round_of(words):
        start = time.perf_counter()
        for _ in range(runs):
            pid = os.posix_spawn(words[0], words, {"PATH": "/usr/bin:/bin", "TINI_VERBOSITY": "0"})
            os.waitpid(pid, 0)
        return time.perf_counter() - start
    a, b = [theirs.path, "--", "/bin/true"], [ours.path, "init", "--", "/bin/true"]
    round_of(a), round_of(b)
    pairs = [(round_of(a), round_of(b)) for _ in range(rounds)]
    return min(p[1] for p in pairs) / min(p[0] for p in pairs)


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    abide = os.path.join(os.path.abspath(sys.argv[1]), "bin", "abide")
    suite = Suite()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("tini", "dumb-init"):
            os.symlink(abide, os.path.join(folder, name))
        tini, dumb = os.path.join(folder, "tini"), os.path.join(folder, "dumb-init")
        # Theirs is called through a link too, so that the name in messages has one length and place.
        if shutil.which("tini"):
            tini_cases(suite, Program("/usr/bin/tini", "tini"), Program(tini, "tini"))
        else:
            print("tini is not installed: not compared")
        if shutil.which("dumb-init"):
            dumb_cases(suite, Program("/usr/bin/dumb-init", "dumb-init"), Program(dumb, "dumb-init"))
        else:
            print("dumb-init is not installed: not compared")
        ours = Program(abide, "abide", ["init"])
        abide_cases(suite, ours)
        if shutil.which("tini"):
            print(f"`abide init -- true` takes {times(Program('/usr/bin/tini', 'tini'), ours):.2f} of tini's time")
    for failure in suite.failures:
        print("FAILED", failure)
    print(f"{suite.count - len(suite.failures)} of {suite.count} comparisons agree")
    return 1 if suite.failures else 0


if __name__ == "__main__":
    sys.exit(main())
