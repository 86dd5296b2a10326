// How one attempt ended, in the words that metrics, schedules and the attempts log share.
//
// Thread:  values.  Bounds: none.  Errors: none.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/observe/metrics_list.hpp"

namespace eventrelay::relay {

enum class RetryClass : std::uint8_t {
  Delivered,
  Retry,
  Gone,   // 410: the subscription ends here
  Fatal,  // a status the subscription lists as final
};

// The end of one attempt.
struct Result {
  metrics::Outcome outcome = metrics::Outcome::Ok;
  RetryClass retry = RetryClass::Delivered;
  int status = 0;                                   // 0: no answer
  std::optional<std::chrono::seconds> retry_after;  // from a 429, 502, 503 or 504
  Duration took{};                                  // set by the deliverer
  std::string_view detail{};  // the words of a library; good until the attempt's end was told
};

}  // namespace eventrelay::relay
