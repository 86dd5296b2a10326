// A partition goes through many owners, and no commit of any of them passes an unfinished event.
//
// The oracle is the log itself: which of its events were finished by anybody. One seed is one life.
// A default run has 100,000 of them; EVENTRELAY_NIGHTLY=1 makes it 1,000,000.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "relay/dispatch/retry.hpp"
#include "relay/log/offset_ledger.hpp"

namespace eventrelay::relay {
namespace {

using Begin = OffsetLedger::Begin;

constexpr std::int64_t kLogMax = 320;
constexpr std::int64_t kSpan = 64;

// Counts what the lives met, since a search that met nothing has shown nothing.
struct Verdict {
  std::uint64_t full = 0;
  std::uint64_t span_full = 0;
  std::uint64_t already_done = 0;
  std::uint64_t gaps = 0;
  std::uint64_t revokes = 0;
  std::uint64_t late_ends = 0;
  std::uint64_t cut_ranges = 0;
  std::uint64_t damaged = 0;
};

// An attempt that was under way when its owner lost the partition.
struct LateEnd {
  std::int64_t offset;
  Epoch epoch;
};

class Life {
 public:
  Life(std::uint64_t seed, Verdict& seen) : random_(seed), seen_(seen), base_(up_to(1'000'000)) {
    bounds_.count_max = static_cast<std::uint32_t>(1 + up_to(24));
    bounds_.span_max = static_cast<std::uint32_t>(kSpan);
    // Runs of events and gaps; one life in four has gaps wider than the window.
    const std::int64_t gap_max = up_to(4) == 0 ? 2 * kSpan : 6;
    bool event = true;
    for (std::int64_t left = 0; std::ssize(log_) < kLogMax; --left) {
      if (left <= 0) {
        event = !event;
        left = 1 + up_to(static_cast<std::uint64_t>(event ? 30 : gap_max));
      }
      log_.push_back(event ? State::Untouched : State::Gap);
    }
    ledger_ = OffsetLedger(bounds_);
    epoch_ = ledger_.assign(Offset{base_});
    next_ = committed_ = base_;
  }

  void run() {
    const std::int64_t steps = 20 + up_to(120);
    for (std::int64_t step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
      const std::int64_t choice = up_to(16);
      if (choice < 7) {
        begin();
      } else if (choice < 13) {
        finish();
      } else if (choice < 14) {
        end_late();
      } else if (choice < 15) {
        commit(up_to(4) == 0 ? static_cast<std::size_t>(up_to(12)) : 4096);
      } else if (up_to(3) == 0) {
        revoke();
      }
      ASSERT_EQ(ledger_.in_flight(), open_.size());
      ASSERT_LE(ledger_.in_flight(), bounds_.count_max);
    }
    // The last owner ends what is left; then nothing may be held back.
    while (!open_.empty()) finish();
    commit(4096);
    ASSERT_EQ(committed_, std::max(next_, base_));
  }

 private:
  enum class State : std::uint8_t { Gap, Untouched, Done };

  std::int64_t up_to(std::uint64_t n) { return static_cast<std::int64_t>(random_.next() % n); }
  State& at(std::int64_t offset) { return log_[static_cast<std::size_t>(offset - base_)]; }
  [[nodiscard]] std::int64_t end() const { return base_ + std::ssize(log_); }

  void begin() {
    std::int64_t offset = next_;
    while (offset < end() && at(offset) == State::Gap) ++offset;
    if (offset == end()) return;
    if (offset != next_) ++seen_.gaps;
    const Begin verdict = ledger_.begin(Offset{offset});
    const std::int64_t oldest = open_.empty() ? offset : *std::ranges::min_element(open_);
    const bool wide = offset - oldest >= kSpan;
    switch (verdict) {
      case Begin::Full:
        ASSERT_TRUE(wide || open_.size() >= bounds_.count_max);
        ++(wide ? seen_.span_full : seen_.full);
        return;
      case Begin::AlreadyDone:
        ASSERT_EQ(at(offset), State::Done) << "an event was skipped that nobody finished";
        ++seen_.already_done;
        break;
      case Begin::Started:
        ASSERT_FALSE(wide);
        // Ranges that were read back whole repeat nothing that they name.
        ASSERT_FALSE(std::ranges::binary_search(named_, offset));
        open_.push_back(offset);
        break;
      case Begin::Backwards:
        FAIL() << "offset " << offset << " after " << next_;
    }
    next_ = offset + 1;
  }

  void finish() {
    if (open_.empty()) return;
    const auto pick = open_.begin() + up_to(open_.size());
    ASSERT_TRUE(ledger_.finish(Offset{*pick}, epoch_));
    at(*pick) = State::Done;
    *pick = open_.back();
    open_.pop_back();
  }

