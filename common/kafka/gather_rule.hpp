// Says when records that were handed over are sent, so that those that come together go together.
//
// Why:     Kafka and its client pay by the request, one for each partition. A record that waits for
//          others saves one; a record that waits for nobody only makes its sender wait.
// Owner:   ProducerClient.  Thread: shard thread; no clock: time is an argument.
// Bounds:  O(1) per call, never allocates.
//
// What is gathered is sent when the first of these is true:
//
//   nobody else can come    nothing is under way, and every sender waits for an answer already
//   nobody joins in time    of late so few came that a request would carry one record anyway
//   the longest wait        the first record has waited that long
#pragma once

#include <cstddef>

#include "common/base/clock.hpp"

namespace eventrelay::kafka {

// Thread: shard thread.  Bounds: see above.
class GatherRule {
 public:
  // How the records stand.
  struct View {
    std::size_t gathered = 0;
    std::size_t under_way = 0;    // sent, without a report
    std::size_t partitions = 1;   // over which they are spread
    bool others_may_come = true;  // some sender is not waiting
  };

  explicit GatherRule(Duration longest) noexcept : longest_(longest) {}

  // A record joins what is gathered.
  void on_record(bool first, TimePoint now) noexcept;
  [[nodiscard]] bool go(const View& view, TimePoint now) const noexcept;
  // Of what is gathered now.
  [[nodiscard]] TimePoint at_latest() const noexcept { return since_ + longest_; }

 private:
  [[nodiscard]] bool few(std::size_t partitions) const noexcept;

  const Duration longest_;
  TimePoint since_{};        // when the first that is gathered came
  TimePoint window_from_{};  // records are counted for the longest wait, again and again
  std::size_t in_window_ = 0;
  std::size_t in_last_ = 0;  // window
};

}  // namespace eventrelay::kafka
