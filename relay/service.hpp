// The relay workers as a service: shards, their group members, and the order of a drain.
//
// Thread:  control thread; see Service.  Bounds: one shard per core unless configured.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/process/runtime.hpp"
#include "common/process/volatile_budget.hpp"

namespace eventrelay::relay {

// `budget`, for a broker that forgets, gets the bytes of each record back when it is finished;
// null: no such broker.
[[nodiscard]] std::unique_ptr<Service> make_service(VolatileBudget* budget = nullptr);

// What a start would refuse, one line each, and what it takes though nothing can be delivered.
[[nodiscard]] std::vector<std::string> settings_problems(const Settings& settings);
[[nodiscard]] std::vector<std::string> settings_warnings(const Settings& settings);

}  // namespace eventrelay::relay
