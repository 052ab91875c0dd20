// cli/left_behind.cc -- see left_behind.hpp.
#include "cli/left_behind.hpp"

#include <fcntl.h>

#include "journal/reader.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/users.hpp"
#include "protocol/anchor.hpp"

namespace abide::cli {

namespace {

constexpr std::size_t kImageBytes = std::size_t{1} << 30;
constexpr std::uint32_t kOthersWrite = 022;

std::optional<std::string> read_mirror(const Places& places) {
    const auto runtime = kernel::open_directory(places.runtime);
    if (!runtime) return std::nullopt;
    const auto file = kernel::open_beneath(runtime->get(), anchor::kMirrorName, O_RDONLY);
    if (!file) return std::nullopt;
    const auto status = kernel::fd_status(file->get());
    if (!status || !status->is_regular || status->uid != kernel::effective_uid() || (status->mode & kOthersWrite) != 0)
        return std::nullopt;
    auto image = kernel::read_all(file->get(), kImageBytes);
    return image ? std::optional(std::move(*image)) : std::nullopt;
}

std::size_t living(const std::vector<model::Service>& services) {
    std::size_t count = 0;
    for (const model::Service& service : services) {
        for (const model::Run& run : service.runs) {
            for (const model::Process& process : run.processes) {
                if (process.pid <= 0 || process.state == model::ProcessState::exited) continue;
                const auto pidfd = kernel::open_checked(process.pid, process.start_ticks);
                if (pidfd && !kernel::has_ended(pidfd->get())) ++count;
            }
        }
    }
    return count;
}

}  // namespace

std::optional<LeftBehind> find_left_behind(const Places& places) {
    std::optional<std::string> image = read_mirror(places);
    if (!image) return std::nullopt;
    const journal::Recovered last = journal::read(*image);
    const auto boot = kernel::boot_id();
    if (last.refused || !last.instance || !last.boot || !boot || last.boot->boot_id != *boot) return std::nullopt;
    LeftBehind found{std::move(*image), living(last.services)};
    if (found.processes == 0) return std::nullopt;
    return found;
}

}  // namespace abide::cli
