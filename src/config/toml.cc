// config/toml.cc -- see toml.hpp.  Checks size and UTF-8 first, so that the parser is only given text.
#include "config/toml.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 32
// Version 3.3 asserts in parse_key() what its own loop then reports as an error: "[@" would abort a build that has
// assertions.
#define TOML_ASSERT(condition) static_assert(true)
#include <toml++/toml.h>

namespace abide::config {

namespace {

Position to_position(const toml::source_position& from, std::uint32_t file) {
    return {file, static_cast<std::uint32_t>(from.line), static_cast<std::uint32_t>(from.column)};
}

class Converter {
  public:
    explicit Converter(std::uint32_t file) : file_(file) {}

    void convert(const toml::node& node, Value& value) {
        value.position = to_position(node.source().begin, file_);
        switch (node.type()) {
            case toml::node_type::none: break;
            case toml::node_type::table: convert_table(*node.as_table(), value); break;
            case toml::node_type::array: convert_array(*node.as_array(), value); break;
            case toml::node_type::string:
                value.type = ValueType::text;
                value.text = node.as_string()->get();
                check(value.text, value.position);
                break;
            case toml::node_type::integer:
                value.type = ValueType::integer;
                value.integer = node.as_integer()->get();
                break;
            case toml::node_type::floating_point:
                value.type = ValueType::real;
                value.real = node.as_floating_point()->get();
                break;
            case toml::node_type::boolean:
                value.type = ValueType::boolean;
                value.boolean = node.as_boolean()->get();
                break;
            case toml::node_type::date:
            case toml::node_type::time:
            case toml::node_type::date_time: value.type = ValueType::date; break;
        }
    }
    std::optional<SyntaxError> take_error() { return std::move(error_); }

  private:
    void convert_table(const toml::table& table, Value& value) {
        value.type = ValueType::table;
        value.members.reserve(table.size());
        for (const auto& [key, node] : table) {
            Member& member = value.members.emplace_back();
            member.key = std::string(key.str());
            member.position = to_position(key.source().begin, file_);
            check(member.key, member.position);
            convert(node, member.value);
        }
        // toml++ sorts by key; variables and messages want the order of the file.
        std::ranges::stable_sort(value.members, [](const Member& a, const Member& b) {
            return std::pair(a.position.line, a.position.column) < std::pair(b.position.line, b.position.column);
        });
    }

    void convert_array(const toml::array& array, Value& value) {
        value.type = ValueType::array;
        value.items.resize(array.size());
        for (std::size_t i = 0; i < array.size(); ++i) convert(array[i], value.items[i]);
    }

    void check(std::string_view text, Position position) {
        if (text.find('\0') == std::string_view::npos || error_) return;
        error_ = SyntaxError{position, "a string with a NUL character", "programs can't be given one"};
    }

    std::uint32_t file_;
    std::optional<SyntaxError> error_;
};

Position position_of(std::string_view text, std::size_t offset, std::uint32_t file) {
    const std::string_view before = text.substr(0, offset);
    const std::size_t line_end = before.rfind('\n');
    const std::size_t column = line_end == std::string_view::npos ? offset : offset - line_end - 1;
    return {file, static_cast<std::uint32_t>(1 + std::ranges::count(before, '\n')),
            static_cast<std::uint32_t>(column + 1)};
}

// The parser and the destructor of its tables recurse once a part of a dotted key, without a bound.  Finds a key with
// more parts than anybody needs; strings and comments don't count.
std::optional<std::size_t> find_deep_key(std::string_view text) {
    constexpr std::size_t kParts = 32;
    std::size_t dots = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        if (c == '.') {
            if (++dots > kParts) return at;
        } else if (c == '#') {
            at = std::min(text.find('\n', at), text.size()) - 1;
        } else if (c == '"' || c == '\'') {
            const std::string_view triple = c == '"' ? "\"\"\"" : "'''";
            const std::string_view quote = text.substr(at).starts_with(triple) ? triple : triple.substr(0, 1);
            at += quote.size();
            while (at < text.size() && !text.substr(at).starts_with(quote))
                at += (c == '"' && text[at] == '\\') ? 2 : 1;
            at += quote.size() - 1;
        } else if (c == '\n' || c == '=' || c == ',' || c == '[' || c == '{') {
            dots = 0;
        }
    }
    return std::nullopt;
}

// The parser prefixes its sentences with what it was doing; the position says that already.
std::string_view without_prefix(std::string_view description) {
    constexpr std::string_view kPrefix = "Error while parsing ";
    if (!description.starts_with(kPrefix)) return description;
    const std::size_t colon = description.find(": ");
    if (colon == std::string_view::npos) return description;
    description.remove_prefix(colon + 2);
    return description.substr(0, description.find(" (TOML_MAX"));
}

}  // namespace

std::string_view describe(ValueType type) {
    switch (type) {
        case ValueType::text: return "a string";
        case ValueType::integer: return "an integer";
        case ValueType::real: return "a floating-point number";
        case ValueType::boolean: return "a boolean";
        case ValueType::array: return "a list";
        case ValueType::table: return "a table";
        case ValueType::date: return "a date or time";
    }
    return "";
}

std::optional<SyntaxError> parse_toml(std::string_view text, std::uint32_t file, Value& root) {
    if (text.size() > limits::kConfigFileBytes) {
        return SyntaxError{{file, 0, 0},
                           "the file has more than " + format_size(limits::kConfigFileBytes) + " bytes",
                           "split it with `include`"};
    }
    if (const std::size_t invalid = first_invalid_utf8(text); invalid != std::string_view::npos) {
        return SyntaxError{position_of(text, invalid, file), "not UTF-8", "save the file as UTF-8"};
    }
    if (const std::optional<std::size_t> deep = find_deep_key(text)) {
        return SyntaxError{position_of(text, *deep, file), "a key with too many parts", "32 are the most"};
    }
    const toml::parse_result result = toml::parse(text);
    if (!result) {
        const toml::parse_error& error = result.error();
        return SyntaxError{to_position(error.source().begin, file), printable(without_prefix(error.description()), 300),
                           "see toml.io for the syntax"};
    }
    Converter converter(file);
    converter.convert(result.table(), root);
    return converter.take_error();
}

}  // namespace abide::config
