// programs/main.cc -- one static program, several roles: the name it is called by says which.
#include <string_view>

#include "base/text.hpp"
#include "kernel/memory.hpp"
#include "manager/witness.hpp"
#include "programs/cli_main.hpp"
#include "programs/logger_main.hpp"
#include "programs/manager_main.hpp"
#include "programs/oci_main.hpp"

namespace {

// Before the first of our own objects is made; a role may choose another end later.  What comes still earlier is the C
// library's, which ends as it likes.
[[gnu::constructor(101)]] void begin() {
    abide::kernel::exit_without_memory("abide");
}

}  // namespace

int main(int argc, char** argv) {
    using namespace abide;
    const std::string_view name = argc > 0 ? last_component(argv[0]) : std::string_view{};
    if (name == "abide-manager") return manager_main(argc, argv);
    if (name == manager::kWitnessName) return manager::run_witness(argc, argv);
    if (name == "abide-logger") return logger_main(argc, argv);
    if (name == "abide-oci") return oci_main(argc, argv);
    return cli_main(argc, argv);
}
