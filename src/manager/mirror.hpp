// manager/mirror.hpp -- the journal once more, as a file in the runtime folder: for the day on which anchor, manager
// and logger are killed together and the services live on.  `abide up` begins with it then (cli/left_behind.hpp).
//
// Holds what this manager wrote; what a child appends before its exec is not in it.  What can't be written is left out:
// a mirror is whole up to its end, or not there.  Never the reason of an error.
#pragma once

#include <string_view>

#include "kernel/fd.hpp"

namespace abide::manager {

class Mirror {
  public:
    // Nothing is mirrored before.  `directory`: the runtime folder.
    void set_directory(kernel::Fd directory) { directory_ = std::move(directory); }
    // The whole, in the place of what was there.
    void replace(std::string_view image);
    void append(std::string_view batch);
    void remove();

  private:
    void lose(const Error& why);

    kernel::Fd directory_, file_;
    bool complained_ = false;
};

}  // namespace abide::manager
