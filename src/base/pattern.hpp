// base/pattern.hpp -- looks for a pattern in lines that arrive piece by piece, in time linear in the input.
//
// Theory.  A regular expression becomes a small program (Thompson's construction); all of its threads run at once over
// the bytes, each program position at most once a byte, so no input and no pattern can make it backtrack.  Cost of a
// byte: at most kPatternProgram steps.  A literal is matched by the Knuth-Morris-Pratt automaton: two steps a byte.
//
// Syntax of a regular expression (bytes, no locale, case counts, found anywhere in the line):
//     .            any byte             [abc] [a-z] [^abc]   one of, none of (] first is itself, - first or last is
//     itself) x* x+ x?     repetition           x|y (x)              choice, grouping ^ $          start, end of the
//     line
//     \d \w \s     digit; letter, digit or _; blank or tab     \t tab     \ and any punctuation: that byte itself
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace abide {

inline constexpr std::size_t kPatternProgram = 512;  // instructions; a longer pattern is refused
inline constexpr std::size_t kPatternDepth = 32;     // nested parentheses

class Pattern {
  public:
    static Result<Pattern> literal(std::string_view text);
    // Fails with usage, naming the position.
    static Result<Pattern> regular(std::string_view text);

  private:
    friend class Matcher;
    enum class Op : std::uint8_t { byte, any, set, split, jump, line_begin, line_end, match };
    // Targets of split and jump are relative to the instruction.
    struct Instruction {
        Op op = Op::match;
        std::uint8_t byte = 0;
        std::uint16_t set = 0;
        std::int32_t first = 0, second = 0;
    };
    using Fragment = std::vector<Instruction>;
    friend class PatternParser;

    bool is_literal_ = false;
    std::string text_;                     // literal
    std::vector<std::uint16_t> fallback_;  // literal: longest border of each prefix
    Fragment program_;
    std::vector<std::bitset<256>> sets_;
};

// The state of one search.  Call begin_line(), feed() for the pieces of the line without its newline, end_line().
class Matcher {
  public:
    explicit Matcher(Pattern pattern);

    void begin_line();
    // True: the line matches whatever follows.
    bool feed(std::string_view piece);
    // True: the line, complete now, matches.
    bool end_line();

  private:
    void add(std::size_t start, bool at_begin, bool at_end);
    bool feed_literal(std::string_view piece);
    void step(unsigned char byte);
    void new_turn();

    Pattern pattern_;
    std::size_t literal_state_ = 0;
    bool matched_ = false;
    std::vector<std::uint16_t> threads_, next_;  // positions that wait for a byte or for the end of the line
    std::vector<std::uint32_t> seen_;            // stamp of the last turn in which a position was added
    std::uint32_t turn_ = 0;
    std::vector<std::uint16_t> stack_;
};

}  // namespace abide
