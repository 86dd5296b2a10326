#include "relay/log/duplicate_window.hpp"

#include "common/base/hex.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::size_t kIdSize = 36;

}  // namespace

std::optional<EventBits> event_bits(std::string_view id) noexcept {
  if (id.size() != kIdSize) return std::nullopt;
  std::uint64_t halves[2] = {0, 0};
  std::size_t digits = 0;
  for (std::size_t i = 0; i < kIdSize; ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (id[i] != '-') return std::nullopt;
      continue;
    }
    const int value = hex_value(id[i]);
    if (value < 0) return std::nullopt;
    std::uint64_t& half = halves[digits++ / 16];
    half = half << 4U | static_cast<unsigned>(value);
  }
  return EventBits{halves[0], halves[1]};
}

// The bits are a hash already where a provider's id was given, version and variant aside; a
// sender who picks ids by hand only makes its own partition's probes longer.
std::size_t DuplicateWindow::home(const EventBits& key) noexcept {
  return static_cast<std::size_t>((key.high ^ key.low * 0x9E3779B97F4A7C15U) >> 16U) % kSlots;
}

DuplicateWindow::Verdict DuplicateWindow::note(const EventBits& key) {
  if (table_ == nullptr) table_ = std::make_unique<Table>();
  Table& table = *table_;
  for (std::size_t slot = home(key);; slot = (slot + 1) % kSlots) {
    const std::uint16_t at = table.slots[slot];
    if (at == kEmpty) break;
    if (table.ring[at] == key) return Verdict::Before;
  }
  if (table.count == kIds) {
    forget(table.next);
  } else {
    ++table.count;
  }
  std::size_t slot = home(key);
  while (table.slots[slot] != kEmpty) slot = (slot + 1) % kSlots;
  table.slots[slot] = static_cast<std::uint16_t>(table.next);
  table.ring[table.next] = key;
  table.next = (table.next + 1) % kIds;
  return Verdict::First;
}

// Takes the key at `at` out and closes the gap, so that no slot is left as a mark of a deleted key.
void DuplicateWindow::forget(std::size_t at) noexcept {
  Table& table = *table_;
  std::size_t hole = home(table.ring[at]);
  while (table.slots[hole] != at) hole = (hole + 1) % kSlots;
  table.slots[hole] = kEmpty;
  for (std::size_t slot = (hole + 1) % kSlots; table.slots[slot] != kEmpty;
       slot = (slot + 1) % kSlots) {
    // A key may fill the hole if its probe begins at or before it.
    const std::size_t wanted = home(table.ring[table.slots[slot]]);
    if ((slot - wanted) % kSlots < (slot - hole) % kSlots) continue;
    table.slots[hole] = table.slots[slot];
    table.slots[slot] = kEmpty;
    hole = slot;
  }
}

}  // namespace eventrelay::relay
