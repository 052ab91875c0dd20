// manager/methods.cc -- see the header.
#include "manager/methods.hpp"

#include <algorithm>
#include <array>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "base/version.hpp"
#include "config/load.hpp"
#include "journal/compact.hpp"
#include "model/codec.hpp"
#include "model/signal.hpp"

namespace abide::manager {

namespace {

using control::Method;
using model::Verb;

constexpr std::size_t kProgressLines = 32;
constexpr std::size_t kProgressTargets = 64;

struct Asked {
    const varlink::Call& call;
    const model::Requester& requester;
    const core::Engine& engine;
    const Places& places;
    const Now& now;
};

Answer say(std::string message) {
    return Say{std::move(message)};
}
Answer pass(model::Input input, Manner manner = {}) {
    Ask ask;
    ask.inputs.push_back(std::move(input));
    ask.manner = std::move(manner);
    return ask;
}
template <class T>
Answer say_value(const T& value) {
    return say(varlink::build_reply(control::write(value)));
}
Answer say_error(ErrorKind kind, std::string what, std::string advice = {}) {
    return say(control::error_message(Error{kind, std::move(what), 0, std::move(advice)}));
}

// A timeout of 0 means "at once": the engine's 0 is "none".
Duration timeout_of(const std::optional<std::int64_t>& ms) {
    if (!ms) return {};
    return *ms <= 0 ? Duration{1} : Duration{std::min<std::int64_t>(*ms, INT64_MAX / 2'000'000) * 1'000'000};
}

// Instances of templates that are started by name and do not exist yet.
Result<model::Configuration> missing_instances(const core::Engine& engine, const std::vector<std::string>& names) {
    model::Configuration made;
    made.instance = engine.instance().spec;
    for (const std::string& name : names) {
        const std::size_t at = name.find('@');
        if (at == std::string::npos || at + 1 == name.size() || engine.find(name) != nullptr) continue;
        const model::Service* pattern = engine.find(name.substr(0, at + 1));
        if (pattern == nullptr) continue;
        Result<model::ServiceSpec> spec = config::instantiate(engine.spec_of(*pattern), name.substr(at + 1));
        if (!spec) return std::unexpected(spec.error());
        made.services.push_back(std::move(*spec));
    }
    std::ranges::sort(made.services, {}, &model::ServiceSpec::name);
    return made;
}

// The operation that this caller asked for under the same name before: its connection was lost since.
const model::Operation* asked_before(const Asked& asked, const std::string& ticket) {
    if (ticket.empty()) return nullptr;
    for (const auto& [id, operation] : asked.engine.operations()) {
        if (operation.ticket == ticket && operation.requester.uid == asked.requester.uid) return &operation;
    }
    return nullptr;
}

constexpr std::size_t kTicketBytes = 64;

// An answer about the operation that `input` makes, or has made the first time.
Answer ask(const Asked& asked, model::in::Requested input, std::string ticket, bool wait = true) {
    if (ticket.size() > kTicketBytes) return say(varlink::invalid_parameter("request"));
    const Manner manner{wait, asked.call.more && wait, {}, {}};
    if (const model::Operation* before = asked_before(asked, ticket)) return Join{before->id, manner};
    input.requester = asked.requester;
    input.ticket = std::move(ticket);
    return pass(std::move(input), manner);
}

Answer status(const Asked& asked) {
    const auto request = control::read<control::StatusRequest>(asked.call.parameters);
    if (!request) return say(varlink::invalid_parameter(request.error()));
    std::vector<const model::Service*> services;
    if (request->names.empty()) services = asked.engine.services();
    for (const std::string& name : request->names) {
        services.push_back(asked.engine.find(name));
        if (services.back() == nullptr) return say_error(ErrorKind::not_found, "no service '" + name + "'");
    }
    control::StatusMessage message(services.size());
    for (const model::Service* service : services) {
        const model::ServiceSpec& spec = asked.engine.spec_of(*service);
        control::ServiceStatus status = control::status_of(*service, spec, asked.engine.waiting_for(*service));
        if (request->detail) status.detail = control::detail_of(*service, spec);
        message.add(status);
    }
    return say(std::move(message).finish());
}

Answer why(const Asked& asked) {
    const auto request = control::read<control::NameRequest>(asked.call.parameters);
    if (!request) return say(varlink::invalid_parameter(request.error()));
    const model::Service* service = asked.engine.find(request->name);
    if (service == nullptr) return say_error(ErrorKind::not_found, "no service '" + request->name + "'");
    return say_value(control::WhyReply{asked.engine.why(*service, asked.now)});
}

Answer operations(const Asked& asked) {
    control::OperationsReply reply;
    for (const auto& [id, operation] : asked.engine.operations())
        reply.operations.push_back(control::operation_of(operation));
    return say_value(reply);
}

Answer ping(const Asked& asked) {
    const model::Instance& instance = asked.engine.instance();
    return say_value(control::PingReply{std::string(version()), instance.spec.name,
                                        static_cast<std::int64_t>(asked.places.epoch), instance.shutting_down});
}

Answer generation(const Asked& asked) {
    control::GenerationReply reply = asked.places.generation;
    if (const auto& last = asked.engine.instance().last_upgrade) reply.last_upgrade = control::upgrade_of(*last);
    return say_value(reply);
}

Answer wait_for(const Asked& asked) {
    const auto request = control::read<control::OperationRequest>(asked.call.parameters);
    if (!request) return say(varlink::invalid_parameter(request.error()));
    const OperationId id{static_cast<std::uint64_t>(request->operation)};
    if (asked.engine.operation(id) == nullptr) {
        return say_error(ErrorKind::not_found, "no operation " + std::to_string(request->operation) + " is remembered");
    }
    Join join{id, {true, asked.call.more, {}, {}}};
    if (request->timeout_ms) join.manner.until = asked.now.mono + timeout_of(request->timeout_ms);
    return join;
}

Answer targets(const Asked& asked, Verb verb) {
    auto request = control::read<control::TargetsRequest>(asked.call.parameters);
    if (!request) return say(varlink::invalid_parameter(request.error()));
    if (request->names.empty() && verb != Verb::start) return say(varlink::invalid_parameter("names"));
    std::optional<model::in::Configured> define;
    const bool may_define = verb == Verb::start || verb == Verb::create || verb == Verb::restart;
    if (may_define && asked_before(asked, request->request) == nullptr) {
        Result<model::Configuration> made = missing_instances(asked.engine, request->names);
        if (!made) return say(control::error_message(made.error()));
        if (!made->services.empty()) {
            define.emplace(model::in::Configured{std::move(*made), true, asked.requester, {}});
            define->requester.permission = model::Permission::administer;  // the template was an administrator's
        }
    }
    model::in::Requested input;
    input.verb = verb;
    input.names = std::move(request->names);
    input.timeout = timeout_of(request->timeout_ms);
    Answer answer = ask(asked, std::move(input), std::move(request->request), request->wait);
    if (Ask* const asks = std::get_if<Ask>(&answer); define && asks != nullptr)
        asks->inputs.insert(asks->inputs.begin(), std::move(*define));
    return answer;
}

Answer kill(const Asked& asked) {
    auto request = control::read<control::KillRequest>(asked.call.parameters);
    if (!request) return say(varlink::invalid_parameter(request.error()));
    model::in::Requested input;
    input.verb = Verb::kill;
    input.names = {request->name};
    input.whole_tree = request->whole_tree;
    if (!request->signal.empty()) {
        const std::optional<int> signal = model::parse_signal(request->signal);
        if (!signal) return say(varlink::invalid_parameter("signal"));
        input.signal = *signal;
    }
    return ask(asked, std::move(input), std::move(request->request));
}

Answer names(const Asked& asked, Verb verb) {
    auto request = control::read<control::NamesRequest>(asked.call.parameters);
    if (!request) return say(varlink::invalid_parameter(request.error()));
    if (request->names.empty()) return say(varlink::invalid_parameter("names"));
    model::in::Requested input;
    input.verb = verb;
    input.names = std::move(request->names);
    return ask(asked, std::move(input), std::move(request->request));
}

Answer cancel(const Asked& asked) {
    const auto request = control::read<control::OperationRequest>(asked.call.parameters);
    if (!request) return say(varlink::invalid_parameter(request.error()));
    model::in::Requested input;
    input.verb = Verb::cancel;
    input.operation = OperationId{static_cast<std::uint64_t>(request->operation)};
    input.requester = asked.requester;
    return pass(std::move(input));
}

Answer down(const Asked& asked) {
    auto request = control::read<control::DownRequest>(asked.call.parameters);
    if (!request) return say(varlink::invalid_parameter(request.error()));
    model::in::Requested input;
    input.verb = Verb::shutdown;
    input.timeout = timeout_of(request->timeout_ms);
    return ask(asked, std::move(input), std::move(request->request), request->wait);
}

Answer upgrade(const Asked& asked) {
    auto request = control::read<control::UpgradeRequest>(asked.call.parameters);
    if (!request) return say(varlink::invalid_parameter(request.error()));
    if (!request->program.starts_with('/')) return say(varlink::invalid_parameter("program"));
    model::in::Requested input;
    input.verb = request->anchor ? Verb::upgrade_anchor : Verb::upgrade;
    input.program = std::move(request->program);
    input.probation = {std::clamp<std::int64_t>(request->probation_ms.value_or(control::kProbationMs), 0, 86'400'000) *
                       1'000'000};
    return ask(asked, std::move(input), std::move(request->request), request->wait);
}

Answer vouch(const Asked& asked) {
    const auto request = control::read<control::VouchRequest>(asked.call.parameters);
    if (!request) return say(varlink::invalid_parameter(request.error()));
    const model::Operation* operation =
        asked.engine.operation(OperationId{static_cast<std::uint64_t>(request->operation)});
    if (operation == nullptr || operation->verb != Verb::upgrade || operation->outcome != model::Outcome::pending)
        return say_error(ErrorKind::refused, "no such upgrade is under way");
    return Vouch{*request, varlink::build_reply(control::write(control::Nothing{}))};
}

// As text, so that a person can read it: the journal that a compaction would write now.
Answer state(const Asked& asked) {
    const core::Snapshot now = asked.engine.snapshot();
    journal::Live live;
    live.instance = &now.instance;
    live.specs = &now.specs;
    for (const model::Service& service : now.services) live.services.push_back(&service);
    for (const model::Operation& operation : now.operations) live.operations.push_back(&operation);
    live.program = std::string(version());
    journal::Writer writer{Epoch{asked.places.epoch}};
    return say_value(control::StateReply{journal::dump(journal::read(journal::compact(writer, live)))});
}

std::string_view change_word(core::PlannedChange::What what) {
    switch (what) {
        case core::PlannedChange::What::define: return "add";
        case core::PlannedChange::What::restart: return "restart";
        case core::PlannedChange::What::adjust: return "update";
        case core::PlannedChange::What::forget: return "remove";
    }
    return "update";
}

Answer configure(const Asked& asked, bool apply) {
    const auto request = control::read<control::ConfigurationRequest>(asked.call.parameters);
    if (!request) return say(varlink::invalid_parameter(request.error()));
    Result<model::Configuration> configuration = model::decode<model::Configuration>(request->configuration);
    if (!configuration) return say(control::error_message(configuration.error()));
    const auto planned = asked.engine.plan(*configuration, request->dynamic);
    if (!planned) return say(control::error_message(planned.error()));
    std::vector<control::Change> changes;
    for (const core::PlannedChange& change : *planned) {
        changes.push_back({change.subject, std::string(change_word(change.what)), change.detail});
    }
    if (!apply) return say_value(control::ChangesReply{std::move(changes), 0, {}, {}});
    Manner manner{false, false, {}, std::move(changes)};
    if (const model::Operation* before = asked_before(asked, request->request))
        return Join{before->id, std::move(manner)};
    return pass(model::in::Configured{std::move(*configuration), request->dynamic, asked.requester, request->request},
                std::move(manner));
}

Answer subscribe(const Asked& asked) {
    auto request = control::read<control::SubscribeRequest>(asked.call.parameters);
    if (!request) return say(varlink::invalid_parameter(request.error()));
    if (!asked.call.more) return say(varlink::expected_more());
    return Follow{std::move(*request)};
}

Answer emit(const Asked& asked) {
    const auto request = control::read<control::EmitRequest>(asked.call.parameters);
    if (!request) return say(varlink::invalid_parameter(request.error()));
    if (!is_plain_name(request->name)) return say(varlink::invalid_parameter("name"));
    if (request->request.size() > kTicketBytes) return say(varlink::invalid_parameter("request"));
    // It was emitted, and the word of it lost.
    if (const model::Operation* before = asked_before(asked, request->request)) return Join{before->id, {}};
    model::in::Emitted input{request->name, {}, asked.requester, request->request};
    std::size_t bytes = 0;
    for (const control::EventField& field : request->fields) {
        if (!is_plain_name(field.name) || !is_utf8(field.value)) return say(varlink::invalid_parameter("fields"));
        bytes += field.name.size() + field.value.size();
        input.fields.push_back({field.name, field.value});
    }
    if (request->fields.size() > limits::kEventFields || bytes > limits::kEventBytes) {
        return say_error(ErrorKind::refused, "an event has at most " + std::to_string(limits::kEventFields) +
                                                 " fields of " + std::to_string(limits::kEventBytes) +
                                                 " bytes together");
    }
    return pass(std::move(input));
}

Answer dispatch(const Asked& asked, Method method) {
    switch (method) {
        case Method::ping: return ping(asked);
        case Method::status: return status(asked);
        case Method::why: return why(asked);
        case Method::where: return say_value(asked.places.where);
        case Method::operations: return operations(asked);
        case Method::wait: return wait_for(asked);
        case Method::generation: return generation(asked);
        case Method::subscribe: return subscribe(asked);
        case Method::start: return targets(asked, Verb::start);
        case Method::create: return targets(asked, Verb::create);
        case Method::stop: return targets(asked, Verb::stop);
        case Method::restart: return targets(asked, Verb::restart);
        case Method::reload: return targets(asked, Verb::reload);
        case Method::kill: return kill(asked);
        case Method::force_destroy: return targets(asked, Verb::force_destroy);
        case Method::pause: return targets(asked, Verb::pause);
        case Method::unpause: return targets(asked, Verb::unpause);
        case Method::cancel: return cancel(asked);
        case Method::enable: return names(asked, Verb::enable);
        case Method::disable: return names(asked, Verb::disable);
        case Method::down: return down(asked);
        case Method::apply: return configure(asked, true);
        case Method::plan: return configure(asked, false);
        case Method::remove: return names(asked, Verb::remove);
        case Method::upgrade: return upgrade(asked);
        case Method::vouch: return vouch(asked);
        case Method::state: return state(asked);
        case Method::emit: return emit(asked);
    }
    return say(varlink::method_not_implemented(asked.call.method));
}

}  // namespace

Answer answer(const varlink::Call& call, const model::Requester& requester, const core::Engine& engine,
              const Places& places, const Now& now) {
    const std::array interfaces = {varlink::Interface{control::kInterface, control::kDescription}};
    const varlink::ServiceInfo info{"Abide", "abide", version(), "", interfaces};
    if (std::optional<std::string> told = varlink::answer_service(call, info)) return say(std::move(*told));
    const control::MethodInfo* method = control::find_method(call.method);
    if (method == nullptr) return say(varlink::method_not_found(call.method));
    if (requester.permission < method->permission) {
        return say_error(ErrorKind::not_permitted, "user " + std::to_string(requester.uid) + " may not do this here",
                         "the owner and root may; [control] in the configuration names groups");
    }
    return dispatch(Asked{call, requester, engine, places, now}, method->method);
}

std::vector<std::string> progress_of(const core::Engine& engine, const model::Operation& operation) {
    std::vector<std::string> lines;
    if (operation.targets.size() > kProgressTargets) return lines;
    for (const model::TargetResult& target : operation.targets) {
        if (target.outcome != model::Outcome::pending) continue;
        const model::Service* service = engine.find(target.name);
        if (service == nullptr) continue;
        for (const std::string& line : engine.waiting_for(*service)) {
            if (lines.size() >= kProgressLines) return lines;
            lines.push_back(target.name + ": " + line);
        }
    }
    return lines;
}

std::string operation_message(const core::Engine& engine, const model::Operation& operation, bool last) {
    std::vector<std::string> progress;
    if (operation.outcome == model::Outcome::pending) progress = progress_of(engine, operation);
    return varlink::build_reply(control::write(control::operation_of(operation, std::move(progress))), !last);
}

std::string apply_message(const model::Operation& operation, const std::vector<control::Change>& changes) {
    const control::OperationReply about = control::operation_of(operation);
    return varlink::build_reply(
        control::write(control::ChangesReply{changes, about.operation, about.outcome, about.detail}));
}

}  // namespace abide::manager
