// journal/crc.cc -- see the header.
#include "journal/crc.hpp"

#ifdef __x86_64__
#include <cpuid.h>
#endif

#include <array>
#include <bit>
#include <cstring>

namespace abide::journal {
namespace {

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables make_tables() {
    Tables tables{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t crc = i;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1u)));
        tables[0][i] = crc;
    }
    for (std::size_t i = 0; i < 256; ++i) {
        for (std::size_t t = 1; t < 8; ++t) tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 255];
    }
    return tables;
}
constexpr Tables kTables = make_tables();

std::uint32_t by_tables(std::uint32_t crc, std::span<const std::byte> bytes) {
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    for (; left >= 8; left -= 8, at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, at, sizeof word);
        word ^= crc;
        crc = 0;
        for (std::size_t i = 0; i < 8; ++i) crc ^= kTables[7 - i][word >> (8 * i) & 255];
    }
    for (; left > 0; --left, ++at) crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<std::uint32_t>(*at)) & 255];
    return crc;
}

#ifdef __x86_64__
// The processor's own instruction (SSE 4.2) is of this very polynomial.
[[gnu::target("sse4.2")]] std::uint32_t by_instruction(std::uint32_t crc, std::span<const std::byte> bytes) {
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    for (; left >= 8; left -= 8, at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, at, sizeof word);
        crc = static_cast<std::uint32_t>(__builtin_ia32_crc32di(crc, word));
    }
    for (; left > 0; --left, ++at) crc = __builtin_ia32_crc32qi(crc, static_cast<unsigned char>(*at));
    return crc;
}
bool has_instruction() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSE4_2) != 0;
}
#endif

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes) {
    static_assert(std::endian::native == std::endian::little, "the eight bytes are taken as one little-endian number");
#ifdef __x86_64__
    static const bool kHasInstruction = has_instruction();
    if (kHasInstruction) return ~by_instruction(~std::uint32_t{0}, bytes);
#endif
    return ~by_tables(~std::uint32_t{0}, bytes);
}

std::uint32_t crc32c_by_tables(std::span<const std::byte> bytes) {
    return ~by_tables(~std::uint32_t{0}, bytes);
}

}  // namespace abide::journal
