// What a notify datagram says, for good and for hostile ones.
#include "protocol/notify.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "base/limits.hpp"

namespace abide::notify {
namespace {

struct Case {
    std::string text;
    Message expected;
};

Message with(auto change) {
    Message message;
    change(message);
    return message;
}

TEST(Notify, Table) {
    const auto kMax = std::numeric_limits<std::int64_t>::max();
    const std::vector<Case> cases = {
        {"", {}},
        {std::string(5, '\0'), {}},
        {"READY", {}},
        {"=1", {}},
        {"READY=2", {}},
        {"UNKNOWN=1\nX_PRIVATE=abc", {}},
        {"READY=1", with([](Message& m) { m.ready = true; })},
        {"READY=1\n", with([](Message& m) { m.ready = true; })},
        {"\n\nREADY=1\n\n", with([](Message& m) { m.ready = true; })},
        {std::string("READY=1\0STATUS=x\0", 17), with([](Message& m) { m.ready = true, m.status = "x"; })},
        {"READY=1\nREADY=0", {}},
        {"RELOADING=1\nMONOTONIC_USEC=123", with([](Message& m) { m.reloading = true, m.monotonic_us = 123; })},
        {"STOPPING=1", with([](Message& m) { m.stopping = true; })},
        {"STATUS=", with([](Message& m) { m.status = ""; })},
        {"STATUS=a=b", with([](Message& m) { m.status = "a=b"; })},
        {"STATUS=\x1b[31m\xff", with([](Message& m) { m.status = "?[31m?"; })},
        {"STATUS=gr\u00fc\u00df", with([](Message& m) { m.status = "gr\u00fc\u00df"; })},
        {"STATUS=\u009b!", with([](Message& m) { m.status = "?\?!"; })},
        {"MAINPID=42", with([](Message& m) { m.main_pid = 42; })},
        {"MAINPID=0", {}},
        {"MAINPID=-1", {}},
        {"MAINPID=4294967297", {}},
        {"MAINPID=1x", {}},
        {"WATCHDOG=1", with([](Message& m) { m.watchdog = true; })},
        {"WATCHDOG=trigger", with([](Message& m) { m.watchdog_trigger = true; })},
        {"WATCHDOG_USEC=99999999999999999999999999", with([&](Message& m) { m.watchdog_us = kMax; })},
        {"WATCHDOG_USEC=0", with([](Message& m) { m.watchdog_us = 0; })},
        {"WATCHDOG_USEC=-5\nEXTEND_TIMEOUT_USEC= 5", {}},
        {"EXTEND_TIMEOUT_USEC=7", with([](Message& m) { m.extend_timeout_us = 7; })},
        {"ERRNO=2", with([](Message& m) { m.error_number = 2; })},
        {"ERRNO=99999", {}},
        {"FDSTORE=1\nFDNAME=http\nFDPOLL=0",
         with([](Message& m) { m.fd_store = true, m.fd_name = "http", m.fd_poll = false; })},
        {"FDSTOREREMOVE=1\nFDNAME=a:b", with([](Message& m) { m.fd_store_remove = true; })},
        {"FDNAME=" + std::string(256, 'n'), {}},
        {"BARRIER=1", with([](Message& m) { m.barrier = true; })},
    };
    for (const Case& one : cases) EXPECT_EQ(parse(one.text), one.expected) << one.text;
    EXPECT_TRUE(parse("NOTHING=1").empty());
    EXPECT_FALSE(parse("STATUS=").empty());
}

TEST(Notify, LongDatagramIsReadUpToTheBoundAndACutLineIsDropped) {
    const std::string filler(limits::kNotifyBytes - 9, 'x');
    EXPECT_FALSE(parse("A=" + filler + "\nREADY=1").ready);  // cut inside "READY=1"
    EXPECT_TRUE(parse("READY=1\nA=" + std::string(64u << 10, 'y')).ready);
    EXPECT_FALSE(parse("A=" + std::string(64u << 10, 'y') + "\nREADY=1").ready);
    EXPECT_FALSE(parse(filler + filler).status.has_value());
}

TEST(Notify, StatusIsBoundedAtACharacter) {
    std::string text = "STATUS=x";
    for (int i = 0; i < 1000; ++i) text += "\u20ac";  // three bytes each
    const auto message = parse(text);
    ASSERT_TRUE(message.status);
    EXPECT_LE(message.status->size(), limits::kStatusBytes);
    EXPECT_EQ((message.status->size() - 1) % 3, 0u);
}

}  // namespace
}  // namespace abide::notify
