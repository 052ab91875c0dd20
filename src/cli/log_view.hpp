// cli/log_view.hpp -- log lines as people see them: prefixed with the service, coloured by it, escaped.  And as JSON.
// Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/state_lines.hpp"
#include "cli/text.hpp"
#include "logger/read.hpp"

namespace abide::cli {

struct LogLook {
    bool coloured = false;
    bool escaped = true;  // the output is a terminal
    bool json = false;
    bool times = false;
};

class LogView {
  public:
    explicit LogView(LogLook look) : look_(look) {}
    // Names that will come: their widths align the prefixes from the first line on.
    void expect(const std::vector<std::string>& names);
    // With its newline.
    std::string show(const logger::LogLine& line);
    // Of no service, but of what became of it, set off from its own lines.  With its newline.
    std::string show(const StateLine& line);

  private:
    std::string prefix(const std::string& service, std::string_view mark);

    LogLook look_;
    std::size_t width_ = 0;
};

}  // namespace abide::cli
