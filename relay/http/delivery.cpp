#include "relay/http/delivery.hpp"

#include <algorithm>
#include <array>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

namespace {

using metrics::Outcome;

struct ErrorMeaning {
  TransportError error;
  Outcome outcome;
};
constexpr std::array<ErrorMeaning, 8> kErrorMeanings{{
    {TransportError::Dns, Outcome::Dns},
    {TransportError::Blocked, Outcome::Blocked},
    {TransportError::Connect, Outcome::Connect},
    {TransportError::Tls, Outcome::Tls},
    {TransportError::Timeout, Outcome::Timeout},
    {TransportError::Reset, Outcome::Reset},
    {TransportError::Protocol, Outcome::Protocol},
    {TransportError::TooLarge, Outcome::TooLarge},
}};

Outcome outcome_of(int status) noexcept {
  if (status >= 200 && status < 300) return Outcome::Ok;
  if (status == 410) return Outcome::Gone;
  if (status >= 300 && status < 400) return Outcome::Http3xx;
  if (status >= 400 && status < 500) return Outcome::Http4xx;
  if (status >= 500 && status < 600) return Outcome::Http5xx;
  return Outcome::Protocol;
}

}  // namespace

Result classify_status(int status, std::span<const int> fatal_statuses) noexcept {
  Result result;
  result.status = status;
  result.outcome = outcome_of(status);
  if (result.outcome == Outcome::Ok) return result;
  const bool fatal =
      std::find(fatal_statuses.begin(), fatal_statuses.end(), status) != fatal_statuses.end();
  result.retry = status == 410 ? RetryClass::Gone : fatal ? RetryClass::Fatal : RetryClass::Retry;
  return result;
}

Result classify_error(TransportError error) noexcept {
  const ErrorMeaning& meaning = kErrorMeanings[static_cast<std::size_t>(error)];
  EVENTRELAY_ASSERT(meaning.error == error);
  Result result;
  result.outcome = meaning.outcome;
  result.retry = RetryClass::Retry;
  return result;
}

bool obeys_retry_after(int status) noexcept {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

Delivery::Delivery(Scheme scheme, std::span<const int> fatal_statuses) noexcept
    : fatal_statuses_(fatal_statuses), scheme_(scheme) {}

Delivery::Action Delivery::start(Connection connection) noexcept {
  EVENTRELAY_ASSERT(state_ == State::Idle);
  pooled_ = connection == Connection::Pooled;
  state_ = pooled_ ? State::Writing : State::Dialing;
  return pooled_ ? Action::Write : Action::Dial;
}

Delivery::Action Delivery::on_dialed() noexcept {
  EVENTRELAY_ASSERT(state_ == State::Dialing);
  const bool secure = scheme_ == Scheme::Https;
  state_ = secure ? State::Securing : State::Writing;
  return secure ? Action::Handshake : Action::Write;
}

Delivery::Action Delivery::on_secured() noexcept {
  EVENTRELAY_ASSERT(state_ == State::Securing);
  state_ = State::Writing;
  return Action::Write;
}

Delivery::Action Delivery::on_written() noexcept {
  EVENTRELAY_ASSERT(state_ == State::Writing);
  state_ = State::Head;
  return Action::Read;
}

Delivery::Action Delivery::on_status(int status) noexcept {
  EVENTRELAY_ASSERT(state_ == State::Head && !status_known_);
  pooled_ = false;  // it answers: what fails from here on is no stale connection
  // 101 would hand the connection to another protocol, which nobody asked for.
  if (status < 100 || status > 599 || status == 101) {
    return finish(classify_error(TransportError::Protocol));
  }
  if (status < 200) return Action::Read;
  result_ = classify_status(status, fatal_statuses_);
  status_known_ = true;
  return Action::Read;
}

Delivery::Action Delivery::on_head(const ResponseHead& head, WallTime now) noexcept {
  EVENTRELAY_ASSERT(state_ == State::Head);
  if (!status_known_) return Action::Read;  // of an interim answer
  if (obeys_retry_after(head.status)) {
    result_.retry_after = parse_retry_after(head.retry_after, now);
  }
  keep_alive_ = head.keep_alive;
  state_ = State::Body;
  return Action::Read;
}

Delivery::Action Delivery::on_body(std::size_t bytes) noexcept {
  EVENTRELAY_ASSERT(state_ == State::Body);
  body_bytes_ += std::min(bytes, kResponseBodyMax + 1);
  if (body_bytes_ > kResponseBodyMax) return finish(result_);
  return Action::Read;
}

Delivery::Action Delivery::on_complete(std::size_t leftover) noexcept {
  EVENTRELAY_ASSERT(state_ == State::Body);
  reusable_ = keep_alive_ && leftover == 0;
  return finish(result_);
}

Delivery::Action Delivery::on_error(TransportError error) noexcept {
  EVENTRELAY_ASSERT(state_ != State::Idle && state_ != State::Done);
  if (status_known_) return finish(result_);
  // The far end closed a kept connection just as it was used again. A timeout is no such sign.
  if (pooled_ && (error == TransportError::Reset || error == TransportError::Tls)) {
    pooled_ = false;
    state_ = State::Dialing;
    return Action::Dial;
  }
  return finish(classify_error(error));
}

const Result& Delivery::result() const noexcept {
  EVENTRELAY_ASSERT(state_ == State::Done);
  return result_;
}

Delivery::Action Delivery::finish(const Result& result) noexcept {
  result_ = result;
  state_ = State::Done;
  return Action::Done;
}

}  // namespace eventrelay::relay
