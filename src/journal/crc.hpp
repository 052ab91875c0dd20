// journal/crc.hpp -- CRC-32C, eight bytes at a time: a large journal is checked in milliseconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace abide::journal {

std::uint32_t crc32c(std::span<const std::byte> bytes);
// The same where the processor has no instruction for it.
std::uint32_t crc32c_by_tables(std::span<const std::byte> bytes);

}  // namespace abide::journal
