// Remembers the ids of the last events of one partition, so that a provider's retry is seen.
//
// Why:     a provider that got no answer in time sends again; both requests were stored, and the
//          subscribers want one of them.
// Owner:   Consumer, one per partition; CatchUpReader, one per partition with a backlog.
// Thread:  shard-local.
// Bounds:  kIds ids of 128 bits: 192 KiB once the first is seen, nothing before; kIdsRead ids with
//          their offsets: 64 KiB. O(1) per call, no allocation after the first.
// Errors:  none; an id that is no UUID is never remembered and never found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "common/base/ids.hpp"
#include "common/base/prefetch.hpp"
#include "relay/record/ids.hpp"

namespace eventrelay::relay {

// Of `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` in either case; nothing for any other text.
[[nodiscard]] std::optional<EventBits> event_bits(std::string_view id) noexcept;

// Thread: shard-local.  Bounds: see the head of this file.
class DuplicateWindow {
 public:
  static constexpr std::size_t kIds = 8192;      // of a log that is read once, from front to back
  static constexpr std::size_t kIdsRead = 2048;  // of one whose parts are read again
  static_assert((kIds & (kIds - 1)) == 0 && (kIdsRead & (kIdsRead - 1)) == 0);

  // With offsets a record that is read again is not taken for a repetition of itself.
  enum class Remembers : std::uint8_t { Ids, IdsAndOffsets };
  enum class Verdict : std::uint8_t { First, Before };

  explicit DuplicateWindow(Remembers what = Remembers::Ids) noexcept : what_(what) {}

  // Remembers `key` unless it is among the last ids; the oldest is forgotten for it. With offsets,
  // Before means: at a lower offset than `at`.
  [[nodiscard]] Verdict note(const EventBits& key, Offset at = Offset{0});
  // `key` is noted soon: its place is fetched into the cache meanwhile.
  void expect(const EventBits& key) const noexcept {
    if (table_ != nullptr) prefetch(&table_->slots[home(key)]);
  }
  void clear() noexcept { table_.reset(); }

 private:
  static constexpr std::uint16_t kEmpty = 0xFFFF;

  // Where a key is in the ring, and the slot its probe begins at: most other keys are told from it
  // without a look into the ring.
  struct Slot {
    std::uint16_t place = kEmpty;
    std::uint16_t home = 0;
  };

  // Open addressing with linear probing. There are twice as many slots as keys, so probes are
  // short. Bounds: `ids`.
  struct Table {
    Table(std::size_t ids, Remembers what)
        : ring(ids), offsets(what == Remembers::Ids ? 0 : ids), slots(2 * ids) {}
    std::vector<EventBits> ring;
    std::vector<Offset> offsets;  // of the first record of each, if they are remembered
    std::vector<Slot> slots;
    std::size_t next = 0;   // where the next key goes
    std::size_t count = 0;  // keys in the ring
  };

  [[nodiscard]] std::size_t home(const EventBits& key) const noexcept;
  void forget(std::size_t at) noexcept;

  Remembers what_;
  std::unique_ptr<Table> table_;
};

}  // namespace eventrelay::relay
