// manager/launcher.cc -- see the header.
#include "manager/launcher.hpp"

#include <fcntl.h>

#include <algorithm>
#include <boost/mp11.hpp>
#include <cerrno>
#include <cstring>

#include "config/expand.hpp"
#include "kernel/cgroup.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/rlimit.hpp"
#include "kernel/socket.hpp"
#include "manager/complain.hpp"
#include "manager/exited.hpp"
#include "manager/run_key.hpp"
#include "manager/token.hpp"
#include "oci/bundle.hpp"

namespace abide::manager {

using model::Role;

namespace {

// So many pipes are told to the anchor and to the logger with one word each.  No child runs while they are made.
constexpr std::size_t kPipesAtOnce = 8;
// With so many children under way the processors have enough to do; a pause of so many starts is 1 ms.
constexpr std::size_t kManyUnderWay = 16, kMostAtOnce = 128;
// Of our own and of clients; and of one service, while it starts.
constexpr std::size_t kOwnDescriptors = 1024, kDescriptorsAService = 8;

// What the child was about to use when it failed: " /srv/app", " nofile=65536 nproc=100".
std::string object_of(kernel::SpawnStage stage, const model::ServiceSpec& spec, const model::InstanceSpec& instance) {
    if (stage == kernel::SpawnStage::directory)
        return " " + (spec.directory.empty() ? instance.directory : std::string(spec.directory.value()));
    std::string out;
    if (stage != kernel::SpawnStage::limits) return out;
    for (const model::ResourceLimit& limit : spec.limits.or_default().resources) {
        const Result<kernel::ResourceLimitValue> ours = kernel::get_limit(limit.resource);
        // The kernel refuses to raise a limit; of several the one at fault is among those.
        if (ours && limit.hard <= ours->hard) continue;
        out += " " + std::string(kernel::limit_name(limit.resource)) + "=";
        out += limit.hard == UINT64_MAX ? std::string("unlimited") : std::to_string(limit.hard);
    }
    return out;
}

bool runs_helper(Role role) {
    return role == Role::container_create || role == Role::container_delete;
}

}  // namespace

Status Launcher::prepare(std::vector<model::Variable> environment, kernel::ResourceLimitValue descriptor_limit) {
    Result<kernel::Fd> null = kernel::open_file("/dev/null", O_RDWR);
    if (!null) return std::unexpected(null.error());
    null_ = std::move(*null);
    inherited_ = inherited_from(std::move(environment));
    descriptor_limit_ = descriptor_limit;
    return {};
}

void Launcher::fail(const model::out::Spawn& effect, std::string stage, const Error& error) {
    std::string what = stage + ": " + describe(error);
    complain(effect.service + ": " + what);
    const int err = error.err != 0 ? error.err : EINVAL;
    uses_.inbox.push(InputClass::process, model::in::SpawnFailed{effect.spawn, std::move(stage), err, std::move(what)});
}

void Launcher::launch(const model::out::Spawn& effect, const Now& now) {
    const core::Engine::Owner owner = uses_.engine.owner_of(effect.spawn);
    if (owner.run == nullptr) return;
    const model::ServiceSpec& spec = uses_.engine.spec_of(*owner.run);
    const Result<RunThings*> things = uses_.runs.prepare(*owner.service, *owner.run, spec, now);
    if (!things) return fail(effect, "descriptors", things.error());
    if (effect.role == Role::main) {
        if (const Status made = uses_.runs.renew_ready(**things, spec); !made)
            return fail(effect, "descriptors", made.error());
    }
    std::vector<std::uint64_t> keys;
    if ((*things)->has_log && !(*things)->log_write) {
        keys.push_back(anchor_key(Keep::log_pipe, run_key(effect.service, effect.run)));
    }
    if (effect.role == Role::main) {
        for (const model::SocketSpec& socket : spec.sockets) {
            const std::uint64_t key =
                anchor_key(Keep::listener, service_key(effect.service, socket.name, socket.address));
            if (uses_.runs.has_listener(key)) keys.push_back(key);
        }
        for (const model::StoredDescriptor& one : owner.service->stored) keys.push_back(one.key.value);
    }
    if (keys.empty()) {
        launching_.push_back(effect);
        if (launching_.size() >= at_once()) spawn_prepared();
        return;
    }
    uses_.anchor.get(std::move(keys), [this, effect](Result<AnchorLink::Kept> kept) {
        if (!kept) return fail(effect, "descriptors", kept.error());
        launch_with(effect, std::move(*kept));
    });
}

// Every process of a run writes into the same pipe; only its read end is kept, so later writers reopen it.
Result<kernel::Fd> Launcher::log_output(RunThings& things, AnchorLink::Kept& kept) {
    if (things.log_write) return std::move(things.log_write);
    const auto pipe = kept.find(anchor_key(Keep::log_pipe, run_key(things.service, things.run)));
    if (pipe == kept.end()) return kernel::Fd{};
    return kernel::reopen(pipe->second.get(), O_WRONLY | O_CLOEXEC);
}

Result<std::vector<kernel::Fd>> Launcher::listeners(const model::ServiceSpec& spec, const model::out::Spawn& effect,
                                                    AnchorLink::Kept& kept) {
    std::vector<kernel::Fd> all;
    for (const model::SocketSpec& socket : spec.sockets) {
        const std::uint64_t key = anchor_key(Keep::listener, service_key(effect.service, socket.name, socket.address));
        if (auto known = kept.extract(key)) {
            all.push_back(std::move(known.mapped()));
            continue;
        }
        const Result<std::string> text = expanded(spec, socket.address, effect.service, effect.run);
        if (!text) return std::unexpected(text.error());
        const Result<kernel::Address> address = kernel::parse_address(*text);
        if (!address) return std::unexpected(address.error());
        Result<kernel::Fd> made = kernel::listen_on(*address, socket.backlog, socket.mode);
        if (!made) return std::unexpected(made.error());
        // Services expect a blocking socket unless they change it (sd_listen_fds(3)).
        if (Status set = kernel::set_nonblocking(made->get(), false); !set) return std::unexpected(set.error());
        Result<kernel::Fd> copy = made->duplicate();
        if (!copy) return std::unexpected(copy.error());
        uses_.anchor.put(key, share(std::move(*copy)), false);
        uses_.runs.made_listener(key);
        all.push_back(std::move(*made));
    }
    return all;
}

// What the service gave away comes after its sockets, as sd_listen_fds_with_names(3) has it.
void Launcher::take_stored(const model::Service& service, AnchorLink::Kept& kept, std::vector<kernel::Fd>& fds,
                           std::vector<std::string>& names) {
    std::vector<FdKey> lost;
    for (const model::StoredDescriptor& one : service.stored) {
        auto found = kept.extract(one.key.value);
        if (!found) {
            lost.push_back(one.key);
            continue;
        }
        fds.push_back(std::move(found.mapped()));
        names.push_back(one.name);
    }
    if (lost.empty()) return;
    complain(service.name + ": " + std::to_string(lost.size()) +
             " stored descriptor(s) are lost: the anchor keeps "
             "as many as it can");
    uses_.inbox.push(InputClass::process, model::in::StoredLost{service.name, std::move(lost)});
}

Result<std::string> Launcher::expanded(const model::ServiceSpec& spec, const std::string& text,
                                       std::string_view service, RunNumber run) {
    if (text.find('$') == std::string::npos) return text;
    ProcessFacts facts;
    facts.service = service;
    facts.run = run;
    const Result<config::Environment> environment = process_environment(inherited_->variables, spec, facts);
    if (!environment) return std::unexpected(environment.error());
    return config::expand_from(text, *environment);
}

// Without a leaf there is nothing to set; that is said like any other reason, once a run.
void Launcher::set_cgroup_limits(int leaf, const model::ServiceSpec& spec, bool tell) {
    for (const auto& [key, file, value] : model::cgroup_limits(spec.limits.or_default())) {
        const Status done = leaf >= 0 ? kernel::cgroup_set(leaf, file, std::to_string(value))
                                      : ::abide::fail(ErrorKind::refused, "services have no control groups here");
        if (!done && tell)
            complain(spec.name + ": limits." + std::string(key) + " is not in force: " + describe(done.error()));
    }
}

// What the runtime is asked for a run that is a container.
std::optional<model::Command> Launcher::runtime_command(const core::Engine::Owner& owner) const {
    const model::ServiceSpec& spec = uses_.engine.spec_of(*owner.run);
    if (!spec.oci) return std::nullopt;
    const std::string& name = owner.service->name;
    const std::string id = uses_.runs.container_id(name), &runtime = spec.oci->runtime;
    const std::string folder = uses_.runs.container_folder(name);
    if (owner.process->role == Role::container_create) {
        const oci::Place place{spec.oci->bundle, uses_.tracking.container_group(name, owner.run->number)};
        return model::Command{oci::helper_create_words(runtime, id, folder, place)};
    }
    if (owner.process->role == Role::container_start) return model::Command{oci::start_words(runtime, id)};
    if (owner.process->role == Role::container_delete) {
        const bool again = owner.run->deletion.or_default().times > 1;
        return model::Command{oci::helper_delete_words(runtime, id, folder, again)};
    }
    return std::nullopt;
}

// Whether a container has a terminal is in its config.json, which only the helper reads.
Result<kernel::Fd> Launcher::console_way(const model::out::Spawn& effect, RunThings& things,
                                         const core::Engine::Owner& owner) {
    if (effect.role != Role::container_create) return kernel::Fd{};
    return uses_.runs.make_console(things, uses_.engine.spec_of(*owner.run), owner.run->started_at);
}

void Launcher::refuse(const model::out::Spawn& effect) {
    fail(effect, "quarantine",
         {ErrorKind::refused, std::string(kManagersDied), 0, "`abide generation` says what is quarantined"});
}

// Should we die of it, the next manager knows.
void Launcher::note(const model::out::Spawn& effect) {
    constexpr auto kKind = static_cast<std::uint32_t>(boost::mp11::mp_find<model::Effect, model::out::Spawn>::value);
    uses_.cursor.enter(Phase::acting, kKind, run_key(effect.service, effect.run), "a start of " + effect.service);
}

void Launcher::launch_with(const model::out::Spawn& effect, AnchorLink::Kept kept) {
    note(effect);
    const core::Engine::Owner owner = uses_.engine.owner_of(effect.spawn);
    RunThings* things = uses_.runs.find(effect.service, effect.run);
    if (owner.run == nullptr || things == nullptr) return;  // stopped while the anchor was asked
    const model::ServiceSpec& spec = uses_.engine.spec_of(*owner.run);
    const bool is_main = effect.role == Role::main;
    Result<kernel::Fd> output = log_output(*things, kept);
    if (!output) return fail(effect, "descriptors", output.error());
    std::vector<kernel::Fd> listening;
    if (is_main && !spec.sockets.empty()) {
        Result<std::vector<kernel::Fd>> made = listeners(spec, effect, kept);
        if (!made) return fail(effect, "sockets", made.error());
        listening = std::move(*made);
    }
    std::vector<std::string> names;
    for (const model::SocketSpec& socket : spec.sockets) names.push_back(socket.name);
    if (is_main) take_stored(*owner.service, kept, listening, names);
    const std::string notify =
        things->notify ? uses_.runs.notify_path(run_key(effect.service, effect.run)) : std::string{};
    ProcessFacts facts{effect.service, effect.run, effect.role, notify, {}, 0, owner.run->stop_reason, nullptr};
    LaunchThings given;
    given.null = null_.get();
    given.output = output->get();
    given.inherited = inherited_;
    given.descriptor_limit = descriptor_limit_;
    if (is_main) given.ready = things->ready_write.get();
    const std::optional<model::Command> runtime = runtime_command(owner);
    if (runtime) given.command = &*runtime;
    if (runs_helper(effect.role)) given.program = "/proc/self/exe";
    Result<kernel::Fd> console = console_way(effect, *things, owner);
    if (!console) return fail(effect, "descriptors", console.error());
    given.console = console->get();
    if (spec.oci) given.container = uses_.runs.container_id(effect.service);
    for (const kernel::Fd& one : listening) given.listeners.push_back(one.get());
    if (!listening.empty()) facts.listen_names = std::move(names);
    for (const model::Process& process : owner.run->processes) {
        if (process.role == Role::main) facts.main_pid = process.pid;
    }
    HoldEnds hold;
    if (effect.hold) {
        Result<HoldEnds> made = uses_.runs.make_hold(*things);
        if (!made) return fail(effect, "descriptors", made.error());
        hold = std::move(*made);
        given.hold = &hold;
    }
    auto request = launch_request(uses_.engine, owner, std::move(facts), given, identities_);
    if (!request) return fail(effect, request.error().stage, request.error().error);
    if (runtime) request->hold = {};  // what a process of the container gets is said in its config.json
    Result<kernel::Fd> leaf = uses_.tracking.leaf_for_spawn(effect.service, effect.run);
    if (!leaf) return fail(effect, "cgroup", leaf.error());
    if (spec.limits) set_cgroup_limits(leaf->get(), spec, is_main || effect.role == Role::container_create);
    if (*leaf && spec.oci) {
        leaf = Tracking::inner_leaf(leaf->get());
        if (!leaf) return fail(effect, "cgroup", leaf.error());
    }
    request->cgroup_fd = leaf->get();
    request->joins_cgroup = uses_.tracking.may_have_been_killed(effect.service, effect.run);
    request->owned.push_back(std::move(*output));
    request->owned.push_back(std::move(*console));
    if (*leaf) request->owned.push_back(std::move(*leaf));
    if (effect.hold) {
        for (kernel::Fd* end : {&hold.release_read, &hold.told_read, &hold.told_write})
            request->owned.push_back(std::move(*end));
    }
    if (is_main && things->ready_write) request->owned.push_back(std::move(things->ready_write));
    for (kernel::Fd& one : listening) request->owned.push_back(std::move(one));
    request->pid_record = uses_.journal.pid_record(effect.spawn);
    prepared_.push_back({effect, std::move(*request)});
}

// What stays of a start is allocated while these are collected, what goes with the child's exec when they are spawned.
// Where many children are on their way and have work for all processors, longer rows of each keep the heap from being
// a grave of the second between the first.
std::size_t Launcher::at_once() const {
    const std::size_t under_way = uses_.spawner.in_flight() + uses_.spawner.queued();
    if (under_way >= kManyUnderWay) return std::min(under_way, kMostAtOnce);
    return uses_.anchor.flushed() ? 1 : kPipesAtOnce;
}

void Launcher::make_room() {
    const std::size_t wanted = kOwnDescriptors + kDescriptorsAService * uses_.engine.size();
    if (wanted <= room_ || uses_.spawner.in_flight() + uses_.spawner.queued() != 0) return;
    room_ = wanted;  // asked once: a table that stays small is only slow
    if (const Status made = kernel::reserve_descriptors(wanted); !made) complain(describe(made.error()));
}

void Launcher::spawn_prepared() {
    const std::vector<model::out::Spawn> effects = std::exchange(launching_, {});
    if (effects.empty() && prepared_.empty()) return;
    make_room();
    if (uses_.anchor.flush()) uses_.logger.flush();
    // One after the other, so that the first children run while the next ones are prepared.
    for (const model::out::Spawn& effect : effects) {
        launch_with(effect, {});
        spawn_those();
    }
    spawn_those();
}

void Launcher::spawn_those() {
    if (prepared_.empty() || !uses_.anchor.flush()) return;  // the anchor is behind: the next turn goes on
    for (Prepared& one : std::exchange(prepared_, {})) {
        const Status asked = uses_.spawner.spawn(std::move(one.request), one.effect.spawn.value);
        if (!asked) fail(one.effect, "clone", asked.error());
    }
}

void Launcher::started(SpawnId spawn, kernel::SpawnEvent& event) {
    const core::Engine::Owner owner = uses_.engine.owner_of(spawn);
    std::uint32_t marks = anchor::kManaged;
    if (owner.run != nullptr) {
        uses_.tracking.add_session(run_key(owner.service->name, owner.run->number), {event.pid, event.start_ticks});
        const bool never = uses_.engine.spec_of(*owner.run).stop.or_default().final_ == model::StopFinal::never;
        if (never) marks |= anchor::kNeverKill;
    }
    uses_.anchor.mark(event.pid, marks);
    const Status watched = uses_.ends.add(event.pidfd.get(), EPOLLIN, token_of(Watched::process, spawn.value));
    if (!watched) complain(describe(watched.error()));  // the anchor tells its exit as well, a little later
    uses_.processes.add(spawn, event.pid, std::move(event.pidfd), true, false);
    if (owner.process != nullptr && owner.process->role == Role::container_create)
        uses_.processes.expect_child_of(spawn);
    uses_.inbox.push(InputClass::process,
                     model::in::Spawned{spawn, event.pid, event.start_ticks, uses_.tracking.has_cgroups()});
}

std::string Launcher::failure(SpawnId spawn, const kernel::SpawnEvent& event) const {
    const core::Engine::Owner owner = uses_.engine.owner_of(spawn);
    if (owner.run == nullptr) return {};
    const model::Command* command =
        command_of(uses_.engine.spec_of(*owner.run), owner.process->role, owner.process->step);
    const std::string program =
        command == nullptr || command->argv.empty() ? std::string{} : " of " + command->argv.front();
    std::string what = std::string(kernel::spawn_stage_name(event.stage)) +
                       object_of(event.stage, uses_.engine.spec_of(*owner.run), uses_.engine.instance().spec) +
                       program + ": " + std::strerror(event.err);
    complain(owner.service->name + ": " + what);
    return what;
}

// The process is not held any more; true when it may have been.
bool Launcher::drop_hold(SpawnId spawn) {
    const core::Engine::Owner owner = uses_.engine.owner_of(spawn);
    if (owner.run == nullptr || !owner.run->hold || owner.process->role != Role::main) return false;
    uses_.runs.drop_hold(owner.service->name, owner.run->number);
    return true;
}

void Launcher::on_spawner(const Now& now) {
    for (kernel::SpawnEvent& event : uses_.spawner.drain()) {
        if (event.token == kLoggerToken) {
            uses_.logger.on_spawn(std::move(event));
            continue;
        }
        if (event.token == kWitnessToken) {
            uses_.upgrader.on_spawn(std::move(event));
            continue;
        }
        const SpawnId spawn{event.token};
        std::optional<Processes::Ended> ended;
        switch (event.kind) {
            case kernel::SpawnEventKind::started: started(spawn, event); break;
            case kernel::SpawnEventKind::held: uses_.inbox.push(InputClass::process, model::in::Held{spawn}); break;
            case kernel::SpawnEventKind::executed:
                uses_.inbox.push(InputClass::process, model::in::Executed{spawn});
                drop_hold(spawn);
                ended = uses_.processes.settle(spawn, false);
                break;
            case kernel::SpawnEventKind::failed:
                if (drop_hold(spawn) && event.stage == kernel::SpawnStage::killed) {
                    ended = uses_.processes.settle(spawn, false);  // somebody ended what was held: its exit says how
                    break;
                }
                uses_.inbox.push(InputClass::process,
                                 model::in::SpawnFailed{spawn, std::string(kernel::spawn_stage_name(event.stage)),
                                                        event.err, failure(spawn, event)});
                ended = uses_.processes.settle(spawn, true);
                break;
        }
        if (ended) {
            uses_.inbox.push(InputClass::process, exited(uses_.engine, uses_.tracking, *ended, now.wall));
        }
    }
    if (uses_.spawner.in_flight() == 0) uses_.processes.spawner_idle();
}

}  // namespace abide::manager
