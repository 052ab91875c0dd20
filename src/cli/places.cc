// cli/places.cc -- see places.hpp.
#include "cli/places.hpp"

#include <cerrno>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "kernel/files.hpp"
#include "kernel/program.hpp"
#include "kernel/users.hpp"
#include "model/codec.hpp"

namespace abide::cli {

namespace {

constexpr std::uint32_t kGroupWrites = 020, kOthersWrite = 002, kSticky = 01000;
constexpr std::size_t kPathBytes = 4096;

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

std::string joined(const std::string& directory, std::string_view name) {
    return (directory == "/" ? "" : directory) + "/" + std::string(name);
}

// Only has to differ for the projects of one user, and to be the same tomorrow.
std::string hash_of(std::string_view text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    const std::uint64_t hash = model::fnv1a(text);
    std::string out;
    for (int shift = 60; shift >= 16; shift -= 4) out += kHex[(hash >> shift) & 15];
    return out;
}

// The last part of a path, with what a name can't have as '-'.
std::string name_of_folder(const std::string& directory) {
    std::string out;
    for (const char c : last_component(directory)) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        const bool inner = !out.empty() && (c == '_' || c == '.' || c == '-');
        out += letter || inner ? c : '-';
    }
    if (out.starts_with('-')) out.erase(0, out.find_first_not_of('-'));
    if (out.size() > limits::kNameBytes) out.resize(limits::kNameBytes);
    return out.empty() ? "project" : out;
}

std::unexpected<Error> unsafe(const std::string& path, std::string_view why) {
    return fail(ErrorKind::refused, path + " " + std::string(why),
                "if you trust it, name its folder with -C, or correct its owner and mode");
}

// Somebody else could have planted or could change what was found at `file`.
Status check_trust(const std::string& file, std::uint32_t uid) {
    const auto of_file = kernel::file_status(file);
    if (!of_file) return std::unexpected(of_file.error());
    if (of_file->is_symlink) return unsafe(file, "is a symbolic link");
    if (of_file->uid != uid && of_file->uid != 0) return unsafe(file, "belongs to another user");
    if ((of_file->mode & (kGroupWrites | kOthersWrite)) != 0) return unsafe(file, "is writable by others");
    for (std::string folder = parent_of(file);; folder = parent_of(folder)) {
        const auto status = kernel::file_status(folder);
        if (!status) return std::unexpected(status.error());
        if (status->uid != uid && status->uid != 0) return unsafe(folder, "belongs to another user");
        // A sticky folder above lets others add names, but not replace ours; the project's own folder must not even do
        // that.
        const bool above = folder != parent_of(file);
        const bool writable = (status->mode & (kGroupWrites | kOthersWrite)) != 0;
        if (writable && !(above && (status->mode & kSticky) != 0)) return unsafe(folder, "is writable by others");
        if (folder == "/") return {};
    }
}

bool exists(const std::string& path) {
    return kernel::file_status(path).has_value();
}

Places project_places(const std::string& directory, const Surroundings& around) {
    Places out;
    out.mode = config::Mode::project;
    out.directory = out.start_directory = directory;
    out.configuration = joined(directory, "abide.toml");
    out.name = name_of_folder(directory);
    out.record = base_folder(around) + "/projects/" + out.name + "-" + hash_of(directory);
    out.log = joined(directory, ".abide/log");
    out.apps = joined(directory, ".abide/apps");
    move_runtime(out, out.record);
    return out;
}

Places user_places(const Surroundings& around) {
    Places out;
    out.mode = config::Mode::user;
    out.directory = joined(around.home, ".config/abide");
    out.configuration = out.directory + "/abide.toml";
    out.name = "user";
    out.start_directory = around.home;
    // BASE of root is the system's own runtime folder.
    out.record = around.uid == 0 ? base_folder(around) + "/user" : base_folder(around);
    out.log = joined(around.home, ".local/state/abide/log");
    out.apps = joined(around.home, ".local/share/abide/apps");
    move_runtime(out, out.record);
    return out;
}

Places system_places(const Surroundings& around) {
    Places out;
    out.mode = config::Mode::system;
    out.directory = around.etc + "/abide";
    out.configuration = out.directory + "/abide.toml";
    out.name = "system";
    out.start_directory = "/";
    out.record = around.run + "/abide";
    out.log = around.var + "/log/abide";
    out.apps = around.var + "/lib/abide/apps";
    move_runtime(out, out.record);
    return out;
}

// The nearest abide.toml from here upward; nullopt: none.
std::optional<std::string> nearest(const std::string& from) {
    for (std::string folder = from;; folder = parent_of(folder)) {
        const std::string file = joined(folder, "abide.toml");
        if (exists(file)) return file;
        if (folder == "/") return std::nullopt;
    }
}

Result<Places> chosen(const Choice& choice, const Surroundings& around) {
    const int given = !choice.directory.empty() + choice.user + choice.system;
    if (given > 1) return fail(ErrorKind::usage, "-C, --user and --system exclude each other", "give one of them");
    if (choice.system) return system_places(around);
    if (choice.user) return user_places(around);
    if (!choice.directory.empty()) {
        const auto real = kernel::real_path(choice.directory);
        if (!real && (real.error().err == ENOENT || real.error().err == ENOTDIR))
            return fail(ErrorKind::usage, "-C " + choice.directory + ": there is no such folder");
        if (!real) return std::unexpected(real.error());
        const auto status = kernel::file_status(*real);
        if (!status || !status->is_directory)
            return fail(ErrorKind::usage, "-C " + choice.directory + ": not a folder");
        return project_places(*real, around);
    }
    if (const auto file = nearest(around.current_directory)) {
        if (const Status trusted = check_trust(*file, around.uid); !trusted) return std::unexpected(trusted.error());
        return project_places(parent_of(*file), around);
    }
    if (choice.must_exist) {
        return fail(ErrorKind::usage, "there is no abide.toml in " + around.current_directory + " or above",
                    "name a project with -C DIR, or give --user or --system");
    }
    return around.uid == 0 ? system_places(around) : user_places(around);
}

}  // namespace

