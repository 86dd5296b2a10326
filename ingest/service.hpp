// The ingest tier as a service: shards, their listeners, and the order of a drain.
//
// Thread:  control thread; see Service.  Bounds: one shard per core unless configured.
#pragma once

#include <memory>

#include "common/runtime.hpp"

namespace eventrelay::ingest {

[[nodiscard]] std::unique_ptr<Service> make_service();

}  // namespace eventrelay::ingest
