// The rows of sources and instances; the rest of the table is in config_schema.cpp.
//
// Thread:  immutable once built.  Bounds: in each row.
#pragma once

#include "common/config/config_schema.hpp"

namespace eventrelay::config {

[[nodiscard]] const Schema& source_schema();    // owner: SourceConfig
[[nodiscard]] const Schema& instance_schema();  // owner: InstanceConfig

}  // namespace eventrelay::config
