#include "cli/records/replay_selection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/command/command.hpp"

namespace eventrelay::cli {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr WallTime kNow{milliseconds{1'800'000'000'000}};  // 2027-01-15T08:00:00Z

std::shared_ptr<const Settings> settings() {
  ConfigInput input;
  input.text =
      "version: 1\n"
      "sources:\n  box:\n    keys: [k]\n"
      "instances:\n"
      "  - id: 427236\n    name: docs\n    element: box\n    configuration:\n"
      "      event.notification.enabled: true\n"
      "      event.notification.callback.url: https://mycoolapp.com/events\n"
      "    subscriptions:\n"
      "      - {name: audit, url: 'https://mycoolapp.com/audit',\n"
      "         filter: {event_types: [CREATED]}}\n"
      "  - id: 7\n    name: off\n    element: box\n    configuration:\n"
      "      event.notification.enabled: false\n"
      "      event.notification.callback.url: https://mycoolapp.com/events\n";
  return load_settings(input);
}

std::string refusal(const ReplayAsk& ask) {
  try {
    (void)select(ask, *settings(), kNow);
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), Exit::Usage);
    return failure.what();
  }
  return "nothing refused";
}

Event event_of(std::uint64_t instance, std::string_view type) {
  Event event;
  event.id = "ev-1";
  event.element = "box";
  event.instance = InstanceId{instance};
  event.event_type = type;
  return event;
}

Event dead_of(std::uint64_t instance, std::string_view subscription) {
  Event event = event_of(instance, "CREATED");
  event.parked = ParkedState{.subscription = subscription,
                             .attempts_made = 8,
                             .due = {},
                             .first_failure = kNow,
                             .reason = "timeout"};
  return event;
}

TEST(ReplaySelection, TakesTimesDatesAndAges) {
  EXPECT_EQ(parse_moment("--since", "2027-01-15T08:00:00Z", kNow), kNow);
  EXPECT_EQ(parse_moment("--since", "2027-01-15T09:00:00+01:00", kNow), kNow);
  EXPECT_EQ(parse_moment("--since", "2027-01-15", kNow), kNow - hours{8});
  EXPECT_EQ(parse_moment("--since", "2h", kNow), kNow - hours{2});
  for (const char* wrong : {"yesterday", "2027-13-01", "2027-01-15 08:00", "2", "-2h", ""}) {
    EXPECT_THROW((void)parse_moment("--since", wrong, kNow), Failure) << wrong;
  }
}

TEST(ReplaySelection, RefusesWhatItCannotMeanAndNamesIt) {
  EXPECT_THAT(refusal({.from = "retry"}), HasSubstr("--from \"retry\""));
  EXPECT_THAT(refusal({.instance = 5}), HasSubstr("--instance 5: no such instance"));
  EXPECT_THAT(refusal({.subscription = "427236/other"}),
              AllOf(HasSubstr("427236/other"), HasSubstr("427236/audit")));
  EXPECT_THAT(refusal({.subscription = "audit"}), HasSubstr("with --instance"));
  EXPECT_THAT(refusal({.instance = 7, .subscription = "427236/audit"}),
              HasSubstr("is not of --instance 7"));
  EXPECT_THAT(refusal({.since = "2027-02-01"}), HasSubstr("future"));
  EXPECT_THAT(refusal({.since = "2h", .until = "3h"}), HasSubstr("is not before --until 3h"));
  EXPECT_THAT(refusal({.since = "soon"}), HasSubstr("--since \"soon\": not a time"));
  EXPECT_THAT(refusal({.name = "a b"}), HasSubstr("--name \"a b\""));
  EXPECT_THAT(refusal({.from = "events"}), HasSubstr("say which"));
}

TEST(ReplaySelection, KnowsASubscriptionByIdOrByNameWithItsInstance) {
  for (const ReplayAsk& ask : {ReplayAsk{.subscription = "427236/audit"},
                               ReplayAsk{.instance = 427236, .subscription = "audit"}}) {
    const ReplaySelection selection = select(ask, *settings(), kNow);
    EXPECT_EQ(selection.subscription, "427236/audit");
    EXPECT_EQ(selection.instance, InstanceId{427236});
  }
}

