// Counts of events and attempts by instance and minute, as a worker writes them to `sums`.
//
//   note_*() --> notes, when many --> rows --print()--> one record of `sums`
//   one record of `sums` --read_event_sums()--> rows, to be added up
//
// Why:     how many events came and how many went is asked often and over long times; sums answer
//          that from a few small records, where the events themselves would all have to be read.
//          What is noted is entered into the rows many at a time: each row is somewhere else in
//          memory, and the core then waits for many of them at once. Most rows of many instances
//          count one event, so a row is one line of the cache until it has to count more.
// Owner:   a shard of the relay.  Thread: one owner; read_event_sums() any.
// Bounds:  kSumRowsMax rows and kNotes notes; the owner writes them out before there are more.
//          The memory of the most rows there were is kept, 64 bytes for each.
// Errors:  a value that is not ours reads as nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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
  // Some rows, at most `rows_max`:
  // {"v":1,"rows":[[instance,minute,[[second,events,delivered,failed],..],[[bucket,count],..]],..]}
  [[nodiscard]] std::string print(std::size_t rows_max);
  // Forgets as many, the same ones if nothing was noted since.
  void forget(std::size_t rows_max);

 private:
  static constexpr std::size_t kNotes = 512;
  static constexpr std::size_t kPlacesMin = 1024;

  enum class What : std::uint8_t { Received, Delivered, Failed };
  struct Note {
    InstanceId instance;
    WallTime at;
    What what;
    std::uint8_t bucket;
  };
  struct Counts {
    std::uint32_t events = 0;
    std::uint32_t delivered = 0;
    std::uint32_t failed = 0;
  };
  // What a row of an instance with much to count has.
  struct Many {
    struct Second {
      std::uint32_t second = 0;
      Counts counts;
    };
    std::vector<Second> seconds;
    LatencyCounts latency{};
  };
  // Two seconds and one bucket as a rule.
  struct alignas(64) Row {
    std::uint64_t instance = 0;
    std::uint32_t minute = 0;
    std::array<std::uint8_t, 2> seconds{};
    std::uint8_t used = 0;  // of `seconds`
    std::uint8_t bucket = 0;
    std::uint32_t in_bucket = 0;
    std::array<Counts, 2> counts;
    std::unique_ptr<Many> many;  // then it has all of the row
  };

  void note(const Note& note) {
    notes_.push_back(note);
    if (notes_.size() >= kNotes) enter();
  }
  void enter();
  [[nodiscard]] Row& row_of(InstanceId instance, std::uint32_t minute);
  void find_places();
  [[nodiscard]] static std::uint64_t hash_of(std::uint64_t instance, std::uint32_t minute) noexcept;
  [[nodiscard]] static Many& widen(Row& row);
  [[nodiscard]] static Counts& counts_in(Row& row, std::uint8_t second);
  static void count_latency(Row& row, std::uint8_t bucket);
  static void print_row(const Row& row, std::string& out);

  std::vector<Note> notes_;
  std::vector<Row> rows_;
  // Open addressing with linear probing: the number of a row and one, 0: free. At most half full.
  std::vector<std::uint32_t> places_;
  bool placed_ = false;  // they are those of the rows there are
};

[[nodiscard]] std::vector<EventSum> read_event_sums(std::string_view value);

}  // namespace eventrelay
