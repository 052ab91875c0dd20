// cli/event_view.cc -- see event_view.hpp.
#include "cli/event_view.hpp"

#include <cerrno>

#include "base/text.hpp"
#include "events/current.hpp"
#include "events/event.hpp"
#include "events/line.hpp"
#include "kernel/files.hpp"

namespace abide::cli {

namespace {

constexpr std::string_view kPrefix = "abide.";
constexpr std::size_t kMillisecondsEnd = 23;  // of "2026-11-21T09:00:00.123456789Z"

std::string_view data_of(const events::Event& event) {
    const auto line = events::parse_line(event.line);
    // The view is into the event's own text.
    return line ? line->data : std::string_view{};
}

std::string text_member(std::string_view data, std::string_view name) {
    return events::unescape(events::member(data, name));
}

std::string exit_words(std::string_view exit) {
    const std::string signal = text_member(exit, "signal"), code = text_member(exit, "code");
    std::string out = !signal.empty()     ? "killed by " + signal
                      : code == "unknown" ? "exit unknown"
                                          : "exit code " + code;
    if (events::member(exit, "oom") == "true") out += " (out of memory)";
    if (events::member(exit, "core_dumped") == "true") out += " (core dumped)";
    return out;
}

Colour colour_of(const events::Event& event) {
    if (event.is_gap() || event.type.ends_with(".failed")) return Colour::red;
    if (event.type.ends_with(".ready") || event.type.ends_with(".healthy") || event.type.ends_with(".completed"))
        return Colour::green;
    return Colour::none;
}

}  // namespace

std::string short_type(const events::Event& event) {
    return event.type.starts_with(kPrefix) ? event.type.substr(kPrefix.size()) : event.type;
}

std::string event_time(const events::Event& event) {
    std::string text = control::time_text(Wall{event.time_ns}).substr(0, kMillisecondsEnd);
    if (text.size() > 10) text[10] = ' ';
    return text;
}

std::string event_remark(const events::Event& event) {
    const std::string_view data = data_of(event);
    std::string out;
    const auto add = [&](const std::string& part) {
        if (part.empty()) return;
        if (!out.empty()) out += ", ";
        out += part;
    };
    if (event.is_gap()) add(std::string(events::member(data, "count")) + " events are missing");
    const bool in_vain = event.type.ends_with(".reloaded") && text_member(data, "outcome") == "failed";
    const std::string reason = in_vain ? "failed" : text_member(data, "reason"), detail = text_member(data, "detail");
    add(reason.empty() || detail.empty() ? reason + detail : reason + " (" + detail + ")");
    if (const std::string_view exit = events::member(data, "exit"); !exit.empty()) add(exit_words(exit));
    if (const std::string_view delay = events::member(data, "delay_ms"); !delay.empty())
        add("again in " + std::string(delay) + "ms");
    if (const std::string_view fields = events::member(data, "fields"); fields.size() > 2) add(std::string(fields));
    return out;
}

std::string event_text(const Context& context, const events::Event& event) {
    if (context.json()) return event.line + "\n";
    std::string out = paint(event_time(event), Colour::dim, context.coloured()) + "  " + std::to_string(event.id) +
                      " " + paint(context.foreign(short_type(event)), colour_of(event), context.coloured());
    if (!event.subject.empty()) out += " " + paint(context.foreign(event.subject), Colour::bold, context.coloured());
    std::string rest;
    const auto add = [&](const std::string& part) { rest += (rest.empty() ? "" : ", ") + part; };
    if (event.run != 0) add("run " + std::to_string(event.run));
    if (event.pid != 0) add("pid " + std::to_string(event.pid));
    if (const std::string remark = event_remark(event); !remark.empty()) add(context.foreign(remark));
    if (event.cause != 0) add("because of " + std::to_string(event.cause));
    return out + (rest.empty() ? "" : " " + rest) + "\n";
}

Result<std::string> events_folder(const Places& places) {
    if (!places.forced_socket) return places.events;
    Client client(places.control);
    const auto where = client.call<control::WhereReply>(control::Method::where, control::Nothing{});
    if (!where) return std::unexpected(where.error());
    return where->events;
}

Result<kernel::Fd> open_events(const Places& places) {
    const auto folder = events_folder(places);
    if (!folder) return std::unexpected(folder.error());
    auto opened = kernel::open_directory(*folder);
    if (opened || opened.error().err != ENOENT) return opened;
    return fail(ErrorKind::not_found, "there are no events in " + *folder, "has this instance been started?");
}

Status each_current(const Places& places, const std::function<void(events::Event)>& visit) {
    const auto folder = events_folder(places);
    const auto opened = folder ? kernel::open_directory(*folder) : std::unexpected(folder.error());
    if (!opened) return opened.error().err == ENOENT ? Status{} : std::unexpected(opened.error());
    const Result<std::string> current = events::read_current(opened->get());
    if (!current) return std::unexpected(current.error());
    events::each_line(*current,
                      [&](const events::Line& line, std::string_view text) { visit(events::event_of(line, text)); });
    return {};
}

Error error_of(const events::ReadError& error) {
    ErrorKind kind = ErrorKind::failed;
    switch (error.code) {
        case events::ErrorCode::unreadable: kind = error.err == EACCES ? ErrorKind::not_permitted : kind; break;
        case events::ErrorCode::unknown_type: kind = ErrorKind::not_found; break;
        case events::ErrorCode::bad_filter:
        case events::ErrorCode::bad_cursor:
        case events::ErrorCode::other_instance:
        case events::ErrorCode::future_cursor: kind = ErrorKind::usage; break;
    }
    return {kind, error.message, error.err, error.advice};
}

Result<void> read_since(const std::string& text, events::Options& options) {
    if (text == "start") {
        options.start = events::Start::beginning;
        return {};
    }
    if (const auto cursor = events::Cursor::parse(text)) {
        options.start = events::Start::after;
        options.after = *cursor;
        return {};
    }
    const auto duration = parse_duration(text);
    if (!duration) {
        return fail(ErrorKind::usage, "--since " + text + ": neither `start`, nor the id of an event, nor a duration",
                    "like 1842 or 10m");
    }
    options.start = events::Start::ago;
    options.ago = std::chrono::nanoseconds(duration->ns);
    return {};
}

}  // namespace abide::cli
