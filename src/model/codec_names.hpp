// model/codec_names.hpp -- what the compiler knows of a described type: its members' and enumerators' names as they are
// written, and whether the description is whole.  All of it is constant; nothing runs here.
#pragma once

#include <array>
#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

namespace abide::model::detail {

template <class T>
concept Described = std::is_class_v<T> && boost::describe::has_describe_members<T>::value;

template <class E>
concept DescribedEnum = std::is_enum_v<E> && boost::describe::has_describe_enumerators<E>::value;

template <class T>
using Members = boost::describe::describe_members<T, boost::describe::mod_public>;

template <class D>
struct MemberTypeOf;
template <class T, class M>
struct MemberTypeOf<M T::*> {
    using type = M;
};
template <class D>
using MemberType = typename MemberTypeOf<std::remove_cv_t<decltype(D::pointer)>>::type;

// {} initializes a member of any type, so an aggregate that takes one more initializer than it has described members
// has a member that nobody described.
template <class T, class... M>
concept TakesExactly = requires { T{std::declval<M>()...}; } && !requires { T{std::declval<M>()..., {}}; };

template <class T, class List>
struct WholeImpl;
template <class T, class... D>
struct WholeImpl<T, boost::mp11::mp_list<D...>> : std::bool_constant<TakesExactly<T, MemberType<D>...>> {};

// Every member of the aggregate is described, in the order of declaration.
template <Described T>
inline constexpr bool kWhole =
    std::is_aggregate_v<T> && WholeImpl<T, boost::mp11::mp_rename<Members<T>, boost::mp11::mp_list>>::value;

template <std::size_t N>
struct Text {
    std::array<char, N> bytes{};
    constexpr std::string_view view() const { return {bytes.data(), N}; }
};

// A trailing `_` only keeps a name from being a keyword.
constexpr std::string_view plain_name(std::string_view name) {
    while (name.ends_with('_')) name.remove_suffix(1);
    return name;
}

// `,"name":` of a member.
template <class D>
constexpr auto make_key() {
    constexpr std::string_view kName = plain_name(D::name);
    Text<kName.size() + 4> key;
    std::size_t at = 0;
    key.bytes[at++] = ',';
    key.bytes[at++] = '"';
    for (char c : kName) key.bytes[at++] = c;
    key.bytes[at++] = '"';
    key.bytes[at] = ':';
    return key;
}
template <class D>
inline constexpr auto kKey = make_key<D>();
template <class D>
inline constexpr std::string_view kMemberName = plain_name(D::name);

// `start_timeout` is written "start-timeout", `requires_` is "requires".
template <class D>
constexpr auto make_enumerator() {
    constexpr std::string_view kName = plain_name(D::name);
    Text<kName.size()> text;
    for (std::size_t i = 0; i < kName.size(); ++i) text.bytes[i] = kName[i] == '_' ? '-' : kName[i];
    return text;
}
template <class D>
inline constexpr auto kEnumerator = make_enumerator<D>();

template <class List>
struct EnumNamesImpl;
template <class... D>
struct EnumNamesImpl<boost::mp11::mp_list<D...>> {
    static constexpr std::array<std::string_view, sizeof...(D)> kNames{kEnumerator<D>.view()...};
    static constexpr bool in_order() {
        std::size_t next = 0;
        return ((static_cast<std::size_t>(D::value) == next++) && ...);
    }
};
template <DescribedEnum E>
using EnumNames = EnumNamesImpl<boost::mp11::mp_rename<boost::describe::describe_enumerators<E>, boost::mp11::mp_list>>;

}  // namespace abide::model::detail

namespace abide::model {

// The enumerator as it is written; empty for a value that has no name.
template <detail::DescribedEnum E>
constexpr std::string_view enum_name(E value) {
    static_assert(detail::EnumNames<E>::in_order(), "the enumerators must count from 0 without gaps");
    const auto index = static_cast<std::size_t>(value);
    const auto& names = detail::EnumNames<E>::kNames;
    return index < names.size() ? names[index] : std::string_view{};
}

}  // namespace abide::model
