// tests/programs/bad_main.cc -- a manager that misbehaves in the way that the name of its file says.
//
//   in the rehearsal:     exit-N  crash  hang  eat  mute  refuse  start-all
//   as the manager:       at-replay  quits-N  hang-live  eat-live  first-event  after-MS  garbage  stateless
//
//   always:               what the file named by ABIDE_TEST_POISON says: `record NAME` dies of reading that service,
//                         `input WORDS` of an input that is described so, `effect WORDS` of an effect, `build` of the
//                         state as a whole, `hear` of whatever it hears; `spin WORDS` never comes to an end with such
//                         an input
//
// What the name says of the manager, it does as the manager only: its rehearsal is the real one.
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/version.hpp"
#include "journal/frame.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "manager/anchor_link.hpp"
#include "manager/cursor.hpp"
#include "manager/rehearse.hpp"
#include "manager/witness.hpp"
#include "programs/cli_main.hpp"
#include "programs/logger_main.hpp"
#include "programs/manager_main.hpp"

using namespace abide;

// Every record and input passes here before it is looked at (ld --wrap), so this is where one can die of it.
using Enter = void(manager::Cursor*, manager::Phase, std::uint32_t, std::uint64_t, std::string_view);
extern "C" Enter __real__ZN5abide7manager6Cursor5enterENS0_5PhaseEjmSt17basic_string_viewIcSt11char_traitsIcEE;
extern "C" Enter __wrap__ZN5abide7manager6Cursor5enterENS0_5PhaseEjmSt17basic_string_viewIcSt11char_traitsIcEE;

namespace {

constexpr int kRecoveryInputs = 1;  // what it finds when it comes back is one
bool dies_at_first_event = false;
int inputs = 0;

bool is_poison(manager::Phase phase, std::uint32_t kind, std::uint64_t key, std::string_view what) {
    if (dies_at_first_event && phase == manager::Phase::stepping && ++inputs > kRecoveryInputs) return true;
    const char* file = std::getenv("ABIDE_TEST_POISON");
    std::ifstream poison(file == nullptr ? "" : file);
    std::string sort, subject;
    if (!(poison >> sort)) return false;
    std::getline(poison >> std::ws, subject);
    if (sort == "build") return phase == manager::Phase::building;
    if (sort == "hear") return phase == manager::Phase::hearing;
    if (sort == "effect") return phase == manager::Phase::acting && what.find(subject) != std::string_view::npos;
    if (sort == "input" || sort == "spin")
        return phase == manager::Phase::stepping && what.find(subject) != std::string_view::npos;
    return phase == manager::Phase::reading && kind == static_cast<std::uint32_t>(journal::RecordType::service) &&
           key == journal::name_key(subject);
}

bool spins() {
    const char* file = std::getenv("ABIDE_TEST_POISON");
    std::ifstream poison(file == nullptr ? "" : file);
    std::string sort;
    return poison >> sort && sort == "spin";
}

}  // namespace

void __wrap__ZN5abide7manager6Cursor5enterENS0_5PhaseEjmSt17basic_string_viewIcSt11char_traitsIcEE(
    manager::Cursor* cursor, manager::Phase phase, std::uint32_t kind, std::uint64_t key, std::string_view what) {
    __real__ZN5abide7manager6Cursor5enterENS0_5PhaseEjmSt17basic_string_viewIcSt11char_traitsIcEE(cursor, phase, kind,
                                                                                                  key, what);
    if (!is_poison(phase, kind, key, what)) return;
    if (!spins()) std::abort();
    for (volatile bool on = true; on;) {}
}

namespace {

std::string_view last_component(std::string_view path) {
    return path.substr(path.rfind('/') + 1);
}

[[noreturn]] void hang() {
    for (;;) ::pause();
}

[[noreturn]] void eat(std::size_t most) {
    constexpr std::size_t kBlock = 16u << 20;
    std::vector<std::vector<char>> eaten;
    for (std::size_t bytes = 0; bytes < most; bytes += kBlock) eaten.emplace_back(kBlock, 'x');
    std::abort();
}

int misbehave_in_rehearsal(const std::string& kind) {
    if (kind.starts_with("exit-")) return std::atoi(kind.c_str() + 5);
    if (kind == "crash") std::abort();
    if (kind == "hang") hang();
    if (kind == "eat") eat(std::size_t{3} << 30);  // more than it is allowed
    if (kind == "mute") return 0;
    if (kind != "refuse" && kind != "start-all") return manager::run_rehearsal();
    const auto journal = kernel::reopen(manager::kRehearsalJournal, 0);
    control::RehearsalReport report = manager::rehearse(kernel::read_all(journal->get(), 1u << 30).value());
    report.refused = kind == "refuse";
    if (kind == "start-all") {
        for (const auto& service : report.services) report.decisions.push_back("spawn " + service.name + " main 0");
    }
    std::cout << control::write(report) << std::endl;
    return 0;
}

// Says hello and ready as it should, and then answers every client with noise.
[[noreturn]] void talk_garbage() {
    manager::AnchorLink anchor{kernel::Fd(anchor::kManagerSocket)};
    if (!anchor.hello_now()) std::exit(9);
    const auto key = static_cast<std::uint64_t>(anchor::Key::control);
    auto kept = anchor.get_now({key});
    if (!kept || !kept->contains(key)) std::exit(9);
    anchor.ready();
    anchor.flush();
    for (;;) {
        pollfd ready{kept->at(key).get(), POLLIN, 0};
        ::poll(&ready, 1, 1000);
        const int client = ::accept(kept->at(key).get(), nullptr, nullptr);
        if (client < 0) continue;
        static const char noise[] = "{\"parameters\":{\"version\":7,\"epoch\":\"\x01\"}}";
        if (::send(client, noise, sizeof noise, MSG_NOSIGNAL) < 0) continue;
        ::close(client);
    }
}

// As a supervisor that keeps no state: what there was is given up, and it ends without a word.
[[noreturn]] void keep_no_state() {
    manager::AnchorLink anchor{kernel::Fd(anchor::kManagerSocket)};
    if (!anchor.hello_now()) std::exit(9);
    anchor.drop(static_cast<std::uint64_t>(anchor::Key::journal), true);
    anchor.flush();
    std::exit(1);
}

void* end_later(void* ms) {
    ::usleep(static_cast<useconds_t>(reinterpret_cast<std::uintptr_t>(ms) * 1000));
    std::abort();
}

int misbehave(const std::string& kind, int argc, char** argv) {
    if (kind == "at-replay") std::abort();
    if (kind.starts_with("quits-")) return std::atoi(kind.c_str() + 6);
    dies_at_first_event = kind == "first-event";
    if (kind == "hang-live") hang();
    if (kind == "eat-live") eat(std::size_t{1} << 28);
    if (kind == "garbage") talk_garbage();
    if (kind == "stateless") keep_no_state();
    if (kind.starts_with("after-")) {
        pthread_t thread{};
        const auto ms = static_cast<std::uintptr_t>(std::atoi(kind.c_str() + 6));
        ::pthread_create(&thread, nullptr, end_later, reinterpret_cast<void*>(ms));
    }
    return manager_main(argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view name = argc > 0 ? last_component(argv[0]) : std::string_view{};
    if (name == "abide-logger") return logger_main(argc, argv);
    if (name == manager::kWitnessName) return manager::run_witness(argc, argv);
    if (name != "abide-manager") return cli_main(argc, argv);
    const std::string kind(last_component(kernel::program_path().value_or("/")));
    if (argc > 1 && argv[1] == control::kRehearse) return misbehave_in_rehearsal(kind);
    return misbehave(kind, argc, argv);
}
