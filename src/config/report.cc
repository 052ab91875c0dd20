// config/report.cc -- see report.hpp, and format() of load.hpp.
#include "config/report.hpp"

#include <algorithm>
#include <tuple>

#include "base/text.hpp"

namespace abide::config {

std::uint32_t Report::add_file(std::string name) {
    files_.push_back(std::move(name));
    return static_cast<std::uint32_t>(files_.size() - 1);
}

void Report::error(Position position, std::string text, std::string advice) {
    ++errors_;
    if (errors_ <= kShown) entries_.push_back({position, std::move(text), std::move(advice)});
}

std::vector<Diagnostic> Report::take() {
    std::ranges::stable_sort(entries_, {}, [](const Entry& entry) {
        return std::tuple(entry.position.file, entry.position.line, entry.position.column);
    });
    std::vector<Diagnostic> diagnostics;
    diagnostics.reserve(entries_.size() + 1);
    for (Entry& entry : entries_) {
        diagnostics.push_back({Severity::error, files_[entry.position.file], entry.position.line, entry.position.column,
                               std::move(entry.text), std::move(entry.advice)});
    }
    if (errors_ > kShown) {
        diagnostics.push_back(
            {Severity::error, files_.back(), 0, 0, std::to_string(errors_ - kShown) + " more errors", ""});
    }
    entries_.clear();
    return diagnostics;
}

std::string format(const Diagnostic& diagnostic) {
    constexpr std::size_t kLineBytes = 2000;
    std::string line = printable(diagnostic.file, kLineBytes);
    if (diagnostic.line > 0) line += ":" + std::to_string(diagnostic.line) + ":" + std::to_string(diagnostic.column);
    line += diagnostic.severity == Severity::error ? ": error: " : ": warning: ";
    line += printable(diagnostic.text, diagnostic.whole ? diagnostic.text.size() : kLineBytes);
    if (!diagnostic.advice.empty()) line += "; " + printable(diagnostic.advice, kLineBytes);
    return line;
}

}  // namespace abide::config
