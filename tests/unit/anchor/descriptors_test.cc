// tests/unit/anchor/descriptors_test.cc -- what the anchor keeps outlives every manager and every bad request.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>

#include "instance.hpp"

namespace abide::test {
namespace {

using anchor::Verb;
using Keys = std::vector<std::uint64_t>;

TEST(Descriptors, PutGetListDrop) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const Fd one = memory_file("one"), two = memory_file("two");
    EXPECT_EQ(manager.ask(Verb::put, Keys{5000, 1ull << 40}, 0, {one.get(), two.get()}).header.status, 0u);

    const Packet got = manager.ask(Verb::get, Keys{1ull << 40, 77, 5000});
    ASSERT_EQ(got.items<std::uint64_t>(), (Keys{1ull << 40, 5000}));
    ASSERT_EQ(got.fds.size(), 2u);
    EXPECT_EQ(content_of(got.fds[0].get()), "two");
    EXPECT_EQ(content_of(got.fds[1].get()), "one");

    const auto program = std::uint64_t(anchor::Key::manager_program);
    EXPECT_EQ(manager.ask(Verb::list, Keys{0}).items<std::uint64_t>(), (Keys{program, 5000, 1ull << 40}));
    EXPECT_EQ(manager.ask(Verb::list, Keys{5000}).items<std::uint64_t>(), (Keys{1ull << 40}));

    EXPECT_EQ(manager.ask(Verb::drop, Keys{5000, 12345}, anchor::kOurs).header.status, 0u);
    EXPECT_EQ(manager.ask(Verb::list, Keys{0}).items<std::uint64_t>(), (Keys{program, 1ull << 40}));
}

TEST(Descriptors, PutReplaces) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const Fd one = memory_file("one"), two = memory_file("two");
    manager.ask(Verb::put, Keys{5000}, 0, {one.get()});
    manager.ask(Verb::put, Keys{5000}, 0, {two.get()});
    EXPECT_EQ(content_of(manager.ask(Verb::get, Keys{5000}).fds.at(0).get()), "two");
}

TEST(Descriptors, KeyZeroRefusesTheWholeFrame) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const Fd one = memory_file("one");
    EXPECT_EQ(manager.ask(Verb::put, Keys{5000, 0}, 0, {one.get(), one.get()}).header.status, std::uint32_t(EINVAL));
    EXPECT_EQ(manager.ask(Verb::get, Keys{5000}).header.count, 0u);
}

TEST(Descriptors, FullBatchesAndPages) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const Fd file = memory_file("x");
    constexpr std::uint64_t kFirst = 4096, kCount = 700;
    for (std::uint64_t key = kFirst; key < kFirst + kCount;) {
        Keys keys;
        for (; keys.size() < anchor::kBatch && key < kFirst + kCount; ++key) keys.push_back(key);
        ASSERT_EQ(manager.ask(Verb::put, keys, 0, std::vector<int>(keys.size(), file.get())).header.status, 0u);
    }
    Keys all;
    for (std::uint64_t cursor = 0;;) {
        const Keys page = manager.ask(Verb::list, Keys{cursor}).items<std::uint64_t>();
        if (page.empty()) break;
        all.insert(all.end(), page.begin(), page.end());
        cursor = page.back();
    }
    ASSERT_EQ(all.size(), kCount + 1);
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
    Keys batch(anchor::kBatch);
    std::iota(batch.begin(), batch.end(), kFirst);
    EXPECT_EQ(manager.ask(Verb::get, batch).fds.size(), anchor::kBatch);
}

