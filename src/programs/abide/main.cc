// programs/abide/main.cc -- the small program: anchor, container init, or a door to abide-manager, by the words it is
// given.
#include <initializer_list>

#include "anchor/run.hpp"
#include "anchor/text.hpp"
#include "protocol/anchor.hpp"

namespace abide {
namespace {

constexpr std::size_t kLongestPath = 4096;
constexpr int kNotFound = 127;

// Where this program lies, up to and with the last slash; 0 bytes if it can't be found out.
std::size_t own_folder(const Launch& launch, char (&path)[kLongestPath]) {
    long length = sys::readlink("/proc/self/exe", path, sizeof path);
    if (length <= 0 && launch.executable != nullptr) {  // no /proc: as the caller named us
        length = long(strlen(launch.executable));
        if (length >= long(sizeof path)) return 0;
        memcpy(path, launch.executable, std::size_t(length));
    }
    while (length > 0 && path[length - 1] != '/') --length;
    return length > 0 ? std::size_t(length) : 0;
}

// The command line lives in abide-manager, which may need a C++ library; argv[0] stays, so it knows what it is.
int open_door(Launch& launch) {
    char path[kLongestPath];
    const std::size_t folder = own_folder(launch, path);
    long err = -ENOENT;
    for (const char* place : {"", "../libexec/abide/"}) {
        const std::size_t bytes = strlen(place);
        if (folder + bytes + sizeof anchor::kManagerName > sizeof path) break;
        memcpy(path + folder, place, bytes);
        memcpy(path + folder + bytes, anchor::kManagerName, sizeof anchor::kManagerName);
        err = sys::call(__NR_execve, sys::at(path), sys::at(launch.argv), sys::at(launch.environment));
        if (err != -ENOENT) break;
    }
    text::Line(2) << "abide: can't execute " << path << ": " << text::error_name(err)
                  << "; it belongs beside abide or in ../libexec/abide\n";
    return kNotFound;
}

}  // namespace
}  // namespace abide

int abide_main(abide::Launch& launch) {
    using namespace abide;

    // 1. A caller may give no name at all (execve with an empty argv): then this is the command line without words.
    static char own_name[] = "abide";
    static char* no_words[] = {own_name, nullptr};
    if (launch.argc == 0) launch.argv = no_words, launch.argc = 1;

    // 2. The name says which program this is to be.
    const char* name = text::base_name(launch.argv[0]);
    if (text::ends_with(name, anchor::kAnchorName)) run_anchor(launch);
    if (text::equal(name, "tini") || text::equal(name, "tini-static")) return run_init(launch, InitKind::tini);
    if (text::equal(name, "dumb-init")) return run_init(launch, InitKind::dumb_init);

    // 3. By any other name, the first word does; all but `init` is the command line's.
    if (launch.argc > 1 && text::equal(launch.argv[1], "init")) return run_init(launch, InitKind::abide);
    return open_door(launch);
}
