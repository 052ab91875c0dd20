// What services write, and files of a log as they may lie on a disk: lines are cut without losing a byte, and any file,
// plain or compressed, is read to its end.
#include "logger/lines.hpp"

#include <unistd.h>

#include "fuzz.hpp"
#include "kernel/files.hpp"
#include "logger/line_file.hpp"

namespace {

using namespace abide;
using fuzz::demand;

void check_cut(std::string_view stream, std::size_t piece) {
    logger::LineState state;
    std::string joined, plain;
    std::size_t bytes = 0;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
        logger::split_lines(state, stream.substr(at, piece), [&](const logger::Piece& part) {
            if (part.start != logger::Start::no) bytes = 0;
            bytes += part.text.size();
            demand(bytes <= limits::kLogLineBytes, "a line beyond its bound");
            joined += part.text;
        });
    }
    for (const char c : stream) {
        if (c != '\n') plain += c;
    }
    demand(joined == plain, "bytes of a stream are lost or made up");
}

void check_file(std::string_view content, bool compressed) {
    Result<kernel::Fd> file = kernel::make_memfd("log", content);
    if (!file) return;
    if (!compressed) {
        const auto since = logger::find_since(file->get(), content.size(), 1'700'000'000'000'000'000);
        demand(!since || *since <= content.size(), "an offset beyond the file");
        const auto last = logger::find_last(file->get(), content.size(), 3);
        demand(!last || (last->offset <= content.size() && last->lines <= 3), "more last lines than asked for");
    }
    logger::LineFile lines(std::move(*file), compressed);
    std::uint64_t before = 0;
    for (int i = 0; i < 100'000; ++i) {
        std::string_view line;
        const Result<bool> got = lines.next(line);
        if (!got || !*got) return;
        demand(line.find('\n') == std::string_view::npos, "a newline within a line");
        demand(lines.offset() > before, "the reader does not move");
        before = lines.offset();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Bytes bytes(data, size);
    const std::size_t piece = 1 + bytes.byte() * 97u;
    const std::string_view rest = bytes.rest();
    check_cut(rest, piece);
    check_file(rest, false);
    check_file(rest, true);
    return 0;
}
