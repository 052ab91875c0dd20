// manager/rehearse.hpp -- what this program would make of a journal, without doing anything.
//
// Knows no descriptor but those that it is given.  Invariant: nothing is changed and nobody is signalled; two programs
// that agree here go on from the same state and begin with the same decisions.
#pragma once

#include <string>
#include <string_view>

#include "protocol/control.hpp"

namespace abide::manager {

control::RehearsalReport rehearse(std::string_view image);

// Where the program that rehearses finds its copy of the journal; its report goes to standard output.
inline constexpr int kRehearsalJournal = 3;
// The whole of `abide-manager --rehearse`: the exit status.
int run_rehearsal();

// The first thing in which the report of another program differs from ours, in words; empty: nothing.  What only the
// other one knows is no difference.
std::string first_difference(const std::string& ours, const std::string& theirs);
// The same where nothing is known but which services live: it must know them, and not begin with starting one of them.
std::string first_flaw(const control::RehearsalReport& living, const std::string& theirs);

}  // namespace abide::manager
