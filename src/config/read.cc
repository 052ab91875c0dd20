// config/read.cc -- see read.hpp.
#include "config/read.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "config/expand.hpp"
#include "config/instance.hpp"
#include "model/signal.hpp"

namespace abide::config {

namespace {

constexpr std::array<std::string_view, 41> kCapabilities{"CAP_CHOWN",
                                                         "CAP_DAC_OVERRIDE",
                                                         "CAP_DAC_READ_SEARCH",
                                                         "CAP_FOWNER",
                                                         "CAP_FSETID",
                                                         "CAP_KILL",
                                                         "CAP_SETGID",
                                                         "CAP_SETUID",
                                                         "CAP_SETPCAP",
                                                         "CAP_LINUX_IMMUTABLE",
                                                         "CAP_NET_BIND_SERVICE",
                                                         "CAP_NET_BROADCAST",
                                                         "CAP_NET_ADMIN",
                                                         "CAP_NET_RAW",
                                                         "CAP_IPC_LOCK",
                                                         "CAP_IPC_OWNER",
                                                         "CAP_SYS_MODULE",
                                                         "CAP_SYS_RAWIO",
                                                         "CAP_SYS_CHROOT",
                                                         "CAP_SYS_PTRACE",
                                                         "CAP_SYS_PACCT",
                                                         "CAP_SYS_ADMIN",
                                                         "CAP_SYS_BOOT",
                                                         "CAP_SYS_NICE",
                                                         "CAP_SYS_RESOURCE",
                                                         "CAP_SYS_TIME",
                                                         "CAP_SYS_TTY_CONFIG",
                                                         "CAP_MKNOD",
                                                         "CAP_LEASE",
                                                         "CAP_AUDIT_WRITE",
                                                         "CAP_AUDIT_CONTROL",
                                                         "CAP_SETFCAP",
                                                         "CAP_MAC_OVERRIDE",
                                                         "CAP_MAC_ADMIN",
                                                         "CAP_SYSLOG",
                                                         "CAP_WAKE_ALARM",
                                                         "CAP_BLOCK_SUSPEND",
                                                         "CAP_AUDIT_READ",
                                                         "CAP_PERFMON",
                                                         "CAP_BPF",
                                                         "CAP_CHECKPOINT_RESTORE"};

bool is_variable_name(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    if (name.empty() || !letter(name.front())) return false;
    return std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '.'; });
}

std::string list_of(std::string_view choices) {
    std::string text;
    for (const std::string_view choice : split(choices, '|')) {
        if (!text.empty()) text += ", ";
        text += choice;
    }
    return text;
}

}  // namespace

std::string join_path(std::string_view base, std::string_view path) {
    std::string whole(path);
    if (!path.starts_with('/') && !base.empty()) whole = std::string(base) + "/" + whole;
    std::vector<std::string_view> parts;
    const bool absolute = whole.starts_with('/');
    for (const std::string_view part : split(whole, '/')) {
        if (part.empty() || part == ".") continue;
        if (part != "..") {
            parts.push_back(part);
        } else if (!parts.empty() && parts.back() != "..") {
            parts.pop_back();
        } else if (!absolute) {
            parts.push_back(part);
        }
    }
    std::string joined = absolute ? "/" : "";
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i > 0) joined += '/';
        joined += parts[i];
    }
    return joined.empty() ? "." : joined;
}

std::string suggestion(std::string_view word, std::span<const std::string_view> known) {
    const std::optional<std::string_view> likely = closest(word, known);
    return likely ? "did you mean \"" + std::string(*likely) + "\"?" : "";
}

void Reader::enter_service(std::string_view name) {
    service_ = name;
    path_.clear();
    const std::size_t at = name.find('@');
    instance_ = Instance::none;
    if (at != std::string_view::npos) instance_ = at + 1 == name.size() ? Instance::pattern : Instance::named;
}

std::string Reader::path() const {
    std::string text = service_.empty() ? "" : "services." + service_;
    for (const std::string_view part : path_) {
        if (!text.empty()) text += '.';
        text += part;
    }
    return text;
}

void Reader::error(Position position, std::string text, std::string advice) {
    const std::string where = path();
    report_.error(position, where.empty() ? std::move(text) : where + ": " + text, std::move(advice));
}

