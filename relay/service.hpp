// The relay workers as a service: shards, their group members, and the order of a drain.
//
// Thread:  control thread; see Service.  Bounds: one shard per core unless configured.
#pragma once

#include <memory>

#include "common/runtime.hpp"

namespace eventrelay::relay {

[[nodiscard]] std::unique_ptr<Service> make_service();

}  // namespace eventrelay::relay
