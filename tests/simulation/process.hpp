// A relay process in the simulated world: the shards that ship, over a simulated outside, with one
// life and one member of the group.
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
#include <vector>

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

  void assign(int partition, std::uint64_t generation) { group_.assign(partition, generation); }
  // Gives the partition up in good order: `released` runs once nothing is under way and everything
  // is committed.
  void revoke(int partition, std::function<void()> released) {
    group_.revoke(partition, std::move(released));
  }
  // The partition belongs to another process already.
  void lose(int partition) { group_.lose(partition); }
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
  // One of its shards. Bounds: as Process.
  struct Part {
    Part(World& world, const LifePtr& life, SimGroup& group) : io(world, life, group) {}

    metrics::Slab slab;
    SimIo io;
    std::unique_ptr<Shard> shard;
  };

  void tick();
  void check(const ShardStatus& status);
  [[nodiscard]] bool idle(const ShardStatus& status, std::set<int>& served) const;
  void note_end();
  void pause_one();

  World& world_;
  LifePtr life_;
  ShardLimits limits_;
  SimGroup group_;
  std::vector<std::unique_ptr<Part>> parts_;
};

}  // namespace eventrelay::relay::simulation
