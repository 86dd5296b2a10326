// A relay process in the simulated world: the shard that ships, over a simulated outside, with one
// life.
//
// Why:     kills, stops and hand-overs are done to the very shard that runs in production.
// Owner:   the test.  Thread: one.
// Bounds:  those of the shard, made small; checked on every tick.
// Errors:  through World::broken.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "common/observe/metrics.hpp"
#include "relay/shard.hpp"
#include "sim_io.hpp"

namespace eventrelay::relay::simulation {

// Thread: one.  Bounds: see the head of this file.
class Process {
 public:
  Process(World& world, int worker);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  void assign(int partition, std::uint64_t generation) {
    io_.member().assign(partition, generation);
  }
  // Gives the partition up in good order: `released` runs once nothing is under way and everything
  // is committed.
  void revoke(int partition, std::function<void()> released) {
    io_.member().revoke(partition, std::move(released));
  }
  // The partition belongs to another process already.
  void lose(int partition) { io_.member().lose(partition); }
  // Ends in good order: `done` runs when it has left the group, and nothing of it runs afterwards.
  void drain(std::function<void()> done);
  void kill();
  void stop(Duration pause);
  [[nodiscard]] const LifePtr& life() const { return life_; }
  // True if nothing is under way and no subscription has a backlog left. Adds the partitions that
  // it serves.
  [[nodiscard]] bool idle(std::set<int>& served);
  [[nodiscard]] std::string describe() const;

 private:
  void tick();
  void check(const ShardStatus& status);
  void note_end();
  void pause_one();

  World& world_;
  LifePtr life_;
  metrics::Slab slab_;
  ShardLimits limits_;
  SimIo io_;
  std::unique_ptr<Shard> shard_;
};

}  // namespace eventrelay::relay::simulation