void Reader::wrong_type(const KeyInfo& key, const Value& value) {
    std::string expected(describe(key.shape));
    if (key.shape == Shape::choice) expected = "one of " + list_of(key.choices);
    std::string advice;
    const bool wants_text = (expected.starts_with("a string") && key.shape != Shape::octal) ||
                            expected.starts_with("a duration") || expected.starts_with("a size");
    if (value.type == ValueType::integer && wants_text) {
        const std::string_view unit = key.shape == Shape::duration ? "s" : key.shape == Shape::size ? "M" : "";
        advice = "write \"" + std::to_string(value.integer) + std::string(unit) + "\"";
    }
    if (value.type == ValueType::text && key.shape == Shape::flag && (value.text == "true" || value.text == "false")) {
        advice = "write " + value.text + " without quotes";
    }
    if (value.type == ValueType::text && key.shape == Shape::integer && parse_integer(value.text, key.min, key.max)) {
        advice = "write " + value.text + " without quotes";
    }
    if (value.type == ValueType::text && expected.starts_with("a list")) {
        advice = "write [\"" + printable(value.text, 60) + "\"]";
    }
    error(value.position, "expected " + expected + ", not " + std::string(describe(value.type)), std::move(advice));
}

bool Reader::expect(const KeyInfo& key, const Value& value, ValueType type) {
    if (value.type == type) return true;
    wrong_type(key, value);
    return false;
}

bool Reader::check_size(const Value& value, const std::string& text) {
    if (text.size() < limits::kArgumentBytes) return true;
    error(value.position, "longer than " + format_size(limits::kArgumentBytes) + " bytes",
          "programs can't be given that");
    return false;
}

bool Reader::substitute(Position position, std::string& text) {
    if (text.find('%') == std::string::npos || instance_ == Instance::pattern) return true;
    std::optional<std::string_view> instance;
    if (instance_ == Instance::named) instance = std::string_view(service_).substr(service_.find('@') + 1);
    Result<std::string> changed = substitute_instance(text, instance);
    if (!changed) {
        error(position, std::move(changed.error().what), std::move(changed.error().advice));
        return false;
    }
    text = std::move(*changed);
    return true;
}

bool Reader::read_instance_text(const KeyInfo& key, const Value& value, std::string& target) {
    if (!expect(key, value, ValueType::text) || !check_size(value, value.text)) return false;
    target = value.text;
    return substitute(value.position, target);
}

bool Reader::read_expandable(const KeyInfo& key, const Value& value, std::string& target) {
    if (!read_instance_text(key, value, target)) return false;
    if (Status status = check_references(target); !status) {
        error(value.position, std::move(status.error().what), std::move(status.error().advice));
        return false;
    }
    return true;
}

void Reader::read(const KeyInfo& key, const Value& value, bool& target) {
    if (expect(key, value, ValueType::boolean)) target = value.boolean;
}

void Reader::read(const KeyInfo& key, const Value& value, std::string& target) {
    if (!expect(key, value, ValueType::text) || !check_size(value, value.text)) return;
    if (key.required && value.text.empty()) return error(value.position, "must not be empty");
    if (key.shape == Shape::name && !is_plain_name(value.text)) {
        return error(value.position, "not a name: \"" + printable(value.text, 80) + "\"",
                     "use letters, digits, _ . -, at most 64 bytes, beginning with a letter or digit");
    }
    target = value.text;
}

void Reader::read(const KeyInfo& key, const Value& value, Duration& target) {
    if (!expect(key, value, ValueType::text)) return;
    Result<Duration> duration = parse_duration(value.text);
    if (!duration) return error(value.position, std::move(duration.error().what), std::move(duration.error().advice));
    if (key.positive && duration->ns == 0) return error(value.position, "must be more than 0");
    target = *duration;
}

bool Reader::read_size(const KeyInfo& key, const Value& value, std::int64_t& number) {
    if (!expect(key, value, ValueType::text)) return false;
    const Result<std::uint64_t> size = parse_size(value.text);
    if (!size) return error(value.position, size.error().what, size.error().advice), false;
    if (*size > static_cast<std::uint64_t>(INT64_MAX)) return error(value.position, "out of range"), false;
    if (key.positive && *size == 0) return error(value.position, "must be more than 0"), false;
    number = static_cast<std::int64_t>(*size);
    return true;
}

