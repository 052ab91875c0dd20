// journal/frame.cc -- see the header.
#include "journal/frame.hpp"

#include "journal/crc.hpp"
#include "model/codec.hpp"

namespace abide::journal {

std::uint64_t name_key(std::string_view name) {
    return model::fnv1a(name);
}

Frame read_frame(const std::byte* bytes) {
    return {
        .crc = load<std::uint32_t>(bytes + offset::kCrc),
        .length = load<std::uint32_t>(bytes + offset::kLength),
        .type = load<std::uint16_t>(bytes + offset::kType),
        .schema = load<std::uint16_t>(bytes + offset::kSchema),
        .left = load<std::uint32_t>(bytes + offset::kLeft),
        .epoch = load<std::uint64_t>(bytes + offset::kEpoch),
        .sequence = load<std::uint64_t>(bytes + offset::kSequence),
        .key = load<std::uint64_t>(bytes + offset::kKey),
    };
}

void append_frame(std::string& out, const Frame& frame) {
    char bytes[kFrameBytes] = {};
    store<std::uint32_t>(bytes + offset::kLength, frame.length);
    store<std::uint16_t>(bytes + offset::kType, frame.type);
    store<std::uint16_t>(bytes + offset::kSchema, frame.schema);
    store<std::uint64_t>(bytes + offset::kEpoch, frame.epoch);
    store<std::uint64_t>(bytes + offset::kSequence, frame.sequence);
    store<std::uint64_t>(bytes + offset::kKey, frame.key);
    out.append(bytes, kFrameBytes);
}

void seal_batch(std::string& batch, std::span<const std::size_t> starts) {
    for (std::size_t i = 0; i < starts.size(); ++i) {
        char* at = batch.data() + starts[i];
        store<std::uint32_t>(at + offset::kLeft, static_cast<std::uint32_t>(starts.size() - 1 - i));
        const std::size_t covered = kFrameBytes - offset::kLength + load<std::uint32_t>(at + offset::kLength);
        const std::span<const char> bytes(at + offset::kLength, covered);
        store<std::uint32_t>(at + offset::kCrc, crc32c(std::as_bytes(bytes)));
    }
}

}  // namespace abide::journal
