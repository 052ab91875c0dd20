// protocol/control_json.hpp -- described structs to JSON text and back, by their members.
//
// Private to protocol/control*.cc.  Members are written in the order of BOOST_DESCRIBE_STRUCT, an empty optional as
// null; a trailing '_' of a member's name is not part of its JSON name.  Reading ignores unknown members and keeps the
// default of absent and null ones.
#pragma once

#include <boost/describe.hpp>
#include <boost/json.hpp>
#include <boost/mp11.hpp>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "protocol/varlink.hpp"

namespace abide::control {

template <class T>
concept Described = boost::describe::has_describe_members<T>::value;

template <class T>
using MembersOf = boost::describe::describe_members<T, boost::describe::mod_public>;

inline void write_value(std::string& out, const std::string& value) {
    varlink::append_json_string(out, value);
}
inline void write_value(std::string& out, bool value) {
    out += value ? "true" : "false";
}
inline void write_value(std::string& out, std::int64_t value) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    out.append(digits, end);
}

// Overloads are found by argument-dependent look-up, so that a struct with a form of its own can have one.
template <Described T>
void write_value(std::string& out, const T& value);
template <class T>
void write_value(std::string& out, const std::optional<T>& value);
template <class T>
void write_value(std::string& out, const std::vector<T>& values) {
    out += '[';
    bool first = true;
    for (const auto& value : values) {
        if (!first) out += ',';
        first = false;
        write_value(out, value);
    }
    out += ']';
}
template <class T>
void write_value(std::string& out, const std::optional<T>& value) {
    if (value) {
        write_value(out, *value);
    } else {
        out += "null";
    }
}

// Appends ",", when it is not the first, and the name of a member with its colon.
inline void write_name(std::string& out, std::string_view name, bool& first) {
    out += first ? "\"" : ",\"";
    first = false;
    out += name.ends_with('_') ? name.substr(0, name.size() - 1) : name;
    out += "\":";
}

template <Described T>
void write_value(std::string& out, const T& value) {
    out += '{';
    [[maybe_unused]] bool first = true;
    boost::mp11::mp_for_each<MembersOf<T>>([&](auto member) {
        write_name(out, member.name, first);
        write_value(out, value.*member.pointer);
    });
    out += '}';
}

// Each returns false when the JSON has another type; `where` then names the member.
inline bool read_value(const boost::json::value& json, std::string& value, std::string&) {
    if (!json.is_string()) return false;
    value = json.get_string();
    return true;
}
inline bool read_value(const boost::json::value& json, bool& value, std::string&) {
    if (!json.is_bool()) return false;
    value = json.get_bool();
    return true;
}
inline bool read_value(const boost::json::value& json, std::int64_t& value, std::string&) {
    if (!json.is_int64()) return false;
    value = json.get_int64();
    return true;
}

template <Described T>
bool read_value(const boost::json::value& json, T& value, std::string& where);
template <class T>
bool read_value(const boost::json::value& json, std::optional<T>& value, std::string& where);
template <class T>
bool read_value(const boost::json::value& json, std::vector<T>& values, std::string& where) {
    if (!json.is_array()) return false;
    values.clear();
    values.reserve(json.get_array().size());
    for (const auto& element : json.get_array()) {
        T value{};
        if (!read_value(element, value, where)) return false;
        values.push_back(std::move(value));
    }
    return true;
}
template <class T>
bool read_value(const boost::json::value& json, std::optional<T>& value, std::string& where) {
    T inner{};
    if (!read_value(json, inner, where)) return false;
    value = std::move(inner);
    return true;
}

// A member that is absent or null keeps its default.
template <class T>
bool read_member(const boost::json::object& object, std::string_view name, T& value, std::string& where) {
    if (name.ends_with('_')) name.remove_suffix(1);
    const boost::json::value* json = object.if_contains(name);
    if (json == nullptr || json->is_null()) return true;
    if (read_value(*json, value, where)) return true;
    if (where.empty()) where = name;
    return false;
}

template <Described T>
bool read_value(const boost::json::value& json, T& value, std::string& where) {
    if (!json.is_object()) return false;
    bool good = true;
    boost::mp11::mp_for_each<MembersOf<T>>([&](auto member) {
        if (good) good = read_member(json.get_object(), member.name, value.*member.pointer, where);
    });
    return good;
}

}  // namespace abide::control
