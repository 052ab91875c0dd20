// kernel/memory.cc -- see memory.hpp.
#include "kernel/memory.hpp"

#include <malloc.h>
#include <sys/mman.h>

#include <cstdint>

// The bounds of the program's code: end(3), and the linker's default script.
extern "C" const char __executable_start, etext;

namespace abide::kernel {

namespace {

constexpr std::uintptr_t kPageBytes = 4096;

}  // namespace

void give_back_memory() {
    ::malloc_trim(0);
    const auto begin = reinterpret_cast<std::uintptr_t>(&__executable_start) & ~(kPageBytes - 1);
    const auto end = reinterpret_cast<std::uintptr_t>(&etext) & ~(kPageBytes - 1);
    // It may be refused without harm.  Done last, so that our way back is all that it maps again.
    static_cast<void>(::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));
}

}  // namespace abide::kernel
