// kernel/memory.cc -- see the header.
#include "kernel/memory.hpp"

#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <new>

// The bounds of the program's code: end(3), and the linker's default script.
extern "C" const char __executable_start, etext;

namespace abide::kernel {
namespace {

constexpr std::uintptr_t kPageBytes = 4096;

const char* program = "";

void complain() {
    static constexpr char kText[] = ": out of memory\n";
    const std::array<iovec, 2> line{iovec{const_cast<char*>(program), std::strlen(program)},
                                    iovec{const_cast<char*>(kText), sizeof kText - 1}};
    static_cast<void>(!::writev(2, line.data(), static_cast<int>(line.size())));
}

}  // namespace

void die_without_memory(const char* name) {
    program = name;
    std::set_new_handler([] {
        complain();
        ::kill(::getpid(), SIGKILL);
        ::_exit(1);
    });
}

void exit_without_memory(const char* name) {
    program = name;
    std::set_new_handler([] {
        complain();
        ::_exit(1);
    });
}

void keep_freed_memory() {
    constexpr int kBigBlockBytes = 32 << 20;  // the most that mallopt(3) takes
    ::mallopt(M_MMAP_THRESHOLD, kBigBlockBytes);
    ::mallopt(M_TRIM_THRESHOLD, kBigBlockBytes);
}

void give_back_memory() {
    ::malloc_trim(0);
    const auto begin = reinterpret_cast<std::uintptr_t>(&__executable_start) & ~(kPageBytes - 1);
    const auto end = reinterpret_cast<std::uintptr_t>(&etext) & ~(kPageBytes - 1);
    // It may be refused without harm.  Done last, so that our way back is all that it maps again.
    static_cast<void>(::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));
}

}  // namespace abide::kernel
