// Which instance is meant, and where: the table of docs/reference.md, and what must not be trusted.
#include "cli/places.hpp"

#include "unit/cli/scratch.hpp"

namespace abide::cli {
namespace {

class PlacesTest : public Scratch {
  protected:
    Surroundings around(const std::string& current) const {
        Surroundings out;
        out.uid = ::geteuid();
        out.current_directory = current;
        out.home = root + "/home";
        out.run = root + "/run";
        out.tmp = root + "/tmp";
        out.etc = root + "/etc";
        out.var = root + "/var";
        return out;
    }
};

TEST_F(PlacesTest, NearestProjectUpward) {
    file("/p/abide.toml");
    const std::string deep = folder("/p/a/b");
    const auto places = find_places({}, around(deep));
    ASSERT_TRUE(places) << places.error().what;
    EXPECT_EQ(places->mode, config::Mode::project);
    EXPECT_EQ(places->directory, root + "/p");
    EXPECT_EQ(places->configuration, root + "/p/abide.toml");
    EXPECT_EQ(places->log, root + "/p/.abide/log");
    EXPECT_EQ(places->apps, root + "/p/.abide/apps");
    EXPECT_EQ(places->name, "p");
    EXPECT_TRUE(places->runtime.starts_with(base_folder(around(deep)) + "/projects/p-")) << places->runtime;
    EXPECT_EQ(places->control, places->runtime + "/control");

    const auto again = find_places({.directory = root + "/p"}, around("/"));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->runtime, places->runtime);
    file("/q/p/abide.toml");
    const auto other = find_places({.directory = root + "/q/p"}, around("/"));
    ASSERT_TRUE(other);
    EXPECT_EQ(other->name, "p");
    EXPECT_NE(other->runtime, places->runtime);
}

TEST_F(PlacesTest, TheSameProjectThroughASymbolicLink) {
    file("/p/abide.toml");
    std::filesystem::create_directory_symlink(root + "/p", root + "/link");
    EXPECT_EQ(find_places({.directory = root + "/link"}, around("/"))->runtime,
              find_places({.directory = root + "/p"}, around("/"))->runtime);
}

TEST_F(PlacesTest, UserAndSystem) {
    const auto user = find_places({.user = true}, around("/"));
    ASSERT_TRUE(user);
    EXPECT_EQ(user->configuration, root + "/home/.config/abide/abide.toml");
    EXPECT_EQ(user->log, root + "/home/.local/state/abide/log");
    const auto system = find_places({.system = true}, around("/"));
    ASSERT_TRUE(system);
    EXPECT_EQ(system->configuration, root + "/etc/abide/abide.toml");
    EXPECT_EQ(system->runtime, root + "/run/abide");
    EXPECT_EQ(system->log, root + "/var/log/abide");
    EXPECT_NE(user->control, system->control);

    EXPECT_EQ(find_places({.user = true, .system = true}, around("/")).error().kind, ErrorKind::usage);
    EXPECT_EQ(find_places({.directory = root + "/none"}, around("/")).error().kind, ErrorKind::usage);
    EXPECT_EQ(find_places({.directory = file("/plain")}, around("/")).error().kind, ErrorKind::usage);
}

TEST_F(PlacesTest, WithoutAProject) {
    const std::string here = folder("/empty");
    EXPECT_EQ(find_places({.must_exist = true}, around(here)).error().kind, ErrorKind::usage);
    const auto fallback = find_places({}, around(here));
    ASSERT_TRUE(fallback);
    EXPECT_EQ(fallback->mode, ::geteuid() == 0 ? config::Mode::system : config::Mode::user);
}

TEST_F(PlacesTest, WhatOthersCouldHavePlantedIsRefusedUnlessNamed) {
    struct Case {
        const char* name;
        mode_t file_mode, folder_mode, above_mode;
        bool trusted;
    };
    for (const Case& one :
         {Case{"fine", 0644, 0755, 0755, true}, Case{"private", 0600, 0700, 0700, true},
          Case{"file-group", 0664, 0755, 0755, false}, Case{"file-others", 0646, 0755, 0755, false},
          Case{"folder-group", 0644, 0775, 0755, false}, Case{"folder-others", 0644, 0757, 0755, false},
          Case{"folder-sticky", 0644, 01777, 0755, false}, Case{"above-others", 0644, 0755, 0777, false},
          Case{"above-sticky", 0644, 0755, 01777, true}}) {
        const std::string above = std::string("/") + one.name;
        file(above + "/p/abide.toml", "", one.file_mode);
        folder(above + "/p", one.folder_mode);
        folder(above, one.above_mode);
        const auto found = find_places({}, around(root + above + "/p"));
        EXPECT_EQ(found.has_value(), one.trusted) << one.name;
        if (!found) {
            EXPECT_EQ(found.error().kind, ErrorKind::refused);
            EXPECT_NE(found.error().advice.find("-C"), std::string::npos);
        }
        EXPECT_TRUE(find_places({.directory = root + above + "/p"}, around("/")).has_value()) << one.name;
    }
    if (::geteuid() == 0) {
        ASSERT_EQ(::chown(file("/foreign/abide.toml").c_str(), 12345, 12345), 0);
        EXPECT_EQ(find_places({}, around(root + "/foreign")).error().kind, ErrorKind::refused);
    }
    file("/real/abide.toml");
    folder("/linked");
    std::filesystem::create_symlink(root + "/real/abide.toml", root + "/linked/abide.toml");
    EXPECT_EQ(find_places({}, around(root + "/linked")).error().kind, ErrorKind::refused);
}

TEST_F(PlacesTest, BaseIsChosenByTheUserNotByTheShell) {
    Surroundings plain = around("/");
    plain.uid = 0;
    EXPECT_EQ(base_folder(plain), root + "/run/abide");
    plain.uid = ::geteuid() == 0 ? 4321 : ::geteuid();
    const std::string number = std::to_string(plain.uid);
    EXPECT_EQ(base_folder(plain), root + "/tmp/abide-" + number);
    const std::string own = folder("/run/user/" + number, 0700);
    if (::geteuid() == 0) {
        EXPECT_EQ(base_folder(plain), root + "/tmp/abide-" + number) << "the folder of somebody else";
        ASSERT_EQ(::chown(own.c_str(), plain.uid, plain.uid), 0);
    }
    EXPECT_EQ(base_folder(plain), own + "/abide");
    folder("/run/user/" + number, 0755);
    EXPECT_EQ(base_folder(plain), root + "/tmp/abide-" + number) << "not private";
}

TEST_F(PlacesTest, RuntimeElsewhereIsFoundByEveryShell) {
    file("/p/abide.toml");
    auto usual = find_places({.directory = root + "/p"}, around("/"));
    ASSERT_TRUE(usual);
    const auto given = find_places({.directory = root + "/p", .runtime = "rt"}, around("/x"));
    EXPECT_EQ(given->runtime, "/x/rt");
    EXPECT_EQ(given->control, "/x/rt/control");
    EXPECT_EQ(given->record, usual->record);

    std::filesystem::create_directories(usual->record);
    std::ofstream(usual->location_file()) << "/elsewhere/rt\n";
    const auto found = find_places({.directory = root + "/p"}, around("/"));
    EXPECT_EQ(found->runtime, "/elsewhere/rt");
    EXPECT_EQ(found->control, "/elsewhere/rt/control");
    EXPECT_EQ(found->lock_file(), usual->record + "/lock");
}

TEST_F(PlacesTest, SocketOfTheEnvironmentWins) {
    file("/p/abide.toml");
    Surroundings shell = around(root + "/p");
    shell.socket = "/some/control";
    const auto places = find_places({}, shell);
    ASSERT_TRUE(places);
    EXPECT_EQ(places->control, "/some/control");
    EXPECT_TRUE(places->forced_socket);
    file("/unsafe/abide.toml", "", 0666);
    shell.current_directory = root + "/unsafe";
    EXPECT_EQ(find_places({}, shell)->control, "/some/control");
}

}  // namespace
}  // namespace abide::cli