TEST(ReplaySelection, HasTheSameNameForTheSameFlagsOnly) {
  const auto name = [](const ReplayAsk& ask) { return select(ask, *settings(), kNow).name; };
  EXPECT_EQ(name({.ids = {"a", "b"}}), name({.ids = {"b", "a"}}));
  EXPECT_NE(name({.ids = {"a"}}), name({.ids = {"b"}}));
  EXPECT_NE(name({}), name({.instance = 427236}));
  EXPECT_NE(name({.since = "2h"}), name({.until = "2h"}));
  EXPECT_EQ(name({.name = "mine"}), "mine");
}

TEST(ReplaySelection, GoesOnWithTheTimesItWasBegunWith) {
  const auto begun = select({.since = "2h"}, *settings(), kNow);
  auto later = select({.since = "2h"}, *settings(), kNow + hours{1});
  EXPECT_EQ(go_on(later, print_note(begun, ReplayState::Open)), ReplayState::Open);
  EXPECT_EQ(later.since, begun.since);
  EXPECT_FALSE(later.until);
  auto after = select({.since = "2h"}, *settings(), kNow + hours{1});
  EXPECT_EQ(go_on(after, print_note(begun, ReplayState::Done)), ReplayState::Done);
  EXPECT_EQ(after.since, kNow - hours{1});
  auto other = select({.since = "3h", .name = begun.name}, *settings(), kNow);
  EXPECT_THROW((void)go_on(other, print_note(begun, ReplayState::Open)), Failure);
  EXPECT_THROW((void)go_on(other, "ranges 1-5"), Failure);
}

TEST(ReplaySelection, SendsADeadLetterToTheSubscriptionItFailedFor) {
  const auto all = select({}, *settings(), kNow);
  std::vector<std::string_view> to;
  EXPECT_EQ(choose(all, *settings(), dead_of(427236, "427236/audit"), to), Chosen::Selected);
  EXPECT_THAT(to, ElementsAre("427236/audit"));
  EXPECT_EQ(choose(all, *settings(), dead_of(427236, "427236/gone"), to), Chosen::NoSubscription);
  EXPECT_EQ(choose(all, *settings(), dead_of(7, "7"), to), Chosen::NoSubscription);
  const auto one = select({.subscription = "427236"}, *settings(), kNow);
  EXPECT_EQ(choose(one, *settings(), dead_of(427236, "427236/audit"), to), Chosen::NotAsked);
  EXPECT_EQ(choose(one, *settings(), dead_of(427236, "427236"), to), Chosen::Selected);
  const auto other = select({.ids = {"ev-2"}}, *settings(), kNow);
  EXPECT_EQ(choose(other, *settings(), dead_of(427236, "427236"), to), Chosen::NotAsked);
}

TEST(ReplaySelection, SendsHistoryToEverySubscriptionThatWantsIt) {
  const auto known = settings();
  const auto all = select({.from = "events", .instance = 427236}, *known, kNow);
  std::vector<std::string_view> to;
  EXPECT_EQ(choose(all, *known, event_of(427236, "CREATED"), to), Chosen::Selected);
  EXPECT_THAT(to, ElementsAre("427236", "427236/audit"));
  EXPECT_EQ(choose(all, *known, event_of(427236, "DELETED"), to), Chosen::Selected);
  EXPECT_THAT(to, ElementsAre("427236"));
  EXPECT_EQ(choose(all, *known, event_of(8, "DELETED"), to), Chosen::NotAsked);
  const auto named = select({.from = "events", .subscription = "427236/audit"}, *known, kNow);
  EXPECT_EQ(choose(named, *known, event_of(427236, "DELETED"), to), Chosen::NoSubscription);
  const auto off = select({.from = "events", .instance = 7}, *known, kNow);
  EXPECT_EQ(choose(off, *known, event_of(7, "CREATED"), to), Chosen::NoSubscription);
}

}  // namespace
}  // namespace eventrelay::cli
