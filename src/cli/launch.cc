// cli/launch.cc -- see launch.hpp.
#include "cli/launch.hpp"

#include <fcntl.h>

#include <cerrno>
#include <optional>

#include "base/text.hpp"
#include "cli/gone_projects.hpp"
#include "cli/seed.hpp"
#include "kernel/cgroup.hpp"
#include "kernel/clock.hpp"
#include "kernel/file_writing.hpp"
#include "kernel/event_watch.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"
#include "kernel/socket.hpp"
#include "kernel/spawn.hpp"
#include "kernel/users.hpp"
#include "protocol/anchor.hpp"
#include "protocol/control.hpp"

namespace abide::cli {

namespace {

constexpr int kFirstTarget = 10;  // of descriptors handed to the anchor; 3 is the manager's socket there
constexpr std::uint32_t kAnybodyWrites = 022;
constexpr int kLockAttempts = 8;
constexpr int kLogDepth = 2;  // of the folder of logs: a service's folder, its files

bool is_program(const std::string& path) {
    const auto status = kernel::file_status(path);
    return status && status->is_regular && (status->mode & 0111) != 0;
}

// A folder for us: made, or there already and ours alone to write in.
Status own_folder(const std::string& path, mode_t mode) {
    if (const Status made = kernel::make_directories(path, mode); !made) return made;
    const auto status = kernel::file_status(path);
    if (!status) return std::unexpected(status.error());
    const bool ours = status->is_directory && status->uid == kernel::effective_uid();
    if (ours && (status->mode & kAnybodyWrites) == 0) return {};
    return fail(ErrorKind::refused,
                path + (ours ? " is writable by others" : " belongs to somebody else, or is no folder"),
                "remove it, or choose another place with --runtime");
}

}  // namespace

namespace {

// A folder and all that is in it.  S_ISGID: what is made in it later is of that group too.
Status give_to_group(const kernel::Fd& folder, std::uint32_t group, bool shared, int depth = kLogDepth) {
    const unsigned folder_mode = shared ? S_ISGID | 0750 : 0750;
    const auto names = kernel::list_directory(folder.get());
    if (!names) return std::unexpected(names.error());
    for (const std::string& name : *names) {
        const auto entry = kernel::open_beneath(folder.get(), name, O_RDONLY | O_NONBLOCK);
        const auto status = entry ? kernel::fd_status(entry->get()) : std::unexpected(entry.error());
        if (!status) continue;  // a link, or gone meanwhile
        Status given;
        if (status->is_directory && depth > 0) given = give_to_group(*entry, group, shared, depth - 1);
        if (status->is_regular) given = kernel::set_group_and_mode(entry->get(), group, status->mode & 0777);
        if (!given) return given;
    }
    return kernel::set_group_and_mode(folder.get(), group, folder_mode);
}

}  // namespace

Status share_log(const Places& places, const model::InstanceSpec& spec) {
    if (places.log.empty()) return {};
    std::uint32_t group = kernel::effective_gid();
    if (spec.shared()) {
        const auto found = kernel::find_group(spec.read.empty() ? spec.operate.front() : spec.read.front());
        if (!found) return std::unexpected(found.error());
        group = *found;
    }
    // `.abide` of a project is ours too; the folders above the others are not.
    if (spec.shared() && places.mode == config::Mode::project) {
        if (const Status shared = kernel::share_directory(folder_of(places.log), group); !shared) return shared;
    }
    const auto folder = kernel::open_directory(places.log);
    if (!folder) return std::unexpected(folder.error());
    return give_to_group(*folder, group, spec.shared());
}

namespace {

std::string minimal_environment() {
    const std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    return path + '\0' + "LANG=C.UTF-8" + '\0';
}

std::string own_environment() {
    std::string out;
    for (const std::string& one : kernel::environment()) out += one + '\0';
    return out;
}

// When it began, and what it draws from.
struct Birth {
    Now now;
    std::uint64_t random = 0;
};

Result<Birth> give_birth() {
    Birth birth{kernel::now()};
    if (const Status drawn = kernel::random_bytes(&birth.random, sizeof birth.random); !drawn)
        return std::unexpected(drawn.error());
    birth.random |= 1;
    return birth;
}

Result<std::string> journal_of(const Places& places, Wishes& wishes, EnabledMap enabled, const Birth& birth,
                               ReservingIds& ids) {
    Seed seed;
    seed.configuration = std::move(wishes.configuration);
    seed.chosen = std::move(wishes.chosen);
    seed.enabled = std::move(enabled);
    seed.now = birth.now;
    seed.random = birth.random;
    const auto boot = kernel::boot_id();
    if (!boot) return std::unexpected(boot.error());
    seed.boot = {*boot, seed.now.wall, seed.now.boot, places.runtime,
                 kernel::cgroup_of(kernel::own_pid()).value_or(std::string())};
    seed.events = [&ids] { return ids.finish(); };
    return seed_journal(std::move(seed));
}

// The runtime folder, and the word where it is when that isn't where every shell looks.
Status make_runtime(const Places& places, const model::InstanceSpec& spec) {
    if (const Status made = own_folder(places.runtime, control::folder_mode(spec.shared(), kernel::effective_uid()));
        !made)
        return made;
    for (const char* name : {"notify", "events"}) {
        const std::string path = places.runtime + "/" + name;
        if (const auto there = kernel::file_status(path); there && !there->is_directory)
            return fail(ErrorKind::refused, path + " is no folder", "remove it");
    }
    if (places.runtime != places.record)
        return kernel::write_file_atomic(places.location_file(), places.runtime + "\n", 0644);
    const auto record = kernel::open_directory(places.record);
    if (!record) return std::unexpected(record.error());
    (void)kernel::unlink_beneath(record->get(), "location");  // there is none, usually
    return {};
}

Result<kernel::Fd> memfd(const char* name, std::string_view content) {
    return kernel::make_memfd(name, content);
}

// Who is started first, as far as that is plain to see: what they pull up is left out.
std::vector<std::string> first_services(const Wishes& wishes, const EnabledMap& enabled) {
    if (!wishes.chosen.empty()) return wishes.chosen;
    std::vector<std::string> names;
    for (const model::ServiceSpec& spec : wishes.configuration.services) {
        const auto said = enabled.find(spec.name);
        const bool starts = said != enabled.end() ? said->second : spec.autostart;
        if (starts && !spec.is_template && spec.kind != model::Kind::group) names.push_back(spec.name);
    }
    return names;
}

// The leaf for the anchor, and for the manager the folder that the tree lies in.  Where we may not write there is none;
// the manager finds out for itself and says why.
Status prepare_cgroup(const Places& places, const std::vector<std::string>& services, Prepared& out) {
    auto tree = kernel::CgroupTree::create(std::string(last_component(places.runtime)));
    if (!tree || !kernel::open_beneath(tree->home().get(), "cgroup.procs", O_WRONLY)) return {};
    auto home = tree->home().duplicate();
    if (!home) return std::unexpected(home.error());
    auto leaf = tree->own_leaf().duplicate();
    if (!leaf) return std::unexpected(leaf.error());
    out.keys.emplace_back(static_cast<std::uint64_t>(anchor::Key::cgroup), std::move(*home));
    out.cgroup = std::move(*leaf);
    constexpr std::uint64_t kFirstRun = 1;
    out.groups = tree->make_leaves_ahead(services, kernel::run_leaf_name(kFirstRun));
    return {};
}

std::vector<std::string> anchor_arguments(const Prepared& prepared, std::vector<std::pair<int, int>>& descriptors) {
    std::vector<std::string> words{anchor::kAnchorName};
    int target = kFirstTarget;
    descriptors.emplace_back(prepared.manager_program.get(), target);
    words.push_back("--manager=" + std::to_string(target++));
    for (const auto& [key, fd] : prepared.keys) {
        descriptors.emplace_back(fd.get(), target);
        words.push_back("--key=" + std::to_string(key) + "=" + std::to_string(target++));
    }
    words.emplace_back("--");
    words.push_back(prepared.instance);
    return words;
}

// Waits for the exec of the one child of this spawner.
Result<Anchor> started(kernel::Spawner& spawner, const std::string& what) {
    Anchor child;
    for (;;) {
        for (kernel::SpawnEvent& event : spawner.drain()) {
            if (event.kind == kernel::SpawnEventKind::started) child = {std::move(event.pidfd), event.pid, nullptr};
            if (event.kind == kernel::SpawnEventKind::executed) return child;
            if (event.kind == kernel::SpawnEventKind::failed) {
                return fail_errno(event.err,
                                  "can't start " + what + " (" + std::string(spawn_stage_name(event.stage)) + ")");
            }
        }
        const int fd = spawner.fd();
        if (const auto waited = kernel::wait_readable({&fd, 1}, kNever); !waited)
            return std::unexpected(waited.error());
    }
}

}  // namespace

Result<Programs> find_programs() {
    const auto self = kernel::program_path();
    if (!self) return std::unexpected(self.error());
    Programs out;
    out.manager = *self;
    const std::string here = folder_of(*self);
    for (const std::string& candidate : {here + "/abide", folder_of(folder_of(here)) + "/bin/abide"}) {
        if (out.abide.empty() && is_program(candidate)) out.abide = candidate;
    }
    if (is_program(here + "/abide-hold")) out.hold = here + "/abide-hold";
    if (out.abide.empty()) {
        return fail(ErrorKind::failed, "the program `abide` is neither in " + here + " nor in ../../bin from there",
                    "the two programs are installed together");
    }
    return out;
}

Result<kernel::Fd> take_lock(const Places& places) {
    if (const Status made = own_folder(places.record, control::folder_mode(false, kernel::effective_uid())); !made)
        return std::unexpected(made.error());
    for (int attempt = 0; attempt < kLockAttempts; ++attempt) {
        auto lock = kernel::open_file(places.lock_file(), O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
        if (!lock) return lock;
        if (const Status locked = kernel::lock_exclusive(lock->get()); !locked) return std::unexpected(locked.error());
        // Another caller's tidy() may have taken the file away between the two calls: then this lock says nothing.
        const auto held = kernel::fd_status(lock->get());
        const auto named = kernel::file_status(places.lock_file());
        if (held && named && held->inode == named->inode && held->device == named->device) return lock;
    }
    return fail(ErrorKind::refused, places.lock_file() + " is taken away again and again", "try again");
}

Result<Prepared> prepare(Places places, kernel::Fd lock, Wishes wishes) {
    Prepared out;
    auto programs = find_programs();
    if (!programs) return std::unexpected(programs.error());
    out.programs = std::move(*programs);
    out.instance = wishes.configuration.instance.name;
    const model::InstanceSpec spec = wishes.configuration.instance;
    if (const Status made = make_runtime(places, spec); !made) return std::unexpected(made.error());
    // A read-only project has no log files: what services say goes where the instance's own output goes.
    if (!kernel::make_directories(places.log, 0750) || !kernel::open_directory(places.log)) places.log.clear();
    if (const Status shared = spec.shared() ? share_log(places, spec) : Status{}; !shared)
        out.warnings.push_back("abide: warning: the groups of [control] can't read the log files: " +
                               shared.error().what);
    const bool begins = wishes.left_behind.empty();
    const auto birth = give_birth();
    if (!birth) return std::unexpected(birth.error());
    // Before all else that takes time: the disk works meanwhile.
    std::optional<ReservingIds> ids;
    if (begins) ids.emplace(places, birth->now.wall, birth->random);
    auto enabled = read_enabled(places);
    if (!enabled) return std::unexpected(enabled.error());
    const auto services = begins ? first_services(wishes, *enabled) : std::vector<std::string>{};
    if (const Status made = prepare_cgroup(places, services, out); !made) return std::unexpected(made.error());
    const control::WhereReply where{
        places.configuration, places.runtime, places.control, places.events, places.log, places.apps, 0, 0, 0};
    const auto keep = [&](anchor::Key key, Result<kernel::Fd> fd) -> Status {
        if (!fd) return std::unexpected(fd.error());
        out.keys.emplace_back(static_cast<std::uint64_t>(key), std::move(*fd));
        return {};
    };
    const std::string environment = wishes.whole_environment ? own_environment() : minimal_environment();
    using anchor::Key;
    Status kept = keep(Key::lock, std::move(lock));
    if (kept) kept = keep(Key::runtime, kernel::open_directory(places.runtime));
    if (kept) kept = keep(Key::environment, memfd("abide-environment", environment));
    if (kept) kept = keep(Key::places, memfd("abide-places", control::write(where)));
    if (kept) kept = keep(Key::logger_program, kernel::open_file(out.programs.manager, O_PATH));
    if (kept && !out.programs.hold.empty())
        kept = keep(Key::hold_program, kernel::open_file(out.programs.hold, O_PATH));
    if (!kept) return std::unexpected(kept.error());
    auto manager = kernel::open_file(out.programs.manager, O_PATH);
    if (!manager) return std::unexpected(manager.error());
    out.manager_program = std::move(*manager);
    // Last, since it may have to wait for the disk.
    auto journal = begins ? journal_of(places, wishes, std::move(*enabled), *birth, *ids)
                          : Result<std::string>(std::move(wishes.left_behind));
    if (!journal) return std::unexpected(journal.error());
    kept = keep(Key::journal, memfd("abide-journal", *journal));
    if (kept) kept = keep(Key::control, kernel::listen_unix(places.control, control::socket_mode(spec.shared())));
    if (!kept) return std::unexpected(kept.error());
    out.places = std::move(places);
    return out;
}

Result<Anchor> spawn_anchor(Prepared prepared, int output, int error_output) {
    auto spawner = kernel::Spawner::create();
    if (!spawner) return std::unexpected(spawner.error());
    auto nothing = kernel::open_file("/dev/null", O_RDWR);
    if (!nothing) return std::unexpected(nothing.error());
    kernel::SpawnRequest request;
    request.descriptors = {{nothing->get(), 0}, {output, 1}, {error_output, 2}};
    request.argv = anchor_arguments(prepared, request.descriptors);
    request.candidates = {prepared.programs.abide};
    request.envp = kernel::environment();
    request.directory = "/";
    request.cgroup_fd = prepared.cgroup.get();
    const std::string program = prepared.programs.abide;
    request.owned.push_back(std::move(*nothing));
    request.owned.push_back(std::move(prepared.manager_program));
    if (prepared.cgroup) request.owned.push_back(std::move(prepared.cgroup));
    for (auto& [key, fd] : prepared.keys) request.owned.push_back(std::move(fd));
    if (const Status asked = (*spawner)->spawn(std::move(request), 1); !asked) return std::unexpected(asked.error());
    auto anchor = started(**spawner, program);
    if (anchor) anchor->groups = std::move(prepared.groups);
    return anchor;
}

Status become_anchor(Prepared prepared) {
    prepared.groups.reset();  // a child of ours, which the anchor would not know
    std::vector<std::pair<int, int>> descriptors{{0, 0}, {1, 1}, {2, 2}};
    const std::vector<std::string> words = anchor_arguments(prepared, descriptors);
    return kernel::replace_program(prepared.programs.abide, words, kernel::environment(), descriptors);
}

Status spawn_printer(const std::vector<std::string>& arguments) {
    const auto programs = find_programs();
    if (!programs) return std::unexpected(programs.error());
    auto spawner = kernel::Spawner::create();
    if (!spawner) return std::unexpected(spawner.error());
    kernel::SpawnRequest request;
    request.argv = {"abide"};
    request.argv.insert(request.argv.end(), arguments.begin(), arguments.end());
    request.candidates = {programs->manager};
    request.envp = kernel::environment();
    request.descriptors = {{0, 0}, {1, 1}, {2, 2}};
    if (const Status asked = (*spawner)->spawn(std::move(request), 1); !asked) return asked;
    const auto child = started(**spawner, programs->manager);
    return child ? Status{} : std::unexpected(child.error());
}

void tidy(const Places& places) {
    if (places.forced_socket || !kernel::file_status(places.lock_file())) return;
    // With the lock in our hands nobody else is about to start here.
    const auto lock = take_lock(places);
    if (!lock) return;
    const auto runtime = kernel::open_directory(places.runtime);
    if (!runtime) return;
    // What is gone already, or can't be taken away, hurts nobody: the next start replaces it.
    (void)kernel::unlink_beneath(runtime->get(), "control");
    (void)kernel::unlink_beneath(runtime->get(), anchor::kMirrorName);
    (void)kernel::remove_tree_beneath(runtime->get(), "notify");
    note_project(places);
    forget_gone_projects(places);
    if (const auto record = kernel::open_directory(places.record))
        (void)kernel::unlink_beneath(record->get(), last_component(places.lock_file()));
}

}  // namespace abide::cli
