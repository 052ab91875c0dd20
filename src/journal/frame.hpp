// journal/frame.hpp -- the envelope of every journal record, and the one record that a child writes about itself.
//
// Owns the byte layout.  Knows no payload but that of a pid record.  The layout never changes; what may change is what
// a payload holds, told by `schema`.  All numbers are little-endian:
//
//    offset  0  u32  crc       CRC-32C of all that follows in this record
//            4  u32  length    bytes of the payload
//            8  u16  type      RecordType, perhaps with kRemoved
//           10  u16  schema    of the payload
//           12  u32  left      records of the same batch that still follow; the batch counts from the record with 0 on
//           16  u64  epoch     which manager wrote it
//           24  u64  sequence  counts records over all epochs, without gaps; 0 in a pid record
//           32  u64  key       with the type, what the record is about; the last one wins
//           40       payload   JSON, but in a pid record PidPayload
//
// The key makes a record of a type that this version does not know replaceable and removable like any other.
// pid records are written by children between spawn and exec, at any time, so they belong to no batch and no sequence.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/ids.hpp"

namespace abide::journal {

enum class RecordType : std::uint16_t {
    header = 1,       // first record of an image: format, who wrote it
    spec = 2,         // key: model::spec_hash
    service = 3,      // key: name_key(name)
    operation = 4,    // key: id
    instance = 5,     // key: 0, as for all below unless said
    environment = 6,  // the instance's environment for its services.  Secret: never printed
    pid = 7,          // key: spawn id
    descriptor = 8,   // key: the anchor's key of a kept descriptor
    boot = 9,         // which boot, when the instance started
    events = 10,      // lines of the event log that were made with this batch; an image without its past has none
};
// Set in the type of a record that takes back the earlier one with the same type and key.  Its payload is only for
// people.
inline constexpr std::uint16_t kRemoved = 0x8000;

inline constexpr std::uint16_t kSchema = 1;
inline constexpr std::size_t kFrameBytes = 40;
namespace offset {
inline constexpr std::size_t kCrc = 0, kLength = 4, kType = 8, kSchema = 10, kLeft = 12, kEpoch = 16, kSequence = 24,
                             kKey = 32;
}

struct Frame {
    std::uint32_t crc = 0, length = 0;
    std::uint16_t type = 0, schema = 0;
    std::uint32_t left = 0;
    std::uint64_t epoch = 0, sequence = 0, key = 0;

    RecordType kind() const { return static_cast<RecordType>(type & ~kRemoved); }
    bool removed() const { return (type & kRemoved) != 0; }
};

// CRC-32C (Castagnoli) without a table: slow, but it needs nothing besides its arguments, so that a child that shares
// its parent's memory may call it.  crc32c in crc.hpp gives the same result.
template <class Byte>
constexpr std::uint32_t crc32c_plain(const Byte* bytes, std::size_t count) {
    std::uint32_t crc = ~std::uint32_t{0};
    for (std::size_t i = 0; i < count; ++i) {
        crc ^= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i]));
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1u)));
    }
    return ~crc;
}

template <class Int, class Byte>
constexpr void store(Byte* at, Int value) {
    for (std::size_t i = 0; i < sizeof(Int); ++i)
        at[i] = static_cast<Byte>(static_cast<unsigned char>(value >> (8 * i)));
}
template <class Int, class Byte>
constexpr Int load(const Byte* at) {
    Int value = 0;
    for (std::size_t i = 0; i < sizeof(Int); ++i) {
        value =
            static_cast<Int>(value | static_cast<Int>(static_cast<Int>(static_cast<unsigned char>(at[i])) << (8 * i)));
    }
    return value;
}

// The whole record of one spawn, made by the manager before the clone; the child puts in its pid and the checksum and
// appends it by one write(2) before its exec.  Payload: u64 spawn, u64 epoch, i32 pid, u32 zero.
struct PidRecord {
    static constexpr std::size_t kPayloadBytes = 24;
    static constexpr std::size_t kBytes = kFrameBytes + kPayloadBytes;
    static constexpr std::size_t kPidOffset = kFrameBytes + 16;
    static constexpr std::size_t kCrcOffset = offset::kCrc;
    static constexpr std::size_t kCrcBegin = offset::kLength, kCrcEnd = kBytes;  // what the checksum covers

    std::array<std::byte, kBytes> bytes{};

    static constexpr PidRecord prepare(Epoch epoch, SpawnId spawn) {
        PidRecord record;
        std::byte* at = record.bytes.data();
        store<std::uint32_t>(at + offset::kLength, kPayloadBytes);
        store<std::uint16_t>(at + offset::kType, static_cast<std::uint16_t>(RecordType::pid));
        store<std::uint16_t>(at + offset::kSchema, kSchema);
        store<std::uint64_t>(at + offset::kEpoch, epoch.value);
        store<std::uint64_t>(at + offset::kKey, spawn.value);
        store<std::uint64_t>(at + kFrameBytes, spawn.value);
        store<std::uint64_t>(at + kFrameBytes + 8, epoch.value);
        return record;
    }
    // In the child: no call, no table, no memory but the record's.
    constexpr void complete(std::int32_t pid) {
        store<std::uint32_t>(bytes.data() + kPidOffset, static_cast<std::uint32_t>(pid));
        store<std::uint32_t>(bytes.data() + kCrcOffset, crc32c_plain(bytes.data() + kCrcBegin, kCrcEnd - kCrcBegin));
    }
};

// The key of something that has a name.  64 bits of FNV-1a: with 20,000 services two names share a key with a
// probability of 10^-11.
std::uint64_t name_key(std::string_view name);

// The checksum is not looked at.  `bytes` has at least kFrameBytes.
Frame read_frame(const std::byte* bytes);
// Appends a frame with crc and left still 0, to be followed by the payload; seal_batch completes it.
void append_frame(std::string& out, const Frame& frame);
// Puts what is left and the checksums into the records at the offsets `starts`, whose lengths and payloads are final.
void seal_batch(std::string& batch, std::span<const std::size_t> starts);

}  // namespace abide::journal
