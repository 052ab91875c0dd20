// abide/api.hpp -- what of the library is to be seen from outside.
#pragma once

#define ABIDE_API __attribute__((visibility("default")))
