// What the anchor keeps and could not pass is not taken for lost.
#include "manager/anchor_link.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>

#include "kernel/socket.hpp"

namespace abide::test {
namespace {

using manager::AnchorLink;

class Link : public ::testing::Test {
  protected:
    void SetUp() override {
        auto pair = kernel::make_socket_pair(SOCK_SEQPACKET, true);
        ASSERT_TRUE(pair);
        link_.emplace(std::move(pair->first));
        anchor_ = std::move(pair->second);
        link_->get({1, 2}, [this](Result<AnchorLink::Kept> got) {
            answered_ += 1;
            if (got)
                kept_ = got->size();
            else
                error_ = got.error().err;
        });
        ASSERT_TRUE(link_->flush());
    }

    // As the anchor answers: these keys, with so many descriptors.
    void answer(const std::vector<std::uint64_t>& keys, std::size_t passed, int status) {
        std::array<std::byte, anchor::kMaxFrameBytes> asked;
        ASSERT_TRUE(kernel::receive(anchor_.get(), asked));
        anchor::Header header;
        std::memcpy(&header, asked.data(), sizeof header);
        header.flags = anchor::kAnswer;
        header.count = static_cast<std::uint32_t>(keys.size());
        header.status = static_cast<std::uint32_t>(status);
        std::vector<std::byte> frame(sizeof header + keys.size() * sizeof(std::uint64_t));
        std::memcpy(frame.data(), &header, sizeof header);
        if (!keys.empty()) std::memcpy(frame.data() + sizeof header, keys.data(), keys.size() * sizeof(std::uint64_t));
        const kernel::Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        const std::vector<int> fds(passed, null.get());
        ASSERT_TRUE(kernel::send(anchor_.get(), frame, fds));
    }

    std::optional<AnchorLink> link_;
    kernel::Fd anchor_;
    int answered_ = 0, error_ = 0;
    std::size_t kept_ = 0;
};

TEST_F(Link, WhatIsKeptComesAndWhatIsMissingIsNotKept) {
    answer({2}, 1, 0);
    link_->read();
    EXPECT_EQ(answered_, 1);
    EXPECT_EQ(error_, 0);
    EXPECT_EQ(kept_, 1u);
}

TEST_F(Link, TooManyOnTheirWayIsAnError) {
    answer({}, 0, ETOOMANYREFS);
    link_->read();
    EXPECT_EQ(answered_, 1);
    EXPECT_EQ(error_, ETOOMANYREFS);
}

TEST_F(Link, NoRoomHereIsAnError) {
    answer({1, 2}, 2, 0);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const int next = ::dup(anchor_.get());
    ::close(next);
    const rlimit full{static_cast<rlim_t>(next) + 1, before.rlim_max};  // for one of the two
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &full), 0);
    link_->read();
    ::setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_EQ(answered_, 1);
    EXPECT_EQ(error_, EMFILE);
}

}  // namespace
}  // namespace abide::test
