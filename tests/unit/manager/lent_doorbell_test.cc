// The logger rings for the manager: what it is sent, and when a word of the bell is enough.
#include "manager/lent_doorbell.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <optional>

#include "event_folder.hpp"
#include "kernel/log_files.hpp"
#include "kernel/socket.hpp"
#include "protocol/log.hpp"

namespace abide::test {
namespace {

namespace wire = protocol::log;
using manager::LentDoorbell;

class Lent : public ::testing::Test {
  protected:
    // What the next packet brought; 0: there is none.
    std::size_t packet() {
        std::array<std::byte, 64> buffer;
        auto got = kernel::receive(logger_.get(), buffer);
        if (!got || got->nothing_now) return 0;
        EXPECT_EQ(wire::decode_to_logger({reinterpret_cast<const char*>(buffer.data()), got->size}),
                  wire::ToLogger{wire::Ring{}});
        if (got->fds.size() == 2) bell_ = std::move(got->fds[1]);
        return got->fds.size();
    }
    // Was the bell written since the last look?
    bool asked() {
        std::uint64_t count = 0;
        return ::read(bell_.get(), &count, sizeof count) == sizeof count;
    }
    bool ring(bool another = false) { return lent_.ring(manager_.get(), doorbell_.get(), another); }

    LentDoorbell lent_;
    kernel::Fd doorbell_{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    std::pair<kernel::Fd, kernel::Fd> pair_ = std::move(*kernel::make_socket_pair(SOCK_SEQPACKET, true));
    kernel::Fd &manager_ = pair_.first, &logger_ = pair_.second;
    kernel::Fd bell_;
};

TEST_F(Lent, AWordOfTheBellIsEnoughOnceTheLoggerListens) {
    EXPECT_TRUE(ring(true));
    EXPECT_TRUE(ring());
    EXPECT_EQ(packet(), 2u);
    EXPECT_EQ(packet(), 2u) << "it has not said that it listens, and may be of an earlier version";
    EXPECT_FALSE(asked());
    lent_.listens();
    EXPECT_TRUE(ring());
    EXPECT_EQ(packet(), 0u);
    EXPECT_TRUE(asked());
}

TEST_F(Lent, AnotherDoorbellOrLoggerGetsAPacketFirst) {
    ring(true);
    lent_.listens();
    EXPECT_EQ(packet(), 2u);
    ring(true);
    EXPECT_EQ(packet(), 2u);
    EXPECT_FALSE(asked());
    ring();
    EXPECT_TRUE(asked());
    lent_.take_back();
    ring();
    EXPECT_EQ(packet(), 2u);
    EXPECT_FALSE(asked());
    // What the one before said to its manager came late: it understands bells, and has ours.
    lent_.listens();
    ring();
    EXPECT_TRUE(asked());
}

TEST_F(Lent, ALateWordIsNotTakenForABellThatWasNeverSent) {
    lent_.listens();
    ring(true);
    EXPECT_EQ(packet(), 2u);
}

TEST_F(Lent, WithoutRoomItSaysSoAndKeepsNothing) {
    lent_.listens();
    while (ring(true)) continue;
    EXPECT_FALSE(ring()) << "the packet with this doorbell has not gone";
    while (packet() != 0) continue;
    EXPECT_TRUE(ring());
    EXPECT_EQ(packet(), 2u);
}

// The writer says when the doorbell is another one, also when it rang that itself meanwhile.
TEST(LentByTheLog, ANewDoorbellIsTold) {
    EventFolder folder;
    manager::EventLog log = folder.open(0);
    std::vector<bool> told;
    bool busy = false;
    log.set_ringer(
        [&](int, bool another) {
            if (!busy) told.push_back(another);
            return !busy;
        },
        Duration{-1});
    EventFolder::write(log, 1, 1);  // rung by itself, and dear
    EventFolder::write(log, 2, 2);
    EventFolder::write(log, 3, 3);
    EXPECT_EQ(told, (std::vector<bool>{true, false}));
    std::filesystem::remove(folder.path() + "/doorbell");
    busy = true;
    EventFolder::write(log, 4, 4);
    busy = false;
    EventFolder::write(log, 5, 5);
    EventFolder::write(log, 6, 6);
    EXPECT_EQ(told, (std::vector<bool>{true, false, true, false}));
}

TEST(LentByTheLog, WhatALoggerThatIsGoneMayNotHaveRungIsRungAgain) {
    EventFolder folder;
    manager::EventLog log = folder.open(0);
    log.set_ringer([](int, bool) { return true; }, Duration{-1});
    EventFolder::write(log, 1, 1);  // rung by itself, and dear
    const kernel::Fd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    ASSERT_GE(::inotify_add_watch(watch.get(), (folder.path() + "/doorbell").c_str(), IN_MODIFY), 0);
    const auto rung = [&] {
        std::array<std::byte, 256> buffer;
        return ::read(watch.get(), buffer.data(), buffer.size()) > 0;
    };
    EventFolder::write(log, 2, 2);
    EXPECT_FALSE(rung());
    log.ring_again();
    EXPECT_TRUE(rung());
}

}  // namespace
}  // namespace abide::test
