// programs/manager_main.cc -- the manager: greets the anchor, reads the journal, and keeps the services as they should
// be.
#include "programs/manager_main.hpp"

#include <exception>
#include <memory>
#include <string>

#include "kernel/fd.hpp"
#include "kernel/memory.hpp"
#include "manager/complain.hpp"
#include "manager/loop.hpp"
#include "manager/rehearse.hpp"
#include "protocol/anchor.hpp"

using namespace abide;

int manager_main(int argc, char** argv) {
    kernel::keep_freed_memory();  // soon after a burst the loop gives it back (Loop::give_back_memory)
    try {
        if (argc > 1 && argv[1] == control::kRehearse) return manager::run_rehearsal();
        kernel::die_without_memory("abide-manager");
        // 1. The socket that the anchor left for us, out of the way of what children will get.
        if (!kernel::is_open(anchor::kManagerSocket)) {
            manager::complain("not started by an anchor; `abide up` starts all there is");
            return 1;
        }
        kernel::Fd socket(anchor::kManagerSocket);
        if (Status raised = kernel::raise_above_staging(socket); !raised) {
            manager::complain("not started by an anchor: " + manager::describe(raised.error()));
            return 1;
        }
        // 2. The parts of the manager.
        Result<std::unique_ptr<manager::Loop>> loop = manager::Loop::create(std::move(socket));
        if (!loop) {
            manager::complain(manager::describe(loop.error()));
            return 1;
        }
        // 3. What the predecessor knew, compared with the kernel.
        if (Status started = (*loop)->start(); !started) {
            manager::complain("the manager can't start: " + manager::describe(started.error()));
            if ((*loop)->on_probation() || (*loop)->leave_to_next(started.error())) return 1;
            return (*loop)->rescue(manager::describe(started.error()));
        }
        // 4. Turn after turn, until the instance ends.
        return (*loop)->run();
    } catch (const std::exception& error) {
        manager::complain(std::string("the manager ends: ") + error.what());
        return 1;
    }
}
