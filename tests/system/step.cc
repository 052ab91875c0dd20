// tests/system/step.cc -- abide-step: counts the system calls of a running program, and kills it at one of them or lets
// that one fail; or counts its allocations, and lets one of them fail.
//
//   abide-step PID count                  until the program ends or this one gets TERM
//   abide-step PID kill K                 SIGKILL at the entry of its K-th call from now on
//   abide-step PID fail K ERRNO           the K-th call is not carried out (but for close) and returns -ERRNO
//   abide-step PID deny NUMBER ERRNO      so do all calls of this number
//   abide-step PID deny-of NUMBER ERRNO A  and only where their first argument is A
//   abide-step PID stop K                 SIGSTOP at the entry of its K-th call
//   abide-step PID birth                  its next child is stopped at its first instruction
//   abide-step PID hold                   so is it, and the program is killed
//   abide-step PID allocations            counts these instead
//   abide-step PID nomem K                for its K-th allocation there is no memory
//   abide-step PID nomem-from K           nor for any later one
//   abide-step PID child kill|fail|count … the same for the next program that a child of PID execs, from its exec on
//
// Says "attached" when it is, and at the end one line: how many it saw, the number of the call it acted on (-1: it did
// not; 0: it was no call), and the pid of the program (or of the child that it holds).  Children of the program are not
// touched.  ptrace(2).
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "step_heap.hpp"

namespace {

volatile std::sig_atomic_t told_to_end = 0;

enum class Deed { count, kill, fail, deny, deny_of, stop, birth, hold, allocations, nomem, nomem_from };

struct Word {
    std::string_view name;
    Deed deed;
    int numbers;  // that follow it
};
constexpr Word kWords[] = {{"count", Deed::count, 0},
                           {"kill", Deed::kill, 1},
                           {"fail", Deed::fail, 2},
                           {"deny", Deed::deny, 2},
                           {"deny-of", Deed::deny_of, 3},
                           {"stop", Deed::stop, 1},
                           {"birth", Deed::birth, 0},
                           {"hold", Deed::hold, 0},
                           {"nomem", Deed::nomem, 1},
                           {"nomem-from", Deed::nomem_from, 1},
                           {"allocations", Deed::allocations, 0}};

bool is_about_memory(Deed deed) {
    return deed == Deed::allocations || deed == Deed::nomem || deed == Deed::nomem_from;
}

struct Plan {
    pid_t pid = 0;
    bool child = false;
    Deed deed = Deed::count;
    long at = 0;
    int error = 0;
    unsigned long argument = 0;
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
        const bool children = plan_.child || takes_child();
        const unsigned long options = PTRACE_O_TRACESYSGOOD | (children ? kChildOptions : 0UL);
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
        if (!done_ && heap_planted_) let_go();
        std::printf("%ld %ld %d\n", calls_, number_, subject_);
        return 0;  // the kernel lets go of everything that is still held
    }

  private:
    static constexpr unsigned long kChildOptions =
        PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

    bool takes_child() const { return plan_.deed == Deed::hold || plan_.deed == Deed::birth; }

    void take(pid_t pid, int status) {
        if (!WIFSTOPPED(status)) {
            done_ = done_ || pid == subject_ || pid == plan_.pid;
            return;
        }
        const int signal = WSTOPSIG(status), event = status >> 16;
        if (takes_child() && pid != subject_) return hold(pid);
        if (pid == subject_ && signal == (SIGTRAP | 0x80)) return call(pid);
        if (pid == subject_ && signal == SIGTRAP && event == 0 && heap_planted_ && heap_.stands_at(pid))
            return allocation(pid);
        if (event == PTRACE_EVENT_EXEC && plan_.child && subject_ == 0 && pid != plan_.pid) {
            subject_ = pid;
            inside_ = true;  // the end of its execve comes first
        }
        const bool new_program = event == PTRACE_EVENT_EXEC || (event == PTRACE_EVENT_STOP && !heap_planted_);
        if (is_about_memory(plan_.deed) && pid == subject_ && new_program) heap_planted_ = heap_.plant(pid);
        // Its other children are let go at once, and what it starts is its own affair.
        if (plan_.child && subject_ != 0 && pid != subject_ && pid != plan_.pid) {
            trace(PTRACE_DETACH, pid, 0, 0);
            return;
        }
        const bool own_stop = event != 0 || signal == SIGTRAP;
        const bool stepping = pid == subject_ && !is_about_memory(plan_.deed);
        trace(stepping ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0, static_cast<unsigned long>(own_stop ? 0 : signal));
    }

