// One line of the attempts log: when an attempt ended, how, and what follows.
//
// Why:     an operator asks what was tried and answered for one event; a topic can tell it, so no
//          database is needed.
// Owner:   the part that writes it.  Thread: any, pure.
// Bounds:  one line of about 250 bytes; ids as they are in the event.  Errors: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "relay/dispatch/retry.hpp"
#include "relay/http/delivery.hpp"
#include "relay/record/job.hpp"

namespace eventrelay::relay {

struct AttemptLine {
  const Event& event;
  std::string_view subscription;
  std::uint32_t attempt = 1;  // its number
  Result result;
  WallTime at{};
  Step step;
};

// {"v":1,"at":<ms>,"event":"..","instance":..,"subscription":"..","attempt":2,"outcome":"http_5xx",
//  "status":503,"ms":12,"next":"done|retry|dead"
//  [,"detail":"<words of a library>"][,"due":<ms>]}
[[nodiscard]] std::string print_attempt(const AttemptLine& line);

}  // namespace eventrelay::relay
