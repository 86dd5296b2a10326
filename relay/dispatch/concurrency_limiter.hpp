// Decides who may take one of the shard's slots: the last of them are kept for responsive queues.
//
// Why:     an attempt that hangs holds its slot until its time-out, and any number of endpoints may
//          hang at once; responsive queues must never wait for those.
// Owner:   the scheduler.  Thread: shard-local; time is an argument.
// Bounds:  O(1) per call, no allocation; a queue that answers is looked at every kSilence / 2.
// Errors:  none.
//
//   the queue                                   may begin one more attempt while
//   answers, has fewer than kFew in flight      a slot is free
//   answers, has more                           fewer than 7/8 of all slots are taken
//   answers, but is fed by a catch-up read      fewer than 6/8 of all slots are taken
//   was never called, has none in flight        ... and the unresponsive ones hold less than 6/8
//   is unresponsive, has none in flight         ... and the unresponsive ones hold less than 5/8
//   is unresponsive, has some                   ... and the unresponsive ones hold less than 4/8
//
// A queue is unresponsive until its first answer, from an attempt that fails, and once it has had
// no answer for kSilence with something in flight; an answer ends it. A shard of fewer than eight
// slots keeps none. First attempts are told apart while some of them are answered: then those that
// wait for a slot get it soon, and what is read ahead for them would only lie in memory.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "relay/dispatch/subscription_queue.hpp"

namespace eventrelay::relay {

// What a failed attempt says about its endpoint: Answered is a no that came from a live one.
enum class Answer : std::uint8_t { Failed, Answered };

// Thread: shard-local.  Bounds: see the head of this file.
class ConcurrencyLimiter {
 public:
  static constexpr Duration kSilence{std::chrono::milliseconds{500}};
  // First attempts are answered for so long after one was.
  static constexpr Duration kNewHeard{std::chrono::milliseconds{100}};
  static constexpr std::uint32_t kFew = 4;

  explicit ConcurrencyLimiter(std::uint32_t max);

  // May it begin an attempt? If not it waits here for next() or the end of one of its own.
  // Pre: it is in no list.
  [[nodiscard]] bool admits(SubscriptionQueue& queue) noexcept {
    return in_flight_ < plenty_ || admits_of_few(queue);
  }
  // The same, of any queue.
  [[nodiscard]] bool has_slot(const SubscriptionQueue& queue) const noexcept {
    return in_flight_ < plenty_ || has_room(claim_of(queue));
  }
  void begin(SubscriptionQueue& queue, TimePoint now) noexcept {
    ++in_flight_;
    if (queue.in_flight++ == 0) queue.heard = now;
    if (queue.unresponsive) {
      ++unresponsive_;
      if (!queue.tried) ++new_;
    } else if (!queue.watched) {
      watch(queue, now);
    }
  }
  // Nothing: the attempt says nothing about its endpoint. The queue does not wait any longer.
  void end(SubscriptionQueue& queue, std::optional<Answer> answer, TimePoint now) noexcept {
    --in_flight_;
    --queue.in_flight;
    if (queue.waits != SlotClaim::Few) leave(queue);
    if (!queue.unresponsive && answer == Answer::Answered) {
      queue.heard = now;
    } else {
      judge(queue, answer, now);
    }
  }
  // One that has waited and may begin now, each kind in its turn; null: none.
  [[nodiscard]] SubscriptionQueue* next() noexcept {
    return waiting_ == 0 ? nullptr : next_waiting();
  }
  // Finds queues that have become unresponsive.
  void look(TimePoint now) noexcept {
    if (new_answer_ && now - new_heard_ > kNewHeard) new_answer_ = false;
    while (!watched_.empty() && watched_.front().look_at <= now) look_at_first(now);
  }
  // Pre: nothing of it is in flight.
  void forget(SubscriptionQueue& queue) noexcept;

  [[nodiscard]] std::uint32_t in_flight() const noexcept { return in_flight_; }
  // Those of them that belong to responsive queues. First attempts count among them while such are
  // answered.
  [[nodiscard]] std::uint32_t answering() const noexcept {
    return in_flight_ - unresponsive_ + (new_answer_ ? new_ : 0);
  }
  // First attempts were answered lately.
  [[nodiscard]] bool new_ones_answer() const noexcept { return new_answer_; }
  // True while first attempts are answered and more of them wait for a slot.
  [[nodiscard]] bool new_ones_wait() const noexcept {
    return new_answer_ && !waits_[index(SlotClaim::NewFirst)].empty();
  }
  [[nodiscard]] bool all_taken() const noexcept { return in_flight_ >= max_; }
  [[nodiscard]] bool any_waits() const noexcept { return waiting_ != 0; }
  // True when responsive subscriptions are waiting for a slot.
  [[nodiscard]] bool scarce() const noexcept {
    return all_taken() || !waits_[index(SlotClaim::More)].empty();
  }
  // True when queues fed by catch-up reads are waiting for a slot.
  [[nodiscard]] bool behind_waits() const noexcept {
    return !waits_[index(SlotClaim::Behind)].empty();
  }

 private:
  using WatchList = LinkedList<SubscriptionQueue, &SubscriptionQueue::in_watched>;

  static constexpr std::size_t kClaims = 5;  // that may have to wait

  [[nodiscard]] static std::size_t index(SlotClaim claim) noexcept {
    return static_cast<std::size_t>(claim) - 1;
  }
  [[nodiscard]] static SlotClaim claim_of(const SubscriptionQueue& queue) noexcept;
  [[nodiscard]] bool has_room(SlotClaim claim) const noexcept;
  [[nodiscard]] bool admits_of_few(SubscriptionQueue& queue) noexcept;
  [[nodiscard]] SubscriptionQueue* next_waiting() noexcept;
  void look_at_first(TimePoint now) noexcept;
  void judge(SubscriptionQueue& queue, std::optional<Answer> answer, TimePoint now) noexcept;
  void wait(SubscriptionQueue& queue, SlotClaim claim) noexcept;
  void leave(SubscriptionQueue& queue) noexcept;
  void watch(SubscriptionQueue& queue, TimePoint now) noexcept;

  std::uint32_t max_;
  std::uint32_t eighth_;
  std::uint32_t plenty_;  // while fewer are in flight, any queue that asks gets a slot
  std::uint32_t in_flight_ = 0;
  std::uint32_t unresponsive_ = 0;  // in flight of queues that are unresponsive
  std::uint32_t new_ = 0;           // those of them that were never called before
  TimePoint new_heard_{};           // when a first attempt was answered
  bool new_answer_ = false;         // lately
  std::uint32_t waiting_ = 0;
  std::size_t turn_ = 0;
  std::array<QueueList, kClaims> waits_;
  WatchList watched_;  // queues that are responsive and were busy a moment ago, by when to look
};

}  // namespace eventrelay::relay
