// base/version.cc -- see the header.
#include "base/version.hpp"

namespace abide {

std::string_view version() {
    return "0.1.0";
}

JournalFormat journal_format() {
    return {};
}

}  // namespace abide
