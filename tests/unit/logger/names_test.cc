// Times, folder names and the terminal: each has one way to write a value, and nothing from a service can pass for
// another.
#include "logger/names.hpp"

#include <gtest/gtest.h>

#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "logger/escape.hpp"

namespace abide::logger {
namespace {

TEST(Stamp, KnownTime) {
    Stamp stamp;
    EXPECT_EQ(stamp.text(1'795'251'600'000'123'456), "2026-11-21T09:00:00.000123456Z");
    EXPECT_EQ(stamp.text(0), "1970-01-01T00:00:00.000000000Z");
    EXPECT_EQ(stamp.text(-5), "1970-01-01T00:00:00.000000000Z");
}

TEST(Stamp, AgreesWithTheCLibraryAndComesBack) {
    std::mt19937_64 random(3);
    Stamp stamp;
    for (int i = 0; i < 20'000; ++i) {
        const auto ns = static_cast<std::int64_t>(random() % 9'000'000'000'000'000'000ull);
        const std::string text(stamp.text(ns));
        const std::time_t second = ns / 1'000'000'000;
        std::tm tm{};
        ::gmtime_r(&second, &tm);
        char expected[32];
        std::strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", &tm);
        ASSERT_EQ(text.substr(0, 19), expected);
        ASSERT_EQ(parse_stamp(text), ns);
    }
    for (const char* bad : {"", "2026-11-21", "2026-11-21T09:00:00.00012345Z ", "2026-13-21T09:00:00.000123456Z",
                            "2026-11-21 09:00:00.000123456Z", "x026-11-21T09:00:00.000123456Z"})
        EXPECT_FALSE(parse_stamp(bad)) << bad;
}

TEST(Folder, OneNameOneFolder) {
    EXPECT_EQ(folder_name("db"), "db");
    EXPECT_EQ(folder_name("worker@mail"), "worker@mail");
    EXPECT_EQ(folder_name("shop/api@1"), "shop%2Fapi@1");
    EXPECT_EQ(folder_name("../../etc/passwd"), "%2E.%2F..%2Fetc%2Fpasswd");
    EXPECT_EQ(folder_name("."), "%2E");
    EXPECT_FALSE(folder_name(""));
    EXPECT_FALSE(folder_name(std::string(100, '/')));
    for (const std::string& name :
         std::vector<std::string>{"db", "worker@mail", "a/b", "..", "@x", {'a', '\0', 'b'}, "50%", "\xff"}) {
        const auto folder = folder_name(name);
        ASSERT_TRUE(folder);
        EXPECT_EQ(folder->find('/'), std::string::npos);
        EXPECT_NE(folder->front(), '.');
        EXPECT_EQ(service_of_folder(*folder), name);
    }
    for (const char* foreign : {"a%", "a%2", "a%zz", "%61", "a%2f", ".hidden", "@x"})
        EXPECT_FALSE(service_of_folder(foreign)) << foreign;
}

TEST(Rotated, Names) {
    const std::string name = rotated_name(1'795'251'600'000'123'456);
    EXPECT_EQ(name, "@2026-11-21T09:00:00.000123456Z.log");
    EXPECT_EQ(parse_rotated(name)->first_ns, 1'795'251'600'000'123'456);
    EXPECT_FALSE(parse_rotated(name)->compressed);
    EXPECT_TRUE(parse_rotated(name + ".gz")->compressed);
    for (const char* other : {"current", "@x.log", "@2026-11-21T09:00:00.000123456Z.log.gz.tmp", ""})
        EXPECT_FALSE(parse_rotated(other));
}

TEST(Escape, NothingThatATerminalObeysIsLeft) {
    EXPECT_EQ(escape_for_terminal("plain\ttext"), "plain\ttext");
    EXPECT_EQ(escape_for_terminal("\x1b]52;c;aGk=\x07"), "\\x1b]52;c;aGk=\\x07");
    EXPECT_EQ(escape_for_terminal("a\rb\nc\x7f"), "a\\x0db\\x0ac\\x7f");
    EXPECT_EQ(escape_for_terminal("\x9b"
                                  "31m"),
              "\\x9b31m")
        << "C1 as a raw byte";
    EXPECT_EQ(escape_for_terminal("\xc2\x9b"
                                  "31m"),
              "\\xc2\\x9b31m")
        << "C1 as UTF-8";
    EXPECT_EQ(escape_for_terminal("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
              "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    EXPECT_EQ(escape_for_terminal("\xe2\x80\xae"), "\\xe2\\x80\\xae") << "right-to-left override";
    EXPECT_EQ(escape_for_terminal("\xc0\x9b\xe0\x80\x9b\xed\xa0\x80\xff"),
              "\\xc0\\x9b\\xe0\\x80\\x9b\\xed\\xa0\\x80\\xff");
    std::mt19937 random(11);
    for (int i = 0; i < 2000; ++i) {
        std::string bytes;
        for (int k = 0; k < 40; ++k) bytes.push_back(static_cast<char>(random() % 256));
        for (const char c : escape_for_terminal(bytes))
            ASSERT_TRUE(c == '\t' || static_cast<unsigned char>(c) >= 0x20) << bytes;
    }
}

}  // namespace
}  // namespace abide::logger
