// manager/rescue.cc -- see the header.
#include "manager/rescue.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <map>
#include <ranges>
#include <set>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "base/version.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"
#include "kernel/socket.hpp"
#include "manager/clients.hpp"
#include "manager/complain.hpp"
#include "manager/handover.hpp"
#include "manager/permissions.hpp"
#include "manager/rescue_upgrade.hpp"
#include "manager/token.hpp"
#include "manager/upgrader.hpp"
#include "model/signal.hpp"
#include "protocol/control.hpp"

namespace abide::manager {

namespace {

constexpr Duration kStopPatience = seconds(10);  // from TERM to KILL
constexpr Duration kLook = milliseconds(50);     // while something is being stopped
constexpr Duration kSayAgain = seconds(6 * 3600);
constexpr std::uint64_t kWorkingMs = 86'400'000;
constexpr std::uint32_t kGraceMs = 10'000;
constexpr std::size_t kJournalBytes = std::size_t{1} << 30;
constexpr std::uint64_t kMostUpgrades = 4096;  // each has a number of its own
constexpr std::size_t kEnvironmentBytes = 4u << 20;
constexpr std::size_t kClients = 64, kClientsPerUser = 48;
constexpr int kTerm = 15, kInterrupt = 2;

constexpr std::uint64_t key(anchor::Key well_known) {
    return static_cast<std::uint64_t>(well_known);
}

struct Process {
    std::int32_t pid = 0;
    std::uint64_t start_ticks = 0;
    std::int64_t run = 0;
};
using Services = std::map<std::string, std::vector<Process>>;

std::string variable(std::string_view environment, std::string_view name) {
    for (const std::string_view word : split(environment, '\0')) {
        if (word.size() > name.size() && word.starts_with(name) && word[name.size()] == '=')
            return std::string(word.substr(name.size() + 1));
    }
    return {};
}

// The anchor's children by the service that they were started for, and what they have started themselves.
Services find_services(std::int32_t anchor) {
    Services found;
    const auto children = kernel::children_of(anchor);
    if (!children) return found;
    for (const pid_t child : *children) {
        const auto environment = kernel::read_file("/proc/" + std::to_string(child) + "/environ", kEnvironmentBytes);
        if (!environment) continue;
        const std::string name = variable(*environment, "ABIDE_SERVICE");
        if (name.empty()) continue;
        const std::int64_t run = parse_integer(variable(*environment, "ABIDE_RUN"), 0, INT64_MAX).value_or(0);
        std::vector<pid_t> family{child};
        for (std::size_t i = 0; i < family.size() && i < limits::kServices; ++i) {
            if (const auto more = kernel::children_of(family[i]))
                family.insert(family.end(), more->begin(), more->end());
            const auto stat = kernel::process_stat(family[i]);
            if (stat && stat->state != 'Z') found[name].push_back({family[i], stat->start_ticks, run});
        }
    }
    std::erase_if(found, [](const auto& entry) { return entry.second.empty(); });
    return found;
}

// A process that is ending has no environment any more some time before it has ended.
bool lives(const Process& process) {
    const auto stat = kernel::process_stat(process.pid);
    return stat && stat->start_ticks == process.start_ticks && stat->state != 'Z';
}

void signal_all(const std::vector<Process>& processes, int signal) {
    for (const Process& process : processes) {
        if (const auto pidfd = kernel::open_checked(process.pid, process.start_ticks))
            static_cast<void>(kernel::send_signal(pidfd->get(), signal));
    }
}

// Of the journal, which nobody writes to: what a program rehearses on must not be the one that there is.
Result<kernel::Fd> copy_journal(AnchorLink& anchor) {
    const auto kept = anchor.get_now({key(anchor::Key::journal)});
    if (!kept) return std::unexpected(kept.error());
    const auto journal = kept->find(key(anchor::Key::journal));
    if (journal == kept->end()) return fail(ErrorKind::failed, "the anchor keeps no journal");
    const Result<kernel::Fd> own = kernel::reopen(journal->second.get(), O_RDONLY | O_CLOEXEC);
    if (!own) return std::unexpected(own.error());
    const Result<std::string> bytes = kernel::read_all(own->get(), kJournalBytes);
    if (!bytes) return std::unexpected(bytes.error());
    return kernel::make_memfd("abide-journal-copy", *bytes);
}

bool has_ended(const model::RescueUpgrade& asked) {
    return asked.outcome != model::Outcome::pending;
}

// One that a rescue before this one has begun.
void settle(model::RescueUpgrade& asked, const anchor::Generation& told) {
    if (has_ended(asked)) return;
    UpgradeEnd ended = end_of(asked.operation.id, told);
    asked.outcome = ended.outcome;
    asked.detail = std::move(ended.detail);
}

class Rescue {
  public:
    Rescue(RescueUses uses, kernel::Epoll epoll)
        : uses_(std::move(uses)),
          epoll_(std::move(epoll)),
          clients_(epoll_, {kClients, kClientsPerUser}),
          handover_({epoll_, uses_.spawner, uses_.anchor},
                    [this](OperationId, std::string why) { refuse_upgrade(std::move(why)); }) {}

