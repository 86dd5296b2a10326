// Says how long a record would wait that is handed over now, while Kafka takes fewer than come.
//
// Why:     with more requests than Kafka takes, each one would wait behind all before it, up to its
//          time limit; a sender that can not be served in time is better told so at once.
// Owner:   PendingRecords.  Thread: shard thread; no clock: time is an argument.
// Bounds:  O(1) per call, never allocates.
//
//   wait = records without a report / reports a second, as long as reports come.
//
// Nothing is said while few records wait (idle, or a low rate over a slow network), nor when
// reports have stopped: that is a stall, judged by its length, and no request is refused for a
// shorter pause of a broker. A slow network is not overload: what the fastest of the last records
// took counts as the network, and the wait allowed grows with it. While requests are refused that
// figure would only show the queue, so from time to time less is allowed, to see what lies behind
// it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/base/clock.hpp"

namespace eventrelay::kafka {

struct PaceLimits {
  std::size_t few_records = 128;                        // that many may always wait
  Duration wait{std::chrono::milliseconds{250}};        // allowed anyway
  Duration beyond_way{std::chrono::milliseconds{200}};  // allowed beyond what the way takes
};

// Thread: shard thread.  Bounds: see above.
class QueueDelayEstimator {
 public:
  // Reports further apart than this have stopped.
  static constexpr Duration kMoving{std::chrono::milliseconds{150}};
  // How long reports are counted for one figure at least; as long as the way takes if that is more.
  static constexpr Duration kCounted{std::chrono::milliseconds{100}};
  // How often the time of the way is taken anew; its last part sees behind the own queue.
  static constexpr Duration kWindow{std::chrono::seconds{10}};
  static constexpr Duration kLess{std::chrono::milliseconds{1000}};
  static constexpr Duration kSettled{std::chrono::milliseconds{500}};

  explicit QueueDelayEstimator(PaceLimits limits) noexcept : limits_(limits) {}

  // A record was acknowledged, `took` after it was handed over; `waiting` are left.
  void on_acknowledged(TimePoint now, Duration took, std::size_t waiting) noexcept;
  // Would one more record, behind `waiting`, wait too long? `now` never goes backwards.
  [[nodiscard]] bool too_long(std::size_t waiting, TimePoint now) const noexcept;
  // A request was refused because of that.
  void on_refused(TimePoint now) noexcept {
    if (now >= window_end_ - 2 * kLess) refused_ = true;
  }

  // What the last acknowledged record took; zero at the start.
  [[nodiscard]] Duration last_took() const noexcept { return last_took_; }

 private:
  void turn(TimePoint now) noexcept;
  [[nodiscard]] Duration wait_of(std::size_t waiting) const noexcept;

  PaceLimits limits_;
  Duration last_took_{};

  // Reports while more than a few records wait; `before_`: the figure before the one under way.
  bool counting_ = false;
  std::size_t reports_ = 0;
  TimePoint since_{};
  TimePoint last_{};
  std::size_t before_reports_ = 0;
  Duration before_time_{};

  Duration way_{};
  Duration fastest_ = Duration::max();  // in this window
  TimePoint window_end_{};
  bool first_ = true;     // the first window: its fastest counts at once
  bool refused_ = false;  // somebody, just before the last part of this window
  bool settled_ = false;  // the fastest is taken behind a shorter queue
};

}  // namespace eventrelay::kafka
