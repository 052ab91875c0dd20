// A member that nobody described would be lost when the manager is replaced, so the codec must refuse to compile it.
// Each bit of DESCRIBED puts one of the cases right; 7 is all of them, and compiles.
#include <optional>
#include <string>
#include <vector>

#include "model/codec.hpp"

#ifndef DESCRIBED
#define DESCRIBED 0
#endif

namespace abide::model {

struct Last {
    std::string name;
    std::optional<ExitStatus> forgotten;
    bool operator==(const Last&) const = default;
};
#if DESCRIBED & 1
BOOST_DESCRIBE_STRUCT(Last, (), (name, forgotten))
#else
BOOST_DESCRIBE_STRUCT(Last, (), (name))
#endif

struct Middle {
    std::uint32_t first = 0;
    std::uint32_t forgotten = 0;
    RunNumber run;
    bool operator==(const Middle&) const = default;
};
#if DESCRIBED & 2
BOOST_DESCRIBE_STRUCT(Middle, (), (first, forgotten, run))
#else
BOOST_DESCRIBE_STRUCT(Middle, (), (first, run))
#endif

struct SameTypes {
    std::string first, forgotten, last;
    bool operator==(const SameTypes&) const = default;
};
#if DESCRIBED & 4
BOOST_DESCRIBE_STRUCT(SameTypes, (), (first, forgotten, last))
#else
BOOST_DESCRIBE_STRUCT(SameTypes, (), (first, last))
#endif

std::string use_all() {
    std::string text;
    encode(text, Last{});
    encode(text, Middle{});
    encode(text, SameTypes{});
    return text;
}

}  // namespace abide::model
