// base/version.cc -- see the header.  CMakeLists.txt gives ABIDE_VERSION to this file.
#include "base/version.hpp"

namespace abide {

std::string_view version() {
    return ABIDE_VERSION;
}

JournalFormat journal_format() {
    return {};
}

}  // namespace abide