    Status prepare() {
        uses_.anchor.working(kWorkingMs);
        uses_.anchor.ready();
        auto kept = uses_.anchor.get_now({key(anchor::Key::control), key(anchor::Key::places)});
        if (!kept) return std::unexpected(kept.error());
        const auto control = kept->find(key(anchor::Key::control));
        if (control == kept->end()) return fail(ErrorKind::failed, "the anchor keeps no control socket");
        if (const auto places = kept->find(key(anchor::Key::places)); places != kept->end())
            read_places(places->second);
        asked_ = asked_of_rescue(uses_.anchor);
        if (const auto told = uses_.anchor.generation_now()) told_ = *told;
        if (!asked_.empty()) settle(asked_.back(), told_);
        if (static_cast<anchor::Verdict>(told_.verdict) != anchor::Verdict::pending) drop_programs(uses_.anchor);
        if (Status added = epoll_.add(uses_.anchor.fd(), EPOLLIN, token_of(Watched::anchor)); !added) return added;
        if (Status added = epoll_.add(uses_.spawner.fd(), EPOLLIN, token_of(Watched::spawner)); !added) return added;
        return clients_.listen(std::move(control->second));
    }

    int run() {
        Mono say = kernel::mono_now() + kSayAgain;
        while (!over_) {
            uses_.anchor.flush();
            const Mono now = kernel::mono_now();
            const Mono look = stopping_.empty() ? kNever : now + kLook;
            const auto ready = epoll_.wait(std::min({look, say, handover_.next_deadline(), clients_deadline()}));
            if (!ready) continue;
            for (const kernel::Ready& one : *ready) on_ready(one);
            handover_.expire(kernel::mono_now());
            over_ = over_ || handover_.given();
            go_on_stopping();
            for (const std::uint64_t id : std::exchange(answered_, {})) serve(id);
            for (const std::uint64_t id : clients_.expire(kernel::now())) clients_.close(id);
            if (kernel::mono_now() < say) continue;
            uses_.anchor.working(kWorkingMs);
            say = kernel::mono_now() + kSayAgain;
        }
        const bool gone = uses_.anchor.flush();
        return gone ? 0 : 1;
    }

  private:
    struct Asker : Client {
        bool waits = false;  // for the answer to its call
        [[nodiscard]] bool is_idle() const { return !waits && is_quiet(); }
    };
    struct Stopping {
        std::uint64_t client = 0;
        std::vector<std::string> names;
        Mono kill_at{};
        std::vector<Process> processes;  // that were there when it was asked
    };

    void read_places(const kernel::Fd& memfd) {
        const auto own = kernel::reopen(memfd.get(), O_RDONLY | O_CLOEXEC);
        const auto text = own ? kernel::read_all(own->get(), 1u << 20) : std::unexpected(own.error());
        boost::json::error_code wrong;
        const boost::json::value json = text ? boost::json::parse(*text, wrong) : boost::json::value();
        if (!json.is_object()) return;
        if (auto where = control::read<control::WhereReply>(json.get_object())) where_ = std::move(*where);
    }