  // The event was delivered, but that changes nothing for the present owner.
  void end_late() {
    if (late_.empty()) return;
    const LateEnd end = late_.back();
    late_.pop_back();
    at(end.offset) = State::Done;
    const auto before = ledger_.committable();
    ASSERT_FALSE(ledger_.finish(Offset{end.offset}, end.epoch));
    ASSERT_EQ(ledger_.committable(), before);
    ++seen_.late_ends;
  }

  void commit(std::size_t max_bytes) {
    const std::int64_t offset = ledger_.committable()->value;
    ASSERT_GE(offset, committed_) << "a commit went back";
    for (std::int64_t i = committed_; i < std::min(offset, end()); ++i) {
      ASSERT_NE(at(i), State::Untouched) << "a commit passed the unfinished event " << i;
    }
    if (!open_.empty()) {
      ASSERT_EQ(offset, *std::ranges::min_element(open_));
    }
    committed_ = offset;
    ranges_ = ledger_.encode_ranges(max_bytes);
    ASSERT_LE(ranges_.size(), max_bytes);
    if (max_bytes < 4096 && ranges_.size() < ledger_.encode_ranges().size()) ++seen_.cut_ranges;
  }

  // The next owner knows only what was committed. Attempts in flight may still end.
  void revoke() {
    if (up_to(2) == 0) commit(4096);
    for (const std::int64_t offset : open_) late_.push_back(LateEnd{offset, epoch_});
    open_.clear();
    epoch_ = ledger_.assign(Offset{committed_});
    next_ = committed_;
    named_.clear();
    ++seen_.revokes;
    if (up_to(8) == 0 && !ranges_.empty()) {
      // Metadata that was damaged on its way says nothing; it is taken whole or not at all.
      std::string damaged = ranges_.substr(0, ranges_.size() - 1);
      damaged.push_back('x');
      ASSERT_EQ(ledger_.restore(damaged), 0U);
      ++seen_.damaged;
      return;
    }
    const std::uint64_t named = ledger_.restore(ranges_);
    check_named(named);
    ASSERT_EQ(ledger_.committable()->value, committed_);
    ASSERT_EQ(ledger_.encode_ranges(), ranges_) << "ranges did not come back as they were";
  }

  // Reads the run lengths with code of its own, and looks each offset up in the log.
  void check_named(std::uint64_t count) {
    if (ranges_.empty()) return;
    std::int64_t offset = committed_;
    bool finished = false;
    for (const char* p = ranges_.c_str() + 2;; ++p) {
      char* rest = nullptr;
      const std::int64_t run = std::strtoll(p, &rest, 10);
      for (std::int64_t i = offset; finished && i < offset + run; ++i) {
        ASSERT_NE(at(i), State::Untouched) << "the ranges name the unfinished event " << i;
        named_.push_back(i);
      }
      offset += run;
      finished = !finished;
      p = rest;
      if (*p == '\0') break;
    }
    ASSERT_EQ(named_.size(), count);
  }

  Random random_;
  Verdict& seen_;
  std::int64_t base_;
  LedgerBounds bounds_;
  OffsetLedger ledger_;
  Epoch epoch_ = 0;
  std::vector<State> log_;
  std::vector<std::int64_t> open_;
  std::vector<std::int64_t> named_;  // ascending: what the ranges of this assignment name
  std::vector<LateEnd> late_;
  std::int64_t next_ = 0;
  std::int64_t committed_ = 0;
  std::string ranges_;
};

std::uint64_t lives() {
  const char* const nightly = std::getenv("EVENTRELAY_NIGHTLY");
  return nightly != nullptr && *nightly == '1' ? 1'000'000 : 100'000;
}

TEST(OffsetLedgerProperty, NeverTellsKafkaTooMuchOverManyOwners) {
  const std::uint64_t first = 20'260'301;
  Verdict seen;
  for (std::uint64_t seed = first; seed < first + lives(); ++seed) {
    Life(seed, seen).run();
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
  }
  RecordProperty("lives", std::to_string(lives()));
  EXPECT_GT(seen.full, 10'000U);
  EXPECT_GT(seen.span_full, 1'000U);
  EXPECT_GT(seen.already_done, 10'000U);
  EXPECT_GT(seen.gaps, 10'000U);
  EXPECT_GT(seen.revokes, 10'000U);
  EXPECT_GT(seen.late_ends, 10'000U);
  EXPECT_GT(seen.cut_ranges, 1'000U);
  EXPECT_GT(seen.damaged, 1'000U);
}

}  // namespace
}  // namespace eventrelay::relay
