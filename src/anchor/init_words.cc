// anchor/init_words.cc -- the command lines of abide init, tini and dumb-init.
//
// Invariant: words are taken as GNU getopt takes them for the respective program: tini's operands and options may be
// mixed unless POSIXLY_CORRECT is set, the other two stop at the first operand.
#include "anchor/init.hpp"

#include <initializer_list>

namespace abide::init {
namespace {

using text::after;
using text::equal;
using text::Line;

struct LongOption {
    const char* name;
    char letter;
};

constexpr LongOption kDumbLong[] = {
    {"help", 'h'}, {"single-child", 'c'}, {"rewrite", 'r'}, {"verbose", 'v'}, {"version", 'V'}};
constexpr LongOption kAbideLong[] = {{"help", 'h'}, {"version", 'V'}};

struct Words {
    char** argv;
    int argc;
    const char* letters;  // those that take a value are followed by ':'
    const LongOption* longs;
    int long_count;
    bool mixed;  // operands may stand before options
    int next = 1;
    int operands = 0;               // found before options, moved to argv[1..]
    const char* cluster = nullptr;  // the rest of "-abc"
    const char* value = nullptr;
    char wrong = 0;

    const char* find(char letter) const {
        for (const char* at = letters; *at != 0; ++at)
            if (*at == letter && letter != ':') return at;
        return nullptr;
    }
    int option();  // the next option's letter, '?' after a complaint, -1 at the end
    int short_option();
    int long_option(const char* name);
    char** rest();  // what is left, null-terminated
};

int Words::short_option() {
    const char letter = *cluster++;
    const char* entry = find(letter);
    const char shown[] = {letter, 0};
    if (*cluster == 0) {
        cluster = nullptr;
    }
    if (entry == nullptr) {
        Line(2) << argv[0] << ": invalid option -- '" << shown << "'\n";
        return '?';
    }
    if (entry[1] != ':') return letter;
    value = cluster;
    cluster = nullptr;
    if (value != nullptr) return letter;
    if (next < argc) {
        value = argv[next++];
        return letter;
    }
    Line(2) << argv[0] << ": option requires an argument -- '" << shown << "'\n";
    return '?';
}

int Words::long_option(const char* name) {
    const LongOption* found = nullptr;
    const char* rest = nullptr;
    int matches = 0;
    for (const LongOption* each = longs; each < longs + long_count; ++each) {
        int i = 0;
        while (name[i] != 0 && name[i] != '=' && name[i] == each->name[i]) ++i;
        if (name[i] != 0 && name[i] != '=') continue;
        rest = name + i;
        found = each;
        ++matches;
        if (each->name[i] == 0) {
            matches = 1;
            break;
        }
    }
    if (matches == 0) {
        Line(2) << argv[0] << ": unrecognized option '--" << name << "'\n";
        return '?';
    }
    if (matches > 1) {
        Line line(2);
        line << argv[0] << ": option '--" << name << "' is ambiguous; possibilities:";
        for (const LongOption* each = longs; each < longs + long_count; ++each)
            if (after(each->name, name) != nullptr) line << " '--" << each->name << "'";
        line << "\n";
        return '?';
    }
    const bool takes = find(found->letter) != nullptr && find(found->letter)[1] == ':';
    value = *rest == '=' ? rest + 1 : nullptr;
    if (value != nullptr && !takes) {
        Line(2) << argv[0] << ": option '--" << found->name << "' doesn't allow an argument\n";
        return '?';
    }
    if (value == nullptr && takes && next < argc) value = argv[next++];
    if (value == nullptr && takes) {
        Line(2) << argv[0] << ": option '--" << found->name << "' requires an argument\n";
        return '?';
    }
    return found->letter;
}

int Words::option() {
    if (cluster != nullptr) return short_option();
    for (; next < argc; ++next) {
        char* word = argv[next];
        if (word[0] == '-' && word[1] != 0) break;
        if (!mixed) return -1;
        argv[1 + operands++] = word;
    }
    if (next >= argc) return -1;
    const char* word = argv[next++];
    if (equal(word, "--")) return -1;
    if (word[1] == '-' && long_count > 0) return long_option(word + 2);
    cluster = word + 1;
    return short_option();
}

char** Words::rest() {
    if (operands == 0) return argv + next;
    int n = 1 + operands;
    while (next < argc) argv[n++] = argv[next++];
    argv[n] = nullptr;
    return argv + 1;
}

// strtol's and atoi's idea of a number, as far as it matters: an optional sign, then digits; nothing at all is 0.
std::int64_t loose_number(const char*& at) {
    std::int64_t value = 0;
    const bool negative = *at == '-';
    if (*at == '-' || *at == '+') ++at;
    text::number(at, value);
    return negative ? -value : value;
}

bool read_status(const char* word, Options& out) {
    const char* at = word;
    const std::int64_t value = loose_number(at);
    if (*at != 0 || value < 0 || value > 255) return false;
    out.becomes_zero[value] = true;
    return true;
}

void tini_usage(int fd, const char* name) {
    name = text::base_name(name);
    Line(fd) << name << " (tini version 0.19.0 - abide)\nUsage: " << name
             << " [OPTIONS] PROGRAM -- [ARGS] | --version\n\nExecute a program under the supervision of a valid init "
                "process ("
             << name
             << ")\n\nCommand line options:\n\n"
                "  --version: Show version and exit.\n"
                "  -h: Show this help message and exit.\n"
                "  -s: Register as a process subreaper (requires Linux >= 3.4).\n"
                "  -p SIGNAL: Trigger SIGNAL when parent dies, e.g. \"-p SIGKILL\".\n"
                "  -v: Generate more verbose output. Repeat up to 3 times.\n"
                "  -w: Print a warning when processes are getting reaped.\n"
                "  -g: Send signals to the child's process group.\n"
                "  -e EXIT_CODE: Remap EXIT_CODE (from 0 to 255) to 0.\n"
                "  -l: Show license and exit.\n\nEnvironment variables:\n\n"
                "  TINI_SUBREAPER: Register as a process subreaper (requires Linux >= 3.4).\n"
                "  TINI_VERBOSITY: Set the verbosity level (default: 1).\n"
                "  TINI_KILL_PROCESS_GROUP: Send signals to the child's process group.\n\n";
}

void abide_usage(int fd) {
    Line(fd)
        << "usage: abide init [OPTION]... [--] COMMAND [ARGUMENT]...\n"
           "Runs COMMAND as a container's init does: reaps orphans, forwards signals, passes on the exit status.\n\n"
           "  -s             adopt orphans although not PID 1 (subreaper)\n"
           "  -g             forward signals to the whole process group of COMMAND\n"
           "  -r FROM:TO     forward signal TO when FROM comes; 0 forwards nothing; may be repeated\n"
           "  -e STATUS      report this exit status as 0; may be repeated\n"
           "  -p SIGNAL      get SIGNAL when the parent process ends\n"
           "  -w             warn about every orphan that was reaped\n"
           "  -v             say more; may be repeated\n"
           "  -l, --version, -h\n\n"
           "Exit status: COMMAND's, or 128 + the signal that ended it; 125: abide init failed, 126: COMMAND can't be\n"
           "executed, 127: it was not found.  TINI_SUBREAPER, TINI_KILL_PROCESS_GROUP and TINI_VERBOSITY work as in "
           "tini.\n";
}

void dumb_usage(const char* name) {
    Line(2) << "dumb-init v1.2.5\nUsage: " << name
            << " [option] command [[arg] ...]\n\n"
               "dumb-init is a simple process supervisor that forwards signals to children.\n"
               "It is designed to run as PID1 in minimal container environments.\n\nOptional arguments:\n"
               "   -c, --single-child   Run in single-child mode.\n"
               "                        In this mode, signals are only proxied to the\n"
               "                        direct child and not any of its descendants.\n"
               "   -r, --rewrite s:r    Rewrite received signal s to new signal r before proxying.\n"
               "                        To ignore (not proxy) a signal, rewrite it to 0.\n"
               "                        This option can be specified multiple times.\n"
               "   -v, --verbose        Print debugging information to stderr.\n"
               "   -h, --help           Print this help message and exit.\n"
               "   -V, --version        Print the current version and exit.\n\n"
               "Full help is available online at https://github.com/Yelp/dumb-init\n";
}

void license() {
    Line(1) << "This is the init of Abide, under the Apache License, Version 2.0: "
               "https://www.apache.org/licenses/LICENSE-2.0\n"
               "It takes tini's options but holds none of tini's code.\n";
}

void read_tini_variables(Options& out) {
    if (text::variable(out.environment, "TINI_SUBREAPER") != nullptr) out.subreaper = true;
    if (text::variable(out.environment, "TINI_KILL_PROCESS_GROUP") != nullptr) out.to_group = true;
    if (const char* level = text::variable(out.environment, "TINI_VERBOSITY"))
        out.verbosity = unsigned(loose_number(level));
}

// tini knows signals by their full names only, and not these three.
int tini_signal(const char* name) {
    const int signal = after(name, "SIG") != nullptr ? text::signal_number(name) : 0;
    return signal == SIGSTKFLT || signal == SIGIO || signal == SIGPWR ? 0 : signal;
}

bool tini_words(Words& words, Options& out, int& status) {
    char** argv = words.argv;
    status = 0;
    if (words.argc == 2 && equal(argv[1], "--version")) {
        Line(1) << "tini version 0.19.0 - abide\n";
        return false;
    }
    out.verbosity = 1;
    for (int letter = 0; (letter = words.option()) != -1;) {
        switch (letter) {
            case 'h': tini_usage(1, argv[0]); return false;
            case 'l': license(); return false;
            case 's': out.subreaper = true; break;
            case 'v': ++out.verbosity; break;
            case 'w': out.warn_reaped = true; break;
            case 'g': out.to_group = true; break;
            case 'p':
            case 'e':
                if (letter == 'p' ? (out.parent_death_signal = tini_signal(words.value)) != 0
                                  : read_status(words.value, out))
                    break;
                Say(out, 0) << "Not a valid option for -" << (letter == 'p' ? "p" : "e") << ": " << words.value << "\n";
                status = 1;
                return false;
            default:
                tini_usage(2, argv[0]);
                status = 1;
                return false;
        }
    }
    out.command = words.rest();
    if (*out.command == nullptr) {
        tini_usage(2, argv[0]);
        status = 1;
        return false;
    }
    read_tini_variables(out);
    return true;
}

// "FROM:TO" with numbers; by abide's name signal names are words too.
bool read_rewrite(const char* word, Options& out) {
    std::int64_t from = 0, to = -1;
    if (out.kind == InitKind::abide) {
        char head[16] = {};
        std::size_t n = 0;
        while (n < sizeof head - 1 && word[n] != 0 && word[n] != ':') head[n] = word[n], ++n;
        if (word[n] != ':') return false;
        from = text::signal_number(head);
        to = equal(word + n + 1, "0") ? 0 : text::signal_number(word + n + 1);
        if (to == 0 && !equal(word + n + 1, "0")) return false;
    } else {
        if (!text::number(word, from) || *word++ != ':' || !text::number(word, to)) return false;
    }
    if (from < 1 || from > kLastRewritten || to < 0 || to > kLastRewritten) return false;
    out.rewrite[from] = static_cast<signed char>(to);
    return true;
}

bool dumb_words(Words& words, Options& out, int& status) {
    out.new_session = true;
    status = 0;
    for (int letter = 0; (letter = words.option()) != -1;) {
        switch (letter) {
            case 'h': dumb_usage(words.argv[0]); return false;
            case 'V': Line(2) << "dumb-init v1.2.5\n"; return false;
            case 'v': out.verbosity = 1; break;
            case 'c': out.new_session = false; break;
            case 'r':
                if (read_rewrite(words.value, out)) break;
                Line(2) << "Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and 31.\n"
                           "This option can be specified multiple times.\nUse --help for full usage.\n";
                status = 1;
                return false;
            default: status = 1; return false;
        }
    }
    out.command = words.rest();
    if (*out.command == nullptr) {
        Line(2) << "Usage: " << words.argv[0] << " [option] program [args]\nTry " << words.argv[0]
                << " --help for full usage.\n";
        status = 1;
        return false;
    }
    if (const char* debug = text::variable(out.environment, "DUMB_INIT_DEBUG"); debug != nullptr && equal(debug, "1")) {
        out.verbosity = 1;
        Say(out, 1) << "Running in debug mode.\n";
    }
    if (const char* session = text::variable(out.environment, "DUMB_INIT_SETSID");
        session != nullptr && equal(session, "0")) {
        out.new_session = false;
        if (says(out, 1)) Say(out, 1) << "Not running in setsid mode.\n";
    }
    out.to_group = out.new_session;
    for (const int signal : {SIGTSTP, SIGTTOU, SIGTTIN})
        if (out.new_session && out.rewrite[signal] == kAsItIs) out.rewrite[signal] = SIGSTOP;
    return true;
}

bool abide_words(Words& words, Options& out, int& status) {
    constexpr int kRefused = 125;
    out.verbosity = 1;
    status = 0;
    for (int letter = 0; (letter = words.option()) != -1;) {
        bool good = true;
        switch (letter) {
            case 'h': abide_usage(1); return false;
            case 'V': Line(1) << "abide init " ABIDE_VERSION "\n"; return false;
            case 'l': license(); return false;
            case 's': out.subreaper = true; break;
            case 'v': ++out.verbosity; break;
            case 'w': out.warn_reaped = true; break;
            case 'g': out.to_group = true; break;
            case 'p': good = (out.parent_death_signal = text::signal_number(words.value)) != 0; break;
            case 'e': good = read_status(words.value, out); break;
            case 'r': good = read_rewrite(words.value, out); break;
            default: status = kRefused; return false;
        }
        if (good) continue;
        const char shown[] = {char(letter), 0};
        Line(2) << "abide init: not a valid value for -" << shown << ": " << words.value << "\n";
        status = kRefused;
        return false;
    }
    out.command = words.rest();
    if (*out.command == nullptr) {
        Line(2) << "abide init: no command given; see `abide init -h`\n";
        status = kRefused;
        return false;
    }
    read_tini_variables(out);
    return true;
}

}  // namespace

Say::Say(const Options& options, unsigned level) : Line(options.kind == InitKind::tini && level >= 2 ? 1 : 2) {
    constexpr const char* kLevels[] = {"FATAL", "WARN ", "INFO ", "DEBUG", "TRACE"};
    if (options.kind == InitKind::tini)
        *this << "[" << kLevels[level < 4 ? level : 4] << " tini (" << sys::getpid() << ")] ";
    else
        *this << (options.kind == InitKind::dumb_init ? "[dumb-init] " : "abide init: ");
}

bool read_words(Launch& launch, Options& options, int& status) {
    options.environment = launch.environment;
    for (signed char& each : options.rewrite) each = kAsItIs;
    Words words{launch.argv, launch.argc, "", nullptr, 0, false};
    switch (options.kind) {
        case InitKind::tini:
            words.letters = "p:hvwgle:s";
            words.mixed = text::variable(launch.environment, "POSIXLY_CORRECT") == nullptr;
            return tini_words(words, options, status);
        case InitKind::dumb_init:
            words.letters = "hvVcr:";
            words.longs = kDumbLong;
            words.long_count = sizeof kDumbLong / sizeof *kDumbLong;
            return dumb_words(words, options, status);
        case InitKind::abide:
            words.letters = "p:hvwgle:sr:";
            words.longs = kAbideLong;
            words.long_count = sizeof kAbideLong / sizeof *kAbideLong;
            words.next = 2;
            return abide_words(words, options, status);
    }
    return false;
}

}  // namespace abide::init
