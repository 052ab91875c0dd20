// config/value.hpp -- a parsed document as plain values with positions: what the parser of the syntax leaves behind.
//
// Knows no key of abide.toml.  Invariant: every string in it is UTF-8 without NUL, since it may become an argument of
// execve.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace abide::config {

// Where something stands; the file is an index into the loader's list.
struct Position {
    std::uint32_t file = 0, line = 0, column = 0;
    bool operator==(const Position&) const = default;
};

enum class ValueType { text, integer, real, boolean, array, table, date };

struct Member;

struct Value {
    Position position;
    ValueType type = ValueType::table;
    bool boolean = false;
    std::int64_t integer = 0;
    double real = 0;
    std::string text;
    std::vector<Value> items;     // of an array
    std::vector<Member> members;  // of a table, in the order of the file

    const Value* find(std::string_view key) const;
};

struct Member {
    std::string key;
    Position position;  // of the key
    Value value;
};

inline const Value* Value::find(std::string_view key) const {
    for (const Member& member : members) {
        if (member.key == key) return &member.value;
    }
    return nullptr;
}

// "a string", "an integer", ...
std::string_view describe(ValueType type);

}  // namespace abide::config
