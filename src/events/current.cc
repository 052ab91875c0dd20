// events/current.cc -- see current.hpp.
#include "events/current.hpp"

#include <cerrno>

#include "events/tail.hpp"
#include "kernel/files.hpp"

namespace abide::events {

namespace {

constexpr std::string_view kOfAService = "\"type\":\"abide.service.";  // as the writer has it

void each_text(std::string_view bytes, const std::function<void(std::string_view)>& visit) {
    for (std::size_t end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
        visit(bytes.substr(0, end));
        bytes.remove_prefix(end + 1);
    }
}

}  // namespace

void each_line(std::string_view bytes, const std::function<void(const Line&, std::string_view text)>& visit) {
    each_text(bytes, [&](std::string_view text) {
        if (const std::optional<Line> line = parse_line(text)) visit(*line, text);
    });
}

void Current::add(std::string_view lines) {
    each_text(lines, [&](std::string_view text) {
        // Most lines are of processes, and to look at one whole takes long.
        if (text.find(kOfAService) == std::string_view::npos) return;
        const std::optional<Line> line = parse_line(text);
        if (!line || line->subject.empty()) return;
        const std::uint64_t run = number(member(line->data, "run"));
        if (run == 0 || !is_current_(line->subject, run)) return;
        last_.insert_or_assign({std::string(line->subject), std::string(line->type)},
                               std::pair{line->id, std::string(text)});
    });
}

std::string Current::text() const {
    std::map<std::uint64_t, std::string_view> in_order;
    for (const auto& [key, one] : last_) in_order.emplace(one.first, one.second);
    std::string out;
    for (const auto& [id, text] : in_order) out.append(text) += '\n';
    return out;
}

Result<std::string> read_current(int folder) {
    Result<std::string> text = kernel::read_file_beneath(folder, kCurrentFile, kCurrentBytes);
    if (!text && text.error().err == ENOENT) return std::string();
    if (!text) return text;
    const Result<std::vector<std::uint64_t>> segments = list_segments(folder);
    if (!segments || segments->empty()) return text;
    // A segment that was about to be forgotten, and was not.
    std::string older;
    each_line(*text, [&](const Line& line, std::string_view whole) {
        if (line.id < segments->front()) older.append(whole) += '\n';
    });
    return older;
}

}  // namespace abide::events
