// Variables are replaced in one pass: what a value contains must never be taken for a reference again.
#include "config/expand.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"

namespace abide::config {
namespace {

std::optional<std::string_view> lookup(std::string_view name) {
    if (name == "PORT") return "8080";
    if (name == "EMPTY") return "";
    if (name == "TRICK") return "${PORT}$$";
    return std::nullopt;
}

TEST(Expand, ReplacesReferences) {
    EXPECT_EQ(expand("--port=${PORT}!", lookup), "--port=8080!");
    EXPECT_EQ(expand("${NONE:-a b}${EMPTY:-c}${PORT:-d}${NONE:-}", lookup), "a bc8080");
    EXPECT_EQ(expand("${EMPTY}", lookup), "");
    EXPECT_EQ(expand("$$ $x $ a$", lookup), "$ $x $ a$");
    EXPECT_EQ(expand("$${PORT}", lookup), "${PORT}");
    EXPECT_EQ(expand("${TRICK}", lookup), "${PORT}$$");
}

TEST(Expand, RefusesWhatIsNotSetOrNotWellFormed) {
    EXPECT_EQ(expand("${NONE}", lookup).error().what, "the variable NONE is not set");
    for (const char* bad : {"${", "${}", "${A", "${1}", "${A-b}", "${A:+b}", "${A }", "${:-b}"}) {
        EXPECT_FALSE(check_references(bad)) << bad;
        EXPECT_FALSE(expand(bad, lookup)) << bad;
    }
}

TEST(Expand, EscapedTextComesBack) {
    for (const char* text : {"$", "$$", "${A}", "a$b$", ""}) {
        EXPECT_EQ(expand(escape_references(text), lookup), text);
    }
}

TEST(Expand, TheResultIsBounded) {
    const std::string value(1000, 'v');
    const auto big = [&](std::string_view) -> std::optional<std::string_view> { return value; };
    std::string text;
    for (int i = 0; i < 1000; ++i) text += "${A}";
    EXPECT_FALSE(expand(text, big));
}

TEST(Expand, AnEnvironmentIsBuiltInOrder) {
    const std::vector<model::Variable> inherited{{"HOME", "/root"}, {"PATH", "/bin"}}, none;
    const auto environment =
        expand_environment(inherited, {{"A", "1"}, {"B", "${A}2"}, {"A", "3"}, {"PATH", "/x:${PATH}"}});
    ASSERT_TRUE(environment);
    EXPECT_EQ(environment->own, (std::vector<model::Variable>{{"A", "3"}, {"B", "12"}, {"PATH", "/x:/bin"}}));
    EXPECT_EQ(environment->find("PATH"), "/x:/bin");
    EXPECT_EQ(environment->find("HOME"), "/root");
    EXPECT_FALSE(environment->find("USER"));
    EXPECT_TRUE(environment->hides("PATH") && !environment->hides("HOME"));
    EXPECT_EQ(expand_command({{"run", "${B}"}}, *environment), (std::vector<std::string>{"run", "12"}));
    EXPECT_EQ(expand_from("${HOME}", *environment), "/root");
    const auto bad = expand_environment(none, {{"A", "${B}"}});
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().what, "environment A: the variable B is not set");
}

}  // namespace
}  // namespace abide::config
