// Lets one commit be on its way at a time.
//
// Why:     the library sends a refused commit again by itself, and keeps one while it looks for the
//          coordinator: of two on their way the older may arrive last, and the position goes back.
// Owner:   the client that commits.  Thread: as its client; time is an argument.
// Bounds:  fixed size.
#pragma once

#include <algorithm>
#include <chrono>

#include "common/base/clock.hpp"

namespace eventrelay::kafka {

// Thread: as its client.  Bounds: fixed size.
class CommitGate {
 public:
  // The library gives a request up after socket.timeout.ms (60 s), and one without a coordinator
  // after session.timeout.ms (45 s): an answer later than this does not come.
  static constexpr Duration kOverdue = std::chrono::seconds{75};

  [[nodiscard]] bool busy(TimePoint now) const noexcept {
    return on_their_way_ > 0 && now - sent_at_ < kOverdue;
  }
  void sent(TimePoint now) noexcept {
    ++on_their_way_;
    overtaking_ = overtaking_ || on_their_way_ > 1;
    sent_at_ = now;
  }
  // True: the last of several that were on their way together; say every position again, because
  // an older one may have been the last to arrive.
  [[nodiscard]] bool answered() noexcept {
    on_their_way_ = std::max(0, on_their_way_ - 1);
    if (on_their_way_ > 0 || !overtaking_) return false;
    overtaking_ = false;
    return true;
  }

 private:
  int on_their_way_ = 0;
  bool overtaking_ = false;
  TimePoint sent_at_{};
};

}  // namespace eventrelay::kafka
