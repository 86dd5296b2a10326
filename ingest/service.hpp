// The ingest tier as a service: shards, their listeners, and the order of a drain.
//
// Thread:  control thread; see Service.  Bounds: one shard per core unless configured.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/process/runtime.hpp"
#include "common/process/volatile_budget.hpp"

namespace eventrelay::ingest {

// `budget`, for a broker that forgets, takes the bytes of each record before it is written; refuses
// with 503; null: no such broker.
[[nodiscard]] std::unique_ptr<Service> make_service(VolatileBudget* budget = nullptr);

// What a start would refuse, one line each.
[[nodiscard]] std::vector<std::string> settings_problems(const Settings& settings);

}  // namespace eventrelay::ingest