bool Reader::read_signal(const KeyInfo& key, const Value& value, std::int64_t& number) {
    if (value.type != ValueType::text && value.type != ValueType::integer) return wrong_type(key, value), false;
    const std::string text = value.type == ValueType::text ? value.text : std::to_string(value.integer);
    const std::optional<int> parsed = model::parse_signal(text);
    if (!parsed) {
        error(value.position, "not a signal: \"" + printable(text, 40) + "\"",
              "write a name such as \"TERM\" or \"RTMIN+3\"");
        return false;
    }
    number = *parsed;
    return true;
}

bool Reader::read_octal(const KeyInfo& key, const Value& value, std::int64_t& number) {
    if (!expect(key, value, ValueType::text)) return false;
    const bool digits = !value.text.empty() && value.text.size() <= 5 &&
                        std::ranges::all_of(value.text, [](char c) { return c >= '0' && c <= '7'; });
    std::int64_t bits = 0;
    if (digits) {
        for (const char c : value.text) bits = bits * 8 + (c - '0');
    }
    if (!digits || bits > key.max) {
        error(value.position, "not permission bits: \"" + printable(value.text, 40) + "\"",
              "write octal digits, such as \"022\"");
        return false;
    }
    number = bits;
    return true;
}

bool Reader::read_number(const KeyInfo& key, const Value& value, std::int64_t& number) {
    if (key.shape == Shape::size) return read_size(key, value, number);
    if (key.shape == Shape::signal) return read_signal(key, value, number);
    if (key.shape == Shape::octal) return read_octal(key, value, number);
    if (!expect(key, value, ValueType::integer)) return false;
    if (value.integer < key.min || value.integer > key.max) {
        error(value.position, "out of range: " + std::to_string(value.integer),
              "between " + std::to_string(key.min) + " and " + std::to_string(key.max));
        return false;
    }
    number = value.integer;
    return true;
}

void Reader::read_milli(const KeyInfo& key, const Value& value, std::uint32_t& target) {
    if (value.type != ValueType::integer && value.type != ValueType::real) return wrong_type(key, value);
    const double number = value.type == ValueType::real ? value.real : static_cast<double>(value.integer);
    if (!(number >= static_cast<double>(key.min) && number <= static_cast<double>(key.max))) {
        return error(value.position, "out of range",
                     "between " + std::to_string(key.min) + " and " + std::to_string(key.max));
    }
    target = static_cast<std::uint32_t>(std::lround(number * 1000));
}

bool Reader::read_choice(const KeyInfo& key, const Value& value, std::string_view& chosen) {
    if (!expect(key, value, ValueType::text)) return false;
    const std::vector<std::string_view> choices = split(key.choices, '|');
    const auto found = std::ranges::find(choices, value.text);
    if (found != choices.end()) {
        chosen = *found;
        return true;
    }
    error(value.position, "\"" + printable(value.text, 40) + "\" is not one of " + list_of(key.choices),
          suggestion(value.text, choices));
    return false;
}

bool Reader::read_item(const KeyInfo& key, const Value& item, std::string& text) {
    if (item.type != ValueType::text) {
        error(item.position, "expected a string, not " + std::string(describe(item.type)));
        return false;
    }
    text = item.text;
    if (text.empty()) return error(item.position, "must not be empty"), false;
    if (key.shape == Shape::services) {
        if (!substitute(item.position, text)) return false;
        const bool later = instance_ == Instance::pattern && text.find('%') != std::string::npos;
        if (later || is_service_name(text)) return true;
        error(item.position, "not a service name: \"" + printable(text, 80) + "\"",
              "use letters, digits, _ . - and at most one @, 64 bytes each side");
        return false;
    }
    if (key.shape == Shape::instances && !is_plain_name(text)) {
        error(item.position, "not an instance name: \"" + printable(text, 80) + "\"",
              "use letters, digits, _ . -, at most 64 bytes, beginning with a letter or digit");
        return false;
    }
    if (key.shape == Shape::capabilities) {
        for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        if (!text.starts_with("CAP_")) text = "CAP_" + text;
        if (std::ranges::find(kCapabilities, text) != kCapabilities.end()) return true;
        error(item.position, "unknown capability \"" + printable(item.text, 40) + "\"",
              suggestion(text, kCapabilities));
        return false;
    }
    return true;
}

