// tests/unit/anchor/program_test.cc -- what the small program must not contain, and how little memory it takes.
#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>

#include "instance.hpp"

namespace abide::test {
namespace {

std::vector<char> file_bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(Program, IsStaticAndHasNoInterpreter) {
    const std::vector<char> bytes = file_bytes(abide_program());
    ASSERT_GT(bytes.size(), sizeof(Elf64_Ehdr));
    Elf64_Ehdr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    ASSERT_EQ(std::memcmp(header.e_ident, ELFMAG, SELFMAG), 0);
    EXPECT_EQ(header.e_type, ET_EXEC);
    std::size_t loaded = 0;
    for (int i = 0; i < header.e_phnum; ++i) {
        Elf64_Phdr segment;
        std::memcpy(&segment, bytes.data() + header.e_phoff + std::size_t(i) * header.e_phentsize, sizeof segment);
        EXPECT_NE(segment.p_type, Elf64_Word(PT_INTERP));
        EXPECT_NE(segment.p_type, Elf64_Word(PT_DYNAMIC));
        EXPECT_FALSE((segment.p_flags & PF_W) != 0 && (segment.p_flags & PF_X) != 0);
        if (segment.p_type == PT_LOAD) loaded += segment.p_filesz;
    }
    EXPECT_LT(loaded, 64u << 10);
}

// Every symbol is looked at: an allocator, an exception or anything of a C++ library would show by its name.
TEST(Program, HasNoAllocatorNoExceptionsNoLibrary) {
    const std::vector<char> bytes = file_bytes(abide_program());
    Elf64_Ehdr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    int symbols = 0;
    for (int i = 0; i < header.e_shnum; ++i) {
        Elf64_Shdr section;
        std::memcpy(&section, bytes.data() + header.e_shoff + std::size_t(i) * header.e_shentsize, sizeof section);
        if (section.sh_type != SHT_SYMTAB) continue;
        Elf64_Shdr names;
        std::memcpy(&names, bytes.data() + header.e_shoff + section.sh_link * header.e_shentsize, sizeof names);
        for (std::size_t at = 0; at + sizeof(Elf64_Sym) <= section.sh_size; at += sizeof(Elf64_Sym)) {
            Elf64_Sym symbol;
            std::memcpy(&symbol, bytes.data() + section.sh_offset + at, sizeof symbol);
            const std::string name = bytes.data() + names.sh_offset + symbol.st_name;
            ++symbols;
            for (const char* word : {"malloc", "calloc", "realloc", "_Znw", "_Zna", "_Zdl", "_Zda", "__cxa_", "_Unwind",
                                     "__libc", "_ZNSt", "_ZSt", "sbrk", "__errno"})
                EXPECT_EQ(name.find(word), std::string::npos) << name;
        }
    }
    EXPECT_GT(symbols, 20) << "stripped: nothing was looked at";
}

int rss_of_program(const std::string& path, const std::string& name) {
    const pid_t pid = fork();
    if (pid == 0) {
        execl(path.c_str(), name.c_str(), "-s", "--", "sleep", "60", nullptr);
        _exit(127);
    }
    const timespec moment{0, 150'000'000};
    nanosleep(&moment, nullptr);
    const int rss = rss_kib(pid);
    kill(pid, SIGTERM);
    waitpid(pid, nullptr, 0);
    return rss;
}

TEST(Program, TakesNoMoreMemoryThanTini) {
    if (access("/usr/bin/tini-static", X_OK) != 0) GTEST_SKIP() << "tini-static is not installed";
    const int tini = rss_of_program("/usr/bin/tini-static", "tini-static");
    const int as_tini = rss_of_program(abide_program(), "tini-static");
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    manager.ask(anchor::Verb::put, std::vector<std::uint64_t>{4096}, 0, {memory_file("x").get()});
    const pid_t pid = manager.spawn_exiting(0);
    EXPECT_EQ(manager.exit_of(pid).status, 0);
    manager.reap({pid});
    const int as_anchor = rss_kib(instance.pid());
    std::printf("resident: tini-static %d KiB, abide init %d KiB, anchor %d KiB\n", tini, as_tini, as_anchor);
    EXPECT_LE(as_tini, tini);
    EXPECT_LE(as_anchor, tini);
}

// What a service costs here: a descriptor with a key that is spread over all 64 bits, and a mark.
TEST(Program, AServiceCostsFewBytes) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const Fd file = memory_file("x");
    const int before = rss_kib(instance.pid());
    constexpr std::uint64_t kCount = 800;
    for (std::uint64_t i = 0; i < kCount; i += 100) {
        std::vector<std::uint64_t> keys;
        std::vector<anchor::Mark> marks;
        for (std::uint64_t k = i; k < i + 100; ++k) {
            keys.push_back((k + 1) * 0x9E3779B97F4A7C15u);
            marks.push_back({std::int32_t(1'000'000 + k * 3), anchor::kManaged});
        }
        ASSERT_EQ(manager.ask(anchor::Verb::put, keys, 0, std::vector<int>(keys.size(), file.get())).header.status, 0u);
        ASSERT_EQ(manager.ask(anchor::Verb::mark, marks).header.status, 0u);
    }
    const int grown = rss_kib(instance.pid()) - before;
    std::printf("%d services: %d KiB more\n", int(kCount), grown);
    EXPECT_LE(grown, int(kCount * 96 / 1024));
}

// Idle means idle: no wake-up in half a second, by the count of voluntary context switches.
TEST(Program, SleepsWhileNothingHappens) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const pid_t pid = manager.spawn_exiting(0);
    manager.exit_of(pid);
    manager.reap({pid});
    const auto switches = [&] {
        const std::string status = proc_file(instance.pid(), "status");
        return std::stol(status.substr(status.find("\nvoluntary_ctxt_switches:") + 25));
    };
    const timespec settle{0, 100'000'000}, idle{0, 500'000'000};
    nanosleep(&settle, nullptr);
    const long before = switches();
    nanosleep(&idle, nullptr);
    EXPECT_EQ(switches(), before);
}

TEST(Program, WithoutAnyArgumentIsTheCommandLine) {
    const pid_t pid = fork();
    if (pid == 0) {
        char* const nothing[] = {nullptr};
        const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(null, 1);
        dup2(null, 2);
        execve(abide_program().c_str(), nothing, nothing);
        _exit(99);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_NE(WEXITSTATUS(status), 99);
}

TEST(Program, AMissingManagerIsOneLineAnd127) {
    std::string folder = "/tmp/abide-door-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    const std::vector<char> bytes = file_bytes(abide_program());
    {
        std::ofstream copy(folder + "/abide", std::ios::binary);
        copy.write(bytes.data(), std::streamsize(bytes.size()));
    }
    ASSERT_EQ(chmod((folder + "/abide").c_str(), 0755), 0);
    const std::unique_ptr<FILE, int (*)(FILE*)> run(popen((folder + "/abide status 2>&1; echo $?").c_str(), "r"),
                                                    pclose);
    std::array<char, 1024> text{};
    const std::size_t got = fread(text.data(), 1, text.size() - 1, run.get());
    const std::string output(text.data(), got);
    EXPECT_TRUE(output.ends_with("\n127\n")) << output;
    EXPECT_NE(output.find("abide-manager"), std::string::npos) << output;
    EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), 2) << output;
    unlink((folder + "/abide").c_str());
    rmdir(folder.c_str());
}

}  // namespace
}  // namespace abide::test
