#include "relay/backlog/state_follower.hpp"

#include <algorithm>
#include <utility>

namespace eventrelay::relay {

namespace {

constexpr std::uint64_t kMarkToken = 0;  // nobody waits for one

}  // namespace

Expected<StateFollower::Verdict, StateError> StateFollower::take(std::string_view key,
                                                                 std::string_view value) {
  if (table_ != nullptr) {
    if (const auto taken = table_->take(key, value); !taken) {
      return Unexpected<StateError>(taken.error());
    }
  }
  if (key == kOwnerKey) {
    if (value.empty()) return Verdict::Fine;
    const auto mark = decode_owner(value);
    if (!mark) return Unexpected<StateError>(mark.error());
    return take_mark(*mark);
  }
  if (cursors_ == nullptr) {
    highest_ = table_->epoch();
    return stands_ && highest_ > epoch_ ? lose() : Verdict::Fine;
  }
  if (value.empty()) return follow(key, std::nullopt);
  const auto record = decode_state(value);
  if (!record) return Unexpected<StateError>(record.error());
  const bool ours = owns_ && record->epoch == epoch_;
  return ours ? note_read(key, value) : follow(key, record->epoch);
}

// Of two marks of one epoch the first counts, for everybody who reads the log.
StateFollower::Verdict StateFollower::take_mark(const OwnerRecord& mark) {
  const bool counts = mark.epoch > highest_;
  highest_ = std::max(highest_, mark.epoch);
  if (mark.owner == name_) {
    if (mark.epoch != epoch_ || stands_) return Verdict::Fine;
    stands_ = counts;
    return counts ? Verdict::MarkCounts : Verdict::Beaten;
  }
  if (counts) return stands_ ? lose() : Verdict::Fine;
  mark_again_ = stands_;
  return owns_ ? Verdict::Write : Verdict::Fine;
}

StateFollower::Verdict StateFollower::lose() {
  stands_ = owns_ = false;
  // Our records may stand behind the other mark, and those do not count.
  std::erase_if(on_the_way_, [](const auto& way) { return !way.second.value.empty(); });
  return Verdict::Beaten;
}

StateFollower::Verdict StateFollower::follow(std::string_view key,
                                             std::optional<StateEpoch> epoch) {
  const bool newer = epoch && *epoch > epoch_;
  if (newer) highest_ = std::max(highest_, *epoch);
  if (newer || !owns_) {
    others_.emplace_back(key);
    return newer && stands_ ? lose() : Verdict::Fine;
  }
  return cursors_->followed(key, epoch) == Followed::Repaired ? Verdict::Write : Verdict::Fine;
}

std::string StateFollower::mark() {
  epoch_ = highest_ + 1;
  return encode(OwnerRecord{epoch_, name_});
}

Cursors& StateFollower::own(const CursorBounds& bounds, const Moment& moment) {
  owns_ = true;
  if (cursors_ != nullptr) {
    cursors_->raise(epoch_);
    if (anew_) cursors_->write_all();
  } else {
    cursors_ = std::make_unique<Cursors>(bounds, epoch_);
    for (const auto& [key, record] : table_->records()) cursors_->load(record, moment);
    cursors_->loaded();
    others_ = table_->fenced();
    table_.reset();
  }
  anew_ = false;
  // They are written again, before compaction can make them look like the last word.
  for (const std::string& key : std::exchange(others_, {})) {
    static_cast<void>(cursors_->followed(key, StateEpoch{0}));
  }
  return *cursors_;
}

std::optional<StateWrite> StateFollower::next_write() {
  if (!owns_) return std::nullopt;
  if (std::exchange(mark_again_, false)) {
    return StateWrite{kMarkToken, std::string(kOwnerKey), mark_once_more()};
  }
  auto next = cursors_->next_write();
  if (!next) return std::nullopt;
  // A tombstone releases no event that the record before it had kept.
  on_the_way_[++written_] =
      OnTheWay{next->token, next->key, next->value, false, next->value.empty()};
  next->token = written_;
  return next;
}

StateFollower::Verdict StateFollower::stored(std::uint64_t token) {
  const auto way = on_the_way_.find(token);
  if (way == on_the_way_.end()) return Verdict::Fine;
  way->second.stored = true;
  return way->second.read ? acknowledge(way) : Verdict::Fine;
}

StateFollower::Verdict StateFollower::note_read(std::string_view key, std::string_view value) {
  const auto way = std::find_if(on_the_way_.begin(), on_the_way_.end(), [&](const auto& one) {
    return one.second.key == key && one.second.value == value;
  });
  if (way == on_the_way_.end()) return Verdict::Fine;
  way->second.read = true;
  return way->second.stored ? acknowledge(way) : Verdict::Fine;
}

StateFollower::Verdict StateFollower::acknowledge(Ways::iterator way) {
  const std::uint64_t token = way->second.token;
  on_the_way_.erase(way);
  return cursors_->acknowledge(token) ? Verdict::Durable : Verdict::Write;
}

}  // namespace eventrelay::relay
