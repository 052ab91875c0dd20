// kernel/folders_ahead.hpp -- folders that somebody is about to need, made meanwhile.
//
// Theory.  A control group costs 30 us to make, and where hundreds are made one after the other the other processors
// stand by.  So a side child (side_child.hpp) makes them while we go on.  It has a descriptor table of its own with
// nothing in it but the parent folder.
//
// While it makes one, whoever looks into the parent folder waits for it, and who is born into a control group waits
// too: a start beside it took three times as long.  So it ends as soon as somebody says that he makes his own now.
// And after each it gives way to who is woken beside it (sched_yield(2)).
//
// Invariant: nobody relies on it.  A folder that it has not made, or could not, is made by who needs it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernel/fd.hpp"
#include "kernel/side_child.hpp"

namespace abide::kernel {

class FoldersAhead {
  public:
    // In this order; existing ones are fine.  Null when there is nothing to do, or no child to be had.
    static std::unique_ptr<FoldersAhead> begin(Fd parent, std::vector<std::string> names);
    // Ends the child, after the folder that it is just making.
    ~FoldersAhead();
    FoldersAhead(const FoldersAhead&) = delete;
    FoldersAhead& operator=(const FoldersAhead&) = delete;

    // Ends what others make ahead in this folder, as long as our open file description of it lives.
    static void stand_back(int parent);

    // All that the child reads.
    struct Plan {
        int parent = -1;
        const char* const* names = nullptr;  // ended by null
        std::uint32_t stop = 0;
    };

  private:
    FoldersAhead(Fd parent, std::vector<std::string> names);

    Fd parent_;
    std::vector<std::string> names_;
    std::vector<const char*> texts_;
    Plan plan_;
    SideChild child_;
};

}  // namespace abide::kernel
