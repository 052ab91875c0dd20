// config/environment.cc -- see environment.hpp.
#include "config/environment.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace abide::config {

namespace {

bool is_name(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    return !name.empty() && letter(name.front()) &&
           std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '.'; });
}

class Parser {
  public:
    Parser(std::string_view text, std::uint32_t file, Report& report) : text_(text), file_(file), report_(report) {}

    void run(std::vector<model::Variable>& variables) {
        while (at_ < text_.size()) {
            skip_blanks();
            if (at_ >= text_.size()) break;
            const char c = text_[at_];
            if (c == '#' || c == ';' || c == '\n') {
                skip_line();
                continue;
            }
            model::Variable variable;
            if (assignment(variable)) variables.push_back(std::move(variable));
            skip_line();
        }
    }

  private:
    void skip_blanks() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
    }
    void skip_line() {
        const std::size_t end = text_.find('\n', at_);
        at_ = end == std::string_view::npos ? text_.size() : end + 1;
        if (end != std::string_view::npos) start_line(at_);
    }
    void start_line(std::size_t begin) {
        ++line_;
        line_begin_ = begin;
    }
    bool complain(std::size_t at, std::string what, std::string advice) {
        report_.error({file_, line_, static_cast<std::uint32_t>(at - line_begin_ + 1)}, std::move(what),
                      std::move(advice));
        return false;
    }

    bool assignment(model::Variable& variable) {
        const std::size_t begin = at_;
        std::size_t end = text_.find_first_of("=\n", at_);
        if (end == std::string_view::npos) end = text_.size();
        std::string_view name = trim(text_.substr(at_, end - at_));
        if (name.starts_with("export ")) name = trim(name.substr(7));
        if (end == text_.size() || text_[end] == '\n') {
            return complain(begin, "not KEY=VALUE: \"" + printable(name, 40) + "\"", "comments begin with #");
        }
        if (!is_name(name))
            return complain(begin, "not a variable name: \"" + printable(name, 40) + "\"", "use letters, digits and _");
        variable.name = name;
        at_ = end + 1;
        skip_blanks();
        const bool good = at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'') ? quoted(variable.value)
                                                                                          : plain(variable.value);
        if (good && variable.name.size() + variable.value.size() + 2 > limits::kArgumentBytes) {
            return complain(begin, "longer than " + format_size(limits::kArgumentBytes) + " bytes",
                            "programs can't be given that");
        }
        return good;
    }

    bool plain(std::string& value) {
        std::size_t end = text_.find('\n', at_);
        if (end == std::string_view::npos) end = text_.size();
        value = trim(text_.substr(at_, end - at_));
        at_ = end;
        return true;
    }

    bool quoted(std::string& value) {
        const char quote = text_[at_];
        const Position opened{file_, line_, static_cast<std::uint32_t>(at_ - line_begin_ + 1)};
        ++at_;
        while (at_ < text_.size() && text_[at_] != quote) {
            if (text_[at_] == '\\' && quote == '"' && escape(value)) continue;
            if (text_[at_] == '\n') start_line(at_ + 1);
            value += text_[at_];
            ++at_;
        }
        if (at_ >= text_.size()) {
            report_.error(opened, "unclosed quote", "end the value with the same quote");
            return false;
        }
        ++at_;
        skip_blanks();
        if (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '#') {
            return complain(at_, "text after the closing quote", "quote the whole value");
        }
        return true;
    }

    // At a backslash within double quotes: appends what the escape stands for.  False when it is a plain backslash.
    bool escape(std::string& value) {
        constexpr std::string_view kWritten = "ntr\\\"$`";
        constexpr std::string_view kMeant = "\n\t\r\\\"$`";
        const std::size_t index = at_ + 1 < text_.size() ? kWritten.find(text_[at_ + 1]) : std::string_view::npos;
        if (index == std::string_view::npos) return false;
        value += kMeant[index];
        at_ += 2;
        return true;
    }

    std::string_view text_;
    std::uint32_t file_;
    Report& report_;
    std::size_t at_ = 0, line_begin_ = 0;
    std::uint32_t line_ = 1;
};

}  // namespace

void parse_environment(std::string_view text, std::uint32_t file, Report& report,
                       std::vector<model::Variable>& variables) {
    if (const std::size_t bad = std::min(first_invalid_utf8(text), text.find('\0')); bad != std::string_view::npos) {
        const std::string_view before = text.substr(0, bad);
        const auto line = static_cast<std::uint32_t>(1 + std::ranges::count(before, '\n'));
        report.error({file, line, static_cast<std::uint32_t>(bad - (before.rfind('\n') + 1) + 1)}, "not UTF-8 text",
                     "save the file as UTF-8");
        return;
    }
    Parser(text, file, report).run(variables);
}

}  // namespace abide::config
