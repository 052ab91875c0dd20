// Patterns of `ready.log`: any text is refused or becomes a program within its bound, and a match does not depend on
// how the line comes in.  The input is a pattern, a newline, and the line; the first byte says how the line is cut.
#include "logger/pattern.hpp"

#include "fuzz.hpp"

namespace {

using namespace abide;
using fuzz::demand;

bool matches(const logger::Pattern& pattern, std::string_view line, std::size_t piece) {
    logger::Matcher matcher(pattern);
    matcher.begin_line();
    bool early = false;
    for (std::size_t at = 0; at < line.size(); at += piece) {
        const bool now = matcher.feed(line.substr(at, piece));
        demand(now || !early, "a match is taken back");
        early = now;
    }
    const bool at_end = matcher.end_line();
    demand(at_end || !early, "a match is taken back at the end of the line");
    return at_end;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 4096) return 0;
    fuzz::Bytes bytes(data, size);
    const std::size_t piece = 1 + bytes.byte() % 16;
    const std::string_view rest = bytes.rest();
    const std::size_t newline = rest.find('\n');
    const std::string_view text = rest.substr(0, newline);
    const std::string_view line = newline == std::string_view::npos ? text : rest.substr(newline + 1);
    if (const auto literal = logger::Pattern::literal(text)) {
        const bool found = matches(*literal, line, piece);
        demand(found == (line.find(text) != std::string_view::npos),
               "a literal is found where it is not, or not found");
        demand(found == matches(*literal, line, line.size() + 1), "the cut decides about a literal");
    }
    if (const auto regular = logger::Pattern::regular(text))
        demand(matches(*regular, line, piece) == matches(*regular, line, line.size() + 1), "the cut decides");
    return 0;
}
