// model/json_writer.cc -- see the header.
#include "model/json_writer.hpp"

#include <array>

#include "base/text.hpp"

namespace abide::model::json {
namespace {

constexpr char kHex[] = "0123456789abcdef";
constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<signed char, 256> make_digits() {
    std::array<signed char, 256> digits{};
    digits.fill(-1);
    for (int i = 0; i < 64; ++i) digits[static_cast<unsigned char>(kBase64[i])] = static_cast<signed char>(i);
    return digits;
}
constexpr std::array<signed char, 256> kDigits = make_digits();

// Without a branch, so that all_plain() can take many bytes at once.
constexpr bool is_plain(unsigned char c) {
    return (c >= 0x20) & (c < 0x80) & (c != '"') & (c != '\\');
}

// Of a control character.
void append_escape(std::string& out, char c) {
    switch (c) {
        case '\n': out += "\\n"; return;
        case '\t': out += "\\t"; return;
        case '\r': out += "\\r"; return;
        default: break;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += "\\u00";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
}

// The text is well-formed UTF-8.
void append_escaped(std::string& out, std::string_view text) {
    std::size_t done = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (is_plain(c) || c >= 0x80) continue;
        out.append(text.substr(done, i - done));
        done = i;
        if (c == '"' || c == '\\') {
            out += '\\';  // and then the character itself, with what follows it
        } else {
            append_escape(out, text[i]);
            ++done;
        }
    }
    out.append(text.substr(done));
}

// To the end in any case: nearly all texts are plain.
bool all_plain(std::string_view text) {
    unsigned char odd = 0;
    for (const char c : text) odd |= static_cast<unsigned char>(!is_plain(static_cast<unsigned char>(c)));
    return odd == 0;
}

}  // namespace

void append_base64(std::string& out, std::string_view bytes) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])); };
    std::size_t i = 0;
    for (; i + 3 <= bytes.size(); i += 3) {
        const std::uint32_t group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
        for (int shift = 18; shift >= 0; shift -= 6) out += kBase64[group >> shift & 63];
    }
    const std::size_t rest = bytes.size() - i;
    if (rest == 0) return;
    const std::uint32_t group = byte(i) << 16 | (rest == 2 ? byte(i + 1) << 8 : 0);
    out += kBase64[group >> 18 & 63];
    out += kBase64[group >> 12 & 63];
    out += rest == 2 ? kBase64[group >> 6 & 63] : '=';
    out += '=';
}

std::optional<std::string> from_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3);
    for (std::size_t i = 0; i < text.size(); i += 4) {
        std::size_t padding = 0;
        if (i + 4 == text.size()) padding = text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 4; ++k) {
            const int digit = k + padding >= 4 ? 0 : kDigits[static_cast<unsigned char>(text[i + k])];
            if (digit < 0) return std::nullopt;
            group = group << 6 | static_cast<std::uint32_t>(digit);
        }
        // One text for each value: the bits that padding cuts off are zero.
        if ((group & ((1u << (8 * padding)) - 1)) != 0) return std::nullopt;
        for (std::size_t k = 0; k + padding < 3; ++k) bytes += static_cast<char>(group >> (16 - 8 * k) & 255);
    }
    return bytes;
}

void append_bytes(std::string& out, std::string_view bytes) {
    if (all_plain(bytes)) [[likely]] {
        out += '"';
        out += bytes;
        out += '"';
    } else if (is_utf8(bytes)) {
        out += '"';
        append_escaped(out, bytes);
        out += '"';
    } else {
        out += "{\"$b64\":\"";
        append_base64(out, bytes);
        out += "\"}";
    }
}

void append_text(std::string& out, std::string_view text) {
    out += '"';
    while (true) {
        const std::size_t bad = first_invalid_utf8(text);
        append_escaped(out, text.substr(0, bad));
        if (bad == std::string_view::npos) break;
        out += "\xef\xbf\xbd";
        text.remove_prefix(bad + 1);
    }
    out += '"';
}

}  // namespace abide::model::json
