// anchor/start.cc -- the first instruction: hands the kernel's initial stack to abide_main, and what it returns to
// exit.
#include "anchor/start.hpp"

#include "anchor/sys.hpp"

#if defined(__x86_64__)
asm(".text\n.globl _start\n.type _start,@function\n_start:\n"
    "  xor %ebp,%ebp\n  mov %rsp,%rdi\n  and $-16,%rsp\n  call abide_start\n  hlt\n");
#elif defined(__aarch64__)
asm(".text\n.globl _start\n.type _start,%function\n_start:\n"
    "  mov x29,#0\n  mov x30,#0\n  mov x0,sp\n  and sp,x0,#-16\n  bl abide_start\n  brk #0\n");
#endif

namespace {
constexpr long kAuxExecName = 31;  // AT_EXECFN
}

// The stack holds argc, argv, null, environment, null, auxiliary vector (proc_pid_auxv(5), getauxval(3)).
extern "C" [[noreturn]] void abide_start(long* stack) {
    abide::Launch launch{int(stack[0]), reinterpret_cast<char**>(stack + 1), nullptr, nullptr};
    launch.environment = launch.argv + launch.argc + 1;
    char** end = launch.environment;
    while (*end != nullptr) ++end;
    for (long* aux = reinterpret_cast<long*>(end + 1); aux[0] != 0; aux += 2)
        if (aux[0] == kAuxExecName) launch.executable = reinterpret_cast<const char*>(aux[1]);
    abide::sys::exit(abide_main(launch));
}
