#include "relay/backlog/cursor/state_record.hpp"

#include <gtest/gtest.h>

namespace eventrelay::relay {
namespace {

using namespace std::chrono_literals;

StateRecord sample() {
  StateRecord record;
  record.subscription = "427236";
  record.from = Offset{120};
  record.position = Offset{123};
  record.epoch = 1;
  record.since = WallTime(1'700'000'000'000ms);
  record.reason = "queue_full";
  return record;
}

TEST(StateRecord, IsWrittenAsTheInterfaceSays) {
  EXPECT_EQ(encode(sample()),
            R"({"v":1,"subscription":"427236","object":null,"state":"detached","from":120,)"
            R"("cursor":123,"end":null,"due":null,"attempt":0,"epoch":1,"since":1700000000000,)"
            R"("reason":"queue_full"})");
}

TEST(StateRecord, ComesBackAsItWasWritten) {
  StateRecord record = sample();
  record.object = "a|b@7 \"x\"";
  record.state = CursorState::Blocked;
  record.end = Offset{200};
  record.due = WallTime(1'700'000'005'000ms);
  record.attempt = 3;
  record.ranges = "1:1,4";
  const auto read = decode_state(encode(record));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->object, record.object);
  EXPECT_EQ(read->state, record.state);
  EXPECT_EQ(read->end, record.end);
  EXPECT_EQ(read->due, record.due);
  EXPECT_EQ(read->attempt, 3U);
  EXPECT_EQ(read->ranges, record.ranges);
  EXPECT_EQ(encode(*read), encode(record));
}

TEST(StateRecord, NamesAnObjectThatIsEmptyApartFromNone) {
  EXPECT_EQ(state_key("427236", std::nullopt, Offset{120}), "427236@120");
  EXPECT_EQ(state_key("427236", "", Offset{120}), "427236|@120");
  EXPECT_EQ(state_key("427236/audit", "17", Offset{1}), "427236/audit|17@1");
}

TEST(StateRecord, RefusesWhatItDoesNotKnow) {
  const std::string good = encode(sample());
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return decode_state(text);
  };
  EXPECT_EQ(with("\"v\":1", "\"v\":2").error(), StateError::UnknownVersion);
  EXPECT_EQ(with("\"v\":1,", "").error(), StateError::MissingField);
  EXPECT_EQ(with("\"cursor\":123,", "").error(), StateError::MissingField);
  EXPECT_EQ(with("\"end\":null,", "").error(), StateError::MissingField);
  EXPECT_EQ(with("detached", "elsewhere").error(), StateError::BadField);
  EXPECT_EQ(with("\"cursor\":123", "\"cursor\":-1").error(), StateError::BadField);
  EXPECT_EQ(with("\"cursor\":123", "\"cursor\":1.5").error(), StateError::BadField);
  EXPECT_EQ(with("\"cursor\":123", "\"cursor\":119").error(), StateError::BadField);
  EXPECT_EQ(with("\"from\":120", "\"from\":\"120\"").error(), StateError::BadField);
  EXPECT_EQ(with("427236", "").error(), StateError::BadField);
  EXPECT_EQ(with("\"attempt\":0", "\"attempt\":4294967296").error(), StateError::BadField);
  EXPECT_EQ(decode_state("[1]").error(), StateError::NotJson);
  EXPECT_EQ(decode_state(good + "x").error(), StateError::NotJson);
  EXPECT_EQ(decode_state(std::string(kStateValueMax + 1, ' ')).error(), StateError::TooLong);
}

// What an owner of `epoch` says about the cursor of the sample.
std::string said(StateEpoch epoch, std::int64_t position, std::optional<Offset> end = {}) {
  StateRecord record = sample();
  record.epoch = epoch;
  record.position = Offset{position};
  record.end = end;
  return encode(record);
}

constexpr std::string_view kKey = "427236@120";

TEST(StateTable, KeepsTheLastRecordOfAKey) {
  StateTable table;
  EXPECT_TRUE(*table.take(kKey, said(1, 121)));
  EXPECT_TRUE(*table.take(kKey, said(1, 130)));
  ASSERT_EQ(table.records().size(), 1U);
  EXPECT_EQ(table.records().begin()->second.position, Offset{130});
}

TEST(StateTable, DoesNotCountAnOlderOwnerBehindANewerOnesMark) {
  StateTable table;
  EXPECT_TRUE(*table.take(kKey, said(1, 121)));
  EXPECT_TRUE(*table.take(kOwnerKey, encode(OwnerRecord{2, "b"})));
  EXPECT_FALSE(*table.take(kKey, said(1, 150)));
  EXPECT_EQ(table.records().begin()->second.position, Offset{121});
  EXPECT_EQ(table.fenced(), std::vector<std::string>{std::string(kKey)});
  EXPECT_EQ(table.epoch(), 2U);
  EXPECT_EQ(table.owner(), "b");
}

TEST(StateTable, DoesNotCountAnOldMark) {
  StateTable table;
  EXPECT_TRUE(*table.take(kOwnerKey, encode(OwnerRecord{3, "b"})));
  EXPECT_FALSE(*table.take(kOwnerKey, encode(OwnerRecord{2, "a"})));
  EXPECT_EQ(table.owner(), "b");
}

TEST(StateTable, CountsTheFirstOfTwoMarksOfOneEpoch) {
  StateTable table;
  EXPECT_TRUE(*table.take(kOwnerKey, encode(OwnerRecord{2, "a"})));
  EXPECT_FALSE(*table.take(kOwnerKey, encode(OwnerRecord{2, "b"})));
  EXPECT_EQ(table.owner(), "a");
  EXPECT_TRUE(*table.take(kKey, said(2, 121)));
  EXPECT_FALSE(*table.take(kOwnerKey, encode(OwnerRecord{2, "b"})));
  EXPECT_EQ(table.owner(), "a");
}

TEST(StateTable, DropsAnEntryOnlyBehindTheRecordThatSaysItIsOver) {
  StateTable table;
  EXPECT_TRUE(*table.take(kKey, said(1, 121)));
  EXPECT_FALSE(*table.take(kKey, ""));
  EXPECT_EQ(table.records().size(), 1U);
  EXPECT_EQ(table.fenced().size(), 1U);
  EXPECT_TRUE(*table.take(kKey, said(1, 140, Offset{140})));
  EXPECT_TRUE(*table.take(kKey, ""));
  EXPECT_TRUE(table.records().empty());
}

TEST(StateTable, StopsAtARecordUnderAWrongKey) {
  StateTable table;
  EXPECT_EQ(table.take("427236@119", said(1, 121)).error(), StateError::BadField);
  EXPECT_EQ(table.take(kKey, "{}").error(), StateError::MissingField);
  EXPECT_TRUE(table.records().empty());
}

}  // namespace
}  // namespace eventrelay::relay
