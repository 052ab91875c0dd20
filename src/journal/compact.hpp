// journal/compact.hpp -- a journal without its past: each thing once, equal specifications once, unknown things as they
// were.
//
// Pure: the caller writes the image to a new memfd and swaps it by name at the anchor.  Invariant: reading the image
// gives the same facts as the journal it replaces; verify() says so before the swap.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "journal/reader.hpp"
#include "journal/writer.hpp"

namespace abide::journal {

// Borrowed views of everything there is; null or empty: nothing of it.
struct Live {
    const model::Instance* instance = nullptr;
    const std::map<std::uint64_t, model::ServiceSpec>* specs = nullptr;
    std::vector<const model::Service*> services;
    std::vector<const model::Operation*> operations;
    const Environment* environment = nullptr;
    const BootRecord* boot = nullptr;
    const std::map<FdKey, Descriptor>* descriptors = nullptr;
    const EventLines* events = nullptr;                 // that are in no file yet
    const std::map<SpawnId, PidEntry>* pids = nullptr;  // only those still asked need to go along
    std::string program;                                // version, for the header
    const Header* header = nullptr;                     // of the older format to write in; none: our own
};

// A whole new image, as one batch of `writer` (which must be empty): take() it by the returned view.
std::string_view compact(Writer& writer, const Live& live);

// The same from what was read.
std::string_view compact(Writer& writer, const Recovered& recovered, std::string_view program);

// Is `image`, as it is on its file, what compact() has `written` of `live`, and does it read as that?
Status verify(std::string_view image, std::string_view written, const Live& live, const Take& take = {});

// When to: the past has outgrown the present.
constexpr bool should_compact(std::size_t journal_bytes, std::size_t live_bytes) {
    return journal_bytes > 2 * live_bytes + (std::size_t{256} << 10);
}

}  // namespace abide::journal
