#include "relay/backlog/take_over.hpp"

namespace eventrelay::relay {

TakeOver::Act TakeOver::at_end() {
  if (state_ != State::Reading) return Act::None;
  state_ = State::Marking;
  return Act::Mark;
}

TakeOver::Act TakeOver::mark_counts() {
  if (state_ != State::Marking) return Act::None;
  state_ = State::Confirming;
  return confirm();
}

TakeOver::Act TakeOver::beaten() {
  if (state_ == State::Reading || state_ == State::Beaten) return Act::None;
  state_ = State::Beaten;
  return confirm();
}

// One that is on its way answers for Beaten as well: that asks for membership alone.
TakeOver::Act TakeOver::confirm() {
  if (commit_ == Commit::OnItsWay) return Act::None;
  commit_ = Commit::OnItsWay;
  return Act::Confirm;
}

TakeOver::Act TakeOver::confirmed(bool accepted) {
  commit_ = accepted ? Commit::None : Commit::Refused;
  if (!accepted) return Act::None;
  if (state_ == State::Confirming) {
    state_ = State::Owner;
    return Act::Own;
  }
  if (state_ != State::Beaten) return Act::None;
  state_ = State::Marking;
  return Act::Mark;
}

TakeOver::Act TakeOver::again() {
  return commit_ == Commit::Refused ? confirm() : Act::None;
}

}  // namespace eventrelay::relay
