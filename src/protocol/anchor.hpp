// protocol/anchor.hpp -- the frozen words between the anchor and the manager, and how the anchor is started.
//
// Owns the layout of every frame and the names of the start-up contract.  Knows no system call and needs neither a heap
// nor a C++ library, since the freestanding anchor reads it too.  Invariant: a layout or number in here never changes
// meaning. New things get a new verb, flag bit or capability bit; a verb that the other side does not know is answered
// with `unsupported`, never with a disconnect.
//
// Transport: one SOCK_SEQPACKET pair; a packet is one Header and then `count` items of the verb's body, nothing else.
// The manager finds its end at descriptor kManagerSocket.  Numbers are little-endian, times CLOCK_MONOTONIC
// nanoseconds.
//
// Who speaks: the manager asks, the anchor answers with the same verb and tag and the flag kAnswer.  Tag 0 means "no
// answer wanted" (hello, get, list and peek are always answered, as they ask for something).  The anchor pushes two
// things by itself, `exited` and `wish`; the manager answers an exit with `reap` (of that pid) and a wish with the same
// frame plus kAnswer.  What is not answered is pushed again to the next manager.  The first frame of a manager is
// hello; before it nothing is pushed.
//
// Flow: neither side ever blocks.  While the manager does not read, the anchor keeps its answer and takes no further
// request; exits and wishes are state of the anchor, not a queue, so none is ever dropped: they are pushed, up to
// kBatch in a frame, when there is room again.  A manager must therefore read while it waits for room to write.
//
// Hang: from its start until hello, and while a push is not answered, the manager has kHangMs (`--hang-ms`) since its
// last frame; past it, it is killed and the next one started.  `working` extends that.  Nothing outstanding, nothing
// armed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace abide::anchor {

inline constexpr std::uint32_t kProtocol = 1;
inline constexpr int kManagerSocket = 3;                 // where the manager finds its end of the pair
inline constexpr std::uint32_t kBatch = 128;             // most keys, pids, marks or exits in one frame
inline constexpr std::uint32_t kListBatch = 512;         // most keys in one answer to list
inline constexpr std::size_t kMaxFrameBytes = 8192;      // header included
inline constexpr std::uint32_t kMaxDescriptors = 32768;  // kept at once; past it `put` answers ENOSPC
inline constexpr std::uint32_t kMaxMarks = 32768;   // marked or ended and not yet reaped; past it `mark` answers ENOSPC
inline constexpr std::uint32_t kMaxZombies = 4096;  // kept as zombies while no manager lives; then statuses in a table
inline constexpr std::uint32_t kMaxStatuses = 4096;  // that table; the oldest gives way
inline constexpr std::uint32_t kHangMs = 10'000;     // default of --hang-ms; 0 turns hang detection off
inline constexpr std::uint32_t kGraceMs = 10'000;    // default of --grace-ms: TERM to KILL when the anchor ends alone

// ---- Start-up contract
// ------------------------------------------------------------------------------------------------ The command line
// execs the program `abide` with argv[0] ending in "abide-anchor" and words of this form; the descriptors they name are
// inherited (without close-on-exec) and made close-on-exec by the anchor at once:
//
//   abide-anchor --manager=FD [--key=KEY=FD]... [--grace-ms=N] [--hang-ms=N] [--epoch=N] [-- anything, e.g. the
//   instance's name for ps]
//
// --epoch: of the last manager of an anchor that was killed; the next one is one more, and is told Start::adopted.
//
// FD of --manager is an O_PATH or O_RDONLY descriptor of abide-manager (kept under kManagerProgram, so putting another
// descriptor there is what changes the program of the next manager).  All further open descriptors but 0-2 are closed.
// Missing 0-2 become /dev/null.  Environment, working directory, umask and descriptors 0-2 are passed to the manager as
// they are; so are the soft limit of open files and the OOM score that the anchor was started with, though it raises
// its own. The manager is started with argv = {"abide-manager"}, an empty signal mask and default dispositions, as the
// anchor's child with exit signal SIGCHLD, so its clone(CLONE_PARENT) children are the anchor's.  A wrong word: one
// line on 2, status 2.
inline constexpr char kAnchorName[] = "abide-anchor";
inline constexpr char kManagerName[] = "abide-manager";
// A copy of the journal in the runtime folder: what an instance that was lost as a whole is found again by.
inline constexpr char kMirrorName[] = "journal";

