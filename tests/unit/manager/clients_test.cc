// Goal: nobody who is connected keeps another one out; who is served is not sent away for those who only stand there.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>

#include "event_folder.hpp"
#include "kernel/clock.hpp"
#include "kernel/socket.hpp"
#include "manager/control.hpp"

namespace abide::test {
namespace {

using manager::ClientBounds;
using manager::Watched;

constexpr Duration kLong = seconds(61);  // longer than a client that stalls is borne with

// A control server without a manager around it.
class Clients : public testing::Test {
  protected:
    void begin(ClientBounds bounds) {
        char name[] = "/tmp/abide-clients-XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        folder_ = name;
        epoll_.emplace(std::move(*kernel::Epoll::create()));
        control_.emplace(*epoll_, engine_, inbox_, bounds);
        Result<kernel::Fd> listener = kernel::listen_unix(path(), 0600);
        ASSERT_TRUE(listener);
        ASSERT_TRUE(control_->listen(std::move(*listener)));
    }
    void TearDown() override {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    [[nodiscard]] std::string path() const { return folder_ + "/control"; }

    kernel::Fd connect() {
        Result<kernel::Fd> fd = kernel::connect_unix(path());
        EXPECT_TRUE(fd);
        turn();
        return std::move(*fd);
    }
    void say(const kernel::Fd& client, std::string_view text) {
        ASSERT_EQ(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
        turn();
    }
    void turn() {
        for (int round = 0; round < 4; ++round) {
            const auto ready = epoll_->wait(Mono{});
            ASSERT_TRUE(ready);
            const std::vector<kernel::Ready> all(ready->begin(), ready->end());
            for (const kernel::Ready& one : all) {
                if (manager::kind_of(one.token) == Watched::control)
                    control_->on_listener(now());
                else
                    control_->on_connection(manager::id_of(one.token), one.events, now());
            }
            control_->flush(now());
        }
    }
    [[nodiscard]] Now now() const {
        Now now = kernel::now();
        now.mono = now.mono + later_;
        return now;
    }
    // It was closed; what it was told before is read away.
    static bool is_closed(const kernel::Fd& client) {
        char buffer[4096];
        for (;;) {
            const ssize_t got = ::recv(client.get(), buffer, sizeof buffer, MSG_DONTWAIT);
            if (got <= 0) return got == 0 || errno != EAGAIN;
        }
    }
    static std::string heard(const kernel::Fd& client) {
        char buffer[4096];
        const ssize_t got = ::recv(client.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        return got <= 0 ? "" : std::string(buffer, static_cast<std::size_t>(got));
    }

    static constexpr std::string_view kPing{"{\"method\":\"io.abide.Control.Ping\"}\0", 35};
    manager::Inbox inbox_;
    Duration later_{};

  private:
    std::string folder_;
    std::optional<kernel::Epoll> epoll_;
    core::Engine engine_;

  protected:
    std::optional<manager::Control> control_;
};

TEST_F(Clients, TheOldestIdleOneGivesWay) {
    begin({8, 3});
    const kernel::Fd first = connect(), second = connect(), third = connect();
    say(first, "{\"method\"");  // is about to ask
    const kernel::Fd fourth = connect();
    EXPECT_FALSE(is_closed(first));
    EXPECT_TRUE(is_closed(second));
    EXPECT_FALSE(is_closed(third));
    say(fourth, kPing);
    EXPECT_NE(heard(fourth), "");
}

TEST_F(Clients, BeyondTheBoundOfAllAsWell) {
    begin({3, 8});
    const kernel::Fd first = connect(), second = connect(), third = connect(), fourth = connect();
    EXPECT_TRUE(is_closed(first));
    EXPECT_FALSE(is_closed(second));
    EXPECT_EQ(control_->clients(), 3u);
    say(fourth, kPing);
    EXPECT_NE(heard(fourth), "");
}

TEST_F(Clients, OneThatSubscribedIsNotIdle) {
    begin({8, 3});
    const EventFolder events;
    manager::EventLog log = events.open(0);
    control_->published(log.folder_fd(), 0, {});
    const kernel::Fd subscriber = connect();
    const std::string call = R"({"method":"io.abide.Control.Subscribe","parameters":{},"more":true})";
    say(subscriber, std::string_view(call.c_str(), call.size() + 1));
    std::vector<kernel::Fd> idle;
    for (int i = 0; i < 6; ++i) idle.push_back(connect());
    EXPECT_FALSE(is_closed(subscriber));
    EXPECT_TRUE(is_closed(idle.front()));
    EXPECT_FALSE(is_closed(idle.back()));
}

TEST_F(Clients, WhenNoneIsIdleTheNextIsToldSo) {
    begin({8, 2});
    const kernel::Fd first = connect(), second = connect();
    say(first, "{");
    say(second, "{");
    const kernel::Fd third = connect();
    EXPECT_NE(heard(third).find("too many connections"), std::string::npos);
    EXPECT_TRUE(is_closed(third));
    EXPECT_FALSE(is_closed(first));
}

TEST_F(Clients, AfterACallThatWantsNoReplyTheNextIsTaken) {
    begin({8, 8});
    const kernel::Fd client = connect();
    const std::string call = R"({"method":"io.abide.Control.Start","parameters":{"names":["a"]},"oneway":true})";
    say(client, std::string_view(call.c_str(), call.size() + 1));
    const std::vector<manager::Inbox::Item> asked = inbox_.take();
    ASSERT_EQ(asked.size(), 1u);
    control_->refuse(asked.front().ticket);
    say(client, kPing);
    EXPECT_NE(heard(client), "");
}

// Half a call is waited for, but not for ever; then who waits before the door comes in.
TEST_F(Clients, OneThatStallsIsClosedAndTheNextComesIn) {
    begin({2, 8});
    const kernel::Fd first = connect(), second = connect();
    say(first, "{");
    say(second, "{");
    const kernel::Fd third = connect();
    say(third, kPing);
    EXPECT_EQ(heard(third), "");
    later_ = kLong;
    EXPECT_LE(control_->next_deadline(), now().mono);
    control_->expire(now());
    turn();
    EXPECT_TRUE(is_closed(first));
    EXPECT_TRUE(is_closed(second));
    EXPECT_NE(heard(third), "");
}

// The listener stays readable: without a pause the loop would run in a circle.
TEST_F(Clients, WithoutADescriptorTheListenerRests) {
    begin({8, 8});
    Result<kernel::Fd> waits = kernel::connect_unix(path());
    ASSERT_TRUE(waits);
    ASSERT_EQ(::write(waits->get(), kPing.data(), kPing.size()), static_cast<ssize_t>(kPing.size()));
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{static_cast<rlim_t>(waits->get()) + 1, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    turn();
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(control_->clients(), 0u);
    turn();
    EXPECT_EQ(control_->clients(), 0u) << "it was not looked at again yet";
    const Mono again = control_->next_deadline();
    EXPECT_GT(again, kernel::mono_now());
    EXPECT_LT(again, kernel::mono_now() + seconds(2));
    later_ = seconds(2);
    control_->expire(now());
    turn();
    EXPECT_EQ(control_->clients(), 1u);
    EXPECT_NE(heard(*waits), "");
}

}  // namespace
}  // namespace abide::test
