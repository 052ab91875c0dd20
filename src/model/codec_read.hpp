// model/codec_read.hpp -- the reading half of the codec.  Private to codec.hpp, whose words on the form hold.
//
// The parser (Boost.JSON) stays behind Node, so that its headers and exceptions stay in codec_read.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/box.hpp"
#include "base/ids.hpp"
#include "base/limits.hpp"
#include "base/rare.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "model/codec_names.hpp"
#include "model/codec_scan.hpp"
#include "model/codec_unknown.hpp"
#include "model/codec_write.hpp"

namespace abide::model::detail {

// One value of a parsed text; lives as long as its Document.
class Node {
  public:
    static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

    explicit Node(const void* value) : value_(value) {}
    bool is_object() const;
    bool is_array() const;
    std::size_t size() const;                    // of an object or array
    std::string_view key(std::size_t at) const;  // of an object, as is `member`
    Node member(std::size_t at) const;
    std::size_t find(std::string_view name) const;  // kNone: no such member
    Node element(std::size_t at) const;             // of an array
    const char* kind() const;                       // "a number", for messages
    // False: not of this type, or out of its range.
    bool read(bool& value) const;
    bool read(std::int64_t& value) const;
    bool read(std::uint64_t& value) const;
    bool read(std::string& value) const;            // a string, or bytes in base64
    bool read_text(std::string_view& value) const;  // a string as it is
    // As JSON text of the same value.  False: it has a number that this would not keep.
    bool append_to(std::string& out) const;

  private:
    const void* value_;
};

class Document {
  public:
    static Result<Document> parse(std::string_view text);
    Node root() const;
    Document(Document&&) noexcept;
    Document& operator=(Document&&) noexcept;
    ~Document();

  private:
    struct Tree;
    explicit Document(std::unique_ptr<Tree> tree);
    std::unique_ptr<Tree> tree_;
};

// What goes along while a document is read.
struct Reading {
    std::string path, what;  // of the error; the path grows on the way out
    std::size_t budget = 0;  // bytes that lists may still take

    bool wrong(std::string text) {
        what = std::move(text);
        return false;
    }
    bool wrong_type(Node node, std::string_view wanted);
    bool unknown_name(std::string_view name);
    // Puts a step before the path; false, for the way out.
    bool below(std::string_view step);
    bool below(std::size_t index);
    bool charge(std::size_t bytes);
    Error error() const;
};

template <Described T>
bool decode_value(Node node, T& value, Reading& reading, Unknown* unknown);
template <class T>
bool decode_value(Node node, std::vector<T>& values, Reading& reading, Unknown* unknown);

inline bool decode_value(Node node, bool& value, Reading& reading, Unknown*) {
    return node.read(value) || reading.wrong_type(node, "true or false");
}
inline bool decode_value(Node node, std::string& value, Reading& reading, Unknown*) {
    return node.read(value) || reading.wrong_type(node, "a string");
}
template <Integer T>
bool decode_value(Node node, T& value, Reading& reading, Unknown*) {
    std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t> wide = 0;
    if (!node.read(wide) || !std::in_range<T>(wide)) return reading.wrong_type(node, "a whole number that fits");
    value = static_cast<T>(wide);
    return true;
}
template <Instant T>
bool decode_value(Node node, T& value, Reading& reading, Unknown* unknown) {
    return decode_value(node, value.ns, reading, unknown);
}
template <class Tag>
bool decode_value(Node node, Id<Tag>& value, Reading& reading, Unknown* unknown) {
    return decode_value(node, value.value, reading, unknown);
}
template <DescribedEnum E>
bool decode_value(Node node, E& value, Reading& reading, Unknown*) {
    std::string_view text;
    if (!node.read_text(text)) return reading.wrong_type(node, "a name");
    const auto& names = EnumNames<E>::kNames;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i] != text) continue;
        value = static_cast<E>(i);
        return true;
    }
    return reading.unknown_name(text);
}
template <class T>
bool decode_value(Node node, std::optional<T>& value, Reading& reading, Unknown* unknown) {
    return decode_value(node, value.emplace(), reading, unknown);
}
template <class T>
bool decode_value(Node node, Box<T>& value, Reading& reading, Unknown* unknown) {
    value = Box<T>(T{});
    return reading.charge(sizeof(T)) && decode_value(node, *value, reading, unknown);
}

