// Spans of one thread on their way to the exporter's: a ring that one writes and one reads.
//
// Why:     a busy thread must never wait for a collector; a queue of its own needs no lock, and
//          one that is full lets the newest go and counts it.
// Owner:   Tracing.
// Thread:  put() by the one thread it was made for, take() by the exporter's, the rest by any.
// Bounds:  kQueueMax spans, about 2 MiB when they all wait.
// Errors:  none: what finds no room is dropped.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/trace/span.hpp"

namespace eventrelay::trace {

inline constexpr std::size_t kQueueMax = 2048;
inline constexpr std::size_t kBatchMax = 512;  // spans of one request

// Thread: see the head of this file.  Bounds: likewise.
class SpanQueue {
 public:
  // `on_batch` is called by put() each time so many spans wait that they fill a batch.
  explicit SpanQueue(std::function<void()> on_batch)
      : ring_(std::make_unique<Span[]>(kQueueMax)), on_batch_(std::move(on_batch)) {}
  SpanQueue(const SpanQueue&) = delete;
  SpanQueue& operator=(const SpanQueue&) = delete;

  void put(Span span);
  // Moves the oldest behind `out`, until that has `most`.
  void take(std::vector<Span>& out, std::size_t most);

  [[nodiscard]] std::size_t size() const noexcept {
    return static_cast<std::size_t>(written_.load(std::memory_order_acquire) -
                                    read_.load(std::memory_order_acquire));
  }
  // Spans that were put, and those of them that found no room.
  [[nodiscard]] std::uint64_t ended() const noexcept {
    return written_.load(std::memory_order_relaxed) + dropped();
  }
  [[nodiscard]] std::uint64_t dropped() const noexcept {
    return dropped_.load(std::memory_order_relaxed);
  }

 private:
  std::unique_ptr<Span[]> ring_;
  std::function<void()> on_batch_;
  alignas(64) std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> dropped_{0};
  alignas(64) std::atomic<std::uint64_t> read_{0};
};

}  // namespace eventrelay::trace
