// model/signal.hpp -- signal numbers and their names, by a table of our own: a journal must read the same everywhere.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace abide::model {

inline constexpr int kKill = 9;  // SIGKILL

// "TERM", "SIGTERM", "15" and "RTMIN+3" are accepted; nullopt for anything else.  Linux numbers (signal(7)).
std::optional<int> parse_signal(std::string_view text);
// "TERM" for 15, "RTMIN+3" for 37, "65" for what has no name.
std::string signal_name(int number);

}  // namespace abide::model
