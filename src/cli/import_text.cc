// cli/import_text.cc -- see import_text.hpp.  Linear in its input.
#include "cli/import_text.hpp"

#include <algorithm>
#include <array>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace abide::cli {

namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::size_t kShownBytes = 80;

bool is_comment(std::string_view line) {
    return line.starts_with('#') || line.starts_with(';');
}

// Without a comment that begins after a blank.
std::string_view without_comment(std::string_view text) {
    for (std::size_t at = 1; at < text.size(); ++at) {
        if ((text[at] == ';' || text[at] == '#') && kBlanks.find(text[at - 1]) != std::string_view::npos)
            return trim(text.substr(0, at));
    }
    return text;
}

class IniReader {
  public:
    IniReader(const ImportSource& source, IniDialect dialect) : source_(source), dialect_(dialect) {}

    Result<std::vector<IniSection>> run() {
        if (const Status good = check_source(source_); !good) return std::unexpected(good.error());
        std::size_t number = 0;
        for (const std::string_view line : split(source_.text, '\n')) {
            const Status good = dialect_ == IniDialect::systemd ? unit_line(line, ++number) : line_of(line, ++number);
            if (!good) return std::unexpected(good.error());
        }
        if (open_) {
            if (const Status good = statement(held_, held_line_); !good) return std::unexpected(good.error());
        }
        return std::move(sections_);
    }

  private:
    std::unexpected<Error> bad(std::size_t line, std::string_view what, std::string advice) const {
        return fail(ErrorKind::usage, place_of(source_.file, line) + ": " + std::string(what), std::move(advice));
    }

    // Comments between the lines of one statement are no part of it.
    Status unit_line(std::string_view line, std::size_t number) {
        const std::string_view text = trim(line);
        if (is_comment(text) || (text.empty() && !open_)) return {};
        const bool goes_on = text.ends_with('\\');
        if (!open_) held_line_ = number;
        held_ += goes_on ? text.substr(0, text.size() - 1) : text;
        if (goes_on) held_ += ' ';
        open_ = goes_on;
        if (goes_on) return {};
        const std::string whole = std::move(held_);
        held_.clear();
        return statement(trim(whole), held_line_);
    }

    Status line_of(std::string_view line, std::size_t number) {
        const std::string_view text = trim(line);
        if (text.empty() || is_comment(text)) return {};
        if (kBlanks.find(line.front()) == std::string_view::npos) return statement(text, number);
        if (sections_.empty() || sections_.back().entries.empty())
            return bad(number, "an indented line with nothing to go on with", "begin KEY=VALUE at the line's begin");
        sections_.back().entries.back().value += "\n" + std::string(without_comment(text));
        return {};
    }

    Status statement(std::string_view text, std::size_t number) {
        if (text.starts_with('[')) {
            const std::size_t end = text.find(']');
            if (end == std::string_view::npos) return bad(number, "a section without ]", "write [NAME]");
            sections_.push_back({std::string(text.substr(1, end - 1)), number, {}});
            return {};
        }
        const std::size_t equals = text.find_first_of(dialect_ == IniDialect::systemd ? "=" : "=:");
        if (equals == std::string_view::npos || equals == 0)
            return bad(number, "not KEY=VALUE: \"" + printable(text, kShownBytes) + "\"", "write KEY=VALUE");
        if (sections_.empty())
            return bad(number, "\"" + printable(text, kShownBytes) + "\" is in no section",
                       "write a [SECTION] before it");
        std::string key(trim(text.substr(0, equals)));
        std::string_view value = trim(text.substr(equals + 1));
        if (dialect_ == IniDialect::supervisord) {
            for (char& c : key) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
            value = is_comment(value) ? std::string_view() : without_comment(value);
        }
        sections_.back().entries.push_back({std::move(key), std::string(value), number});
        return {};
    }

    const ImportSource& source_;
    IniDialect dialect_;
    std::vector<IniSection> sections_;
    std::string held_;
    std::size_t held_line_ = 0;
    bool open_ = false;
};

// Calls literal(char) and mark(kind, name) for what a word is made of.
template <class Literal, class Mark>
void walk(std::string_view word, Literal literal, Mark mark) {
    for (std::size_t at = 0; at < word.size(); ++at) {
        const char c = word[at];
        if (c == kInstanceMark) {
            mark(c, std::string_view());
        } else if (c == kValueMark || c == kSplitMark || c == kNeededMark) {
            const std::size_t end = std::min(word.find(kEndMark, at), word.size());
            mark(c, word.substr(at + 1, end - at - 1));
            at = end;
        } else {
            literal(c);
        }
    }
}

// For a shell: in single quotes but for variables.
std::string shell_word(std::string_view word) {
    if (word.starts_with(kSplitMark)) return "$" + std::string(word.substr(1, word.find(kEndMark) - 1));
    std::string out = "'";
    walk(
        word, [&](char c) { c == '\'' ? out += "'\\''" : out += c; },
        [&](char kind, std::string_view name) {
            if (kind == kInstanceMark)
                out += kInstanceMark;
            else
                out += "'\"${" + std::string(name) + "}\"'";
        });
    return out + "'";
}

}  // namespace

std::string place_of(std::string_view file, std::size_t line) {
    return std::string(file) + ":" + std::to_string(line);
}

