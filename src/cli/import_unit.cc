// cli/import_unit.cc -- see import_unit.hpp, systemd.syntax(7), systemd.service(5) and systemd.unit(5).
#include "cli/import_unit.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.hpp"
#include "model/signal.hpp"

namespace abide::cli {

namespace {

constexpr std::string_view kBlanks = " \t\r\n";

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// The byte of the escape at `at` (behind the backslash), which moves to its last character.  What systemd doesn't know
// either keeps its backslash; what only we don't know is nullopt.
std::optional<std::string> escaped(std::string_view text, std::size_t& at) {
    const char c = text[at];
    switch (c) {
        case 'n': return "\n";
        case 't': return "\t";
        case 's': return " ";
        case 'r':
        case 'a':
        case 'b':
        case 'f':
        case 'v':
        case 'u':
        case 'U': return std::nullopt;
        case '\\':
        case '"':
        case '\'':
        case ';': return std::string(1, c);
        case 'x': {
            int value = 0;
            for (std::size_t i = 1; i <= 2; ++i) {
                const char digit = at + i < text.size() ? text[at + i] : '\0';
                if (is_digit(digit))
                    value = value * 16 + (digit - '0');
                else if ((digit >= 'a' && digit <= 'f') || (digit >= 'A' && digit <= 'F'))
                    value = value * 16 + ((digit | 0x20) - 'a' + 10);
                else
                    return std::nullopt;
            }
            if (value < 0x20 || value >= 0x7f) return std::nullopt;
            at += 2;
            return std::string(1, static_cast<char>(value));
        }
        default: break;
    }
    if (is_digit(c)) return std::nullopt;
    return std::string{'\\', c};
}

// `$NAME` as a word, `${NAME}` anywhere, `$$`.
std::string with_variables(std::string_view word) {
    if (word == "$MAINPID") return std::string{kValueMark} + "MAINPID" + kEndMark;  // one word always
    if (word.size() > 1 && word.front() == '$' && is_variable(word.substr(1)))
        return kSplitMark + std::string(word.substr(1)) + kEndMark;
    std::string out;
    for (std::size_t at = 0; at < word.size(); ++at) {
        const std::string_view rest = word.substr(at);
        const std::size_t end = rest.find('}');
        if (rest.starts_with("$$")) {
            out += '$';
            ++at;
        } else if (rest.starts_with("${") && end != std::string_view::npos && is_variable(rest.substr(2, end - 2))) {
            out += kValueMark + std::string(rest.substr(2, end - 2)) + kEndMark;
            at += end;
        } else {
            out += word[at];
        }
    }
    return out;
}

struct TimeUnit {
    std::string_view names;  // with a blank on both sides of each
    std::int64_t ns;
};
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::array<TimeUnit, 10> kTimeUnits{{{" ns nsec ", 1},
                                               {" us usec \u00b5s ", 1'000},
                                               {" ms msec ", 1'000'000},
                                               {"  s sec second seconds ", kSecond},
                                               {" m min minute minutes ", 60 * kSecond},
                                               {" h hr hour hours ", 3600 * kSecond},
                                               {" d day days ", 86'400 * kSecond},
                                               {" w week weeks ", 604'800 * kSecond},
                                               {" M month months ", 2'629'800 * kSecond},
                                               {" y year years ", 31'557'600 * kSecond}}};

// One number with its unit from the front of `text`, added to `total`.
bool add_part(std::string_view& text, std::int64_t& total) {
    std::size_t end = 0;
    while (end < text.size() && is_digit(text[end])) ++end;
    const auto whole = parse_integer(text.substr(0, end), 0, INT64_MAX);
    if (!whole) return false;
    std::string_view fraction;
    if (end < text.size() && text[end] == '.') {
        std::size_t last = end + 1;
        while (last < text.size() && is_digit(text[last])) ++last;
        fraction = text.substr(end + 1, last - end - 1);
        if (fraction.empty()) return false;
        end = last;
    }
    text = trim(text.substr(end));
    const std::string_view name = text.substr(0, std::min(text.find_first_of(" \t0123456789"), text.size()));
    const auto unit = std::ranges::find_if(kTimeUnits, [&](const TimeUnit& one) {
        return name.empty() ? one.ns == kSecond
                            : one.names.find(" " + std::string(name) + " ") != std::string_view::npos;
    });
    if (unit == kTimeUnits.end()) return false;
    text = trim(text.substr(name.size()));
    std::int64_t part = 0;
    if (__builtin_mul_overflow(*whole, unit->ns, &part) || __builtin_add_overflow(total, part, &total)) return false;
    std::int64_t scale = unit->ns;
    for (const char digit : fraction) {
        scale /= 10;
        if (__builtin_add_overflow(total, (digit - '0') * scale, &total)) return false;
    }
    return true;
}

}  // namespace

Unit::Unit(std::string file, std::vector<IniSection> sections) : file_(std::move(file)) {
    name_ = last_component(file_);
    for (IniSection& section : sections) {
        sections_.push_back(section.name);
        for (IniEntry& entry : section.entries) entries_.push_back({section.name, std::move(entry), false});
    }
}

std::vector<const IniEntry*> Unit::all(std::string_view section, std::string_view key) {
    std::vector<const IniEntry*> found;
    for (Used& one : entries_) {
        if (one.section != section || one.entry.key != key) continue;
        one.used = true;
        if (one.entry.value.empty())
            found.clear();
        else
            found.push_back(&one.entry);
    }
    return found;
}

const IniEntry* Unit::last(std::string_view section, std::string_view key) {
    const auto found = all(section, key);
    return found.empty() ? nullptr : found.back();
}

std::vector<std::pair<std::string, const IniEntry*>> Unit::unused() const {
    std::vector<std::pair<std::string, const IniEntry*>> found;
    for (const Used& one : entries_) {
        if (!one.used) found.emplace_back(one.section, &one.entry);
    }
    return found;
}

bool Unit::has_section(std::string_view section) const {
    return std::ranges::find(sections_, section) != sections_.end();
}

std::string Unit::replaced(std::string_view text, std::vector<std::string>& unknown) const {
    const std::string stem_name = stem();
    const std::size_t at_sign = stem_name.find('@');
    const std::string prefix = stem_name.substr(0, at_sign);
    std::string instance;
    if (at_sign != std::string::npos)
        instance = is_template() ? std::string(1, kInstanceMark) : stem_name.substr(at_sign + 1);
    const std::string whole = at_sign == std::string::npos ? prefix : prefix + "@" + instance;
    std::string out;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '%' || at + 1 == text.size()) {
            out += text[at];
            continue;
        }
        switch (text[++at]) {
            case '%': out += '%'; break;
            case 'i': out += instance; break;
            case 'p': out += prefix; break;
            case 'N': out += whole; break;
            // As of a unit of the machine.
            case 't': out += "/run"; break;
            case 'S': out += "/var/lib"; break;
            case 'C': out += "/var/cache"; break;
            case 'L': out += "/var/log"; break;
            case 'E': out += "/etc"; break;
            case 'T': out += "/tmp"; break;
            case 'V': out += "/var/tmp"; break;
            case 'n': out += whole + name_.substr(name_.rfind('.')); break;
            default: unknown.push_back(std::string{'%', text[at]}); out += unknown.back();
        }
    }
    return out;
}

std::optional<std::vector<std::string>> unit_words(std::string_view text) {
    std::vector<std::string> words;
    std::string word;
    bool inside = false, plain = true;
    char quote = '\0';
    const auto close = [&] {
        if (inside) words.push_back(plain && word == ";" ? std::string(kSeparator) : word);
        word.clear();
        inside = false;
        plain = true;
    };
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        if (quote == '\0' && kBlanks.find(c) != std::string_view::npos) {
            close();
            continue;
        }
        inside = true;
        if (c == '\\' && at + 1 < text.size()) {
            const auto byte = escaped(text, ++at);
            if (!byte) return std::nullopt;
            word += *byte;
            plain = false;
        } else if (c == quote) {
            quote = '\0';
        } else if (quote == '\0' && (c == '"' || c == '\'')) {
            quote = c;
            plain = false;
        } else {
            word += c;
        }
    }
    if (quote != '\0') return std::nullopt;
    close();
    return words;
}

std::optional<std::vector<UnitCommand>> unit_commands(const Unit& unit, std::string_view text,
                                                      std::vector<std::string>& unknown) {
    const auto words = unit_words(text);
    if (!words) return std::nullopt;
    std::vector<UnitCommand> commands;
    bool begins = true;
    for (const std::string& raw : *words) {
        if (raw == kSeparator) {
            begins = true;
            continue;
        }
        std::string_view word = raw;
        if (!begins) {
            UnitCommand& command = commands.back();
            const std::string whole = unit.replaced(word, unknown);
            const std::string done = command.literal ? whole : with_variables(whole);
            if (command.own_name && command.own_name->empty())
                command.own_name = done;
            else
                command.words.push_back(done);
            continue;
        }
        begins = false;
        UnitCommand& command = commands.emplace_back();
        for (; !word.empty() && std::string_view("-@:+!").find(word.front()) != std::string_view::npos;
             word.remove_prefix(1)) {
            command.may_fail = command.may_fail || word.front() == '-';
            command.literal = command.literal || word.front() == ':';
            command.privileged = command.privileged || word.front() == '+' || word.front() == '!';
            if (word.front() == '@') command.own_name = "";
        }
        if (word.empty()) return std::nullopt;
        command.words.push_back(unit.replaced(word, unknown));
    }
    return commands;
}

std::optional<Duration> unit_time(std::string_view text) {
    if (text == "infinity") return kForever;
    std::int64_t total = 0;
    std::string_view rest = trim(text);
    if (rest.empty()) return std::nullopt;
    while (!rest.empty()) {
        if (!add_part(rest, total)) return std::nullopt;
    }
    return Duration{total};
}

std::optional<int> kill_of_main(const UnitCommand& command) {
    const auto& words = command.words;
    if (words.size() < 3 || last_component(words[0]) != "kill") return std::nullopt;
    const std::string& pid = words.back();
    if (pid.size() != 9 || pid.substr(1, 7) != "MAINPID" || pid.front() > kSplitMark) return std::nullopt;
    if (words.size() == 4 && words[1] == "-s") return model::parse_signal(words[2]);
    if (words.size() != 3 || !words[1].starts_with('-')) return std::nullopt;
    return model::parse_signal(std::string_view(words[1]).substr(1));
}

std::optional<bool> unit_flag(std::string_view text) {
    for (const std::string_view yes : {"yes", "true", "on", "1", "y", "t"}) {
        if (text == yes) return true;
    }
    for (const std::string_view no : {"no", "false", "off", "0", "n", "f"}) {
        if (text == no) return false;
    }
    return std::nullopt;
}

}  // namespace abide::cli
