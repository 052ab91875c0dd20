// logger/escape.hpp -- makes raw output safe to show on a terminal.  Files keep the raw bytes; only a terminal needs
// this.
#pragma once

#include <string>
#include <string_view>

namespace abide::logger {

// Every C0 control byte but tab, DEL, and the C1 controls (as UTF-8 and as raw bytes) become \xNN; well-formed UTF-8 is
// kept; bytes that are not UTF-8 become \xNN too.  The result holds no byte that a terminal would obey.
std::string escape_for_terminal(std::string_view text);

}  // namespace abide::logger
