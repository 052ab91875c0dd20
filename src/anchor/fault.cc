// anchor/fault.cc -- a fault of our own (SIGSEGV, SIGBUS, SIGILL, SIGFPE) must not end the parent of everything.
//
// The turn in which it happened is given up and the loop begins again with a new manager, which asks for all that it
// needs.  When that does not help, the safe loop is what remains: it reaps, and ends everything when told.  A manager
// finds its socket closed then, and services live on.  Invariant: the handler of a fault never returns to it; a signal
// that somebody sent (si_code, sigaction(2)) says nothing about us and changes nothing.
#include "anchor/anchor.hpp"
#include "anchor/text.hpp"

#if defined(__x86_64__)  // how a handler returns, rt_sigreturn(2); aarch64 has it in the vDSO
extern "C" void abide_sigreturn();
asm(".text\nabide_sigreturn:\n  mov $15,%eax\n  syscall\n");
#endif

namespace abide::anchor {
namespace {

constexpr std::uint32_t kMostFaults = 8;  // each within kHealthyMs of the one before
constexpr std::size_t kStackBytes = 128 << 10;

Anchor* self;
int self_pid;
alignas(16) char stack[kStackBytes];  // untouched pages cost nothing

// Each fault begins at the top of the same memory: what was below is given up.
void arm() {
    const long ours[] = {sys::at(stack), 1l << 31, kStackBytes};  // stack_t with SS_AUTODISARM
    sys::call(__NR_sigaltstack, sys::at(ours), 0);
}

[[noreturn]] void only_reap(Anchor& a) {
    text::Line(2, false) << "abide-anchor: too many faults; from now on it only reaps, until SIGTERM\n";
    const std::uint64_t waited_for = ~kFaults;
    for (;;) {
        sys::WaitInfo info{};
        long err = 0;
        while ((err = sys::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL)) == 0 && info.pid != 0) info = {};
        if (err == -ECHILD) sys::exit(1);  // nobody is left to be a parent of
        const long signal = sys::call(__NR_rt_sigtimedwait, sys::at(&waited_for), 0, 0, sys::kSignalSetBytes);
        if (signal == SIGTERM || signal == SIGINT) finish(a, End{1, a.grace_ms});
    }
}

void on_fault(int signal, sys::WaitInfo* info, void*) {
    if (info->code <= 0) return;
    if (sys::getpid() != self_pid) sys::exit(128 + signal);  // a child of ours that has not executed yet
    arm();
    Anchor& a = *self;
    const std::int64_t now = sys::monotonic_ns();
    a.faults = now - a.fault_ns < kHealthyMs * kMs ? a.faults + 1 : 1;
    a.fault_ns = now;
    text::Line(2, false) << "abide-anchor: fault (" << text::signal_name(signal)
                         << "); it goes on with a new manager\n";
    drop_link(a);
    if (a.faults > kMostFaults) only_reap(a);
    a.zombies = a.pushed = 0;  // a turn that was cut off may have miscounted
    for (Child& child : a.children) {
        child.flags &= ~kPushedBit;
        a.zombies += (child.flags & kEndedBit) != 0 ? 1 : 0;
    }
    loop(a);
}

}  // namespace

void survive_faults(Anchor& a) {
    self = &a;
    self_pid = sys::getpid();
    arm();
    sys::Action action{};
    action.handler = reinterpret_cast<void*>(on_fault);
    action.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
#if defined(__x86_64__)
    action.flags |= 0x04000000;  // SA_RESTORER
    action.restorer = reinterpret_cast<void*>(abide_sigreturn);
#endif
    for (int signal = 1; signal < 32; ++signal)
        if ((kFaults & sys::signal_bit(signal)) != 0) sys::set_action(signal, &action);
}

}  // namespace abide::anchor
