// What a descriptor is, without asking the file system that it may be of.
#include "kernel/fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>

namespace abide::test {
namespace {

using kernel::Fd;

TEST(Descriptors, PipesAreKnownAlsoByName) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const Fd read(ends[0]), write(ends[1]);
    EXPECT_TRUE(kernel::is_pipe(read.get()) && kernel::is_pipe(write.get()));
    const std::string name = std::filesystem::temp_directory_path() / ("abide-fifo-" + std::to_string(::getpid()));
    ASSERT_EQ(::mkfifo(name.c_str(), 0600), 0);
    const Fd fifo(::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    ::unlink(name.c_str());
    EXPECT_TRUE(kernel::is_pipe(fifo.get()));
    EXPECT_TRUE(kernel::may_hang_up(fifo.get()));
}

TEST(Descriptors, WhatHasAnotherEndMayHangUp) {
    const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_FALSE(kernel::is_pipe(socket.get()));
    EXPECT_TRUE(kernel::may_hang_up(socket.get()));
    const Fd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (terminal) EXPECT_TRUE(kernel::may_hang_up(terminal.get()));
    const Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)), null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const Fd memory(::memfd_create("abide-test", MFD_CLOEXEC));
    for (const Fd* one : {&file, &null, &memory}) {
        EXPECT_FALSE(kernel::is_pipe(one->get()));
        EXPECT_FALSE(kernel::may_hang_up(one->get()));
    }
}

}  // namespace
}  // namespace abide::test
