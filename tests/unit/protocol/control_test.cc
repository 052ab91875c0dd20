// io.abide.Control: every struct survives the wire, scripts find the names they rely on, errors keep their meaning.
#include "protocol/control.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "model/event_json.hpp"

namespace abide::control {
namespace {

template <class T>
T round_trip(const T& value) {
    const auto back = read<T>(boost::json::parse(write(value)).as_object());
    EXPECT_TRUE(back.has_value()) << write(value);
    if (!back) return T{};
    EXPECT_EQ(write(*back), write(value));
    return *back;
}

template <class T>
std::string refused_parameter(const char* json) {
    const auto result = read<T>(boost::json::parse(json).as_object());
    return result ? "(accepted)" : result.error();
}

ServiceStatus full_status() {
    ServiceStatus out;
    out.name = "api", out.kind = "service", out.state = "starting", out.stage = "ready-wait";
    out.conditions = {"ready", "healthy"}, out.want = "up", out.pid = 4711, out.run = 3;
    out.since = "2026-11-21T09:00:00.000123456Z", out.restarts = 2, out.waiting_for = {"db:ready"};
    out.last_exit = LastExit{{}, "KILL", true, "2026-11-21T08:59:59.000000000Z", {1, 2, 3}};
    out.description = "the \"API\"\n";
    StatusDetail detail;
    detail.command = {"./api", "--port", "8080"}, detail.directory = "/srv", detail.source = "abide.toml:12";
    detail.runs = {{3,
                    "starting",
                    "ready-wait",
                    "t1",
                    "",
                    "requested",
                    "uid 0",
                    "none",
                    "warming",
                    2,
                    true,
                    {{4711, "main", "alive", false}, {4712, "ready-probe", "asked", true}}}};
    detail.past = {{2, "t0", "t1", "exited", "", LastExit{1, {}, false, "t1", {}}}, {1, "", "", "none", "", {}}};
    detail.dependencies = {{"requires", "db", "ready"}};
    detail.held = true;
    out.detail = detail;
    return out;
}

// An exit is told by events (written as text) and by replies (members): whoever reads one reads the other.
TEST(Exit, LooksTheSameInEventsAndReplies) {
    using model::ExitKind, model::ExitStatus;
    for (const ExitStatus& exit : {ExitStatus{ExitKind::code, 3, false, {1'795'261'255'015'457'384}, {103, 7, 13'776}},
                                   ExitStatus{ExitKind::signal, 11, true, {1'795'261'255'000'000'000}, {}},
                                   ExitStatus{ExitKind::unknown, 0, false, {1'795'261'255'015'457'384}, {}}}) {
        std::string told;
        model::append_exit(told, exit);
        EXPECT_EQ(boost::json::parse(told), boost::json::parse(write(exit_of(exit)))) << told;
    }
}

TEST(Control, EveryStructSurvivesTheWire) {
    round_trip(Nothing{});
    round_trip(StatusRequest{{"a", "b@1"}, true});
    const auto targets = round_trip(TargetsRequest{{"a"}, 1500, false});
    EXPECT_EQ(targets.timeout_ms, 1500);
    EXPECT_FALSE(targets.wait);
    EXPECT_FALSE(round_trip(TargetsRequest{}).timeout_ms.has_value());
    round_trip(KillRequest{"a", "HUP", true});
    round_trip(NamesRequest{{"a", "b"}});
    round_trip(DownRequest{0, false});
    round_trip(NameRequest{"a"});
    round_trip(ConfigurationRequest{"{\"services\":[]}", true});
    round_trip(OperationRequest{7, 10});
    EXPECT_EQ(round_trip(UpgradeRequest{"/p", 5, true, false, "n"}).request, "n");
    EXPECT_TRUE(round_trip(VouchRequest{3, true}).final_);
    GenerationReply generation;
    generation.version = "0.1.0", generation.epoch = 4, generation.rederived = {"a"}, generation.rescue = true;
    generation.last_upgrade = LastUpgrade{false, "/new", "refused", "is no program", "t"};
    EXPECT_EQ(round_trip(generation), generation);
    EXPECT_EQ(round_trip(StateReply{"a\nb"}).state, "a\nb");
    EXPECT_EQ(round_trip(full_status()), full_status());
    EXPECT_EQ(round_trip(StatusReply{{full_status(), {}}}).services.at(0), full_status());
    const OperationReply operation{
        7, "start", "failed", "why", {{"a", "failed", 3, "exit 1"}, {"b", "done", {}, ""}}, {"line"}};
    EXPECT_EQ(round_trip(operation), operation);
    EXPECT_EQ(round_trip(OperationsReply{{operation}}).operations.at(0), operation);
    round_trip(WhyReply{{"a", "b"}});
    const WhereReply where{"c", "r", "s", "e", "l", "a", 1, 2, 3};
    EXPECT_EQ(round_trip(where), where);
    const ChangesReply changes{{{"a", "restart", "command"}}, 4, "done", "d"};
    EXPECT_EQ(round_trip(changes), changes);
    const PingReply ping{"0.1.0", "shop", 2, true};
    EXPECT_EQ(round_trip(ping), ping);
}

TEST(Control, StatusHasExactlyTheMembersThatScriptsRelyOn) {
    ServiceStatus plain;
    plain.name = "db", plain.kind = "service", plain.state = "inactive", plain.want = "down";
    EXPECT_EQ(
        write(plain),
        R"({"name":"db","kind":"service","state":"inactive","stage":null,"conditions":[],"want":"down","pid":null,)"
        R"("run":null,"since":null,"restarts":0,"last_exit":null,"waiting_for":[],"revision":null,"description":""})");
    EXPECT_EQ(write(LastExit{1, {}, false, "t", {4, 5, 6}}),
              R"({"code":1,"core_dumped":false,"time":"t","rusage":{"user_us":4,"system_us":5,"max_rss_kib":6}})");
    const LastExit oom{{}, "KILL", false, "t", {4, 5, 6}, true};
    EXPECT_EQ(write(oom).substr(0, 51), R"({"signal":"KILL","core_dumped":false,"oom":true,"ti)");
    EXPECT_EQ(round_trip(oom), oom);
    EXPECT_EQ(write(LastExit{}).substr(0, 17), R"({"code":"unknown")");
    EXPECT_EQ(round_trip(LastExit{}), LastExit{});
}

TEST(Control, WrongTypesAreNamedAndUnknownMembersIgnored) {
    EXPECT_EQ(refused_parameter<TargetsRequest>(R"({"names":"a"})"), "names");
    EXPECT_EQ(refused_parameter<TargetsRequest>(R"({"names":[1]})"), "names");
    EXPECT_EQ(refused_parameter<TargetsRequest>(R"({"timeout_ms":"5s"})"), "timeout_ms");
    EXPECT_EQ(refused_parameter<TargetsRequest>(R"({"timeout_ms":1.5})"), "timeout_ms");
    EXPECT_EQ(refused_parameter<TargetsRequest>(R"({"wait":1})"), "wait");
    EXPECT_EQ(refused_parameter<KillRequest>(R"({"name":null,"new":{}})"), "(accepted)");
    EXPECT_EQ(refused_parameter<StatusReply>(R"({"services":[{"name":7}]})"), "name");
}

TEST(Control, MethodsOfTheTableAreThoseOfTheDescription) {
    std::size_t described = 0;
    for (std::size_t at = 0; (at = kDescription.find("\nmethod ", at)) != std::string_view::npos; ++at) ++described;
    EXPECT_EQ(described, methods().size());
    for (const MethodInfo& one : methods()) {
        const std::string line = "\nmethod " + std::string(one.name.substr(kInterface.size() + 1)) + "(";
        EXPECT_NE(kDescription.find(line), std::string_view::npos) << line;
        EXPECT_EQ(find_method(one.name), &info(one.method));
        EXPECT_GE(one.permission, model::Permission::read);
    }
    EXPECT_EQ(find_method("io.abide.Control.Nothing"), nullptr);
    EXPECT_EQ(info(Method::status).permission, model::Permission::read);
    EXPECT_EQ(info(Method::stop).permission, model::Permission::operate);
    EXPECT_EQ(info(Method::apply).permission, model::Permission::administer);
}

TEST(Control, DescriptionIsTheDocumentedOne) {
    std::ifstream file(ABIDE_SOURCE_DIR "/docs/io.abide.Control.varlink");
    std::stringstream text;
    text << file.rdbuf();
    EXPECT_EQ(text.str(), kDescription);
}

TEST(Control, ErrorsKeepKindMessageAndAdvice) {
    for (const ErrorKind kind : {ErrorKind::failed, ErrorKind::not_found, ErrorKind::not_permitted,
                                 ErrorKind::timed_out, ErrorKind::refused}) {
        std::string message = error_message({kind, "what \"x\"", 0, "do y"});
        message.pop_back();
        const Error back = error_of(*varlink::parse_reply(message));
        EXPECT_EQ(back.kind, kind);
        EXPECT_EQ(back.what, "what \"x\"");
        EXPECT_EQ(back.advice, "do y");
    }
    const auto of = [](std::string message) {
        message.pop_back();
        return error_of(*varlink::parse_reply(message));
    };
    EXPECT_EQ(of(shutting_down_message()).kind, ErrorKind::refused);
    EXPECT_EQ(of(varlink::permission_denied()).kind, ErrorKind::not_permitted);
    EXPECT_EQ(of(varlink::invalid_parameter("names")).kind, ErrorKind::usage);
    EXPECT_EQ(of(varlink::method_not_found("io.abide.Control.X")).kind, ErrorKind::failed);
}

TEST(Control, StatusOfTheModel) {
    model::ServiceSpec spec;
    spec.name = "api", spec.description = "d", spec.source = {"abide.toml", 4};
    spec.dependencies = {{model::Relation::requires_, "db", model::Await::healthy, {}}};
    model::Service service;
    service.name = "api", service.state = model::State::starting, service.want = model::Want::up, service.held = true;
    service.last_run = RunNumber{5}, service.restarts = 2, service.since = Wall{1};
    model::Run run;
    run.number = RunNumber{5}, run.stage = model::Stage::ready_wait, run.ready = true;
    run.processes = {{SpawnId{1}, model::Role::ready_probe, model::ProcessState::alive, 99, 0, 0, false},
                     {SpawnId{2}, model::Role::main, model::ProcessState::alive, 42, 0, 0, false}};
    service.runs = {run};
    service.last_exit = model::ExitStatus{model::ExitKind::signal, 9, false, Wall{1}, {}};
    const ServiceStatus status = status_of(service, spec, {"db:healthy"});
    EXPECT_EQ(status.stage, "ready-wait");
    EXPECT_EQ(status.pid, 42);
    EXPECT_EQ(status.run, 5);
    EXPECT_EQ(status.conditions, (std::vector<std::string>{"ready", "held"}));
    EXPECT_EQ(status.last_exit->signal, "KILL");
    const StatusDetail detail = detail_of(service, spec);
    EXPECT_EQ(detail.source, "abide.toml:4");
    EXPECT_EQ(detail.runs.at(0).processes.at(0).role, "ready-probe");
    EXPECT_EQ(detail.dependencies.at(0), (DependencyStatus{"requires", "db", "healthy"}));

    model::Operation operation;
    operation.id = OperationId{3}, operation.verb = model::Verb::force_destroy,
    operation.outcome = model::Outcome::not_found;
    operation.targets = {{"x", model::Outcome::not_found, {}, "no such service"}};
    const OperationReply reply = operation_of(operation);
    EXPECT_EQ(reply.verb, "force-destroy");
    EXPECT_EQ(outcome_of(reply.outcome), model::Outcome::not_found);
    EXPECT_EQ(outcome_of("nonsense"), model::Outcome::failed);
}

TEST(Control, Times) {
    EXPECT_EQ(time_text(Wall{}), "");
    EXPECT_EQ(time_text(Wall{1'763'715'600'000'123'456}), "2025-11-21T09:00:00.000123456Z");
    EXPECT_EQ(time_text(Wall{951'782'400'000'000'000}), "2000-02-29T00:00:00.000000000Z");
    EXPECT_EQ(time_text(Wall{-1}), "1969-12-31T23:59:59.999999999Z");
    for (const std::int64_t ns :
         {std::int64_t{1}, std::int64_t{1'763'715'600'000'123'456}, std::int64_t{4'107'542'399'999'999'999}}) {
        EXPECT_EQ(parse_time(time_text(Wall{ns})), Wall{ns});
    }
    EXPECT_EQ(parse_time("2025-11-21T11:00:00+02:00"), Wall{1'763'715'600'000'000'000});
    EXPECT_EQ(parse_time("2025-11-21 06:30:00.5-02:30"), Wall{1'763'715'600'500'000'000});
    for (const char* bad :
         {"", "2025", "2025-13-01T00:00:00Z", "2025-11-21T09:00:00", "2025-11-21T09:00:00Zx", "25-11-21T09:00:00Z"}) {
        EXPECT_FALSE(parse_time(bad).has_value()) << bad;
    }
}

}  // namespace
}  // namespace abide::control
