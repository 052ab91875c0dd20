// anchor/anchor.hpp -- the whole state of the anchor and the functions that work on it, one file a concern.
//
// The theory: the anchor is the parent of everything and holds every descriptor that must outlive a manager.  It
// decides nothing.  What it knows is in one struct, all zero at the start, so that it lives in .bss; nothing is ever
// allocated. One loop waits for signals, the manager's socket and the manager's end, and serves each without blocking.
//
// May not know: services, configuration, the journal's contents.  Invariants:
//  - an exit is either a zombie, an entry of the status table, or acknowledged;
//  - only serve() replaces or drops a descriptor, and never while an answer that names it waits to be sent;
//  - no call waits for somebody else: not for a reader, a file system, or a manager.
#pragma once

#include "anchor/start.hpp"
#include "anchor/sys.hpp"
#include "anchor/table.hpp"
#include "protocol/anchor.hpp"

namespace abide::anchor {

inline constexpr std::int64_t kMs = 1'000'000;
inline constexpr std::uint32_t kMaxWishes = 32;   // signals that no manager has answered yet; further ones are dropped
inline constexpr std::uint32_t kMaxClosers = 8;   // children that close descriptors, at once
inline constexpr std::uint32_t kCloseBatch = 64;  // descriptors for one of them
inline constexpr std::uint32_t kEndedBit = 1u << 16;   // in Child::flags: a zombie that we have seen
inline constexpr std::uint32_t kPushedBit = 1u << 17;  // and that the present manager was told of

// Signals of a fault; all others are blocked.
inline constexpr std::uint64_t kFaults =
    sys::signal_bit(SIGSEGV) | sys::signal_bit(SIGBUS) | sys::signal_bit(SIGILL) | sys::signal_bit(SIGFPE);

struct Kept {
    std::uint64_t key;
    int fd;
};

struct Child {
    std::uint32_t key;    // its pid
    std::uint32_t flags;  // kMarkBits of the manager's, and our two
};

// The manager's process and what is known of its predecessors.
struct Manager {
    int pid;  // 0: none lives
    int pidfd;
    int socket;    // our end; -1 once it is closed
    bool greeted;  // it said hello
    bool was_ready;
    bool killed_by_us;
    bool sealed;  // a predecessor was fenced
    std::uint64_t epoch;
    Start start;                // why the present one was started
    std::uint32_t failures;     // died young, in a row
    std::uint32_t never_ready;  // died before `ready`, in a row
    Ended last_kind;
    int last_status;
    std::int64_t ready_ns;
    std::int64_t heard_ns;       // its last frame, or since when something has been outstanding
    std::int64_t working_ns;     // no hang before that
    std::int64_t kill_ns;        // since when it should be dead; 0 while it may live
    std::int64_t next_start_ns;  // when to start one, while none lives
};

// Another program for the manager: asked for, then on probation.
struct Probation {
    enum class Stage : std::uint32_t { none, asked, running } stage;
    bool vouched;
    Swap swap;
    Generation told;           // what `generation` answers, but for what is read off the manager
    std::uint64_t garbage;     // ignored frames when it began
    std::int64_t deadline_ns;  // of the next thing that must happen
};

struct PendingWish {
    std::uint32_t tag;
    bool sent;
    Wish wish;
};

struct alignas(8) Frame {  // items of 64 bits are read and written in place
    Header header;
    std::uint8_t body[kMaxFrameBytes - sizeof(Header)];
};
static_assert(offsetof(Frame, body) % 8 == 0);

// Another program for the anchor: first rehearsed by a child, then executed.
struct Renewal {
    int rehearsal;  // pid of the child; 0: none
    bool rehearsed;
    bool answer_due;
    std::uint32_t tag;     // of the asker; 0: nobody asks
    std::uint32_t status;  // an errno, once the answer is due
    std::int64_t deadline_ns;
};

// What outlives an exec of the anchor, besides the tables.  Written to memory as it is (renew.cc), so a later version
// may only append members.
struct Lasting {
    Manager manager;
    Probation probation;
    Renewal renewal;
    std::uint32_t next_status;
    std::uint64_t statuses_lost;
    bool is_pid1;
    bool is_subreaper;
    bool has_proc;           // /proc is there and of our pid namespace
    int oom_score_adj;       // as we were started with
    sys::Limits open_files;  // likewise
    std::int64_t started_ns;
    std::int64_t hang_ns;
    std::uint32_t grace_ms;

    PendingWish wishes[kMaxWishes];  // oldest first
    std::uint32_t wish_count;
    std::uint32_t wish_tag;
    std::uint64_t ignored_frames;

