// model/json_writer.hpp -- compact JSON text, appended to a string: strings, numbers, bytes.
//
// Owns how bytes become JSON.  Knows no struct.  Invariant: what it appends is valid JSON and valid UTF-8, whatever the
// input.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace abide::model::json {

// Integers beyond +-2^53 are not exact in every JSON reader; they are written as strings.
inline constexpr std::int64_t kExactMax = std::int64_t{1} << 53;

// Lossless: a JSON string when the bytes are well-formed UTF-8, else {"$b64":"..."} (RFC 4648, with padding).
void append_bytes(std::string& out, std::string_view bytes);

// For people: a JSON string in any case; what is not UTF-8 becomes U+FFFD.
void append_text(std::string& out, std::string_view text);

void append_base64(std::string& out, std::string_view bytes);
// nullopt for anything that append_base64 does not write.
std::optional<std::string> from_base64(std::string_view text);

template <std::integral Int>
    requires(!std::same_as<Int, bool>)
void append_number(std::string& out, Int value) {
    char digits[24];
    const char* end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    const auto size = static_cast<std::size_t>(end - digits);
    bool exact = true;
    if constexpr (sizeof(Int) == 8) {
        exact = std::cmp_less_equal(value, kExactMax) && std::cmp_greater_equal(value, -kExactMax);
    }
    if (!exact) [[unlikely]] {
        out += '"';
        out.append(digits, size);
        out += '"';
    } else {
        out.append(digits, size);
    }
}

}  // namespace abide::model::json
