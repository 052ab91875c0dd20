// abide/monitor/router.hpp -- one handler for each class of processes, as an HTTP mux has one for each path.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <abide/monitor/process.hpp>

namespace abide {

/// Patterns of labels with their handlers.  A pattern that ends with '*' takes every label that begins with what stands
/// before; any other takes the label that equals it.  The longest match wins, an exact one before all.  A value.
///
///     abide::router r;
///     r.on("worker/*", [](const abide::exit_event& e) { ... });
///     r.on("*", [](const abide::exit_event& e) { ... });      // everything else
///     m.route(r);
class router {
  public:
    /// The last one said for a pattern counts.
    ABIDE_API router& on(std::string pattern, exit_handler handler);
    /// The handler for a label, or nullptr; valid until the next on().
    [[nodiscard]] ABIDE_API const exit_handler* find(std::string_view label) const;
    /// Calls the handler; false when there is none.
    ABIDE_API bool operator()(const exit_event& event) const;

  private:
    std::vector<std::pair<std::string, exit_handler>> routes_;  // by length of the literal part, longest first
};

}  // namespace abide
