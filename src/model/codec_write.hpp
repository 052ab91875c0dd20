// model/codec_write.hpp -- the writing half of the codec: straight into the text, without a tree in between, since it
// runs on every change of state.  Private to codec.hpp, whose words on the form hold.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/box.hpp"
#include "base/ids.hpp"
#include "base/rare.hpp"
#include "base/time.hpp"
#include "model/codec_names.hpp"
#include "model/codec_unknown.hpp"
#include "model/json_writer.hpp"

namespace abide::model::detail {

template <class T>
concept Integer = std::is_integral_v<T> && !std::is_same_v<T, bool>;
template <class T>
concept Instant =
    std::is_same_v<T, Duration> || std::is_same_v<T, Mono> || std::is_same_v<T, Boot> || std::is_same_v<T, Wall>;

template <Described T>
void encode_value(std::string& out, const T& value, const Unknown* unknown);

template <class T>
void encode_value(std::string& out, const std::vector<T>& values, const Unknown* unknown);
inline void encode_value(std::string& out, bool value, const Unknown*) {
    out += value ? "true" : "false";
}
template <Integer T>
void encode_value(std::string& out, T value, const Unknown*) {
    json::append_number(out, value);
}
inline void encode_value(std::string& out, const std::string& value, const Unknown*) {
    json::append_bytes(out, value);
}
template <Instant T>
void encode_value(std::string& out, T value, const Unknown*) {
    json::append_number(out, value.ns);
}
template <class Tag>
void encode_value(std::string& out, Id<Tag> value, const Unknown*) {
    json::append_number(out, value.value);
}
template <DescribedEnum E>
void encode_value(std::string& out, E value, const Unknown*) {
    out += '"';
    out += enum_name(value);
    out += '"';
}
template <class T>
void encode_value(std::string& out, const std::optional<T>& value, const Unknown* unknown) {
    encode_value(out, *value, unknown);
}
template <class T>
void encode_value(std::string& out, const Box<T>& value, const Unknown* unknown) {
    encode_value(out, *value, unknown);
}

template <class T>
inline constexpr bool kIsId = false;
template <class Tag>
inline constexpr bool kIsId<Id<Tag>> = true;

// What finds an element of a list again after the list has changed: its id when that is its first member.  Other lists
// are only replaced as a whole, so there the position will do.
template <Described T>
std::string identity_of(const T& value, std::size_t position) {
    using First = boost::mp11::mp_first<Members<T>>;
    if constexpr (kIsId<MemberType<First>>) return std::to_string((value.*First::pointer).value);
    return '#' + std::to_string(position);
}

template <class T>
void encode_value(std::string& out, const std::vector<T>& values, const Unknown* unknown) {
    out += '[';
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (i != 0) out += ',';
        const Unknown* part = nullptr;
        if constexpr (Described<T>) {
            if (unknown) [[unlikely]]
                part = unknown->part(identity_of(values[i], i));
        }
        encode_value(out, values[i], part);
    }
    out += ']';
}

template <class T>
void encode_value(std::string& out, const Rare<T>& rare, const Unknown* unknown) {
    encode_value(out, rare.value(), unknown);
}

template <class T>
bool is_left_out(const T& value, const T& standard) {
    return value == standard;
}
template <class T>
bool is_left_out(const std::optional<T>& value, const std::optional<T>&) {
    return !value;
}
template <class T>
bool is_left_out(const Box<T>& value, const Box<T>&) {
    return !value;
}
// Something unknown may hang below a member that itself has its default.
template <class T>
bool can_carry_unknown(const T&) {
    return Described<T>;
}
template <class T>
bool can_carry_unknown(const std::optional<T>&) {
    return false;
}

template <Described T>
void encode_value(std::string& out, const T& value, const Unknown* unknown) {
    static_assert(kWhole<T>,
                  "every member of the struct must be in its BOOST_DESCRIBE_STRUCT, in the order of declaration");
    [[maybe_unused]] static const T kStandard{};
    out += '{';
    const std::size_t start = out.size();
    boost::mp11::mp_for_each<Members<T>>([&](auto descriptor) {
        using D = decltype(descriptor);
        const auto& member = value.*D::pointer;
        const Unknown* part = nullptr;
        if (unknown) [[unlikely]]
            part = unknown->part(kMemberName<D>);
        if (is_left_out(member, kStandard.*D::pointer) && !(part && can_carry_unknown(member))) return;
        const std::string_view key = kKey<D>.view();
        out += out.size() == start ? key.substr(1) : key;
        encode_value(out, member, part);
    });
    if (unknown && !unknown->members.empty()) [[unlikely]] {
        if (out.size() != start) out += ',';
        out += unknown->members;
    }
    out += '}';
}

}  // namespace abide::model::detail