void Reader::read(const KeyInfo& key, const Value& value, std::vector<std::string>& target) {
    if (!expect(key, value, ValueType::array)) return;
    target.clear();
    for (const Value& item : value.items) {
        std::string text;
        if (read_item(key, item, text)) target.push_back(std::move(text));
    }
}

void Reader::read(const KeyInfo& key, const Value& value, model::Command& target) {
    target.argv.clear();
    if (value.type == ValueType::text) {
        std::string text;
        if (!read_instance_text(key, value, text)) return;
        Result<std::vector<std::string>> words = split_words(text, Dollar::references);
        if (!words) return error(value.position, std::move(words.error().what), std::move(words.error().advice));
        for (const std::string& word : *words) {
            if (Status status = check_references(word); !status) {
                return error(value.position, std::move(status.error().what), std::move(status.error().advice));
            }
        }
        target.argv = std::move(*words);
    } else if (value.type == ValueType::array) {
        target.argv.reserve(value.items.size());
        for (const Value& item : value.items) {
            if (item.type != ValueType::text) {
                const std::string advice =
                    item.type == ValueType::integer ? "write \"" + std::to_string(item.integer) + "\"" : "";
                error(item.position, "expected a string, not " + std::string(describe(item.type)), advice);
                continue;
            }
            std::string word;
            if (read_expandable(key, item, word)) target.argv.push_back(std::move(word));
        }
        if (target.argv.empty() && !value.items.empty()) return;
    } else {
        return wrong_type(key, value);
    }
    if (target.argv.empty() || target.argv.front().empty())
        return error(value.position, "an empty command", "name a program");
    if (target.argv.front().starts_with('-')) {
        error(value.position, "the program's name begins with -: \"" + printable(target.argv.front(), 40) + "\"",
              "a list of commands needs brackets of its own for each: [[\"program\", \"-x\"]]");
    }
}

void Reader::read(const KeyInfo& key, const Value& value, std::vector<model::Command>& target) {
    if (!expect(key, value, ValueType::array)) return;
    target.clear();
    const KeyInfo one{.name = key.name, .shape = Shape::command};
    for (const Value& item : value.items) read(one, item, target.emplace_back());
}

void Reader::read(const KeyInfo& key, const Value& value, std::vector<model::ExitMatch>& target) {
    if (!expect(key, value, ValueType::array)) return;
    target.clear();
    for (const Value& item : value.items) {
        if (item.type == ValueType::integer) {
            if (item.integer < 0 || item.integer > 255) {
                error(item.position, "not an exit code: " + std::to_string(item.integer), "between 0 and 255");
                continue;
            }
            target.push_back({false, static_cast<std::int32_t>(item.integer)});
        } else if (item.type == ValueType::text) {
            const std::optional<int> number = model::parse_signal(item.text);
            // A number in quotes would be a signal where an exit code was meant.
            if (!number || parse_integer(item.text, 0, INT32_MAX)) {
                error(item.position, "not a signal: \"" + printable(item.text, 40) + "\"",
                      "exit codes have no quotes, signals are names");
                continue;
            }
            target.push_back({true, *number});
        } else {
            error(item.position, "expected an exit code or a signal, not " + std::string(describe(item.type)));
        }
    }
}

void Reader::read(const KeyInfo& key, const Value& value, std::vector<model::Variable>& target) {
    if (!expect(key, value, ValueType::table)) return;
    for (const Member& member : value.members) {
        if (!is_variable_name(member.key)) {
            error(member.position, "not a variable name: \"" + printable(member.key, 40) + "\"",
                  "use letters, digits, _ and ., not beginning with a digit");
            continue;
        }
        const Nest nest(*this, member.key);
        const KeyInfo one{.name = member.key, .shape = Shape::text};
        std::string text;
        if (read_expandable(one, member.value, text)) target.push_back({member.key, std::move(text)});
    }
}

}  // namespace abide::config
