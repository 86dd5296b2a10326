// Lets at most a given number of lines of one message pass in a second and counts the others.
//
// Why:     a thousand dead endpoints must not fill a disk, and one message must not hide another.
// Owner:   the log.
// Thread:  one at a time.
// Bounds:  kMessagesMax messages are counted apart; all others share one allowance.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"

namespace eventrelay::log {

// Thread: one at a time.  Bounds: kMessagesMax entries.
class LineLimit {
 public:
  static constexpr std::uint32_t kLinesPerSecond = 10;
  static constexpr std::size_t kMessagesMax = 512;

  // Whether a line may be written, and how many lines before it were not.
  struct Verdict {
    bool pass = false;
    std::uint64_t suppressed = 0;
  };

  // `now` never goes backwards.
  [[nodiscard]] Verdict admit(std::string_view message, TimePoint now);

 private:
  struct Entry {
    TimePoint window{};  // when its second began
    std::uint32_t lines = 0;
    std::uint64_t suppressed = 0;
  };

  [[nodiscard]] Entry& entry(std::string_view message, TimePoint now);

  std::map<std::string, Entry, std::less<>> entries_;
  Entry others_;
};

}  // namespace eventrelay::log
