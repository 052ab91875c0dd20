// cli/context.hpp -- what every command has at hand: the global options, the places, a client, and where output goes.
//
// Owns nothing of a command's meaning.  Invariant: standard output gets results only, standard error gets one line an
// error.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/client.hpp"
#include "cli/places.hpp"
#include "cli/text.hpp"

namespace abide::cli {

struct GlobalOptions {
    Choice choice;
    bool json = false;
};

class Context {
  public:
    explicit Context(GlobalOptions options);

    const GlobalOptions& options() const { return options_; }
    bool json() const { return options_.json; }
    // Found once.  must_exist: a configuration must have been named or found.
    Result<Places> places(bool must_exist = false);
    Result<Client> client();

    // To standard output, all of it.  False: nobody reads any more, so a command that goes on for ever should end.
    bool print(std::string_view text);
    // One line to standard error.
    void complain(const Error& error);
    void note(std::string_view line);
    // Escaped unless the output is for a program.
    std::string foreign(std::string_view text) const { return terminal_ ? safe(text) : std::string(text); }

    bool coloured() const { return coloured_; }
    bool on_terminal() const { return terminal_; }
    std::size_t columns() const;

  private:
    GlobalOptions options_;
    bool terminal_ = false, coloured_ = false, error_coloured_ = false;
    std::optional<Places> places_;
};

// What a command gives back: its exit status, or an error that main prints and turns into one.
using CommandResult = Result<int>;

}  // namespace abide::cli
