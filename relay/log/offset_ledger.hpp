// Turns out-of-order completions into the one offset of a partition that is safe to commit.
//
// Why:     deliveries end in any order, Kafka knows one number per partition. Completed ranges
//          above that number travel in the commit metadata, so a restart repeats only what was
//          really unfinished.
// Owner:   the shard; one ledger per partition, kept over assignments.
// Thread:  shard-local; no locks, no atomics.
// Bounds:  one bit per offset of the span, allocated once; O(1) amortised per call.
// Errors:  none; metadata that does not parse is ignored, it only saves work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.hpp"
#include "relay/record/ids.hpp"

namespace eventrelay::relay {

// Bounds: memory is span_max / 8 bytes per partition.
struct LedgerBounds {
  std::uint32_t count_max = 4096;    // unfinished events; a larger value repeats more after a kill
  std::uint32_t span_max = 1 << 16;  // offsets from the oldest unfinished one; a power of two
};

// Invariant: committable() never passes an offset that was begun and not finished.
// Thread: shard-local.  Bounds: LedgerBounds; then begin() refuses.
class OffsetLedger {
 public:
  enum class Begin : std::uint8_t {
    Started,      // take the event; finish() is due for it
    AlreadyDone,  // finished before the restart: skip it, nothing is due
    Full,         // the window is full: hold the partition back and ask again
    Backwards,    // at or below an offset seen in this assignment: the log was cut or read again
  };

  explicit OffsetLedger(const LedgerBounds& bounds = {});

  // Starts an assignment at the committed offset (nothing: never committed). What was unfinished
  // is forgotten, and completions of former epochs are ignored from now on.
  Epoch assign(std::optional<Offset> committed);
  // Reads back what encode_ranges() wrote, after assign() and before the first begin(). Returns
  // the number of offsets known to be done; 0 if the text is not ours.
  std::uint64_t restore(std::string_view metadata);

  // Offsets rise, with gaps where the log has them (compaction, transactions).
  [[nodiscard]] Begin begin(Offset offset);
  // False: the epoch is over, nothing changed. Pre: begun in this epoch and not finished.
  bool finish(Offset offset, Epoch epoch);

  // The offset to commit: every event below it is finished. Nothing: nothing is known yet.
  [[nodiscard]] std::optional<Offset> committable() const;
  // What is finished above committable(), as ASCII run lengths `1:<unfinished>,<finished>,...` from
  // committable() on; runs that do not fit are left out from the far end. Empty: nothing is.
  [[nodiscard]] std::string encode_ranges(std::size_t max_bytes = 4096) const;

  [[nodiscard]] std::uint32_t in_flight() const noexcept { return open_count_; }
  [[nodiscard]] Epoch epoch() const noexcept { return epoch_; }

 private:
  // Offsets first..last, both inside.
  struct Range {
    std::int64_t first;
    std::int64_t last;
  };

  [[nodiscard]] bool is_open(std::int64_t offset) const noexcept;
  // First offset in [from, next_) whose open bit is `wanted`, else next_.
  [[nodiscard]] std::int64_t scan(std::int64_t from, bool wanted) const noexcept;

  LedgerBounds bounds_;
  std::vector<std::uint64_t> open_;  // ring: bit (offset mod span) = begun and not finished
  std::vector<Range> restored_;      // ascending; those from restored_at_ on are still ahead
  std::size_t restored_at_ = 0;
  std::int64_t first_open_ = 0;  // the oldest unfinished offset, or next_
  std::int64_t next_ = 0;        // one past the highest offset seen
  std::uint32_t open_count_ = 0;
  Epoch epoch_ = 0;
  bool known_ = false;  // next_ means something
  bool begun_ = false;  // an offset was seen in this assignment
};

}  // namespace eventrelay::relay
