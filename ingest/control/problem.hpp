// What an API call is answered when it is not done.
//
// Thread: value.  Bounds: one line of text.
#pragma once

#include <string>
#include <utility>

#include "common/base/expected.hpp"

namespace eventrelay::control {

// `message` begins with the name of the field where one is to blame.
struct Problem {
  unsigned status = 400;
  std::string message;
  std::string provider_message;  // the provider's own words; empty: none
  unsigned retry_after = 0;      // seconds; 0: no such header
};

template <class Value>
using Result = Expected<Value, Problem>;

[[nodiscard]] inline Unexpected<Problem> refuse(unsigned status, std::string message) {
  return Unexpected<Problem>(Problem{status, std::move(message), {}, 0});
}
[[nodiscard]] inline Unexpected<Problem> refuse(Problem problem) {
  return Unexpected<Problem>(std::move(problem));
}

}  // namespace eventrelay::control