void move_runtime(Places& places, const std::string& runtime) {
    places.runtime = runtime;
    if (!places.forced_socket) places.control = runtime + "/control";
    places.events = runtime + "/events";
}

std::string base_folder(const Surroundings& around) {
    if (around.uid == 0) return around.run + "/abide";
    const std::string number = std::to_string(around.uid);
    const std::string own = around.run + "/user/" + number;
    const auto status = kernel::file_status(own);
    if (status && status->is_directory && status->uid == around.uid && (status->mode & 077) == 0) return own + "/abide";
    return around.tmp + "/abide-" + number;
}

Result<Surroundings> surroundings() {
    Surroundings out;
    out.uid = kernel::effective_uid();
    auto current = kernel::current_directory();
    if (!current) return std::unexpected(current.error());
    out.current_directory = std::move(*current);
    const auto user = kernel::find_user(std::to_string(out.uid));
    out.home = user && !user->home.empty() ? user->home : kernel::environment_value("HOME").value_or("/");
    if (const auto socket = kernel::environment_value("ABIDE_SOCKET"); socket && !socket->empty()) out.socket = *socket;
    return out;
}

Result<Places> find_places(const Choice& choice, const Surroundings& around) {
    Choice effective = choice;
    if (around.socket) effective.must_exist = false;
    auto places = chosen(effective, around);
    // With a socket named, what lies around here decides nothing.
    const bool unsafe_here = !places && places.error().kind == ErrorKind::refused;
    if (unsafe_here && around.socket) places = around.uid == 0 ? system_places(around) : user_places(around);
    if (!places) return places;
    if (around.socket) {
        places->forced_socket = true;
        places->control = *around.socket;
    } else if (!choice.runtime.empty()) {
        move_runtime(*places, choice.runtime.starts_with('/') ? choice.runtime
                                                              : joined(around.current_directory, choice.runtime));
    } else if (const auto recorded = kernel::read_file(places->location_file(), kPathBytes)) {
        const std::string path(trim(*recorded));
        if (path.starts_with('/')) move_runtime(*places, path);
    }
    return places;
}

}  // namespace abide::cli
