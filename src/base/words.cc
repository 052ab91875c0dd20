// base/words.cc -- splits a command as a POSIX shell splits words (XCU 2.2 and 2.3), without running one.  Expands
// nothing. Invariant: what a shell would treat as an operator or a substitution is an error, never an argument.
#include "base/text.hpp"

namespace abide {

namespace {

constexpr std::string_view kNoShell = "no shell runs; use [\"sh\", \"-c\", \"...\"], or quote it";

class Splitter {
  public:
    Splitter(std::string_view text, Dollar dollar) : text_(text), dollar_(dollar) {}

    Result<std::vector<std::string>> run() {
        while (at_ < text_.size()) {
            const Status status = step();
            if (!status) return std::unexpected(status.error());
        }
        finish_word();
        return std::move(words_);
    }

  private:
    char peek(std::size_t ahead) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

    // One unit outside quotes.
    Status step() {
        const char c = text_[at_];
        switch (c) {
            case ' ':
            case '\t':
                finish_word();
                ++at_;
                return {};
            case '\'': return single_quoted();
            case '"': return double_quoted();
            case '\\': return escaped();
            case '$': return dollar();
            case '|':
            case ';':
            case '&':
            case '<':
            case '>':
            case '(':
            case ')':
            case '`': return shell_only(std::string(1, c));
            case '\n':
            case '\r': return shell_only("line end");
            default:
                add(c);
                ++at_;
                return {};
        }
    }

    Status shell_only(const std::string& what) {
        return fail(ErrorKind::usage, "unquoted " + what + " at byte " + std::to_string(at_ + 1) + " of the command",
                    std::string(kNoShell));
    }

    void add(char c) {
        word_ += c;
        in_word_ = true;
    }
    void add_literal(char c) {
        if (c == '$' && dollar_ == Dollar::references) word_ += '$';
        add(c);
    }
    void finish_word() {
        if (in_word_) words_.push_back(std::move(word_));
        word_.clear();
        in_word_ = false;
    }

    Status single_quoted() {
        const std::size_t end = text_.find('\'', at_ + 1);
        if (end == std::string_view::npos) return unclosed("'");
        in_word_ = true;
        for (const char c : text_.substr(at_ + 1, end - at_ - 1)) add_literal(c);
        at_ = end + 1;
        return {};
    }

    Status double_quoted() {
        const std::size_t begin = at_;
        in_word_ = true;
        ++at_;
        while (at_ < text_.size()) {
            const char c = text_[at_];
            if (c == '"') {
                ++at_;
                return {};
            }
            if (c == '`') return shell_only("`");
            if (c == '$') {
                if (const Status status = dollar(); !status) return status;
                continue;
            }
            const char next = peek(1);
            const bool escapes =
                c == '\\' && (next == '$' || next == '`' || next == '"' || next == '\\' || next == '\n');
            if (escapes) {
                if (next != '\n') add_literal(next);
                at_ += 2;
                continue;
            }
            add(c);
            ++at_;
        }
        at_ = begin;
        return unclosed("\"");
    }

    Status escaped() {
        if (at_ + 1 >= text_.size()) return fail(ErrorKind::usage, "the command ends in a backslash", "write two");
        if (peek(1) != '\n') add_literal(peek(1));
        at_ += 2;
        return {};
    }

    // A $ that quoting doesn't make literal.
    Status dollar() {
        if (peek(1) == '(') return shell_only("$(");
        if (dollar_ == Dollar::literal || peek(1) != '{') {
            // `$$` stays as it is: expansion makes one of it.
            if (dollar_ == Dollar::references && peek(1) == '$') {
                add('$');
                ++at_;
            }
            add('$');
            ++at_;
            return {};
        }
        const std::size_t end = text_.find('}', at_);
        if (end == std::string_view::npos) return unclosed("${");
        for (const char c : text_.substr(at_, end - at_ + 1)) add(c);
        at_ = end + 1;
        return {};
    }

    Status unclosed(const std::string& what) {
        return fail(ErrorKind::usage, "unclosed " + what + " at byte " + std::to_string(at_ + 1) + " of the command");
    }

    std::string_view text_;
    Dollar dollar_;
    std::size_t at_ = 0;
    bool in_word_ = false;
    std::string word_;
    std::vector<std::string> words_;
};

}  // namespace

Result<std::vector<std::string>> split_words(std::string_view text, Dollar dollar) {
    return Splitter(text, dollar).run();
}

}  // namespace abide