Status check_source(const ImportSource& source) {
    if (source.text.size() > limits::kConfigFileBytes) {
        return fail(ErrorKind::usage,
                    place_of(source.file, 1) + ": more than " + format_size(limits::kConfigFileBytes) + " bytes",
                    "split the file");
    }
    const auto line_at = [&](std::size_t offset) {
        return 1 + static_cast<std::size_t>(std::ranges::count(source.text.substr(0, offset), '\n'));
    };
    if (const std::size_t at = first_invalid_utf8(source.text); at != std::string_view::npos)
        return fail(ErrorKind::usage, place_of(source.file, line_at(at)) + ": not UTF-8", "save the file as UTF-8");
    const auto control = std::ranges::find_if(source.text, [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
    });
    if (control == source.text.end()) return {};
    const auto at = static_cast<std::size_t>(control - source.text.begin());
    return fail(ErrorKind::usage, place_of(source.file, line_at(at)) + ": a control character", "remove it");
}

Result<std::vector<IniSection>> read_ini(const ImportSource& source, IniDialect dialect) {
    return IniReader(source, dialect).run();
}

std::string toml_string(std::string_view text) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\t') {
            out += "\\t";
        } else if (byte < 0x20 || byte == 0x7f) {
            out += "\\u00";
            out += kHex[byte >> 4];
            out += kHex[byte & 15];
        } else {
            out += c;
        }
    }
    return out + '"';
}

std::string toml_list(const std::vector<std::string>& written) {
    std::string out = "[";
    for (const std::string& one : written) {
        if (out.size() > 1) out += ", ";
        out += one;
    }
    return out + "]";
}

std::string toml_key(std::string_view name) {
    const bool bare = !name.empty() && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
    return bare ? std::string(name) : toml_string(name);
}

std::string expandable(std::string_view word) {
    std::string out;
    walk(
        word,
        [&](char c) {
            if (c == '$' || c == '%') out += c;
            out += c;
        },
        [&](char kind, std::string_view name) {
            if (kind == kInstanceMark)
                out += "%i";
            else
                out += "${" + std::string(name) + (kind == kNeededMark ? "}" : ":-}");
        });
    return out;
}

std::string substituted(std::string_view word) {
    std::string out;
    walk(
        word,
        [&](char c) {
            if (c == '%') out += c;
            out += c;
        },
        [&](char kind, std::string_view) { out += kind == kInstanceMark ? "%i" : ""; });
    return out;
}

bool has_marks(std::string_view word) {
    return std::ranges::any_of(word, [](char c) { return c >= kInstanceMark && c <= kEndMark; });
}

std::string command_value(const std::vector<std::string>& words) {
    std::vector<std::string> written;
    const bool several = std::ranges::any_of(words, [](const std::string& w) { return w.starts_with(kSplitMark); });
    if (several) {
        std::string script = "set -f; exec";
        for (const std::string& word : words) script += " " + shell_word(word);
        written = {toml_string("sh"), toml_string("-c"), toml_string(expandable(script))};
    } else {
        for (const std::string& word : words) written.push_back(toml_string(expandable(word)));
    }
    return toml_list(written);
}

bool is_variable(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    return !name.empty() && letter(name.front()) &&
           std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

bool is_umask(std::string_view text) {
    return !text.empty() && text.size() <= 4 && text.find_first_not_of("01234567") == std::string_view::npos &&
           (text.size() < 4 || text.front() == '0');
}

ImportWriter::ImportWriter(const std::vector<ImportSource>& sources) {
    text_ = "# Made by `abide import` from:\n";
    for (const ImportSource& source : sources) text_ += "#   " + printable(source.file) + "\n";
}

Status ImportWriter::begin(std::string_view name, std::size_t line) {
    const std::string place = place_of(file_, line) + ": ";
    if (!is_service_name(name) && !is_template_name(name)) {
        return fail(ErrorKind::usage, place + "not a service name: \"" + printable(name, kShownBytes) + "\"",
                    "use letters, digits, _ . -, at most 64 bytes, beginning with a letter or digit");
    }
    if (is_reserved_name(name))
        return fail(ErrorKind::usage, place + "\"" + std::string(name) + "\" is a name of Abide's own", "rename it");
    if (!names_.emplace(name).second)
        return fail(ErrorKind::usage, place + "\"" + std::string(name) + "\" is given twice", "remove one of them");
    if (names_.size() > limits::kServices)
        return fail(ErrorKind::usage, place + "more than " + std::to_string(limits::kServices) + " services",
                    "import fewer files");
    text_ += "\n[services." + toml_key(name) + "]\n";
    return {};
}

void ImportWriter::set(std::string_view key, std::string_view value) {
    text_ += std::string(key) + " = " + std::string(value) + "\n";
}

void ImportWriter::comment(std::string_view text) {
    text_ += "# ";
    for (const char c : text) {
        if (c == '\n')
            text_ += "\\n";
        else if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f)
            text_ += c;
        else
            text_ += ' ';
    }
    text_ += '\n';
}

void ImportWriter::note(std::size_t line, std::string_view what) {
    std::string flat(what);
    std::ranges::replace_if(flat, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
    comment(flat);
    notes_.push_back(place_of(file_, line) + ": " + flat);
}

void ImportWriter::leave_out(const IniEntry& entry, std::string_view why) {
    note(entry.line, printable(entry.key + "=" + entry.value) + " is left out: " + std::string(why));
}

Imported ImportWriter::finish() && {
    return {std::move(text_), std::move(notes_)};
}

}  // namespace abide::cli
