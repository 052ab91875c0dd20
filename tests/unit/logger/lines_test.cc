// Cutting bytes into lines must not depend on how the bytes arrive, and must stay bounded whatever they are.
#include "logger/lines.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace abide::logger {
namespace {

struct Collected {
    std::vector<std::string> lines;  // "+" before a continuation
    bool open = false;

    void operator()(const Piece& piece) {
        EXPECT_EQ(piece.start != Start::no, !open) << "a line begins exactly where none is open";
        if (piece.start != Start::no) lines.emplace_back(piece.start == Start::continuation ? "+" : "");
        lines.back() += piece.text;
        open = !piece.ends;
    }
};

Collected split(std::string_view text, std::size_t step) {
    Collected out;
    LineState state;
    for (std::size_t at = 0; at < text.size(); at += step)
        split_lines(state, text.substr(at, step), [&](const Piece& p) { out(p); });
    return out;
}

TEST(Lines, PlainAndEmptyAndUnfinished) {
    const Collected out = split("one\n\ntwo\nthr", 1000);
    EXPECT_EQ(out.lines, (std::vector<std::string>{"one", "", "two", "thr"}));
    EXPECT_TRUE(out.open);
}

TEST(Lines, ATerminalsReturnsAreTakenAwayHoweverTheyArrive) {
    const std::string text = "one\r\n\r\ntwo\rthree\r\r\nfour\r\n";
    for (std::size_t step = 1; step <= text.size(); ++step) {
        std::string out;
        bool cut = false;
        for (std::size_t at = 0; at < text.size(); at += step) {
            std::string room = "?" + text.substr(at, step);
            out += without_returns(cut, room.data(), room.size() - 1);
        }
        EXPECT_EQ(out, "one\n\ntwo\rthree\r\nfour\n") << step;
    }
}

TEST(Lines, AnyChunkingGivesTheSame) {
    std::mt19937 random(7);
    std::string text;
    for (int i = 0; i < 40'000; ++i) text.push_back(random() % 9000 == 0 ? '\n' : static_cast<char>(random() % 256));
    const Collected whole = split(text, text.size());
    for (const std::size_t step : {1u, 7u, 4096u, 16384u, 16385u, 20000u})
        EXPECT_EQ(split(text, step).lines, whole.lines) << step;
}

TEST(Lines, LongLinesAreCutAtTheBound) {
    const std::size_t bound = limits::kLogLineBytes;
    const Collected exact = split(std::string(bound, 'x') + "\ny\n", 999);
    ASSERT_EQ(exact.lines.size(), 2u) << "a line of exactly the bound is one line";
    EXPECT_EQ(exact.lines[0].size(), bound);
    const Collected longer = split(std::string(bound + 1, 'x') + "\ny\n", 999);
    ASSERT_EQ(longer.lines.size(), 3u);
    EXPECT_EQ(longer.lines[1], "+x");
    EXPECT_EQ(longer.lines[2], "y");
    const Collected huge = split(std::string(3 * bound, 'x'), 1);
    EXPECT_EQ(huge.lines.size(), 3u);
}

}  // namespace
}  // namespace abide::logger
