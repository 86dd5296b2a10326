// The loop of a shard: what runs later, and what runs at a time.
//
// Why:     a shard never sleeps and never asks who runs it, so the same shard runs over Asio and in
//          virtual time.
// Owner:   ShardIo.  Thread: shard thread.
// Bounds:  one allocation at most per task; a capture of two words costs none.
// Errors:  none.
#pragma once

#include <functional>
#include <memory>

#include "common/base/clock.hpp"

namespace eventrelay::relay {

// One thing that is to run at a time. Destroying it cancels. Thread: shard thread.
class LoopTimer {
 public:
  virtual ~LoopTimer();
  // Takes the place of what was armed before; a time that has passed means as soon as possible,
  // never from within this call.
  virtual void arm(TimePoint at, std::function<void()> task) = 0;
  // What was armed does not run.
  virtual void cancel() = 0;
};

// Thread: shard thread.  Bounds: see the head of this file.
class Loop {
 public:
  virtual ~Loop();
  // Runs `task` behind what is ready now, never from within this call.
  virtual void post(std::function<void()> task) = 0;
  [[nodiscard]] virtual std::unique_ptr<LoopTimer> make_timer() = 0;
};

}  // namespace eventrelay::relay
