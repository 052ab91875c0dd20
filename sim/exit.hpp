// sim/exit.hpp -- how the processes of both fake kernels end.
#pragma once

#include "model/state.hpp"

namespace abide::sim {

inline model::ExitStatus code(int value) {
    return {model::ExitKind::code, value, false, {}, {}};
}
inline model::ExitStatus signal_exit(int value) {
    return {model::ExitKind::signal, value, false, {}, {}};
}

}  // namespace abide::sim
