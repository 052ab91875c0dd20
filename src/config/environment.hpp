// config/environment.hpp -- files of KEY=VALUE lines.
//
// One assignment a line; blank lines and lines that begin with # or ; are nothing; `export ` before a name is allowed.
// Blanks around a plain value are dropped.  In single quotes all is literal; in double quotes \n \t \r \\ \" \$ and \`
// are escapes.  A quoted value may have several lines.  Nothing is expanded, and a # inside a plain value belongs to
// it.
#pragma once

#include <string_view>
#include <vector>

#include "config/report.hpp"
#include "model/spec.hpp"

namespace abide::config {

// Appends the assignments, values literally as meant.  Errors go to the report; the rest is read nevertheless.
void parse_environment(std::string_view text, std::uint32_t file, Report& report,
                       std::vector<model::Variable>& variables);

}  // namespace abide::config
