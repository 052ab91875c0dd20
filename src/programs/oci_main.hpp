// programs/oci_main.hpp -- the story of abide-oci: a container is prepared, then the runtime takes over
// (oci/helper.hpp).
#pragma once

int oci_main(int argc, char** argv);
