// config/expand.cc -- one scanner for references, used for checking, escaping and expanding.  See expand.hpp.
#include "config/expand.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace abide::config {

namespace {

bool is_variable_byte(char c, bool first) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    return letter || (!first && ((c >= '0' && c <= '9') || c == '.'));
}

struct Reference {
    std::string_view name;
    std::optional<std::string_view> fallback;
    std::size_t length = 0;  // from the $ to the }
};

// The reference at the front of `text`, which begins with "${".
Result<Reference> parse_reference(std::string_view text) {
    const std::size_t end = text.find('}');
    if (end == std::string_view::npos) {
        return fail(ErrorKind::usage, "unclosed ${ at \"" + printable(text, 30) + "\"",
                    "write ${NAME}, or $$ for a dollar sign");
    }
    const std::string_view inside = text.substr(2, end - 2);
    std::size_t length = 0;
    while (length < inside.size() && is_variable_byte(inside[length], length == 0)) ++length;
    std::string_view name = inside.substr(0, length);
    std::string_view rest = inside.substr(length);
    Reference reference{name, std::nullopt, end + 1};
    if (rest.starts_with(":-")) {
        reference.fallback = rest.substr(2);
        rest = {};
    }
    if (name.empty() || !rest.empty()) {
        return fail(ErrorKind::usage, "bad reference \"" + printable(text.substr(0, end + 1), 40) + "\"",
                    "write ${NAME} or ${NAME:-default}, or $$ for a dollar sign");
    }
    return reference;
}

// Walks over `text`: literal(view) for what stands for itself, variable(reference) for references; both return a
// Status.
template <class Literal, class Variable>
Status scan(std::string_view text, Literal literal, Variable variable) {
    while (!text.empty()) {
        const std::size_t dollar = text.find('$');
        const std::size_t plain = dollar == std::string_view::npos ? text.size() : dollar;
        if (plain > 0) {
            if (Status status = literal(text.substr(0, plain)); !status) return status;
            text.remove_prefix(plain);
            continue;
        }
        if (text.starts_with("${")) {
            const Result<Reference> reference = parse_reference(text);
            if (!reference) return std::unexpected(reference.error());
            if (Status status = variable(*reference); !status) return status;
            text.remove_prefix(reference->length);
            continue;
        }
        if (Status status = literal(text.substr(0, 1)); !status) return status;
        text.remove_prefix(text.starts_with("$$") ? 2 : 1);
    }
    return {};
}

template <class Variables>
auto own_place(Variables& own, std::string_view name) {
    return std::ranges::find(own, name, &model::Variable::name);
}

}  // namespace

Result<std::string> expand(std::string_view text, const Lookup& lookup) {
    std::string expanded;
    const auto append = [&](std::string_view part) -> Status {
        if (part.size() > limits::kArgumentBytes - expanded.size()) {
            return fail(ErrorKind::usage,
                        "longer than " + std::to_string(limits::kArgumentBytes) + " bytes after expansion");
        }
        expanded += part;
        return {};
    };
    const auto variable = [&](const Reference& reference) -> Status {
        const std::optional<std::string_view> value = lookup(reference.name);
        if (reference.fallback && (!value || value->empty())) return append(*reference.fallback);
        if (value) return append(*value);
        return fail(ErrorKind::usage, "the variable " + std::string(reference.name) + " is not set",
                    "set it in `environment`, or write ${" + std::string(reference.name) + ":-default}");
    };
    if (Status status = scan(text, append, variable); !status) return std::unexpected(status.error());
    return expanded;
}

Status check_references(std::string_view text) {
    return scan(text, [](std::string_view) { return Status{}; }, [](const Reference&) { return Status{}; });
}

std::string escape_references(std::string_view text) {
    std::string escaped;
    escaped.reserve(text.size());
    for (const char c : text) {
        if (c == '$') escaped += '$';
        escaped += c;
    }
    return escaped;
}

bool Environment::hides(std::string_view name) const {
    return own_place(own, name) != own.end();
}

std::optional<std::string_view> Environment::find(std::string_view name) const {
    if (const auto mine = own_place(own, name); mine != own.end()) return mine->value;
    const auto found = std::ranges::lower_bound(*inherited, name, {}, &model::Variable::name);
    if (found == inherited->end() || found->name != name) return std::nullopt;
    return found->value;
}

Result<Environment> expand_environment(const std::vector<model::Variable>& inherited,
                                       const std::vector<model::Variable>& assigned) {
    Environment environment;
    environment.inherited = &inherited;
    environment.own.reserve(assigned.size());
    for (const model::Variable& variable : assigned) {
        Result<std::string> value = expand_from(variable.value, environment);
        if (!value) {
            value.error().what = "environment " + variable.name + ": " + value.error().what;
            return std::unexpected(std::move(value.error()));
        }
        const auto known = own_place(environment.own, variable.name);
        if (known == environment.own.end()) {
            environment.own.push_back({variable.name, std::move(*value)});
        } else {
            known->value = std::move(*value);
        }
    }
    return environment;
}

Result<std::string> expand_from(std::string_view text, const Environment& environment) {
    if (text.find('$') == std::string_view::npos && text.size() <= limits::kArgumentBytes) return std::string(text);
    return expand(text, [&](std::string_view name) { return environment.find(name); });
}

Result<std::vector<std::string>> expand_command(const model::Command& command, const Environment& environment) {
    std::vector<std::string> words;
    words.reserve(command.argv.size());
    for (const std::string& word : command.argv) {
        Result<std::string> expanded = expand_from(word, environment);
        if (!expanded) return std::unexpected(std::move(expanded.error()));
        words.push_back(std::move(*expanded));
    }
    return words;
}

}  // namespace abide::config
