// anchor/sys.hpp -- the kernel as the anchor sees it: raw system calls for x86-64 and aarch64, without a C library.
//
// Owns the calling convention and the few kernel structures that the UAPI headers leave to the C library.  Knows
// nothing of the anchor.  Invariant: every wrapper returns what the kernel returned, a negative errno for an error;
// nothing is retried.
#pragma once

#include <asm/errno.h>
#include <asm/poll.h>
#include <asm/resource.h>
#include <asm/signal.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/signalfd.h>
#include <linux/time_types.h>
#include <linux/uio.h>
#include <linux/wait.h>

#include <cstddef>
#include <cstdint>

namespace abide::sys {

inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
#if defined(__x86_64__)
    long result = 0;
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    asm volatile("syscall"
                 : "=a"(result)
                 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                 : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
#else
#error "this processor has no system call sequence here yet"
#endif
}

template <class T>
long at(T* pointer) {
    return reinterpret_cast<long>(pointer);
}

// Of the C library's headers, which a freestanding program can't include.
inline constexpr int kUnix = 1, kSeqPacket = 5, kCloexec = 02000000, kNonblock = 04000;
inline constexpr int kMsgTruncated = 0x20, kMsgControlTruncated = 0x8, kMsgDontWait = 0x40, kMsgNoSignal = 0x4000;
inline constexpr int kMsgCloexec = 0x40000000, kSolSocket = 1, kScmRights = 1;
inline constexpr int kAddSeals = 1033, kSealShrink = 2, kSealGrow = 4, kSealFutureWrite = 16;  // fcntl on memfds
inline constexpr unsigned long kSetForeground = 0x5410, kGiveUpTerminal = 0x5422, kTakeTerminal = 0x540E;  // TIOC…
inline constexpr std::size_t kSignalSetBytes = 8;

struct Message {  // struct msghdr of the kernel
    void* name;
    std::uint32_t name_bytes;
    iovec* parts;
    std::size_t part_count;
    void* control;
    std::size_t control_bytes;
    std::uint32_t flags;
};

struct ControlHeader {  // struct cmsghdr; the descriptors follow
    std::size_t bytes;
    std::int32_t level;
    std::int32_t type;
};

struct WaitInfo {  // siginfo_t as waitid and sigtimedwait fill it
    std::int32_t signal;
    std::int32_t error;
    std::int32_t code;
    std::int32_t gap;
    std::int32_t pid;
    std::uint32_t uid;
    std::int32_t status;
    char rest[100];
};

struct Usage {               // struct rusage
    __kernel_timespec user;  // in microseconds here: tv_nsec is tv_usec
    __kernel_timespec system;
    long max_rss_kib;
    long rest[13];
};

struct Action {  // struct sigaction of the kernel
    void* handler;
    unsigned long flags;
#if defined(__x86_64__)
    void* restorer;
#endif
    std::uint64_t mask;
};

struct PollFd {
    std::int32_t fd;
    std::int16_t events;
    std::int16_t revents;
};

struct Limits {
    std::uint64_t soft;
    std::uint64_t hard;
};

inline constexpr std::uint64_t signal_bit(int number) {
    return 1ull << (number - 1);
}

[[noreturn]] inline void exit(int status) {
    for (;;) call(__NR_exit_group, status);
}
inline long close(int fd) {
    return call(__NR_close, fd);
}
inline long write(int fd, const void* data, std::size_t bytes) {
    return call(__NR_write, fd, at(data), long(bytes));
}
inline long read(int fd, void* data, std::size_t bytes) {
    return call(__NR_read, fd, at(data), long(bytes));
}
inline long open(const char* path, int flags) {
    return call(__NR_openat, AT_FDCWD, at(path), flags | kCloexec, 0);
}
inline long readlink(const char* path, char* out, std::size_t bytes) {
    return call(__NR_readlinkat, AT_FDCWD, at(path), at(out), long(bytes));
}
inline long dup_to(int from, int to, int flags) {
    return call(__NR_dup3, from, to, flags);
}
inline long fcntl(int fd, int what, long value = 0) {
    return call(__NR_fcntl, fd, what, value);
}
inline int getpid() {
    return int(call(__NR_getpid));
}
inline long kill(int pid, int signal) {
    return call(__NR_kill, pid, signal);
}
inline long prctl(int what, long value) {
    return call(__NR_prctl, what, value, 0, 0, 0);
}
inline long waitid(int kind, int id, WaitInfo* info, int flags, Usage* usage = nullptr) {
    return call(__NR_waitid, kind, id, at(info), flags, at(usage));
}
// A child with its own copy of memory and descriptors; `flags` adds to SIGCHLD.  0 in the child.
inline long fork(unsigned long flags = 0, int* pidfd = nullptr) {
    return call(__NR_clone, long(flags | SIGCHLD), 0, at(pidfd), 0, 0);
}
inline long set_mask(std::uint64_t mask, std::uint64_t* old = nullptr) {
    return call(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, at(&mask), at(old), kSignalSetBytes);
}
inline long set_action(int signal, const Action* action, Action* old = nullptr) {
    return call(__NR_rt_sigaction, signal, at(action), at(old), kSignalSetBytes);
}
inline long poll(PollFd* fds, unsigned count, const __kernel_timespec* timeout) {
    return call(__NR_ppoll, at(fds), count, at(timeout), 0, kSignalSetBytes);
}
inline std::int64_t monotonic_ns() {
    __kernel_timespec now{};
    call(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, at(&now));
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

}  // namespace abide::sys
