// Lets librdkafka wake a shard's loop: a pipe it writes a number into when a queue fills.
//
// Why:     the library's queues then behave like one more socket of the shard; no thread of ours
//          stands between a report and the session that waits for it.
// Owner:   a client of one shard.  Thread: shard thread; the write end is used by the library.
// Bounds:  a full pipe drops the number; a client looks at its queues from a timer as well.
// Errors:  StartError if the pipe cannot be made.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "common/http/types.hpp"

namespace eventrelay::kafka {

// Thread: shard thread.  Bounds: 1024 numbers per read.
class Wakeup {
 public:
  explicit Wakeup(Executor executor);
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;
  ~Wakeup();

  // Write end, for rd_kafka_queue_io_event_enable(); the queue must forget it before this ends.
  [[nodiscard]] int descriptor() const noexcept { return write_end_; }
  // Calls `handler(span of numbers)` once; it must keep the owner of this object alive.
  template <class Handler>
  void wait(Handler handler) {
    read_end_.async_read_some(
        asio::buffer(numbers_),
        [this, handler = std::move(handler)](ErrorCode error, std::size_t bytes) mutable {
          if (error) return;
          handler(std::span<const std::int32_t>{numbers_.data(), bytes / sizeof(std::int32_t)});
        });
  }
  void close();

 private:
  Descriptor read_end_;
  int write_end_ = -1;
  std::array<std::int32_t, 1024> numbers_{};
};

// How often a client looks at its queues though nothing has woken it.
inline constexpr std::chrono::milliseconds kTick{100};

// Gives a client its turns on the shard's loop: `on_numbers(span)` when the library has woken it,
// `tick()` every `tick_interval()`. `Client` derives from this and befriends it; what waits keeps
// it alive. Thread: shard thread.
template <class Client>
class ClientTurns : public std::enable_shared_from_this<Client> {
 public:
  void begin() {
    wait_wakeup();
    wait_tick();
  }

 protected:
  explicit ClientTurns(Executor executor) : wakeup_(executor), timer_(executor) {}
  ~ClientTurns() = default;

  // No turn comes any more.
  void stop_turns() {
    stopped_ = true;
    timer_.cancel();
  }
  // The tick that waits ends and runs.
  void tick_now() { timer_.expires_after(std::chrono::milliseconds{0}); }
  [[nodiscard]] bool stopped() const noexcept { return stopped_; }
  [[nodiscard]] Wakeup& wakeup() noexcept { return wakeup_; }

 private:
  void wait_wakeup() {
    wakeup_.wait([self = this->shared_from_this()](std::span<const std::int32_t> numbers) {
      if (self->stopped()) return;
      self->on_numbers(numbers);
      if (!self->stopped()) self->wait_wakeup();
    });
  }
  void wait_tick() {
    timer_.expires_after(static_cast<Client*>(this)->tick_interval());
    timer_.async_wait([self = this->shared_from_this()](ErrorCode) {
      if (self->stopped()) return;
      self->tick();
      if (!self->stopped()) self->wait_tick();
    });
  }

  Wakeup wakeup_;
  Timer timer_;
  bool stopped_ = false;
};

}  // namespace eventrelay::kafka
