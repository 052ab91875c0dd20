// tests/programs/next_version.cc -- the version after this one, whose journals the present one can still read.
#include "base/version.hpp"

namespace abide {

std::string_view version() {
    return "0.2.0-test";
}

JournalFormat journal_format() {
    return {.format = 2, .min_reader = 1, .min_writer = 1};
}

}  // namespace abide
