// kernel/raw.hpp -- system calls by instruction, for code that runs where no C library may: in a child that still
// shares its parent's memory, and in abide-hold, which has none.  No errno, no thread-local data, no allocation, no
// call through a linkage table, no instrumentation.  Results are as the kernel gives them: a negative errno for
// failure.
#pragma once

#include <asm/unistd.h>

#include <cstddef>
#include <cstdint>

#if defined(__clang__)
#define ABIDE_RAW __attribute__((no_sanitize("address", "undefined", "thread"), no_stack_protector))
#else
#define ABIDE_RAW                                                                                      \
    __attribute__((no_sanitize_address, no_sanitize_undefined, no_sanitize_thread, no_stack_protector, \
                   no_instrument_function, optimize("no-tree-loop-distribute-patterns")))
#endif
#define ABIDE_RAW_INLINE inline ABIDE_RAW

static_assert(sizeof(long) == 8, "arguments of system calls are passed as long");

namespace abide::kernel::raw {

#if defined(__x86_64__)
ABIDE_RAW_INLINE long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
    long result = 0;
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    asm volatile("syscall"
                 : "=a"(result)
                 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
ABIDE_RAW_INLINE long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    register long x5 asm("x5") = f;
    asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
#error "write the system call instruction for this machine"
#endif

template <class T>
ABIDE_RAW_INLINE long address(T* pointer) {
    return reinterpret_cast<long>(pointer);
}

[[noreturn]] ABIDE_RAW_INLINE void leave(int status) {
    for (;;) call(__NR_exit_group, status);
}

// What rt_sigaction(2) takes; not the C library's struct.
struct KernelSigaction {
    std::uintptr_t handler;
    unsigned long flags;
    std::uintptr_t restorer;
    std::uint64_t mask;
};

// 0: default, 1: ignored.
ABIDE_RAW_INLINE long set_disposition(int signal, std::uintptr_t handler) {
    KernelSigaction action;
    action.handler = handler;
    action.flags = 0;
    action.restorer = 0;
    action.mask = 0;
    return call(__NR_rt_sigaction, signal, address(&action), 0, sizeof(action.mask));
}

ABIDE_RAW_INLINE bool is_ignored(int signal) {
    KernelSigaction action;
    action.handler = 0;
    return call(__NR_rt_sigaction, signal, 0, address(&action), sizeof(action.mask)) == 0 && action.handler == 1;
}

}  // namespace abide::kernel::raw
