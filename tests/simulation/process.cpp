#include "process.hpp"

#include <algorithm>

namespace eventrelay::relay::simulation {

namespace {

constexpr Duration kTick = milliseconds{200};
constexpr Duration kDrain = seconds{10};
constexpr std::size_t kRecordMax = 2600;  // an event with its key and what its headers cost

// The bounds are so small that a run meets each of them. With a crowd only the slots are few.
ShardLimits limits_of(const World& world) {
  const bool crowd = world.weather.hanging > 0;
  ShardLimits limits;
  limits.scheduler.in_flight_max = world.settings->config.relay.inflight_max;
  limits.scheduler.jobs_max =
      crowd ? kQueueJobs * static_cast<std::uint32_t>(std::ssize(world.subs)) : 96;
  limits.scheduler.bytes_max = crowd ? 10'000'000 : 120'000;
  limits.window.count_max = crowd ? 128 : 24;
  limits.window.span_max = 128;
  limits.delay_window.count_max = 16;
  limits.delay_window.span_max = 64;
  limits.cursors.blocked_max = world.settings->config.detach.blocked_max;
  limits.cursors.commit_interval = milliseconds{700};
  limits.cursors.commit_events = 10;
  return limits;
}

}  // namespace

Process::Process(World& world, int worker)
    : world_(world),
      life_(std::make_shared<Life>()),
      limits_(limits_of(world)),
      group_(world, life_) {
  life_->worker = worker;
  life_->serial = ++world.lives;
  ShardParts parts;
  parts.settings = world.settings;
  parts.partitions = kPartitions;
  parts.limits = limits_;
  parts.retention = world.retention;
  parts.on_fatal = [this](const std::string& reason) { world_.breach("fatal: " + reason); };
  for (unsigned i = 0; i < world.weather.shards; ++i) {
    parts_.push_back(std::make_unique<Part>(world, life_, group_));
    Part& part = *parts_.back();
    part.shard = std::make_unique<Shard>(part.io, i, part.slab, parts);
  }
  for (const auto& part : parts_) part->shard->start();
  tick();
}

Process::~Process() {
  if (life_->alive) note_end();
}

void Process::drain(std::function<void()> done) {
  world_.note("drains", life_->worker);
  const auto left = std::make_shared<std::size_t>(parts_.size());
  for (const auto& part : parts_) {
    part->shard->drain(world_.clock.now() + kDrain, [this, left, done] {
      if (--*left > 0) return;
      kill();
      done();
    });
  }
}

void Process::kill() {
  note_end();
  life_->alive = false;
  life_->died = world_.clock.now();
  world_.note("killed", life_->worker);
}

void Process::stop(Duration pause) {
  life_->stopped_until = world_.clock.now() + pause;
  life_->sends_late = world_.chance(0.5);
  world_.note("stopped", life_->worker, pause / milliseconds{1});
}

// --- now and then --------------------------------------------------------------------------------

void Process::tick() {
  for (const auto& part : parts_) {
    check(part->shard->status());
    if (!world_.healed) continue;
    for (const Subscriber& sub : world_.subs) {
      static_cast<void>(
          part->shard->change_pause(PauseState::Resumed, sub.id, Partition{sub.partition}));
    }
  }
  if (!world_.healed && world_.weather.pauses && world_.chance(0.005)) pause_one();
  world_.clock.after(kTick, life_, [this] { tick(); });
}

// Pauses one by hand; not one of those whose waits are measured.
void Process::pause_one() {
  const int sub = static_cast<int>(world_.up_to(std::ssize(world_.subs)));
  if (world_.is_healthy(sub)) return;
  const Subscriber& one = world_.subs[World::at(sub)];
  const Partition partition{one.partition};
  if (std::none_of(parts_.begin(), parts_.end(), [&](const auto& part) {
        return part->shard->change_pause(PauseState::Paused, one.id, partition) == PauseChange::Yes;
      })) {
    return;
  }
  ++world_.tally.pauses;
  world_.note("paused", life_->worker, sub);
}

// Nothing grows past its bound.
void Process::check(const ShardStatus& status) {
  if (!status.fatal.empty()) world_.breach("fatal: " + status.fatal);
  if (status.held_bytes > limits_.scheduler.bytes_max + kRecordMax ||
      status.jobs > limits_.scheduler.jobs_max) {
    world_.breach("more in memory than the bound");
  }
  if (status.in_flight > kInFlight) world_.breach("more in flight than the bound");
  for (const PartitionStatus& partition : status.partitions) {
    if (!partition.stopped.empty()) world_.breach("a partition stopped: " + partition.stopped);
    // One more job than fits, which waits for room.
    if (partition.unfinished > limits_.window.count_max + 1) world_.breach("a window is too wide");
  }
  for (const std::string& reason : status.stopped_delays) world_.breach(reason);
}

void Process::note_end() {
  for (const auto& part : parts_) {
    world_.tally.restored += part->shard->status().already_done;
    world_.tally.catch_ups += part->slab.relay_sweeps_total.read();
    world_.tally.expired += part->slab.relay_rescued_total.read();
  }
}

bool Process::idle(std::set<int>& served) {
  if (!group_.at_rest()) return false;
  return std::all_of(parts_.begin(), parts_.end(),
                     [&](const auto& part) { return idle(part->shard->status(), served); });
}

bool Process::idle(const ShardStatus& status, std::set<int>& served) const {
  if (status.jobs > 0 || status.in_flight > 0) return false;
  for (const PartitionStatus& partition : status.partitions) {
    const auto at = World::at(partition.partition);
    served.insert(partition.partition);
    if (partition.position != std::ssize(world_.logs[at])) return false;
    if (world_.committed[at].offset != Offset{partition.position}) return false;
    for (const BacklogLine& line : status.backlog.oldest) {
      const bool here = line.partition == partition.partition;
      if (here && line.cursor.record.from.value < partition.position) return false;
    }
  }
  return true;
}

std::string Process::describe() const {
  std::string text;
  for (const auto& part : parts_) {
    const ShardStatus status = part->shard->status();
    text += "jobs " + std::to_string(status.jobs);
    for (const PartitionStatus& partition : status.partitions) {
      text += "; partition " + std::to_string(partition.partition) + " position " +
              std::to_string(partition.position) + " committed " +
              std::to_string(partition.committed) + " unfinished " +
              std::to_string(partition.unfinished) + " hold " +
              std::to_string(static_cast<int>(partition.hold)) + " " + partition.blocked;
    }
    for (const BacklogLine& line : status.backlog.oldest) {
      text += "\n" + encode(line.cursor.record);
    }
  }
  return text;
}

}  // namespace eventrelay::relay::simulation
