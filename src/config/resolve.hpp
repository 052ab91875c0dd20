// config/resolve.hpp -- names: instances of templates, provided names, dependencies on what doesn't exist.
#pragma once

#include <deque>

#include "config/report.hpp"
#include "config/tables.hpp"

namespace abide::config {

// Adds the instances that are listed or depended on, and replaces provided names by their providers.  An unknown name
// is an error unless `open`, when others may define it.
void resolve(std::deque<Draft>& drafts, Report& report, bool open);

// The bytes of all its texts: what bounds a specification.
std::size_t text_bytes(const model::ServiceSpec& spec);

}  // namespace abide::config
