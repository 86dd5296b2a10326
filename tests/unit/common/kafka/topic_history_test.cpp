// What is concluded from looks at the cluster: topics that vanish and come back, partition counts
// that differ, logs that began anew, and looks that say nothing.
#include "common/kafka/topic_history.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace eventrelay::kafka {
namespace {

using Kind = TopicChange::Kind;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TimePoint at(int seconds) {
  return TimePoint{std::chrono::seconds{seconds}};
}

std::vector<TopicSpec> plan() {
  return {{"events", 2, 1, true, {}}, {"retry.5s", 2, 1, true, {}}, {"attempts", 2, 1, false, {}}};
}

ClusterSight sight(int events, int retry, std::int64_t end) {
  ClusterSight seen;
  if (events > 0) seen.partitions["events"] = events;
  if (retry > 0) seen.partitions["retry.5s"] = retry;
  seen.partitions["attempts"] = 7;
  for (int i = 0; i < events; ++i) seen.ends[{"events", i}] = end;
  for (int i = 0; i < retry; ++i) seen.ends[{"retry.5s", i}] = end;
  return seen;
}

ClusterSight silence(const std::string& why) {
  ClusterSight seen;
  seen.silent = why;
  return seen;
}

std::vector<Kind> kinds(const std::vector<TopicChange>& changes) {
  std::vector<Kind> all;
  for (const TopicChange& change : changes) all.push_back(change.kind);
  return all;
}

TEST(TopicHistory, HasNothingToSayWhileAllIsWell) {
  TopicHistory history(plan());
  for (int i = 0; i < 10; ++i) EXPECT_THAT(history.look(sight(2, 2, i), at(i)), IsEmpty());
  EXPECT_THAT(history.reasons(), IsEmpty());
  EXPECT_THAT(history.to_grow(), IsEmpty());
}

TEST(TopicHistory, TellsOfSilenceOnceAndOfItsEnd) {
  TopicHistory history(plan());
  EXPECT_THAT(history.look(sight(2, 2, 1), at(0)), IsEmpty());
  EXPECT_THAT(history.look(silence("timed out"), at(4)), IsEmpty());
  EXPECT_THAT(history.reasons(), IsEmpty());
  EXPECT_THAT(kinds(history.look(silence("timed out"), at(6))), ElementsAre(Kind::Silent));
  EXPECT_THAT(history.look(silence("timed out"), at(8)), IsEmpty());
  EXPECT_THAT(history.reasons(), ElementsAre("Kafka does not answer: timed out"));
  EXPECT_THAT(kinds(history.look(sight(2, 2, 1), at(9))), ElementsAre(Kind::Answers));
  EXPECT_THAT(history.reasons(), IsEmpty());
}

TEST(TopicHistory, TellsOfATopicThatIsGoneAndThatItsLogsAreNewOnes) {
  TopicHistory history(plan());
  (void)history.look(sight(2, 2, 5), at(0));
  EXPECT_THAT(kinds(history.look(sight(2, 0, 5), at(2))), ElementsAre(Kind::Gone));
  EXPECT_THAT(history.reasons(), ElementsAre("topic \"retry.5s\" does not exist"));
  // More was written meanwhile than had been there: the length alone would not tell.
  const auto changes = history.look(sight(2, 2, 24), at(4));
  ASSERT_THAT(kinds(changes), testing::Contains(Kind::Back));
  std::vector<std::string> anew;
  for (const TopicChange& change : changes) {
    if (change.kind == Kind::Anew) {
      anew.push_back(change.topic + "/" + std::to_string(change.partition.value));
    }
  }
  EXPECT_THAT(anew, ElementsAre("retry.5s/0", "retry.5s/1"));
  EXPECT_THAT(history.reasons(), IsEmpty());
  EXPECT_THAT(history.look(sight(2, 2, 25), at(6)), IsEmpty()) << "said once";
}

TEST(TopicHistory, DoesNotTakeEventsForNewAfterOneLookWithoutThem) {
  TopicHistory history(plan());
  (void)history.look(sight(2, 2, 5), at(0));
  (void)history.look(sight(0, 2, 5), at(2));
  EXPECT_THAT(kinds(history.look(sight(2, 2, 6), at(4))), ElementsAre(Kind::Back));
  (void)history.look(sight(0, 2, 6), at(6));
  (void)history.look(sight(0, 2, 6), at(8));
  EXPECT_THAT(kinds(history.look(sight(2, 2, 7), at(10))),
              ElementsAre(Kind::Back, Kind::Anew, Kind::Anew));
}

TEST(TopicHistory, BelievesNothingOfATopicThatABrokerCanNotTellOf) {
  TopicHistory history(plan());
  (void)history.look(sight(2, 2, 5), at(0));
  ClusterSight unclear = sight(2, 0, 5);
  unclear.unclear = {"retry.5s"};
  EXPECT_THAT(history.look(unclear, at(2)), IsEmpty());
  EXPECT_THAT(history.reasons(), IsEmpty());
}

TEST(TopicHistory, TellsOfALogThatIsShorterThanItWas) {
  TopicHistory history(plan());
  (void)history.look(sight(2, 2, 50), at(0));
  EXPECT_THAT(kinds(history.look(sight(2, 2, 3), at(2))),
              ElementsAre(Kind::Anew, Kind::Anew, Kind::Anew, Kind::Anew));
  EXPECT_THAT(history.look(sight(2, 2, 4), at(4)), IsEmpty());
}

// Deleted, made again and filled between two looks: neither is it missed nor shorter than it was.
TEST(TopicHistory, TellsOfALogThatIsLongerThanItWasAndYetAnother) {
  TopicHistory history(plan());
  ClusterSight first = sight(2, 2, 5);
  first.marks[{"events", 1}] = {1000, 5};
  (void)history.look(first, at(0));
  ASSERT_EQ(history.marks().at({"events", 1}).time_ms, 1000);
  ClusterSight same = sight(2, 2, 8);
  same.found[{"events", 1}] = 5;  // the first that came behind the mark
  same.marks[{"events", 1}] = {2000, 8};
  EXPECT_THAT(history.look(same, at(2)), IsEmpty());
  EXPECT_THAT(history.look(sight(2, 2, 8), at(4)), IsEmpty()) << "nothing is as young as the mark";
  ClusterSight other = sight(2, 2, 24);
  other.found[{"events", 1}] = 0;
  other.marks[{"events", 1}] = {6000, 24};
  const auto changes = history.look(other, at(6));
  ASSERT_THAT(kinds(changes), ElementsAre(Kind::Anew));
  EXPECT_EQ(changes.front().partition.value, 1);
  EXPECT_EQ(changes.front().end.value, 24);
  ClusterSight next = sight(2, 2, 30);
  next.found[{"events", 1}] = 24;
  EXPECT_THAT(history.look(next, at(8)), IsEmpty()) << "said once";
}

// The question about a mark may fail while the topic is being made again.
TEST(TopicHistory, AMarkStaysUntilItWasAnswered) {
  TopicHistory history(plan());
  ClusterSight first = sight(2, 2, 5);
  first.marks[{"events", 1}] = {1000, 5};
  (void)history.look(first, at(0));
  ClusterSight unanswered = sight(2, 2, 24);
  unanswered.marks[{"events", 1}] = {6000, 24};
  EXPECT_THAT(history.look(unanswered, at(2)), IsEmpty());
  EXPECT_EQ(history.marks().at({"events", 1}).time_ms, 1000);
  ClusterSight other = sight(2, 2, 25);
  other.found[{"events", 1}] = 0;
  EXPECT_THAT(kinds(history.look(other, at(4))), ElementsAre(Kind::Anew));
  ClusterSight answered = sight(2, 2, 26);
  answered.found[{"events", 0}] = -1;
  answered.marks[{"events", 0}] = {8000, 26};
  EXPECT_THAT(history.look(answered, at(6)), IsEmpty()) << "none is as young as the mark";
  EXPECT_EQ(history.marks().at({"events", 0}).time_ms, 8000);
}

// The whole life of the old log may lie between two looks: who has read it tells of it.
TEST(TopicHistory, TellsOfALogThatBeginsAfterWhatWasReadOfIt) {
  TopicHistory history(plan());
  ClusterSight seen = sight(2, 2, 24);
  seen.read[{"events", 0}] = {5000, 10};
  seen.read_found[{"events", 0}] = 1;
  seen.read[{"events", 1}] = {5000, 10};
  seen.read_found[{"events", 1}] = 0;
  const auto changes = history.look(seen, at(0));
  ASSERT_THAT(kinds(changes), ElementsAre(Kind::Anew)) << "also at the first look";
  EXPECT_EQ(changes.front().partition.value, 1);
  ClusterSight later = sight(2, 2, 30);
  later.read[{"events", 0}] = {5000, 10};
  later.read_found[{"events", 0}] = 9;
  later.read[{"events", 1}] = {5000, 10};
  later.read_found[{"events", 1}] = -1;
  EXPECT_THAT(history.look(later, at(2)), IsEmpty());
}

TEST(TopicHistory, SaysNothingOfALogWhoseEndIsNotKnown) {
  TopicHistory history(plan());
  (void)history.look(sight(2, 2, 50), at(0));
  ClusterSight unknown = sight(2, 2, 0);
  unknown.ends.clear();
  EXPECT_THAT(history.look(unknown, at(2)), IsEmpty());
  EXPECT_THAT(history.look(sight(2, 2, 51), at(4)), IsEmpty());
}

TEST(TopicHistory, ANewLogIsStillToldWhenItsEndIsKnownLater) {
  TopicHistory history(plan());
  (void)history.look(sight(2, 2, 5), at(0));
  (void)history.look(sight(2, 0, 5), at(2));
  ClusterSight unknown = sight(2, 2, 0);
  unknown.ends.clear();
  EXPECT_THAT(kinds(history.look(unknown, at(4))), ElementsAre(Kind::Back));
  EXPECT_THAT(kinds(history.look(sight(2, 2, 9), at(6))), ElementsAre(Kind::Anew, Kind::Anew));
}

TEST(TopicHistory, TellsOfEventsThatHaveGrownAndWhichTopicsMustFollow) {
  TopicHistory history(plan());
  (void)history.look(sight(2, 2, 1), at(0));
  const auto changes = history.look(sight(4, 2, 1), at(2));
  EXPECT_THAT(kinds(changes), ElementsAre(Kind::Grown, Kind::Disagrees));
  EXPECT_EQ(changes.front().partition.value, 4);
  EXPECT_THAT(history.reasons(),
              ElementsAre(HasSubstr("\"retry.5s\" has 2 partitions, \"events\" has 4")));
  EXPECT_THAT(history.to_grow(), ElementsAre(testing::Pair("retry.5s", 4)));
  EXPECT_THAT(history.look(sight(4, 2, 1), at(4)), IsEmpty());
  EXPECT_THAT(kinds(history.look(sight(4, 4, 1), at(6))), ElementsAre(Kind::Agrees));
  EXPECT_THAT(history.reasons(), IsEmpty());
}

// Remade with fewer or with more partitions: both disagree, and only one of them can grow.
TEST(TopicHistory, DoesNotGrowWhatIsLargerThanEvents) {
  TopicHistory history(plan());
  (void)history.look(sight(2, 4, 1), at(0));
  EXPECT_THAT(history.reasons(), ElementsAre(HasSubstr("\"retry.5s\" has 4 partitions")));
  EXPECT_THAT(history.to_grow(), IsEmpty());
}

}  // namespace
}  // namespace eventrelay::kafka
