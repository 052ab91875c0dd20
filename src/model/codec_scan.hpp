// model/codec_scan.hpp -- the fast half of reading: texts exactly as `encode` writes them, without a tree in between.
//
// A manager that comes back reads two records a service before it can answer anybody.  What is written by our own
// version is compact, in the order of the members and nearly always plain ASCII; so each member is looked for where it
// must be.  Whatever else comes (another order, unknown members, escapes, blanks, a number that does not fit) ends the
// scan, and the reader of any JSON (codec_read.hpp) begins anew.  Invariant: where a scan succeeds, that reader gives
// the same value and nothing unknown.  Private to codec.hpp.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/box.hpp"
#include "base/ids.hpp"
#include "model/codec_names.hpp"
#include "model/codec_write.hpp"

namespace abide::model::detail {

class Scan {
  public:
    Scan(std::string_view text, std::size_t budget) : at_(text.data()), end_(at_ + text.size()), budget_(budget) {}

    bool at_end() const { return at_ == end_; }
    bool next_is(char c) const { return at_ != end_ && *at_ == c; }
    bool take(char c) {
        if (!next_is(c)) return false;
        ++at_;
        return true;
    }
    bool take(std::string_view word) {
        if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(word)) return false;
        at_ += word.size();
        return true;
    }
    // The key of a member, with its comma or without.  Most members of a record are absent: since the compiler knows
    // how long the key is, looking for one is a comparison or two and no call.
    template <class D>
    bool take_key(bool first) {
        constexpr std::size_t kSize = kKey<D>.bytes.size();
        const std::size_t skip = first ? 1 : 0;
        if (static_cast<std::size_t>(end_ - at_) < kSize - skip) return false;
        const char* const word = kKey<D>.bytes.data() + 1;
        if (!first && *at_ != ',') return false;
        if (std::memcmp(at_ + 1 - skip, word, kSize - 1) != 0) return false;
        at_ += kSize - skip;
        return true;
    }
    // A string of plain ASCII.
    bool text(std::string_view& value) {
        if (!take('"')) return false;
        const char* begin = at_;
        for (; at_ != end_ && *at_ != '"'; ++at_) {
            const auto c = static_cast<unsigned char>(*at_);
            if (c < 0x20 || c >= 0x80 || c == '\\') return false;
        }
        value = {begin, static_cast<std::size_t>(at_ - begin)};
        return take('"');
    }
    // Digits, in quotes when they would not be exact in every reader.
    template <class Int>
    bool number(Int& value) {
        const bool quoted = take('"');
        const char* begin = at_;
        const auto [next, error] = std::from_chars(at_, end_, value);
        if (error != std::errc{}) return false;
        // Zeros before a number, and minus zero, are not for us to judge.
        const char* digits = *begin == '-' ? begin + 1 : begin;
        if (*digits == '0' && next - begin > 1) return false;
        at_ = next;
        return !quoted || take('"');
    }
    bool charge(std::size_t bytes) {
        if (bytes > budget_) return false;
        budget_ -= bytes;
        return true;
    }

  private:
    const char* at_;
    const char* end_;
    std::size_t budget_;  // bytes that lists may still take
};

template <Described T>
bool scan_value(Scan& scan, T& value);
template <class T>
bool scan_value(Scan& scan, std::vector<T>& values);

inline bool scan_value(Scan& scan, bool& value) {
    value = scan.next_is('t');
    return scan.take(value ? std::string_view("true") : std::string_view("false"));
}
inline bool scan_value(Scan& scan, std::string& value) {
    std::string_view text;
    if (!scan.text(text)) return false;
    value = text;
    return true;
}
template <Integer T>
bool scan_value(Scan& scan, T& value) {
    return scan.number(value);
}
template <Instant T>
bool scan_value(Scan& scan, T& value) {
    return scan.number(value.ns);
}
template <class Tag>
bool scan_value(Scan& scan, Id<Tag>& value) {
    return scan.number(value.value);
}
template <DescribedEnum E>
bool scan_value(Scan& scan, E& value) {
    std::string_view text;
    if (!scan.text(text)) return false;
    const auto& names = EnumNames<E>::kNames;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i] != text) continue;
        value = static_cast<E>(i);
        return true;
    }
    return false;
}
template <class T>
bool scan_value(Scan& scan, std::optional<T>& value) {
    return scan_value(scan, value.emplace());
}
template <class T>
bool scan_value(Scan& scan, Box<T>& value) {
    value = Box<T>(T{});
    return scan.charge(sizeof(T)) && scan_value(scan, *value);
}
template <class T>
bool scan_value(Scan& scan, std::vector<T>& values) {
    values.clear();
    if (!scan.take('[')) return false;
    if (scan.take(']')) return true;
    do {
        if (!scan.charge(sizeof(T)) || !scan_value(scan, values.emplace_back())) return false;
    } while (scan.take(','));
    values.shrink_to_fit();  // what a specification has stays as long as it
    return scan.take(']');
}
template <class T>
bool scan_value(Scan& scan, Rare<T>& rare) {
    T value;
    if (!scan_value(scan, value)) return false;
    rare = std::move(value);
    return true;
}

template <Described T>
bool scan_value(Scan& scan, T& value) {
    if (!scan.take('{')) return false;
    bool good = true, first = true;
    boost::mp11::mp_for_each<Members<T>>([&](auto descriptor) {
        using D = decltype(descriptor);
        if (!good || scan.next_is('}')) return;
        if (!scan.take_key<D>(first)) return;
        first = false;
        // As in codec_read.hpp: absence means the default of the member's own type.
        if constexpr (Described<MemberType<D>>) value.*D::pointer = MemberType<D>{};
        good = scan_value(scan, value.*D::pointer);
    });
    return good && scan.take('}');
}

}  // namespace abide::model::detail