    void on_ready(const kernel::Ready& ready) {
        if (kind_of(ready.token) == Watched::control) return accept();
        if (kind_of(ready.token) == Watched::connection) return on_client(id_of(ready.token), ready.events);
        if (kind_of(ready.token) == Watched::witness) return handover_.on_link();
        if (kind_of(ready.token) == Watched::spawner) {
            for (kernel::SpawnEvent& event : uses_.spawner.drain())
                if (event.token == kWitnessToken) handover_.on_spawn(std::move(event));
            return;
        }
        const AnchorLink::News news = uses_.anchor.read();
        over_ = over_ || news.closed;
        for (const AnchorLink::News::Wished& wished : news.wishes) {
            uses_.anchor.took_wish(wished);
            if (wished.wish.signal == kTerm || wished.wish.signal == kInterrupt) end();
        }
        if (!news.exits.empty()) uses_.anchor.working(kWorkingMs);  // they wait for a manager that can take them
    }

    void end() {
        uses_.anchor.end(1, kGraceMs);
        over_ = true;
    }

    void accept() {
        clients_.accept(kernel::now(), [this](const Caller& caller) {
            return std::min(message_limit(permissions_.of(caller)), limits::kRequestBytes);
        });
    }

    Mono clients_deadline() const {
        Mono next = clients_.accepts_at();
        for (const auto& [id, client] : clients_) next = std::min(next, client.stalled);
        return next;
    }

    // The answer to a call that waited.  What he asks next comes later: whoever answers may be in the middle of a list.
    void reply(std::uint64_t id, const std::string& message) {
        Asker* const client = clients_.find(id);
        if (client == nullptr) return;
        client->waits = false;
        client->out += message;
        client->write(kernel::now());
        answered_.push_back(id);
    }

    void on_client(std::uint64_t id, std::uint32_t events) {
        Asker* const client = clients_.find(id);
        if (client == nullptr) return;
        if ((events & (EPOLLHUP | EPOLLERR)) != 0 && (events & EPOLLIN) == 0) return clients_.close(id);
        if ((events & EPOLLIN) != 0) client->read(kernel::now());
        if ((events & EPOLLOUT) != 0) client->write(kernel::now());
        serve(id);
    }

    void serve(std::uint64_t id) {
        Asker* const found = clients_.find(id);
        if (found == nullptr) return;
        Asker& client = *found;
        while (!client.closing && !client.waits && client.out.empty()) {
            const auto message = client.reader.next();
            if (!message) break;
            const auto call = varlink::parse_call(*message);
            if (!call) return clients_.close(id);
            client.out = take(id, *call, client.caller);
            client.waits = client.out.empty();
            client.write(kernel::now());
        }
        if (client.closing && client.out.empty()) return clients_.close(id);
        const bool hurries = !client.out.empty() || (!client.waits && !client.reader.pending().empty());
        if (!clients_.watch(id, client, !client.waits && !client.closing, hurries)) clients_.close(id);
    }

    // Empty: answered later.
    std::string take(std::uint64_t id, const varlink::Call& call, const Caller& caller) {
        const control::MethodInfo* method = control::find_method(call.method);
        if (method == nullptr) return varlink::method_not_found(call.method);
        if (permissions_.of(caller) < method->permission)
            return control::error_message({ErrorKind::not_permitted, "you may not do this here", 0, {}});
        if (method->method == control::Method::stop) return stop(id, call);
        if (method->method == control::Method::upgrade) return upgrade(id, call, caller);
        if (method->method == control::Method::down) {
            end();
            return varlink::build_reply(control::write(operation("shutdown", {})));
        }
        if (method->method == control::Method::status) return varlink::build_reply(control::write(status()));
        if (method->method == control::Method::where) {
            where_.anchor_pid = uses_.hello.anchor_pid;
            where_.manager_pid = kernel::own_pid();
            return varlink::build_reply(control::write(where_));
        }
        if (method->method == control::Method::ping)
            return varlink::build_reply(control::write(
                control::PingReply{std::string(version()), "", static_cast<std::int64_t>(uses_.hello.epoch), false}));
        if (method->method == control::Method::generation) return varlink::build_reply(control::write(generation()));
        return control::error_message(
            {ErrorKind::refused, "this is a rescue: " + uses_.why, 0,
             "only status, stop and down are answered; `abide upgrade --to` a program that can go on leaves it"});
    }

