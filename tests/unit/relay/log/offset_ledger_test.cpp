#include "relay/log/offset_ledger.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace eventrelay::relay {
namespace {

using Begin = OffsetLedger::Begin;

Offset at(std::int64_t offset) {
  return Offset{offset};
}

TEST(OffsetLedger, KnowsNothingBeforeTheFirstEventOfANewGroup) {
  OffsetLedger ledger;
  ledger.assign(std::nullopt);
  EXPECT_EQ(ledger.committable(), std::nullopt);
  EXPECT_EQ(ledger.begin(at(7)), Begin::Started);
  EXPECT_EQ(ledger.committable(), at(7));
}

TEST(OffsetLedger, HoldsCommitBehindUnfinishedEvent) {
  OffsetLedger ledger;
  const Epoch epoch = ledger.assign(at(10));
  for (std::int64_t i = 10; i < 14; ++i) ASSERT_EQ(ledger.begin(at(i)), Begin::Started);
  EXPECT_TRUE(ledger.finish(at(11), epoch));
  EXPECT_TRUE(ledger.finish(at(13), epoch));
  EXPECT_EQ(ledger.committable(), at(10));
  EXPECT_TRUE(ledger.finish(at(10), epoch));
  EXPECT_EQ(ledger.committable(), at(12));
  EXPECT_EQ(ledger.in_flight(), 1U);
  EXPECT_TRUE(ledger.finish(at(12), epoch));
  EXPECT_EQ(ledger.committable(), at(14));
}

TEST(OffsetLedger, PassesGapsThatTheLogHas) {
  OffsetLedger ledger;
  const Epoch epoch = ledger.assign(at(0));
  ASSERT_EQ(ledger.begin(at(3)), Begin::Started);
  ASSERT_EQ(ledger.begin(at(1000)), Begin::Started);
  EXPECT_EQ(ledger.committable(), at(3));
  ledger.finish(at(3), epoch);
  EXPECT_EQ(ledger.committable(), at(1000));
  ledger.finish(at(1000), epoch);
  EXPECT_EQ(ledger.committable(), at(1001));
}

TEST(OffsetLedger, RefusesTheEventBeyondItsCountAtLimit) {
  OffsetLedger ledger({.count_max = 3, .span_max = 64});
  const Epoch epoch = ledger.assign(at(0));
  for (std::int64_t i = 0; i < 3; ++i) ASSERT_EQ(ledger.begin(at(i)), Begin::Started);
  EXPECT_EQ(ledger.begin(at(3)), Begin::Full);
  EXPECT_EQ(ledger.begin(at(3)), Begin::Full);
  ledger.finish(at(1), epoch);
  EXPECT_EQ(ledger.begin(at(3)), Begin::Started);
}

TEST(OffsetLedger, RefusesTheEventBeyondItsSpanAtLimit) {
  OffsetLedger ledger({.count_max = 100, .span_max = 64});
  const Epoch epoch = ledger.assign(at(5));
  ASSERT_EQ(ledger.begin(at(5)), Begin::Started);
  ASSERT_EQ(ledger.begin(at(68)), Begin::Started);
  EXPECT_EQ(ledger.begin(at(69)), Begin::Full);
  ledger.finish(at(5), epoch);
  EXPECT_EQ(ledger.committable(), at(68));
  EXPECT_EQ(ledger.begin(at(69)), Begin::Started);
}

TEST(OffsetLedger, TakesAGapWiderThanItsSpanWhenNothingIsUnfinished) {
  OffsetLedger ledger({.count_max = 4, .span_max = 64});
  const Epoch epoch = ledger.assign(at(0));
  ASSERT_EQ(ledger.begin(at(0)), Begin::Started);
  ledger.finish(at(0), epoch);
  EXPECT_EQ(ledger.begin(at(1'000'000)), Begin::Started);
  EXPECT_EQ(ledger.committable(), at(1'000'000));
}

TEST(OffsetLedger, IgnoresCompletionsOfAFormerAssignment) {
  OffsetLedger ledger;
  const Epoch former = ledger.assign(at(0));
  ASSERT_EQ(ledger.begin(at(0)), Begin::Started);
  const Epoch current = ledger.assign(at(0));
  ASSERT_EQ(ledger.begin(at(0)), Begin::Started);
  EXPECT_FALSE(ledger.finish(at(0), former));
  EXPECT_EQ(ledger.committable(), at(0));
  EXPECT_EQ(ledger.in_flight(), 1U);
  EXPECT_TRUE(ledger.finish(at(0), current));
  EXPECT_EQ(ledger.committable(), at(1));
}

TEST(OffsetLedger, TellsAnOffsetThatWentBackwards) {
  OffsetLedger ledger;
  ledger.assign(at(10));
  ASSERT_EQ(ledger.begin(at(12)), Begin::Started);
  EXPECT_EQ(ledger.begin(at(12)), Begin::Backwards);
  EXPECT_EQ(ledger.begin(at(3)), Begin::Backwards);
}

TEST(OffsetLedger, StartsBelowTheCommitWhenTheLogWasMadeAnew) {
  OffsetLedger ledger;
  ledger.assign(at(100));
  ASSERT_EQ(ledger.restore("1:0,50"), 50U);
  ASSERT_EQ(ledger.begin(at(0)), Begin::Started);
  EXPECT_EQ(ledger.committable(), at(0));
  EXPECT_EQ(ledger.begin(at(1)), Begin::Started);
}

TEST(OffsetLedger, WritesFinishedRangesAsRunLengths) {
  OffsetLedger ledger;
  const Epoch epoch = ledger.assign(at(100));
  for (std::int64_t i = 100; i < 110; ++i) ASSERT_EQ(ledger.begin(at(i)), Begin::Started);
  EXPECT_EQ(ledger.encode_ranges(), "");
  for (const std::int64_t i : {101, 102, 105, 109}) ledger.finish(at(i), epoch);
  EXPECT_EQ(ledger.encode_ranges(), "1:1,2,2,1,3,1");
}

TEST(OffsetLedger, SkipsWhatWasFinishedBeforeTheRestart) {
  OffsetLedger ledger;
  const Epoch epoch = ledger.assign(at(100));
  EXPECT_EQ(ledger.restore("1:1,2,2,1"), 3U);
  EXPECT_EQ(ledger.begin(at(100)), Begin::Started);
  EXPECT_EQ(ledger.begin(at(101)), Begin::AlreadyDone);
  EXPECT_EQ(ledger.encode_ranges(), "1:1,2,2,1");  // they stay known, whether they were read or not
  EXPECT_EQ(ledger.begin(at(102)), Begin::AlreadyDone);
  EXPECT_EQ(ledger.begin(at(103)), Begin::Started);
  ledger.finish(at(100), epoch);
  EXPECT_EQ(ledger.committable(), at(103));
  ledger.finish(at(103), epoch);
  EXPECT_EQ(ledger.committable(), at(104));
  EXPECT_EQ(ledger.encode_ranges(), "1:1,1");
}

TEST(OffsetLedger, RefusesMetadataThatIsNotOurs) {
  const std::string too_long = "1:" + std::string(5000, '1');
  for (const std::string_view text : std::initializer_list<std::string_view>{
           "", "2:1,1", "1:1", "1:1,", "1:1,0", "1:,1", "1:1,1,", "1:1,1,0,1", "1:-1,2", "1: 1,2",
           "1:1,2x", "1:1;2", "hello", "1:99999999999,1", "1:1,99999999999999999999999",
           std::string_view("1:1,\0", 5), too_long}) {
    OffsetLedger ledger;
    ledger.assign(at(0));
    EXPECT_EQ(ledger.restore(text), 0U) << text;
    EXPECT_EQ(ledger.begin(at(1)), Begin::Started) << text;
  }
}

TEST(OffsetLedger, CutsRangesFromTheFarEndToFit) {
  OffsetLedger ledger({.count_max = 50'000, .span_max = 1 << 16});
  const Epoch epoch = ledger.assign(at(0));
  for (std::int64_t i = 0; i < 40'000; ++i) ASSERT_EQ(ledger.begin(at(i)), Begin::Started);
  for (std::int64_t i = 1; i < 40'000; i += 2) ledger.finish(at(i), epoch);
  const std::string text = ledger.encode_ranges(4096);
  EXPECT_LE(text.size(), 4096U);
  EXPECT_GT(text.size(), 4090U);
  OffsetLedger next;
  next.assign(at(0));
  EXPECT_EQ(next.restore(text), (text.size() - 1) / 4);  // one offset per `1,1,`
  EXPECT_EQ(next.begin(at(0)), Begin::Started);
  EXPECT_EQ(next.begin(at(1)), Begin::AlreadyDone);
}

// The plainest model of the ledger: a map from offset to state.
class Model {
 public:
  void assign(std::int64_t committed) {
    states_.clear();
    base_ = committed;
  }
  void begin(std::int64_t offset) { states_[offset] = false; }
  void done_before(std::int64_t offset) { states_[offset] = true; }
  void finish(std::int64_t offset) { states_[offset] = true; }
  [[nodiscard]] std::int64_t committable() const {
    for (const auto& [offset, done] : states_) {
      if (!done) return offset;
    }
    return states_.empty() ? base_ : std::max(base_, states_.rbegin()->first + 1);
  }
  [[nodiscard]] std::size_t open() const {
    std::size_t count = 0;
    for (const auto& [offset, done] : states_) count += done ? 0U : 1U;
    return count;
  }
  [[nodiscard]] const std::map<std::int64_t, bool>& states() const { return states_; }

 private:
  std::map<std::int64_t, bool> states_;  // true = done
  std::int64_t base_ = 0;
};

// Which offsets of the log hold an event: blocks of five are missing now and then.
bool exists(std::uint64_t seed, std::int64_t offset) {
  std::uint64_t hash = (seed ^ static_cast<std::uint64_t>(offset / 5)) * 0x9E3779B97F4A7C15U;
  hash ^= hash >> 29U;
  return hash % 7 != 0;
}

// One random life begins events with gaps and finishes them in any order. Now and then a restart
// reads the committed offset and the ranges back.
void run_schedule(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto up_to = [&random](std::uint64_t n) { return static_cast<std::int64_t>(random() % n); };
  const LedgerBounds bounds{.count_max = static_cast<std::uint32_t>(1 + up_to(20)), .span_max = 64};
  OffsetLedger ledger(bounds);
  Model model;
  std::vector<std::int64_t> open;
  std::int64_t read = up_to(1000);
  std::map<std::int64_t, bool> delivered;  // kept over restarts; none may be lost or repeated
  Epoch epoch = ledger.assign(at(read));
  model.assign(read);
  const int steps = static_cast<int>(10 + up_to(60));
  for (int step = 0; step < steps; ++step) {
    const std::int64_t choice = up_to(10);
    if (choice < 5) {
      std::int64_t offset = read;
      while (!exists(seed, offset)) ++offset;
      const std::int64_t oldest =
          open.empty() ? offset : *std::min_element(open.begin(), open.end());
      const Begin begin = ledger.begin(at(offset));
      if (begin == Begin::Full) {
        ASSERT_TRUE(open.size() >= bounds.count_max || offset - oldest >= 64) << seed;
        continue;
      }
      ASSERT_EQ(begin == Begin::AlreadyDone, delivered.contains(offset)) << seed;
      read = offset + 1;
      if (begin == Begin::Started) {
        ASSERT_LT(open.size(), bounds.count_max) << seed;
        model.begin(offset);
        open.push_back(offset);
      } else {
        model.done_before(offset);
      }
    } else if (choice < 9 && !open.empty()) {
      const auto pick = open.begin() + up_to(open.size());
      ASSERT_TRUE(ledger.finish(at(*pick), epoch)) << seed;
      model.finish(*pick);
      delivered[*pick] = true;
      open.erase(pick);
    } else if (choice == 9) {
      const Offset committed = *ledger.committable();
      const std::string ranges = ledger.encode_ranges();
      epoch = ledger.assign(committed);
      ledger.restore(ranges);
      // Offsets below the new base are finished; a gap is never read as an event later.
      model.assign(committed.value);
      open.clear();
      read = committed.value;
    }
    ASSERT_EQ(ledger.committable()->value, model.committable()) << seed;
    ASSERT_EQ(ledger.in_flight(), model.open()) << seed;
  }
}

TEST(OffsetLedger, AgreesWithAPlainMapOverRandomSchedules) {
  const std::uint64_t first = 20'260'101;
  RecordProperty("first_seed", static_cast<int>(first));
  for (std::uint64_t seed = first; seed < first + 120'000; ++seed) {
    run_schedule(seed);
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace eventrelay::relay
