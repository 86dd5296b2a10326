// The map whose copies share their nodes, against a plain map.
#include "common/registry/persistent_map.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <span>
#include <utility>
#include <vector>

namespace eventrelay {
namespace {

struct Entry {
  std::uint64_t key = 0;
  int value = 0;
};

// `kSpread` bits of the hash differ: 2 let most keys collide at every depth.
template <unsigned kSpread>
struct EntryTraits {
  static std::uint64_t key(const Entry& entry) noexcept { return entry.key; }
  static std::uint64_t hash(std::uint64_t key) noexcept {
    const std::uint64_t mixed = key * 0x9e3779b97f4a7c15U;
    return kSpread == 64 ? mixed : mixed >> (64U - kSpread);
  }
};

template <class Map>
void expect_equal(const Map& map, const std::map<std::uint64_t, int>& model) {
  ASSERT_EQ(map.size(), model.size());
  std::map<std::uint64_t, int> seen;
  map.for_each([&seen](const Entry& entry) { seen.emplace(entry.key, entry.value); });
  EXPECT_EQ(seen, model);
  std::vector<std::uint64_t> keys;
  for (const auto& [key, value] : model) {
    const Entry* const found = map.find(key);
    ASSERT_NE(found, nullptr) << key;
    EXPECT_EQ(found->value, value);
    keys.push_back(key);
    keys.push_back(key + (std::uint64_t{1} << 32U));  // is not there
  }
  std::vector<const Entry*> all(keys.size());
  map.find_all(std::span<const std::uint64_t>(keys), std::span<const Entry*>(all));
  for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(all[i], map.find(keys[i])) << keys[i];
}

template <unsigned kSpread>
void random_steps_equal_the_model(unsigned seed) {
  using Map = PersistentMap<Entry, EntryTraits<kSpread>>;
  std::mt19937 random(seed);
  Map map;
  std::map<std::uint64_t, int> model;
  std::vector<std::pair<Map, std::map<std::uint64_t, int>>> kept;
  for (int step = 0; step < 3000; ++step) {
    const std::uint64_t key = random() % 400;
    const Map before = map;  // as a registry does: the former one lives on
    if (random() % 3 != 0) {
      map.set({key, step});
      model[key] = step;
    } else {
      EXPECT_EQ(map.erase(key), model.erase(key) == 1);
    }
    EXPECT_EQ(map.find(key) != nullptr, model.count(key) == 1);
    if (step % 300 == 0) kept.emplace_back(map, model);
  }
  expect_equal(map, model);
  for (const auto& [former, then] : kept) expect_equal(former, then);
  while (!model.empty()) {
    ASSERT_TRUE(map.erase(model.begin()->first));
    model.erase(model.begin());
  }
  EXPECT_TRUE(map.empty());
}

TEST(PersistentMap, EqualsAPlainMapAndLeavesItsCopiesAlone) {
  for (unsigned seed = 1; seed <= 5; ++seed) random_steps_equal_the_model<64>(seed);
}

TEST(PersistentMap, StandsKeysWhoseHashesAreAlike) {
  random_steps_equal_the_model<2>(1);
  random_steps_equal_the_model<7>(2);
}

TEST(PersistentMap, SharesWhatDidNotChange) {
  using Map = PersistentMap<Entry, EntryTraits<64>>;
  Map map;
  for (std::uint64_t key = 0; key < 10'000; ++key) map.set({key, 0});
  Map next = map;
  next.set({77, 1});
  std::size_t moved = 0;
  for (std::uint64_t key = 0; key < 10'000; ++key) moved += map.find(key) != next.find(key);
  EXPECT_GE(moved, 1U);
  EXPECT_LE(moved, 96U);  // the values that stand in the nodes on the way
  EXPECT_EQ(map.find(std::uint64_t{77})->value, 0);
  EXPECT_EQ(next.find(std::uint64_t{77})->value, 1);
}

}  // namespace
}  // namespace eventrelay
