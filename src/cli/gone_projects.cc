// cli/gone_projects.cc -- see the header.
#include "cli/gone_projects.hpp"

#include <cerrno>
#include <climits>
#include <string>

#include "base/text.hpp"
#include "cli/launch.hpp"
#include "kernel/files.hpp"

namespace abide::cli {
namespace {

constexpr const char* kNote = "project";  // its content is the path of the project's folder
constexpr std::size_t kMostProjects = 10'000;

bool is_gone(const kernel::Fd& projects, const std::string& name) {
    const auto noted = kernel::read_file_beneath(projects.get(), name + "/" + kNote, PATH_MAX);
    if (!noted || !noted->starts_with('/')) return false;
    const auto status = kernel::file_status(*noted);
    return !status && status.error().err == ENOENT;
}

}  // namespace

void note_project(const Places& places) {
    if (places.mode != config::Mode::project) return;
    if (const auto record = kernel::open_directory(places.record))
        (void)kernel::replace_beneath(record->get(), kNote, places.directory);
}

void forget_gone_projects(const Places& places) {
    if (places.mode != config::Mode::project) return;
    const std::string folder = folder_of(places.record);
    const auto projects = kernel::open_directory(folder);
    if (!projects) return;
    const auto names = kernel::list_directory(projects->get(), kMostProjects);
    if (!names) return;
    for (const std::string& name : *names) {
        if (!is_gone(*projects, name)) continue;
        Places other = places;
        other.record = folder + "/" + name;
        // It may just have come back: who starts there takes the lock first.
        const auto lock = take_lock(other);
        if (lock && is_gone(*projects, name)) (void)kernel::remove_tree_beneath(projects->get(), name);
    }
}

}  // namespace abide::cli
