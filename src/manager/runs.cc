// manager/runs.cc -- see the header.
#include "manager/runs.hpp"

#include <fcntl.h>

#include <algorithm>

#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/rlimit.hpp"
#include "kernel/socket.hpp"
#include "manager/complain.hpp"
#include "manager/token.hpp"
#include "oci/bundle.hpp"

namespace abide::manager {

namespace {

constexpr std::uint64_t kSpareDescriptors = 48;

bool wants_log(const model::ServiceSpec& spec) {
    return spec.log.or_default().mode == model::LogMode::file;
}
model::ProbeKind readiness(const model::ServiceSpec& spec) {
    return spec.ready.or_default().probe.kind;
}
// A watchdog and stored descriptors come through the notify socket, whatever says that the service is ready.
bool wants_notify(const model::ServiceSpec& spec) {
    return readiness(spec) == model::ProbeKind::notify || spec.watchdog.ns > 0 || spec.fd_store_max > 0;
}

protocol::log::OpenItem log_item(std::uint64_t key, const std::string& service, RunNumber run,
                                 const model::ServiceSpec& spec) {
    return {anchor_key(Keep::log_pipe, key), run.value, service, spec.log.or_default()};
}

protocol::log::Pattern log_pattern(std::uint64_t key, RunNumber run, const model::ServiceSpec& spec, Wall since) {
    return {anchor_key(Keep::log_pipe, key), run.value, false, spec.ready->probe.target, since.ns};
}

// Its main process is, or may be, still before its exec.
bool is_held(const model::Run& run) {
    return run.hold && std::ranges::any_of(run.processes, [](const model::Process& process) {
               return process.role == model::Role::main && process.state != model::ProcessState::alive;
           });
}

// Of the pipe that a process has under this number.
Result<kernel::Fd> read_end_of(std::int32_t pid, int number) {
    const std::string link = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(number);
    // By its name first: what else it may be could take its time to open.
    const Result<std::string> name = kernel::read_link(link);
    if (!name) return std::unexpected(name.error());
    if (!name->starts_with("pipe:[")) return fail(ErrorKind::not_found, "no pipe");
    Result<kernel::Fd> pipe = kernel::open_file(link, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (!pipe) return pipe;
    if (Status blocking = kernel::set_nonblocking(pipe->get(), false); !blocking)
        return std::unexpected(blocking.error());
    return pipe;
}

std::string hexadecimal(std::uint64_t key) {
    std::string name;
    for (int shift = 60; shift >= 0; shift -= 4) name += "0123456789abcdef"[(key >> shift) & 15];
    return name;
}

}  // namespace

void Runs::set_kept(const std::vector<std::uint64_t>& keys) {
    for (const std::uint64_t key : keys) {
        const Keep kind = keep_of(key);
        if (kind == Keep::listener || kind == Keep::log_pipe || kind == Keep::console) kept_.insert(key);
    }
}

std::string Runs::notify_path(std::uint64_t key) const {
    return notify_path_ + "/" + hexadecimal(key);
}

std::string Runs::container_id(std::string_view service) const {
    return oci::container_id(runtime_folder_, service);
}
std::string Runs::container_folder(std::string_view service) const {
    return runtime_folder_ + "/oci/" + container_id(service);
}

RunThings* Runs::find(std::uint64_t key) {
    const auto it = runs_.find(key);
    return it == runs_.end() ? nullptr : &it->second;
}

Result<RunThings*> Runs::prepare(const model::Service& service, const model::Run& run, const model::ServiceSpec& spec,
                                 Now now) {
    const std::uint64_t key = run_key(service.name, run.number);
    if (RunThings* known = find(key)) {
        // Its predecessor died between the journal and the anchor, which was to get the pipe.
        if (Status made; wants_log(spec) && !known->has_log && !(made = make_log(*known, spec, now)))
            return std::unexpected(made.error());
        return known;
    }
    // Beyond the budget a service is refused; clients, and the processes of those that run, still find room.
    if (const Status room = kernel::check_descriptor_room(kSpareDescriptors); !room)
        return std::unexpected(room.error());
    RunThings& things = runs_[key];
    things.service = service.name;
    things.run = run.number;
    Status made;
    if (wants_log(spec)) made = make_log(things, spec, now);
    if (made && wants_notify(spec)) made = make_notify(things, static_cast<bool>(spec.identity));
    if (made && readiness(spec) == model::ProbeKind::fd) made = make_ready(things);
    if (made) return &things;
    release(service.name, run.number);  // what was made before
    return std::unexpected(made.error());
}

Status Runs::make_log(RunThings& things, const model::ServiceSpec& spec, Now now) {
    Result<kernel::Pipe> pipe = kernel::make_pipe();
    if (!pipe) return std::unexpected(pipe.error());
    const std::uint64_t key = run_key(things.service, things.run);
    const SharedFd read_end = share(std::move(pipe->read));
    anchor_.put(anchor_key(Keep::log_pipe, key), read_end, true);
    logger_.open(log_item(key, things.service, things.run, spec), read_end);
    if (readiness(spec) == model::ProbeKind::log) logger_.watch_for(log_pattern(key, things.run, spec, now.wall));
    things.log_write = std::move(pipe->write);
    things.has_log = true;
    return {};
}

Status Runs::make_notify(RunThings& things, bool foreign_user) {
    const std::uint64_t key = run_key(things.service, things.run);
    // Everybody may write into the socket of a service with a user of its own: the sender is checked for each message.
    Result<kernel::Fd> socket = kernel::bind_notify(notify_path(key), foreign_user ? 0666 : 0600);
    if (!socket) return std::unexpected(socket.error());
    things.notify = std::move(*socket);
    Result<kernel::Fd> copy = things.notify.duplicate();
    if (!copy) return std::unexpected(copy.error());
    if (Status added = epoll_.add(things.notify.get(), EPOLLIN, token_of(Watched::notify, key)); !added) return added;
    anchor_.put(anchor_key(Keep::notify, key), share(std::move(*copy)), true);
    return {};
}

Status Runs::renew_ready(RunThings& things, const model::ServiceSpec& spec) {
    if (readiness(spec) != model::ProbeKind::fd || things.ready_write) return {};
    if (things.ready_read) static_cast<void>(epoll_.remove(things.ready_read.get()));
    return make_ready(things);
}

Status Runs::make_ready(RunThings& things) {
    Result<kernel::Pipe> pipe = kernel::make_pipe();
    if (!pipe) return std::unexpected(pipe.error());
    const std::uint64_t key = run_key(things.service, things.run);
    if (Status set = kernel::set_nonblocking(pipe->read.get()); !set) return set;
    Result<kernel::Fd> copy = pipe->read.duplicate();
    if (!copy) return std::unexpected(copy.error());
    if (Status added = epoll_.add(pipe->read.get(), EPOLLIN, token_of(Watched::ready_pipe, key)); !added) return added;
    anchor_.put(anchor_key(Keep::ready_pipe, key), share(std::move(*copy)), true);
    things.ready_read = std::move(pipe->read);
    things.ready_write = std::move(pipe->write);
    return {};
}

std::vector<std::uint64_t> Runs::keys_of(const model::Service& service, const model::Run& run,
                                         const model::ServiceSpec& spec) {
    const std::uint64_t key = run_key(service.name, run.number);
    std::vector<std::uint64_t> keys;
    if (wants_notify(spec)) keys.push_back(anchor_key(Keep::notify, key));
    if (readiness(spec) == model::ProbeKind::fd) keys.push_back(anchor_key(Keep::ready_pipe, key));
    if (run.container) keys.push_back(anchor_key(Keep::console_way, key));
    if (is_held(run)) {
        keys.push_back(anchor_key(Keep::hold_release, key));
        keys.push_back(anchor_key(Keep::hold_told, key));
    }
    return keys;
}

void Runs::recover(const model::Service& service, const model::Run& run, const model::ServiceSpec& spec,
                   AnchorLink::Kept& kept) {
    const std::uint64_t key = run_key(service.name, run.number);
    RunThings things;
    things.service = service.name;
    things.run = run.number;
    if (wants_log(spec)) things.has_log = kept_.contains(anchor_key(Keep::log_pipe, key)) || find_log_again(run, key);
    if (things.has_log) {
        // Its predecessor may have died between the anchor, which has the pipe, and the logger.
        const bool in_doubt = run.state == model::State::starting || run.state == model::State::created;
        logger_.reopen(log_item(key, service.name, run.number, spec), in_doubt);
        const bool unread = run.state == model::State::starting && readiness(spec) == model::ProbeKind::log;
        if (unread) logger_.watch_for(log_pattern(key, run.number, spec, run.started_at));
    }
    if (auto socket = kept.extract(anchor_key(Keep::notify, key))) {
        things.notify = std::move(socket.mapped());
        must(epoll_.add(things.notify.get(), EPOLLIN, token_of(Watched::notify, key)),
             service.name + ": notify socket");
    } else if (wants_notify(spec)) {
        if (const Status made = make_notify(things, static_cast<bool>(spec.identity)); !made) {
            complain(service.name + ": notify socket: " + describe(made.error()));
        }
    }
    const bool may_become_ready = run.state == model::State::starting || run.state == model::State::created;
    if (auto pipe = kept.extract(anchor_key(Keep::ready_pipe, key)); pipe && may_become_ready) {
        things.ready_read = std::move(pipe.mapped());
        must(epoll_.add(things.ready_read.get(), EPOLLIN, token_of(Watched::ready_pipe, key)),
             service.name + ": readiness pipe");
    } else if (pipe) {
        anchor_.drop(anchor_key(Keep::ready_pipe, key), true);  // its predecessor had no time to, once it was ready
    }
    if (auto pipe = kept.extract(anchor_key(Keep::hold_release, key))) things.release = std::move(pipe.mapped());
    if (auto pipe = kept.extract(anchor_key(Keep::hold_told, key))) things.told = std::move(pipe.mapped());
    things.hold = run.hold;
    if (!is_held(run)) drop_hold(things);  // it executed, and its predecessor had no time to clean up
    if (spec.oci) recover_console(things, spec, run.started_at, kept);
    runs_.insert_or_assign(key, std::move(things));
}

// The anchor that kept the read end was killed.  Through the process that writes it can be had again (proc_pid_fd(5)):
// its standard output, or its standard error where it has put the former elsewhere.
bool Runs::find_log_again(const model::Run& run, std::uint64_t key) {
    for (const model::Process& process : run.processes) {
        if (process.pid <= 0) continue;
        const Result<kernel::Fd> held = kernel::open_checked(process.pid, process.start_ticks);
        if (!held) continue;
        Result<kernel::Fd> pipe = read_end_of(process.pid, 1);
        if (!pipe) pipe = read_end_of(process.pid, 2);
        if (!pipe || kernel::has_ended(held->get())) continue;  // else the number may be a stranger's by now
        anchor_.put(anchor_key(Keep::log_pipe, key), share(std::move(*pipe)), true);
        return true;
    }
    return false;
}

Result<HoldEnds> Runs::make_hold(RunThings& things) {
    // A socket: a byte for one that has executed meanwhile is an error then, not a signal to us.
    auto release = kernel::make_socket_pair(SOCK_STREAM);
    if (!release) return std::unexpected(release.error());
    Result<kernel::Pipe> told = kernel::make_pipe(true);
    if (!told) return std::unexpected(told.error());
    Result<kernel::Fd> release_copy = release->first.duplicate();
    if (!release_copy) return std::unexpected(release_copy.error());
    Result<kernel::Fd> told_copy = told->read.duplicate();
    if (!told_copy) return std::unexpected(told_copy.error());
    const std::uint64_t key = run_key(things.service, things.run);
    Result<kernel::Fd> told_for_us = told->read.duplicate();
    if (!told_for_us) return std::unexpected(told_for_us.error());
    anchor_.put(anchor_key(Keep::hold_release, key), share(std::move(*release_copy)), true);
    anchor_.put(anchor_key(Keep::hold_told, key), share(std::move(*told_copy)), true);
    things.release = std::move(release->first);
    things.told = std::move(*told_for_us);
    things.hold = true;
    return HoldEnds{std::move(release->second), std::move(told->read), std::move(told->write)};
}

Status Runs::tell_held(const RunThings& things, char word) {
    const Result<std::size_t> sent = kernel::send_some(things.release.get(), &word, 1);
    if (sent) return *sent == 1 ? Status{} : fail(ErrorKind::failed, "its socket is full");
    return kernel::peer_gone(sent.error()) ? Status{} : std::unexpected(sent.error());
}

void Runs::drop_hold(std::string_view service, RunNumber run) {
    if (RunThings* things = find(service, run)) drop_hold(*things);
}

void Runs::drop_hold(RunThings& things) {
    if (!std::exchange(things.hold, false)) return;
    const std::uint64_t key = run_key(things.service, things.run);
    things.release.reset();
    things.told.reset();
    anchor_.drop(anchor_key(Keep::hold_release, key), true);
    anchor_.drop(anchor_key(Keep::hold_told, key), true);
}

void Runs::add_heirlooms(Heirlooms& heirlooms) const {
    const auto add = [&](Keep kind, std::uint64_t key, const kernel::Fd& fd) {
        if (fd) heirlooms.emplace_back(anchor_key(kind, key), fd.get());
    };
    for (const auto& [key, things] : runs_) {
        add(Keep::notify, key, things.notify);
        add(Keep::ready_pipe, key, things.ready_read);
        add(Keep::hold_release, key, things.release);
        add(Keep::hold_told, key, things.told);
        if (things.console) add(Keep::console_way, key, things.console->socket);
    }
}

void Runs::release(std::string_view service, RunNumber run) {
    const std::uint64_t key = run_key(service, run);
    auto node = runs_.extract(key);
    if (!node) return;
    RunThings& things = node.mapped();
    if (things.has_log) logger_.close(anchor_key(Keep::log_pipe, key));
    if (things.notify) {
        static_cast<void>(epoll_.remove(things.notify.get()));
        anchor_.drop(anchor_key(Keep::notify, key), true);
        static_cast<void>(kernel::unlink_beneath(notify_directory_.get(), hexadecimal(key)));
    }
    if (things.ready_read) {
        static_cast<void>(epoll_.remove(things.ready_read.get()));
        anchor_.drop(anchor_key(Keep::ready_pipe, key), true);
    }
    drop_hold(things);
    if (things.is_container) release_console(things);
}

void Runs::drop_unclaimed(const std::vector<std::uint64_t>& keys) {
    for (const std::uint64_t key : keys) {
        if (find(key & kTokenIdMask) != nullptr) continue;
        switch (keep_of(key)) {
            case Keep::log_pipe:
            case Keep::console: logger_.close(key); continue;
            case Keep::notify:
            case Keep::ready_pipe:
            case Keep::hold_release:
            case Keep::hold_told:
            case Keep::console_way: break;
            case Keep::listener:
            case Keep::stored:
            case Keep::logger:
            case Keep::inherited:
            case Keep::rescue_upgrade:
            default: continue;
        }
        anchor_.drop(key, true);
    }
    std::set<std::string> ours;
    for (const auto& [key, things] : runs_) ours.insert(hexadecimal(key));
    const auto names = kernel::list_directory(notify_directory_.get());
    if (!names) return;
    for (const std::string& name : *names) {
        if (!ours.contains(name)) static_cast<void>(kernel::unlink_beneath(notify_directory_.get(), name));
    }
}

}  // namespace abide::manager
