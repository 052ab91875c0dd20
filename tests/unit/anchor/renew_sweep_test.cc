// tests/unit/anchor/renew_sweep_test.cc -- the anchor's own exec, with each of its system calls failing in turn, in the
// old program, in the rehearsal's parent, and in the new one: what it holds is there afterwards, whichever of the two
// goes on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "instance.hpp"

#if defined(__x86_64__)

namespace abide::test {
namespace {

using anchor::Verb;

constexpr std::uint64_t kKept = anchor::kFirstFreeKey;
constexpr std::uint32_t kTag = 5000;
constexpr int kMostCalls = 600;

// Some calls can't fail, or are the waiting itself; and only what makes descriptors or executes has further errors (an
// error on the link that is not one of memory or time means that the link is gone).
bool can_fail(long number, int error) {
    for (const long one : {SYS_ppoll, SYS_exit_group, SYS_fcntl, SYS_close, SYS_getpid, SYS_clock_gettime, SYS_lseek,
                           SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_kill, SYS_prctl, SYS_prlimit64, SYS_dup3})
        if (number == one) return false;
    if (error == ENOMEM || error == EINTR) return true;
    for (const long one : {SYS_memfd_create, SYS_signalfd4, SYS_openat, SYS_clone, SYS_execveat})
        if (number == one) return true;
    return false;
}

// Stops the anchor at its system calls while it serves one request.
class Tracer {
  public:
    explicit Tracer(pid_t pid) : pid_(pid) {
        if (ptrace(PTRACE_SEIZE, pid_, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0) return;
        ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr);
        int status = 0;
        seized_ = waitpid(pid_, &status, __WALL) == pid_ && WIFSTOPPED(status);
    }
    bool seized() const { return seized_; }

    // Lets `count` system calls begin and makes the next one fail; true if there was one before `done`.
    template <class Done>
    bool fail_call(int count, int error, const Done& done) {
        bool failing = false;
        for (int begun = 0; !done();) {
            ptrace(PTRACE_SYSCALL, pid_, nullptr, nullptr);
            if (!stop(done)) return false;
            // A call that our interrupt has cut short ends without having begun: the kernel says which it is.
            __ptrace_syscall_info info{};
            ptrace(PTRACE_GET_SYSCALL_INFO, pid_, sizeof info, &info);
            if (info.op == PTRACE_SYSCALL_INFO_EXIT && failing) {
                write_register(offsetof(user, regs.rax), -error);
                return detach(), true;
            }
            if (info.op != PTRACE_SYSCALL_INFO_ENTRY || begun++ != count) continue;
            called_ = static_cast<long>(info.entry.nr);
            if (!can_fail(called_, error)) return detach(), true;
            write_register(offsetof(user, regs.orig_rax), -1);
            failing = true;
        }
        detach();
        return false;
    }
    long called() const { return called_; }

  private:
    // The next stop at a system call; other stops (signals, exec) are passed on.
    template <class Done>
    bool stop(const Done& done) {
        for (;;) {
            int status = 0;
            const pid_t got = waitpid(pid_, &status, __WALL | WNOHANG);
            if (got < 0 || (got == pid_ && !WIFSTOPPED(status))) return false;
            if (got == 0) {
                if (done()) {
                    ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr);
                    waitpid(pid_, &status, __WALL);
                    ptrace(PTRACE_DETACH, pid_, nullptr, nullptr);
                    return false;
                }
                const timespec moment{0, 20'000};
                nanosleep(&moment, nullptr);
                continue;
            }
            if (WSTOPSIG(status) == (SIGTRAP | 0x80)) return true;
            const int event = status >> 16;
            ptrace(PTRACE_SYSCALL, pid_, nullptr, event != 0 ? 0 : WSTOPSIG(status));
        }
    }
    // A long: ptrace(2) is variadic, and the upper half of an int's register is anything, so -ENOMEM was a large
    // number.
    void write_register(std::size_t at, long value) { ptrace(PTRACE_POKEUSER, pid_, at, value); }
    void detach() { ptrace(PTRACE_DETACH, pid_, nullptr, nullptr); }

    pid_t pid_;
    bool seized_ = false;
    long called_ = -1;
};

// One renewal with its call number `count` failing, if that can; false when it has no so many.
bool survives_failure(int count, int error, int& failed) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    manager.ask(Verb::ready);
    const Fd file = memory_file("kept"), next(open(abide_program().c_str(), O_PATH | O_CLOEXEC));
    manager.ask(Verb::put, std::vector<std::uint64_t>{kKept, std::uint64_t(anchor::Key::next_anchor)}, 0,
                {file.get(), next.get()});
    const pid_t service = manager.spawn_sleeping(), ended = manager.spawn_exiting(7);
    EXPECT_EQ(manager.exit_of(ended).status, 7);
    bool reached = false;
    std::optional<Packet> answer;
    {
        Tracer tracer(instance.pid());
        if (!tracer.seized()) ADD_FAILURE() << "the anchor can't be traced";
        manager.tell({std::uint16_t(Verb::exec_self), 0, kTag, 0, 0}, nullptr, 0);
        reached = tracer.fail_call(count, error, [&] {
            if (!answer) answer = manager.receive(std::chrono::milliseconds(0));
            return answer.has_value();
        });
        if (reached && can_fail(tracer.called(), error)) ++failed;
        SCOPED_TRACE("call " + std::to_string(count) + " (number " + std::to_string(tracer.called()) + ") failing");
        if (!answer) answer = manager.receive(4000ms);
        EXPECT_TRUE(answer.has_value()) << "no answer";
        if (answer && reached && tracer.called() == SYS_execveat && can_fail(SYS_execveat, error)) {
            EXPECT_EQ(answer->header.status, std::uint32_t(error));  // the old one went on
        }
        const anchor::HelloAnswer hello = manager.hello();
        EXPECT_EQ(hello.epoch, 1u);
        EXPECT_EQ(process_state(ended), 'Z');
        EXPECT_NE(process_state(service), '\0');
        const Packet kept = manager.ask(Verb::get, std::vector<std::uint64_t>{kKept});
        EXPECT_EQ(kept.fds.size(), 1u);
        if (!kept.fds.empty()) {
            EXPECT_EQ(content_of(kept.fds[0].get()), "kept");
        }
        manager.reap({ended});
        EXPECT_EQ(process_state(ended), '\0');
        kill(service, SIGKILL);
        EXPECT_EQ(manager.exit_of(service).status, SIGKILL);
        kill(manager.pid(), SIGKILL);
        EXPECT_EQ(instance.manager().hello().epoch, 2u);
    }
    return reached;
}

TEST(RenewSweep, EachSystemCallMayFail) {
    for (const int error : {ENOMEM, EINTR, EMFILE, EPERM, EIO}) {
        int count = 0, failed = 0;
        while (count < kMostCalls && survives_failure(count, error, failed) && !HasFailure()) ++count;
        std::printf("%d of %d system calls failed with error %d, one after the other\n", failed, count, error);
        // Rounds differ by a call or two (a timer that is due), so one of the few that can fail so may be stepped over.
        EXPECT_GT(failed, 0);
        EXPECT_LT(count, kMostCalls);
    }
}

}  // namespace
}  // namespace abide::test

#endif
