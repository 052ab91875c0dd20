// cli/context.cc -- see context.hpp.
#include "cli/context.hpp"

#include "kernel/fd.hpp"
#include "kernel/program.hpp"

namespace abide::cli {

namespace {

constexpr int kStandardOutput = 1, kStandardError = 2;

}  // namespace

Context::Context(GlobalOptions options) : options_(std::move(options)) {
    const bool wished = !kernel::environment_value("NO_COLOR").value_or("").empty();
    const bool dumb = kernel::environment_value("TERM").value_or("dumb") == "dumb";
    terminal_ = kernel::is_terminal(kStandardOutput);
    coloured_ = terminal_ && !wished && !dumb;
    error_coloured_ = kernel::is_terminal(kStandardError) && !wished && !dumb;
}

Result<Places> Context::places(bool must_exist) {
    if (places_) return *places_;
    auto around = surroundings();
    if (!around) return std::unexpected(around.error());
    Choice choice = options_.choice;
    choice.must_exist = must_exist;
    auto found = find_places(choice, *around);
    if (found) places_ = *found;
    return found;
}

Result<Client> Context::client() {
    auto where = places();
    if (!where) return std::unexpected(where.error());
    return Client(where->control);
}

bool Context::print(std::string_view text) {
    const Status written = kernel::write_all(kStandardOutput, text.data(), text.size());
    return written.has_value();
}

void Context::complain(const Error& error) {
    const std::string line = error_line(error);
    std::string out = paint(line.substr(0, 6), Colour::red, error_coloured_) + line.substr(6) + "\n";
    // Nobody is left to tell when standard error is closed.
    (void)kernel::write_all(kStandardError, out.data(), out.size());
}

void Context::note(std::string_view line) {
    const std::string out = safe(line) + "\n";
    (void)kernel::write_all(kStandardError, out.data(), out.size());
}

std::size_t Context::columns() const {
    return terminal_ ? kernel::terminal_columns(kStandardOutput) : 0;
}

}  // namespace abide::cli