template <class T>
bool decode_value(Node node, std::vector<T>& values, Reading& reading, Unknown* unknown) {
    if (!node.is_array()) return reading.wrong_type(node, "a list");
    const std::size_t count = node.size();
    if (!reading.charge(count * sizeof(T))) return false;
    values.clear();
    values.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        Unknown below;
        if (!decode_value(node.element(i), values[i], reading, unknown ? &below : nullptr)) return reading.below(i);
        if constexpr (Described<T>) {
            if (!below.empty()) unknown->parts[identity_of(values[i], i)] = std::move(below);
        }
    }
    return true;
}

template <class T>
bool decode_value(Node node, Rare<T>& rare, Reading& reading, Unknown* unknown) {
    T value;
    if (!decode_value(node, value, reading, unknown)) return false;
    rare = std::move(value);
    return true;
}

template <class D, class T>
bool decode_member(Node node, T& value, Reading& reading, Unknown* unknown) {
    using Member = MemberType<D>;
    // The text omits what equals the default of the member's own type, not the default that this struct gives the
    // member.
    if constexpr (Described<Member>) value.*D::pointer = Member{};
    if (!unknown) return decode_value(node, value.*D::pointer, reading, nullptr) || reading.below(kMemberName<D>);
    Unknown below;
    if (!decode_value(node, value.*D::pointer, reading, &below)) return reading.below(kMemberName<D>);
    if (!below.empty()) unknown->parts[std::string(kMemberName<D>)] = std::move(below);
    return true;
}

template <Described T>
bool keep_unknown(Node node, Reading& reading, Unknown& unknown) {
    for (std::size_t i = 0; i < node.size(); ++i) {
        bool known = false;
        boost::mp11::mp_for_each<Members<T>>(
            [&](auto descriptor) { known = known || kMemberName<decltype(descriptor)> == node.key(i); });
        if (known) continue;
        if (!unknown.members.empty()) unknown.members += ',';
        json::append_text(unknown.members, node.key(i));
        unknown.members += ':';
        if (!node.member(i).append_to(unknown.members)) {
            return reading.wrong("has a number that is too large to be kept") || reading.below(node.key(i));
        }
    }
    return true;
}

template <Described T>
bool decode_value(Node node, T& value, Reading& reading, Unknown* unknown) {
    static_assert(kWhole<T>,
                  "every member of the struct must be in its BOOST_DESCRIBE_STRUCT, in the order of declaration");
    if (!node.is_object()) return reading.wrong_type(node, "an object");
    // Our own texts have the members in order, so one comparison a member is usual; what is left is looked up.
    const std::size_t count = node.size();
    std::size_t at = 0;
    bool good = true;
    boost::mp11::mp_for_each<Members<T>>([&](auto descriptor) {
        using D = decltype(descriptor);
        if (!good || at == count || node.key(at) != kMemberName<D>) return;
        good = decode_member<D>(node.member(at), value, reading, unknown);
        ++at;
    });
    if (!good || at == count) return good;
    boost::mp11::mp_for_each<Members<T>>([&](auto descriptor) {
        using D = decltype(descriptor);
        if (!good) return;
        const std::size_t found = node.find(kMemberName<D>);
        if (found == Node::kNone || found < at) return;
        good = decode_member<D>(node.member(found), value, reading, unknown);
    });
    return good && (!unknown || keep_unknown<T>(node, reading, *unknown));
}

constexpr std::size_t budget_for(std::string_view text) {
    return (std::size_t{1} << 20) + 16 * text.size();
}

// Any JSON.
template <Described T>
Result<T> decode_any(std::string_view text, Unknown* unknown) {
    auto document = Document::parse(text);
    if (!document) return std::unexpected(std::move(document.error()));
    Reading reading;
    reading.budget = budget_for(text);
    T value{};
    if (!decode_value(document->root(), value, reading, unknown)) return std::unexpected(reading.error());
    return value;
}

template <Described T>
Result<T> decode_document(std::string_view text, Unknown* unknown) {
    Result<T> value{std::in_place};
    Scan scan(text, budget_for(text));
    if (text.size() <= limits::kMessageBytes && scan_value(scan, *value) && scan.at_end()) return value;
    return decode_any<T>(text, unknown);
}

}  // namespace abide::model::detail
