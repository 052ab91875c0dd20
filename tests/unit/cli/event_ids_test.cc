// No life of an instance uses an id that an earlier one may have used, whatever is left of the files that say so.
#include "cli/event_ids.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "events/reservation.hpp"

namespace abide::cli {
namespace {

namespace fs = std::filesystem;

constexpr Wall kNow{1'795'251'600'000'000'000};

class EventIdsTest : public ::testing::Test {
  protected:
    EventIdsTest() {
        char name[] = "/tmp/abide-ids-XXXXXX";
        EXPECT_NE(::mkdtemp(name), nullptr);
        root_ = name;
        places_.log = root_ + "/log";
        places_.events = root_ + "/events";
        fs::create_directory(places_.log);
    }
    ~EventIdsTest() override {
        std::error_code ignored;
        fs::remove_all(root_, ignored);
    }
    EventIds reserve() { return ReservingIds(places_, kNow, 12345).finish(); }
    [[nodiscard]] std::string file() const { return places_.log + "/event-ids"; }
    // A log whose newest event has this id.
    void log_up_to(std::uint64_t id) const {
        fs::create_directory(places_.events);
        const std::string digits = std::to_string(id);
        const std::string cursor = std::string(20 - digits.size(), '0') + digits;
        std::ofstream(places_.events + "/" + cursor + ".jsonl")
            << R"({"specversion":"1.0","id":")" << cursor
            << R"(","source":"/abide/shop","type":"abide.supervisor.started","time":"2026-11-21T09:00:00.000000000Z",)"
            << R"("data":{}})" << "\n";
    }
    void write(const events::Reservation& reservation) const {
        std::ofstream(file()) << events::write_reservation(reservation);
    }

    std::string root_;
    Places places_;
};

TEST_F(EventIdsTest, TheFirstLifeBeginsWithOne) {
    const EventIds ids = reserve();
    EXPECT_EQ(ids.last, 0u);
    EXPECT_EQ(ids.stream, "");
    EXPECT_EQ(ids.reserved, events::kReservedAtOnce);
}

TEST_F(EventIdsTest, AfterACrashTheNextBlockIsTaken) {
    (void)reserve();
    EXPECT_EQ(reserve().last, events::kReservedAtOnce);
    EXPECT_EQ(reserve().last, 2 * events::kReservedAtOnce);
}

TEST_F(EventIdsTest, AfterACleanEndTheIdsGoOn) {
    write({501, ""});
    log_up_to(500);
    EXPECT_EQ(reserve().last, 500u);
}

TEST_F(EventIdsTest, TheLogMayKnowMoreAndADamagedNumberIsNoWord) {
    write({501, ""});
    log_up_to(520);
    EXPECT_EQ(reserve().last, 520u);
    write({501, ""});
    log_up_to(9'000'000'000'000'000'000);
    EXPECT_EQ(reserve().last, 500u);
}

TEST_F(EventIdsTest, WithoutTheFileTheLogItselfTells) {
    std::ofstream(places_.log + "/supervisor.log") << "x";
    log_up_to(77);
    const EventIds ids = reserve();
    EXPECT_EQ(ids.last, 77u);
    EXPECT_EQ(ids.stream, "");
}

TEST_F(EventIdsTest, WithNeitherANewStreamBeginsAboveAllOldIds) {
    for (const char* damaged : {"", "{", "{\"next\":\"0\",\"stream\":\"\"}", "{\"next\":\"x\"}"}) {
        std::ofstream(file()) << damaged;
        const EventIds ids = reserve();
        EXPECT_EQ(ids.stream.size(), 6u) << damaged;
        EXPECT_GT(ids.last, 1'000'000'000'000u) << damaged;
        EXPECT_EQ(reserve().stream, ids.stream);  // kept from now on
    }
}

TEST_F(EventIdsTest, AReadOnlyProjectCanKeepNothing) {
    places_.log.clear();
    EXPECT_FALSE(reserve().stream.empty());
}

}  // namespace
}  // namespace abide::cli