// Well-known keys of kept descriptors.  From kFirstFreeKey up they are the manager's; names are in its journal.
enum class Key : std::uint64_t {
    journal = 1,          // memfd of records; sealed by the anchor only to fence a manager that will not die
    control = 2,          // listening Unix socket of the control service
    lock = 3,             // open file description that holds the instance's lock
    runtime = 4,          // O_PATH or O_RDONLY directory: the runtime folder
    logger_program = 5,   // program of the logger
    environment = 6,      // memfd: the environment of whoever started the instance, NUL-separated
    manager_program = 7,  // program of the next manager (--manager)
    cgroup = 8,           // O_RDONLY directory: the cgroup that the instance was started in, when usable
    event_log = 9,        // directory of the event log
    notify = 10,          // notify socket shared by those without one of their own
    hold_program = 11,    // program of the set-up stub
    places = 12,          // memfd: where the instance lives, a control::WhereReply as JSON without the pids
    next_program = 13,    // program that `swap` makes the manager's
    program_copy = 14,    // memfd: executed where manager_program can't be (its file system is gone)
    next_anchor = 15,     // program that `exec_self` makes the anchor's
    cursor = 16,          // memfd: what the manager was at when it died; its layout is the manager's
};
inline constexpr std::uint64_t kFirstFreeKey = 4096;

// ---- Frames
// -----------------------------------------------------------------------------------------------------------
enum class Verb : std::uint16_t {
    hello = 1,        // Hello          -> HelloAnswer (count 1)
    put = 2,          // u64 key[count] + as many descriptors; count <= kBatch.  All or none; equal keys replace
    get = 3,          // u64 key[count] -> u64 key[count] + descriptors of those that are kept, in that order
    drop = 4,         // u64 key[count]; closed by a child of the anchor unless kOurs.  Unknown keys are no error
    list = 5,         // u64 after (count 1) -> u64 key[count], ascending, greater than `after`; count 0: that was all
    peek = 6,         // i32 pid[count] -> Exit[count]; kind running or unknown where nothing ended
    reap = 7,         // i32 pid[count]; acknowledges their exits; their marks are forgotten
    mark = 8,         // Mark[count]; replaces the marks of those pids
    ready = 9,        // count 0; the manager is operational: the anchor's count of failures is over after kHealthyMs
    working = 10,     // Working (count 1): no hang before that many ms from now
    end = 11,         // End (count 1): the anchor ends the instance and then itself; answered at once
    swap = 12,        // Swap (count 1); the asker ends, and Key::next_program is the next manager, on probation
    commit = 13,      // Commit (count 1); by the manager on probation.  ESTALE: there is no such swap
    generation = 14,  // count 0 -> Generation (count 1)
    exec_self = 15,   // count 0; Key::next_anchor becomes the anchor.  Answered after the exec, or by why not
    exited = 32,      // push: Exit[count]
    wish = 33,        // push: Wish (count 1); the answer carries the same tag
    unsupported = 0xffff,  // answer to an unknown verb: status ENOSYS, the asker's tag
};

inline constexpr std::uint16_t kAnswer = 1;  // Header::flags: an answer
inline constexpr std::uint16_t kOurs = 2;    // drop, put: closing can't block (memfds, pipes, pidfds): close directly

struct Header {
    std::uint16_t verb = 0;
    std::uint16_t flags = 0;
    std::uint32_t tag = 0;
    std::uint32_t count = 0;
    std::uint32_t status = 0;  // errno in answers, 0 in requests.  drop, reap: 0 even if some were not known
};

struct Hello {
    std::uint32_t protocol = kProtocol;
    std::uint32_t capabilities = 0;
};

// Why this manager was started.
enum class Start : std::uint32_t {
    first = 1,
    crashed = 2,      // it exited, or died by a signal other than SIGKILL
    killed = 3,       // SIGKILL, not by the anchor
    hung = 4,         // killed by the anchor for a missed deadline or a closed socket
    upgraded = 5,     // replaced on purpose
    rolled_back = 6,  // the program before it failed its probation
    adopted = 7,      // by a new anchor: the one before was killed, and what it had started is not its child
};

inline constexpr std::uint32_t kIsPid1 = 1;  // HelloAnswer::flags
inline constexpr std::uint32_t kIsSubreaper = 2;
inline constexpr std::uint32_t kJournalSealed =
    4;  // the predecessor may still live, fenced: copy the journal, put the copy

struct HelloAnswer {
    std::uint32_t protocol = kProtocol;
    std::uint32_t capabilities = 0;
    std::int32_t anchor_pid = 0;
    std::uint32_t flags = 0;
    std::uint64_t epoch = 0;           // 1 for the first manager; one more for each further one
    std::uint32_t start = 0;           // enum Start
    std::uint32_t failures = 0;        // managers in a row that died young
    std::uint32_t last_kind = 0;       // how the predecessor ended: enum Ended, 0 for the first
    std::int32_t last_status = 0;      // its exit status or signal
    std::uint64_t started_ns = 0;      // when the anchor started
    std::uint32_t descriptors = 0;     // kept
    std::uint32_t zombies = 0;         // known and not reaped; they are pushed after this answer
    std::uint32_t wishes = 0;          // not answered; they are pushed after this answer
    std::int32_t last_wish = 0;        // signal of the last one, 0 for none
    std::uint64_t ignored_frames = 0;  // garbage since the anchor's start
    std::uint64_t statuses_lost = 0;   // exits of marked processes that fell out of the status table unread
};

