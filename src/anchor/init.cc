// anchor/init.cc -- a container's init for one command: reap, forward every signal once, pass the exit status on.
//
// Owns the child and the signal mask.  May not know services or a manager.  Invariants: all signals are blocked while
// the child lives and are taken one by one, so none is lost or doubled; there is no timer, so nothing wakes it without
// a cause.
#include "anchor/init.hpp"

#include <initializer_list>

namespace abide::init {
namespace {

constexpr int kNotFound = 127, kNotExecutable = 126, kFailed = 125;
constexpr std::size_t kLongestPath = 4096;
constexpr std::uint64_t kLibrarySignals = sys::signal_bit(32) | sys::signal_bit(33);  // the C library's own

// What the child gets back before exec.
struct Before {
    std::uint64_t mask = 0;
    sys::Action child{}, tty_in{}, tty_out{};
};

int failed(const Options& o) {
    return o.kind == InitKind::abide ? kFailed : 1;
}

// Signals whose default action is raised by the program's own faults; tini leaves them and the terminal's two alone.
std::uint64_t waited_for(const Options& o) {
    std::uint64_t mask = ~kLibrarySignals;
    if (o.kind == InitKind::tini)
        for (const int signal : {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU})
            mask &= ~sys::signal_bit(signal);
    return mask;
}

void take_signals(const Options& o, Before& before) {
    sys::set_mask(waited_for(o), &before.mask);
    sys::Action action{};
    sys::set_action(SIGCHLD, &action, &before.child);  // inherited as ignored it would reap the child without us
    if (o.kind == InitKind::dumb_init)
        for (int signal = 1; signal <= kLastRewritten; ++signal) sys::set_action(signal, &action);
    if (o.kind != InitKind::tini) return;
    action.handler = reinterpret_cast<void*>(1);  // SIG_IGN: a terminal with TOSTOP must not stop our messages
    sys::set_action(SIGTTIN, &action, &before.tty_in);
    sys::set_action(SIGTTOU, &action, &before.tty_out);
}

void give_signals_back(const Options& o, const Before& before) {
    if (o.kind == InitKind::dumb_init) {
        sys::set_mask(0);
        return;
    }
    sys::set_action(SIGCHLD, &before.child);
    if (o.kind == InitKind::tini) {
        sys::set_action(SIGTTIN, &before.tty_in);
        sys::set_action(SIGTTOU, &before.tty_out);
    }
    sys::set_mask(before.mask);
}

// One candidate; a file without a known format is a shell script, as for execvp(3).  `words[-1]` is ours to overwrite.
long execute(const char* path, char** words, char* const* environment) {
    long err = sys::call(__NR_execve, sys::at(path), sys::at(words), sys::at(environment));
    if (err != -ENOEXEC) return err;
    static char shell[] = "/bin/sh";
    char* const saved = words[0];
    words[-1] = shell;
    words[0] = const_cast<char*>(path);
    err = sys::call(__NR_execve, sys::at(shell), sys::at(words - 1), sys::at(environment));
    words[0] = saved;
    return err;
}

long execute_by_path(char** words, char* const* environment) {
    const char* name = words[0];
    const std::size_t name_bytes = strlen(name);
    if (name_bytes == 0) return -ENOENT;
    if (text::base_name(name) != name) return execute(name, words, environment);
    const char* folders = text::variable(environment, "PATH");
    if (folders == nullptr) folders = "/bin:/usr/bin";
    bool denied = false;
    long err = -ENOENT;
    for (const char* at = folders;; ++at) {
        const char* end = at;
        while (*end != 0 && *end != ':') ++end;
        const std::size_t bytes = std::size_t(end - at);
        char path[kLongestPath];
        if (bytes + name_bytes + 2 <= sizeof path) {
            memcpy(path, at, bytes);
            if (bytes > 0) path[bytes] = '/';
            memcpy(path + bytes + (bytes > 0 ? 1 : 0), name, name_bytes + 1);
            err = execute(path, words, environment);
            denied = denied || err == -EACCES;
            if (err != -EACCES && err != -ENOENT && err != -ENOTDIR && err != -ESTALE && err != -ENODEV &&
                err != -ETIMEDOUT)
                return err;
        }
        if (*end == 0) break;
        at = end;
    }
    return denied ? -EACCES : err;
}

// The child leads a process group, which becomes the terminal's foreground group.  0, or an exit status.
int lead_group(const Options& o) {
    int group = 0;
    sys::call(__NR_setpgid, 0, 0);
    const int own = sys::getpid();
    if (o.kind == InitKind::abide) {  // only somebody in the foreground may pass it on
        const bool foreground = sys::call(__NR_ioctl, 0, 0x540F /* TIOCGPGRP */, sys::at(&group)) == 0;
        int parent_group = int(sys::call(__NR_getpgid, sys::call(__NR_getppid)));
        if (!foreground || group != parent_group) return 0;
    }
    const long err = sys::call(__NR_ioctl, 0, long(sys::kSetForeground), sys::at(&own));
    if (err == -ENOTTY || err == -ENXIO) {
        if (says(o, 3))
            Say(o, 3) << "tcsetpgrp failed: no " << (err == -ENOTTY ? "tty" : "such device") << " (ok to proceed)\n";
    } else if (err < 0 && o.kind == InitKind::tini) {
        Say(o, 0) << "tcsetpgrp failed: " << text::error_name(err) << "\n";
        return 1;
    }
    return 0;
}

int lead_session(const Options& o) {
    if (const long err = sys::call(__NR_setsid); err < 0) {
        Say(o, 0) << "Unable to setsid (errno=" << -err << " " << text::error_name(err) << "). Exiting.\n";
        return 1;
    }
    if (const long err = sys::call(__NR_ioctl, 0, long(sys::kTakeTerminal), 0); err < 0 && says(o, 1))
        Say(o, 1) << "Unable to attach to controlling tty (errno=" << -err << " " << text::error_name(err) << ").\n";
    if (says(o, 1)) Say(o, 1) << "setsid complete.\n";
    return 0;
}

[[noreturn]] void become_command(const Options& o, const Before& before) {
    int status = 0;
    if (o.kind != InitKind::dumb_init) status = lead_group(o);
    give_signals_back(o, before);
    if (o.kind == InitKind::dumb_init && o.new_session) status = lead_session(o);
    if (status != 0) sys::exit(status);
    const long err = execute_by_path(o.command, o.environment);
    if (o.kind == InitKind::dumb_init) {
        Say(o, 0) << o.command[0] << ": " << text::error_name(err) << "\n";
        sys::exit(2);
    }
    Say(o, 0) << "exec " << o.command[0] << " failed: " << text::error_name(err) << "\n";
    if (err == -ENOENT) sys::exit(kNotFound);
    sys::exit(err == -EACCES || o.kind == InitKind::abide ? kNotExecutable : 1);
}

struct Watch {
    const Options& options;
    int child;
    int status = -1;                         // the child's, once it has ended
    bool ignore_once[kLastSignal + 1] = {};  // dumb-init: what giving up the terminal sends us
};

// 0, or the exit status for a signal that could not be forwarded.
int forward(const Watch& w, int signal) {
    const Options& o = w.options;
    if (signal <= kLastRewritten && o.rewrite[signal] != kAsItIs) signal = o.rewrite[signal];
    if (signal == 0) return 0;
    if (o.kind == InitKind::dumb_init ? says(o, 1) : says(o, 3)) {
        if (o.kind == InitKind::dumb_init)
            Say(o, 1) << "Forwarded signal " << signal << " to children.\n";
        else
            Say(o, 3) << "Passing signal: '" << text::signal_name(signal) << "'\n";
    }
    long err = sys::kill(o.to_group ? -w.child : w.child, signal);
    if (err == -ESRCH && o.to_group) err = sys::kill(w.child, signal);  // it does not lead its group yet
    if (err == 0 || o.kind == InitKind::dumb_init) return 0;
    if (err == -ESRCH) {
        if (says(o, 1)) Say(o, 1) << "Child was dead when forwarding signal\n";
        return 0;
    }
    Say(o, 0) << "Unexpected error when forwarding signal: '" << text::error_name(err) << "'\n";
    return o.kind == InitKind::tini ? 1 : 0;
}

void note_end(Watch& w, const sys::WaitInfo& info) {
    const Options& o = w.options;
    const bool exited = info.code == 1;  // CLD_EXITED
    if (o.kind == InitKind::dumb_init && says(o, 1))
        Say(o, 1) << "A child with PID " << info.pid
                  << (exited ? " exited with exit status " : " was terminated by signal ") << info.status << ".\n";
    if (o.kind != InitKind::dumb_init && says(o, 3)) Say(o, 3) << "Reaped child with pid: '" << info.pid << "'\n";
    if (info.pid != w.child) {
        if (o.warn_reaped && says(o, 1)) Say(o, 1) << "Reaped zombie process with pid=" << info.pid << "\n";
        return;
    }
    if (o.kind != InitKind::dumb_init && says(o, 2)) {
        if (exited)
            Say(o, 2) << "Main child exited normally (with status '" << info.status << "')\n";
        else
            Say(o, 2) << "Main child exited with signal (with signal '" << text::signal_name(info.status) << "')\n";
    }
    const int status = (exited ? info.status : 128 + info.status) & 0xff;
    w.status = o.becomes_zero[status] ? 0 : status;
}

void reap(Watch& w) {
    for (;;) {
        sys::WaitInfo info{};
        const long err = sys::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL);
        if (err < 0 || info.pid == 0) {
            if (w.options.kind == InitKind::tini && says(w.options, 4))
                Say(w.options, 4) << "No child to " << (err < 0 ? "wait" : "reap") << "\n";
            return;
        }
        note_end(w, info);
        if (w.status != -1 && w.options.kind == InitKind::dumb_init) return;  // it leaves the others to the kernel
    }
}

int watch(Watch& w) {
    const Options& o = w.options;
    const std::uint64_t set = waited_for(o);
    for (;;) {
        sys::WaitInfo info{};
        const int signal = int(sys::call(__NR_rt_sigtimedwait, sys::at(&set), sys::at(&info), 0, sys::kSignalSetBytes));
        if (signal <= 0) continue;
        if (o.kind == InitKind::dumb_init && says(o, 1)) Say(o, 1) << "Received signal " << signal << ".\n";
        if (o.kind == InitKind::tini && signal == SIGCHLD && says(o, 3)) Say(o, 3) << "Received SIGCHLD\n";
        if (w.ignore_once[signal]) {
            w.ignore_once[signal] = false;
            if (says(o, 1)) Say(o, 1) << "Ignoring tty hand-off signal " << signal << ".\n";
        } else if (signal != SIGCHLD) {
            if (const int status = forward(w, signal); status != 0) return status;
            const bool stops = signal == SIGTSTP || signal == SIGTTOU || signal == SIGTTIN;
            if (stops && o.kind == InitKind::dumb_init) {
                if (says(o, 1)) Say(o, 1) << "Suspending self due to TTY signal.\n";
                sys::kill(sys::getpid(), SIGSTOP);
            }
            if (o.kind == InitKind::dumb_init) continue;
        }
        reap(w);
        if (w.status == -1) continue;
        if (o.kind == InitKind::dumb_init) {
            forward(w, SIGTERM);
            if (says(o, 1)) Say(o, 1) << "Child exited with status " << w.status << ". Goodbye.\n";
        }
        if (o.kind == InitKind::tini && says(o, 4)) Say(o, 4) << "Exiting: child has exited\n";
        return w.status;
    }
}

// dumb-init leaves its terminal, so that the child's session can take it.
void leave_terminal(Watch& w) {
    const Options& o = w.options;
    if (const long err = sys::call(__NR_ioctl, 0, long(sys::kGiveUpTerminal), 0); err < 0) {
        if (says(o, 1))
            Say(o, 1) << "Unable to detach from controlling tty (errno=" << -err << " " << text::error_name(err)
                      << ").\n";
    } else if (sys::call(__NR_getsid, 0) == sys::getpid()) {
        if (says(o, 1))
            Say(o, 1) << "Detached from controlling tty, ignoring the first SIGHUP and SIGCONT we receive.\n";
        w.ignore_once[SIGHUP] = w.ignore_once[SIGCONT] = true;
    } else if (says(o, 1)) {
        Say(o, 1) << "Detached from controlling tty, but was not session leader.\n";
    }
}

int adopt_orphans(const Options& o) {
    if (o.subreaper) {
        if (const long err = sys::prctl(PR_SET_CHILD_SUBREAPER, 1); err < 0) {
            Say(o, 0) << "Failed to register as child subreaper: " << text::error_name(err) << "\n";
            return failed(o);
        }
        if (says(o, 4)) Say(o, 4) << "Registered as child subreaper\n";
    }
    int registered = 0;
    if (sys::getpid() == 1 || (sys::prctl(PR_GET_CHILD_SUBREAPER, sys::at(&registered)) == 0 && registered == 1))
        return 0;
    if (o.kind == InitKind::tini && says(o, 1))
        Say(o, 1) << "Tini is not running as PID 1 and isn't registered as a child subreaper.\n"
                     "Zombie processes will not be re-parented to Tini, so zombie reaping won't work.\n"
                     "To fix the problem, use the -s option or set the environment variable TINI_SUBREAPER to register "
                     "Tini as a "
                     "child subreaper, or run Tini as PID 1.\n";
    if (o.kind == InitKind::abide && says(o, 2)) Say(o, 2) << "not PID 1, and no -s: orphans go to another process\n";
    return 0;
}

}  // namespace
}  // namespace abide::init

