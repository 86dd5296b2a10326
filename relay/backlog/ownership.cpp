#include "relay/backlog/ownership.hpp"

namespace eventrelay::relay {

Ownership::Action Ownership::at_end() {
  if (state_ != State::Reading) return Action::None;
  state_ = State::Marking;
  return Action::Mark;
}

Ownership::Action Ownership::mark_counts() {
  if (state_ != State::Marking) return Action::None;
  state_ = State::Confirming;
  return confirm();
}

Ownership::Action Ownership::beaten() {
  if (state_ == State::Reading || state_ == State::Beaten) return Action::None;
  state_ = State::Beaten;
  return confirm();
}

// A commit that is on its way answers in state Beaten too, where only membership is asked.
Ownership::Action Ownership::confirm() {
  if (commit_ == Commit::OnItsWay) return Action::None;
  commit_ = Commit::OnItsWay;
  return Action::Confirm;
}

Ownership::Action Ownership::confirmed(bool accepted) {
  commit_ = accepted ? Commit::None : Commit::Refused;
  if (!accepted) return Action::None;
  if (state_ == State::Confirming) {
    state_ = State::Owner;
    return Action::Own;
  }
  if (state_ != State::Beaten) return Action::None;
  state_ = State::Marking;
  return Action::Mark;
}

Ownership::Action Ownership::again() {
  return commit_ == Commit::Refused ? confirm() : Action::None;
}

}  // namespace eventrelay::relay
