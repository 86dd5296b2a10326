#include "relay/park/unknown_instances.hpp"

#include <algorithm>
#include <utility>

#include "common/config/config_units.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::relay {

namespace {

using Match = Subscriptions::Match;

constexpr std::string_view kReason = "unknown_instance";
// Stands behind the instance in er-sub for all its subscriptions. No subscription name holds a
// star.
constexpr std::string_view kWhoeverWantsIt = "/*";

std::uint64_t token_of(const HeldRecord& record) noexcept {
  return reinterpret_cast<std::uintptr_t>(&record);
}

bool is_kept_here(const HeldRecord& record) noexcept {
  return record.event.parked->subscription.ends_with(kWhoeverWantsIt);
}

}  // namespace

void UnknownInstances::keep(HeldRecord& record) {
  const WallTime now = parts_.clock.due();
  parts_.slab.relay_unmatched_total.add(metrics::Unmatched::UnknownInstance);
  static_cast<void>(note(record, now));
  const std::string subscription =
      std::to_string(record.event.instance.value).append(kWhoeverWantsIt);
  ParkedState state;
  state.subscription = subscription;
  state.first_failure = now;
  state.reason = kReason;
  park(record, state);
}

bool UnknownInstances::take_due(HeldRecord& record) {
  queues_.clear();
  const InstanceId instance = record.event.instance;
  if (!is_kept_here(record)) {
    if (parts_.subscriptions.knows(instance) != Match::UnknownInstance) return false;
    wait_on(record);
    return true;
  }
  switch (parts_.subscriptions.match(record.event, queues_)) {
    case Match::Some:
      hand_over(record);
      return true;
    case Match::UnknownInstance:
      wait_on(record);
      return true;
    case Match::None:
      parts_.slab.relay_unmatched_total.add(metrics::Unmatched::NoSubscription);
      break;
    case Match::DeletedInstance:
      parts_.slab.relay_unmatched_total.add(metrics::Unmatched::DeletedInstance);
      break;
  }
  missed_.erase(instance);
  record.owner->settled(record, End::Done);
  return true;
}

void UnknownInstances::wait_on(HeldRecord& record) {
  const WallTime now = parts_.clock.due();
  if (expired(record, now)) {
    ParkedState state = *record.event.parked;
    state.due.reset();
    state.reason = kReason;
    state.dead_class = kPipelineFailure;
    return dead_letter(record, state);
  }
  park(record, *record.event.parked);
}

// The time of an event whose subscription has failed before runs from when this process first
// missed its instance: it may have waited for hours already, for another reason.
bool UnknownInstances::expired(const HeldRecord& record, WallTime now) {
  const Missed* const missed = note(record, now);
  WallTime since = record.event.parked->first_failure;
  if (!is_kept_here(record) && missed != nullptr) since = std::max(since, missed->since);
  return now - since >= wait_;
}

Missed* UnknownInstances::note(const HeldRecord& record, WallTime now) {
  const InstanceId instance = record.event.instance;
  const auto known = missed_.find(instance);
  if (known == missed_.end() && missed_.size() == kMissedMax) return nullptr;
  const auto [it, fresh] = missed_.try_emplace(instance, Missed{instance, 0, now, now});
  it->second.last = now;
  if (!record.event.parked || fresh) ++it->second.events;
  if (fresh) {
    log::warn("an event of an instance that is not known here waits for it",
              {{"instance", instance.value},
               {"element", record.event.element},
               {"at_most", config::print_duration(wait_)}});
  }
  return &it->second;
}

void UnknownInstances::park(HeldRecord& record, const ParkedState& state) {
  ParkedState next = state;
  next.due = parts_.clock.due() + parts_.step;
  ++pending_[&record].writes;
  parts_.outbox.park(record, next, 0, Sender{this, token_of(record)});
}

void UnknownInstances::dead_letter(HeldRecord& record, ParkedState state) {
  Pending& pending = pending_[&record];
  ++pending.writes;
  pending.dead = true;
  parts_.slab.relay_dead_letters_total.add(metrics::Outcome::UnknownInstance);
  log::warn("an event was given up: its instance never became known",
            {{"instance", record.event.instance.value}, {"event", record.event.id}});
  parts_.outbox.dead_letter(record, state, Sender{this, token_of(record)});
}

// Each subscription gets a record of its own: a queue that is full, or paused, then keeps
// its own event waiting and no other one's.
void UnknownInstances::hand_over(HeldRecord& record) {
  if (missed_.erase(record.event.instance) > 0) {
    log::info("an instance is known now, its events go on",
              {{"instance", record.event.instance.value}});
  }
  for (SubscriptionQueue* const queue : queues_) {
    ParkedState state = *record.event.parked;
    state.subscription = parts_.subscriptions.target(*queue)->id;
    park(record, state);
  }
}

void UnknownInstances::on_receipt(std::uint64_t token, Receipt receipt) {
  HeldRecord& record = *reinterpret_cast<HeldRecord*>(static_cast<std::uintptr_t>(token));
  const auto it = pending_.find(&record);
  Pending& pending = it->second;
  --pending.writes;
  switch (receipt) {
    case Receipt::Written:
      if (!pending.dead) parts_.slab.relay_parked_total.add();
      if (!pending.dead && parts_.budget != nullptr) {
        parts_.budget->add(record.event.body.size());
      }
      break;
    case Receipt::TooLarge:
      pending.failed = pending.failed || pending.dead;
      if (pending.dead) break;
      {
        const std::string subscription =
            std::to_string(record.event.instance.value).append(kWhoeverWantsIt);
        ParkedState state;
        state.subscription = subscription;
        state.first_failure = parts_.clock.due();
        state.reason = kReason;
        state.dead_class = kPipelineFailure;
        return dead_letter(record, state);
      }
    case Receipt::Forgotten:
      pending.failed = true;
      break;
  }
  if (pending.writes > 0) return;
  const End end = pending.failed ? End::NotDone : End::Done;
  pending_.erase(it);
  record.owner->settled(record, end);
  parts_.settled();
}

std::vector<Missed> UnknownInstances::missed(std::size_t max) {
  // No event of it has come back for several rounds, so none waits any more.
  const WallTime stale = parts_.clock.due() - 4 * parts_.step - std::chrono::seconds(10);
  std::erase_if(missed_, [stale](const auto& each) { return each.second.last < stale; });
  std::vector<Missed> all;
  all.reserve(missed_.size());
  for (const auto& [id, missed] : missed_) all.push_back(missed);
  std::sort(all.begin(), all.end(),
            [](const Missed& a, const Missed& b) { return a.since < b.since; });
  if (all.size() > max) all.resize(max);
  return all;
}

}  // namespace eventrelay::relay
