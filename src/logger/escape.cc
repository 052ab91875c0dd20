// logger/escape.cc -- see escape.hpp.
#include "logger/escape.hpp"

#include <cstddef>
#include <cstdint>

namespace abide::logger {
namespace {

void put_hex(std::string& out, unsigned char byte) {
    constexpr char kHex[] = "0123456789abcdef";
    out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
}

// The length of the well-formed UTF-8 sequence at the start, or 0; its code point.
std::size_t sequence(std::string_view text, std::uint32_t& code) {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = at(0);
    const std::size_t size = lead >= 0xf0 && lead <= 0xf4  ? 4
                             : lead >= 0xe0 && lead < 0xf0 ? 3
                             : lead >= 0xc2 && lead < 0xe0 ? 2
                                                           : 0;
    if (size == 0 || text.size() < size) return 0;
    code = lead & (0xffu >> (size + 1));
    for (std::size_t i = 1; i < size; ++i) {
        if ((at(i) & 0xc0) != 0x80) return 0;
        code = code << 6 | (at(i) & 0x3f);
    }
    const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
    if (overlong || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
    return size;
}

// Characters that change how others are shown: C1 controls, and the marks that turn the direction of writing.
bool inert(std::uint32_t code) {
    const bool c1 = code >= 0x80 && code <= 0x9f;
    const bool direction = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0x200e ||
                           code == 0x200f || code == 0x2028 || code == 0x2029;
    return !c1 && !direction;
}

}  // namespace

std::string escape_for_terminal(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = static_cast<unsigned char>(text[i]);
        std::size_t size = 1;
        bool keep = byte == '\t' || (byte >= 0x20 && byte < 0x7f);
        if (byte >= 0x80) {
            std::uint32_t code = 0;
            const std::size_t whole = sequence(text.substr(i), code);
            keep = whole > 0 && inert(code);
            if (whole > 0) size = whole;
        }
        for (std::size_t k = i; k < i + size; ++k) {
            if (keep)
                out.push_back(text[k]);
            else
                put_hex(out, static_cast<unsigned char>(text[k]));
        }
        i += size;
    }
    return out;
}

}  // namespace abide::logger
