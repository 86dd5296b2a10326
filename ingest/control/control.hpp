// The control API as an extension of the ingest process: see control_api.hpp.
//
// Thread: control.
#pragma once

#include <memory>

#include "common/process/host_extension.hpp"

namespace eventrelay::control {

// Serves nothing unless control.enabled.
[[nodiscard]] std::unique_ptr<HostExtension> make_control();

}  // namespace eventrelay::control
