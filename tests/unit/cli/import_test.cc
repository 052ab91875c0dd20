// Service files of others: what becomes of each key, what is only said, and that all of it can be loaded.
#include "cli/import.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "../config/files.hpp"
#include "base/limits.hpp"

namespace abide::cli {
namespace {

using Importer = Result<Imported> (*)(const std::vector<ImportSource>&);

// What is printed after the comment that names the sources; it must load.
Imported good(Importer importer, const std::vector<ImportSource>& sources) {
    const auto imported = importer(sources);
    EXPECT_TRUE(imported) << imported.error().what;
    if (!imported) return {};
    config::MapFiles files;
    const config::Loaded loaded = config::load_text("made", imported->toml, files, config::root_context());
    EXPECT_TRUE(loaded.ok) << config::errors_of(loaded) << imported->toml;
    // The same as a file, where each dependency must be there.
    const config::Loaded whole = config::load_one(imported->toml);
    EXPECT_TRUE(whole.ok) << config::errors_of(whole) << imported->toml;
    Imported out = *imported;
    const std::size_t begin = out.toml.find("\n[");
    out.toml = begin == std::string::npos ? "" : out.toml.substr(begin + 1);
    return out;
}

std::string bad(Importer importer, const std::vector<ImportSource>& sources) {
    const auto imported = importer(sources);
    EXPECT_FALSE(imported) << imported->toml;
    if (imported) return "";
    EXPECT_EQ(imported.error().kind, ErrorKind::usage);
    return imported.error().what;
}

TEST(ImportProcfile, WordsOrAShell) {
    const Imported made = good(import_procfile, {{"Procfile",
                                                  "# comment\n"
                                                  "web: bundle exec rails -p $PORT\n"
                                                  "\n"
                                                  "worker:\tpython -u  w.py 50%\n"
                                                  "log-1: A=1 ./b | c \"q\"\n"}});
    EXPECT_EQ(made.toml,
              "[services.web]\n"
              "command = [\"sh\", \"-c\", \"bundle exec rails -p $$PORT\"]\n"
              "# PORT is not set by Abide as foreman does: give it by environment = { PORT = \"...\" }\n"
              "\n[services.worker]\n"
              "command = [\"python\", \"-u\", \"w.py\", \"50%%\"]\n"
              "\n[services.log-1]\n"
              "command = [\"sh\", \"-c\", \"A=1 ./b | c \\\"q\\\"\"]\n");
    ASSERT_EQ(made.notes.size(), 1u);
    EXPECT_TRUE(made.notes[0].starts_with("Procfile:2: PORT")) << made.notes[0];
}

TEST(ImportProcfile, Errors) {
    EXPECT_EQ(bad(import_procfile, {{"P", "a: b\nnope\n"}}), "P:2: not `name: command`: \"nope\"");
    EXPECT_EQ(bad(import_procfile, {{"P", "a:\n"}}), "P:1: not `name: command`: \"a:\"");
    EXPECT_EQ(bad(import_procfile, {{"P", "_a: b\n"}}), "P:1: not a service name: \"_a\"");
    EXPECT_EQ(bad(import_procfile, {{"P", "a: b\n"}, {"Q", "a: b\n"}}), "Q:1: \"a\" is given twice");
    EXPECT_EQ(bad(import_procfile, {{"P", "a: b\nc: \x01\n"}}), "P:2: a control character");
    EXPECT_EQ(bad(import_procfile, {{"P", "a: \xff\n"}}), "P:1: not UTF-8");
    EXPECT_EQ(bad(import_procfile, {{"P", std::string(limits::kConfigFileBytes + 1, '#')}}),
              "P:1: more than 16M bytes");
}

TEST(ImportSupervisord, Defaults) {
    const Imported made = good(import_supervisord, {{"s.conf",
                                                     "[unix_http_server]\nfile=/tmp/s.sock ; comment\n"
                                                     "[program:a]\ncommand=/bin/a \"b c\" 'd\\e' 100%% ; comment\n"}});
    EXPECT_EQ(made.toml,
              "[services.a]\n"
              "command = [\"/bin/a\", \"b c\", \"d\\\\e\", \"100%%\"]\n"
              "restart = \"on-failure\"\n"
              "ready = { delay = \"1s\" }\n"
              "stop = { scope = \"main\" }\n");
    EXPECT_TRUE(made.notes.empty());
}

TEST(ImportSupervisord, EveryKeyAndAGroup) {
    const Imported made = good(import_supervisord, {{"s.conf",
                                                     "[program:a]\n"
                                                     "command: /bin/a %(ENV_HOME)s/x\n"
                                                     "  --more\n"
                                                     "directory=/tmp\nuser=www\numask=027\nautostart=false\n"
                                                     "environment=A=\"x,y\",B=%(program_name)s,C='$z'\n"
                                                     "autorestart=true\nexitcodes=0,2\nstartsecs=60\nstopsignal=QUIT\n"
                                                     "stopwaitsecs=20\nstopasgroup=true\nredirect_stderr=true\n"
                                                     "stdout_logfile_maxbytes=50MB\nstdout_logfile_backups=3\n"
                                                     "priority=9\n"
                                                     "[program:b]\ncommand=b\nautorestart=False\nstartsecs=0\n"
                                                     "killasgroup=true\nstdout_logfile=/dev/stdout\n"
                                                     "stderr_logfile=/dev/stderr\n"
                                                     "[group:g]\nprograms=a,b\n"}});
    EXPECT_EQ(made.toml,
              "[services.a]\n"
              "command = [\"/bin/a\", \"${HOME}/x\", \"--more\"]\n"
              "directory = \"/tmp\"\n"
              "user = \"www\"\n"
              "limits = { umask = \"027\" }\n"
              "autostart = false\n"
              "environment = { A = \"x,y\", B = \"a\", C = \"$$z\" }\n"
              "restart = \"always\"\n"
              "success-exit = [0, 2]\n"
              "ready = { delay = \"60s\", timeout = \"120s\" }\n"
              "stop = { signal = \"QUIT\", timeout = \"20s\", scope = \"all\" }\n"
              "log = { max-size = \"50M\", keep = 3 }\n"
              "# priority=9 is left out: Abide starts by dependencies; write `after` or `requires`\n"
              "\n[services.b]\n"
              "command = [\"b\"]\n"
              "restart = \"never\"\n"
              "stop = { scope = \"mixed\" }\n"
              "log = \"inherit\"\n"
              "\n[services.g]\n"
              "kind = \"group\"\n"
              "wants = [\"a\", \"b\"]\n");
    ASSERT_EQ(made.notes.size(), 1u);
    EXPECT_TRUE(made.notes[0].starts_with("s.conf:18: priority=9 is left out")) << made.notes[0];
}

TEST(ImportSupervisord, WhatHasNoEqualIsSaid) {
    const Imported made =
        good(import_supervisord, {{"s.conf",
                                   "[supervisord]\nenvironment=A=1\n[include]\nfiles=*.ini\n[eventlistener:e]\n"
                                   "command=x\n[program:a]\ncommand=a %(here)s\nnumprocs=2\nstartretries=5\n"
                                   "stdout_logfile=/x\n[group:g]\nprograms=a,zz\n"}});
    EXPECT_EQ(made.notes.size(), 8u);
    for (const std::string_view place : {"s.conf:2: ", "s.conf:4: ", "s.conf:5: ", "s.conf:8: ", "s.conf:9: ",
                                         "s.conf:10: ", "s.conf:11: ", "s.conf:13: "}) {
        EXPECT_TRUE(std::ranges::any_of(made.notes, [&](const std::string& n) { return n.starts_with(place); }))
            << place;
    }
}

TEST(ImportSupervisord, Errors) {
    EXPECT_EQ(bad(import_supervisord, {{"s", "a=b\n"}}), "s:1: \"a=b\" is in no section");
    EXPECT_EQ(bad(import_supervisord, {{"s", "[a]\nb\n"}}), "s:2: not KEY=VALUE: \"b\"");
    EXPECT_EQ(bad(import_supervisord, {{"s", "[a\n"}}), "s:1: a section without ]");
    EXPECT_EQ(bad(import_supervisord, {{"s", "[program:a]\nuser=b\n"}}), "s:1: program a has no command");
    EXPECT_EQ(bad(import_supervisord, {{"s", "[program:a]\ncommand=a 'b\n"}}), "s:2: a quotation without an end");
}

TEST(ImportSystemd, Defaults) {
    const Imported made = good(import_systemd, {{"/etc/x/web.service",
                                                 "[Unit]\nDescription=100%% %n\n"
                                                 "[Service]\nExecStart=/bin/web --port ${PORT} \\\n# comment\n  '%%'\n"
                                                 "[Install]\nWantedBy=multi-user.target\n"}});
    EXPECT_EQ(made.toml,
              "[services.web]\n"
              "description = \"100% web.service\"\n"
              "command = [\"/bin/web\", \"--port\", \"${PORT:-}\", \"%%\"]\n"
              "directory = \"/\"\n"
              "restart = \"never\"\n"
              "success-exit = [\"HUP\", \"INT\", \"TERM\", \"PIPE\"]\n"
              "stop = { timeout = \"1m30s\" }\n");
    EXPECT_TRUE(made.notes.empty());
}

TEST(ImportSystemd, EveryKey) {
    const Imported made =
        good(import_systemd,
             {{"web.service",
               "[Service]\nType=notify\nTimeoutStartSec=5min 20s\nEnvironmentFile=-/etc/web\n"
               "Environment=A=1 \"B=two words\" C=$x\nWorkingDirectory=/srv\nUser=www\nGroup=w\n"
               "SupplementaryGroups=a b\nExecStartPre=-/bin/mkdir /run/web\nExecStart=/bin/web $OPTS \"it's\" %%\n"
               "ExecStop=/bin/kill -QUIT $MAINPID\nExecStopPost=/bin/after\nExecReload=/bin/kill -HUP $MAINPID\n"
               "Restart=on-failure\nRestartSec=1.5\nKillSignal=SIGINT\nKillMode=mixed\nTimeoutStopSec=infinity\n"
               "WatchdogSec=30\nNice=-5\nUMask=0027\nLimitNOFILE=1024:65536\nLimitCORE=infinity\nMemoryMax=512M\n"
               "TasksMax=10\nOOMScoreAdjust=-100\nNoNewPrivileges=yes\nPrivateTmp=true\nStandardOutput=null\n"
               "SuccessExitStatus=3 SIGKILL\nRestartPreventExitStatus=7\n[Install]\nWantedBy=x.target\n"}});
    EXPECT_EQ(made.toml,
              "[services.web]\n"
              "command = [\"sh\", \"-c\", \"set -f; exec '/bin/web' $$OPTS 'it'\\\\''s' '%%'\"]\n"
              "pre-start = [[\"sh\", \"-c\", \"\\\"$$@\\\" || :\", \"sh\", \"/bin/mkdir\", \"/run/web\"]]\n"
              "post-stop = [[\"/bin/after\"]]\n"
              "hook-timeout = \"5m20s\"\n"
              "directory = \"/srv\"\n"
              "environment = { A = \"1\", B = \"two words\", C = \"$$x\" }\n"
              "environment-file = [\"-/etc/web\"]\n"
              "user = \"www\"\n"
              "group = \"w\"\n"
              "groups = [\"a\", \"b\"]\n"
              "ready = { notify = true, timeout = \"5m20s\" }\n"
              "watchdog = \"30s\"\n"
              "restart = \"on-failure\"\n"
              "success-exit = [\"HUP\", \"INT\", \"TERM\", \"PIPE\", 3, \"KILL\"]\n"
              "restart-prevent = [7]\n"
              "restart-delay = \"1s500ms\"\n"
              "restart-limit = { count = 5, within = \"10s\" }\n"
              "stop = { signal = \"INT\", command = [\"/bin/kill\", \"-QUIT\", \"${MAINPID:-}\"], final = \"never\", "
              "scope = \"mixed\" }\n"
              "reload = { signal = \"HUP\" }\n"
              "limits.nofile = { soft = 1024, hard = 65536 }\n"
              "limits.core = \"unlimited\"\n"
              "limits.memory-max = \"512M\"\n"
              "limits.pids-max = 10\n"
              "limits.nice = -5\n"
              "limits.oom-score-adjust = -100\n"
              "limits.umask = \"0027\"\n"
              "sandbox.no-new-privileges = true\n"
              "sandbox.private-tmp = true\n"
              "log = \"none\"\n");
    EXPECT_TRUE(made.notes.empty());
}

TEST(ImportSystemd, UnitsTogether) {
    const Imported made =
        good(import_systemd,
             {{"web.service",
               "[Unit]\nRequires=db.service w@1.service\nWants=migrate.service\nAfter=db.service network.target\n"
               "[Service]\nExecStart=/bin/web\n[Install]\nRequiredBy=web.target\n"},
              {"db.service",
               "[Service]\nType=forking\nPIDFile=%t/db.pid\nExecStart=/bin/db\n[Install]\nWantedBy=web.target\n"},
              {"migrate.service",
               "[Unit]\nBefore=web.service\n[Service]\nType=oneshot\nExecStart=/a ; -/b\nExecStart=-/c\n"},
              {"w@.service", "[Unit]\nDescription=w %i\nPartOf=web.target\n[Service]\nUser=%i\nExecStart=/w %i\n"},
              {"web.target", "[Unit]\nDescription=all\nBefore=db.service\n[Install]\nWantedBy=multi-user.target\n"}});
    EXPECT_EQ(made.toml,
              "[services.web]\n"
              "command = [\"/bin/web\"]\n"
              "directory = \"/\"\n"
              "# After: network.target is left out: it is not among the imported files\n"
              "requires = [\"db\", \"w@1:none\"]\n"
              "wants = [\"migrate:none\"]\n"
              "restart = \"never\"\n"
              "success-exit = [\"HUP\", \"INT\", \"TERM\", \"PIPE\"]\n"
              "stop = { timeout = \"1m30s\" }\n"
              "\n[services.db]\n"
              "command = [\"/bin/db\"]\n"
              "directory = \"/\"\n"
              "ready = { pidfile = \"/run/db.pid\", timeout = \"1m30s\" }\n"
              "restart = \"never\"\n"
              "success-exit = [\"HUP\", \"INT\", \"TERM\", \"PIPE\"]\n"
              "stop = { timeout = \"1m30s\" }\n"
              "\n[services.migrate]\n"
              "kind = \"task\"\n"
              "command = [\"sh\", \"-c\", \"\\\"$$@\\\" || :\", \"sh\", \"/c\"]\n"
              "pre-start = [[\"/a\"], [\"sh\", \"-c\", \"\\\"$$@\\\" || :\", \"sh\", \"/b\"]]\n"
              "hook-timeout = \"365d\"\n"
              "directory = \"/\"\n"
              "before = [\"web\"]\n"
              "restart = \"never\"\n"
              "stop = { timeout = \"1m30s\" }\n"
              "# Without [Install] systemd starts it only when something needs it.\n"
              "autostart = false\n"
              "\n[services.\"w@\"]\n"
              "description = \"w %i\"\n"
              "command = [\"/w\", \"%i\"]\n"
              "directory = \"/\"\n"
              "# User=%i is left out: %i has no meaning in user\n"
              "# Give it a user of its own.\n"
              "user = \"nobody\"\n"
              "part-of = [\"web.target\"]\n"
              "restart = \"never\"\n"
              "success-exit = [\"HUP\", \"INT\", \"TERM\", \"PIPE\"]\n"
              "stop = { timeout = \"1m30s\" }\n"
              "\n[services.\"web.target\"]\n"
              "kind = \"group\"\n"
              "description = \"all\"\n"
              "requires = [\"web\"]\n"
              "wants = [\"db:none\"]\n"
              "before = [\"db\"]\n");
    EXPECT_EQ(made.notes.size(), 2u);
}

TEST(ImportSystemd, WhatHasNoEqualIsSaid) {
    const Imported made =
        good(import_systemd, {{"a.service",
                               "[Unit]\nConditionPathExists=/x\nAfter=%H.service\n[Service]\nType=dbus\n"
                               "ExecStart=@+/bin/a name %h\nRestart=on-abort\nRestartSec=soon\nKillMode=none\n"
                               "LimitNOFILE=many\nProtectSystem=full\nDynamicUser=yes\nSuccessExitStatus=TEMPFAIL\n"},
                              {"a.socket", "[Socket]\nListenStream=1\n"}});
    for (const std::string_view note :
         {"a.service:2: ConditionPathExists=/x", "a.service:3: After: %H.service", "a.service:5: Type=dbus",
          "a.service:6: ExecStart: + and !", "a.service:6: ExecStart: @", "a.service:6: ExecStart: %h",
          "a.service:7: Restart=on-abort", "a.service:8: RestartSec=soon", "a.service:9: KillMode=none",
          "a.service:10: LimitNOFILE=many", "a.service:11: ProtectSystem=full", "a.service:12: DynamicUser=yes",
          "a.service:13: SuccessExitStatus: TEMPFAIL", "a.socket:1: a.socket is left out"}) {
        EXPECT_TRUE(std::ranges::any_of(made.notes, [&](const std::string& n) { return n.starts_with(note); })) << note;
    }
}

TEST(ImportSystemd, Errors) {
    EXPECT_EQ(bad(import_systemd, {{"a.service", "ExecStart=/a\n"}}), "a.service:1: \"ExecStart=/a\" is in no section");
    EXPECT_EQ(bad(import_systemd, {{"a.service", "[Service]\nx\n"}}), "a.service:2: not KEY=VALUE: \"x\"");
    EXPECT_EQ(bad(import_systemd, {{"a.service", "[Service]\nUser=x\n"}}),
              "a.service:1: no ExecStart= that can be imported");
    EXPECT_EQ(bad(import_systemd, {{"a.service", "[Service]\nExecStart=/a 'b\n"}}),
              "a.service:1: no ExecStart= that can be imported");
    EXPECT_EQ(bad(import_systemd, {{"a:b.service", "[Service]\nExecStart=/a\n"}}),
              "a:b.service:1: not a service name: \"a:b\"");
}

}  // namespace
}  // namespace abide::cli
