// The line of an event, to the letter: readers outside parse it.
#include "model/event_json.hpp"

#include <gtest/gtest.h>

#include <ctime>

namespace abide::model {
namespace {

std::string time_of(Wall time) {
    std::string text;
    append_rfc3339(text, time);
    return text;
}

TEST(EventJson, LineAsInTheContract) {
    Event event;
    event.id = EventId{1842};
    event.type = EventType::service_ready;
    event.subject = "api";
    event.time = {1'795'251'600'000'123'456};
    event.run = RunNumber{3};
    event.pid = 4711;
    event.cause = EventId{1840};
    std::string line;
    encode_event(line, event, "/abide/shop");
    EXPECT_EQ(line,
              R"({"specversion":"1.0","id":"00000000000000001842","source":"/abide/shop","type":"abide.service.ready",)"
              R"("subject":"api","time":"2026-11-21T09:00:00.000123456Z",)"
              R"("data":{"run":3,"pid":4711,"cause":"00000000000000001840"}})");
}

TEST(EventJson, ExitReasonDelayAndForeignBytes) {
    Event event;
    event.id = EventId{18'446'744'073'709'551'615u};
    event.type = EventType::supervisor_recovered;
    event.reason = Reason::start_timeout;
    event.detail = "bad \xff byte";
    event.delay = {1'000'001};
    event.exit = ExitStatus{ExitKind::signal, 9, true, {1}, {1, 2, 3}};
    std::string line;
    encode_event(line, event, "/abide/x");
    EXPECT_EQ(
        line,
        R"({"specversion":"1.0","id":"18446744073709551615","source":"/abide/x","type":"abide.supervisor.recovered",)"
        R"("time":"1970-01-01T00:00:00.000000000Z","data":{"reason":"start-timeout",)"
        R"("exit":{"signal":"KILL","core_dumped":true,)"
        R"("time":"1970-01-01T00:00:00.000000001Z","rusage":{"user_us":1,"system_us":2,"max_rss_kib":3}},"delay_ms":2,)"
        "\"detail\":\"bad \xef\xbf\xbd byte\"}}");
}

TEST(EventJson, UnknownExitIsNeverZero) {
    std::string text;
    append_exit(text, ExitStatus{});
    EXPECT_EQ(text.find("{\"code\":\"unknown\","), 0u) << text;
}

TEST(EventJson, OutOfMemoryIsToldOnlyWhereItWasSo) {
    ExitStatus exit{ExitKind::signal, 9, false, {1}, {}};
    std::string text;
    append_exit(text, exit);
    EXPECT_EQ(text.find("oom"), std::string::npos) << text;
    exit.oom = true;
    append_exit(text = "", exit);
    EXPECT_NE(text.find(R"("core_dumped":false,"oom":true,"time":)"), std::string::npos) << text;
}

TEST(EventJson, EveryTypeHasAName) {
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<EventType>>([](auto d) {
        const std::string name = event_type_name(d.value);
        EXPECT_TRUE(name.starts_with("abide.service.") || name.starts_with("abide.process.") ||
                    name.starts_with("abide.supervisor.") || name == "abide.user." || name == "abide.stream.gap")
            << name;
    });
    EXPECT_EQ(event_type_name(EventType::process_exited), "abide.process.exited");
}

TEST(EventJson, AUsersEventHasItsFields) {
    Event event;
    event.id = {7};
    event.type = EventType::user;
    event.name = "deployed";
    event.fields = {{"version", "7"}, {"note", "a \"b\" \n"}};
    std::string text;
    encode_event(text, event, "/abide/shop");
    EXPECT_NE(text.find(R"("type":"abide.user.deployed")"), std::string::npos) << text;
    EXPECT_TRUE(text.ends_with(R"("data":{"fields":{"version":"7","note":"a \"b\" \n"}}})")) << text;
}

TEST(EventJson, AGapSaysFromWhereToWhere) {
    Event event;
    event.id = {9};
    event.gap_from = {5};
    event.type = EventType::stream_gap;
    std::string text;
    encode_event(text, event, "/abide/shop");
    EXPECT_TRUE(text.ends_with(R"("data":{"from":"00000000000000000005","to":"00000000000000000009","count":5}})"))
        << text;
}

TEST(EventJson, DatesAgreeWithTheLibrary) {
    for (std::int64_t second = -9'000'000'000; second < 9'200'000'000; second += 40'009'321) {
        const std::time_t time = second;
        std::tm parts{};
        ASSERT_NE(gmtime_r(&time, &parts), nullptr);
        char expected[40];
        ASSERT_NE(std::strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000000005Z", &parts), 0u);
        EXPECT_EQ(time_of({second * 1'000'000'000 + 5}), expected);
    }
    EXPECT_EQ(time_of({-1}), "1969-12-31T23:59:59.999999999Z");
    EXPECT_EQ(time_of({951'782'400'000'000'000}), "2000-02-29T00:00:00.000000000Z");
}

}  // namespace
}  // namespace abide::model
