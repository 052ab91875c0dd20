// tests/system/step_heap.cc -- see the header.
#include "step_heap.hpp"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#if defined(__x86_64__)

namespace {

constexpr std::uint8_t kBreakpoint = 0xCC;
constexpr std::array<std::string_view, 5> kFunctions = {"malloc", "calloc", "realloc", "memalign", "valloc"};

struct Symbols {
    std::vector<std::uint64_t> functions;
    std::int64_t errno_offset = 0;
};

// Of a static program, which lies where its file says.
Symbols symbols_of(pid_t pid) {
    Symbols found;
    std::ifstream file("/proc/" + std::to_string(pid) + "/exe", std::ios::binary);
    const std::string image((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    Elf64_Ehdr head;
    if (image.size() < sizeof head) return found;
    std::memcpy(&head, image.data(), sizeof head);
    if (head.e_type != ET_EXEC) return found;
    std::int64_t tls_size = 0;
    for (int i = 0; i < head.e_phnum; ++i) {
        Elf64_Phdr part;
        std::memcpy(&part, image.data() + head.e_phoff + static_cast<std::size_t>(i) * sizeof part, sizeof part);
        if (part.p_type != PT_TLS) continue;
        const std::uint64_t align = std::max<std::uint64_t>(part.p_align, 1);
        tls_size = static_cast<std::int64_t>((part.p_memsz + align - 1) / align * align);
    }
    const auto section = [&](std::size_t i) {
        Elf64_Shdr one;
        std::memcpy(&one, image.data() + head.e_shoff + i * sizeof one, sizeof one);
        return one;
    };
    for (std::size_t i = 0; i < head.e_shnum; ++i) {
        const Elf64_Shdr table = section(i);
        if (table.sh_type != SHT_SYMTAB) continue;
        const Elf64_Shdr names = section(table.sh_link);
        for (std::uint64_t at = 0; at < table.sh_size; at += sizeof(Elf64_Sym)) {
            Elf64_Sym symbol;
            std::memcpy(&symbol, image.data() + table.sh_offset + at, sizeof symbol);
            const std::string_view name = image.c_str() + names.sh_offset + symbol.st_name;
            if (std::ranges::find(kFunctions, name) != kFunctions.end()) found.functions.push_back(symbol.st_value);
            const bool is_tls = ELF64_ST_TYPE(symbol.st_info) == STT_TLS;
            if (is_tls && name == "errno") found.errno_offset = static_cast<std::int64_t>(symbol.st_value) - tls_size;
        }
    }
    return found;
}

long peek(pid_t pid, std::uint64_t address) {
    return ::ptrace(PTRACE_PEEKDATA, pid, address, 0);
}

}  // namespace

void Heap::poke(pid_t pid, std::uint64_t address, std::uint8_t byte) {
    long word = peek(pid, address);
    std::memcpy(&word, &byte, 1);
    ::ptrace(PTRACE_POKEDATA, pid, address, word);
}

bool Heap::plant(pid_t pid) {
    places_.clear();
    const Symbols symbols = symbols_of(pid);
    errno_offset_ = symbols.errno_offset;
    for (const std::uint64_t address : symbols.functions) {
        const long word = peek(pid, address);
        std::uint8_t first = 0;
        std::memcpy(&first, &word, 1);
        if (places_.emplace(address, first).second) poke(pid, address, kBreakpoint);
    }
    return !places_.empty();
}

bool Heap::stands_at(pid_t pid) {
    user_regs_struct registers{};
    ::ptrace(PTRACE_GETREGS, pid, 0, &registers);
    if (!places_.contains(registers.rip - 1)) return false;
    at_ = --registers.rip;
    ::ptrace(PTRACE_SETREGS, pid, 0, &registers);
    return true;
}

bool Heap::pass(pid_t pid) {
    poke(pid, at_, places_[at_]);
    int status = 0, signal = 0;
    do {
        ::ptrace(PTRACE_SINGLESTEP, pid, 0, signal);
        if (::waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) return false;
        signal = WSTOPSIG(status);
    } while (signal != SIGTRAP);
    poke(pid, at_, kBreakpoint);
    return true;
}

void Heap::fail(pid_t pid) {
    user_regs_struct registers{};
    ::ptrace(PTRACE_GETREGS, pid, 0, &registers);
    registers.rip = static_cast<unsigned long long>(peek(pid, registers.rsp));
    registers.rsp += sizeof(long);
    registers.rax = 0;
    ::ptrace(PTRACE_SETREGS, pid, 0, &registers);
    if (errno_offset_ == 0) return;
    const std::uint64_t place = registers.fs_base + static_cast<std::uint64_t>(errno_offset_);
    long word = peek(pid, place);
    const int error = ENOMEM;
    std::memcpy(&word, &error, sizeof error);
    ::ptrace(PTRACE_POKEDATA, pid, place, word);
}

void Heap::lift(pid_t pid) {
    for (const auto& [address, first] : places_) poke(pid, address, first);
    places_.clear();
}

#else

void Heap::poke(pid_t, std::uint64_t, std::uint8_t) {}
bool Heap::plant(pid_t) {
    return false;
}
bool Heap::stands_at(pid_t) {
    return false;
}
bool Heap::pass(pid_t) {
    return true;
}
void Heap::fail(pid_t) {}
void Heap::lift(pid_t) {}

#endif
