// config/expand.hpp -- `${NAME}`, `${NAME:-default}` and `$$` in texts of a configuration.
//
// The loader only checks the syntax; the manager expands when a process is spawned, from that process's environment.
// One pass, no nesting: what a value contains is never expanded again.  A `$` before anything but `{` and `$` stands
// for itself.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/spec.hpp"

namespace abide::config {

// The value of a variable, or nullopt when it is not set.  The view must live until expand returns.
using Lookup = std::function<std::optional<std::string_view>(std::string_view name)>;

// Replaces variables.  Errors (usage): a bad reference; a variable that is not set and has no default; a result longer
// than limits::kArgumentBytes.  `${NAME:-default}` gives the default when NAME is unset or empty.
Result<std::string> expand(std::string_view text, const Lookup& lookup);

// Is every reference well formed?  The error's text names the place by what stands there.
Status check_references(std::string_view text);

// Writes `$` so that expand gives it back: for values that are meant literally (environment files).
std::string escape_references(std::string_view text);

// The environment of a process: what it shares with all others, borrowed, and its own variables, which hide those of
// the same name.
struct Environment {
    const std::vector<model::Variable>* inherited = nullptr;  // sorted by name, each name once
    std::vector<model::Variable> own;                         // each name once

    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
    // Is the inherited variable of this name hidden?
    [[nodiscard]] bool hides(std::string_view name) const;
};

// `assigned` in order, each value expanded from what stands before it and from `inherited`, which must outlive the
// result. A later assignment of a name replaces an earlier one.
Result<Environment> expand_environment(const std::vector<model::Variable>& inherited,
                                       const std::vector<model::Variable>& assigned);

// Every argument expanded.
Result<std::vector<std::string>> expand_command(const model::Command& command, const Environment& environment);

// A text (probe target, socket address) expanded.
Result<std::string> expand_from(std::string_view text, const Environment& environment);

}  // namespace abide::config
