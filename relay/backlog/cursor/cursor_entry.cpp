#include "relay/backlog/cursor/cursor_entry.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::uint64_t kSlotBits = 32;
constexpr std::size_t kBucketsMin = 4;
constexpr std::size_t kReasonsMax = 64;

CursorEntry*& bucket_of(std::vector<CursorEntry*>& buckets, std::string_view object) {
  return buckets[std::hash<std::string_view>{}(object) & (buckets.size() - 1)];
}

void link_object(CursorGroup& group, CursorEntry& entry) {
  if (group.objects >= group.buckets.size()) {
    std::vector<CursorEntry*> larger(std::max(kBucketsMin, group.buckets.size() * 2), nullptr);
    for (CursorEntry* each : group.buckets) {
      while (each != nullptr) {
        CursorEntry* const next = each->bucket_next;
        CursorEntry*& bucket = bucket_of(larger, each->object);
        each->bucket_next = bucket;
        bucket = each;
        each = next;
      }
    }
    group.buckets = std::move(larger);
  }
  CursorEntry*& bucket = bucket_of(group.buckets, entry.object);
  entry.bucket_next = bucket;
  bucket = &entry;
  ++group.objects;
}

void unlink_object(CursorGroup& group, CursorEntry& entry) {
  CursorEntry** place = &bucket_of(group.buckets, entry.object);
  while (*place != &entry) place = &(*place)->bucket_next;
  *place = entry.bucket_next;
  --group.objects;
  if (entry.over) --group.objects_over;
}

void link_ascending(std::vector<CursorEntry*>& list, CursorEntry& entry) {
  const auto by_from = [](const CursorEntry* one, const CursorEntry* other) {
    return one->from < other->from;
  };
  list.insert(std::upper_bound(list.begin(), list.end(), &entry, by_from), &entry);
}

}  // namespace

CursorEntry* CursorGroup::whole_at(Offset at) const noexcept {
  for (CursorEntry* const entry : whole) {
    if (entry->covers(at)) return entry;
  }
  return nullptr;
}

CursorEntry* CursorGroup::object_first(std::string_view object) const noexcept {
  if (buckets.empty()) return nullptr;
  CursorEntry* entry = buckets[std::hash<std::string_view>{}(object) & (buckets.size() - 1)];
  while (entry != nullptr && entry->object != object) entry = entry->bucket_next;
  return entry;
}

CursorEntry* CursorGroup::object_next(const CursorEntry& of) const noexcept {
  CursorEntry* entry = of.bucket_next;
  while (entry != nullptr && entry->object != of.object) entry = entry->bucket_next;
  return entry;
}

CursorEntry* CursorGroup::object_at(std::string_view object, Offset at) const noexcept {
  CursorEntry* entry = object_first(object);
  while (entry != nullptr && !entry->covers(at)) entry = object_next(*entry);
  return entry;
}

CursorEntry* CursorGroup::open_whole() const noexcept {
  return !whole.empty() && whole.back()->open() ? whole.back() : nullptr;
}

bool CursorGroup::is_off() const noexcept {
  return std::any_of(whole.begin(), whole.end(), [](const CursorEntry* entry) {
    return entry->state == EntryState::Off && !entry->over;
  });
}

CursorGroup* CursorTable::find(std::string_view subscription) {
  const auto found = groups_.find(subscription);
  return found == groups_.end() ? nullptr : &found->second;
}

const CursorGroup* CursorTable::find(std::string_view subscription) const {
  const auto found = groups_.find(subscription);
  return found == groups_.end() ? nullptr : &found->second;
}

CursorEntry* CursorTable::find(EntryId id) const noexcept {
  const std::size_t slot = id.value & std::numeric_limits<std::uint32_t>::max();
  if (slot >= slots_.size()) return nullptr;
  CursorEntry* const entry = slots_[slot].get();
  return entry != nullptr && entry->id == id ? entry : nullptr;
}

// Subscription ids hold neither `|` nor `@`; objects may hold both.
CursorEntry* CursorTable::find_key(std::string_view key) {
  const std::size_t at = key.rfind('@');
  if (at == std::string_view::npos) return nullptr;
  std::int64_t from = 0;
  const char* const end = key.data() + key.size();
  const auto [rest, error] = std::from_chars(key.data() + at + 1, end, from);
  if (error != std::errc{} || rest != end) return nullptr;
  const std::string_view named = key.substr(0, at);
  const std::size_t bar = named.find('|');
  CursorGroup* const group = find(named.substr(0, bar));
  if (group == nullptr) return nullptr;
  const auto is_it = [from](const CursorEntry* entry) { return entry->from.value == from; };
  if (bar != std::string_view::npos) {
    CursorEntry* entry = group->object_first(named.substr(bar + 1));
    while (entry != nullptr && !is_it(entry)) entry = group->object_next(*entry);
    return entry;
  }
  for (const auto* list : {&group->whole, &group->replays}) {
    const auto found = std::find_if(list->begin(), list->end(), is_it);
    if (found != list->end()) return *found;
  }
  return nullptr;
}

CursorGroup& CursorTable::group(std::string_view subscription) {
  const auto found = groups_.find(subscription);
  if (found != groups_.end()) return found->second;
  CursorGroup& made = groups_[std::string(subscription)];
  made.subscription = subscription;
  return made;
}

CursorEntry& CursorTable::add(CursorGroup& group, std::unique_ptr<CursorEntry> entry) {
  std::uint32_t slot = static_cast<std::uint32_t>(slots_.size());
  if (free_.empty()) {
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  entry->id = EntryId{(std::uint64_t{++serial_} << kSlotBits) | slot};
  entry->group = &group;
  CursorEntry& added = *entry;
  slots_[slot] = std::move(entry);
  if (!added.whole) {
    link_object(group, added);
  } else {
    link_ascending(added.replays() ? group.replays : group.whole, added);
  }
  return added;
}

void CursorTable::erase(CursorEntry& entry) {
  CursorGroup& group = *entry.group;
  if (!entry.whole) {
    unlink_object(group, entry);
  } else {
    std::erase(entry.replays() ? group.replays : group.whole, &entry);
  }
  const std::size_t slot = entry.id.value & std::numeric_limits<std::uint32_t>::max();
  slots_[slot].reset();
  free_.push_back(static_cast<std::uint32_t>(slot));
  if (group.none()) groups_.erase(groups_.find(std::string_view(group.subscription)));
}

std::uint8_t CursorTable::reason(std::string_view text) {
  const auto found = std::find(reasons_.begin(), reasons_.end(), text);
  if (found != reasons_.end()) return static_cast<std::uint8_t>(found - reasons_.begin());
  if (reasons_.size() >= kReasonsMax || text.size() > 64) return 0;
  reasons_.emplace_back(text);
  return static_cast<std::uint8_t>(reasons_.size() - 1);
}

}  // namespace eventrelay::relay
