// Every client connection of a shard, and the one timer that watches their deadlines.
//
// Why:     a timer per operation costs more than the operation at thousands of slow connections;
//          one pass over an array of times, four times a second, costs next to nothing.
// Owner:   the shard.  Thread: shard-local.
// Bounds:  SessionPoolLimits; at most kSpareSessions closed ones keep their memory for the next.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/pool.hpp"
#include "common/http/types.hpp"

namespace eventrelay::ingest {

class Session;
struct SessionEnvironment;

inline constexpr std::size_t kSpareSessions = 512;
// What a TLS handshake takes until it is over: the library's state and four buffers of 17 KiB.
inline constexpr std::size_t kHandshakeBytes = 96U << 10;

struct SessionPoolLimits {
  std::size_t connections = 65'536;  // of the process
  // Of the shard. One more cuts the oldest of the address with most of them: a genuine client dials
  // again, and one address does not keep the others out.
  std::size_t handshakes = 1024;
  // Open connections of the process, counted by all shards; null: the pool counts its own.
  std::shared_ptr<std::atomic<std::size_t>> open{};
};

// Thread: shard-local.  Bounds: see above.
class SessionPool {
 public:
  SessionPool(SessionEnvironment& environment, SessionPoolLimits limits);
  SessionPool(const SessionPool&) = delete;
  SessionPool& operator=(const SessionPool&) = delete;
  ~SessionPool();

  [[nodiscard]] bool full() const noexcept {
    return limits_.open->load(std::memory_order_relaxed) >= limits_.connections;
  }
  [[nodiscard]] std::size_t size() const noexcept { return open_.size(); }
  [[nodiscard]] std::size_t handshakes() const noexcept { return handshakes_.size(); }
  // Clients that were given up for an exception, and handshakes cut for another.
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }
  [[nodiscard]] std::uint64_t handshakes_cut() const noexcept { return handshakes_cut_; }
  // Starts to serve the client behind `socket`. What it throws has cost that client alone.
  void adopt(Socket socket);
  // Counts a handshake, cutting another if there are too many; false: no memory for it.
  [[nodiscard]] bool begin_handshake(Session& session);
  void end_handshake(Session& session) noexcept;
  // An exception has ended a session; logs it, if it can.
  void note_failure(std::string_view what) noexcept;
  // True once after many handshakes have come and gone: their memory may go back to the system.
  [[nodiscard]] bool wants_trim() noexcept;
  // Calls Session::read_now() behind what the loop has to do already: that is, as a rule, to answer
  // others. A read that begins sooner finds nothing yet, which costs a system call.
  void read_later(Session& session);
  // The session has closed and no handler of it is under way; it may be destroyed here.
  void release(Session& session) noexcept;

  // When check_deadlines() calls Session::on_deadline().
  void set_deadline(std::size_t place, TimePoint deadline) noexcept {
    deadlines_[place] = deadline;
  }
  // Calls on_deadline() of every session whose deadline has passed.
  void check_deadlines(TimePoint now);
  // Closes connections on which no request is under way since `before`; all of them at the end.
  void close_idle(TimePoint before);
  void close_all();

 private:
  void cut_a_handshake();
  void begin_reads() noexcept;

  SessionEnvironment& environment_;
  SessionPoolLimits limits_;
  std::vector<Session*> handshakes_;  // the oldest first
  std::uint64_t handshakes_cut_ = 0;
  std::uint64_t failures_ = 0;
  std::size_t ended_handshakes_ = 0;  // since the last trim
  std::vector<std::unique_ptr<Session>> open_;
  std::vector<TimePoint> deadlines_;  // of open_, same places
  std::vector<Session*> readers_;     // that read later
  std::vector<Session*> reading_;     // that read now; here, so that its memory stays
  Spares<Session> spare_;
};

}  // namespace eventrelay::ingest
