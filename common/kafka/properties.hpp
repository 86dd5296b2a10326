// Is a librdkafka property known, its value possible, and does it leave our promises alone?
//
// Why:     a wrong property is a finding of the configuration, with its line, not a failed start.
// Thread:  any.  Bounds: one settings object per call; start and reload only.
// Errors:  the problem as text, empty when there is none; a secret's value is never part of it.
#pragma once

#include <string>

#include "common/config/config_schema.hpp"

namespace eventrelay::kafka {

[[nodiscard]] std::string property_problem(const std::string& key, const config::OpenValue& value);

}  // namespace eventrelay::kafka
