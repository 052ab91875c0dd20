// manager/last_resort.cc -- see the header.
#include "manager/last_resort.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <span>

#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/program.hpp"
#include "kernel/socket.hpp"
#include "manager/complain.hpp"
#include "manager/run_key.hpp"

namespace abide::manager {

namespace {

constexpr int kFirstTarget = 10;  // of descriptors handed to the anchor; 3 is the manager's socket there
constexpr int kProgramTarget = 9;
constexpr std::uint64_t kToken = ~std::uint64_t{2};
constexpr Duration kPatience = seconds(5);

constexpr std::array kHeld = {anchor::Key::control,         anchor::Key::lock,   anchor::Key::runtime,
                              anchor::Key::logger_program,  anchor::Key::cgroup, anchor::Key::environment,
                              anchor::Key::manager_program, anchor::Key::places, anchor::Key::event_log,
                              anchor::Key::hold_program,    anchor::Key::notify, anchor::Key::cursor,
                              anchor::Key::program_copy};

// The socket in which it waits for the next manager; what is on its way in a socket outlives who sent it (unix(7)).
constexpr std::uint64_t kInherited = anchor_key(Keep::inherited, 1);
constexpr std::size_t kBatch = 64;

Result<kernel::Fd> bequeath(const Heirlooms& heirlooms) {
    Result<std::pair<kernel::Fd, kernel::Fd>> pair = kernel::make_socket_pair(SOCK_SEQPACKET, true);
    if (!pair) return std::unexpected(pair.error());
    for (std::size_t begin = 0; begin < heirlooms.size(); begin += kBatch) {
        std::vector<std::uint64_t> keys;
        std::vector<int> fds;
        for (std::size_t i = begin; i < std::min(begin + kBatch, heirlooms.size()); ++i) {
            keys.push_back(heirlooms[i].first);
            fds.push_back(heirlooms[i].second);
        }
        const Result<bool> sent = kernel::send(pair->first.get(), std::as_bytes(std::span(keys)), fds);
        if (sent && *sent) continue;
        complain(std::to_string(heirlooms.size() - begin) + " of " + std::to_string(heirlooms.size()) +
                 " listening sockets, stored descriptors and notify sockets are lost: " +
                 (sent ? "no room" : describe(sent.error())));
        break;
    }
    return std::move(pair->second);
}

// How the anchor closes it: a child does where closing may block (protocol/anchor.hpp).
bool is_ours(std::uint64_t key) {
    switch (keep_of(key)) {
        case Keep::notify:
        case Keep::ready_pipe:
        case Keep::hold_release:
        case Keep::hold_told:
        case Keep::log_pipe:
        case Keep::rescue_upgrade: return true;
        case Keep::listener:
        case Keep::stored:
        case Keep::console_way:
        case Keep::logger:
        case Keep::console:
        case Keep::inherited:
        default: return false;
    }
}

}  // namespace

Status LastResort::inherit(AnchorLink& anchor) {
    Result<AnchorLink::Kept> kept = anchor.get_now({kInherited});
    if (!kept) return std::unexpected(kept.error());
    const auto socket = kept->find(kInherited);
    if (socket == kept->end()) return {};
    while (true) {
        std::array<std::uint64_t, kBatch> keys{};
        Result<kernel::Received> got = kernel::receive(socket->second.get(), std::as_writable_bytes(std::span(keys)));
        if (!got) return std::unexpected(got.error());
        if (got->nothing_now || got->end_of_stream) break;
        for (std::size_t i = 0; i < got->fds.size() && i < got->size / sizeof keys[0]; ++i)
            anchor.put(keys[i], share(std::move(got->fds[i])), is_ours(keys[i]));
        anchor.flush();
    }
    anchor.drop(kInherited, true);
    return {};
}

void LastResort::prepare(AnchorLink& anchor, const anchor::HelloAnswer& hello, std::string instance,
                         kernel::ResourceLimitValue limit) {
    if ((hello.flags & anchor::kIsPid1) != 0) return;  // with process 1 all processes end
    instance_ = std::move(instance);
    limit_ = limit;
    std::vector<std::uint64_t> keys;
    for (const anchor::Key key : kHeld) keys.push_back(static_cast<std::uint64_t>(key));
    Result<AnchorLink::Kept> kept = anchor.get_now(keys);
    if (kept) held_ = std::move(*kept);
    // Not what the anchor keeps: on probation that is still the program before this one.
    Result<kernel::Fd> self = kernel::open_file("/proc/self/exe", O_PATH | O_CLOEXEC);
    if (self) held_[static_cast<std::uint64_t>(anchor::Key::manager_program)] = std::move(*self);
    look_at_anchor(hello.anchor_pid);
    if (!program_ || held_.empty()) complain("should the anchor be killed, there will be no other one");
}

void LastResort::look_at_anchor(std::int32_t pid) {
    Result<kernel::Fd> program = kernel::open_file("/proc/" + std::to_string(pid) + "/exe", O_PATH | O_CLOEXEC);
    if (program) program_ = std::move(*program);
}

void LastResort::set_logger(SharedFd socket, SharedFd pidfd) {
    logger_socket_ = std::move(socket);
    logger_pidfd_ = std::move(pidfd);
}

bool LastResort::start(kernel::Spawner& spawner, std::uint64_t epoch, const Heirlooms& heirlooms) {
    if (!program_ || !journal_) return false;
    kernel::SpawnRequest request;
    request.argv = {anchor::kAnchorName};
    request.candidates = {"/proc/self/fd/" + std::to_string(kProgramTarget)};
    request.descriptors = {{0, 0}, {1, 1}, {2, 2}, {program_.get(), kProgramTarget}};
    request.envp = kernel::environment();
    request.directory = "/";
    request.limits = {limit_};
    request.as_parents_child = true;  // whose child we are now, the new anchor is too
    int target = kFirstTarget;
    const auto hand_over = [&](std::uint64_t key, int fd) {
        request.descriptors.emplace_back(fd, target);
        const bool program = key == static_cast<std::uint64_t>(anchor::Key::manager_program);
        request.argv.push_back(program ? "--manager=" + std::to_string(target)
                                       : "--key=" + std::to_string(key) + "=" + std::to_string(target));
        ++target;
    };
    for (const auto& [key, fd] : held_) hand_over(key, fd.get());
    hand_over(static_cast<std::uint64_t>(anchor::Key::journal), journal_->get());
    if (logger_socket_ && logger_pidfd_) {
        hand_over(anchor_key(Keep::logger, 1), logger_socket_->get());
        hand_over(anchor_key(Keep::logger, 2), logger_pidfd_->get());
    }
    const Result<kernel::Fd> heritage = bequeath(heirlooms);
    if (heritage && !heirlooms.empty()) hand_over(kInherited, heritage->get());
    if (!heritage)
        complain("listening sockets, stored descriptors and notify sockets are lost: " + describe(heritage.error()));
    request.argv.push_back("--epoch=" + std::to_string(epoch));
    request.argv.insert(request.argv.end(), {"--", instance_});
    if (Status asked = spawner.spawn(std::move(request), kToken); !asked) {
        complain("a new anchor: " + describe(asked.error()));
        return false;
    }
    // Nothing else is done from here on: the next manager may be at work already.
    const Mono deadline = kernel::mono_now() + kPatience;
    while (kernel::mono_now() < deadline) {
        for (const kernel::SpawnEvent& event : spawner.drain()) {
            if (event.token != kToken || event.kind == kernel::SpawnEventKind::started) continue;
            if (event.kind == kernel::SpawnEventKind::executed) return true;
            complain("a new anchor can't be executed (error " + std::to_string(event.err) + ")");
            return false;
        }
        const int fd = spawner.fd();
        static_cast<void>(kernel::wait_readable({&fd, 1}, deadline));
    }
    return true;  // it may still come: two managers would be worse than none
}

}  // namespace abide::manager
