// base/version.hpp -- which version this program is, and which journal format it writes.
//
// One place, so that a test can link the same program as another version.  The version is that of the project in
// CMakeLists.txt.
#pragma once

#include <cstdint>
#include <string_view>

namespace abide {

std::string_view version();

// A reader older than `min_reader` must not use what this program writes; one older than `min_writer` may, but must not
// append to it.
struct JournalFormat {
    std::uint32_t format = 1, min_reader = 1, min_writer = 1;
};
JournalFormat journal_format();

}  // namespace abide
