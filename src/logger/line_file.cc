// logger/line_file.cc -- see line_file.hpp.
#include "logger/line_file.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "kernel/log_files.hpp"
#include "logger/names.hpp"

namespace abide::logger {
namespace {

constexpr std::size_t kBlock = 64u << 10;
constexpr std::size_t kLongestLine = limits::kLogLineBytes + kHeadBytes + 1;
constexpr std::size_t kForeignLine = 1u << 20;  // a file that isn't ours: a longer line is given out in parts

}  // namespace

struct LineFile::Inflate {
    z_stream stream{};
    std::array<unsigned char, kBlock / 2> in{};
    bool ended = false;

    Inflate() = default;
    Inflate(const Inflate&) = delete;
    Inflate& operator=(const Inflate&) = delete;
    ~Inflate() { inflateEnd(&stream); }
};

LineFile::LineFile(kernel::Fd file, bool compressed) : file_(std::move(file)) {
    if (!compressed) return;
    inflate_ = std::make_unique<Inflate>();
    constexpr int kWindowBits = 15, kGzipFormat = 16;
    inflate_->ended = inflateInit2(&inflate_->stream, kWindowBits + kGzipFormat) != Z_OK;
}
LineFile::LineFile(LineFile&&) noexcept = default;
LineFile& LineFile::operator=(LineFile&&) noexcept = default;
LineFile::~LineFile() = default;

void LineFile::seek(std::uint64_t offset) {
    buffer_.clear();
    start_ = searched_ = 0;
    offset_ = raw_ = offset;
}

Result<std::size_t> LineFile::read_plain(char* to, std::size_t size) {
    const Result<std::size_t> got = kernel::read_at(file_.get(), to, size, raw_);
    if (got) raw_ += *got;
    return got;
}

Result<std::size_t> LineFile::read_compressed(char* to, std::size_t size) {
    z_stream& stream = inflate_->stream;
    stream.next_out = reinterpret_cast<unsigned char*>(to);
    stream.avail_out = static_cast<unsigned>(size);
    while (!inflate_->ended && stream.avail_out == size) {
        if (stream.avail_in == 0) {
            const Result<std::size_t> got =
                read_plain(reinterpret_cast<char*>(inflate_->in.data()), inflate_->in.size());
            if (!got) return got;
            if (*got == 0) return fail_errno(EIO, "a compressed log ends too early");
            stream.next_in = inflate_->in.data();
            stream.avail_in = static_cast<unsigned>(*got);
        }
        const int state = inflate(&stream, Z_NO_FLUSH);
        if (state == Z_STREAM_END)
            inflate_->ended = true;
        else if (state != Z_OK && state != Z_BUF_ERROR)
            return fail_errno(EIO, "a compressed log is damaged");
    }
    return size - stream.avail_out;
}

// False: nothing more now.
Result<bool> LineFile::fill() {
    buffer_.erase(0, start_);
    searched_ -= start_;
    start_ = 0;
    const std::size_t have = buffer_.size();
    buffer_.resize(have + kBlock);
    const Result<std::size_t> got =
        inflate_ ? read_compressed(buffer_.data() + have, kBlock) : read_plain(buffer_.data() + have, kBlock);
    buffer_.resize(have + (got ? *got : 0));
    if (buffer_.empty()) buffer_.shrink_to_fit();  // thousands of files may stand at their ends
    if (!got) return std::unexpected(got.error());
    return *got > 0;
}

Result<bool> LineFile::next(std::string_view& line) {
    for (;;) {
        const std::size_t newline = buffer_.find('\n', searched_);
        const bool too_long = newline == buffer_.npos && buffer_.size() - start_ > kForeignLine;
        if (newline != buffer_.npos || too_long) {
            const std::size_t end = too_long ? buffer_.size() : newline;
            line = std::string_view(buffer_).substr(start_, end - start_);
            offset_ += end - start_ + (too_long ? 0 : 1);
            start_ = searched_ = end + (too_long ? 0 : 1);
            return true;
        }
        searched_ = buffer_.size();
        const Result<bool> more = fill();
        if (!more || !*more) return more;
    }
}

// Bisects to a stretch of a few blocks, then goes line by line.  `low` is always the start of a line that is too old.
Result<std::uint64_t> find_since(int file, std::uint64_t size, std::int64_t since_ns) {
    std::uint64_t low = 0, high = size;
    std::vector<char> block(2 * kLongestLine);
    const auto first_line_from = [&](std::uint64_t offset) -> Result<std::pair<std::uint64_t, std::int64_t>> {
        // Of the first line with a time that begins after `offset`; {size, max} when there is none near.
        const Result<std::size_t> got = kernel::read_at(file, block.data(), block.size(), offset);
        if (!got) return std::unexpected(got.error());
        const std::string_view text(block.data(), *got);
        for (std::size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 1))
            if (const std::optional<LineHead> head = parse_head(text.substr(at + 1)))
                return std::pair{offset + at + 1, head->wall_ns};
        return std::pair{size, INT64_MAX};
    };
    while (high > low + 2 * kLongestLine) {
        const std::uint64_t middle = low + (high - low) / 2;
        const auto seen = first_line_from(middle);
        if (!seen) return std::unexpected(seen.error());
        if (seen->second >= since_ns)
            high = middle;
        else
            low = seen->first;
    }
    std::uint64_t at = low;
    while (at < size) {
        const Result<std::size_t> got = kernel::read_at(file, block.data(), block.size(), at);
        if (!got) return std::unexpected(got.error());
        const std::string_view text(block.data(), *got);
        std::size_t start = 0;
        for (; start < text.size();
             start = text.find('\n', start) == text.npos ? text.size() : text.find('\n', start) + 1) {
            const std::optional<LineHead> head = parse_head(text.substr(start));
            if (head && head->wall_ns >= since_ns) return at + start;
            if (text.find('\n', start) == text.npos) break;
        }
        if (start == 0) return size;  // what remains is no complete line
        at += start;
    }
    return size;
}

Result<LastLines> find_last(int file, std::uint64_t size, std::uint64_t n) {
    std::vector<char> block(kBlock);
    LastLines found{0, 0};
    std::uint64_t end = size;  // everything from here on was looked at
    std::uint64_t newlines = 0;
    if (n == 0) n = UINT64_MAX;
    while (end > 0) {
        const std::size_t length = static_cast<std::size_t>(std::min<std::uint64_t>(end, kBlock));
        const Result<std::size_t> got = kernel::read_at(file, block.data(), length, end - length);
        if (!got) return std::unexpected(got.error());
        for (std::size_t i = *got; i-- > 0;) {
            if (block[i] != '\n') continue;
            // The line before the (n+1)th newline from the end isn't wanted any more.
            if (newlines == n) return LastLines{end - length + i + 1, n};
            ++newlines;
        }
        end -= length;
    }
    found.lines = newlines;
    return found;
}

}  // namespace abide::logger
