// kernel/spawn_child.cc -- what a child does between clone and exec, in the manager's memory, while the manager goes
// on.
//
// It may know nothing but its plan: no errno, no thread-local data, no allocation, no function of a library, nothing
// instrumented.  It changes the plan's own fields and its stack, and otherwise only its own task.  Its first system
// call gives it a descriptor table of its own; before that it changes no descriptor.
#include "kernel/spawn_child.hpp"

#include "kernel/spawn_steps.hpp"

namespace abide::kernel {
namespace {

using raw::call;

constexpr int kStatusFenced = 77;
constexpr int kStatusFailed = 127;
constexpr unsigned kCloseRangeUnshare = 2;  // CLOSE_RANGE_UNSHARE: close_range(2)

[[noreturn]] ABIDE_RAW void give_up(ChildPlan* plan, int err, int status) {
    __atomic_store_n(&plan->err, err, __ATOMIC_RELEASE);
    raw::leave(status);
}

ABIDE_RAW void close_between(ChildPlan* plan, long first, long last) {
    if (first > last) return;
    if (plan->has_close_range) {
        call(__NR_close_range, first, last, 0);
        return;
    }
    for (long fd = first; fd <= last && fd <= plan->highest; ++fd) call(__NR_close, fd);
}

// The parent may take away the staged descriptors as soon as it sees the new state.
ABIDE_RAW void leave_shared_table(ChildPlan* plan) {
    const long r = call(__NR_close_range, plan->block_end, ~0U, kCloseRangeUnshare);
    const std::uint32_t state = r < 0 ? kTableStuck : kTableUnshared;
    if (r < 0) __atomic_store_n(&plan->err, raw::error_of(r), __ATOMIC_RELEASE);
    const std::uint32_t before = __atomic_exchange_n(&plan->unshare_state, state, __ATOMIC_ACQ_REL);
    if (before == kParentWaits) {
        std::uint64_t one = 1;
        call(__NR_write, plan->wake, raw::address(&one), sizeof(one));
    }
    if (r < 0) raw::leave(kStatusFailed);
}

// With a copy of the whole table the child stages by itself, above everything that is in use.
ABIDE_RAW void stage_above(ChildPlan* plan) {
    for (int i = 0; plan->block_begin + i < plan->block_end; ++i) {
        const int source = plan->sources[i];
        if (source < 0) continue;
        const long r = call(__NR_dup3, source, plan->block_begin + i, O_CLOEXEC);
        if (r < 0) give_up(plan, raw::error_of(r), kStatusFailed);
    }
}

// Other flights' staged descriptors must not live on in us: their outcome would wait for our exec.
ABIDE_RAW void close_all_others(ChildPlan* plan) {
    close_between(plan, 0, plan->block_begin - 1);
    if (!plan->shares_table && plan->has_close_range) call(__NR_close_range, plan->block_end, ~0U, 0);
}

ABIDE_RAW std::uint32_t crc32c(const std::byte* from, const std::byte* to) {
    std::uint32_t crc = ~0U;
    for (; from != to; ++from) {
        crc ^= static_cast<std::uint32_t>(*from);
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0x82F63B78U & (0U - (crc & 1U)));
    }
    return ~crc;
}

ABIDE_RAW void put_number(std::byte* to, std::uint32_t number) {
    for (int i = 0; i < 4; ++i) to[i] = static_cast<std::byte>((number >> (8 * i)) & 0xff);
}

ABIDE_RAW int write_record(ChildPlan* plan) {
    const long pid = call(__NR_getpid);
    std::byte* place = plan->record + plan->record_pid_offset;
    if (plan->record_pid_digits == 0) {
        put_number(place, static_cast<std::uint32_t>(pid));
    } else {
        long rest = pid;
        for (std::uint64_t i = plan->record_pid_digits; i-- > 0; rest /= 10) {
            place[i] = static_cast<std::byte>(rest > 0 ? '0' + rest % 10 : ' ');
        }
    }
    put_number(plan->record + plan->record_crc_offset,
               crc32c(plan->record + plan->record_crc_begin, plan->record + plan->record_crc_end));
    const long r = call(__NR_write, plan->record_fd, raw::address(plan->record), static_cast<long>(plan->record_size));
    if (r < 0) return raw::error_of(r);
    return static_cast<std::uint64_t>(r) == plan->record_size ? 0 : EIO;
}

// Moves everything staged out of the way of the targets.
ABIDE_RAW int raise_block(ChildPlan* plan) {
    const int distance = plan->raise_to - plan->block_begin;
    for (int fd = plan->block_begin; fd < plan->block_end; ++fd) {
        const long r = call(__NR_dup3, fd, fd + distance, O_CLOEXEC);
        if (r == -EBADF) continue;  // a place that was kept but not needed
        if (r < 0) return raw::error_of(r);
        call(__NR_close, fd);
    }
    if (plan->program >= 0) plan->program += distance;
    plan->block_begin += distance;
    plan->block_end += distance;
    return 0;
}

ABIDE_RAW int place_descriptors(ChildPlan* plan) {
    int distance = 0;
    if (plan->raise_to >= 0) {
        const int before = plan->block_begin;
        if (const int err = raise_block(plan); err != 0) return err;
        distance = plan->block_begin - before;
    }
    for (std::uint32_t i = 0; i < plan->descriptor_count; ++i) {
        const PlanDescriptor* d = &plan->descriptors[i];
        const long r = call(__NR_dup3, d->source + distance, d->target, 0);
        if (r < 0) return raw::error_of(r);
    }
    return 0;
}

ABIDE_RAW void run_steps(ChildPlan* plan, raw::Progress progress) {
    int err = 0;
    if (plan->cgroup_procs >= 0) {
        progress.at(SpawnStage::cgroup);
        const char self = '0';
        const long r = call(__NR_write, plan->cgroup_procs, raw::address(&self), 1);
        if (r < 0) give_up(plan, raw::error_of(r), kStatusFailed);
    }
    if (plan->record_fd >= 0) {
        progress.at(SpawnStage::record);
        if ((err = write_record(plan)) != 0) give_up(plan, err, kStatusFenced);
    }
    if (plan->pid_text != nullptr) raw::write_pid_text(plan->pid_text);
    if (plan->new_session) {
        progress.at(SpawnStage::session);
        if ((err = raw::error_of(call(__NR_setsid))) != 0) give_up(plan, err, kStatusFailed);
    }
    progress.at(SpawnStage::descriptors);
    if ((err = place_descriptors(plan)) != 0) give_up(plan, err, kStatusFailed);
    if (plan->controlling_terminal) {
        progress.at(SpawnStage::terminal);
        constexpr long kTakeTerminal = 0x540E;  // TIOCSCTTY: ioctl_tty(2)
        if ((err = raw::error_of(call(__NR_ioctl, 0, kTakeTerminal, 0))) != 0) give_up(plan, err, kStatusFailed);
    }
    if ((err = raw::set_up(&plan->setup, progress)) != 0) give_up(plan, err, kStatusFailed);
    if ((err = raw::clear_signals(plan->default_signals, progress)) != 0) give_up(plan, err, kStatusFailed);
}

extern "C" [[noreturn]] ABIDE_RAW __attribute__((used)) void abide_spawn_child(void* what) {
    auto* plan = static_cast<ChildPlan*>(what);
    raw::Progress progress;
    progress.stage = &plan->stage;
    progress.at(SpawnStage::unshare);
    if (plan->shares_table) {
        leave_shared_table(plan);
    } else {
        progress.at(SpawnStage::descriptors);
        stage_above(plan);
    }
    close_all_others(plan);
    run_steps(plan, progress);
    int err = 0;
    if (plan->program >= 0) {
        progress.at(SpawnStage::hold);
        const char nothing = 0;
        err = raw::error_of(call(__NR_execveat, plan->program, raw::address(&nothing), raw::address(plan->setup.argv),
                                 raw::address(plan->setup.envp), AT_EMPTY_PATH));
    } else {
        err = raw::execute(&plan->setup, progress);
    }
    give_up(plan, err, kStatusFailed);
}

// The child starts on an empty stack, so it can't return; it calls `run` with the plan.
using Run = void (*)(void*);
#if defined(__x86_64__)
ABIDE_RAW long enter(long number, long a, long b, long c, long d, long e, Run run, void* plan) {
    long result = 0;
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register void* r12 asm("r12") = plan;
    register Run r13 asm("r13") = run;
    asm volatile(
        "syscall\n\t"
        "test %%rax, %%rax\n\t"
        "jnz 1f\n\t"
        "xor %%ebp, %%ebp\n\t"
        "mov %%r12, %%rdi\n\t"
        "call *%%r13\n\t"
        "ud2\n"
        "1:"
        : "=a"(result)
        : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r12), "r"(r13)
        : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
ABIDE_RAW long enter(long number, long a, long b, long c, long d, long e, Run run, void* plan) {
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    register void* x19 asm("x19") = plan;
    register Run x20 asm("x20") = run;
    asm volatile(
        "svc 0\n\t"
        "cbnz x0, 1f\n\t"
        "mov x29, xzr\n\t"
        "mov x30, xzr\n\t"
        "mov x0, x19\n\t"
        "blr x20\n\t"
        "brk 1\n"
        "1:"
        : "+r"(x0)
        : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x19), "r"(x20)
        : "memory");
    return x0;
}
#endif

}  // namespace

ABIDE_RAW long enter_by_clone3(CloneArguments* arguments, std::size_t size, ChildPlan* plan) {
    return enter(__NR_clone3, raw::address(arguments), static_cast<long>(size), 0, 0, 0, &abide_spawn_child, plan);
}

ABIDE_RAW long enter_by_clone(unsigned long flags, std::byte* stack_top, int* pidfd, ChildPlan* plan) {
    // clone(2): the pidfd is stored where parent_tid points.
    return enter(__NR_clone, static_cast<long>(flags), raw::address(stack_top), raw::address(pidfd), 0, 0,
                 &abide_spawn_child, plan);
}

ABIDE_RAW long enter_child(unsigned long flags, std::byte* stack_top, int* pidfd, Run run, void* what) {
    return enter(__NR_clone, static_cast<long>(flags), raw::address(stack_top), raw::address(pidfd), 0, 0, run, what);
}

}  // namespace abide::kernel