    std::uint32_t zombies;  // children with kEndedBit
    std::uint32_t pushed;   // of those, with kPushedBit
};

struct Anchor : Lasting {
    Table<Kept, kMaxDescriptors> kept;
    Table<Child, kMaxMarks> children;
    Exit statuses[kMaxStatuses];  // reaped without a manager; pid 0 is free
    char** environment;
    char** words;               // argv
    int signals;                // signalfd
    bool manager_stopped;       // by a signal: it owes us to go on
    std::int64_t sweep_ns;      // when to look for zombies that no signal named; 0: not at all
    std::uint32_t sweep_waits;  // so many sweeps gave way to one that is about to be reaped
    bool sweep_blocked;         // the first zombie the kernel shows is a known one: go on when it was reaped

    int closing[kMaxDescriptors];  // descriptors to be closed by a child
    std::uint32_t closing_count;
    int closers[kMaxClosers];  // pids
    std::uint32_t closer_count;

    Frame in;
    Frame out;              // an answer that did not fit into the socket
    std::size_t out_bytes;  // 0: none
    bool end_asked;
    End end;
    std::uint32_t faults;  // of our own, in a row
    std::int64_t fault_ns;
};

// boot.cc: reads the words, takes the descriptors, blocks the signals.  Does not return if a word is wrong.
void boot(Anchor& a, Launch& launch);
// fault.cc: a fault of our own ends a turn, not us.
void survive_faults(Anchor& a);
// loop.cc: serves until told to end.
[[noreturn]] void loop(Anchor& a);

// link.cc: frames in and out.
void serve(Anchor& a);           // requests, until there are none or an answer waits
bool can_send(const Anchor& a);  // a manager listens and no answer waits
enum class Sent { yes, later, broken };
Sent send(Anchor& a, Frame& frame, std::size_t body_bytes);
void flush(Anchor& a);  // the waiting answer, then wishes and exits not yet pushed
void drop_link(Anchor& a);
// verbs.cc: one request in a.in with its descriptors; builds the answer in `out`.  False: garbage.
bool handle(Anchor& a, std::size_t body_bytes, const int* fds, std::uint32_t fd_count, Frame& out,
            std::size_t& out_bytes);

// exits.cc: children that ended.
Ended look(int pid, Exit& out, bool reap);  // fills all but the marks; reaps if asked
void child_signal(Anchor& a, int pid);      // SIGCHLD named it
void sweep(Anchor& a);
void push_exits(Anchor& a);
void forget_pushed(Anchor& a);  // the manager is gone: all is to be pushed again
void acknowledge(Anchor& a, int pid);
Exit describe(Anchor& a, int pid);  // for peek

// closer.cc: closing without waiting.
void close_later(Anchor& a, int fd);
void start_closers(Anchor& a);
bool is_closer(Anchor& a, int pid);  // and forgets it: it has ended

// manager.cc: keeping one alive.
void tend_manager(Anchor& a, std::int64_t now, bool ended);  // starts, notices its end, kills a hung one
void look_for_stop(Anchor& a);                               // SIGCHLD: somebody may have stopped it, or let it go on
std::int64_t hang_deadline(const Anchor& a);                 // 0: nothing is outstanding

// swap.cc: another program for the manager, and back.
std::uint32_t begin_swap(Anchor& a, const Swap& swap);       // an errno
std::uint32_t commit_swap(Anchor& a, const Commit& commit);  // likewise
void judge_probation(Anchor& a, std::int64_t now);           // kills, or takes back, what fails
bool on_swap(Anchor& a, std::int64_t now);                   // the manager has ended: was that a part of it?
const Kept* manager_program(Anchor& a);

// renew.cc: another program for the anchor.
std::uint32_t begin_renewal(Anchor& a, std::uint32_t tag);  // an errno, or 0: it is answered later
bool is_rehearsal(Anchor& a, int pid);                      // that child has ended
void tend_renewal(Anchor& a, std::int64_t now);             // executes it, or gives it up
void answer_renewal(Anchor& a);
// In the new program: takes over what lies in this memory file.  Does not return when it is no state, or only
// rehearsed.
void take_state(Anchor& a, int fd, bool rehearse);

// wishes.cc: signals sent to the anchor.
void read_signals(Anchor& a);
void push_wishes(Anchor& a);
void answer_wish(Anchor& a, std::uint32_t tag);
bool stop_wished(const Anchor& a);

// finish.cc: ends everything and then the anchor.
[[noreturn]] void finish(Anchor& a, const End& end);

}  // namespace abide::anchor
