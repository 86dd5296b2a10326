// How long a topic keeps its records, as its broker says.
//
// Why:     a backlog must be moved to the dead letters before the log forgets it.
// Thread:  control thread, at start only; blocks.  Bounds: one request, five seconds.
// Errors:  nothing, with a line in the log: the broker does not say, or keeps for ever.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "common/config/config.hpp"

namespace eventrelay::kafka {

[[nodiscard]] std::optional<std::chrono::milliseconds> retention_of(const KafkaConfig& config,
                                                                    const std::string& topic);

}  // namespace eventrelay::kafka
