#include "relay/attempt_end.hpp"

#include <algorithm>

#include "common/process/failpoint.hpp"
#include "relay/park/attempts.hpp"
#include "relay/record/held_record.hpp"

namespace eventrelay::relay {

namespace {

std::uint64_t token_of(const Job& job) noexcept {
  return reinterpret_cast<std::uintptr_t>(&job);
}

std::string_view word_of(metrics::Outcome outcome) noexcept {
  return metrics::kOutcomeWords[static_cast<std::size_t>(outcome)];
}

// The same word, of static storage.
metrics::Outcome outcome_of(std::string_view word) noexcept {
  for (std::size_t i = 0; i < metrics::kOutcomeWords.size(); ++i) {
    if (metrics::kOutcomeWords[i] == word) return static_cast<metrics::Outcome>(i);
  }
  return metrics::Outcome::Timeout;
}

}  // namespace

void AttemptEnd::failed(Job& job, const Result& result, TimePoint now) {
  const WallTime wall = parts_.clock.due();
  parts_.subscriptions.note_failure(job, result, now);
  if (!job.first_failure) job.first_failure = wall;
  // A Retry-After holds for all events of the subscription. None of them, this one included, waits
  // longer than the longest step.
  if (result.retry_after) {
    const milliseconds longest =
        parts_.subscriptions.target(*job.queue)->retry->plan().steps.back();
    const milliseconds wait = std::min<milliseconds>(*result.retry_after, longest);
    parts_.scheduler.hold_off(*job.queue, now + wait, now);
  }
  const Answer answer = result.retry == RetryClass::Retry ? Answer::Failed : Answer::Answered;
  if (const auto gone = parts_.scheduler.leave(job, answer, now)) return settle(*gone);
  job.outcome = result.outcome;
  const Target& target = *parts_.subscriptions.target(*job.queue);
  // The wall clock is cut to milliseconds: the next one, or a wait would be up to one too short.
  const WallTime end = wall + milliseconds{1};
  const Step step = target.retry->next(
      Attempt{result.retry, job.attempts_made, *job.first_failure, end, result.retry_after},
      random_);
  log(job, result, step);
  const Failure failure{job,
                        result.retry,
                        step,
                        word_of(result.outcome),
                        target.delivery->exhausted == Exhausted::Queue,
                        target.delivery->failure_policy == FailurePolicy::Queue};
  if (parts_.detacher.failed(failure)) return parts_.settled();
  if (step.kind == Step::Kind::Park) {
    parts_.subscriptions.note_next(job, step.due, wall);
    return park(job, step);
  }
  parts_.subscriptions.note_dead_letter(job, now);
  dead_letter(job, kSubscriberFailure);
  if (result.outcome == metrics::Outcome::Gone) parts_.detacher.pause(job, "gone");
}

void AttemptEnd::note_success(const Job& job, const Result& result) {
  if (job.attempts_made > 0) parts_.subscriptions.note_recovery(job);
  log(job, result, Step{});
}

// Pre: attempts_made counts a failed attempt already, and a delivered one not yet.
void AttemptEnd::log(const Job& job, const Result& result, const Step& step) {
  if (log_ == AttemptsLog::None) return;
  const Event& event = job.held->event;
  const std::uint32_t attempt = job.attempts_made + (step.kind == Step::Kind::Done ? 1U : 0U);
  const AttemptLine line{
      event, parts_.subscriptions.target(*job.queue)->id, attempt, result, parts_.clock.wall(),
      step};
  parts_.outbox.log_attempt(event.instance, print_attempt(line));
}

ParkedState AttemptEnd::state_of(const Job& job) const {
  ParkedState state;
  state.subscription = parts_.subscriptions.target(*job.queue)->id;
  state.attempts_made = job.attempts_made;
  state.first_failure = job.first_failure.value_or(parts_.clock.due());
  state.reason = word_of(job.outcome);
  return state;
}

void AttemptEnd::park(Job& job, const Step& step) {
  failpoint::at("before-park");
  ParkedState state = state_of(job);
  state.due = step.due;
  job.dead = false;
  parts_.outbox.park(*job.held, state, step.delay, Sender{this, token_of(job)});
}

void AttemptEnd::park_again(Job& job) {
  const auto& parked = job.held->event.parked;
  if (parked) job.outcome = outcome_of(parked->reason);
  ParkedState state = state_of(job);
  const auto& steps = parts_.subscriptions.target(*job.queue)->retry->plan().steps;
  // Not sooner than its endpoint has asked for, and in a topic that lets it wait for so long.
  const Duration asked = job.queue->not_before - parts_.clock.now();
  const milliseconds wait = std::clamp(std::chrono::ceil<milliseconds>(asked) + milliseconds{1},
                                       steps.front(), steps.back());
  const auto step = std::lower_bound(steps.begin(), steps.end(), wait);
  state.due = parts_.clock.due() + wait;
  job.dead = false;
  parts_.outbox.park(*job.held, state, static_cast<std::size_t>(step - steps.begin()),
                     Sender{this, token_of(job)});
}

void AttemptEnd::dead_letter(Job& job, std::string_view dead_class) {
  failpoint::at("before-dead");
  ParkedState state = state_of(job);
  state.dead_class = dead_class;
  job.dead = true;
  parts_.outbox.dead_letter(*job.held, state, Sender{this, token_of(job)});
}

void AttemptEnd::on_receipt(std::uint64_t token, Receipt receipt) {
  Job& job = *reinterpret_cast<Job*>(static_cast<std::uintptr_t>(token));
  switch (receipt) {
    case Receipt::TooLarge:
      // Only the delay topic finds it too large: the headers with its state made it so.
      job.outcome = metrics::Outcome::TooLarge;
      return dead_letter(job, kPipelineFailure);
    case Receipt::Forgotten:
      settle(parts_.scheduler.settle(job, End::NotDone));
      break;
    case Receipt::Written:
      if (job.dead) {
        parts_.slab.relay_dead_letters_total.add(job.outcome);
        parts_.subscriptions.note_recovery(job);
      } else {
        failpoint::at("after-park-ack");
        parts_.slab.relay_parked_total.add();
        if (parts_.budget != nullptr) parts_.budget->add(job.held->event.body.size());
      }
      parts_.detacher.ended(job);
      settle(parts_.scheduler.settle(job, End::Done));
      break;
  }
  parts_.settled();
}

}  // namespace eventrelay::relay
