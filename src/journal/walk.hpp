// journal/walk.hpp -- the first half of reading: which records count, before anybody looks into a payload.
//
// Private to journal/.  Owns the rules of checksums, batches, epochs and torn ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "journal/frame.hpp"
#include "journal/kept.hpp"
#include "journal/reader.hpp"

namespace abide::journal {

// The last record of each key, as it stands in the image.
struct Standing {
    std::uint16_t schema = 0;
    std::string_view payload;
};

class Walk {
  public:
    Walk(std::span<const std::byte> image, Recovered& result) : image_(image), result_(result) {}
    // Fills the result's statistics, pids, last epoch and sequence; gives what stands, to be decoded.
    std::map<RecordKey, Standing> run();
    // The pid records from there on, wherever they begin.
    void look_for_pids(std::size_t at);

  private:
    struct Found {
        Frame frame;
        std::size_t at = 0;
    };

    // A whole record with a right checksum begins here.
    bool whole_at(std::size_t at) const;
    std::size_t end_of(std::size_t at) const;
    bool take(const Frame& frame, std::size_t at);
    void take_pid(const Frame& frame, std::size_t at);
    void commit();
    void drop_pending();
    void end_torn(std::size_t at);
    void problem(std::string text);

    std::span<const std::byte> image_;
    Recovered& result_;
    std::map<RecordKey, Standing> standing_;
    std::vector<Found> pending_;  // of the batch that is not complete yet
    bool stale_told_ = false;
};

// Adds a line unless there are many already.
void add_problem(Recovered& result, std::string text);

}  // namespace abide::journal
