#include "relay/park/attempts.hpp"

#include <gtest/gtest.h>

namespace eventrelay::relay {
namespace {

using std::chrono::milliseconds;

Event event() {
  Event event;
  event.id = "e-1";
  event.instance = InstanceId{427236};
  return event;
}

TEST(AttemptLine, SaysOfAFailureWhenTheNextAttemptIsDue) {
  const Event failed = event();
  const AttemptLine line{
      failed,
      "427236/audit",
      2,
      Result{metrics::Outcome::Http5xx, RetryClass::Retry, 503, std::nullopt, milliseconds{12}},
      WallTime{milliseconds{1000}},
      Step{Step::Kind::Park, 1, WallTime{milliseconds{31'000}}}};
  EXPECT_EQ(print_attempt(line),
            R"({"v":1,"at":1000,"event":"e-1","instance":427236,"subscription":"427236/audit",)"
            R"("attempt":2,"outcome":"http_5xx","status":503,"ms":12,"next":"retry","due":31000})");
}

TEST(AttemptLine, SaysOfTheLastOneThatItIsDead) {
  const Event failed = event();
  const AttemptLine line{
      failed,
      "427236",
      1,
      Result{metrics::Outcome::Gone, RetryClass::Gone, 410, std::nullopt, milliseconds{3}},
      WallTime{milliseconds{5}},
      Step{Step::Kind::Dead, 0, {}}};
  const std::string text = print_attempt(line);
  EXPECT_NE(text.find(R"("outcome":"gone","status":410,"ms":3,"next":"dead"})"), std::string::npos)
      << text;
}

TEST(AttemptLine, SaysOfASuccessThatItIsDone) {
  const Event sent = event();
  Result result;
  result.took = milliseconds{7};
  const AttemptLine line{sent, "427236", 3, result, WallTime{}, Step{}};
  const std::string text = print_attempt(line);
  EXPECT_NE(text.find(R"("attempt":3,"outcome":"ok","status":0,"ms":7,"next":"done"})"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace eventrelay::relay
