// The rows of the control plane: who may call, master keys, and where providers live.
//
// Thread:  immutable once built.  Bounds: in each row.
#pragma once

#include <string>
#include <string_view>

#include "common/config/config_schema.hpp"

namespace eventrelay::config {

[[nodiscard]] const Schema& control_schema();    // owner: ControlConfig
[[nodiscard]] const Schema& seal_schema();       // owner: SealConfig
[[nodiscard]] const Schema& providers_schema();  // owner: ProvidersConfig

// Empty if `text` is scheme, host and port and no more (or empty); else what is wrong.
[[nodiscard]] std::string origin_problem(std::string_view text);

}  // namespace eventrelay::config
