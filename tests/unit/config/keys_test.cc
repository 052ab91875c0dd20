// The table of keys drives everything: each row must be readable as its shape says, and each default must be the real
// one.
#include "config/keys.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/text.hpp"
#include "files.hpp"

namespace abide::config {
namespace {

const TableInfo& table(std::string_view name) {
    for (const TableInfo& info : all_tables()) {
        if (info.name == name) return info;
    }
    ADD_FAILURE() << "no table " << name;
    return all_tables().front();
}

// A good value for a row.
std::string sample(const KeyInfo& key, std::string_view inside) {
    if (key.name == "tcp") return "\"127.0.0.1:80\"";
    if (key.name == "http") return "\"http://127.0.0.1/\"";
    if (key.name == "listen") return "\"tcp:127.0.0.1:80\"";
    if (key.name == "mode" && inside == "sockets") return "";
    switch (key.shape) {
        case Shape::text:
        case Shape::path:
        case Shape::name: return "\"x\"";
        case Shape::flag: return "true";
        case Shape::integer:
        case Shape::number: return std::to_string(key.max);
        case Shape::duration:
        case Shape::duration_or_table: return "\"25s\"";
        case Shape::size: return "\"3M\"";
        case Shape::signal: return "\"USR1\"";
        case Shape::choice:
        case Shape::choice_or_table: return "\"" + std::string(split(key.choices, '|').front()) + "\"";
        case Shape::octal: return "\"0750\"";
        case Shape::texts: return key.name == "environment-file" ? "[\"-x\"]" : "[\"x\"]";
        case Shape::services: return "[\"other\"]";
        case Shape::instances: return "[\"x\"]";
        case Shape::command: return "[\"x\"]";
        case Shape::commands: return "[[\"x\"]]";
        case Shape::dependencies: return "[\"peer:started\"]";
        case Shape::exits: return "[1, \"HUP\"]";
        case Shape::capabilities: return "[\"CAP_KILL\"]";
        case Shape::rlimit: return "\"2G\"";
        case Shape::variables: return "{ X = \"y\" }";
        case Shape::table:
        case Shape::tables:
        case Shape::named_tables: return "";
    }
    return "";
}

std::string document(std::string_view inside, const std::string& row) {
    const std::string peer = "[services.peer]\ncommand = [\"p\"]\n";
    if (inside == "project" || inside == "control" || inside == "events")
        return "[" + std::string(inside) + "]\n" + row + "\n";
    std::string body = "[services.it]\n";
    if (row.starts_with("instances")) body = "[services.\"it@\"]\n";
    if (inside == "service") {
        const std::string command = row.starts_with("command") ? "" : "command = [\"c\"]\n";
        std::string line = row;
        if (row.starts_with("part-of") || row.starts_with("conflicts")) line = row.substr(0, row.find(':')) + "\"]";
        return peer + body + command + line + "\n";
    }
    body += "command = [\"c\"]\n";
    if (inside == "dependency") {
        const std::string name = row.starts_with("service") ? "service = \"peer\"" : "service = \"peer\", " + row;
        return peer + body + "requires = [{ " + name + " }]\n";
    }
    if (inside == "sockets")
        return body + "sockets = [{ " + (row.starts_with("listen") ? row : row + ", listen = \"unix:x\"") + " }]\n";
    if (inside == "oci")
        return "[services.it]\noci = { " + (row.starts_with("bundle") ? row : row + ", bundle = \"b\"") + " }\n";
    if (inside == "rlimit") return body + "limits = { nofile = { soft = \"2G\", hard = \"2G\" } }\n";
    std::string extra;
    if (inside == "ready" && (row.starts_with("timeout") || row.starts_with("every"))) extra = ", tcp = \"a:1\"";
    if (inside == "health" && !row.starts_with("tcp") && !row.starts_with("unix") && !row.starts_with("http") &&
        !row.starts_with("exec")) {
        extra = ", tcp = \"a:1\"";
    }
    if (inside == "reload" && row.starts_with("timeout")) extra = ", signal = \"HUP\"";
    return body + std::string(inside) + " = { " + row + extra + " }\n";
}

TEST(Keys, EveryRowIsReadAsItsShapeSays) {
    std::size_t rows = 0;
    for (const TableInfo& info : all_tables()) {
        if (info.name.empty()) continue;
        for (const KeyInfo& key : info.keys) {
            if (key.later) continue;
            EXPECT_FALSE(key.doc.empty()) << info.name << "." << key.name;
            const std::string value = sample(key, info.name);
            if (value.empty()) continue;
            const std::string text = document(info.name, std::string(key.name) + " = " + value);
            const Loaded loaded = load_one(text);
            if (key.choices.starts_with("service|")) continue;
            EXPECT_TRUE(loaded.ok) << text << errors_of(loaded);
            ++rows;
        }
    }
    EXPECT_GT(rows, 90u);
}

TEST(Keys, EveryChoiceIsRead) {
    for (const TableInfo& info : all_tables()) {
        for (const KeyInfo& key : info.keys) {
            if (key.choices.empty() || key.name == "kind") continue;
            std::vector<model::ServiceSpec> seen;
            for (const std::string_view choice : split(key.choices, '|')) {
                const std::string text =
                    document(info.name, std::string(key.name) + " = \"" + std::string(choice) + "\"");
                const Loaded loaded = load_one(text);
                ASSERT_TRUE(loaded.ok) << text << errors_of(loaded);
                // Each choice means something else.
                for (const model::ServiceSpec& other : seen) EXPECT_NE(other, *find(loaded, "it")) << text;
                seen.push_back(*find(loaded, "it"));
            }
        }
    }
}

TEST(Keys, DefaultsAreTheRealOnes) {
    std::size_t rows = 0;
    for (const TableInfo& info : all_tables()) {
        for (const KeyInfo& key : info.keys) {
            if (key.fallback.empty() || info.name == "dependency") continue;
            const std::string row = std::string(key.name) + " = " + std::string(key.fallback);
            const std::string text = document(info.name, row);
            // The same text without the row.
            std::string without = text;
            without.replace(without.find(row), row.size(), std::string(row.starts_with("instances") ? "" : ""));
            const std::size_t hole = without.find("{ , ");
            if (hole != std::string::npos) without.replace(hole, 4, "{ ");
            const Loaded with_row = load_one(text);
            const Loaded without_row = load_one(without);
            ASSERT_TRUE(with_row.ok && without_row.ok)
                << text << errors_of(with_row) << without << errors_of(without_row);
            EXPECT_EQ(with_row.configuration, without_row.configuration) << text;
            ++rows;
        }
    }
    EXPECT_GT(rows, 35u);
}

TEST(Keys, ReservedKeysAreRefused) {
    std::size_t count = 0;
    for (const KeyInfo& key : table("service").keys) {
        if (!key.later) continue;
        const Loaded loaded = load_one("[services.a]\ncommand = [\"a\"]\n" + std::string(key.name) + " = \"x\"\n");
        EXPECT_NE(errors_of(loaded).find("is not supported by this version"), std::string::npos) << key.name;
        ++count;
    }
    EXPECT_EQ(count, 7u);
    EXPECT_FALSE(load_one("[services.a]\nkind = \"timer\"\ncommand = [\"a\"]\n").ok);
}

TEST(Keys, EveryKeyIsInSchemaAndReference) {
    const boost::json::value schema = boost::json::parse(schema_json());
    const std::string reference = reference_markdown();
    for (const TableInfo& info : all_tables()) {
        const boost::json::value& part = info.name.empty() ? schema : schema.at("definitions").at(info.name);
        for (const KeyInfo& key : info.keys) {
            EXPECT_EQ(part.at("properties").as_object().contains(key.name), !key.later) << info.name << "." << key.name;
            EXPECT_NE(reference.find("`" + std::string(key.name) + "`"), std::string::npos) << key.name;
        }
    }
}

}  // namespace
}  // namespace abide::config
