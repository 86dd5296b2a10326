#include "ingest/input_buffer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/base/assert.hpp"
#include "ingest/receive.hpp"

namespace eventrelay::ingest {

namespace {

// Only the padding is cleared: the rest is written before it is read.
std::unique_ptr<char[]> padded(std::size_t capacity) {
  auto bytes = std::make_unique_for_overwrite<char[]>(capacity + kBodyPadding);
  std::memset(bytes.get() + capacity, 0, kBodyPadding);
  return bytes;
}

}  // namespace

std::unique_ptr<char[]> BlockPool::take() {
  std::unique_ptr<char[]> block = spare_.take();
  return block ? std::move(block) : padded(kBlockBytes);
}

std::span<char> InputBuffer::free_space() noexcept {
  // One padding more than the body needs: a read that ends short tells that the socket is empty,
  // and what lies behind the body is carried over by consume().
  if (large_) {
    return {large_.get() + large_received_, large_capacity_ + kBodyPadding - large_received_};
  }
  if (!block_) {
    block_ = pool_.take();
    capacity_ = kBlockBytes;
  }
  return {block_.get() + end_, capacity_ - end_};
}

void InputBuffer::commit(std::size_t bytes) noexcept {
  if (large_) {
    large_received_ += bytes;
    EVENTRELAY_ASSERT(large_received_ <= large_capacity_ + kBodyPadding);
    return;
  }
  end_ += bytes;
  EVENTRELAY_ASSERT(end_ <= capacity_);
}

std::string_view InputBuffer::unread() const noexcept {
  return {block_.get() + begin_, end_ - begin_};
}

bool InputBuffer::make_room() {
  EVENTRELAY_ASSERT(!large_);
  if (begin_ > 0) {
    std::memmove(block_.get(), block_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    return true;
  }
  if (capacity_ >= kBlockBytesMax || !units_.hold(budget_, kBlockBytesMax - kBlockBytes)) {
    return false;
  }
  move_to(padded(kBlockBytesMax), kBlockBytesMax);
  return true;
}

void InputBuffer::move_to(Bytes block, std::size_t capacity) noexcept {
  std::memcpy(block.get(), block_.get() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  block_ = std::move(block);
  capacity_ = capacity;
}

bool InputBuffer::reserve_body(std::size_t length) {
  if (!large_ && length <= capacity_ - body_at_) return true;
  if (large_ && length <= large_capacity_) return true;
  const std::size_t over = capacity_ - kBlockBytes;
  if (!units_.hold(budget_, over + length + kBodyPadding)) return false;
  Bytes larger = padded(length);
  const std::span<char> there = after_head();
  EVENTRELAY_ASSERT(there.size() <= length + kBodyPadding);
  std::memcpy(larger.get(), there.data(), there.size());
  large_received_ = there.size();
  large_capacity_ = length;
  large_ = std::move(larger);
  return true;
}

std::span<char> InputBuffer::after_head() noexcept {
  if (large_) return {large_.get(), large_received_};
  return {block_.get() + body_at_, end_ - body_at_};
}

void InputBuffer::keep_after_head(std::size_t bytes) noexcept {
  EVENTRELAY_ASSERT(bytes <= after_head().size());
  (large_ ? large_received_ : end_) = bytes + (large_ ? 0 : body_at_);
}

void InputBuffer::consume(std::size_t body_bytes) {
  if (large_) {
    const std::size_t rest = large_received_ - body_bytes;
    EVENTRELAY_ASSERT(rest <= capacity_);
    std::memcpy(block_.get(), large_.get() + body_bytes, rest);
    begin_ = 0;
    end_ = rest;
    large_.reset();
  } else {
    begin_ = body_at_ + body_bytes;
    EVENTRELAY_ASSERT(begin_ <= end_);
  }
  if (begin_ == end_) {
    give_block();
  } else if (capacity_ > kBlockBytes && end_ - begin_ <= kBlockBytes) {
    move_to(pool_.take(), kBlockBytes);
  } else if (begin_ > capacity_ / 2) {
    // No view lives now: keep the free space whole for a client that sends ahead.
    [[maybe_unused]] const bool moved = make_room();
  }
  if (units_.held() == 0) return;
  if (!units_.hold(budget_, block_ ? capacity_ - kBlockBytes : 0)) EVENTRELAY_ASSERT(false);
}

void InputBuffer::give_block() noexcept {
  if (capacity_ == kBlockBytes) pool_.give(std::move(block_));
  block_.reset();
  capacity_ = begin_ = end_ = body_at_ = 0;
}

void InputBuffer::clear() noexcept {
  give_block();
  large_.reset();
  large_received_ = large_capacity_ = 0;
  units_.release();
}

}  // namespace eventrelay::ingest
