// The detacher's other half: switches, and what it finds by looking now and then.
#include <algorithm>

#include "common/log.hpp"
#include "relay/detacher.hpp"
#include "relay/lane_room.hpp"

namespace eventrelay::relay {

namespace {

// An endpoint that was away so long may stay away: what waits for it goes back to the log.
constexpr Duration kOpenFor = std::chrono::seconds(10);
constexpr int kEndsPerLook = 2000;  // who has caught up; the others are found at the next look
constexpr std::string_view kBreakerOpen = "breaker_open";
constexpr std::string_view kByHand = "by_hand";

}  // namespace

Lane* Detacher::lane_of(std::string_view subscription) {
  const auto instance = instance_of(subscription);
  return instance ? parts_.subscriptions.find(*instance, subscription) : nullptr;
}

// --- switches -----------------------------------------------------------------------------------

void Detacher::switch_off(Job& job, std::string_view reason) {
  Guarded* const guarded = find(job.held->partition);
  if (guarded == nullptr) return;
  const std::string& subscription = parts_.subscriptions.target(*job.lane)->id;
  if (guarded->cursors->is_off(subscription)) return;
  log::warn("subscription switched off", {{"subscription", subscription}, {"reason", reason}});
  detach(*guarded, Leave{*job.lane, EntryState::Off, reason});
}

Switched Detacher::switch_off(std::string_view subscription, Partition partition) {
  Guarded* const guarded = find(partition);
  Lane* const lane = guarded ? lane_of(subscription) : nullptr;
  if (lane == nullptr) return Switched::NotHere;
  if (guarded->cursors->is_off(subscription)) return Switched::Already;
  detach(*guarded, Leave{*lane, EntryState::Off, kByHand});
  return Switched::Yes;
}

Switched Detacher::switch_on(std::string_view subscription, Partition partition) {
  Guarded* const guarded = find(partition);
  if (guarded == nullptr || lane_of(subscription) == nullptr) return Switched::NotHere;
  if (!guarded->cursors->switch_on(subscription)) return Switched::Already;
  log::info("subscription switched on", {{"subscription", subscription}});
  parts_.write(partition);
  return Switched::Yes;
}

bool Detacher::is_off(std::string_view subscription, Partition partition) const {
  const Guarded* const guarded = find(partition);
  return guarded != nullptr && guarded->cursors->is_off(subscription);
}

// --- now and then -------------------------------------------------------------------------------

void Detacher::look(TimePoint now) {
  lanes_.clear();
  parts_.scheduler.open_lanes(lanes_);
  for (Lane* const lane : lanes_) {
    const auto oldest = lane->oldest_queued();
    if (lane->retired || !oldest || now - *oldest < kOpenFor) continue;
    for (const auto& [number, guarded] : guarded_) {
      if (waits(*lane, guarded->id)) {
        detach(*guarded, Leave{*lane, EntryState::Detached, kBreakerOpen});
      }
    }
  }
  int ended = 0;
  for (auto it = behind_.begin(); it != behind_.end() && ended < kEndsPerLook;) {
    if (is_behind(it->first, it->second)) {
      ++it;
      continue;
    }
    if (Lane* const lane = lane_of(it->first)) Scheduler::caught_up(*lane);
    it = behind_.erase(it);
    ++ended;
  }
}

// `last`: the partition in which it was seen last; most have entries in that one alone.
bool Detacher::is_behind(std::string_view subscription, Partition& last) const {
  const Guarded* const known = find(last);
  if (known != nullptr && known->cursors->has_entries(subscription)) return true;
  const auto other = std::find_if(guarded_.begin(), guarded_.end(), [&](const auto& one) {
    return one.second->cursors->has_entries(subscription);
  });
  if (other == guarded_.end()) return false;
  last = other->second->id;
  return true;
}

// Parked events need no entry: they have a topic to wait in.
bool Detacher::waits(const Lane& lane, Partition partition) const {
  bool any = false;
  parts_.scheduler.for_each_job(lane, partition, [&](const Job& job) {
    const bool queued = job.state == Job::State::Queued || job.state == Job::State::Chained;
    if (queued && (job.entry != kLivePath || is_live(job))) any = true;
  });
  return any;
}

void Detacher::forget_unless(const std::function<bool(std::string_view)>& is_known) {
  for (const auto& [number, guarded] : guarded_) {
    guarded->cursors->forget_unless(is_known);
    settle_covered(*guarded);
    parts_.write(guarded->id);
  }
}

}  // namespace eventrelay::relay
