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
std::size_t DuplicateWindow::home(const EventBits& key) const noexcept {
  return static_cast<std::size_t>((key.high ^ key.low * 0x9E3779B97F4A7C15U) >> 16U) &
         (table_->slots.size() - 1);
}

DuplicateWindow::Verdict DuplicateWindow::note(const EventBits& key, Offset at) {
  if (table_ == nullptr) {
    table_ = std::make_unique<Table>(what_ == Remembers::Ids ? kIds : kIdsRead, what_);
  }
  Table& table = *table_;
  const std::size_t mask = table.slots.size() - 1;
  const std::size_t ids = table.ring.size();
  const auto begin = static_cast<std::uint16_t>(home(key));
  for (std::size_t slot = begin;; slot = (slot + 1) & mask) {
    const Slot& known = table.slots[slot];
    if (known.place == kEmpty) break;
    if (known.home != begin || table.ring[known.place] != key) continue;
    if (what_ == Remembers::Ids || table.offsets[known.place] < at) return Verdict::Before;
    table.offsets[known.place] = at;
    return Verdict::First;
  }
  if (table.count == ids) {
    forget(table.next);
  } else {
    ++table.count;
  }
  std::size_t slot = begin;
  while (table.slots[slot].place != kEmpty) slot = (slot + 1) & mask;
  table.slots[slot] = {static_cast<std::uint16_t>(table.next), begin};
  table.ring[table.next] = key;
  if (what_ == Remembers::IdsAndOffsets) table.offsets[table.next] = at;
  table.next = (table.next + 1) % ids;
  // The place of the one that is forgotten next.
  if (table.count == ids) prefetch(&table.slots[home(table.ring[table.next])]);
  return Verdict::First;
}

// Takes the key at `at` out and closes the gap, so that no slot is left as a mark of a deleted key.
void DuplicateWindow::forget(std::size_t at) noexcept {
  Table& table = *table_;
  const std::size_t mask = table.slots.size() - 1;
  std::size_t hole = home(table.ring[at]);
  while (table.slots[hole].place != at) hole = (hole + 1) & mask;
  table.slots[hole].place = kEmpty;
  for (std::size_t slot = (hole + 1) & mask; table.slots[slot].place != kEmpty;
       slot = (slot + 1) & mask) {
    // A key may fill the hole if its probe begins at or before it.
    const std::size_t wanted = table.slots[slot].home;
    if (((slot - wanted) & mask) < ((slot - hole) & mask)) continue;
    table.slots[hole] = table.slots[slot];
    table.slots[slot].place = kEmpty;
    hole = slot;
  }
}

}  // namespace eventrelay::relay
