// kernel/clock.cc -- see clock.hpp.
#include "kernel/clock.hpp"

#include <sys/random.h>

#include <cerrno>
#include <ctime>

#include "base/check.hpp"
#include "kernel/files.hpp"

namespace abide::kernel {
namespace {

std::int64_t read_clock(clockid_t id) {
    timespec t{};
    CHECK(::clock_gettime(id, &t) == 0, "a clock can't be read");
    return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

Now now() {
    return {mono_now(), Boot{read_clock(CLOCK_BOOTTIME)}, Wall{read_clock(CLOCK_REALTIME)}};
}

Mono mono_now() {
    return Mono{read_clock(CLOCK_MONOTONIC)};
}

Result<std::string> boot_id() {
    Result<std::string> text = read_file("/proc/sys/kernel/random/boot_id", 64);
    if (!text) return text;
    while (!text->empty() && text->back() == '\n') text->pop_back();
    if (text->size() != 36) return fail(ErrorKind::failed, "the kernel's boot id has an unknown form");
    return text;
}

Status random_bytes(void* out, std::size_t size) {
    char* to = static_cast<char*>(out);
    while (size > 0) {
        const ssize_t n = ::getrandom(to, size, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fail_errno(errno, "no random bytes");
        to += n;
        size -= static_cast<std::size_t>(n);
    }
    return {};
}

}  // namespace abide::kernel