namespace abide {

int run_init(Launch& launch, InitKind kind) {
    using namespace init;
    Options options;
    options.kind = kind;
    int status = 0;
    if (!read_words(launch, options, status)) return status;

    Before before;
    take_signals(options, before);
    if (options.parent_death_signal != 0 && sys::prctl(PR_SET_PDEATHSIG, options.parent_death_signal) < 0) {
        Say(options, 0) << "Failed to set up parent death signal\n";
        return failed(options);
    }
    if (kind != InitKind::dumb_init)
        if (const int refused = adopt_orphans(options); refused != 0) return refused;

    Watch w{options, 0};
    if (options.new_session) leave_terminal(w);
    const long pid = sys::fork();
    if (pid < 0) {
        if (kind == InitKind::dumb_init)
            Say(options, 0) << "Unable to fork. Exiting.\n";
        else
            Say(options, 0) << "fork failed: " << text::error_name(pid) << "\n";
        return failed(options);
    }
    if (pid == 0) become_command(options, before);

    w.child = int(pid);
    if (kind == InitKind::dumb_init) {
        if (says(options, 1)) Say(options, 1) << "Child spawned with PID " << w.child << ".\n";
        sys::call(__NR_chdir, sys::at("/"));
    } else {
        sys::call(__NR_setpgid, pid, pid);  // as the child does: whoever is first, a signal to the group then arrives
        if (says(options, 2))
            Say(options, 2) << "Spawned child process '" << options.command[0] << "' with pid '" << w.child << "'\n";
    }
    return watch(w);
}

}  // namespace abide
