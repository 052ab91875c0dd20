// A line of the log is whole or it is none: what lost, gained or changed the form of bytes is never taken for an event.
#include "events/line.hpp"

#include <gtest/gtest.h>

#include "events/filter.hpp"
#include "events/reservation.hpp"

namespace abide::events {
namespace {

const std::string kLine =
    R"({"specversion":"1.0","id":"00000000000000001842","source":"/abide/shop","type":"abide.service.ready",)"
    R"("subject":"api","time":"2026-11-21T09:00:00.000123456Z",)"
    R"("data":{"run":3,"pid":4711,"cause":"00000000000000001840"}})";

TEST(EventLine, TheExampleOfTheContract) {
    const auto line = parse_line(kLine);
    ASSERT_TRUE(line);
    EXPECT_EQ(line->id, 1842u);
    EXPECT_EQ(line->type, "abide.service.ready");
    EXPECT_EQ(line->subject, "api");
    EXPECT_EQ(line->source, "/abide/shop");
    EXPECT_EQ(line->time_ns, 1'795'251'600'000'123'456);
    EXPECT_EQ(number(member(line->data, "run")), 3u);
    EXPECT_EQ(number(member(line->data, "cause")), 1840u);
    EXPECT_EQ(member(line->data, "none"), "");
}

TEST(EventLine, NoBeginningOrEndOfItIsALine) {
    for (std::size_t n = 0; n < kLine.size(); ++n) {
        EXPECT_FALSE(parse_line(kLine.substr(0, n))) << n;
        EXPECT_FALSE(parse_line(kLine.substr(n + 1))) << n;
    }
    EXPECT_FALSE(parse_line(kLine + kLine));
    EXPECT_FALSE(parse_line(kLine + " "));
}

TEST(EventLine, WhateverTheBytesItReturns) {
    for (std::size_t n = 0; n < kLine.size(); ++n) {
        for (int bit = 0; bit < 8; ++bit) {
            std::string flipped = kLine;
            flipped[n] = static_cast<char>(flipped[n] ^ (1 << bit));
            const auto line = parse_line(flipped);
            EXPECT_TRUE(!line || line->id != 0);
        }
    }
    EXPECT_FALSE(parse_line(std::string(100'000, '{')));
    EXPECT_FALSE(parse_line(R"({"specversion":"1.0","data":)" + std::string(100'000, '[')));
}

TEST(EventLine, AGapIsALineLikeAnyOther) {
    const std::string text = gap_line(5, 9, "/abide/shop", "2026-11-21T09:00:00.000000000Z");
    ASSERT_EQ(text.back(), '\n');
    const auto line = parse_line(std::string_view(text).substr(0, text.size() - 1));
    ASSERT_TRUE(line);
    EXPECT_EQ(line->id, 9u);
    EXPECT_EQ(line->gap_from, 5u);
    EXPECT_EQ(number(member(line->data, "count")), 5u);
}

TEST(EventLine, NamesOfSegments) {
    EXPECT_EQ(segment_name(1), "00000000000000000001.jsonl");
    EXPECT_EQ(parse_segment_name(segment_name(UINT64_MAX)), UINT64_MAX);
    for (const char* name : {"doorbell", "00000000000000000000.jsonl", "1.jsonl", "00000000000000000001.json",
                             "99999999999999999999.jsonl", "0000000000000000000x.jsonl"}) {
        EXPECT_FALSE(parse_segment_name(name)) << name;
    }
}

TEST(EventLine, EscapesAreUndone) {
    EXPECT_EQ(unescape(R"("a\"b\\c\n\u0007")"), "a\"b\\c\n\a");
    EXPECT_EQ(unescape("\xc3\xa4"), "\xc3\xa4");
}

TEST(EventFilter, TypesByWholeWordsServicesByPattern) {
    const auto passes = [](std::vector<std::string> types, std::vector<std::string> services) {
        const auto filter = Filter::make(types, std::move(services));
        EXPECT_TRUE(filter);
        return filter && filter->passes(*parse_line(kLine));
    };
    EXPECT_TRUE(passes({}, {}));
    EXPECT_TRUE(passes({"service"}, {}));
    EXPECT_TRUE(passes({"abide.service.*"}, {}));
    EXPECT_TRUE(passes({"abide.service.ready"}, {"api"}));
    EXPECT_TRUE(passes({"ready"}, {"a*", "web"}));
    EXPECT_TRUE(passes({"process", "service.ready"}, {"?pi"}));
    EXPECT_FALSE(passes({"service.unready"}, {}));
    EXPECT_FALSE(passes({}, {"ap"}));
    EXPECT_FALSE(passes({"process"}, {"api"}));
}

TEST(EventFilter, AnUnknownTypeIsToldWithTheOneItIsLike) {
    const auto filter = Filter::make({"service.redy"}, {});
    ASSERT_FALSE(filter);
    EXPECT_EQ(filter.error().kind, ErrorKind::not_found);
    EXPECT_NE(filter.error().advice.find("service.ready"), std::string::npos);
    EXPECT_FALSE(Filter::make({"serv"}, {}));
    EXPECT_FALSE(Filter::make({""}, {}));
    EXPECT_FALSE(Filter::make({}, {""}));
    EXPECT_TRUE(Filter::make({"user.deployed", "abide.user", "refresh"}, {}));
    EXPECT_EQ(full_type("ready"), "abide.service.ready");
    EXPECT_EQ(full_type("abide.user.x"), "abide.user.x");
    EXPECT_FALSE(full_type("user"));
}

TEST(EventFilter, AGapPassesEverything) {
    const std::string text = gap_line(5, 9, "/abide/shop", "2026-11-21T09:00:00.000000000Z");
    EXPECT_TRUE(Filter::make({"ready"}, {"api"})->passes(*parse_line(text.substr(0, text.size() - 1))));
}

TEST(EventFilter, Patterns) {
    EXPECT_TRUE(matches_pattern("*", ""));
    EXPECT_TRUE(matches_pattern("a*b*c", "a-b-b-c"));
    EXPECT_FALSE(matches_pattern("a*b?", "a-b"));
    const std::string many(60, '*');
    EXPECT_FALSE(matches_pattern(many + "x", std::string(2000, 'a')));
}

TEST(EventReservation, ReadsWhatItWrites) {
    const Reservation one{1'000'000'001, "k3x"};
    EXPECT_EQ(read_reservation(write_reservation(one)), one);
    EXPECT_EQ(read_reservation(write_reservation({})), Reservation{});
    const std::string text = write_reservation(one);
    for (std::size_t n = 0; n + 1 < text.size(); ++n) EXPECT_FALSE(read_reservation(text.substr(0, n))) << n;
}

}  // namespace
}  // namespace abide::events
