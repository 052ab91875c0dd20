// manager/runs_console.cc -- the terminal of a container, from the process that creates it to the logger.
//
// The master comes as a message on a socket pair of which the anchor keeps one end.  It is looked at and left where it
// is until the anchor has a copy of the master: a manager that dies anywhere in between leaves it to the next one, who
// does the same again.  Who sends it is our own helper, which has looked at it (oci/console.hpp).
#include <array>
#include <utility>

#include "kernel/program.hpp"
#include "kernel/socket.hpp"
#include "manager/complain.hpp"
#include "manager/runs.hpp"
#include "manager/token.hpp"

namespace abide::manager {

Result<kernel::Fd> Runs::make_console(RunThings& things, const model::ServiceSpec& spec, Wall since) {
    auto pair = kernel::make_socket_pair(SOCK_SEQPACKET, true);
    if (!pair) return std::unexpected(pair.error());
    Result<kernel::Fd> copy = pair->first.duplicate();
    if (!copy) return std::unexpected(copy.error());
    if (things.console) end_console_way(things);
    if (Status added = watch_console(things, std::move(pair->first), spec, since); !added)
        return std::unexpected(added.error());
    anchor_.put(anchor_key(Keep::console_way, run_key(things.service, things.run)), share(std::move(*copy)), true);
    return std::move(pair->second);
}

Status Runs::watch_console(RunThings& things, kernel::Fd socket, const model::ServiceSpec& spec, Wall since) {
    const std::uint64_t key = run_key(things.service, things.run), kept = anchor_key(Keep::console, key);
    if (Status added = epoll_.add(socket.get(), EPOLLIN, token_of(Watched::console, key)); !added) return added;
    things.is_container = true;
    things.console = std::make_unique<ConsoleWay>();
    things.console->socket = std::move(socket);
    things.console->item = {kept, things.run.value, things.service, spec.log.or_default()};
    if (spec.ready.or_default().probe.kind == model::ProbeKind::log)
        things.console->pattern = {kept, things.run.value, false, spec.ready->probe.target, since.ns};
    return {};
}

void Runs::on_console(std::uint64_t key) {
    if (RunThings* things = find(key); things != nullptr && things->console) take_console(*things);
}

void Runs::take_console(RunThings& things) {
    std::array<std::byte, 64> buffer{};
    Result<kernel::Received> got = kernel::look(things.console->socket.get(), buffer, -1);
    if (got && got->nothing_now) return;
    // One without a terminal ends without a word.
    if (got && got->fds.size() == 1 && kernel::is_terminal_master(got->fds.front().get())) {
        ConsoleWay& way = *things.console;
        const SharedFd master = share(std::move(got->fds.front()));
        anchor_.put(way.item.key, master, false);
        logger_.open(way.item, master);
        if (way.pattern) logger_.watch_for(*way.pattern);
    } else if (!got) {
        complain(things.service + ": console: " + describe(got.error()));
    }
    end_console_way(things);
}

void Runs::end_console_way(RunThings& things) {
    static_cast<void>(epoll_.remove(things.console->socket.get()));
    things.console.reset();
    anchor_.drop(anchor_key(Keep::console_way, run_key(things.service, things.run)), false);
}

void Runs::recover_console(RunThings& things, const model::ServiceSpec& spec, Wall since, AnchorLink::Kept& kept) {
    things.is_container = true;
    const std::uint64_t key = run_key(things.service, things.run);
    if (kept_.contains(anchor_key(Keep::console, key))) {
        const protocol::log::OpenItem item{anchor_key(Keep::console, key), things.run.value, things.service,
                                           spec.log.or_default()};
        logger_.reopen(item, true);
    }
    // Taken once more where both are there.
    if (auto socket = kept.extract(anchor_key(Keep::console_way, key))) {
        const Status watched = watch_console(things, std::move(socket.mapped()), spec, since);
        if (!watched) complain(things.service + ": console: " + describe(watched.error()));
    }
}

void Runs::release_console(RunThings& things) {
    const std::uint64_t kept = anchor_key(Keep::console, run_key(things.service, things.run));
    if (things.console) {  // it lived so short that nobody had time to look
        take_console(things);
        logger_.flush();
        if (things.console) end_console_way(things);
    }
    // Also where nothing is known of one: the logger may hold what an anchor that was killed had kept.
    logger_.close(kept);
}

}  // namespace abide::manager