enum class Ended : std::uint32_t {
    running = 0,  // a child that has not ended
    exited = 1,   // status is the exit status     (CLD_EXITED)
    killed = 2,   // status is the signal          (CLD_KILLED)
    dumped = 3,   // likewise, with a core dump    (CLD_DUMPED)
    unknown = 4,  // not a child, or reaped and forgotten
};

struct Exit {
    std::int32_t pid = 0;
    std::uint32_t kind = 0;  // enum Ended
    std::int32_t status = 0;
    std::uint32_t marks = 0;    // what the manager marked it with
    std::uint64_t user_us = 0;  // with its waited-for children
    std::uint64_t system_us = 0;
    std::uint64_t max_rss_kib = 0;
    std::uint64_t seen_ns = 0;  // when the anchor saw that it had ended; for statuses from the table, when it reaped
};

inline constexpr std::uint32_t kManaged = 1;        // Mark::flags; 0 forgets the pid
inline constexpr std::uint32_t kNeverKill = 2;      // `end` sends it TERM, never KILL, nor to what it started
inline constexpr std::uint32_t kMarkBits = 0xffff;  // bits of the manager's; the rest of the word is the anchor's own

struct Mark {
    std::int32_t pid = 0;
    std::uint32_t flags = 0;
};

struct Working {
    std::uint64_t extend_ms = 0;
};

struct End {
    std::int32_t status = 0;     // exit status of the anchor, 0..255
    std::uint32_t grace_ms = 0;  // between TERM and KILL
};

// Another program for the manager.  It must say `ready` and be vouched for (Commit without kFinal) within ready_ms of
// its predecessor's end, and be committed within commit_ms after that, without an end, a hang or garbage in between;
// else the program before it comes back.  EBUSY: another swap is under way.
struct Swap {
    std::uint64_t ticket = 0;  // whatever names this swap for the asker; not 0
    std::uint32_t ready_ms = 0;
    std::uint32_t commit_ms = 0;
};

inline constexpr std::uint32_t kFinal = 1;  // Commit::flags
struct Commit {
    std::uint64_t ticket = 0;
    std::uint32_t flags = 0;
    std::uint32_t reserved = 0;
};

// What became of the last swap.
enum class Verdict : std::uint32_t {
    none = 0,     // there was none
    pending = 1,  // asked for, or on probation
    committed = 2,
    crashed = 3,      // it ended by itself; status says how
    hung = 4,         // it missed a deadline of the protocol
    late = 5,         // not ready, or nobody vouched for it, in time
    garbage = 6,      // it sent frames that are none
    uncommitted = 7,  // the time for the commit passed
};

struct Generation {
    std::uint64_t ticket = 0;  // of the last swap
    std::uint32_t verdict = 0;
    std::uint32_t last_kind = 0;   // how the program that failed ended: enum Ended
    std::int32_t last_status = 0;  // its exit status or signal
    std::uint32_t rollbacks = 0;   // since the instance began
    std::uint64_t swaps = 0;       // committed ones
    std::uint64_t asked_ns = 0;    // when the last swap was asked for
    std::uint64_t gone_ns = 0;     // when the anchor saw that the predecessor of this manager had ended
    std::uint64_t ready_ns = 0;    // when this manager was ready
    std::uint32_t version = 0;     // of the anchor: kAnchorVersion
    std::uint32_t execs = 0;       // how often the anchor has replaced itself
};
inline constexpr std::uint32_t kAnchorVersion = 1;

struct Wish {
    std::int32_t signal = 0;
    std::int32_t sender_pid = 0;  // for the log only: a pid identifies nothing
    std::uint32_t sender_uid = 0;
    std::int32_t code = 0;  // si_code: SI_USER 0, SI_KERNEL 128 (terminal, Ctrl-Alt-Del), SI_QUEUE -1
};

inline constexpr std::uint32_t kHealthyMs = 60'000;  // a life this long forgets the failures before it

static_assert(sizeof(Header) == 16 && sizeof(Hello) == 8 && sizeof(HelloAnswer) == 80 && sizeof(Exit) == 48);
static_assert(sizeof(Mark) == 8 && sizeof(Working) == 8 && sizeof(End) == 8 && sizeof(Wish) == 16);
static_assert(sizeof(Swap) == 16 && sizeof(Commit) == 16 && sizeof(Generation) == 64);
static_assert(sizeof(Header) + kBatch * sizeof(Exit) <= kMaxFrameBytes);
static_assert(sizeof(Header) + kListBatch * sizeof(std::uint64_t) <= kMaxFrameBytes);
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames are little-endian as they are");

}  // namespace abide::anchor
