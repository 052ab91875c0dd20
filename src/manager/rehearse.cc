// manager/rehearse.cc -- see the header.
#include "manager/rehearse.hpp"

#include <fcntl.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/version.hpp"
#include "core/engine.hpp"
#include "journal/reader.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/spawn.hpp"
#include "manager/complain.hpp"
#include "model/text.hpp"

namespace abide::manager {

namespace {

using namespace model;

constexpr std::size_t kImageBytes = std::size_t{1} << 30;
constexpr int kStandardOutput = 1;

std::string words(const out::Spawn& e) {
    return "spawn " + e.service + " " + to_text(e.role) + " " + std::to_string(e.step);
}
std::string words(const out::LetGo& e) {
    return "let go " + e.service;
}
std::string words(const out::Signal& e) {
    return "signal " + e.service + " " + std::to_string(e.signal);
}
std::string words(const out::KillAll& e) {
    return "kill " + e.service;
}
std::string words(const out::KillProcess& e) {
    return "kill process of spawn " + std::to_string(e.spawn.value);
}
std::string words(const out::Adopt& e) {
    return "adopt " + e.service;
}
std::string words(const out::Freeze& e) {
    return (e.frozen ? "freeze " : "thaw ") + e.service;
}
std::string words(const out::Release& e) {
    return "release " + e.service;
}
std::string words(const out::DropStored& e) {
    return "forget a descriptor of " + e.service;
}
std::string words(const out::Upgrade& e) {
    return "upgrade to " + e.program;
}
std::string words(const out::EndInstance&) {
    return "end the instance";
}
// Questions and news change nothing for a service.
std::string words(const out::Probe&) {
    return {};
}
std::string words(const out::FindMain&) {
    return {};
}
std::string words(const out::WatchEmpty&) {
    return {};
}
std::string words(const out::Reply&) {
    return {};
}
std::string words(const out::Publish&) {
    return {};
}

core::Snapshot snapshot_of(journal::Recovered&& recovered) {
    return {std::move(*recovered.instance), std::move(recovered.specs), std::move(recovered.services),
            std::move(recovered.operations)};
}

void describe_services(control::RehearsalReport& report, const core::Engine& engine) {
    for (const Service* service : engine.services()) {
        const ServiceSpec& spec = engine.spec_of(*service);
        report.services.push_back(control::status_of(*service, spec, {}));
        report.services.back().detail = control::detail_of(*service, spec);
    }
    for (const auto& [id, operation] : engine.operations())
        report.operations.push_back(control::operation_of(operation));
}

// What would be done at once if the kernel confirmed every process that the journal speaks of.
std::vector<std::string> decisions_of(core::Engine engine) {
    in::Recovered recovered;
    for (const Service* service : engine.services()) {
        for (const Run& run : service->runs) {
            for (const Process& process : run.processes)
                recovered.processes.push_back({process.spawn, true, false, process.pid, process.start_ticks});
        }
    }
    std::vector<std::string> decisions;
    for (const Effect& effect : engine.step(recovered, kernel::now())) {
        std::string text = std::visit([](const auto& one) { return words(one); }, effect);
        if (!text.empty()) decisions.push_back(std::move(text));
    }
    return decisions;
}

// `theirs` has all that `ours` has; what is more in it is its own affair.
std::string difference(const boost::json::value& ours, const boost::json::value& theirs, const std::string& where) {
    if (ours.is_object() && theirs.is_object()) {
        for (const auto& [name, value] : ours.get_object()) {
            const boost::json::value* other = theirs.get_object().if_contains(name);
            if (other == nullptr) return where + "." + std::string(name) + " is missing";
            if (std::string found = difference(value, *other, where + "." + std::string(name)); !found.empty())
                return found;
        }
        return {};
    }
    if (ours.is_array() && theirs.is_array()) {
        const boost::json::array &left = ours.get_array(), &right = theirs.get_array();
        if (left.size() != right.size()) {
            return where + " has " + std::to_string(right.size()) + " entries instead of " +
                   std::to_string(left.size());
        }
        for (std::size_t i = 0; i < left.size(); ++i) {
            std::string found = difference(left[i], right[i], where + "[" + std::to_string(i) + "]");
            if (!found.empty()) return found;
        }
        return {};
    }
    if (ours == theirs) return {};
    return where + " is " + boost::json::serialize(theirs) + " instead of " + boost::json::serialize(ours);
}

}  // namespace

control::RehearsalReport rehearse(std::string_view image) {
    control::RehearsalReport report;
    report.rehearsal = control::kRehearsal;
    report.version = version();
    report.format = journal_format().format;
    journal::Recovered recovered = journal::read(image);
    report.problems = recovered.problems;
    report.refused = recovered.refused || !recovered.instance;
    if (!recovered.instance) report.problems.push_back("the journal says nothing of an instance");
    if (report.refused) return report;
    core::Engine engine(snapshot_of(std::move(recovered)));
    describe_services(report, engine);
    report.decisions = decisions_of(std::move(engine));
    return report;
}

int run_rehearsal() {
    // What a manager begins with must be there: its kernel features, besides its journal.
    if (const auto spawner = kernel::Spawner::create(); !spawner) {
        complain("rehearsal: " + describe(spawner.error()));
        return 1;
    }
    const Result<kernel::Fd> own = kernel::reopen(kRehearsalJournal, O_RDONLY | O_CLOEXEC);
    const Result<std::string> image =
        own ? kernel::read_all(own->get(), kImageBytes) : Result<std::string>(std::unexpected(own.error()));
    if (!image) {
        complain("rehearsal: " + describe(image.error()));
        return 1;
    }
    const std::string text = control::write(rehearse(*image)) + "\n";
    return kernel::write_all(kStandardOutput, text.data(), text.size()) ? 0 : 1;
}

namespace {

// Why it is no report to go by.
Result<boost::json::object> read_report(const std::string& text) {
    boost::json::error_code wrong;
    const boost::json::value found = boost::json::parse(text, wrong);
    if (wrong || !found.is_object()) return fail(ErrorKind::refused, "its report is no JSON object");
    const boost::json::object& report = found.get_object();
    const boost::json::value* kind = report.if_contains("rehearsal");
    if (kind == nullptr || !kind->is_string() || kind->get_string() != control::kRehearsal)
        return fail(ErrorKind::refused, "it knows nothing of rehearsals");
    if (const boost::json::value* refused = report.if_contains("refused");
        refused != nullptr && refused->is_bool() && refused->get_bool()) {
        const boost::json::value* problems = report.if_contains("problems");
        return fail(ErrorKind::refused, "it refuses the journal: " +
                                            (problems == nullptr ? std::string() : boost::json::serialize(*problems)));
    }
    for (const char* member : {"services", "operations", "decisions"}) {
        const boost::json::value* list = report.if_contains(member);
        if (list == nullptr || !list->is_array()) return fail(ErrorKind::refused, std::string(member) + " are missing");
    }
    return report;
}

std::string would_begin_with(const boost::json::value& decision) {
    return "it would begin with: " + boost::json::serialize(decision);
}

}  // namespace

std::string first_difference(const std::string& ours, const std::string& theirs) {
    const Result<boost::json::object> report = read_report(theirs);
    if (!report) return report.error().what;
    const boost::json::object expected = boost::json::parse(ours).get_object();
    for (const char* member : {"services", "operations"}) {
        std::string different = difference(expected.at(member), report->at(member), member);
        if (!different.empty()) return "it reads the state differently: " + different;
    }
    const boost::json::array& known = expected.at("decisions").get_array();
    for (const boost::json::value& one : report->at("decisions").get_array()) {
        if (std::find(known.begin(), known.end(), one) == known.end()) return would_begin_with(one);
    }
    return {};
}

std::string first_flaw(const control::RehearsalReport& living, const std::string& theirs) {
    const Result<boost::json::object> report = read_report(theirs);
    if (!report) return report.error().what;
    const auto is_named = [](const boost::json::value& one, const std::string& name) {
        const boost::json::value* its = one.is_object() ? one.get_object().if_contains("name") : nullptr;
        return its != nullptr && its->is_string() && std::string_view(its->get_string()) == name;
    };
    for (const control::ServiceStatus& service : living.services) {
        const auto knows = [&](const boost::json::value& one) { return is_named(one, service.name); };
        if (std::ranges::none_of(report->at("services").get_array(), knows)) return "it does not know " + service.name;
        const std::string start = "spawn " + service.name + " " + to_text(Role::main) + " ";
        for (const boost::json::value& one : report->at("decisions").get_array()) {
            if (one.is_string() && std::string_view(one.get_string()).starts_with(start)) return would_begin_with(one);
        }
    }
    return {};
}

}  // namespace abide::manager
