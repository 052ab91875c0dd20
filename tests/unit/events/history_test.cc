// The past of one service is all of it, newest first, wherever the parts that are read happen to end.
#include "events/history.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <random>

#include "events/line.hpp"
#include "kernel/files.hpp"

namespace abide::events {
namespace {

class History : public testing::Test {
  protected:
    void SetUp() override {
        char pattern[] = "/tmp/abide-history-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern), nullptr);
        path_ = pattern;
        folder_ = std::move(*kernel::open_directory(path_));
    }
    void TearDown() override {
        const auto names = kernel::list_directory(folder_.get());
        for (const std::string& name : *names) static_cast<void>(kernel::unlink_beneath(folder_.get(), name));
        ::rmdir(path_.c_str());
    }
    static std::string line(std::uint64_t id, const std::string& service, std::size_t padding) {
        const std::string number = std::to_string(id);
        return R"({"specversion":"1.0","id":")" + std::string(20 - number.size(), '0') + number +
               R"(","source":"/abide/shop","type":"abide.service.ready","subject":")" + service +
               R"(","time":"2026-11-21T09:00:00.000123456Z","data":{"run":3,"words":")" + std::string(padding, 'x') +
               R"("}})";
    }
    void write(std::uint64_t first, const std::string& text) const {
        std::ofstream(path_ + "/" + segment_name(first)) << text;
    }
    [[nodiscard]] std::vector<std::uint64_t> ids_of(const std::string& service,
                                                    std::uint64_t up_to = UINT64_MAX) const {
        std::vector<std::uint64_t> ids;
        const Status read = each_backward(folder_.get(), service, up_to, [&](Event&& event) {
            ids.push_back(event.id);
            return true;
        });
        EXPECT_TRUE(read) << read.error().what;
        return ids;
    }
    std::string path_;
    kernel::Fd folder_;
};

TEST_F(History, IsWholeWhereverPartsEnd) {
    std::mt19937 random(11);
    std::map<std::string, std::vector<std::uint64_t>> expected;
    std::uint64_t id = 1;
    for (int segment = 0; segment < 3; ++segment) {
        const std::uint64_t first = id;
        std::string text;
        while (text.size() < 900'000) {
            // "api-1" is no "api", and a text that looks like a subject is none.
            const std::string service =
                std::vector<std::string>{"api", "api-1", "db", "rare"}[random() % 600 == 0 ? 3 : random() % 3];
            // Now and then one line is longer than a part.
            text += line(id, service, random() % 200 == 0 ? 300'000 : random() % 300) + "\n";
            expected[service].insert(expected[service].begin(), id++);
        }
        if (segment == 2) text += line(id, "api", 10);  // being written
        write(first, text);
    }
    for (const auto& [service, ids] : expected) EXPECT_EQ(ids_of(service), ids) << service;
    EXPECT_EQ(ids_of("nobody").size(), 0u);
    const std::uint64_t middle = expected["db"][expected["db"].size() / 2];
    EXPECT_EQ(ids_of("db", middle).front(), middle);
}

TEST_F(History, DamageHidesNothingElse) {
    write(1, line(1, "api", 5) + "\n" + line(2, "api", 5).substr(9) + "\n\n" + std::string(700'000, 'z') + "\n" +
                 line(4, "api", 5) + "\n" + line(5, "api", 5).substr(0, 90));
    EXPECT_EQ(ids_of("api"), (std::vector<std::uint64_t>{4, 1}));
    write(6, "");
    write(7, std::string(300'000, 'z'));
    EXPECT_EQ(ids_of("api"), (std::vector<std::uint64_t>{4, 1}));
}

TEST_F(History, EndsWhenEnoughWasSeen) {
    std::string text;
    for (std::uint64_t id = 1; id <= 5000; ++id) text += line(id, "api", 100) + "\n";
    write(1, text);
    const auto last = last_events(folder_.get(), "api", 3);
    ASSERT_TRUE(last);
    ASSERT_EQ(last->size(), 3u);
    EXPECT_EQ(last->front().id, 4998u);
    EXPECT_EQ(last->back().id, 5000u);
}

}  // namespace
}  // namespace abide::events
