// Cursors and OffsetLedger in a random world: at least once, in order, few duplicates, and the same
// checks find every planted fault.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "tests/unit/relay/cursor_shell.hpp"

namespace eventrelay::relay::sim {
namespace {

constexpr int kStepsMax = 1500;
constexpr int kWorkMax = 20'000;

std::uint64_t seeds(std::uint64_t usual) {
  const char* const given = std::getenv("EVENTRELAY_SIMULATION_SEEDS");
  return given == nullptr ? usual : std::strtoull(given, nullptr, 10);
}

// What it sends on its way out comes on top of what the owner sends.
void end_zombie(World& world, std::unique_ptr<Shell>& zombie) {
  if (zombie == nullptr) return;
  const std::uint64_t before = world.deliveries;
  zombie->crash();
  world.excused += world.deliveries - before;
  zombie.reset();
}

// Ends the owner in one of the ways there are, and begins the next.
void hand_over(World& world, std::unique_ptr<Shell>& owner, std::unique_ptr<Shell>& zombie) {
  const std::size_t way = world.pick(3);
  if (way == 0 && world.weather.zombies) {
    world.excused += owner->at_risk();
    ++world.crashes;
    end_zombie(world, zombie);
    zombie = std::move(owner);
    zombie->become_zombie();
  } else if (way == 1 && world.weather.crashes) {
    ++world.crashes;
    owner->crash();
    world.excused += owner->at_risk();
  } else {
    owner->drain();
  }
  owner = std::make_unique<Shell>(world);
}

void run(World& world) {
  auto owner = std::make_unique<Shell>(world);
  std::unique_ptr<Shell> zombie;
  for (; world.step < kStepsMax && world.broken.empty(); ++world.step) {
    const std::uint64_t before = world.deliveries;
    if (zombie != nullptr && world.chance(0.3)) {
      zombie->step();
      // What a zombie sends comes on top, and so does what the owner sends of the same.
      world.excused += world.deliveries - before;
      if (zombie->fenced() || world.chance(0.01)) end_zombie(world, zombie);
      continue;
    }
    owner->step();
    if (world.chance(world.weather.hand_over)) hand_over(world, owner, zombie);
  }
  end_zombie(world, zombie);
  world.slow = 1;
  for (int i = 0; i < kWorkMax && world.broken.empty(); ++i, ++world.step) {
    owner->work();
    if (world.complete() && owner->idle()) return;
  }
  if (world.broken.empty() && !world.complete())
    world.broken = "never delivered: " + owner->describe();
  if (world.broken.empty()) world.broken = "an entry is never over: " + owner->describe();
}

struct Tally {
  std::uint64_t crashes = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t broken = 0;
};

Tally search(Fault fault, std::uint64_t count, Weather weather) {
  Tally tally;
  const char* const one = std::getenv("EVENTRELAY_SIMULATION_SEED");
  for (std::uint64_t seed = one ? std::strtoull(one, nullptr, 10) : 1; seed <= count; ++seed) {
    World world(seed, fault, weather);
    run(world);
    tally.crashes += world.crashes;
    tally.duplicates += world.duplicates;
    // The sum is kept per process, not per event: one more for each process that ended badly.
    if (world.broken.empty() && world.duplicates > world.excused + world.crashes) {
      world.broken = std::to_string(world.duplicates) + " duplicates, at most " +
                     std::to_string(world.excused) + " can be excused";
    }
    if (world.broken.empty()) continue;
    if (fault == Fault::None && ++tally.broken <= 3) {
      ADD_FAILURE() << "seed " << seed << ": " << world.broken;
    }
    if (fault != Fault::None) ++tally.broken;
    if (tally.broken >= (fault == Fault::None ? 3U : 1U)) break;
  }
  return tally;
}

TEST(CursorsSimulation, LosesNothingAndKeepsOrderThroughCrashesAndZombies) {
  const Tally tally = search(Fault::None, seeds(1500), {});
  RecordProperty("crashes", std::to_string(tally.crashes));
  RecordProperty("duplicates", std::to_string(tally.duplicates));
  EXPECT_EQ(tally.broken, 0U);
  EXPECT_GT(tally.crashes, 100U);
}

TEST(CursorsSimulation, RepeatsNothingWhenEveryOwnerEndsByDraining) {
  const Tally tally = search(Fault::None, seeds(500), {false, false, true});
  EXPECT_EQ(tally.broken, 0U);
  EXPECT_EQ(tally.duplicates, 0U);
}

class PlantedFault : public testing::TestWithParam<Fault> {};

TEST_P(PlantedFault, IsFound) {
  Weather weather;
  if (GetParam() == Fault::AnyTombstone) weather.hand_over = 0.02;
  const Tally tally = search(GetParam(), 20'000, weather);
  EXPECT_GE(tally.broken, 1U);
}

INSTANTIATE_TEST_SUITE_P(CursorsSimulation, PlantedFault,
                         testing::Values(Fault::SkipBeforeAck, Fault::OneKey, Fault::SettleAtOnce,
                                         Fault::CommitLive, Fault::DoneAtHandout,
                                         Fault::CursorAtReread, Fault::NoFencing, Fault::NoRepair,
                                         Fault::AnyTombstone, Fault::ChainGoesOn,
                                         Fault::GiveBackAlone, Fault::HeldUnnamed,
                                         Fault::LedgerUnsaid));

}  // namespace
}  // namespace eventrelay::relay::sim
