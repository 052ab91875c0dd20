// A readiness pattern is written by people and matched against what services say: right, and never slow.
#include "base/pattern.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace abide {
namespace {

bool matches(std::string_view pattern, std::string_view line, std::size_t step = 1000) {
    Result<Pattern> parsed = Pattern::regular(pattern);
    EXPECT_TRUE(parsed) << pattern << ": " << (parsed ? "" : parsed.error().what);
    if (!parsed) return false;
    Matcher matcher(std::move(*parsed));
    matcher.begin_line();
    bool hit = false;
    for (std::size_t at = 0; at < line.size(); at += step) hit = matcher.feed(line.substr(at, step)) || hit;
    return matcher.end_line() || hit;
}

TEST(Pattern, Table) {
    const struct {
        const char* pattern;
        const char* line;
        bool match;
    } kCases[] = {
        {"ready", "is ready now", true},
        {"ready", "read y", false},
        {"^ready", "ready", true},
        {"^ready", "not ready", false},
        {"ready$", "is ready", true},
        {"ready$", "ready now", false},
        {"^$", "", true},
        {"^$", "x", false},
        {"a.c", "abc", true},
        {"a.c", "ac", false},
        {"ab*c", "ac", true},
        {"ab*c", "abbbbc", true},
        {"ab+c", "ac", false},
        {"ab+c", "abbc", true},
        {"ab?c", "abbc", false},
        {"ab?c", "abc", true},
        {"cat|dog", "hotdog", true},
        {"^(cat|dog)$", "dog", true},
        {"^(cat|dog)$", "dogs", false},
        {"(ab)+$", "xababab", true},
        {"[0-9]+ ms", "took 15 ms", true},
        {"[^0-9]x", "9x", false},
        {"[]]", "]", true},
        {"[a-]", "-", true},
        {"\\d+\\.\\d", "v1.2", true},
        {"\\.", "x", false},
        {"\\w+\\s\\w+", "a b", true},
        {"[\\d_]", "_", true},
        {"listening on port (80|443)$", "nginx: listening on port 443", true},
        {"(^|:)up", "x:up", true},
        {"(^|:)up", "xup", false},
        {"(a*)*b", "aaab", true},
        {"(a|)*c", "aac", true},
        {"x|", "anything", true},
        {"\\[ok\\]", "[ok]", true},
    };
    for (const auto& c : kCases)
        for (const std::size_t step : {1u, 2u, 1000u})
            EXPECT_EQ(matches(c.pattern, c.line, step), c.match) << c.pattern << " on " << c.line;
}

TEST(Pattern, RefusesWhatItCantRead) {
    for (const char* bad : {"(", ")", "a)", "[a", "*a", "a|*", "\\", "\\q", "[z-a]", "(((", "["})
        EXPECT_FALSE(Pattern::regular(bad)) << bad;
    EXPECT_FALSE(Pattern::regular(std::string(40, '(') + std::string(40, ')'))) << "too deep";
    EXPECT_FALSE(Pattern::regular(std::string(5000, 'a'))) << "too long";
    const Result<Pattern> error = Pattern::regular("ab(c");
    ASSERT_FALSE(error);
    EXPECT_NE(error.error().what.find("position 5"), std::string::npos) << error.error().what;
}

TEST(Pattern, LiteralAcrossPieces) {
    Matcher matcher(*Pattern::literal("abcabd"));
    matcher.begin_line();
    EXPECT_FALSE(matcher.feed("xxabc"));
    EXPECT_FALSE(matcher.feed("abcab"));
    EXPECT_TRUE(matcher.feed("d..."));
    matcher.begin_line();
    EXPECT_FALSE(matcher.feed("abcab")) << "a new line begins anew";
    matcher.begin_line();
    EXPECT_FALSE(matcher.feed("d"));
    EXPECT_FALSE(Pattern::literal(""));
    Matcher dots(*Pattern::literal("a.*c"));
    dots.begin_line();
    EXPECT_FALSE(dots.feed("abbc"));
    EXPECT_TRUE(dots.feed("a.*c"));
}

// A backtracking matcher needs 2^n steps for these.
TEST(Pattern, PathologicalPatternsAreLinear) {
    std::string optional, plain;
    for (int i = 0; i < 60; ++i) {
        optional += "a?";
        plain += "a";
    }
    const auto seconds_for = [](std::string_view pattern, std::size_t bytes) {
        const std::string line(bytes, 'a');
        const auto start = std::chrono::steady_clock::now();
        EXPECT_FALSE(matches(std::string(pattern) + "b", line));
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    for (const std::string& pattern :
         {std::string("(a*)*"), std::string("(a|a)*"), std::string("(a|aa)+"), optional + plain}) {
        const double small = seconds_for(pattern, 50'000), large = seconds_for(pattern, 400'000);
        EXPECT_LT(large, 24 * small + 0.05) << pattern << ": eight times the input";
    }
}

}  // namespace
}  // namespace abide
