// events/history.cc -- see history.hpp.
#include "events/history.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "events/current.hpp"
#include "events/tail.hpp"
#include "kernel/files.hpp"

namespace abide::events {

namespace {

constexpr std::size_t kSegmentBytes = 64u << 20;
constexpr std::string_view kCreated = "abide.service.created";

// A text as the writer escapes it: names of services need none.
std::string needle_of(std::string_view service) {
    return "\"subject\":\"" + std::string(service) + "\"";
}

// The line around an offset, and where it begins.
std::string_view line_around(std::string_view bytes, std::size_t at, std::size_t& begin) {
    const std::size_t before = bytes.rfind('\n', at);
    begin = before == std::string_view::npos ? 0 : before + 1;
    const std::size_t end = bytes.find('\n', at);
    return end == std::string_view::npos ? std::string_view{} : bytes.substr(begin, end - begin);
}

// False: `visit` has seen enough.
bool each_backward_in(std::string_view bytes, std::string_view service, std::uint64_t up_to,
                      const std::function<bool(Event&&)>& visit) {
    const std::string needle = needle_of(service);
    for (std::size_t at = bytes.rfind(needle); at != std::string_view::npos;) {
        std::size_t begin = 0;
        const std::string_view text = line_around(bytes, at, begin);
        const std::optional<Line> line = parse_line(text);
        if (line && line->id <= up_to && line->subject == service && !visit(event_of(*line, text))) return false;
        at = begin == 0 ? std::string_view::npos : bytes.substr(0, begin - 1).rfind(needle);
    }
    return true;
}

}  // namespace

Status each_backward(int folder, std::string_view service, std::uint64_t up_to,
                     const std::function<bool(Event&&)>& visit) {
    const Result<std::vector<std::uint64_t>> segments = list_segments(folder);
    if (!segments) return std::unexpected(segments.error());
    for (auto first = segments->rbegin(); first != segments->rend(); ++first) {
        if (*first > up_to) continue;
        const Result<kernel::Fd> segment = open_segment(folder, *first);
        if (!segment && segment.error().err == ENOENT) continue;  // forgotten meanwhile
        const Result<std::string> read =
            segment ? kernel::read_all(segment->get(), kSegmentBytes) : std::unexpected(segment.error());
        if (!read) return std::unexpected(read.error());
        if (!each_backward_in(*read, service, up_to, visit)) return {};
    }
    const Result<std::string> current = read_current(folder);
    if (!current) return std::unexpected(current.error());
    each_backward_in(*current, service, up_to, visit);
    return {};
}

Result<NewestRun> newest_run(int folder, std::string_view service) {
    const Result<LogEnd> end = find_log_end(folder);
    if (!end) return std::unexpected(end.error());
    NewestRun out;
    out.end = end->last_id;
    out.source = end->source;
    std::uint64_t run = 0;
    const Status read = each_backward(folder, service, end->last_id, [&](Event&& event) {
        if (event.run != 0 && run != 0 && event.run != run) return false;
        if (event.run != 0) run = event.run;
        out.events.push_back(std::move(event));
        // What was created is started later, as the same run.
        return out.events.back().type != kCreated;
    });
    if (!read) return std::unexpected(read.error());
    std::ranges::reverse(out.events);
    // What belongs to no run and stands before this one is of another one.
    const auto begin = std::ranges::find_if(out.events, [](const Event& event) { return event.run != 0; });
    if (begin != out.events.end()) out.events.erase(out.events.begin(), begin);
    return out;
}

Result<std::vector<Event>> last_events(int folder, std::string_view service, std::size_t count) {
    std::vector<Event> out;
    const Status read = each_backward(folder, service, UINT64_MAX, [&](Event&& event) {
        out.push_back(std::move(event));
        return out.size() < count;
    });
    if (!read) return std::unexpected(read.error());
    std::ranges::reverse(out);
    return out;
}

Result<std::optional<Event>> find_event(int folder, std::uint64_t id) {
    if (id == 0) return std::nullopt;
    Result<kernel::Fd> own = kernel::reopen(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!own) return std::unexpected(own.error());
    Tail tail(std::move(*own));
    if (Status sought = tail.seek_after(id - 1); !sought) return std::unexpected(sought.error());
    const auto item = tail.next();
    if (!item) return std::unexpected(item.error());
    if (*item && (*item)->line.id == id && (*item)->line.gap_from == 0) return event_of((*item)->line, (*item)->text);
    const Result<std::string> current = read_current(folder);
    if (!current) return std::unexpected(current.error());
    std::optional<Event> found;
    each_line(*current, [&](const Line& line, std::string_view text) {
        if (line.id == id) found = event_of(line, text);
    });
    return found;
}

Result<std::vector<Event>> causes(int folder, std::uint64_t id, std::size_t count) {
    std::vector<Event> out;
    while (id != 0 && out.size() < count) {
        Result<std::optional<Event>> found = find_event(folder, id);
        if (!found) return std::unexpected(found.error());
        if (!*found) break;
        const std::uint64_t cause = (*found)->cause;
        out.push_back(std::move(**found));
        if (cause >= id) break;  // a cause comes before: anything else is damage
        id = cause;
    }
    return out;
}

}  // namespace abide::events
