// tests/unit/kernel/look_test.cc -- what is looked at stays, in the order in which it came, until it is dropped.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>

#include "kernel/fd.hpp"
#include "kernel/socket.hpp"

namespace abide::kernel {
namespace {

struct Words {
    Words() {
        auto pair = make_socket_pair(SOCK_DGRAM);
        EXPECT_TRUE(pair.has_value());
        from = std::move(pair->first);
        to = std::move(pair->second);
    }
    void say(const std::string& word) const {
        EXPECT_EQ(::send(from.get(), word.data(), word.size(), 0), ssize_t(word.size()));
    }
    std::string look(int offset) {
        const Result<Received> got = kernel::look(to.get(), buffer, offset);
        if (!got) return "error";
        if (got->nothing_now) return "nothing";
        return std::string(reinterpret_cast<const char*>(buffer.data()), got->size) + (got->cut ? "..." : "");
    }
    Fd from, to;
    std::array<std::byte, 8> buffer{};
};

TEST(Look, MessagesStayUntilTheyAreDropped) {
    Words words;
    words.say("one");
    words.say("three");
    EXPECT_EQ(words.look(-1), "one");
    EXPECT_EQ(words.look(3), "three");
    EXPECT_EQ(words.look(8), "nothing");
    EXPECT_EQ(words.look(-1), "one") << "whatever was looked at before";
    ASSERT_TRUE(drop_message(words.to.get()).has_value());
    EXPECT_EQ(words.look(-1), "three");
    ASSERT_TRUE(drop_message(words.to.get()).has_value());
    EXPECT_EQ(words.look(-1), "nothing");
    EXPECT_TRUE(drop_message(words.to.get()).has_value()) << "nothing is there, and nothing waits";
}

TEST(Look, EmptyAndLongMessages) {
    Words words;
    words.say("");
    words.say("longer than eight");
    EXPECT_EQ(words.look(-1), "");
    EXPECT_EQ(words.look(0), "longer t...");
    EXPECT_EQ(words.look(-1), "") << "an empty one that was seen before";
    ASSERT_TRUE(drop_message(words.to.get()).has_value());
    EXPECT_EQ(words.look(-1), "longer t...");
    ASSERT_TRUE(drop_message(words.to.get()).has_value());
    EXPECT_EQ(words.look(-1), "nothing");
}

TEST(Look, DescriptorsComeWithEachLook) {
    Words words;
    Result<Pipe> pipe = make_pipe();
    ASSERT_TRUE(pipe.has_value());
    const int passed = pipe->write.get();
    ASSERT_TRUE(send(words.from.get(), {}, {&passed, 1}).value_or(false));
    pipe->write.reset();
    for (int turn = 0; turn < 2; ++turn) {
        const Result<Received> got = look(words.to.get(), words.buffer, -1);
        ASSERT_TRUE(got.has_value());
        EXPECT_EQ(got->fds.size(), 1u);
    }
    ASSERT_TRUE(set_nonblocking(pipe->read.get()).has_value());
    char byte = 0;
    EXPECT_EQ(read_some(pipe->read.get(), &byte, 1).value_or(0), kNothingNow) << "the message holds it";
    ASSERT_TRUE(drop_message(words.to.get()).has_value());
    EXPECT_EQ(read_some(pipe->read.get(), &byte, 1).value_or(1), 0u) << "nobody has it any more";
}

TEST(Look, APipeKeepsWhatWasSeen) {
    Result<Pipe> pipe = make_pipe();
    ASSERT_TRUE(pipe.has_value());
    std::array<char, 8> buffer{};
    EXPECT_EQ(look_into_pipe(pipe->read.get(), buffer.data(), buffer.size()).value_or(0), kNothingNow);
    ASSERT_EQ(::write(pipe->write.get(), "up\n", 3), 3);
    for (int turn = 0; turn < 2; ++turn) {
        ASSERT_EQ(look_into_pipe(pipe->read.get(), buffer.data(), buffer.size()).value_or(0), 3u);
        EXPECT_EQ(std::string(buffer.data(), 3), "up\n");
    }
    EXPECT_EQ(read_some(pipe->read.get(), buffer.data(), buffer.size()).value_or(0), 3u);
    pipe->write.reset();
    EXPECT_EQ(look_into_pipe(pipe->read.get(), buffer.data(), buffer.size()).value_or(1), 0u);
}

}  // namespace
}  // namespace abide::kernel
