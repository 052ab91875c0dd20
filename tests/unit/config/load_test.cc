// Every key in its good form, and how files are put together.
#include "config/load.hpp"

#include <gtest/gtest.h>

#include "files.hpp"

namespace abide::config {
namespace {

using model::Await;
using model::OnLoss;
using model::ProbeKind;
using model::Relation;

constexpr const char* kEverything = R"(
[project]
name = "stack"
runtime = "run"
parallel = 4
environment = { LANG = "C.UTF-8" }

[control]
read = ["adm"]
operate = ["ops"]

[services.db]
command = ["postgres", "-D", "/srv/db"]
user = "postgres"
group = "postgres"
groups = ["ssl-cert"]
ready = { tcp = "127.0.0.1:5432", timeout = "30s", every = "50ms" }
stop = { signal = "INT", timeout = "90s", final = "never", scope = "mixed", command = "./stop now" }
health.exec = ["pg_isready"]
health.every = "5s"
health.timeout = "2s"
health.delay = "1s"
health.failures = 2
health.successes = 4
health.action = "stop"
watchdog = "20s"
fd-store-max = 3
essential = true
provides = ["sql"]

[services.migrate]
kind = "task"
command = "./migrate --to ${VERSION:-latest} 'a b'"
requires = ["db"]
autostart = false

[services.api]
description = "The API"
command = "./api --port ${PORT}"
directory = "api"
environment = { PORT = "8080", B = "x" }
environment-file = ["-missing.env"]
requires = ["sql:healthy", "migrate:completed"]
wants = [{ service = "cache", for = "started", on-loss = "restart" }]
binds-to = ["db:none"]
part-of = ["all"]
after = ["cache"]
before = ["front"]
conflicts = ["old"]
pre-start = [["./check-config"], "./warm up"]
post-start = [["a"]]
pre-stop = [["b"]]
post-stop = [["c"]]
hook-timeout = "5s"
sockets = [{ name = "http", listen = "tcp:127.0.0.1:8080", backlog = 10 }, { listen = "unix:api.sock", mode = "0660" }]
ready = { notify = true }
health = { http = "http://127.0.0.1:8080/healthz" }
restart = "always"
success-exit = [143, 0, "TERM"]
restart-prevent = [3]
restart-force = ["SEGV"]
restart-delay = { min = "200ms", max = "1m", factor = 1.5, jitter = 0, reset-after = "2m" }
restart-limit = { count = 3, within = "10s" }
reload = { signal = "HUP", timeout = "3s" }
limits.nofile = 65536
limits.core = "unlimited"
limits.nproc = { soft = 10, hard = 20 }
limits.memlock = "64K"
limits.memory-max = "512M"
limits.memory-high = "256M"
limits.pids-max = 100
limits.cpu-weight = 50
limits.nice = -5
limits.oom-score-adjust = 100
limits.umask = "027"
sandbox = { no-new-privileges = true, private-tmp = true, capabilities = ["net_bind_service", "CAP_CHOWN"] }
log = { max-size = "1M", keep = 2, max-age = "1d", compress = false }

[services.all]
kind = "group"
requires = ["db", "api"]

[services.front]
command = ["nginx"]
reload = { command = ["nginx", "-s", "reload"] }
ready = { pidfile = "run/nginx.pid" }
log = "inherit"
restart-delay = "2s"

[services.cache]
command = ["redis"]
ready = { unix = "/run/redis.sock" }
log = "none"
restart = "never"

[services.old]
command = ["old"]
autostart = false
)";

TEST(Load, EveryKey) {
    const Loaded loaded = load_one(kEverything);
    ASSERT_TRUE(loaded.ok) << errors_of(loaded);
    const model::InstanceSpec& instance = loaded.configuration.instance;
    EXPECT_EQ(instance.name, "stack");
    EXPECT_EQ(instance.directory, "/srv/shop");
    EXPECT_EQ(instance.parallel, 4u);
    EXPECT_EQ(instance.read, (std::vector<std::string>{"adm"}));
    EXPECT_EQ(instance.operate, (std::vector<std::string>{"ops"}));
    EXPECT_EQ(loaded.runtime, "/srv/shop/run");
    EXPECT_EQ(loaded.files, (std::vector<std::string>{"/srv/shop/abide.toml"}));

    const model::ServiceSpec& db = *find(loaded, "db");
    EXPECT_EQ(db.command.argv, (std::vector<std::string>{"postgres", "-D", "/srv/db"}));
    EXPECT_EQ(*db.identity, (model::Identity{"postgres", "postgres", {"ssl-cert"}}));
    EXPECT_EQ(*db.ready,
              (model::ReadySpec{{ProbeKind::tcp, "127.0.0.1:5432", {}, -1, {}}, seconds(30), milliseconds(50)}));
    EXPECT_EQ(*db.stop,
              (model::StopSpec{2, seconds(90), model::StopFinal::never, model::StopScope::mixed, {{"./stop", "now"}}}));
    EXPECT_EQ(db.health->probe.command.argv, (std::vector<std::string>{"pg_isready"}));
    EXPECT_EQ(db.health->failures, 2u);
    EXPECT_EQ(db.health->successes, 4u);
    EXPECT_EQ(db.health->action, model::HealthAction::stop);
    EXPECT_EQ(db.watchdog, seconds(20));
    EXPECT_EQ(db.fd_store_max, 3u);
    EXPECT_TRUE(db.essential);
    EXPECT_EQ(db.environment, (std::vector<model::Variable>{{"LANG", "C.UTF-8"}}));
    EXPECT_EQ(db.source, (model::SourcePosition{"/srv/shop/abide.toml", 12, 11}));

    const model::ServiceSpec& migrate = *find(loaded, "migrate");
    EXPECT_EQ(migrate.kind, model::Kind::task);
    EXPECT_FALSE(migrate.autostart);
    EXPECT_EQ(migrate.command.argv, (std::vector<std::string>{"./migrate", "--to", "${VERSION:-latest}", "a b"}));
}

TEST(Load, EveryKeyOfTheApi) {
    const Loaded loaded = load_one(kEverything);
    ASSERT_TRUE(loaded.ok) << errors_of(loaded);
    const model::ServiceSpec& api = *find(loaded, "api");
    EXPECT_EQ(api.description, "The API");
    EXPECT_EQ(api.directory, "/srv/shop/api");
    EXPECT_EQ(api.environment, (std::vector<model::Variable>{{"LANG", "C.UTF-8"}, {"PORT", "8080"}, {"B", "x"}}));
    EXPECT_EQ(api.dependencies,
              (std::vector<model::Dependency>{{Relation::requires_, "db", Await::healthy, OnLoss::ignore},
                                              {Relation::requires_, "migrate", Await::completed, OnLoss::ignore},
                                              {Relation::wants, "cache", Await::started, OnLoss::restart},
                                              {Relation::binds_to, "db", Await::none, OnLoss::ignore},
                                              {Relation::part_of, "all", Await::none, OnLoss::ignore},
                                              {Relation::after, "cache", Await::ready, OnLoss::ignore},
                                              {Relation::before, "front", Await::ready, OnLoss::ignore},
                                              {Relation::conflicts, "old", Await::none, OnLoss::ignore}}));
    EXPECT_EQ(api.hooks->pre_start, (std::vector<model::Command>{{{"./check-config"}}, {{"./warm", "up"}}}));
    EXPECT_EQ(api.hooks->timeout, seconds(5));
    EXPECT_EQ(api.sockets, (std::vector<model::SocketSpec>{{"http", "tcp:127.0.0.1:8080", 10, -1},
                                                           {"api", "unix:/srv/shop/api/api.sock", 4096, 0660}}));
    EXPECT_EQ(api.ready->probe.kind, ProbeKind::notify);
    EXPECT_EQ(api.restart, model::RestartPolicy::always);
    EXPECT_EQ(api.success_exit, (std::vector<model::ExitMatch>{{false, 143}, {true, 15}}));
    EXPECT_EQ(*api.restart_delay,
              (model::RestartSpec{
                  milliseconds(200), seconds(60), 1500, 0, seconds(120), 3, seconds(10), {{false, 3}}, {{true, 11}}}));
    EXPECT_EQ(*api.reload, (model::ReloadSpec{1, {}, seconds(3)}));
    EXPECT_EQ(*api.limits,
              (model::Limits{{{4, UINT64_MAX, UINT64_MAX}, {6, 10, 20}, {7, 65536, 65536}, {8, 65536, 65536}},
                             512u << 20,
                             256u << 20,
                             100,
                             50,
                             -5,
                             100,
                             027}));
    EXPECT_EQ(*api.sandbox, (model::Sandbox{true, true, {"CAP_CHOWN", "CAP_NET_BIND_SERVICE"}, false}));
    EXPECT_EQ(*api.log, (model::LogSpec{model::LogMode::file, 1u << 20, 2, seconds(86400), false}));

    EXPECT_EQ(find(loaded, "front")->ready->probe.target, "/srv/shop/run/nginx.pid");
    EXPECT_EQ(find(loaded, "front")->log->mode, model::LogMode::inherit);
    EXPECT_EQ(find(loaded, "front")->restart_delay->min, seconds(2));
    EXPECT_EQ(find(loaded, "front")->restart_delay->max, seconds(2));
    EXPECT_EQ(find(loaded, "front")->restart_delay->factor_milli, 1000u);
    EXPECT_EQ(find(loaded, "cache")->restart, model::RestartPolicy::never);
    EXPECT_EQ(find(loaded, "cache")->log->mode, model::LogMode::none);
    EXPECT_EQ(find(loaded, "all")->kind, model::Kind::group);
}

TEST(Load, OtherKindsOfReadiness) {
    const Loaded loaded = load_one(R"(
services.a = { command = ["a"], ready = { fd = 3 } }
services.b = { command = ["a"], ready = { http = "http://[::1]:80/x" } }
services.c = { command = ["a"], ready = { exec = "./probe x" } }
services.d = { command = ["a"], ready = { log = "listening on .*" } }
services.e = { command = ["a"], ready = { delay = "1s" } }
services.f = { command = ["a"], ready = { tcp = "127.0.0.1:${PORT}" } }
services.g = { command = ["a"], ready = { http = "http://localhost" } }
)");
    ASSERT_TRUE(loaded.ok) << errors_of(loaded);
    EXPECT_EQ(find(loaded, "a")->ready->probe.fd, 3);
    EXPECT_EQ(find(loaded, "b")->ready->probe.kind, ProbeKind::http);
    EXPECT_EQ(find(loaded, "c")->ready->probe.command.argv, (std::vector<std::string>{"./probe", "x"}));
    EXPECT_EQ(find(loaded, "d")->ready->probe.target, "listening on .*");
    EXPECT_EQ(find(loaded, "e")->ready->probe.delay, seconds(1));
    EXPECT_EQ(find(loaded, "f")->ready->probe.target, "127.0.0.1:${PORT}");
}

TEST(Load, TemplatesAndInstances) {
    const Loaded loaded = load_one(R"(
[services."worker@"]
command = "./worker --queue %i 100%%"
directory = "w/%i"
environment = { Q = "%i" }
requires = ["queue@%i"]
ready = { unix = "%i.sock" }
instances = ["mail", "video"]
[services."queue@"]
command = ["q", "%i"]
[services."named@x"]
command = ["n", "%i"]
wants = ["queue@extra"]
)");
    ASSERT_TRUE(loaded.ok) << errors_of(loaded);
    std::vector<std::string> names;
    for (const model::ServiceSpec& spec : loaded.configuration.services) names.push_back(spec.name);
    EXPECT_EQ(names, (std::vector<std::string>{"named@x", "queue@", "queue@extra", "queue@mail", "queue@video",
                                               "worker@", "worker@mail", "worker@video"}));
    const model::ServiceSpec& pattern = *find(loaded, "worker@");
    EXPECT_TRUE(pattern.is_template);
    EXPECT_FALSE(pattern.autostart);
    const model::ServiceSpec& mail = *find(loaded, "worker@mail");
    EXPECT_TRUE(mail.autostart);
    EXPECT_FALSE(mail.is_template);
    EXPECT_EQ(mail.command.argv, (std::vector<std::string>{"./worker", "--queue", "mail", "100%"}));
    EXPECT_EQ(mail.directory, "/srv/shop/w/mail");
    EXPECT_EQ(mail.ready->probe.target, "/srv/shop/w/mail/mail.sock");
    EXPECT_EQ(mail.environment, (std::vector<model::Variable>{{"Q", "mail"}}));
    EXPECT_EQ(mail.dependencies.at(0).target, "queue@mail");
    EXPECT_FALSE(find(loaded, "queue@mail")->autostart);
    EXPECT_EQ(find(loaded, "named@x")->command.argv, (std::vector<std::string>{"n", "x"}));

    const auto seventh = instantiate(pattern, "7");
    ASSERT_TRUE(seventh);
    EXPECT_EQ(seventh->name, "worker@7");
    EXPECT_EQ(seventh->command.argv.at(2), "7");
    EXPECT_FALSE(seventh->autostart);
    EXPECT_FALSE(instantiate(pattern, "../x"));
    EXPECT_FALSE(instantiate(pattern, ""));
    EXPECT_FALSE(instantiate(mail, "7"));
}

TEST(Load, ATemplateThatAsksForEverMoreInstancesIsRefused) {
    const Loaded loaded = load_one(R"(
[services."a@"]
command = ["a"]
wants = ["a@%ix", "a@%iy"]
[services.b]
command = ["b"]
wants = ["a@1"]
)");
    EXPECT_FALSE(loaded.ok);
    EXPECT_NE(errors_of(loaded).find("too many instances"), std::string::npos) << errors_of(loaded).substr(0, 500);
}

TEST(Load, IncludesDropInsAndEnvironmentFiles) {
    MapFiles files;
    files.files = {
        {"/srv/shop/abide.toml", R"(include = ["more/b.toml", "more/../more/b.toml"]
[project]
environment = { A = "project", P = "100%%" }
[services.a]
command = ["a"]
restart = "never"
environment = { A = "own", C = "own", D = "${F}" }
environment-file = ["a.env"]
limits = { nofile = 10, nice = 1 }
)"},
        {"/srv/shop/a.env",
         "# comment\nC=file $x ${y}\nexport F='q # r'\n\n; more\nG=\"a\\nb\\$\"  # said\nH = plain # not a "
         "comment\nM='1\n2'\n"},
        {"/srv/shop/more/b.toml", "[services.b]\ncommand = [\"b\"]\nenvironment-file = [\"b.env\"]\n"},
        {"/srv/shop/more/b.env", "B=1\n"},
        {"/srv/shop/abide.d/10.toml",
         "[services.a]\nrestart = \"always\"\nenvironment = { C2 = \"drop\", A = \"drop\" }\nlimits = { nice = 2 }\n"},
        {"/srv/shop/abide.d/20.toml",
         "[project]\nparallel = 3\n[services.a]\nrestart = \"on-failure\"\n[services.c]\ncommand = [\"c\"]\n"},
        {"/srv/shop/abide.d/readme.txt", "not read"},
    };
    const Loaded loaded = load({"/srv/shop/abide.toml"}, files, root_context());
    ASSERT_TRUE(loaded.ok) << errors_of(loaded);
    const model::ServiceSpec& a = *find(loaded, "a");
    EXPECT_EQ(a.environment, (std::vector<model::Variable>{{"A", "project"},
                                                           {"P", "100%"},
                                                           {"C", "file $$x $${y}"},
                                                           {"F", "q # r"},
                                                           {"G", "a\nb$$"},
                                                           {"H", "plain # not a comment"},
                                                           {"M", "1\n2"},
                                                           {"A", "drop"},
                                                           {"D", "${F}"},
                                                           {"C2", "drop"}}));
    EXPECT_EQ(a.restart, model::RestartPolicy::on_failure);
    EXPECT_EQ(a.limits->nice, 2);
    EXPECT_EQ(a.limits->resources.size(), 1u);
    EXPECT_EQ(find(loaded, "b")->environment,
              (std::vector<model::Variable>{{"A", "project"}, {"P", "100%"}, {"B", "1"}}));
    EXPECT_NE(find(loaded, "c"), nullptr);
    EXPECT_EQ(loaded.configuration.instance.parallel, 3u);
    EXPECT_EQ(files.reads["/srv/shop/more/b.toml"], 1);
}

TEST(Load, UserAndSystemInstancesReadTheServicesFolder) {
    MapFiles files;
    files.files = {{"/etc/abide/services/a.toml", "[services.a]\ncommand = [\"a\"]\nuser = \"nobody\"\n"},
                   {"/etc/abide/abide.d/x.toml", "[services.a]\nessential = true\n"}};
    const LoadContext system{"/", "system", Mode::system, true};
    const Loaded loaded = load({"/etc/abide/abide.toml"}, files, system);
    ASSERT_TRUE(loaded.ok) << errors_of(loaded);
    EXPECT_TRUE(find(loaded, "a")->essential);
    EXPECT_EQ(loaded.files, (std::vector<std::string>{"/etc/abide/services/a.toml", "/etc/abide/abide.d/x.toml"}));
    const Loaded user = load({"/etc/abide/abide.toml"}, files, {"/home/u", "user", Mode::user, false});
    EXPECT_FALSE(user.ok);
}

TEST(Load, PlainTextsForAdd) {
    MapFiles files;
    const Loaded loaded =
        load_text("-", "[services.x]\ncommand = [\"x\"]\nrequires = [\"running\"]\n", files, root_context());
    ASSERT_TRUE(loaded.ok) << errors_of(loaded);
    EXPECT_EQ(find(loaded, "x")->dependencies.at(0).target, "running");
    const Loaded bad = load_text("-", "include = [\"a\"]\n[project]\nname = \"n\"\n", files, root_context());
    EXPECT_EQ(bad.diagnostics.size(), 2u) << errors_of(bad);
}

TEST(Load, WritingDefaultsDownChangesNothing) {
    const Loaded plain = load_one("[services.a]\ncommand = [\"a\"]\n");
    const Loaded written = load_one(R"([services.a]
command = ["a"]
directory = "."
kind = "service"
restart = "on-failure"
success-exit = [0]
stop = { signal = "TERM", timeout = "10s", final = "kill", scope = "all" }
restart-delay = { min = "100ms", max = "30s", factor = 2, jitter = 0.2, reset-after = "60s" }
restart-limit = { count = 10, within = "60s" }
hook-timeout = "60s"
log = "file"
sandbox = {}
limits = {}
autostart = true
essential = false
)");
    ASSERT_TRUE(plain.ok && written.ok) << errors_of(written);
    EXPECT_EQ(plain.configuration, written.configuration);
}

}  // namespace
}  // namespace abide::config
