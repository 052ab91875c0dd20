// tests/fuzz/seeds.cc -- writes the corpora that are made, not found: real inputs, by the code that makes real inputs.
// Run it when a format grows; what fuzzing found lies beside them under names of its own.
//
//   fuzz_seeds tests/fuzz/corpus
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "config/load.hpp"
#include "journal/compact.hpp"
#include "model/codec.hpp"
#include "protocol/anchor.hpp"
#include "protocol/control.hpp"
#include "protocol/log.hpp"
#include "protocol/varlink.hpp"
#include "unit/core/driver.hpp"
#include "unit/journal/small_journal.hpp"

namespace abide {
namespace {

namespace fs = std::filesystem;
using namespace model;

fs::path corpus;

void seed(const char* target, const std::string& name, std::string_view bytes) {
    fs::create_directories(corpus / target);
    std::ofstream(corpus / target / name, std::ios::binary) << bytes;
}

std::string image_of(const core::Engine& engine) {
    const core::Snapshot snapshot = engine.snapshot();
    journal::Live live;
    live.instance = &snapshot.instance;
    live.specs = &snapshot.specs;
    for (const model::Service& service : snapshot.services) live.services.push_back(&service);
    for (const model::Operation& operation : snapshot.operations) live.operations.push_back(&operation);
    live.program = "seed";
    journal::Writer writer(Epoch{1});
    return std::string(journal::compact(writer, live));
}

template <class T>
void seed_value(char kind, const std::string& name, const T& value) {
    std::string text(1, kind);
    model::encode(text, value);
    seed("codec", name, text);
}

// A database, a task and an API in each stage that they pass; as journals and as single values.
void lives() {
    ServiceSpec db = test::service("db");
    db.ready = Box(ReadySpec{});
    db.ready->probe.kind = ProbeKind::notify;
    db.hooks = Box(Hooks{});
    db.hooks->pre_start.push_back({{"prepare"}});
    db.hooks->post_stop.push_back({{"tidy"}});
    db.watchdog = seconds(1);
    ServiceSpec migrate = test::service("migrate");
    migrate.kind = Kind::task;
    migrate.dependencies.push_back(test::needs("db"));
    ServiceSpec api = test::service("api@1");
    api.dependencies = {test::needs("db"), test::needs("migrate", Await::succeeded)};
    api.health = Box(HealthSpec{});
    api.reload = Box(ReloadSpec{.signal = 1, .command = {}, .timeout = seconds(2)});
    test::Driver driver({db, migrate, api});
    int count = 0;
    const auto keep = [&](const char* stage) {
        const std::string name = std::to_string(count++) + "-" + stage;
        seed("journal", name, std::string("\0\x55", 2) + image_of(driver.engine));
        for (const Service* service : driver.engine.services())
            seed_value('\0', service->name.substr(0, 3) + "-" + name, *service);
    };
    driver.boot();
    keep("starting");
    driver.notify_ready("db");
    driver.exit("migrate", 0);
    keep("running");
    driver.ask(Verb::reload, {"api@1"});
    keep("reloading");
    driver.dies_of_term = false;
    const OperationId stop = driver.ask(Verb::restart, {"db"}, seconds(30));
    keep("stopping");
    seed_value('\2', "restart", *driver.engine.operation(stop));
    driver.pass(seconds(11));
    keep("killed");
    driver.end("api@1", {ExitKind::signal, 11, true, {}, {}});
    driver.pass(milliseconds(1));
    keep("backoff");
    seed_value('\3', "instance", driver.engine.instance());
    for (const auto& [hash, spec] : driver.engine.specs()) seed_value('\1', spec.name.substr(0, 3), spec);
}

void journals() {
    const std::vector<std::string> writes = test::small_journal();
    const std::string all = test::joined(writes);
    const std::string plain("\0\x55", 2), sealed("\xff\xaa", 2);
    seed("journal", "small", plain + all);
    seed("journal", "small-sealed", sealed + all);
    seed("journal", "torn", plain + all.substr(0, all.size() - 70));
    seed("journal", "pid-behind-a-tear", plain + all.substr(0, 500) + test::pid_bytes(Epoch{1}, SpawnId{2}, 4712));
}

std::string packet(anchor::Verb verb, std::uint16_t flags, std::uint32_t tag, std::uint32_t count, std::uint32_t status,
                   std::string_view body, int fds = 0) {
    anchor::Header header{static_cast<std::uint16_t>(verb), flags, tag, count, status};
    std::string frame(reinterpret_cast<const char*>(&header), sizeof header);
    frame += body;
    std::string out;
    out += static_cast<char>(frame.size() & 0xff);
    out += static_cast<char>(frame.size() >> 8);
    out += static_cast<char>(fds);
    return out + frame;
}

template <class T>
std::string bytes_of(const T& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

void anchor_talk() {
    using anchor::Verb;
    const std::uint64_t key = anchor::kFirstFreeKey, other = key + 1;
    const std::string hello = packet(Verb::hello, 0, 0, 1, 0, bytes_of(anchor::Hello{}));
    const std::string put = packet(Verb::put, 0, 1, 2, 0, bytes_of(key) + bytes_of(other), 2);
    seed("anchor", "put-get", hello + put + packet(Verb::get, 0, 2, 2, 0, bytes_of(key) + bytes_of(other)));
    seed("anchor", "put-drop",
         hello + put + put + packet(Verb::drop, 0, 0, 1, 0, bytes_of(key)) +
             packet(Verb::list, 0, 3, 1, 0, bytes_of(std::uint64_t{0})));
    seed("anchor", "marks",
         hello + packet(Verb::mark, 0, 4, 1, 0, bytes_of(anchor::Mark{4711, anchor::kManaged})) +
             packet(Verb::peek, 0, 5, 1, 0, bytes_of(std::int32_t{4711})) +
             packet(Verb::reap, 0, 0, 1, 0, bytes_of(std::int32_t{4711})));
    seed("anchor", "ready-working-end",
         hello + packet(Verb::ready, 0, 0, 0, 0, {}) +
             packet(Verb::working, 0, 0, 1, 0, bytes_of(anchor::Working{1000})) +
             packet(Verb::end, 0, 6, 1, 0, bytes_of(anchor::End{0, 100})));
    seed("anchor", "unknown", hello + packet(static_cast<Verb>(77), 0, 7, 3, 0, "what", 1));
    const anchor::Exit exit{4711, 1, 3, anchor::kManaged, 1, 2, 3, 4};
    seed("anchor_link", "exits",
         packet(Verb::exited, 0, 0, 2, 0, bytes_of(exit) + bytes_of(exit)) +
             packet(Verb::wish, 0, 9, 1, 0, bytes_of(anchor::Wish{15, 1, 0, 0})));
    seed("anchor_link", "kept",
         packet(Verb::get, anchor::kAnswer, 1, 2, 0, bytes_of(std::uint64_t{1}) + bytes_of(std::uint64_t{2}), 2) +
             packet(Verb::get, anchor::kAnswer, 2, 0, 24, {}) +
             packet(Verb::unsupported, anchor::kAnswer, 3, 0, 38, {}));
    seed("anchor_link", "peeked", packet(Verb::peek, anchor::kAnswer, 0, 1, 0, bytes_of(exit)));
}

void calls() {
    const std::string start = control::write(control::TargetsRequest{{"api@1", "db"}, 1500, true});
    const std::string status = control::write(control::StatusRequest{{"db"}, true});
    const auto stream = [](char piece, const std::string& messages) { return std::string(1, piece) + messages; };
    seed("varlink", "status", stream('\x7f', varlink::build_call("io.abide.Control.Status", status)));
    seed("varlink", "start", stream('\3', varlink::build_call("io.abide.Control.Start", start, true)));
    seed("varlink", "two",
         stream('\7', varlink::build_call("org.varlink.service.GetInfo", {}) +
                          varlink::build_call("io.abide.Control.Why", R"({"name":"db"})")));
    seed("varlink", "reply",
         stream('\x10', varlink::build_reply(R"({"services":[]})", true) +
                            control::error_message({ErrorKind::not_found, "no such service", 0, {}})));
    std::string configuration;
    model::Configuration value;
    value.services.push_back(test::spec_named("db"));
    model::encode(configuration, value);
    seed("varlink", "apply",
         stream('\x40', varlink::build_call("io.abide.Control.Apply", R"({"configuration":)" + configuration + "}")));
}

void small_ones() {
    seed("notify", "ready", "READY=1\nSTATUS=Serving \xc3\xa4\nMAINPID=4711\n");
    seed("notify", "reloading", "RELOADING=1\nMONOTONIC_USEC=123456789\nEXTEND_TIMEOUT_USEC=5000000");
    seed("notify", "watchdog", "WATCHDOG=1\nWATCHDOG_USEC=20000000\nWATCHDOG=trigger\nERRNO=2\nSTOPPING=1");
    seed("notify", "descriptors", "FDSTORE=1\nFDNAME=socket-1\nFDPOLL=0\nFDSTOREREMOVE=1\nBARRIER=1");
    seed("pattern", "ready", "\5^(ready|started) on port [0-9]+$\nready on port 8080");
    seed("pattern", "sets", "\1[^a-z\\]]+x*?(\\d\\w\\s|.)\nA1_ x");
    seed("pattern", "literal", "\2aabaa\nxxaabaabaayy");
    seed("lines", "output", "\1one\ntwo\n\nthree without an end");
    seed("lines", "stored",
         "\4"
         "2023-11-14T22:13:20.000000000Z  one\n2023-11-14T22:13:21.000000001Z  two\n"
         "2023-11-14T22:13:22.000000000Z +more\n");
    namespace log = protocol::log;
    log::OpenItem item{.key = 7, .run = 3, .service = "api@1", .spec = {}, .resumed = true};
    seed("log", "open", log::encode(log::ToLogger{log::Open{{item, item}}}));
    seed("log", "close", log::encode(log::ToLogger{log::Close{{7, 8}}}));
    seed("log", "pattern", log::encode(log::ToLogger{log::Pattern{7, 3, false, "ready", 12}}));
    seed("log", "matched", log::encode(log::ToManager{log::Matched{7, 3, "ready on port 8080"}}));
    seed("log", "problem", log::encode(log::ToManager{log::Problem{7, 28, "No space left on device"}}));
    seed("log", "drained", log::encode(log::ToManager{log::Drained{7, 4096, true}}));
}

}  // namespace
}  // namespace abide

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
        return 2;
    }
    abide::corpus = argv[1];
    abide::lives();
    abide::journals();
    abide::anchor_talk();
    abide::calls();
    abide::small_ones();
    return 0;
}
