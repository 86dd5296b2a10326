#include "relay/log/duplicate_window.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>

namespace eventrelay::relay {
namespace {

using Verdict = DuplicateWindow::Verdict;

TEST(DuplicateWindow, ReadsTheBitsOfAnId) {
  const auto key = event_bits("01234567-89ab-cdef-fedc-BA9876543210");
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(key->high, 0x0123456789abcdefU);
  EXPECT_EQ(key->low, 0xfedcba9876543210U);
}

TEST(DuplicateWindow, ReadsNothingElse) {
  for (const std::string_view text :
       {"", "0123", "01234567-89ab-cdef-fedc-ba987654321", "01234567-89ab-cdef-fedc-ba98765432100",
        "01234567_89ab-cdef-fedc-ba9876543210", "0123456789ab-cdef-fedc-ba9876543210-",
        "g1234567-89ab-cdef-fedc-ba9876543210", "01234567-89ab-cdef-fedc-ba987654321 "}) {
    EXPECT_FALSE(event_bits(text).has_value()) << text;
  }
}

TEST(DuplicateWindow, SeesTheSameIdAgainAndOnlyThatOne) {
  DuplicateWindow window;
  EXPECT_EQ(window.note({1, 1}), Verdict::First);
  EXPECT_EQ(window.note({1, 2}), Verdict::First);
  EXPECT_EQ(window.note({2, 1}), Verdict::First);
  EXPECT_EQ(window.note({1, 1}), Verdict::Before);
  EXPECT_EQ(window.note({1, 2}), Verdict::Before);
  window.clear();
  EXPECT_EQ(window.note({1, 1}), Verdict::First);
}

TEST(DuplicateWindow, ForgetsTheOldestAtLimit) {
  DuplicateWindow window;
  for (std::uint64_t i = 0; i < DuplicateWindow::kIds; ++i) {
    ASSERT_EQ(window.note({i, i * 77}), Verdict::First);
  }
  EXPECT_EQ(window.note({0, 0}), Verdict::Before);  // an id that is seen again keeps its age
  EXPECT_EQ(window.note({99'999, 1}), Verdict::First);
  EXPECT_EQ(window.note({1, 77}), Verdict::Before);
  EXPECT_EQ(window.note({0, 0}), Verdict::First);
}

// Against a list of the last kIds, with keys that all want the same few slots as well.
TEST(DuplicateWindow, AgreesWithAPlainListOverRandomLives) {
  for (const std::uint64_t spread : {std::uint64_t{20'000}, std::uint64_t{1} << 33U}) {
    std::mt19937_64 random(spread);
    DuplicateWindow window;
    std::deque<std::uint64_t> last;
    for (int step = 0; step < 24'000; ++step) {
      const bool again = !last.empty() && random() % 4 == 0;
      const std::uint64_t id = again ? last[random() % last.size()] : random() % spread;
      const bool known = std::find(last.begin(), last.end(), id) != last.end();
      // All of them want one of seven slots, so that the probes are as long as can be.
      const EventBits key{id << 30U | (id % 7) << 16U, 0};
      ASSERT_EQ(window.note(key) == Verdict::Before, known) << step;
      if (known) continue;
      last.push_back(id);
      if (last.size() > DuplicateWindow::kIds) last.pop_front();
    }
  }
}

}  // namespace
}  // namespace eventrelay::relay
