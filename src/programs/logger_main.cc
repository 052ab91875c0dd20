// programs/logger_main.cc -- the logger's story: take the manager's descriptor, read pipes until told to stop.
#include "programs/logger_main.hpp"

#include <memory>
#include <string>

#include "fmt/format.h"
#include "kernel/fd.hpp"
#include "kernel/memory.hpp"
#include "kernel/rlimit.hpp"
#include "logger/logger.hpp"
#include "protocol/log.hpp"

namespace {

constexpr int kStandardError = 2;

int give_up(const std::string& why) {
    const std::string line = "abide-logger: " + why + "\n";
    (void)abide::kernel::write_some(kStandardError, line.data(), line.size());
    return 1;
}
int give_up(const abide::Error& error) {
    return give_up(fmt::format("{} (error {})", error.what, error.err));
}

}  // namespace

int logger_main(int /*argc*/, char** /*argv*/) {
    abide::kernel::die_without_memory("abide-logger");
    // 1. The manager's pair is ours alone: no child ever gets it.
    if (!abide::kernel::is_open(abide::protocol::log::kLoggerControlFd))
        return give_up("not started by a manager; `abide up` starts all there is");
    abide::kernel::Fd control(abide::protocol::log::kLoggerControlFd);
    if (const abide::Status ok = abide::kernel::set_cloexec(control.get()); !ok) return give_up(ok.error());
    // 2. One descriptor a pipe: as many as we are allowed.
    if (const auto before = abide::kernel::raise_descriptor_limit(); !before) return give_up(before.error());
    // 3. Read, write, rotate, until the manager says so, or it and all services are gone.
    auto logger = abide::logger::Logger::create(std::move(control), kStandardError);
    if (!logger) return give_up(logger.error());
    const abide::Status ran = (*logger)->run();
    return ran ? 0 : give_up(ran.error());
}
