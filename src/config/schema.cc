// config/schema.cc -- the table of keys as a JSON schema (draft 07, which editors know), for completion and checks as
// one types.
#include <boost/json.hpp>

#include "base/text.hpp"
#include "config/keys.hpp"

namespace abide::config {

namespace {

namespace json = boost::json;

json::object any_of(std::initializer_list<json::object> alternatives) {
    json::array list;
    for (const json::object& alternative : alternatives) list.push_back(alternative);
    return {{"anyOf", std::move(list)}};
}

json::object string() {
    return {{"type", "string"}};
}
json::object pattern(std::string_view text) {
    return {{"type", "string"}, {"pattern", text}};
}
json::object list_of(json::object items) {
    return {{"type", "array"}, {"items", std::move(items)}};
}
json::object table(std::string_view name) {
    return {{"$ref", "#/definitions/" + std::string(name)}};
}
json::object duration() {
    return pattern("^(0|([0-9]+(d|h|m|s|ms|us|ns))+)$");
}
json::object size() {
    return pattern("^[0-9]+([KMGT](iB)?)?$");
}
json::object command() {
    return any_of({string(), list_of(string())});
}

json::object choice(std::string_view choices) {
    json::array words;
    for (const std::string_view word : split(choices, '|')) words.push_back(json::string(word));
    return {{"enum", std::move(words)}};
}

json::object shape_schema(const KeyInfo& key) {
    constexpr std::string_view kName = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$";
    constexpr std::string_view kService = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}(@[A-Za-z0-9%][A-Za-z0-9_.%-]{0,63})?$";
    switch (key.shape) {
        case Shape::text:
        case Shape::path: return string();
        case Shape::flag: return {{"type", "boolean"}};
        case Shape::name: return key.name == "service" ? pattern(kService) : pattern(kName);
        case Shape::integer: return {{"type", "integer"}, {"minimum", key.min}, {"maximum", key.max}};
        case Shape::number: return {{"type", "number"}, {"minimum", key.min}, {"maximum", key.max}};
        case Shape::duration: return duration();
        case Shape::size: return size();
        case Shape::signal: return any_of({string(), {{"type", "integer"}, {"minimum", 1}, {"maximum", 64}}});
        case Shape::choice: return choice(key.choices);
        case Shape::octal: return pattern("^[0-7]{1,5}$");
        case Shape::texts:
        case Shape::capabilities: return list_of(string());
        case Shape::services: return list_of(string());
        case Shape::instances: return list_of(pattern(kName));
        case Shape::command: return command();
        case Shape::commands: return list_of(command());
        case Shape::dependencies: return list_of(any_of({string(), table("dependency")}));
        case Shape::exits: return list_of(any_of({string(), {{"type", "integer"}, {"minimum", 0}, {"maximum", 255}}}));
        case Shape::rlimit:
            // The members of the long form are plain limits themselves.
            if (key.table.empty()) return any_of({string(), {{"type", "integer"}, {"minimum", 0}}});
            return any_of({string(), {{"type", "integer"}, {"minimum", 0}}, table(key.table)});
        case Shape::variables: return {{"type", "object"}, {"additionalProperties", string()}};
        case Shape::table: return table(key.table);
        case Shape::tables: return list_of(table(key.table));
        case Shape::duration_or_table: return any_of({duration(), table(key.table)});
        case Shape::choice_or_table: return any_of({choice(key.choices), table(key.table)});
        case Shape::named_tables: return {{"type", "object"}, {"additionalProperties", table(key.table)}};
    }
    return {};
}

json::object table_schema(const TableInfo& info) {
    json::object properties;
    json::array required;
    for (const KeyInfo& key : info.keys) {
        if (key.later) continue;
        json::object property = shape_schema(key);
        std::string doc(key.doc);
        if (!key.fallback.empty()) doc += " Default: " + std::string(key.fallback) + ".";
        // Beside a $ref nothing else counts in draft 07.
        if (property.contains("$ref")) property = {{"allOf", json::array{property}}};
        property["description"] = doc;
        properties[key.name] = std::move(property);
        if (key.required) required.push_back(json::string(key.name));
    }
    json::object schema{{"type", "object"}, {"description", info.doc}, {"additionalProperties", false}};
    if (!required.empty()) schema["required"] = std::move(required);
    schema["properties"] = std::move(properties);
    return schema;
}

// One member a line.  The schema is a few levels deep.
void write(const json::value& value, std::string& text, std::size_t indent) {
    const std::string inner(indent + 2, ' ');
    if (const json::object* object = value.if_object(); object != nullptr && !object->empty()) {
        std::string_view separator = "{\n";
        for (const auto& [name, member] : *object) {
            text += std::string(separator) + inner + json::serialize(json::value(name)) + ": ";
            write(member, text, indent + 2);
            separator = ",\n";
        }
        text += "\n" + std::string(indent, ' ') + "}";
    } else {
        text += json::serialize(value);
    }
}

}  // namespace

std::string schema_json() {
    json::object root{{"$schema", "http://json-schema.org/draft-07/schema#"}, {"title", "abide.toml"}};
    json::object definitions;
    for (const TableInfo& info : all_tables()) {
        json::object schema = table_schema(info);
        if (!info.name.empty()) {
            definitions[info.name] = std::move(schema);
            continue;
        }
        for (auto& [name, member] : schema) root[name] = std::move(member);
    }
    root["definitions"] = std::move(definitions);
    std::string text;
    write(root, text, 0);
    return text + "\n";
}

}  // namespace abide::config
