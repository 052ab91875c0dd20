// tests/fuzz/fuzz.hpp -- what the fuzz targets share: a demand that ends the program, and a reader of the input's
// bytes.
//
// A target is one file with one LLVMFuzzerTestOneInput: under Clang libFuzzer drives it (preset `fuzz`), elsewhere
// replay.cc gives it the corpus.  A target keeps no state between inputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace abide::fuzz {

inline void demand(bool holds, const char* what, std::string_view detail = "") {
    if (holds) return;
    std::fprintf(stderr, "fuzz: %s %.*s\n", what, static_cast<int>(detail.size()), detail.data());
    std::abort();
}

// Takes the input from the front; past its end everything is 0 or empty.
class Bytes {
  public:
    Bytes(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

    bool empty() const { return rest_.empty(); }
    std::uint8_t byte() {
        const std::string_view one = take(1);
        return one.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(one[0]);
    }
    std::string_view take(std::size_t count) {
        const std::string_view head = rest_.substr(0, count);
        rest_.remove_prefix(head.size());
        return head;
    }
    std::string_view rest() { return take(rest_.size()); }

  private:
    std::string_view rest_;
};

}  // namespace abide::fuzz
