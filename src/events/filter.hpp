// events/filter.hpp -- which events somebody wants to see: by type and by service.  Pure.
//
// Filters of one kind are alternatives, the two kinds hold together.  A gap passes every filter: nobody may believe to
// have seen everything who has not.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "events/line.hpp"

namespace abide::events {

// All types of docs/events.md, without the "abide." that each begins with; those of users are below "user.".
std::span<const std::string_view> known_types();

// "service.ready", "abide.service.ready", "ready" (of a service), "user.NAME": the full type.  not_found: nobody says
// such a thing, with the name that it is like.
Result<std::string> full_type(std::string_view name);

class Filter {
  public:
    // types: full ones or beginnings of them in whole words ("service", "abide.refresh", "process.exited").  services:
    // names, with * and ? for any text and any character.  Empty: all.  not_found: a type that does not exist.
    static Result<Filter> make(const std::vector<std::string>& types, std::vector<std::string> services);

    [[nodiscard]] bool passes(const Line& line) const;

  private:
    std::vector<std::string> types_, services_;
};

// Does the text match the pattern, with * and ?
bool matches_pattern(std::string_view pattern, std::string_view text);

}  // namespace abide::events
