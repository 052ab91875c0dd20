// programs/oci_main.cc -- see oci_main.hpp.
#include "programs/oci_main.hpp"

#include <string>
#include <vector>

#include "oci/helper.hpp"

int oci_main(int argc, char** argv) {
    return abide::oci::helper(std::vector<std::string>(argv, argv + argc));
}
