// Who can not be served now leaves the live path, and is fed from the log later.
#include <algorithm>

#include "relay.hpp"

namespace eventrelay::relay::simulation {

namespace {

constexpr Duration kOpenFor = seconds{10};

std::vector<Offset> sorted(std::vector<Offset> offsets) {
  std::sort(offsets.begin(), offsets.end());
  return offsets;
}

}  // namespace

// --- attempts that failed ------------------------------------------------------------------------

void Relay::fail(Job& job, const Reply& reply) {
  const TimePoint now = world_.clock.now();
  const auto answer = reply.retry == RetryClass::Retry ? Answer::Failed : Answer::Answered;
  if (const auto gone = scheduler_.leave(job, answer, now)) {
    ++counters_.dropped;
    return settle(*gone);
  }
  Part* const part = part_of(job);
  if (part == nullptr) {
    ++counters_.dropped;
    return settle(scheduler_.settle(job, End::NotDone));
  }
  if (!job.first_failure) job.first_failure = world_.clock.wall();
  Attempt attempt;
  attempt.retry = reply.retry;
  attempt.attempts_made = job.attempts_made;
  attempt.first_failure = *job.first_failure;
  attempt.now = world_.clock.wall();
  if (world_.fault != Fault::IgnoreRetryAfter) attempt.retry_after = reply.retry_after;
  const Step step = retry_.next(attempt, jitter_);
  const int sub = sub_of(job);
  const Held& held = held_of(job);
  if (held.from != Held::From::Delay) {
    if (step.kind == Step::Kind::Dead) {
      const bool queues = world_.subs[World::at(sub)].queues_exhausted;
      if (queues && reply.retry == RetryClass::Retry && !world_.healed) {
        std::vector<Job*> also{&job};
        if (queue_of(sub).config.ordering != Ordering::None) scheduler_.take_chain(job, also);
        return detach(*part, sub, CursorState::Off, also);
      }
    } else {
      const bool reread = held.from == Held::From::CatchUp;
      if (reread && world_.fault == Fault::ForgetReread) {
        part->cursors->done(job.cursor, Offset{held.at});
        ++counters_.given_back;
        return settle(scheduler_.settle(job, End::NotDone));
      }
      const bool backlog = queue_of(sub).breaker.state() != CircuitBreaker::State::Closed;
      if (reread && backlog && part->cursors->goes_on(job.cursor)) return give_back(*part, job);
      const bool ordered = queue_of(sub).config.ordering != Ordering::None;
      if (ordered && world_.fault != Fault::ParkOrdered) return block(*part, job, step);
    }
  }
  if (step.kind == Step::Kind::Dead) {
    dead_letter(job);
    const Subscriber& one = world_.subs[World::at(sub)];
    if (reply.retry == RetryClass::Gone && !part->cursors->is_off(one.id)) {
      detach(*part, sub, CursorState::Off, {});
    }
    return;
  }
  park(job, step);
}

void Relay::give_back(Part& part, Job& job) {
  std::vector<Job*> all;
  if (job.queue->config.ordering != Ordering::None) scheduler_.take_chain(job, all);
  all.push_back(&job);
  const Pause pause{job.queue->breaker.probe_at()};
  for (Job* const one : all) {
    if (one->cursor != kLivePath) {
      const Offset at{held_of(*one).at};
      part.cursors->give_back(one->cursor, std::span(&at, 1), pause);
    }
    release(part, *one);
  }
}

void Relay::block(Part& part, Job& job, const Step& step) {
  std::vector<Job*> behind;
  scheduler_.take_chain(job, behind);
  std::vector<ChainJob> chain;
  for (const Job* const one : behind) {
    if (one->cursor == kLivePath && held_of(*one).from != Held::From::Live) continue;
    chain.push_back({Offset{held_of(*one).at}, one->cursor});
  }
  std::sort(chain.begin(), chain.end(),
            [](const ChainJob& a, const ChainJob& b) { return a.at < b.at; });
  const Held& held = held_of(job);
  Block request;
  request.key = world_.key(sub_of(job), event_of(part, held.at));
  request.at = Offset{held.at};
  request.owner = job.cursor;
  request.chain = chain;
  request.due = step.due;
  request.attempt = job.attempts_made;
  request.first_failure = *job.first_failure;
  request.reason = "http_5xx";
  std::vector<Job*> left{&job};
  left.insert(left.end(), behind.begin(), behind.end());
  ++world_.tally.blocks;
  if (held.at < part.known_to) world_.excuse_object(sub_of(job), held.at, part.known_to);
  world_.note("block", life_->worker, sub_of(job), held.at);
  if (!part.cursors->block(request, world_.moment())) {
    return detach(part, sub_of(job), CursorState::Detached, left);
  }
  for (Job* const one : left) release(part, *one);
  settle_covered(part);
  write_state(part);
}

// --- leaving the live path -----------------------------------------------------------------------

void Relay::detach(Part& part, int sub, CursorState state, const std::vector<Job*>& also) {
  std::vector<Job*> taken = also;
  scheduler_.take_queued(queue_of(sub), Partition{part.id}, taken);
  std::vector<Offset> queued;
  std::vector<Offset> held;
  std::map<std::uint64_t, std::vector<Offset>> reread;
  for (const Job* const job : taken) {
    const Offset at{held_of(*job).at};
    if (job->cursor != kLivePath) {
      reread[job->cursor.value].push_back(at);
    } else if (held_of(*job).from == Held::From::Live) {
      queued.push_back(at);
    }
  }
  const auto hold_of = [&](const Job* job) {
    if (sub_of(*job) != sub || held_of(*job).from != Held::From::Live) return;
    held.push_back(Offset{held_of(*job).at});
  };
  if (world_.fault != Fault::DetachForgetsFlight) {
    for (const Job* const job : part.flying) hold_of(job);
    for (const Job* const job : part.backlog) hold_of(job);
  }
  queued = sorted(std::move(queued));
  held = sorted(std::move(held));
  Detach request;
  request.subscription = world_.subs[World::at(sub)].id;
  request.ordering = world_.subs[World::at(sub)].ordering;
  request.live = Offset{part.next};
  request.queued = queued;
  request.held = held;
  request.state = state;
  request.reason = "full";
  ++world_.tally.detaches;
  world_.note("detach", life_->worker, sub, part.next);
  part.cursors->detach(request, world_.moment());
  const Pause pause{queue_of(sub).breaker.probe_at()};
  for (const auto& [cursor, offsets] : reread) {
    part.cursors->give_back(CursorId{cursor}, sorted(offsets), pause);
  }
  for (Job* const job : taken) release(part, *job);
  settle_covered(part);
  write_state(part);
}

// A job that has left the scheduler's queues goes where it is answered for.
void Relay::release(Part& part, Job& job) {
  if (job.cursor != kLivePath) {
    ++counters_.given_back;
    return settle(scheduler_.settle(job, End::NotDone));
  }
  if (held_of(job).from == Held::From::Live) {
    part.covered.push_back(&job);
    return;
  }
  // A parked event is parked again, with what it had.
  Step step;
  step.kind = Step::Kind::Park;
  step.delay = 0;
  step.due = world_.clock.wall() + kSteps.front();
  park(job, step);
}

void Relay::settle_covered(Part& part) {
  std::vector<Job*> waiting = std::exchange(part.covered, {});
  for (Job* const job : waiting) {
    const Held& held = held_of(*job);
    const EventKey key = world_.key(sub_of(*job), event_of(part, held.at));
    Cover cover = part.cursors->cover(key, Offset{held.at});
    if (cover == Cover::NotYet && world_.fault == Fault::SkipBeforeDurable) cover = Cover::Durable;
    if (cover == Cover::NotYet) {
      part.covered.push_back(job);
    } else if (cover == Cover::Durable) {
      ++counters_.cursor;
      settle(scheduler_.settle(*job, End::Done));
    } else {
      world_.breach("nobody answers for event " + std::to_string(held.at));
      ++counters_.dropped;
      settle(scheduler_.settle(*job, End::NotDone));
    }
  }
}

void Relay::look_at_breakers() {
  const TimePoint now = world_.clock.now();
  for (int sub = 0; sub < std::ssize(queues_); ++sub) {
    const eventrelay::relay::SubscriptionQueue& queue = queue_of(sub);
    if (queue.breaker.state() == CircuitBreaker::State::Closed) {
      open_since_.erase(sub);
      continue;
    }
    const TimePoint since = open_since_.try_emplace(sub, now).first->second;
    const bool waits = !queue.fresh.empty() || !queue.urgent.empty();
    if (!waits || now - since < kOpenFor) continue;
    Part* const part = parts_[World::at(world_.subs[World::at(sub)].partition)].get();
    if (part == nullptr || part->stage != Stage::Running) continue;
    detach(*part, sub, CursorState::Detached, {});
  }
}

// --- the catch-up read
// -----------------------------------------------------------------------------------

bool Relay::may_catch_up(const Part& part) const {
  if (part.stage != Stage::Running || part.cursors->empty()) return false;
  return world_.fault != Fault::NeverCatchUp;
}

bool Relay::read_catch_up(Part& part) {
  if (part.stage != Stage::Running) return false;
  const TimePoint now = world_.clock.now();
  if (!part.plan.catching_up()) {
    if (!may_catch_up(part) || !part.plan.may_start(now)) return false;
    const auto from = part.cursors->begin_catch_up(*this, Offset{part.next}, world_.moment());
    write_state(part);
    if (!from) return false;
    ++world_.tally.catch_ups;
    world_.note("sweep", life_->worker, part.id, from->value);
    part.plan.start(*from, now);
  }
  CatchUpPlan::View view;
  view.live = Offset{part.next};
  view.following = part.cursors->following();
  view.wanted = part.cursors->next_wanted();
  switch (part.plan.next(view)) {
    case CatchUpPlan::Action::End:
      if (view.following > 0 && part.plan.position() < view.live) {
        part.plan.passed(view.live);
        part.cursors->passed(view.live);
      }
      end_catch_up(part);
      return false;
    case CatchUpPlan::Action::Jump:
      part.plan.passed(*view.wanted);
      part.cursors->passed(*view.wanted);
      return true;
    case CatchUpPlan::Action::Read:
      break;
  }
  const Offset at = part.plan.position();
  const SimEvent& event = event_of(part, at.value);
  std::vector<CursorId> takers;
  for (int sub = 0; sub < std::ssize(queues_); ++sub) {
    if (world_.subs[World::at(sub)].partition != part.id || !world_.wants(sub, event)) continue;
    takers.clear();
    part.cursors->offer(world_.key(sub, event), at, world_.moment(), takers);
    for (const CursorId cursor : takers) {
      const auto handout = part.cursors->handout(cursor);
      Held& held = hold(part, Held::From::CatchUp, at.value);
      JobState state;
      state.cursor = cursor;
      if (handout) {
        state.attempts_made = handout->attempts_made;
        state.first_failure = handout->first_failure;
      }
      if (!has_room(sub) || admit(held, sub, state) == Admitted::Full) {
        held_.erase(&held);
        // Others go on without it; alone, it is waited for.
        const bool alone = part.cursors->following() == 1;
        if (alone && (part.plan.pause(now) || world_.fault == Fault::CatchUpFeedsTheSlow)) {
          return false;
        }
        part.cursors->defer(cursor, at);
        continue;
      }
      part.plan.resume();
      part.cursors->dispatched(cursor, at);
    }
  }
  part.plan.passed(Offset{at.value + 1});
  part.cursors->passed(Offset{at.value + 1});
  write_state(part);
  return true;
}

void Relay::end_catch_up(Part& part) {
  part.plan.end();
  part.cursors->end_catch_up(Offset{part.next});
  write_state(part);
}

}  // namespace eventrelay::relay::simulation
