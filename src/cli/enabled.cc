// cli/enabled.cc -- see enabled.hpp.
#include "cli/enabled.hpp"

#include <cerrno>

#include "base/text.hpp"
#include "kernel/file_writing.hpp"
#include "kernel/files.hpp"

namespace abide::cli {

namespace {

constexpr std::size_t kFileBytes = 4u << 20;

std::string folder_of(const Places& places) {
    return abide::folder_of(places.apps);
}

}  // namespace

Result<EnabledMap> read_enabled(const Places& places) {
    EnabledMap out;
    const std::string path = folder_of(places) + "/enabled";
    const auto text = kernel::read_file(path, kFileBytes);
    if (!text) {
        if (text.error().err == ENOENT || text.error().err == ENOTDIR) return out;
        return std::unexpected(text.error());
    }
    for (const std::string_view line : split(*text, '\n')) {
        if (line.empty()) continue;
        const std::string_view name = line.substr(1);
        if ((line[0] != '+' && line[0] != '-') || !is_service_name(name)) {
            return fail(ErrorKind::failed, path + " has a line that is neither +NAME nor -NAME",
                        "correct or remove the file");
        }
        out[std::string(name)] = line[0] == '+';
    }
    return out;
}

Status record_enabled(const Places& places, const std::vector<std::string>& names, bool enabled) {
    auto all = read_enabled(places);
    if (!all) return std::unexpected(all.error());
    for (const std::string& name : names) (*all)[name] = enabled;
    std::string text;
    for (const auto& [name, on] : *all) text += (on ? "+" : "-") + name + "\n";
    if (const Status made = kernel::make_directories(folder_of(places)); !made) return made;
    return kernel::write_file_atomic(folder_of(places) + "/enabled", text);
}

}  // namespace abide::cli
