// Lets what the client library says pass once a minute for each thing it says.
//
// Why:     each client of the process reports a broker that does not answer, again and again.
// Owner:   the log callback.  Thread: one at a time.
// Bounds:  kTextsMax texts are known apart; then all are forgotten.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"

namespace eventrelay::kafka {

// `[thrd:NAME]: TEXT (after 3ms in state CONNECT, 2 identical error(s) suppressed)`: TEXT, which is
// the same for the same cause.
[[nodiscard]] std::string_view cause_in(std::string_view text);

// Thread: one at a time.  Bounds: kTextsMax texts.
class ClientLines {
 public:
  static constexpr std::size_t kTextsMax = 256;
  static constexpr std::chrono::seconds kSilence{60};

  // May it be written? What differs between two lines about one thing does not count: the thread
  // and the times that the library puts around its text.
  [[nodiscard]] bool admit(std::string_view facility, std::string_view text, TimePoint now);

 private:
  std::map<std::string, TimePoint, std::less<>> told_;
};

}  // namespace eventrelay::kafka
