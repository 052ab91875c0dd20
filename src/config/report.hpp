// config/report.hpp -- collects what is wrong in all files, in one bounded list.
#pragma once

#include <string>
#include <vector>

#include "config/load.hpp"
#include "config/value.hpp"

namespace abide::config {

class Report {
  public:
    // Past this many, errors are only counted: a file may be wrong in a million places.
    static constexpr std::size_t kShown = 1000;

    std::uint32_t add_file(std::string name);
    const std::string& file(std::uint32_t index) const { return files_[index]; }
    const std::vector<std::string>& files() const { return files_; }

    void error(Position position, std::string text, std::string advice = {});
    bool failed() const { return errors_ > 0; }
    // Sorted by file (in the order of reading), line and column.
    std::vector<Diagnostic> take();

  private:
    struct Entry {
        Position position;
        std::string text, advice;
    };
    std::vector<std::string> files_;
    std::vector<Entry> entries_;
    std::size_t errors_ = 0;
};

}  // namespace abide::config
