// Names, likeness, UTF-8, durations and sizes: what every text of a user passes through first.
#include "base/text.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>

namespace abide {
namespace {

TEST(Text, SplitKeepsEmptyParts) {
    EXPECT_EQ(split("a,,b", ','), (std::vector<std::string_view>{"a", "", "b"}));
    EXPECT_EQ(split("", ','), (std::vector<std::string_view>{""}));
    EXPECT_EQ(split(",", ','), (std::vector<std::string_view>{"", ""}));
}

TEST(Text, TrimDropsBlanksAtBothEnds) {
    EXPECT_EQ(trim(" \t a b\r\n"), "a b");
    EXPECT_EQ(trim(" \n"), "");
}

TEST(Text, EditDistanceCountsSwapsOnce) {
    EXPECT_EQ(edit_distance("", "abc"), 3u);
    EXPECT_EQ(edit_distance("restart", "restart"), 0u);
    EXPECT_EQ(edit_distance("comand", "command"), 1u);
    EXPECT_EQ(edit_distance("cmomand", "command"), 1u);
    EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
    EXPECT_EQ(edit_distance(std::string(1000, 'a'), "a"), 1000u);
}

TEST(Text, ClosestFindsOnlyWhatIsLikely) {
    constexpr std::array<std::string_view, 3> kWords{"command", "requires", "ready"};
    EXPECT_EQ(closest("comand", kWords), "command");
    EXPECT_EQ(closest("require", kWords), "requires");
    EXPECT_EQ(closest("zebra", kWords), std::nullopt);
    constexpr std::array<std::string_view, 1> kShort{"a"};
    EXPECT_EQ(closest("b", kShort), std::nullopt);
}

TEST(Text, Utf8AcceptsTheLimitsAndRefusesWhatIsBeyond) {
    EXPECT_TRUE(is_utf8("plain, ä, €, \xF0\x9F\x98\x80, \xF4\x8F\xBF\xBF"));
    EXPECT_EQ(first_invalid_utf8("ab\xFF"), 2u);
    EXPECT_FALSE(is_utf8("\xC0\xAF"));          // overlong
    EXPECT_FALSE(is_utf8("\xED\xA0\x80"));      // surrogate
    EXPECT_FALSE(is_utf8("\xF4\x90\x80\x80"));  // beyond the last character
    EXPECT_FALSE(is_utf8("\xE2\x82"));          // cut off
}

// Words of eight bytes are looked at as one.
TEST(Text, Utf8IsJudgedTheSameAtEveryPlace) {
    for (std::size_t at = 0; at < 24; ++at) {
        std::string text(24, 'a');
        text[at] = '\xFF';
        EXPECT_EQ(first_invalid_utf8(text), at);
        text.replace(at, 1, "\xE2\x82\xAC");
        EXPECT_TRUE(is_utf8(text)) << at;
    }
}

TEST(Text, NamesAreBounded) {
    EXPECT_TRUE(is_service_name("a"));
    EXPECT_TRUE(is_service_name("9.x_y-z"));
    EXPECT_TRUE(is_service_name("worker@mail"));
    EXPECT_TRUE(is_service_name(std::string(64, 'a') + "@" + std::string(64, 'b')));
    for (const std::string_view bad : {"", ".a", "-a", "a b", "a/b", "a@", "@a", "a@b@c", "ä", "a\n", "a%"}) {
        EXPECT_FALSE(is_service_name(bad)) << bad;
    }
    EXPECT_FALSE(is_service_name(std::string(65, 'a')));
    EXPECT_FALSE(is_service_name("a@" + std::string(65, 'a')));
    for (const char* own : {"event-ids", "event-ids.new", "supervisor.log", "supervisor.log.1"}) {
        EXPECT_TRUE(is_service_name(own) && is_reserved_name(own)) << own;
    }
    for (const char* free : {"", "event-id", "event-ids2", "supervisor", "supervisor.logs", "event-ids@1"}) {
        EXPECT_FALSE(is_reserved_name(free)) << free;
    }
    EXPECT_TRUE(is_template_name("worker@"));
    EXPECT_FALSE(is_template_name("worker"));
    EXPECT_FALSE(is_template_name("@"));
}

TEST(Text, DurationsRoundTrip) {
    const std::vector<std::pair<std::string_view, std::int64_t>> cases{{"0", 0},
                                                                       {"0s", 0},
                                                                       {"250ms", 250'000'000},
                                                                       {"10s", 10'000'000'000},
                                                                       {"1h", 3'600'000'000'000},
                                                                       {"1m30s", 90'000'000'000},
                                                                       {"2d", 172'800'000'000'000},
                                                                       {"5us", 5000},
                                                                       {"7ns", 7}};
    for (const auto& [text, ns] : cases) {
        const auto duration = parse_duration(text);
        ASSERT_TRUE(duration) << text;
        EXPECT_EQ(duration->ns, ns) << text;
        EXPECT_EQ(parse_duration(format_duration(*duration)), *duration) << text;
    }
    EXPECT_EQ(format_duration(seconds(90)), "1m30s");
    EXPECT_EQ(format_duration(Duration{}), "0");
    EXPECT_EQ(format_duration(kForever), "forever");
    EXPECT_EQ(format_duration(Duration{-1'500'000'000}), "-1s500ms");
}

TEST(Text, BadDurationsSayWhy) {
    for (const std::string_view bad :
         {"", "10", "s", "10x", "10 s", "-1s", "1.5s", "1s1m", "1s1s", "99999999999999999999s", "400000d", "1m30"}) {
        EXPECT_FALSE(parse_duration(bad)) << bad;
    }
    EXPECT_EQ(parse_duration("10x").error().what, "not a duration: \"10x\"");
}

TEST(Text, SizesRoundTrip) {
    for (const auto& [text, bytes] : std::vector<std::pair<std::string_view, std::uint64_t>>{{"0", 0},
                                                                                             {"512", 512},
                                                                                             {"64K", 65536},
                                                                                             {"64M", 64u << 20},
                                                                                             {"1G", 1u << 30},
                                                                                             {"2T", 2ull << 40},
                                                                                             {"64MiB", 64u << 20}}) {
        const auto size = parse_size(text);
        ASSERT_TRUE(size) << text;
        EXPECT_EQ(*size, bytes) << text;
        EXPECT_EQ(parse_size(format_size(bytes)), bytes) << text;
    }
    for (const std::string_view bad : {"", "M", "64X", "64MB", "-1", "1.5G", "99999999999G", "64 M"})
        EXPECT_FALSE(parse_size(bad)) << bad;
}

TEST(Text, IntegersMustFillTheText) {
    EXPECT_EQ(parse_integer("42", 0, 100), 42);
    EXPECT_EQ(parse_integer("-5", -10, 10), -5);
    for (const std::string_view bad : {"", "4 ", " 4", "+4", "101", "-1", "4x"})
        EXPECT_EQ(parse_integer(bad, 0, 100), std::nullopt) << bad;
}

TEST(Text, PrintableShowsControlBytes) {
    EXPECT_EQ(printable("a\x1b[2J\n\xff"), "a\\x1b[2J\\x0a\\xff");
    EXPECT_EQ(printable("\xC2\x9B"), "\\xc2\\x9b");  // a control character in two bytes
    EXPECT_EQ(printable("ä"), "ä");
    EXPECT_EQ(printable("abcdef", 3), "abc...");
}

std::vector<std::string> words(std::string_view text, Dollar dollar = Dollar::literal) {
    const auto result = split_words(text, dollar);
    EXPECT_TRUE(result) << text << ": " << (result ? "" : result.error().what);
    return result.value_or(std::vector<std::string>{});
}

using Words = std::vector<std::string>;

TEST(Words, SplitAsAShellDoes) {
    EXPECT_EQ(words("a  b\tc "), (Words{"a", "b", "c"}));
    EXPECT_EQ(words("a 'b c' \"d e\""), (Words{"a", "b c", "d e"}));
    EXPECT_EQ(words("a'b'\"c\"d"), (Words{"abcd"}));
    EXPECT_EQ(words("'' \"\""), (Words{"", ""}));
    EXPECT_EQ(words(R"(a\ b "c\"d" "e\f" '\g')"), (Words{"a b", "c\"d", "e\\f", "\\g"}));
    EXPECT_EQ(words("a '|' \"&\" \\; * ?"), (Words{"a", "|", "&", ";", "*", "?"}));
    EXPECT_EQ(words(""), Words{});
}

TEST(Words, OperatorsAreErrorsThatSayNoShellRuns) {
    for (const std::string_view bad :
         {"a | b", "a; b", "a & b", "a < b", "a > b", "a `b`", "a $(b)", "(a)", "a \"$(b)\"", "a \"`b`\"", "a\nb"}) {
        const auto result = split_words(bad);
        ASSERT_FALSE(result) << bad;
        EXPECT_NE(result.error().advice.find("no shell runs"), std::string::npos) << bad;
    }
    for (const std::string_view bad : {"a 'b", "a \"b", "a \\"}) EXPECT_FALSE(split_words(bad)) << bad;
}

TEST(Words, ReferencesKeepTheirWordAndQuotingMakesDollarsLiteral) {
    EXPECT_EQ(words("a ${B:-c d} \"${E}\"", Dollar::references), (Words{"a", "${B:-c d}", "${E}"}));
    EXPECT_EQ(words(R"('${A}' \${B} "\${C}" $$ $x)", Dollar::references),
              (Words{"$${A}", "$${B}", "$${C}", "$$", "$x"}));
    EXPECT_FALSE(split_words("a ${B", Dollar::references));
}

TEST(Paths, FolderAndLastComponent) {
    EXPECT_EQ(folder_of("/run/abide/lock"), "/run/abide");
    EXPECT_EQ(folder_of("/lock"), "/");
    EXPECT_EQ(folder_of("lock"), "");
    EXPECT_EQ(last_component("/run/abide/lock"), "lock");
    EXPECT_EQ(last_component("lock"), "lock");
    EXPECT_EQ(last_component("/run/"), "");
}

TEST(Words, LinearInLength) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(split_words(std::string(1 << 20, '\'') + "'"));
    EXPECT_EQ(words(std::string(1 << 20, 'a')).size(), 1u);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace abide
