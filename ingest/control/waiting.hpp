// Waiting of coroutines on the control thread: for one another's turn, and for something to happen.
//
// Thread: control.  Bounds: one timer per waiter.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <utility>

#include "common/http/types.hpp"

namespace eventrelay::control {

inline constexpr auto kWaitToken = asio::as_tuple(asio::use_awaitable_t<Executor>{});

// Wakes all that wait. Thread: control.
class Signal {
 public:
  explicit Signal(Executor executor) : executor_(executor) {}

  // Returns once raise() was called, or at `limit`.
  Task<void> wait(Duration limit) {
    const auto timer = std::make_shared<Timer>(executor_);
    timer->expires_after(limit);
    waiters_.push_back(timer);
    co_await timer->async_wait(kWaitToken);
    waiters_.remove(timer);
  }
  void raise() {
    for (const auto& timer : waiters_) timer->cancel();
  }

 private:
  Executor executor_;
  std::list<std::shared_ptr<Timer>> waiters_;
};

// One holder at a time for each key, in the order of asking. Thread: control.
class KeyedLock : public std::enable_shared_from_this<KeyedLock> {
 public:
  // Ends the turn when it goes. Thread: control.
  class Turn {
   public:
    Turn() = default;
    Turn(std::shared_ptr<KeyedLock> lock, std::uint64_t key) : lock_(std::move(lock)), key_(key) {}
    Turn(Turn&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)), key_(other.key_) {}
    Turn& operator=(Turn&& other) noexcept {
      end();
      lock_ = std::exchange(other.lock_, nullptr);
      key_ = other.key_;
      return *this;
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() { end(); }
    void end() {
      if (lock_) lock_->next(key_);
      lock_.reset();
    }

   private:
    std::shared_ptr<KeyedLock> lock_;
    std::uint64_t key_ = 0;
  };

  explicit KeyedLock(Executor executor) : executor_(executor) {}

  Task<Turn> take(std::uint64_t key) {
    std::list<std::shared_ptr<Timer>>& queue = queues_[key];
    const auto timer = std::make_shared<Timer>(executor_);
    timer->expires_at(Timer::time_point::max());
    const bool first = queue.empty();
    queue.push_back(timer);
    if (!first) co_await timer->async_wait(kWaitToken);
    co_return Turn(shared_from_this(), key);
  }

 private:
  // The front of a queue is the holder.
  void next(std::uint64_t key) {
    const auto found = queues_.find(key);
    found->second.pop_front();
    if (found->second.empty()) {
      queues_.erase(found);
    } else {
      found->second.front()->cancel();
    }
  }

  Executor executor_;
  std::map<std::uint64_t, std::list<std::shared_ptr<Timer>>> queues_;
};

}  // namespace eventrelay::control
