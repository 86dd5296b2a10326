// Counts of events and attempts by instance and minute, as a worker writes them to `sums`.
//
//   note_*() --> notes, when many --> rows --print()--> one record of `sums`
//   one record of `sums` --read_event_sums()--> rows, to be added up
//
// Why:     how many events came and how many went is asked often and over long times; sums answer
//          that from a few small records, where the events themselves would all have to be read.
//          What is noted is entered into the rows many at a time: each row is somewhere else in
//          memory, and the core then waits for many of them at once.
// Owner:   a shard of the relay.  Thread: one owner; read_event_sums() any.
// Bounds:  kSumRowsMax rows and kNotes notes; the owner writes them out before there are more.
// Errors:  a value that is not ours reads as nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/ids.hpp"

namespace eventrelay {

inline constexpr std::size_t kSumRowsMax = 4096;
// Bucket n has what took less than 2^n ms, and not less than the one before it.
inline constexpr std::size_t kLatencyBuckets = 24;
using LatencyCounts = std::array<std::uint32_t, kLatencyBuckets>;

[[nodiscard]] std::size_t latency_bucket(std::chrono::milliseconds took) noexcept;

struct EventCounts {
  std::uint64_t events = 0;     // received in that time
  std::uint64_t delivered = 0;  // attempts that were answered 2xx in that time
  std::uint64_t failed = 0;     // attempts that were not
};

// What was counted of one instance in one minute. Rows of one minute add up.
// Bounds: sixty seconds.
struct EventSum {
  struct Second {
    std::uint32_t second = 0;  // of the minute
    EventCounts counts;
  };

  std::uint64_t instance = 0;
  std::int64_t minute = 0;  // since 1970
  std::vector<Second> seconds;
  LatencyCounts latency{};  // from an event's receipt to its delivery
};

// Thread: one owner.  Bounds: see the head of this file.
class EventSums {
 public:
  void note_received(InstanceId instance, WallTime at) { note({instance, at, What::Received, 0}); }
  void note_delivered(InstanceId instance, WallTime at, std::chrono::milliseconds age) {
    note({instance, at, What::Delivered, static_cast<std::uint8_t>(latency_bucket(age))});
  }
  void note_failed(InstanceId instance, WallTime at) { note({instance, at, What::Failed, 0}); }

  [[nodiscard]] bool empty() const noexcept { return rows_.empty() && notes_.empty(); }
  [[nodiscard]] bool full() {
    enter();
    return rows_.size() >= kSumRowsMax;
  }
  // The first rows, at most `rows_max`:
  // {"v":1,"rows":[[instance,minute,[[second,events,delivered,failed],..],[[bucket,count],..]],..]}
  [[nodiscard]] std::string print(std::size_t rows_max);
  // Forgets as many, the same ones if nothing was noted since.
  void forget(std::size_t rows_max);

 private:
  struct Key {
    std::uint64_t instance = 0;
    std::int64_t minute = 0;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept;
  };

  static constexpr std::size_t kNotes = 512;

  enum class What : std::uint8_t { Received, Delivered, Failed };
  struct Note {
    InstanceId instance;
    WallTime at;
    What what;
    std::uint8_t bucket;
  };

  void note(const Note& note) {
    notes_.push_back(note);
    if (notes_.size() >= kNotes) enter();
  }
  void enter();
  EventSum& row_of(InstanceId instance, std::int64_t minute);

  std::vector<Note> notes_;
  std::unordered_map<Key, EventSum, KeyHash> rows_;
  EventSum* last_ = nullptr;  // events of one instance often come one after the other
};

[[nodiscard]] std::vector<EventSum> read_event_sums(std::string_view value);

}  // namespace eventrelay
