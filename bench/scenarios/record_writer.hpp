// Writes the records of a relay run into Kafka: all at once, or each when it is due.
//
// Why:     the relay is measured without an ingest in front of it.
// Thread:  blocks its caller.  Bounds: kInFlightMax records under way; a time limit.
// Errors:  std::runtime_error with one line.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.hpp"

namespace eventrelay::bench {

struct RecordsOptions {
  std::string kafka;
  std::string topic;
  std::uint64_t first_instance = 0;
  unsigned instances = 1;  // in turn
  std::size_t body_size = 0;
};

// Thread: one owner.  Bounds: see above.
class RecordWriter {
 public:
  explicit RecordWriter(const RecordsOptions& options);
  RecordWriter(const RecordWriter&) = delete;
  RecordWriter& operator=(const RecordWriter&) = delete;
  ~RecordWriter();

  // Writes that many more, and returns when Kafka has them.
  void write(std::uint64_t records);
  // Writes `rate` records a second for `span`, and tells when each was due.
  [[nodiscard]] std::vector<TimePoint> write_by_the_clock(double rate, Duration span);
  // Records so far; their events are numbered from 0.
  [[nodiscard]] std::uint64_t written() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace eventrelay::bench