    control::GenerationReply generation() const {
        control::GenerationReply reply;
        reply.version = version();
        reply.program = kernel::read_link("/proc/self/exe").value_or(std::string());
        reply.epoch = static_cast<std::int64_t>(uses_.hello.epoch);
        reply.rescue = true;
        reply.problems = {uses_.why};
        reply.probation = words_of(told_);
        reply.swaps = static_cast<std::int64_t>(told_.swaps);
        reply.rollbacks = told_.rollbacks;
        const auto ended = std::ranges::find_if(asked_ | std::views::reverse, has_ended);
        if (ended != asked_.rend())
            reply.last_upgrade =
                control::upgrade_of({false, ended->operation.detail, ended->outcome, ended->detail, {}});
        return reply;
    }

    control::StatusReply status() const {
        control::StatusReply reply;
        for (const auto& [name, processes] : find_services(uses_.hello.anchor_pid)) {
            control::ServiceStatus service;
            service.name = name;
            service.kind = "service";
            service.state = "running";
            service.want = "up";
            service.pid = processes.front().pid;
            service.run = processes.front().run;
            service.description = "as the anchor knows it: this is a rescue";
            reply.services.push_back(std::move(service));
        }
        return reply;
    }

    static control::OperationReply operation(std::string verb, const std::vector<std::string>& names) {
        control::OperationReply reply;
        reply.verb = std::move(verb);
        reply.outcome = "done";
        for (const std::string& name : names) reply.targets.push_back({name, "done", {}, {}});
        return reply;
    }

    std::string stop(std::uint64_t id, const varlink::Call& call) {
        const auto request = control::read<control::TargetsRequest>(call.parameters);
        if (!request) return varlink::invalid_parameter(request.error());
        const Services services = find_services(uses_.hello.anchor_pid);
        Stopping stopping{id, request->names, kernel::mono_now() + kStopPatience, {}};
        for (const std::string& name : request->names) {
            const auto found = services.find(name);
            if (found == services.end()) continue;
            signal_all(found->second, kTerm);
            stopping.processes.insert(stopping.processes.end(), found->second.begin(), found->second.end());
        }
        stopping_.push_back(std::move(stopping));
        return {};
    }

    void go_on_stopping() {
        if (stopping_.empty()) return;
        const Services services = find_services(uses_.hello.anchor_pid);
        for (Stopping& one : stopping_) {
            bool left = std::ranges::any_of(one.processes, lives);
            const bool late = kernel::mono_now() >= one.kill_at;
            for (const std::string& name : one.names) {
                const auto found = services.find(name);
                if (found == services.end()) continue;
                left = true;
                if (late) signal_all(found->second, model::kKill);
            }
            if (late) signal_all(one.processes, model::kKill);
            if (left) continue;
            reply(one.client, varlink::build_reply(control::write(operation("stop", one.names))));
            one.names.clear();
        }
        std::erase_if(stopping_, [](const Stopping& one) { return one.names.empty(); });
    }

