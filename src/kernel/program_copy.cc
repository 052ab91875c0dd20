// kernel/program_copy.cc -- see the header.
#include "kernel/program_copy.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

#include <cerrno>

#include "kernel/files.hpp"

namespace abide::kernel {

namespace {

constexpr unsigned kExecutable = 0x0010;  // MFD_EXEC (Linux 6.3): says that it shall be, whatever the default is
constexpr std::size_t kAtOnce = 16u << 20;

}  // namespace

Result<Fd> copy_program(int program) {
    Result<Fd> source = reopen(program, O_RDONLY | O_CLOEXEC);
    if (!source) return source;
    constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    Fd copy(::memfd_create("abide-program", flags | kExecutable));
    if (!copy && errno == EINVAL) copy = Fd(::memfd_create("abide-program", flags));
    if (!copy) return fail_errno(errno, "no memory file for a copy of the program");
    for (;;) {
        const ssize_t moved = ::sendfile(copy.get(), source->get(), nullptr, kAtOnce);
        if (moved == 0) break;
        if (moved < 0 && errno != EINTR) return fail_errno(errno, "can't copy the program");
    }
    if (Status sealed = seal_memfd(copy.get()); !sealed) return std::unexpected(sealed.error());
    return copy;
}

}  // namespace abide::kernel
