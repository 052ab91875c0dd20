// manager/complain.hpp -- the manager's diagnostics: one line a problem on the instance's standard error, nothing else.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace abide::manager {

// "abide: TEXT" in one write, so that lines of several programs don't mix.  Control bytes are escaped.
void complain(std::string_view text);
// Bytes that complain() has written since the last call.
std::size_t take_complained();
// What must not fail did: the manager ends, and its successor goes on from the journal.  Better than to wait for ever
// for news that was never asked for.
[[noreturn]] void give_up(std::string_view why);
// Gives up when it failed.
void must(const Status& done, std::string_view what);
// "what: reason of errno; advice", as far as they are there.
std::string describe(const Error& error);

}  // namespace abide::manager