TEST(Descriptors, SurviveTheManagersDeath) {
    const Fd lock = memory_file("from the command line");
    Instance instance({.words = {"--key=3=" + std::to_string(lock.get())}, .inherit = {lock.get()}});
    Puppet first = instance.manager();
    EXPECT_EQ(first.hello().epoch, 1u);
    first.ask(Verb::put, Keys{4096}, 0, {memory_file("kept").get()});
    first.ask(Verb::ready);
    kill(first.pid(), SIGKILL);

    Puppet second = instance.manager();
    const anchor::HelloAnswer hello = second.hello();
    EXPECT_EQ(hello.epoch, 2u);
    EXPECT_EQ(hello.start, std::uint32_t(anchor::Start::killed));
    EXPECT_EQ(hello.last_status, SIGKILL);
    EXPECT_EQ(hello.descriptors, 3u);
    const Packet got = second.ask(Verb::get, Keys{3, 4096});
    ASSERT_EQ(got.fds.size(), 2u);
    EXPECT_EQ(content_of(got.fds[0].get()), "from the command line");
    EXPECT_EQ(content_of(got.fds[1].get()), "kept");
}

TEST(Descriptors, TheLastWordsOfAManagerCount) {
    Instance instance;
    Puppet first = instance.manager();
    first.hello();
    kill(instance.pid(), SIGSTOP);  // so that the frame still lies in the socket when the manager is dead
    const std::uint64_t key = 4099;
    first.tell({std::uint16_t(Verb::put), 0, 0, 1, 0}, &key, sizeof key, {memory_file("testament").get()});
    kill(first.pid(), SIGKILL);
    kill(instance.pid(), SIGCONT);
    Puppet second = instance.manager();
    second.hello();
    EXPECT_EQ(second.ask(Verb::get, Keys{key}).fds.size(), 1u);
}

// A lingering close must cost the anchor no time: the peer never reads, so close() of this socket takes two seconds.
TEST(Descriptors, DroppingALingeringSocketDoesNotBlock) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage address{};
    socklen_t bytes = sizeof address;
    ASSERT_EQ(listen(listener.get(), 1), 0);
    ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &bytes), 0);
    Fd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address), bytes), 0);
    const linger two_seconds{1, 2};
    setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &two_seconds, sizeof two_seconds);
    const std::vector<char> much(65536);
    while (send(client.get(), much.data(), much.size(), MSG_DONTWAIT) > 0) {}
    ASSERT_EQ(manager.ask(Verb::put, Keys{4100}, 0, {client.get()}).header.status, 0u);
    client.reset();  // the anchor's is the last reference now
    const auto before = std::chrono::steady_clock::now();
    manager.ask(Verb::drop, Keys{4100});
    manager.ask(Verb::list, Keys{0});
    manager.ask(Verb::list, Keys{0});
    EXPECT_LT(std::chrono::steady_clock::now() - before, 500ms);
    bool gone = false;  // and the number is free long before the two seconds are over
    for (int i = 0; i < 50 && !gone; ++i) {
        const timespec moment{0, 10'000'000};
        nanosleep(&moment, nullptr);
        gone = manager.hello().descriptors == 1;
    }
    EXPECT_TRUE(gone);
}

TEST(Start, WithStandardDescriptorsClosed) {
    Instance instance({.without_standard_fds = true});
    Puppet manager = instance.manager();
    EXPECT_EQ(manager.hello().epoch, 1u);
    for (const int fd : {0, 1, 2}) {
        struct stat null{}, own{};
        stat("/dev/null", &null);
        stat(("/proc/" + std::to_string(manager.pid()) + "/fd/" + std::to_string(fd)).c_str(), &own);
        EXPECT_EQ(own.st_rdev, null.st_rdev) << fd;
    }
}

TEST(Start, ForeignDescriptorsAreClosed) {
    int pipe_ends[2];
    ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
    const Fd reader(pipe_ends[0]);
    Fd writer(pipe_ends[1]);
    Instance instance({.inherit = {writer.get()}});
    Puppet manager = instance.manager();
    manager.hello();
    writer.reset();
    char byte = 0;
    EXPECT_EQ(read(reader.get(), &byte, 1), 0);  // end of file: nobody else holds it
}

TEST(Start, AWrongWordIsRefused) {
    Instance instance({.words = {"--key=1=99999"}});
    const int status = instance.status();
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 2);
}

}  // namespace
}  // namespace abide::test
