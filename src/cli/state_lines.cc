// cli/state_lines.cc -- see state_lines.hpp.
#include "cli/state_lines.hpp"

#include <algorithm>
#include <array>

#include "cli/event_view.hpp"
#include "events/line.hpp"

namespace abide::cli {

namespace {

struct Shown {
    std::string_view type;
    std::string_view word;
    Colour colour;
};
constexpr std::array kShown = {
    Shown{"service.created", "created", Colour::none},
    Shown{"service.ready", "ready", Colour::green},
    Shown{"service.unready", "not ready any more", Colour::yellow},
    Shown{"service.healthy", "healthy", Colour::green},
    Shown{"service.unhealthy", "unhealthy", Colour::yellow},
    Shown{"service.reloaded", "reloaded", Colour::none},
    Shown{"service.backoff", "ended", Colour::yellow},
    Shown{"service.completed", "completed", Colour::green},
    Shown{"service.failed", "failed", Colour::red},
    Shown{"service.stopped", "stopped", Colour::none},
    Shown{"service.paused", "paused", Colour::none},
    Shown{"service.unpaused", "goes on", Colour::none},
    Shown{"supervisor.recovered", "the supervisor is back", Colour::yellow},
    Shown{"supervisor.upgraded", "the supervisor was upgraded", Colour::none},
    Shown{"supervisor.rolled-back", "the upgrade was rolled back", Colour::yellow},
    Shown{"supervisor.rescue", "rescue mode", Colour::red},
    Shown{"stream.gap", "events are missing", Colour::red},
};

std::string span(std::int64_t ns) {
    if (ns < seconds(10).ns) return std::to_string(std::max<std::int64_t>(ns, 0) / milliseconds(1).ns) + "ms";
    return ago(Duration{ns});
}

std::string text_member(std::string_view data, std::string_view name) {
    return events::unescape(events::member(data, name));
}

}  // namespace

StateLine StateLines::see(const events::Event& event) {
    const std::string type = short_type(event);
    if (type == "service.starting" || type == "service.unready") began_[event.subject] = event.time_ns;
    const auto shown = std::ranges::find(kShown, type, &Shown::type);
    if (shown == kShown.end()) return {};
    StateLine line{event.subject, std::string(shown->word), shown->colour};
    const auto parsed = events::parse_line(event.line);
    const std::string_view data = parsed ? parsed->data : std::string_view{};
    const std::string detail = text_member(data, "detail");
    const bool in_vain = type == "service.reloaded" && text_member(data, "outcome") == "failed";
    if (in_vain) line = {event.subject, "its reload failed", Colour::yellow};
    const bool of_an_end = type == "service.backoff" || type == "service.failed" || type == "service.completed";
    if (const auto began = began_.find(event.subject);
        began != began_.end() && (type == "service.ready" || type == "service.completed"))
        line.text += " after " + span(event.time_ns - began->second);
    if (type == "supervisor.rolled-back") {
        if (text_member(data, "outcome") == "refused") line.text = "an upgrade was refused";
        if (!detail.empty()) line.text += ": " + detail;
    }
    if (type == "service.ready" && event.pid != 0) line.text += ", pid " + std::to_string(event.pid);
    const bool tells_why = type == "service.unhealthy" || in_vain || (of_an_end && type != "service.completed");
    if (tells_why && !detail.empty()) line.text += ": " + detail;
    if (const std::string_view delay = events::member(data, "delay_ms"); !delay.empty())
        line.text += "; again in " + span(milliseconds(static_cast<std::int64_t>(events::number(delay))).ns);
    return line;
}

}  // namespace abide::cli
