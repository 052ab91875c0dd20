// abide-mortal CODE: waits for the end of file of its standard input, and exits with CODE.  Without a C library, since
// thousands of it run at a time.
#include "kernel/raw.hpp"

namespace raw = abide::kernel::raw;

extern "C" [[noreturn]] __attribute__((used)) void mortal(long* stack) {
    const char* text = reinterpret_cast<const char* const*>(stack + 1)[1];
    int code = 0;
    for (; text != nullptr && *text >= '0' && *text <= '9'; ++text) code = code * 10 + (*text - '0');
    char byte = 0;
    while (raw::call(__NR_read, 0, raw::address(&byte), 1) > 0) {}
    raw::leave(code);
}

#if defined(__x86_64__)
asm(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call mortal\n");
#else
asm(".globl _start\n_start: mov x0, sp\n bl mortal\n");
#endif