    void deny(pid_t pid) {
        if (inside_) {
            __ptrace_syscall_info info{};
            trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, reinterpret_cast<unsigned long>(&info));
            denied_ = static_cast<long>(info.entry.nr) == plan_.at &&
                      (plan_.deed == Deed::deny || info.entry.args[0] == plan_.argument);
            if (denied_) replace(pid, true, -1);
        } else if (std::exchange(denied_, false)) {
            number_ = plan_.at;
            ++calls_;
            replace(pid, false, -plan_.error);
        }
        trace(PTRACE_SYSCALL, pid, 0, 0);
    }

    void hold(pid_t child) {
        ::kill(child, SIGSTOP);  // taken before its first instruction
        trace(PTRACE_DETACH, child, 0, 0);
        if (plan_.deed == Deed::hold) ::kill(subject_, SIGKILL);
        subject_ = child;
        number_ = 0;
        done_ = true;
    }

    void allocation(pid_t pid) {
        ++calls_;
        const bool one = plan_.deed == Deed::nomem && calls_ == plan_.at;
        if (one || (plan_.deed == Deed::nomem_from && calls_ >= plan_.at)) {
            heap_.fail(pid);
            number_ = 0;
            if (one) {
                heap_.lift(pid);
                done_ = true;
                trace(PTRACE_DETACH, pid, 0, 0);
                return;
            }
        } else if (!heap_.pass(pid)) {
            done_ = true;
            return;
        }
        trace(PTRACE_CONT, pid, 0, 0);
    }

    // Without a breakpoint.
    void let_go() {
        trace(PTRACE_INTERRUPT, subject_, 0, 0);
        int status = 0;
        if (::waitpid(subject_, &status, __WALL) != subject_ || !WIFSTOPPED(status)) return;
        static_cast<void>(heap_.stands_at(subject_));
        heap_.lift(subject_);
        trace(PTRACE_DETACH, subject_, 0, 0);
    }

    void call(pid_t pid) {
        inside_ = !inside_;
        if (plan_.deed == Deed::deny || plan_.deed == Deed::deny_of) return deny(pid);
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
                if (plan_.deed == Deed::stop) {
                    done_ = true;
                    trace(PTRACE_DETACH, pid, 0, SIGSTOP);
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
    bool inside_ = false, denied_ = false, done_ = false, heap_planted_ = false;
    Heap heap_;
    long calls_ = 0, number_ = -1;
};

int usage() {
    std::fprintf(stderr,
                 "usage: abide-step PID [child] count | kill K | fail K ERRNO | deny NUMBER ERRNO | "
                 "deny-of NUMBER ERRNO A | stop K | birth | hold | allocations | nomem K | nomem-from K\n");
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
    const std::string_view name = word < argc ? argv[word] : "";
    const auto* known = std::ranges::find(kWords, name, &Word::name);
    if (known == std::end(kWords) || word + known->numbers >= argc) return usage();
    plan.deed = known->deed;
    if (known->numbers > 0) plan.at = std::stol(argv[word + 1]);
    if (known->numbers > 1) plan.error = std::stoi(argv[word + 2]);
    if (known->numbers > 2) plan.argument = std::stoul(argv[word + 3]);
    struct sigaction action{};
    action.sa_handler = [](int) { told_to_end = 1; };
    sigaction(SIGTERM, &action, nullptr);  // without SA_RESTART: it ends the wait
    return Stepper(plan).run();
}
