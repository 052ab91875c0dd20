// tests/fuzz/replay.cc -- drives a fuzz target without libFuzzer: every file of the corpus as it is, cut off at many
// places, and with a few bytes changed, always in the same way.  For compilers that have no libFuzzer, and for the
// loop.
//
//   fuzz_NAME FOLDER|FILE...
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz.hpp"

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kCuts = 64, kChanges = 128;

void give(const std::string& bytes) {
    // A copy of exactly its size, so that reading past the end is seen by a sanitizer.
    const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
    LLVMFuzzerTestOneInput(input.data(), input.size());
}

void vary(const std::string& bytes) {
    give(bytes);
    if (bytes.empty()) return;
    for (std::size_t i = 0; i < kCuts; ++i) give(bytes.substr(0, bytes.size() * i / kCuts));
    std::uint64_t x = 0x9e3779b97f4a7c15 + bytes.size();
    const auto below = [&](std::size_t bound) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        return static_cast<std::size_t>(x % bound);
    };
    for (std::size_t i = 0; i < kChanges; ++i) {
        std::string other = bytes;
        for (std::size_t n = 1 + below(4); n > 0; --n) other[below(other.size())] = static_cast<char>(below(256));
        give(other);
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<fs::path> files;
    for (int i = 1; i < argc; ++i) {
        if (!fs::is_directory(argv[i])) {
            files.emplace_back(argv[i]);
            continue;
        }
        for (const fs::directory_entry& entry : fs::directory_iterator(argv[i])) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) {
        std::ifstream stream(file, std::ios::binary);
        vary({std::istreambuf_iterator<char>(stream), {}});
    }
    std::printf("%zu files replayed\n", files.size());
    return files.empty() ? 1 : 0;
}
