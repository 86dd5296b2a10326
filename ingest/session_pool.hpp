// Every client connection of a shard, and the one timer that watches their deadlines.
//
// Why:     a timer per operation costs more than the operation at thousands of slow connections;
//          one pass over an array of times, four times a second, costs next to nothing.
// Owner:   the shard.  Thread: shard-local.
// Bounds:  `max` connections; at most kSpareSessions closed ones keep their memory for the next.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "common/base/clock.hpp"
#include "common/http/types.hpp"

namespace eventrelay::ingest {

class Session;
struct SessionEnvironment;

inline constexpr std::size_t kSpareSessions = 512;

// Thread: shard-local.  Bounds: see above.
class SessionPool {
 public:
  SessionPool(SessionEnvironment& environment, std::size_t max);
  SessionPool(const SessionPool&) = delete;
  SessionPool& operator=(const SessionPool&) = delete;
  ~SessionPool();

  [[nodiscard]] bool full() const noexcept { return open_.size() >= max_; }
  [[nodiscard]] std::size_t size() const noexcept { return open_.size(); }
  // pre: !full(). Starts to serve the client behind `socket`.
  void adopt(Socket socket);
  // The session has closed and no handler of it is under way; it may be destroyed here.
  void release(Session& session) noexcept;

  // When the sweep calls Session::on_deadline().
  void set_deadline(std::size_t place, TimePoint deadline) noexcept {
    deadlines_[place] = deadline;
  }
  // Calls on_deadline() of every session whose deadline has passed.
  void sweep(TimePoint now);
  // Closes connections on which no request is under way since `before`; all of them at the end.
  void close_idle(TimePoint before);
  void close_all();

 private:
  SessionEnvironment& environment_;
  std::size_t max_;
  std::vector<std::unique_ptr<Session>> open_;
  std::vector<TimePoint> deadlines_;  // of open_, same places
  std::vector<std::unique_ptr<Session>> spare_;
};

}  // namespace eventrelay::ingest
