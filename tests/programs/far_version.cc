// tests/programs/far_version.cc -- a much later version, whose journals the present one must refuse.
#include "base/version.hpp"

namespace abide {

std::string_view version() {
    return "3.0.0-test";
}

JournalFormat journal_format() {
    return {.format = 3, .min_reader = 3, .min_writer = 3};
}

}  // namespace abide
