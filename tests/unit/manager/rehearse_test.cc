// What counts as a difference between two programs that read the same journal.
#include "manager/rehearse.hpp"

#include <gtest/gtest.h>

#include "journal/writer.hpp"
#include "model/codec.hpp"

namespace abide::manager {
namespace {

// A service that runs, in the journal of a manager.
std::string image_of(std::int32_t pid, model::State state = model::State::running) {
    model::ServiceSpec spec;
    spec.name = "web";
    spec.command.argv = {"/bin/web"};
    model::Service service;
    service.name = "web";
    service.spec = model::spec_hash(spec);
    service.want = model::Want::up;
    service.state = state;
    service.last_run = RunNumber{1};
    model::Run run;
    run.number = RunNumber{1};
    run.state = state;
    run.spec = service.spec;
    run.ready = run.was_ready = true;
    model::Process process;
    process.spawn = SpawnId{1};
    process.state = model::ProcessState::alive;
    process.pid = pid;
    run.processes.push_back(process);
    service.runs.push_back(run);
    model::Instance instance;
    instance.spec.name = "shop";
    instance.last_spawn = SpawnId{1};
    journal::Writer writer(Epoch{1});
    writer.append_header(journal::own_header("test"));
    writer.append_spec(service.spec, spec);
    writer.append_service(service);
    writer.append_instance(instance);
    return std::string(writer.take());
}

std::string report_of(const std::string& image) {
    return control::write(rehearse(image));
}

TEST(Rehearsal, TheSameProgramFindsTheSameAndWantsNothing) {
    const control::RehearsalReport report = rehearse(image_of(100));
    EXPECT_FALSE(report.refused);
    ASSERT_EQ(report.services.size(), 1u);
    EXPECT_EQ(report.services[0].pid, 100);
    EXPECT_TRUE(report.decisions.empty()) << report.decisions.front();
    EXPECT_EQ(first_difference(report_of(image_of(100)), report_of(image_of(100))), "");
}

TEST(Rehearsal, AnotherStateIsADifferenceAndIsNamed) {
    const std::string different = first_difference(report_of(image_of(100)), report_of(image_of(101)));
    EXPECT_NE(different.find("pid is 101 instead of 100"), std::string::npos) << different;
    EXPECT_NE(first_difference(report_of(image_of(100)), report_of(image_of(100, model::State::stopping))), "");
}

TEST(Rehearsal, WhatOnlyTheNewOneKnowsIsNone) {
    const std::string ours = report_of(image_of(100));
    std::string theirs = ours;
    theirs.replace(theirs.find("{\"name\":\"web\""), 1, "{\"new\":[1,2],");
    EXPECT_EQ(first_difference(ours, theirs), "");
    EXPECT_NE(first_difference(theirs, ours), "") << "but what the old one knows must be there";
}

TEST(Rehearsal, DecisionsOfItsOwnAreRefused) {
    control::RehearsalReport theirs = rehearse(image_of(100));
    theirs.decisions = {"spawn web main 0"};
    const std::string different = first_difference(report_of(image_of(100)), control::write(theirs));
    EXPECT_NE(different.find("spawn web main 0"), std::string::npos) << different;
    // Unless we would begin with the same.
    EXPECT_EQ(first_difference(control::write(theirs), control::write(theirs)), "");
}

TEST(Rehearsal, WhatIsNoReport) {
    const std::string ours = report_of(image_of(100));
    for (const char* theirs : {"", "{", "[]", "{}", "{\"rehearsal\":7}", "{\"rehearsal\":\"something\"}",
                               "{\"rehearsal\":\"abide-rehearsal-1\"}"})
        EXPECT_NE(first_difference(ours, theirs), "") << theirs;
    EXPECT_TRUE(rehearse("").refused);
    EXPECT_TRUE(rehearse("garbage").refused);
    const std::string refused = first_difference(ours, report_of("garbage"));
    EXPECT_NE(refused.find("refuses the journal"), std::string::npos) << refused;
}

}  // namespace
}  // namespace abide::manager
