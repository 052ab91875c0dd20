// cli/gone_projects.hpp -- what projects that are gone would leave in /run for ever: event logs that nobody can ask
// for.
//
// A project's folder of records outlives its instance, since its events may be read until the machine goes down.  So
// an instance that has ended leaves a word there where its project is, and whoever ends one looks whether the others
// are still in their places.  Nothing of a project that is there, or whose instance runs, is touched.
#pragma once

#include "cli/places.hpp"

namespace abide::cli {

// With the lock of its instance in the caller's hands, which has ended.
void note_project(const Places& places);
// Those beside this one, of the same user.  What can't be taken away stays.
void forget_gone_projects(const Places& places);

}  // namespace abide::cli
