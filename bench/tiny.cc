// bench/tiny.cc -- the service that is measured: a static program without a C library.
//
// Its first act is to read the clock.  Then it writes the time to its slot and waits for a signal to end it;
// SIGUSR1 makes it write the time once more and fail.
//     tiny INDEX SLOTS-FILE [OWN-TIME-US]     with an own time: sleeps that long, then tells READY=1 to $NOTIFY_SOCKET
// Called without arguments (the `run` file of s6 and runit) it finds INDEX:SLOTS-FILE in the symbolic link `index`.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include <cstddef>

#include "slots.hpp"

namespace {

long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
    long result;
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

long address(const void* pointer) {
    return reinterpret_cast<long>(pointer);
}

std::int64_t now_ns() {
    timespec t{};
    call(SYS_clock_gettime, CLOCK_MONOTONIC, address(&t));
    return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

// The digits at the start of a text; `text` is left behind them.
long number(const char*& text) {
    long value = 0;
    for (; *text >= '0' && *text <= '9'; ++text) value = value * 10 + (*text - '0');
    return value;
}

const char* variable(char** environment, const char* name) {
    for (; *environment; ++environment) {
        const char *a = *environment, *b = name;
        for (; *b && *a == *b; ++a) ++b;
        if (!*b && *a == '=') return a + 1;
    }
    return nullptr;
}

void tell_ready(char** environment) {
    const char* path = variable(environment, "NOTIFY_SOCKET");
    if (!path) return;
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    unsigned length = 0;
    for (; path[length] && length < sizeof to.sun_path - 1; ++length) to.sun_path[length] = path[length];
    if (to.sun_path[0] == '@') to.sun_path[0] = 0;
    const long fd = call(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const char message[] = "READY=1";
    call(SYS_sendto, fd, address(message), sizeof message - 1, 0, address(&to),
         static_cast<long>(offsetof(sockaddr_un, sun_path)) + length);
    call(SYS_close, fd);
}

char link_text[512];

}  // namespace

extern "C" [[noreturn, gnu::used]] void tiny_main(long* stack) {
    const std::int64_t first = now_ns();
    const long count = stack[0];
    char** arguments = reinterpret_cast<char**>(stack + 1);
    char** environment = arguments + count + 1;

    const char *index_text = nullptr, *path = nullptr;
    if (count >= 3) {
        index_text = arguments[1];
        path = arguments[2];
    } else {
        if (call(SYS_readlink, address("index"), address(link_text), sizeof link_text - 1) <= 0)
            call(SYS_exit_group, 111);
        index_text = link_text;
    }
    const long index = number(index_text);
    if (!path) path = index_text + 1;
    const long own_us = count >= 4 ? number(const_cast<const char*&>(arguments[3])) : -1;

    const long fd = call(SYS_open, address(path), O_RDWR | O_CLOEXEC);
    if (fd < 0) call(SYS_exit_group, 112);
    const long offset = static_cast<long>(sizeof(bench::Header)) + index * static_cast<long>(sizeof(bench::Slot));
    const long page = offset & ~4095L;
    const long map = call(SYS_mmap, 0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, page);
    if (map < 0) call(SYS_exit_group, 113);
    call(SYS_close, fd);
    bench::Slot* slot = reinterpret_cast<bench::Slot*>(map + offset - page);
    slot->first_ns = first;
    slot->pid = static_cast<std::int32_t>(call(SYS_getpid));
    if (own_us >= 0) {
        const timespec own{own_us / 1'000'000, own_us % 1'000'000 * 1000};
        call(SYS_nanosleep, address(&own), 0);
        slot->ready_ns = now_ns();
        tell_ready(environment);
    }
    __atomic_fetch_add(&slot->starts, 1, __ATOMIC_RELEASE);
    // SIGUSR1 is taken, not handled: what ends this program at once are the other signals.
    const std::uint64_t usr1 = std::uint64_t{1} << (SIGUSR1 - 1);
    call(SYS_rt_sigprocmask, SIG_BLOCK, address(&usr1), 0, sizeof usr1);
    while (call(SYS_rt_sigtimedwait, address(&usr1), 0, 0, sizeof usr1) != SIGUSR1) continue;
    slot->ended_ns = now_ns();
    call(SYS_exit_group, 1);
    __builtin_unreachable();
}

asm(".globl _start\n"
    "_start:\n"
    "    xor %ebp, %ebp\n"
    "    mov %rsp, %rdi\n"
    "    and $-16, %rsp\n"
    "    call tiny_main\n"
    "    hlt\n");
