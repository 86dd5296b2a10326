// Remembers the ids of the last events of one partition, so that a provider's retry is seen.
//
// Why:     a provider that got no answer in time sends again; both requests were stored, and the
//          subscribers want one of them.
// Owner:   Consumer, one per partition.  Thread: shard-local.
// Bounds:  kIds ids of 128 bits: 160 KiB once the first is seen, nothing before; O(1) per call,
//          no allocation after the first.
// Errors:  none; an id that is no UUID is never remembered and never found.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace eventrelay::relay {

// The 128 bits of an event id.
struct EventBits {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const EventBits&, const EventBits&) = default;
};

// Of `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` in either case; nothing for any other text.
[[nodiscard]] std::optional<EventBits> event_bits(std::string_view id) noexcept;

// Thread: shard-local.  Bounds: see the head of this file.
class DuplicateWindow {
 public:
  static constexpr std::size_t kIds = 8192;

  enum class Verdict : std::uint8_t { First, Before };

  // Remembers `key` unless it is among the last kIds; the oldest is forgotten for it.
  [[nodiscard]] Verdict note(const EventBits& key);
  void clear() noexcept { table_.reset(); }

 private:
  static constexpr std::size_t kSlots = 2 * kIds;  // half full at most, so probes are short
  static constexpr std::uint16_t kEmpty = 0xFFFF;

  // Open addressing with linear probing; a slot holds the place of its key in the ring.
  struct Table {
    Table() { slots.fill(kEmpty); }
    std::array<EventBits, kIds> ring;
    std::array<std::uint16_t, kSlots> slots;
    std::size_t next = 0;   // where the next key goes
    std::size_t count = 0;  // keys in the ring
  };

  [[nodiscard]] static std::size_t home(const EventBits& key) noexcept;
  void forget(std::size_t at) noexcept;

  std::unique_ptr<Table> table_;
};

}  // namespace eventrelay::relay
