// oci/console.hpp -- where a runtime hands over the master of a container's terminal (`--console-socket`).
//
// Owns the listening socket in the container's folder and at most one connection.  Believes nobody: who connects must
// be of our user, what comes must be one descriptor, the master of a terminal.  Nothing here waits.
#pragma once

#include <array>

#include "kernel/fd.hpp"

namespace abide::oci {

class Console {
  public:
    // `folder` is that of the container, which nobody else may enter.
    static Result<Console> listen(int folder);

    // To be waited for; -1 where there is none.
    [[nodiscard]] std::array<int, 2> fds() const { return {listener_.get(), connection_.get()}; }
    // Takes what is there now.  The master, once; else none.
    kernel::Fd take();

  private:
    explicit Console(kernel::Fd listener) : listener_(std::move(listener)) {}
    kernel::Fd receive();

    kernel::Fd listener_, connection_;
};

}  // namespace abide::oci