    // Rehearsed, on probation and taken back as by a manager that works.  Who waits for it asks the next one again.
    std::string upgrade(std::uint64_t id, const varlink::Call& call, const Caller& caller) {
        const auto request = control::read<control::UpgradeRequest>(call.parameters);
        if (!request) return varlink::invalid_parameter(request.error());
        const bool under_way = !asked_.empty() && !has_ended(asked_.back());
        auto asked = std::ranges::find_if(asked_, [&](const model::RescueUpgrade& one) {
            return !request->request.empty() && one.operation.ticket == request->request &&
                   one.operation.requester.uid == caller.uid;
        });
        if (asked == asked_.end()) {
            if (under_way || request->anchor || count_ == kMostUpgrades)
                return control::error_message({ErrorKind::refused,
                                               request->anchor ? "this is a rescue: it can't replace the anchor"
                                               : under_way     ? "another upgrade is under way"
                                                               : "this rescue was asked too often",
                                               0,
                                               {}});
            begin_upgrade(*request, caller);
            asked = asked_.end() - 1;
        }
        if (has_ended(*asked) || !request->wait) return upgrade_reply(*asked);
        waiting_.push_back(id);
        return {};
    }

    void begin_upgrade(const control::UpgradeRequest& request, const Caller& caller) {
        if (asked_.size() == kAskedOfRescue) asked_.erase(asked_.begin());
        model::Operation& operation = asked_.emplace_back().operation;
        operation.id = operation_of_rescue(uses_.hello.epoch, count_++);
        operation.verb = model::Verb::upgrade;
        operation.requester = permissions_.requester(caller);
        operation.asked_at = kernel::now().wall;
        operation.detail = request.program;
        operation.ticket = request.request;
        const std::int64_t probation_ms = request.probation_ms.value_or(control::kProbationMs);
        Status begun = keep(uses_.anchor, asked_);
        Result<kernel::Fd> journal = copy_journal(uses_.anchor);
        if (begun && !journal) begun = std::unexpected(journal.error());
        if (begun)
            begun = handover_.begin(
                {operation.id, request.program, milliseconds(std::clamp<std::int64_t>(probation_ms, 0, 86'400'000)),
                 where_.control, uses_.hello.epoch, true},
                std::move(*journal), kernel::mono_now());
        if (!begun) note_refusal(describe(begun.error()));
    }

    void note_refusal(std::string why) {
        asked_.back().outcome = model::Outcome::refused;
        asked_.back().detail = std::move(why);
        if (const Status kept = keep(uses_.anchor, asked_); !kept) complain(describe(kept.error()));
    }

    void refuse_upgrade(std::string why) {
        note_refusal(std::move(why));
        for (const std::uint64_t client : std::exchange(waiting_, {})) reply(client, upgrade_reply(asked_.back()));
    }

    static std::string upgrade_reply(const model::RescueUpgrade& asked) {
        model::Operation told = asked.operation;
        if (has_ended(asked)) {
            told.outcome = asked.outcome;
            told.detail = asked.detail;
        }
        return varlink::build_reply(control::write(control::operation_of(told)));
    }

    RescueUses uses_;
    kernel::Epoll epoll_;
    Permissions permissions_;
    control::WhereReply where_;
    ClientTable<Asker> clients_;
    std::vector<std::uint64_t> answered_;  // clients whose next call may be looked at
    std::vector<Stopping> stopping_;
    Handover handover_;
    std::vector<model::RescueUpgrade> asked_;  // of rescues before this one as well; at most the last is under way
    std::uint64_t count_ = 0;                  // asked of this one
    anchor::Generation told_;                  // what the anchor knew of the last when this rescue began
    std::vector<std::uint64_t> waiting_;       // clients, for its end
    bool over_ = false;
};

}  // namespace

int run_rescue(RescueUses uses) {
    complain("RESCUE: services live on, nothing is started or restarted; " + uses.why);
    Result<kernel::Epoll> epoll = kernel::Epoll::create();
    if (!epoll) {
        complain("rescue: " + describe(epoll.error()));
        return 1;
    }
    Rescue rescue(std::move(uses), std::move(*epoll));
    if (const Status prepared = rescue.prepare(); !prepared) {
        complain("rescue: " + describe(prepared.error()));
        return 1;
    }
    return rescue.run();
}

}  // namespace abide::manager
