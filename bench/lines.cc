// bench/lines.cc -- a service that writes a line every PERIOD_US microseconds and notes how long a write took at most.
//
//     lines INDEX SLOTS-FILE PERIOD_US        in its slot: ready_ns is the longest write, ended_ns the number of lines
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "slots.hpp"

namespace {

std::int64_t now_ns() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

int main(int count, char** words) {
    if (count != 4) return 2;
    const long index = std::atol(words[1]), period_ns = std::atol(words[3]) * 1000;
    const int fd = open(words[2], O_RDWR | O_CLOEXEC);
    const auto offset = sizeof(bench::Header) + static_cast<std::size_t>(index) * sizeof(bench::Slot);
    const std::size_t page = offset & ~std::size_t{4095};
    void* map = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(page));
    if (map == MAP_FAILED) return 3;
    auto* slot = reinterpret_cast<bench::Slot*>(static_cast<char*>(map) + (offset - page));
    slot->first_ns = now_ns();
    slot->pid = getpid();
    std::atomic_ref(slot->starts).fetch_add(1);
    char line[128];
    // Not all at once: each begins at its own part of the period.
    for (std::int64_t next = slot->first_ns + index * 7919 % 1000 * (period_ns / 1000);; next += period_ns) {
        const timespec until{next / 1'000'000'000, next % 1'000'000'000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
        const auto size = static_cast<std::size_t>(
            std::snprintf(line, sizeof line, "service %ld says its line number %ld, as it does all day long\n", index,
                          static_cast<long>(slot->ended_ns)));
        const std::int64_t before = now_ns();
        if (write(1, line, size) != static_cast<ssize_t>(size)) return 4;
        const std::atomic_ref longest(slot->ready_ns);  // the reader sets it back
        longest.store(std::max(longest.load(), now_ns() - before));
        slot->ended_ns += 1;
    }
}
