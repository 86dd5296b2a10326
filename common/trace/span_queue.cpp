#include "common/trace/span_queue.hpp"

#include <utility>

namespace eventrelay::trace {

void SpanQueue::put(Span span) {
  const std::uint64_t written = written_.load(std::memory_order_relaxed);
  const std::uint64_t waiting = written - read_.load(std::memory_order_acquire);
  if (waiting == kQueueMax) {
    dropped_.store(dropped() + 1, std::memory_order_relaxed);
    return;
  }
  ring_[written % kQueueMax] = std::move(span);
  written_.store(written + 1, std::memory_order_release);
  if ((waiting + 1) % kBatchMax == 0) on_batch_();
}

void SpanQueue::take(std::vector<Span>& out, std::size_t most) {
  const std::uint64_t written = written_.load(std::memory_order_acquire);
  std::uint64_t read = read_.load(std::memory_order_relaxed);
  for (; read != written && out.size() < most; ++read) {
    out.push_back(std::exchange(ring_[read % kQueueMax], Span{}));
  }
  read_.store(read, std::memory_order_release);
}

}  // namespace eventrelay::trace
