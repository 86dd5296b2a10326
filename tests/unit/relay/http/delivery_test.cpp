#include "relay/http/delivery.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace eventrelay::relay {
namespace {

using metrics::Outcome;
using Action = Delivery::Action;
using Connection = Delivery::Connection;
using Scheme = Delivery::Scheme;
using std::chrono::seconds;

constexpr WallTime kNow{std::chrono::seconds{1'700'000'000}};

// A delivery whose request is written on a new plain connection.
Delivery written(std::span<const int> fatal = {}) {
  Delivery delivery(Scheme::Http, fatal);
  EXPECT_EQ(delivery.start(Connection::None), Action::Dial);
  EXPECT_EQ(delivery.on_dialed(), Action::Write);
  EXPECT_EQ(delivery.on_written(), Action::Read);
  return delivery;
}

// A whole head is the status line and then its fields.
Action head(Delivery& delivery, const ResponseHead& all) {
  const Action action = delivery.on_status(all.status);
  return action == Action::Read ? delivery.on_head(all, kNow) : action;
}

Delivery written_on_pooled() {
  Delivery delivery(Scheme::Https, {});
  EXPECT_EQ(delivery.start(Connection::Pooled), Action::Write);
  EXPECT_EQ(delivery.on_written(), Action::Read);
  return delivery;
}

TEST(Delivery, GoesFromDialToPooledConnection) {
  Delivery delivery(Scheme::Https, {});
  EXPECT_EQ(delivery.start(Connection::None), Action::Dial);
  EXPECT_EQ(delivery.on_dialed(), Action::Handshake);
  EXPECT_EQ(delivery.on_secured(), Action::Write);
  EXPECT_EQ(delivery.on_written(), Action::Read);
  EXPECT_EQ(head(delivery, {200, true, ""}), Action::Read);
  EXPECT_EQ(delivery.on_body(2), Action::Read);
  EXPECT_EQ(delivery.on_complete(0), Action::Done);
  EXPECT_EQ(delivery.result().outcome, Outcome::Ok);
  EXPECT_EQ(delivery.result().retry, RetryClass::Delivered);
  EXPECT_TRUE(delivery.reusable());
}

TEST(Delivery, DoesNotPoolWhatTheServerCloses) {
  Delivery delivery = written();
  ASSERT_EQ(head(delivery, {204, false, ""}), Action::Read);
  EXPECT_EQ(delivery.on_complete(0), Action::Done);
  EXPECT_FALSE(delivery.reusable());
  EXPECT_EQ(delivery.result().outcome, Outcome::Ok);
}

TEST(Delivery, DoesNotPoolAConnectionWithBytesBehindTheResponse) {
  Delivery delivery = written();
  ASSERT_EQ(head(delivery, {200, true, ""}), Action::Read);
  EXPECT_EQ(delivery.on_complete(1), Action::Done);
  EXPECT_FALSE(delivery.reusable());
  EXPECT_EQ(delivery.result().retry, RetryClass::Delivered);
}

TEST(Delivery, ReadsOverInterimResponses) {
  Delivery delivery = written();
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(head(delivery, {i % 2 == 0 ? 100 : 103, true, ""}), Action::Read) << i;
  }
  EXPECT_EQ(head(delivery, {200, true, ""}), Action::Read);
  EXPECT_EQ(delivery.on_complete(0), Action::Done);
  EXPECT_EQ(delivery.result().outcome, Outcome::Ok);
}

TEST(Delivery, BelievesTheStatusLineWhateverFollowsIt) {
  for (const TransportError error : {TransportError::Reset, TransportError::Timeout,
                                     TransportError::Protocol, TransportError::TooLarge}) {
    for (const int status : {200, 204, 410, 429, 500}) {
      Delivery delivery = written();
      ASSERT_EQ(head(delivery, {102, true, ""}), Action::Read);
      ASSERT_EQ(delivery.on_status(status), Action::Read);
      EXPECT_EQ(delivery.on_error(error), Action::Done);
      EXPECT_EQ(delivery.result().status, status);
      EXPECT_EQ(delivery.result().outcome, classify_status(status, {}).outcome);
      EXPECT_FALSE(delivery.reusable());
    }
  }
}

TEST(Delivery, TakesASwitchOfProtocolsAndStrangeStatusesAsProtocolErrors) {
  for (const int status : {0, 99, 101, 600, 999}) {
    Delivery delivery = written();
    EXPECT_EQ(head(delivery, {status, true, ""}), Action::Done) << status;
    EXPECT_EQ(delivery.result().outcome, Outcome::Protocol) << status;
    EXPECT_EQ(delivery.result().retry, RetryClass::Retry) << status;
  }
}

TEST(Delivery, DropsTheConnectionWhenTheBodyIsOverItsBoundAtLimit) {
  Delivery delivery = written();
  ASSERT_EQ(head(delivery, {200, true, ""}), Action::Read);
  EXPECT_EQ(delivery.on_body(kResponseBodyMax), Action::Read);
  EXPECT_EQ(delivery.on_body(1), Action::Done);
  EXPECT_EQ(delivery.result().outcome, Outcome::Ok);
  EXPECT_FALSE(delivery.reusable());

  Delivery huge = written();
  ASSERT_EQ(head(huge, {500, true, ""}), Action::Read);
  EXPECT_EQ(huge.on_body(~std::size_t{0}), Action::Done);
  EXPECT_EQ(huge.result().outcome, Outcome::Http5xx);
}

TEST(Delivery, BelievesTheStatusWhateverBecomesOfTheBody) {
  for (const TransportError error :
       {TransportError::Reset, TransportError::Timeout, TransportError::Protocol}) {
    Delivery delivery = written();
    ASSERT_EQ(head(delivery, {200, true, ""}), Action::Read);
    ASSERT_EQ(delivery.on_body(10), Action::Read);
    EXPECT_EQ(delivery.on_error(error), Action::Done);
    EXPECT_EQ(delivery.result().retry, RetryClass::Delivered);
    EXPECT_FALSE(delivery.reusable());
  }
}

TEST(Delivery, DialsOnceWhenAPooledConnectionWasDead) {
  Delivery delivery = written_on_pooled();
  EXPECT_EQ(delivery.on_error(TransportError::Reset), Action::Dial);
  EXPECT_EQ(delivery.on_dialed(), Action::Handshake);
  EXPECT_EQ(delivery.on_secured(), Action::Write);
  EXPECT_EQ(delivery.on_error(TransportError::Reset), Action::Done);
  EXPECT_EQ(delivery.result().outcome, Outcome::Reset);
}

TEST(Delivery, DialsOnceWhenWritingToAPooledConnectionFails) {
  Delivery delivery(Scheme::Http, {});
  ASSERT_EQ(delivery.start(Connection::Pooled), Action::Write);
  EXPECT_EQ(delivery.on_error(TransportError::Reset), Action::Dial);
  EXPECT_EQ(delivery.on_dialed(), Action::Write);
}

TEST(Delivery, DoesNotRepeatWhatMayHaveBeenReceived) {
  Delivery slow = written_on_pooled();
  EXPECT_EQ(slow.on_error(TransportError::Timeout), Action::Done);
  EXPECT_EQ(slow.result().outcome, Outcome::Timeout);

  Delivery begun = written_on_pooled();
  ASSERT_EQ(head(begun, {100, true, ""}), Action::Read);
  EXPECT_EQ(begun.on_error(TransportError::Reset), Action::Done);
  EXPECT_EQ(begun.result().outcome, Outcome::Reset);
}

TEST(Delivery, HandsOnRetryAfterOfThrottlingStatusesOnly) {
  Delivery throttled = written();
  ASSERT_EQ(head(throttled, {429, true, "7"}), Action::Read);
  ASSERT_EQ(throttled.on_complete(0), Action::Done);
  EXPECT_EQ(throttled.result().retry_after, seconds{7});
  EXPECT_TRUE(throttled.reusable());

  Delivery other = written();
  ASSERT_EQ(head(other, {500, true, "7"}), Action::Read);
  ASSERT_EQ(other.on_complete(0), Action::Done);
  EXPECT_EQ(other.result().retry_after, std::nullopt);
}

TEST(Delivery, FailsWithTheWordOfEachStage) {
  const std::vector<std::pair<TransportError, Outcome>> rows{
      {TransportError::Dns, Outcome::Dns},           {TransportError::Blocked, Outcome::Blocked},
      {TransportError::Connect, Outcome::Connect},   {TransportError::Tls, Outcome::Tls},
      {TransportError::Timeout, Outcome::Timeout},   {TransportError::Reset, Outcome::Reset},
      {TransportError::Protocol, Outcome::Protocol}, {TransportError::TooLarge, Outcome::TooLarge}};
  for (const auto& [error, outcome] : rows) {
    Delivery delivery(Scheme::Https, {});
    ASSERT_EQ(delivery.start(Connection::None), Action::Dial);
    EXPECT_EQ(delivery.on_error(error), Action::Done);
    EXPECT_EQ(delivery.result().outcome, outcome);
    EXPECT_EQ(delivery.result().retry, RetryClass::Retry);
    EXPECT_EQ(delivery.result().status, 0);
    EXPECT_FALSE(delivery.reusable());
  }
}

TEST(Delivery, ClassifiesEveryStatus) {
  const std::vector<int> fatal{400, 422};
  for (int status = 200; status < 600; ++status) {
    const Result result = classify_status(status, fatal);
    const RetryClass expected = status < 300                     ? RetryClass::Delivered
                                : status == 410                  ? RetryClass::Gone
                                : status == 400 || status == 422 ? RetryClass::Fatal
                                                                 : RetryClass::Retry;
    const Outcome word = status < 300    ? Outcome::Ok
                         : status == 410 ? Outcome::Gone
                         : status < 400  ? Outcome::Http3xx
                         : status < 500  ? Outcome::Http4xx
                                         : Outcome::Http5xx;
    EXPECT_EQ(result.retry, expected) << status;
    EXPECT_EQ(result.outcome, word) << status;
    EXPECT_EQ(result.status, status);
  }
}

TEST(Delivery, NeverCallsASuccessFatal) {
  const std::vector<int> fatal{200, 410};
  EXPECT_EQ(classify_status(200, fatal).retry, RetryClass::Delivered);
  EXPECT_EQ(classify_status(410, fatal).retry, RetryClass::Gone);
}

}  // namespace
}  // namespace eventrelay::relay
