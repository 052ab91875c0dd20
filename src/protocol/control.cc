// protocol/control.cc -- the table of methods, the JSON form of each struct, and errors on the wire.  See control.hpp.
#include "protocol/control.hpp"

#include <array>

#include "base/check.hpp"
#include "protocol/control_json.hpp"

namespace abide::control {

namespace {

using model::Permission;

constexpr std::array kMethods = {
    MethodInfo{Method::ping, "io.abide.Control.Ping", Permission::read, false},
    MethodInfo{Method::status, "io.abide.Control.Status", Permission::read, false},
    MethodInfo{Method::why, "io.abide.Control.Why", Permission::read, false},
    MethodInfo{Method::where, "io.abide.Control.Where", Permission::read, false},
    MethodInfo{Method::operations, "io.abide.Control.Operations", Permission::read, false},
    MethodInfo{Method::wait, "io.abide.Control.Wait", Permission::read, true},
    MethodInfo{Method::generation, "io.abide.Control.Generation", Permission::read, false},
    MethodInfo{Method::subscribe, "io.abide.Control.Subscribe", Permission::read, true},
    MethodInfo{Method::start, "io.abide.Control.Start", Permission::operate, true},
    MethodInfo{Method::create, "io.abide.Control.Create", Permission::operate, true},
    MethodInfo{Method::stop, "io.abide.Control.Stop", Permission::operate, true},
    MethodInfo{Method::restart, "io.abide.Control.Restart", Permission::operate, true},
    MethodInfo{Method::reload, "io.abide.Control.Reload", Permission::operate, true},
    MethodInfo{Method::kill, "io.abide.Control.Kill", Permission::operate, false},
    MethodInfo{Method::force_destroy, "io.abide.Control.ForceDestroy", Permission::operate, true},
    MethodInfo{Method::pause, "io.abide.Control.Pause", Permission::operate, true},
    MethodInfo{Method::unpause, "io.abide.Control.Unpause", Permission::operate, true},
    MethodInfo{Method::cancel, "io.abide.Control.Cancel", Permission::operate, false},
    MethodInfo{Method::enable, "io.abide.Control.Enable", Permission::administer, false},
    MethodInfo{Method::disable, "io.abide.Control.Disable", Permission::administer, false},
    MethodInfo{Method::down, "io.abide.Control.Down", Permission::administer, true},
    MethodInfo{Method::apply, "io.abide.Control.Apply", Permission::administer, false},
    MethodInfo{Method::plan, "io.abide.Control.Plan", Permission::administer, false},
    MethodInfo{Method::remove, "io.abide.Control.Remove", Permission::administer, false},
    MethodInfo{Method::upgrade, "io.abide.Control.Upgrade", Permission::administer, true},
    MethodInfo{Method::vouch, "io.abide.Control.Vouch", Permission::administer, false},
    MethodInfo{Method::state, "io.abide.Control.State", Permission::administer, false},
    MethodInfo{Method::emit, "io.abide.Control.Emit", Permission::administer, false},
};

// An error's name on the wire.
struct ErrorName {
    ErrorKind kind;
    std::string_view name;
};
constexpr std::array kErrorNames = {
    ErrorName{ErrorKind::not_found, kNotFound}, ErrorName{ErrorKind::not_permitted, kNotPermitted},
    ErrorName{ErrorKind::refused, kRefused},    ErrorName{ErrorKind::timed_out, kTimedOut},
    ErrorName{ErrorKind::failed, kFailed},
};

struct ErrorParameters {
    std::string message, advice;
};
BOOST_DESCRIBE_STRUCT(ErrorParameters, (), (message, advice))

std::string text_of(const boost::json::object& object, std::string_view name) {
    const boost::json::value* value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

// ---- structs whose JSON form is not just their members
// -------------------------------------------------------------------------

void write_value(std::string& out, const LastExit& value) {
    if (value.signal) {
        out += "{\"signal\":";
        write_value(out, *value.signal);
    } else {
        out += "{\"code\":";
        if (value.code) {
            write_value(out, *value.code);
        } else {
            out += "\"unknown\"";
        }
    }
    out += ",\"core_dumped\":";
    write_value(out, value.core_dumped);
    if (value.oom) out += ",\"oom\":true";
    out += ",\"time\":";
    write_value(out, value.time);
    out += ",\"rusage\":";
    write_value(out, value.rusage);
    out += '}';
}

bool read_value(const boost::json::value& json, LastExit& value, std::string& where) {
    if (!json.is_object()) return false;
    const boost::json::object& object = json.get_object();
    if (text_of(object, "code") != "unknown" && !read_member(object, "code", value.code, where)) return false;
    return read_member(object, "signal", value.signal, where) &&
           read_member(object, "core_dumped", value.core_dumped, where) &&
           (!object.contains("oom") || read_member(object, "oom", value.oom, where)) &&
           read_member(object, "time", value.time, where) && read_member(object, "rusage", value.rusage, where);
}

// The members of a ServiceStatus, once, for both directions.
template <class Status, class Visit>
void each_member(Status& status, const Visit& visit) {
    visit("name", status.name);
    visit("kind", status.kind);
    visit("state", status.state);
    visit("stage", status.stage);
    visit("conditions", status.conditions);
    visit("want", status.want);
    visit("pid", status.pid);
    visit("run", status.run);
    visit("since", status.since);
    visit("restarts", status.restarts);
    visit("last_exit", status.last_exit);
    visit("waiting_for", status.waiting_for);
    visit("revision", status.revision);
    visit("description", status.description);
}

void write_value(std::string& out, const ServiceStatus& value) {
    out += '{';
    bool first = true;
    each_member(value, [&](std::string_view name, const auto& member) {
        write_name(out, name, first);
        write_value(out, member);
    });
    if (value.detail) {
        write_name(out, "detail", first);
        write_value(out, *value.detail);
    }
    out += '}';
}

bool read_value(const boost::json::value& json, ServiceStatus& value, std::string& where) {
    if (!json.is_object()) return false;
    bool good = true;
    each_member(value, [&](std::string_view name, auto& member) {
        good = good && read_member(json.get_object(), name, member, where);
    });
    return good && read_member(json.get_object(), "detail", value.detail, where);
}

// ---- methods
// ----------------------------------------------------------------------------------------------------

std::span<const MethodInfo> methods() {
    return kMethods;
}

const MethodInfo& info(Method method) {
    for (const MethodInfo& one : kMethods) {
        if (one.method == method) return one;
    }
    check_failed(__FILE__, __LINE__, "a method is missing in the table");
}

const MethodInfo* find_method(std::string_view full_name) {
    for (const MethodInfo& one : kMethods) {
        if (one.name == full_name) return &one;
    }
    return nullptr;
}

// ---- errors
// ----------------------------------------------------------------------------------------------------

std::string error_message(const Error& error) {
    std::string_view name = kFailed;
    if (error.kind == ErrorKind::usage) name = kRefused;
    for (const ErrorName& one : kErrorNames) {
        if (one.kind == error.kind) name = one.name;
    }
    std::string parameters;
    write_value(parameters, ErrorParameters{error.what, error.advice});
    return varlink::build_error(name, parameters);
}

std::string shutting_down_message() {
    std::string parameters;
    write_value(parameters,
                ErrorParameters{"the instance is shutting down", "wait until it has ended, then `abide up`"});
    return varlink::build_error(kShuttingDown, parameters);
}

Error error_of(const varlink::Reply& reply) {
    const std::string message = text_of(reply.parameters, "message"), advice = text_of(reply.parameters, "advice");
    for (const ErrorName& one : kErrorNames) {
        if (one.name == reply.error) return {one.kind, message, 0, advice};
    }
    if (reply.error == kShuttingDown) return {ErrorKind::refused, message, 0, advice};
    if (reply.error == varlink::kPermissionDenied) {
        return {ErrorKind::not_permitted, "the supervisor does not permit this to you", 0, {}};
    }
    if (reply.error == varlink::kInvalidParameter) {
        return {ErrorKind::usage,
                "the supervisor refuses the parameter `" + text_of(reply.parameters, "parameter") + "`",
                0,
                {}};
    }
    const std::string subject = text_of(reply.parameters, "method") + text_of(reply.parameters, "interface");
    return {ErrorKind::failed, "the supervisor answers " + reply.error + (subject.empty() ? "" : ": " + subject), 0,
            "the supervisor may be of another version: compare `abide version` on both sides"};
}

// ---- JSON
// ----------------------------------------------------------------------------------------------------

template <class T>
void write(std::string& out, const T& value) {
    write_value(out, value);
}

template <class T>
std::expected<T, std::string> read(const boost::json::object& object) {
    T value{};
    std::string where;
    bool good = true;
    if constexpr (std::is_same_v<T, ServiceStatus> || std::is_same_v<T, LastExit>) {
        good = read_value(boost::json::value(object), value, where);
    } else {
        boost::mp11::mp_for_each<MembersOf<T>>([&](auto member) {
            if (good) good = read_member(object, member.name, value.*member.pointer, where);
        });
    }
    if (!good) return std::unexpected(where.empty() ? std::string("parameters") : where);
    return value;
}

StatusMessage::StatusMessage(std::size_t services) {
    constexpr std::size_t kUsualBytes = 280;  // of one
    text_.reserve(services * kUsualBytes + 64);
    text_ = R"({"parameters":{"services":[)";
}

void StatusMessage::add(const ServiceStatus& service) {
    if (!first_) text_ += ',';
    first_ = false;
    write_value(text_, service);
}

std::string StatusMessage::finish() && {
    text_ += "]}}";
    text_ += '\0';
    return std::move(text_);
}

#define ABIDE_CONTROL_STRUCT(T)                  \
    template void write(std::string&, const T&); \
    template std::expected<T, std::string> read(const boost::json::object&);
ABIDE_CONTROL_STRUCT(Nothing)
ABIDE_CONTROL_STRUCT(StatusRequest)
ABIDE_CONTROL_STRUCT(TargetsRequest)
ABIDE_CONTROL_STRUCT(KillRequest)
ABIDE_CONTROL_STRUCT(NamesRequest)
ABIDE_CONTROL_STRUCT(DownRequest)
ABIDE_CONTROL_STRUCT(NameRequest)
ABIDE_CONTROL_STRUCT(ConfigurationRequest)
ABIDE_CONTROL_STRUCT(OperationRequest)
ABIDE_CONTROL_STRUCT(UpgradeRequest)
ABIDE_CONTROL_STRUCT(VouchRequest)
ABIDE_CONTROL_STRUCT(GenerationReply)
ABIDE_CONTROL_STRUCT(StateReply)
ABIDE_CONTROL_STRUCT(RehearsalReport)
ABIDE_CONTROL_STRUCT(SubscribeRequest)
ABIDE_CONTROL_STRUCT(EmitRequest)
ABIDE_CONTROL_STRUCT(Usage)
ABIDE_CONTROL_STRUCT(LastExit)
ABIDE_CONTROL_STRUCT(ProcessStatus)
ABIDE_CONTROL_STRUCT(RunStatus)
ABIDE_CONTROL_STRUCT(PastRunStatus)
ABIDE_CONTROL_STRUCT(DependencyStatus)
ABIDE_CONTROL_STRUCT(StatusDetail)
ABIDE_CONTROL_STRUCT(ServiceStatus)
ABIDE_CONTROL_STRUCT(StatusReply)
ABIDE_CONTROL_STRUCT(TargetReply)
ABIDE_CONTROL_STRUCT(OperationReply)
ABIDE_CONTROL_STRUCT(OperationsReply)
ABIDE_CONTROL_STRUCT(WhyReply)
ABIDE_CONTROL_STRUCT(WhereReply)
ABIDE_CONTROL_STRUCT(Change)
ABIDE_CONTROL_STRUCT(ChangesReply)
ABIDE_CONTROL_STRUCT(PingReply)
#undef ABIDE_CONTROL_STRUCT

}  // namespace abide::control
