// logger/store.hpp -- the files of all services: writes lines, rotates, keeps the old ones in bounds, survives a full
// disk.
//
// Theory.  What comes from a pipe is written at once, also the beginning of a line whose end isn't there yet, so
// nothing waits in memory, and a logger that is killed loses at most what it was writing.  A file is ended in the
// middle of a line then; the next logger finds that and goes on.  Two runs of a service may write at the same time:
// when one cuts into the open line of the other, the line is ended and goes on later with the continuation mark.
//
// Few files are open at a time (the last used ones), so an idle service costs its record here and nothing else.
// When a file can't be written, its service is in trouble: output is counted and dropped, once a second writing is
// tried again, and the first line that succeeds says how much is missing.  Nobody ever waits.
//
// Invariants: the times of a file never go backwards (a clock that was set back starts a new file); a line is in one
// file; nothing outside the log directory is touched, and nothing in it that somebody planted.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "kernel/fd.hpp"
#include "logger/compressor.hpp"
#include "logger/lines.hpp"
#include "logger/names.hpp"
#include "model/spec.hpp"

namespace abide::logger {

struct Instant {
    std::int64_t wall_ns = 0, mono_ns = 0;
};

// The pipe that a chunk came from, and where it stands.
struct Writer {
    std::uint32_t id = 0;
    LineState* line = nullptr;
    bool resumed = false;  // the first chunk of a pipe that an earlier logger read
};

// What the manager should know of a service.
struct StoreReport {
    std::uint32_t service = 0;
    bool is_drop = false;
    int err = 0;  // problem: 0 is its end
    std::string text;
    std::uint64_t bytes = 0, lines = 0;  // drop
};

class Store {
  public:
    static constexpr std::size_t kOpenFiles = 128;
    static constexpr std::int64_t kClockSetBackNs = 1'000'000'000;  // less is clamped, more starts a new file
    static constexpr std::uint64_t kSmallestFile = 64u << 10;       // a smaller max-size is taken as this

    explicit Store(Compressor& compressor) : compressor_(compressor) {}

    void set_directory(kernel::Fd directory);
    [[nodiscard]] bool has_directory() const { return directory_.valid(); }
    [[nodiscard]] int directory() const { return directory_.get(); }

    // One call of release() for each of acquire().  Fails for a name that can't be a folder.
    Result<std::uint32_t> acquire(const std::string& service, const model::LogSpec& spec);
    void release(std::uint32_t service);

    void append(std::uint32_t service, const Writer& writer, std::string_view chunk, Instant now);
    // End of the pipe: a line that this writer left open is ended.
    void end_line(std::uint32_t service, const Writer& writer, Instant now);

    // Opens what the service's file is now, for a search.
    Result<kernel::Fd> open_current(std::uint32_t service);
    std::vector<StoreReport> take_reports();
    [[nodiscard]] const std::string& name(std::uint32_t service) const { return services_[service].name; }

  private:
    struct Rules {
        std::uint64_t max_size = 0;
        std::int64_t max_age_ns = 0;
        std::uint32_t keep = 0;
        bool compress = false;
        bool operator==(const Rules&) const = default;
    };
    struct Trouble {
        int err = 0;
        std::uint64_t bytes = 0, lines = 0;
        std::int64_t retry_mono_ns = 0;
    };
    static constexpr std::uint16_t kNotOpen = 0xffff;
    struct Service {
        std::string name;
        std::unique_ptr<Trouble> trouble;
        std::int64_t first_ns = 0, last_ns = 0;  // of the current file
        std::uint32_t rules = 0;
        std::uint32_t users = 0;
        std::uint32_t owner = 0;  // the writer of the open line
        std::uint16_t open = kNotOpen;
        bool line_open = false;  // the file ends within a line
        bool known = false;      // the file was looked at
    };
    struct OpenFile {
        kernel::Fd folder, file;
        std::uint64_t inode = 0, size = 0;
        std::int64_t checked_mono_ns = 0, rotate_mono_ns = 0;
        std::uint64_t used = 0;
        std::uint32_t service = 0;
    };

    std::uint32_t intern(const Rules& rules);
    std::vector<std::uint32_t>::iterator position(const std::string& name);

    Status ensure_open(Service& service, const Writer* writer, Instant now);
    void check_identity(Service& service, Instant now);
    Status inspect(Service& service, OpenFile& file, const Writer* writer);
    std::uint16_t free_entry();
    void forget_file(Service& service);

    void put(Service& service, const Writer& writer, const Piece& piece, std::int64_t wall_ns, Instant now);
    void put_head(Service& service, char mark, std::int64_t wall_ns);
    void flush(Service& service, Instant now);
    void rotate(Service& service, const Writer& writer, Instant now);
    void limit_old_files(Service& service, const kernel::Fd& folder);
    std::int64_t line_time(Service& service, const Writer& writer, Instant now);

    void begin_trouble(Service& service, const Error& error, Instant now);
    bool recovered(Service& service, const Writer& writer, Instant now);
    void count_unwritten(Trouble& trouble, std::string_view rest) const;

    Compressor& compressor_;
    kernel::Fd directory_;
    std::deque<Service> services_;
    std::vector<std::uint32_t> free_, by_name_;
    std::vector<Rules> rules_;
    std::vector<OpenFile> open_;
    std::vector<StoreReport> reports_;
    std::string out_;
    Stamp stamp_;
    std::uint64_t uses_ = 0;
};

}  // namespace abide::logger
