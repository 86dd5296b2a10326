#include "relay/backlog/cursor/backlog_cursor.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::uint64_t kSlotBits = 32;
constexpr std::size_t kReasonsMax = 64;

void link_ascending(std::vector<BacklogCursor*>& list, BacklogCursor& cursor) {
  const auto by_from = [](const BacklogCursor* one, const BacklogCursor* other) {
    return one->from < other->from;
  };
  list.insert(std::upper_bound(list.begin(), list.end(), &cursor, by_from), &cursor);
}

}  // namespace

BacklogCursor* CursorGroup::whole_at(Offset at) const noexcept {
  for (BacklogCursor* const cursor : whole) {
    if (cursor->covers(at)) return cursor;
  }
  return nullptr;
}

BacklogCursor* CursorGroup::object_at(std::string_view object, Offset at) const noexcept {
  BacklogCursor* cursor = objects.find(object);
  while (cursor != nullptr && !cursor->covers(at)) cursor = objects.next(*cursor);
  return cursor;
}

BacklogCursor* CursorGroup::open_whole() const noexcept {
  return !whole.empty() && whole.back()->open() ? whole.back() : nullptr;
}

bool CursorGroup::is_paused() const noexcept {
  return std::any_of(whole.begin(), whole.end(), [](const BacklogCursor* cursor) {
    return cursor->state == CursorState::Paused && !cursor->over;
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

BacklogCursor* CursorTable::find(CursorId id) const noexcept {
  const std::size_t slot = id.value & std::numeric_limits<std::uint32_t>::max();
  BacklogCursor* const cursor = slots_[slot];
  return cursor != nullptr && cursor->id == id ? cursor : nullptr;
}

// Subscription ids hold neither `|` nor `@`; objects may hold both.
BacklogCursor* CursorTable::find_key(std::string_view key) {
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
  const auto is_it = [from](const BacklogCursor* cursor) { return cursor->from.value == from; };
  if (bar != std::string_view::npos) {
    BacklogCursor* cursor = group->objects.find(named.substr(bar + 1));
    while (cursor != nullptr && !is_it(cursor)) cursor = group->objects.next(*cursor);
    return cursor;
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

BacklogCursor& CursorTable::add(CursorGroup& group, std::unique_ptr<BacklogCursor> cursor) {
  BacklogCursor& added = *cursor;
  added.group = &group;
  const std::uint32_t slot = slots_.add(std::move(cursor));
  added.id = CursorId{(std::uint64_t{++serial_} << kSlotBits) | slot};
  if (!added.whole) {
    group.objects.insert(added);
  } else {
    link_ascending(added.replays() ? group.replays : group.whole, added);
  }
  return added;
}

void CursorTable::erase(BacklogCursor& cursor) {
  CursorGroup& group = *cursor.group;
  if (!cursor.whole) {
    group.objects.erase(cursor);
    if (cursor.over) --group.objects_over;
  } else {
    std::erase(cursor.replays() ? group.replays : group.whole, &cursor);
  }
  const std::size_t slot = cursor.id.value & std::numeric_limits<std::uint32_t>::max();
  slots_.erase(static_cast<std::uint32_t>(slot));
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
