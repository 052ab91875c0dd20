// oci/helper.cc -- see the header.
#include "oci/helper.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <expected>
#include <optional>
#include <span>
#include <utility>

#include "base/text.hpp"
#include "kernel/clock.hpp"
#include "kernel/file_writing.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"
#include "kernel/socket.hpp"
#include "kernel/spawn.hpp"
#include "model/signal.hpp"
#include "oci/bundle.hpp"
#include "oci/console.hpp"

namespace abide::oci {

namespace {

constexpr int kFailed = 125, kNotExecutable = 126, kNotFound = 127, kRefused = 7, kSignalled = 128;
constexpr int kDeleteRounds = 20;
constexpr Duration kDeletePause = milliseconds(100);
constexpr Duration kHookTime = milliseconds(200);
constexpr std::size_t kCreateWords = 7, kDeleteWords = 5;

// Why there is no container, or it is still there, and the status that says so.
struct Failure {
    Error error;
    int status = kFailed;
};
using Outcome = std::expected<int, Failure>;

std::unexpected<Failure> give_up(Error error, int status = kFailed) {
    return std::unexpected(Failure{std::move(error), status});
}

std::string text_of(const Error& error) {
    std::string text = error.what;
    if (error.err != 0) text += std::string(": ") + std::strerror(error.err);
    return text + (error.advice.empty() ? "" : "; " + error.advice);
}

int complain(const Failure& failure) {
    const std::string line = "abide-oci: " + text_of(failure.error) + "\n";
    static_cast<void>(kernel::write_some(2, line.data(), line.size()));
    return failure.status;
}

std::string search_path() {
    return kernel::environment_value("PATH").value_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

// The program's own path, or a failure that says that there is none.
Result<std::string> find_program(const std::string& name) {
    for (const std::string& path : kernel::search_candidates(name, search_path())) {
        const Result<std::string> real = kernel::real_path(path);
        if (real) return path;
    }
    return fail(ErrorKind::not_found, "no runtime '" + name + "'", "install it, or name another one in `oci.runtime`");
}

// Starts a command of the runtime; its pidfd.
Result<kernel::Fd> start(kernel::SpawnRequest request) {
    auto spawner = kernel::Spawner::create();
    if (!spawner) return std::unexpected(spawner.error());
    request.envp = kernel::environment();
    request.new_session = false;
    if (Status asked = (*spawner)->spawn(std::move(request), 1); !asked) return std::unexpected(asked.error());
    kernel::Fd pidfd;
    for (bool settled = false; !settled;) {
        const int fd = (*spawner)->fd();
        static_cast<void>(kernel::wait_readable({&fd, 1}, kNever));
        for (kernel::SpawnEvent& event : (*spawner)->drain()) {
            if (event.kind == kernel::SpawnEventKind::started) pidfd = std::move(event.pidfd);
            settled = event.kind == kernel::SpawnEventKind::executed || event.kind == kernel::SpawnEventKind::failed;
        }
    }
    if (!pidfd) return fail(ErrorKind::failed, "the runtime could not be started");
    return pidfd;
}

struct Ended {
    bool good = false;
    std::string output;
};

// The hooks that a runtime runs are its children.
void end_children(int runtime) {
    const Result<pid_t> pid = kernel::pid_of(runtime);
    if (!pid) return;
    for (const pid_t child : kernel::children_of(*pid).value_or(std::vector<pid_t>{})) {
        const Result<kernel::Fd> hook = kernel::open_pidfd(child);
        if (hook && kernel::parent_of(child).value_or(0) == *pid)
            static_cast<void>(kernel::send_signal(hook->get(), model::kKill));
    }
}

enum class Hooks : std::uint8_t { run, are_ended };

// Runs a command of the runtime to its end.  `quiet`: what it complains about is no news.
Result<Ended> run(const std::string& program, std::vector<std::string> words, bool quiet, Hooks hooks = Hooks::run) {
    Result<kernel::Pipe> pipe = kernel::make_pipe();
    if (!pipe) return std::unexpected(pipe.error());
    const Result<kernel::Fd> null = kernel::open_file("/dev/null", 02);
    if (!null) return std::unexpected(null.error());
    kernel::SpawnRequest request;
    request.argv = std::move(words);
    request.candidates = {program};
    const int output_end = hooks == Hooks::run ? pipe->write.get() : null->get();  // a hook's children may keep it
    request.descriptors = {{null->get(), 0}, {output_end, 1}, {quiet ? null->get() : 2, 2}};
    const Result<kernel::Fd> pidfd = start(std::move(request));
    if (!pidfd) return std::unexpected(pidfd.error());
    pipe->write.reset();
    Ended ended;
    while (hooks == Hooks::are_ended && !kernel::has_ended(pidfd->get())) {
        const int fd = pidfd->get();
        static_cast<void>(kernel::wait_readable({&fd, 1}, kernel::mono_now() + kHookTime));
        end_children(fd);
    }
    Result<std::string> output = kernel::read_all(pipe->read.get(), kStateBytes);
    if (output) ended.output = std::move(*output);
    const Result<kernel::Reaped> status = kernel::reap(pidfd->get(), true);
    ended.good = status && !status->by_signal && status->value == 0;
    return ended;
}

std::string real_or_same(const std::string& path) {
    const Result<std::string> real = kernel::real_path(path);
    return real ? *real : path;
}

// Takes away a container of ours; one of somebody else's with our id is not ours to delete.
std::expected<void, Failure> clear(const std::string& program, const std::string& runtime, const std::string& id,
                                   const std::string& folder, Hooks hooks = Hooks::run) {
    const Result<Ended> known = run(program, state_words(runtime, id), true);
    if (!known) return give_up(known.error());
    const Result<State> state = parse_state(known->output);
    if (known->good && state && real_or_same(state->bundle) != real_or_same(folder)) {
        return give_up({ErrorKind::refused, "a container '" + id + "' exists, of the bundle " + state->bundle, 0,
                        "delete it, or rename the service"},
                       kRefused);
    }
    // Also when the runtime does not know it: it may have been killed in the middle, and left half of one.  One that is
    // still ending is asked for again.
    for (int round = 0; round < kDeleteRounds; ++round) {
        const Result<Ended> deleted = run(program, delete_words(runtime, id), !known->good || round > 0, hooks);
        if (!known->good || (deleted && deleted->good)) return {};
        kernel::sleep_for(kDeletePause);
    }
    return give_up({ErrorKind::failed, "container '" + id + "' can't be deleted", 0, {}});
}

void remove_folder(const std::string& folder) {
    if (const Result<kernel::Fd> parent = kernel::open_directory(folder_of(folder)))
        static_cast<void>(kernel::remove_tree_beneath(parent->get(), std::string(last_component(folder))));
}

// The runtime hands the master of the container's terminal over while it creates it.  It goes on at once: whatever is
// written to the terminal waits for a reader.
Outcome create_with_console(const std::string& program, const std::vector<std::string>& words, int folder,
                            const kernel::Fd& way) {
    if (!way) return give_up({ErrorKind::failed, "nobody takes the container's terminal", 0, {}});
    Result<Console> console = Console::listen(folder);
    if (!console) return give_up(console.error());
    kernel::SpawnRequest request;
    request.argv = create_words_with_console(words[2], words[3], words[4]);
    request.candidates = {program};
    request.directory = words[4];
    request.descriptors = {{0, 0}, {1, 1}, {2, 2}};
    const Result<kernel::Fd> runtime = start(std::move(request));
    if (!runtime) return give_up(runtime.error(), kNotExecutable);
    bool sent = false;
    for (bool ended = false; !ended;) {
        const auto [listener, connection] = console->fds();
        const std::array<int, 3> fds = {runtime->get(), listener, connection};
        static_cast<void>(kernel::wait_readable(fds, kNever));
        ended = kernel::has_ended(runtime->get());  // then one look more: what it sent is there
        const kernel::Fd master = console->take();
        if (!master || sent) continue;
        const std::string_view name = kConsoleName;
        const Result<bool> handed = kernel::send(way.get(), std::as_bytes(std::span(name)), {{master.get()}});
        if (!handed) return give_up(handed.error());
        sent = *handed;
    }
    static_cast<void>(kernel::unlink_beneath(folder, kConsoleName));
    const Result<kernel::Reaped> status = kernel::reap(runtime->get(), true);
    if (!status) return give_up(status.error());
    if (status->by_signal) return kSignalled + status->value;
    if (status->value == 0 && !sent)
        return give_up({ErrorKind::failed, "the runtime sent no terminal for \"process.terminal\"", 0, {}});
    return status->value;
}

Outcome create(const std::string& program, const std::vector<std::string>& words) {
    // Out of the way of what is started first.
    kernel::Fd way(kernel::is_open(kConsoleFd) ? kConsoleFd : -1);
    if (way) static_cast<void>(kernel::raise_above_staging(way));
    const std::string &runtime = words[2], &id = words[3], &folder = words[4], &bundle = words[5], &cgroup = words[6];
    const Result<std::string> config = kernel::read_file(bundle + "/config.json", kConfigBytes);
    if (!config) return give_up(config.error());
    const Result<Derived> derived = derive_config(*config, {bundle, cgroup});
    if (!derived)
        return give_up({derived.error().kind, bundle + "/" + derived.error().what, 0, derived.error().advice});
    if (const auto cleared = clear(program, runtime, id, folder); !cleared) return std::unexpected(cleared.error());
    const Result<kernel::Fd> own = kernel::open_directory(folder);
    if (!own) return give_up(own.error());
    static_cast<void>(kernel::unlink_beneath(own->get(), "pid"));
    if (const Status written = kernel::write_file_atomic(folder + "/config.json", derived->config, 0600); !written)
        return give_up(written.error());
    if (derived->terminal) return create_with_console(program, words, own->get(), way);
    constexpr std::array<std::pair<int, int>, 3> kStandard = {{{0, 0}, {1, 1}, {2, 2}}};
    const Status failed =
        kernel::replace_program(program, create_words(runtime, id, folder), kernel::environment(), kStandard);
    return give_up(failed.error(), failed.error().err == EACCES ? kNotExecutable : kFailed);
}

int take_away(const std::string& program, const std::vector<std::string>& words, Hooks hooks) {
    const std::string &runtime = words[2], &id = words[3], &folder = words[4];
    const auto cleared = clear(program, runtime, id, folder, hooks);
    // Somebody else's is not in our way: the create has said so.
    if (!cleared && cleared.error().status != kRefused) return complain(cleared.error());
    remove_folder(folder);
    return 0;
}

// Nothing stays open: a free number may be the one that the console has.
Status begin_folder(const std::string& folder) {
    const Result<kernel::Fd> own = kernel::make_private_directory(folder);
    if (!own) return std::unexpected(own.error());
    static_cast<void>(kernel::unlink_beneath(own->get(), last_component(failure_file(folder))));
    return {};
}

int create_and_tell(const Result<std::string>& program, const std::vector<std::string>& words) {
    const std::string& folder = words[4];
    if (const Status made = begin_folder(folder); !made) return complain({made.error()});
    const Outcome outcome = program ? create(*program, words) : give_up(program.error(), kNotFound);
    if (outcome) return *outcome;
    static_cast<void>(
        kernel::write_file_atomic(failure_file(folder), failure_line(text_of(outcome.error().error)), 0600));
    return complain(outcome.error());
}

// Without a runtime there is no container, unless one was made before the runtime went away.
int delete_or_tell(const Result<std::string>& program, const std::vector<std::string>& words) {
    const Hooks hooks = words.size() > kDeleteWords ? Hooks::are_ended : Hooks::run;
    if (program) return take_away(*program, words, hooks);
    if (kernel::real_path(words[4] + "/config.json")) return complain({program.error(), kNotFound});
    remove_folder(words[4]);
    return 0;
}

}  // namespace

int helper(const std::vector<std::string>& words) {
    const std::string verb = words.size() > 1 ? words[1] : "";
    const bool creates = verb == "create" && words.size() == kCreateWords;
    const bool again = words.size() == kDeleteWords + 1 && words.back() == kWithoutHooks;
    const bool deletes = verb == "delete" && (words.size() == kDeleteWords || again);
    if (!creates && !deletes) return complain({{ErrorKind::usage, "is started by abide only", 0, {}}});
    const Result<std::string> program = find_program(words[2]);
    return creates ? create_and_tell(program, words) : delete_or_tell(program, words);
}

}  // namespace abide::oci
