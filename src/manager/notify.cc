// manager/notify.cc -- see the header.
#include "manager/notify.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/limits.hpp"
#include "kernel/process.hpp"
#include "manager/complain.hpp"
#include "manager/launch_request.hpp"
#include "manager/run_key.hpp"

namespace abide::manager {

namespace {

constexpr std::uint32_t kNobody = ~std::uint32_t{0};

const model::Run* run_of(const core::Engine& engine, const RunThings& things) {
    const model::Service* service = engine.find(things.service);
    if (service == nullptr) return nullptr;
    for (const model::Run& run : service->runs) {
        if (run.number == things.run) return &run;
    }
    return nullptr;
}

bool is_known(const model::Run& run, std::int32_t pid) {
    for (const model::Process& process : run.processes) {
        if (process.pid == pid) return true;
    }
    return false;
}

// Only a ping: pings of one turn are one.
bool is_ping(const notify::Message& message) {
    notify::Message ping;
    ping.watchdog = true;
    return message == ping;
}

}  // namespace

std::uint32_t Notify::user_of_run(RunThings& things, const model::Run& run) {
    if (!things.user) things.user = user_of(engine_.spec_of(run)).value_or(kNobody);
    return *things.user;
}

bool Notify::is_genuine(RunThings& things, const model::Run& run, const kernel::Received& datagram,
                        std::int32_t& last_pid) {
    if (!datagram.sender.known || datagram.sender.pid <= 0) return false;
    const std::int32_t pid = datagram.sender.pid;
    if (pid == last_pid) return true;  // checked a moment ago, in this turn
    bool genuine = is_known(run, pid) || tracking_.contains(things.service, things.run, pid);
    // A session is left more easily than a group is: the user counts as well.  Who is root may have become anybody.
    if (genuine && !tracking_.has_cgroups() && datagram.sender.uid != 0) {
        const std::uint32_t user = user_of_run(things, run);
        genuine = user == 0 || user == datagram.sender.uid;
    }
    if (genuine) last_pid = pid;
    return genuine;
}

void Notify::on_ready(std::uint64_t key) {
    std::array<std::byte, limits::kNotifyBytes> buffer;
    RunThings* things = runs_.find(key);
    if (things == nullptr || !things->notify) return;
    Batch batch;
    Looked looked{key};
    int offset = -1;
    bool more = true;
    while (more && looked.datagrams < limits::kNotifyPerTurn) {
        Result<kernel::Received> datagram = kernel::look(things->notify.get(), buffer, offset);
        const bool stays = datagram.has_value();
        if (!stays && looked.datagrams == 0) datagram = kernel::receive_even_cut(things->notify.get(), buffer);
        if (!datagram || datagram->nothing_now) break;
        if (stays) ++looked.datagrams;
        offset = std::max(offset, 0) + static_cast<int>(datagram->size);
        more = stays && !datagram->cut;  // the next look would show the rest of this one
        const std::string_view bytes(reinterpret_cast<const char*>(buffer.data()), datagram->size);
        on_datagram(key, *things, std::move(*datagram), bytes, batch);
    }
    if (looked.datagrams > 0) looked_at_.push_back(looked);
    if (!batch.pinged) return;
    model::in::Notified input;
    input.service = things->service;
    input.run = things->run;
    input.watchdog = true;
    inbox_.push(InputClass::notification, std::move(input));
}

void Notify::on_datagram(std::uint64_t key, RunThings& things, kernel::Received datagram, std::string_view bytes,
                         Batch& batch) {
    const model::Run* run = run_of(engine_, things);
    // Longer than any message may be, or nobody's: dropped, with what came along.
    if (datagram.cut || run == nullptr) return stored_.discard(std::move(datagram.fds));
    if (!is_genuine(things, *run, datagram, batch.last_pid)) {
        ++refused_;
        stored_.discard(std::move(datagram.fds));
        if (complained_.insert(key).second) {
            complain(things.service + ": a notify message of process " + std::to_string(datagram.sender.pid) +
                     ", user " + std::to_string(datagram.sender.uid) + ", which is not of this service, was dropped");
        }
        return;
    }
    const notify::Message message = notify::parse(bytes);
    batch.pinged = batch.pinged || is_ping(message);
    if (is_ping(message) || message.empty()) return stored_.discard(std::move(datagram.fds));
    take(things, *run, message, std::move(datagram.fds));
}

void Notify::take(RunThings& things, const model::Run& run, const notify::Message& message,
                  std::vector<kernel::Fd> fds) {
    model::in::Notified input;
    input.service = things.service;
    input.run = things.run;
    input.ready = message.ready;
    input.reloading = message.reloading;
    input.stopping = message.stopping;
    input.watchdog = message.watchdog;
    input.watchdog_trigger = message.watchdog_trigger;
    input.has_status = message.status.has_value();
    if (message.status) input.status = *message.status;
    if (message.error_number) input.error_number = *message.error_number;
    if (message.watchdog_us) input.watchdog_us = *message.watchdog_us;
    if (message.extend_timeout_us) input.extend_timeout_us = *message.extend_timeout_us;
    if (message.monotonic_us) input.monotonic_us = *message.monotonic_us;
    input.fd_name = message.fd_name;
    input.fd_store_remove = message.fd_store_remove;
    if (message.fd_store)
        input.fds = stored_.keep(things.service, std::move(fds), message.fd_poll);
    else
        stored_.discard(std::move(fds));  // a barrier's is closed now, after all before it was taken
    if (message.main_pid) {
        const std::int32_t pid = *message.main_pid;
        const Result<std::uint64_t> ticks = kernel::start_ticks(pid);
        if (ticks && tracking_.claims(things.service, things.run, pid, user_of_run(things, run))) {
            input.main_pid = pid;
            input.main_start_ticks = *ticks;
        } else {
            complain(things.service + ": MAINPID=" + std::to_string(pid) +
                     " is not a process of this service; ignored");
        }
    }
    inbox_.push(InputClass::notification, std::move(input));
}

void Notify::on_ready_pipe(std::uint64_t key) {
    const RunThings* things = runs_.find(key);
    if (things == nullptr || !things->ready_read) return;
    std::array<char, 256> buffer;
    Result<std::size_t> got = kernel::look_into_pipe(things->ready_read.get(), buffer.data(), buffer.size());
    const bool stays = got.has_value();
    if (!stays) got = kernel::read_some(things->ready_read.get(), buffer.data(), buffer.size());
    if (got && *got == kernel::kNothingNow) return;
    const bool said = got && *got > 0;
    if (said && std::string_view(buffer.data(), *got).find('\n') == std::string_view::npos) {
        if (stays) static_cast<void>(kernel::read_some(things->ready_read.get(), buffer.data(), *got));
        return;
    }
    answered_pipes_.push_back(key);
    if (said) inbox_.push(InputClass::notification, model::in::BecameReady{things->service, things->run, 0, 0});
}

void Notify::journaled(kernel::Epoll& epoll) {
    for (const Looked& one : std::exchange(looked_at_, {})) {
        const RunThings* things = runs_.find(one.key);
        if (things == nullptr || !things->notify) continue;
        for (std::size_t i = 0; i < one.datagrams; ++i) static_cast<void>(kernel::drop_message(things->notify.get()));
    }
    for (const std::uint64_t key : std::exchange(answered_pipes_, {})) {
        RunThings* things = runs_.find(key);
        if (things == nullptr || !things->ready_read) continue;
        static_cast<void>(epoll.remove(things->ready_read.get()));
        things->ready_read.reset();
        anchor_.drop(anchor_key(Keep::ready_pipe, key), true);
    }
}

}  // namespace abide::manager
