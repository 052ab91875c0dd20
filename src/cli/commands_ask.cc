// cli/commands_ask.cc -- status, why, where, version: what only reads.
#include "base/version.hpp"
#include "cli/commands.hpp"
#include "cli/event_view.hpp"
#include "cli/status_view.hpp"
#include "events/history.hpp"
#include "kernel/clock.hpp"
#include "logger/read.hpp"

namespace abide::cli {

namespace {

constexpr std::size_t kStoryLogLines = 10;

std::vector<std::string> last_lines(const Places& places, const std::string& name) {
    std::vector<std::string> out;
    auto reader = logger::LogReader::open(places.log, {name});
    if (!reader) return out;
    if (const auto lines = reader->tail(kStoryLogLines)) {
        for (const logger::LogLine& line : *lines) out.push_back(line.text);
    }
    return out;
}

constexpr std::size_t kStoryEvents = 12;
constexpr std::size_t kCauses = 16;

// What the event log says of the service; nothing where it can't be read.
std::vector<std::string> history(const Context& context, const Places& places, const std::string& name) {
    std::vector<std::string> out;
    const auto folder = open_events(places);
    if (!folder) return out;
    const auto events = events::last_events(folder->get(), name, kStoryEvents);
    if (!events) return out;
    for (const events::Event& event : *events) {
        const std::string remark = event_remark(event);
        out.push_back(event_time(event) + "  " + short_type(event) + (event.run != 0 ? " run " : "") +
                      (event.run != 0 ? std::to_string(event.run) : "") +
                      (remark.empty() ? "" : ", " + context.foreign(remark)));
    }
    return out;
}

// The newest event of the service and what led to it, one event after the other back to the first cause.
std::vector<events::Event> causes(const Places& places, const std::string& name) {
    const auto folder = open_events(places);
    if (!folder) return {};
    const auto newest = events::last_events(folder->get(), name, 1);
    if (!newest || newest->empty()) return {};
    return events::causes(folder->get(), newest->front().id, kCauses).value_or(std::vector<events::Event>{});
}

CommandResult story(Context& context, Client& client, const std::string& name) {
    const auto reply = client.call<control::StatusReply>(control::Method::status, control::StatusRequest{{name}, true});
    if (!reply) return std::unexpected(reply.error());
    const auto why = client.call<control::WhyReply>(control::Method::why, control::NameRequest{name});
    if (!why) return std::unexpected(why.error());
    auto places = context.places();
    const Look look{context.coloured(), context.columns()};
    for (const control::ServiceStatus& one : reply->services) {
        const auto log = places ? last_lines(*places, one.name) : std::vector<std::string>{};
        const auto past = places ? history(context, *places, one.name) : std::vector<std::string>{};
        context.print(status_story(one, why->lines, past, log, kernel::now().wall, look));
    }
    return 0;
}

// A service that failed before it had a process has no exit to show: its reason is in the detail.
void add_reasons(Client& client, std::vector<control::ServiceStatus>& services) {
    control::StatusRequest request{{}, true};
    for (const control::ServiceStatus& one : services) {
        if (one.state == "failed" && !one.last_exit) request.names.push_back(one.name);
    }
    if (request.names.empty()) return;
    auto reply = client.call<control::StatusReply>(control::Method::status, request);
    if (!reply) return;  // the table is true without it
    for (control::ServiceStatus& detailed : reply->services) {
        for (control::ServiceStatus& one : services) {
            if (one.name == detailed.name) one.detail = std::move(detailed.detail);
        }
    }
}

std::string json_list(const std::vector<control::ServiceStatus>& services) {
    std::string out = "[";
    for (const control::ServiceStatus& one : services) {
        if (out.size() > 1) out += ",\n ";
        control::write(out, one);
    }
    return out + "]\n";
}

}  // namespace

CommandResult status_command(Context& context, const std::vector<std::string>& names) {
    auto client = context.client();
    if (!client) return std::unexpected(client.error());
    if (names.size() == 1 && !context.json()) return story(context, *client, names.front());
    const std::string request =
        names.empty() ? std::string("{}") : control::write(control::StatusRequest{names, names.size() == 1});
    const auto reply = client->call_text(control::Method::status, request);
    if (!reply) return std::unexpected(reply.error());
    auto status = control::read<control::StatusReply>(reply->parameters);
    if (!status) return fail(ErrorKind::failed, "the supervisor's reply has a wrong `" + status.error() + "`");
    if (!context.json()) add_reasons(*client, status->services);
    context.print(context.json()
                      ? json_list(status->services)
                      : status_table(status->services, kernel::now().wall, {context.coloured(), context.columns()}));
    return 0;
}

CommandResult why_command(Context& context, const std::string& name) {
    auto client = context.client();
    if (!client) return std::unexpected(client.error());
    const auto reply = client->call<control::WhyReply>(control::Method::why, control::NameRequest{name});
    if (!reply) return std::unexpected(reply.error());
    auto places = context.places();
    const auto chain = places ? causes(*places, name) : std::vector<events::Event>{};
    if (context.json()) {
        std::string out = control::write(*reply);
        out.pop_back();
        out += ",\"events\":[";
        for (const events::Event& event : chain) out += (out.ends_with('[') ? "" : ",") + event.line;
        context.print(out + "]}\n");
        return 0;
    }
    for (const std::string& line : reply->lines) context.print(context.foreign(line) + "\n");
    for (const events::Event& event : chain) context.print("  " + event_text(context, event));
    return 0;
}

CommandResult where_command(Context& context) {
    auto places = context.places();
    if (!places) return std::unexpected(places.error());
    control::WhereReply where{
        places->configuration, places->runtime, places->control, places->events, places->log, places->apps, 0, 0, 0};
    Client client(places->control);
    const auto reply = client.call<control::WhereReply>(control::Method::where, control::Nothing{});
    if (reply) {
        // What the instance was started with is true; what it doesn't say follows from the table.
        const auto prefer = [](std::string& mine, const std::string& theirs) {
            if (!theirs.empty()) mine = theirs;
        };
        prefer(where.configuration, reply->configuration);
        prefer(where.runtime, reply->runtime);
        prefer(where.control, reply->control);
        prefer(where.events, reply->events);
        prefer(where.log, reply->log);
        prefer(where.apps, reply->apps);
        where.anchor_pid = reply->anchor_pid;
        where.manager_pid = reply->manager_pid;
        where.logger_pid = reply->logger_pid;
    } else if (reply.error().kind != ErrorKind::unreachable) {
        return std::unexpected(reply.error());
    }
    if (context.json()) {
        context.print(control::write(where) + "\n");
        return 0;
    }
    const auto pid = [](std::int64_t number) {
        return number > 0 ? std::to_string(number) : std::string("not running");
    };
    std::vector<std::vector<Cell>> rows;
    for (const auto& [label, text] :
         std::initializer_list<std::pair<const char*, std::string>>{{"configuration", where.configuration},
                                                                    {"runtime", where.runtime},
                                                                    {"control", where.control},
                                                                    {"events", where.events},
                                                                    {"log", where.log},
                                                                    {"apps", where.apps},
                                                                    {"anchor", pid(where.anchor_pid)},
                                                                    {"manager", pid(where.manager_pid)},
                                                                    {"logger", pid(where.logger_pid)}}) {
        rows.push_back({{label, Colour::dim}, {safe(text)}});
    }
    context.print(render_table(rows, context.coloured(), 0));
    return 0;
}

CommandResult version_command(Context& context) {
    context.print(context.json() ? "{\"version\":\"" + std::string(version()) + "\"}\n"
                                 : "abide " + std::string(version()) + "\n");
    return 0;
}

}  // namespace abide::cli
