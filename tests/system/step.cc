// tests/system/step.cc -- abide-step: counts the system calls of a running program, and kills it at one of them or lets
// that one fail.
//
//   abide-step PID count                  until the program ends or this one gets TERM
//   abide-step PID kill K                 SIGKILL at the entry of its K-th call from now on
//   abide-step PID fail K ERRNO           the K-th call is not carried out (but for close) and returns -ERRNO
//   abide-step PID child kill|fail|count … the same for the next program that a child of PID execs, from its exec on
//
// Says "attached" when it is, and at the end one line: how many calls it saw, the number of the call it acted on (-1:
// it did not), and the pid of the program.  Children of the program are not touched.  ptrace(2).
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace {

volatile std::sig_atomic_t told_to_end = 0;

enum class Deed { count, kill, fail };

struct Plan {
    pid_t pid = 0;
    bool child = false;
    Deed deed = Deed::count;
    long at = 0;
    int error = 0;
};

long trace(int request, pid_t pid, unsigned long address, unsigned long data) {
    return ::ptrace(static_cast<__ptrace_request>(request), pid, address, data);
}

// Entering: the call becomes one that does not exist.  Leaving: its result.
void replace(pid_t pid, bool entering, long value) {
#if defined(__x86_64__)
    user_regs_struct registers{};
    iovec part{&registers, sizeof registers};
    trace(PTRACE_GETREGSET, pid, NT_PRSTATUS, reinterpret_cast<unsigned long>(&part));
    (entering ? registers.orig_rax : registers.rax) = static_cast<unsigned long long>(value);
    trace(PTRACE_SETREGSET, pid, NT_PRSTATUS, reinterpret_cast<unsigned long>(&part));
#elif defined(__aarch64__)
    if (entering) {
        int number = static_cast<int>(value);
        iovec part{&number, sizeof number};
        trace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, reinterpret_cast<unsigned long>(&part));
        return;
    }
    user_regs_struct registers{};
    iovec part{&registers, sizeof registers};
    trace(PTRACE_GETREGSET, pid, NT_PRSTATUS, reinterpret_cast<unsigned long>(&part));
    registers.regs[0] = static_cast<unsigned long long>(value);
    trace(PTRACE_SETREGSET, pid, NT_PRSTATUS, reinterpret_cast<unsigned long>(&part));
#endif
}

// What the kernel answers always, whatever it is short of.
bool can_fail(long number) {
    switch (number) {
        case SYS_getpid:
        case SYS_getppid:
        case SYS_gettid:
        case SYS_getuid:
        case SYS_clock_gettime:
        case SYS_exit_group: return false;
        default: return true;
    }
}

class Stepper {
  public:
    explicit Stepper(const Plan& plan) : plan_(plan) {}

    int run() {
        const unsigned long options = PTRACE_O_TRACESYSGOOD | (plan_.child ? kChildOptions : 0UL);
        if (trace(PTRACE_SEIZE, plan_.pid, 0, options) != 0) {
            std::fprintf(stderr, "abide-step: %d: %s\n", plan_.pid, std::strerror(errno));
            return 1;
        }
        if (!plan_.child) {
            subject_ = plan_.pid;
            trace(PTRACE_INTERRUPT, subject_, 0, 0);
        }
        std::printf("attached\n");
        std::fflush(stdout);
        while (told_to_end == 0 && !done_) {
            int status = 0;
            const pid_t pid = ::waitpid(-1, &status, __WALL);
            if (pid < 0 && errno == EINTR) continue;
            if (pid < 0) break;
            take(pid, status);
        }
        std::printf("%ld %ld %d\n", calls_, number_, subject_);
        return 0;  // the kernel lets go of everything that is still held
    }

  private:
    static constexpr unsigned long kChildOptions =
        PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

    void take(pid_t pid, int status) {
        if (!WIFSTOPPED(status)) {
            done_ = done_ || pid == subject_ || pid == plan_.pid;
            return;
        }
        const int signal = WSTOPSIG(status), event = status >> 16;
        if (pid == subject_ && signal == (SIGTRAP | 0x80)) return call(pid);
        if (event == PTRACE_EVENT_EXEC && plan_.child && subject_ == 0 && pid != plan_.pid) {
            subject_ = pid;
            inside_ = true;  // the end of its execve comes first
        }
        // Its other children are let go at once, and what it starts is its own affair.
        if (plan_.child && subject_ != 0 && pid != subject_ && pid != plan_.pid) {
            trace(PTRACE_DETACH, pid, 0, 0);
            return;
        }
        const bool own_stop = event != 0 || signal == SIGTRAP;
        trace(pid == subject_ ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0,
              static_cast<unsigned long>(own_stop ? 0 : signal));
    }

    void call(pid_t pid) {
        inside_ = !inside_;
        if (inside_) {
            ++calls_;
            if (calls_ == plan_.at && plan_.deed != Deed::count) {
                __ptrace_syscall_info info{};
                trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, reinterpret_cast<unsigned long>(&info));
                number_ = static_cast<long>(info.entry.nr);
                if (plan_.deed == Deed::kill) {
                    ::kill(pid, SIGKILL);
                    done_ = true;
                    return;
                }
                if (!can_fail(number_)) {
                    number_ = -1;
                    done_ = true;
                    trace(PTRACE_DETACH, pid, 0, 0);
                    return;
                }
                // close(2) takes the descriptor away whatever it says; every other call that fails was not carried out.
                if (number_ != SYS_close) replace(pid, true, -1);
            }
        } else if (calls_ == plan_.at && plan_.deed == Deed::fail) {
            replace(pid, false, -plan_.error);
            done_ = true;
            trace(PTRACE_DETACH, pid, 0, 0);
            return;
        }
        trace(PTRACE_SYSCALL, pid, 0, 0);
    }

    Plan plan_;
    pid_t subject_ = 0;
    bool inside_ = false, done_ = false;
    long calls_ = 0, number_ = -1;
};

int usage() {
    std::fprintf(stderr, "usage: abide-step PID [child] count | kill K | fail K ERRNO\n");
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) return usage();
    Plan plan;
    plan.pid = std::stoi(argv[1]);
    int word = 2;
    if (std::string_view(argv[word]) == "child") {
        plan.child = true;
        ++word;
    }
    const std::string_view deed = word < argc ? argv[word] : "";
    if (deed == "kill" && word + 1 < argc) {
        plan.deed = Deed::kill;
        plan.at = std::stol(argv[word + 1]);
    } else if (deed == "fail" && word + 2 < argc) {
        plan.deed = Deed::fail;
        plan.at = std::stol(argv[word + 1]);
        plan.error = std::stoi(argv[word + 2]);
    } else if (deed != "count") {
        return usage();
    }
    struct sigaction action{};
    action.sa_handler = [](int) { told_to_end = 1; };
    sigaction(SIGTERM, &action, nullptr);  // without SA_RESTART: it ends the wait
    return Stepper(plan).run();
}
