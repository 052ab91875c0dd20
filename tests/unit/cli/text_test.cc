// What people see: widths, tables, the story of a service, log lines.  Goldens.
#include "cli/text.hpp"

#include <gtest/gtest.h>

#include "cli/log_view.hpp"
#include "cli/status_view.hpp"

namespace abide::cli {
namespace {

TEST(DisplayWidth, Table) {
    EXPECT_EQ(display_width(""), 0u);
    EXPECT_EQ(display_width("abc"), 3u);
    EXPECT_EQ(display_width("gr\u00fc\u00df"), 4u);
    EXPECT_EQ(display_width("e\u0301"), 1u);       // combining accent
    EXPECT_EQ(display_width("\u65e5\u672c"), 4u);  // wide
    EXPECT_EQ(display_width("\U0001F680"), 2u);
    EXPECT_EQ(display_width("\xff"), 1u);
}

TEST(Table, AlignsByWidthAndCutsTheLastColumn) {
    const std::vector<std::vector<Cell>> rows = {{{"NAME"}, {"X"}, {"NOTE"}},
                                                 {{"\u65e5\u672c\u8a9e"}, {"1"}, {"a long remark at the end"}},
                                                 {{"b"}, {"22"}, {""}}};
    EXPECT_EQ(render_table(rows, false, 0),
              "NAME    X   NOTE\n"
              "\u65e5\u672c\u8a9e  1   a long remark at the end\n"
              "b       22\n");
    EXPECT_EQ(render_table(rows, false, 24),
              "NAME    X   NOTE\n"
              "\u65e5\u672c\u8a9e  1   a long rema\u2026\n"
              "b       22\n");
    EXPECT_EQ(render_table({{{"a", Colour::red}, {"b"}}}, true, 0), "\x1b[31ma\x1b[0m  b\n");
}

TEST(Ago, Table) {
    EXPECT_EQ(ago(milliseconds(999)), "0s");
    EXPECT_EQ(ago(seconds(59)), "59s");
    EXPECT_EQ(ago(seconds(61)), "1min 1s");
    EXPECT_EQ(ago(seconds(7200)), "2h");
    EXPECT_EQ(ago(seconds(90'000)), "1d 1h");
    EXPECT_EQ(ago(Duration{-5}), "0s");
}

TEST(ErrorLine, IsOneLineWithWhatWhyAndAdvice) {
    EXPECT_EQ(error_line({ErrorKind::failed, "can't open x", 2, "make it"}),
              "abide: can't open x: No such file or directory; make it");
    EXPECT_EQ(error_line({ErrorKind::failed, "a\nb\x1b[2J", 0, {}}), "abide: a\\nb\\x1b[2J");
}

TEST(ExitStatus, IsThatOfTheReference) {
    EXPECT_EQ(exit_status_of(ErrorKind::failed), 1);
    EXPECT_EQ(exit_status_of(ErrorKind::usage), 2);
    EXPECT_EQ(exit_status_of(ErrorKind::not_found), 3);
    EXPECT_EQ(exit_status_of(ErrorKind::unreachable), 4);
    EXPECT_EQ(exit_status_of(ErrorKind::not_permitted), 5);
    EXPECT_EQ(exit_status_of(ErrorKind::timed_out), 6);
    EXPECT_EQ(exit_status_of(ErrorKind::refused), 7);
    EXPECT_EQ(exit_status_of(ErrorKind::rolled_back), 8);
}

control::ServiceStatus service(const char* name, const char* state) {
    control::ServiceStatus out;
    out.name = name, out.kind = "service", out.state = state, out.want = "up",
    out.since = "2026-11-21T09:00:00.000000000Z";
    return out;
}

const Wall kNow = *control::parse_time("2026-11-21T10:02:03Z");

TEST(StatusTable, Golden) {
    auto db = service("db", "running");
    db.pid = 4711, db.conditions = {"ready", "healthy"};
    auto api = service("api", "starting");
    api.stage = "ready-wait", api.pid = 4712, api.restarts = 3, api.waiting_for = {"tcp 127.0.0.1:8080"};
    auto broken = service("evil\x1b[2J", "failed");
    broken.last_exit = control::LastExit{{}, "SEGV", true, "", {}};
    auto never = service("never", "inactive");
    never.since.reset();
    EXPECT_EQ(
        status_table({db, api, broken, never}, kNow, {}),
        "NAME         STATE                  CONDITION      PID   SINCE    RESTARTS\n"
        "db           running                ready,healthy  4711  1h 2min  0\n"
        "api          starting (ready-wait)  -              4712  1h 2min  3         waits for tcp 127.0.0.1:8080\n"
        "evil\\x1b[2J  failed                 -              -     1h 2min  0         killed by SEGV (core dumped)\n"
        "never        inactive               -              -     -        0\n");
}

TEST(StatusStory, Golden) {
    auto api = service("api", "running");
    api.pid = 9, api.run = 2, api.restarts = 1, api.description = "the API", api.conditions = {"ready"};
    api.last_exit = control::LastExit{1, {}, false, "2026-11-21T08:59:59.000000000Z", {}};
    control::StatusDetail detail;
    detail.command = {"./api"}, detail.directory = "/srv", detail.source = "abide.toml:3";
    detail.dependencies = {{"requires", "db", "ready"}, {"after", "log", "none"}};
    detail.runs = {{2,
                    "running",
                    "none",
                    "2026-11-21T09:00:00Z",
                    "",
                    "restart-policy",
                    "",
                    "none",
                    "serving",
                    0,
                    true,
                    {{9, "main", "alive", false}}}};
    detail.past = {{1, "2026-11-21T08:00:00Z", "2026-11-21T08:59:59Z", "exited", "", api.last_exit}};
    api.detail = detail;
    EXPECT_EQ(status_story(api, {"it was started by hand"}, {"09:00 ready"}, {"line \x07"}, kNow, {}),
              "api (service): the API\n"
              "state:       running, since 1h 2min\n"
              "condition:   ready\n"
              "wanted:      up\n"
              "main pid:    9\n"
              "restarts:    1\n"
              "last exit:   exit code 1, 2026-11-21 08:59:59\n"
              "command:     ./api\n"
              "folder:      /srv\n"
              "defined in:  abide.toml:3\n"
              "requires:    db (ready)\n"
              "after:       log\n"
              "run 2:       running, started 2026-11-21 09:00:00, restart-policy\n"
              "says:        serving\n"
              "process:     9 main\n"
              "run 1:       2026-11-21 08:00:00 to 2026-11-21 08:59:59, exited, exit code 1\n"
              "why:\n"
              "  it was started by hand\n"
              "history:\n"
              "  09:00 ready\n"
              "last lines:\n"
              "  line \\x07\n");
}

TEST(LogView, PrefixEscapeAndJson) {
    LogView plain({});
    plain.expect({"web", "database"});
    const Wall time = *control::parse_time("2026-11-21T09:00:00.5Z");
    EXPECT_EQ(plain.show({"web", time, "hi\x1b[31m", false}), "web      | hi\\x1b[31m\n");
    EXPECT_EQ(plain.show({"database", time, "x", false}), "database | x\n");
    LogView raw({.escaped = false, .times = true});
    EXPECT_EQ(raw.show({"w", time, "\x1b[0m", false}), "2026-11-21T09:00:00.500000000Z w | \x1b[0m\n");
    LogView json({.json = true});
    EXPECT_EQ(json.show({"w", time, "a\"\xff", true}),
              "{\"service\":\"w\",\"time\":\"2026-11-21T09:00:00.500000000Z\",\"text\":\"a\\\"\xEF\xBF\xBD\","
              "\"continues\":true}\n");
}

}  // namespace
}  // namespace abide::cli
