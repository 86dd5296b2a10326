#include "relay/sweeper.hpp"

#include <algorithm>
#include <utility>

#include "common/assert.hpp"
#include "common/failpoint.hpp"
#include "common/kafka/topics.hpp"
#include "common/log.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::size_t kTurn = 32;  // records read of one partition before the next
// After so many records that nobody took it is worth asking who wants what: O(entries).
constexpr std::uint32_t kBarren = 512;

kafka::ReaderOptions reader_options(const Config& config, std::size_t prefetch_bytes) {
  kafka::ReaderOptions options;
  options.group = config.relay.group + ".sweep";  // it commits nothing
  options.topics = {kafka::topic_name(config.topics, "events")};
  options.prefetch_bytes = prefetch_bytes;
  options.fetch_wait = std::chrono::milliseconds{50};  // who reads here is behind, not at the end
  return options;
}

SweepRules rules_of(const Config& config) {
  SweepRules rules;
  rules.interval = config.detach.sweep_interval;
  return rules;
}

}  // namespace

Sweeper::Sweeper(Executor executor, const Config& config, SweepParts parts)
    : parts_(std::move(parts)),
      rules_(rules_of(config)),
      gate_(parts_.subscriptions),
      reader_(executor, config.kafka, reader_options(config, parts_.prefetch_bytes), parts_.slab) {}

Sweeper::~Sweeper() = default;

// --- partitions ---------------------------------------------------------------------------------

void Sweeper::add(Partition partition, Cursors& cursors) {
  auto& sweep = sweeps_[partition.value];
  if (sweep == nullptr) sweep = std::make_unique<Sweep>(rules_);
  sweep->place = {0, partition};
  sweep->cursors = &cursors;
  sweep->plan = SweepPlan(rules_);
  ++sweep->generation;
  sweep->stopped = false;
}

void Sweeper::stop(Partition partition) {
  const auto it = sweeps_.find(partition.value);
  if (it == sweeps_.end()) return;
  it->second->stopped = true;
  if (it->second->plan.sweeping()) end(*it->second);
}

void Sweeper::halt() {
  while (!active_.empty()) end(*active_.back());
}

void Sweeper::drop(Partition partition) {
  const auto it = sweeps_.find(partition.value);
  if (it == sweeps_.end()) return;
  stop(partition);
  it->second->cursors = nullptr;  // what is still in flight ends without it
}

bool Sweeper::busy(Partition partition) const {
  const auto it = sweeps_.find(partition.value);
  return it != sweeps_.end() && it->second->held > 0;
}

// --- start and end ------------------------------------------------------------------------------

void Sweeper::poll(Partition partition, const Moment& moment) {
  moment_ = moment;
  gate_.at(moment.now);
  const auto it = sweeps_.find(partition.value);
  if (it == sweeps_.end()) return;
  Sweep& sweep = *it->second;
  if (sweep.stopped || sweep.cursors == nullptr) return;
  if (sweep.plan.paused()) {
    if (try_again(sweep) == Went::On) parts_.admitted();
  } else if (sweep.plan.may_start(moment.now) && !sweep.cursors->empty()) {
    if (!try_rescue(sweep, moment)) try_start(sweep, moment);
  }
}

void Sweeper::try_start(Sweep& sweep, const Moment& moment) {
  const auto live = parts_.live(sweep.place.partition);
  if (!live || !budget_left(0)) return;
  const auto from = sweep.cursors->begin_sweep(gate_, *live, moment);
  if (from) return begin(sweep, *from, moment.now);
  // Who stood at the live position was attached.
  parts_.attached(sweep.place.partition);
}

void Sweeper::begin(Sweep& sweep, Offset from, TimePoint now) {
  failpoint::at("sweep-begin");
  sweep.plan.start(from, now);
  sweep.readable = false;
  sweep.barren = kBarren;  // asks at once
  active_.push_back(&sweep);
  parts_.slab.relay_sweeps_total.add();
  reader_.start(sweep.place, from, *this);
}

void Sweeper::rescue(Partition partition, Offset below) {
  const auto it = sweeps_.find(partition.value);
  if (it != sweeps_.end()) it->second->rescue_wanted = below;
}

// Before any other sweep of its partition: it can not wait.
bool Sweeper::try_rescue(Sweep& sweep, const Moment& moment) {
  const auto below = std::exchange(sweep.rescue_wanted, std::nullopt);
  if (!below || !parts_.live(sweep.place.partition)) return false;
  const auto from = sweep.cursors->begin_rescue(*below);
  if (!from) return false;
  sweep.rescue_below = below;
  begin(sweep, *from, moment.now);
  return true;
}

void Sweeper::find_older(Partition partition, WallTime since, std::function<void(Offset)> done) {
  reader_.bounds_since({{0, partition}}, since,
                       [done = std::move(done)](std::span<const kafka::LogBounds> found) {
                         done(found.front().start);
                       });
}

Offset Sweeper::limit_of(const Sweep& sweep) const {
  const auto live = parts_.live(sweep.place.partition);
  EVENTRELAY_ASSERT(live);
  return sweep.rescue_below ? std::min(*sweep.rescue_below, *live) : *live;
}

void Sweeper::end(Sweep& sweep) {
  if (sweep.waiting) forget_waiting(sweep);
  reader_.stop(sweep.place);
  std::erase(active_, &sweep);
  const auto live = parts_.live(sweep.place.partition);
  const bool at_live = live && !sweep.rescue_below && sweep.plan.position() >= *live;
  sweep.plan.end();
  sweep.rescue_below.reset();
  if (at_live) failpoint::at("before-attach");
  sweep.cursors->end_sweep(live.value_or(sweep.plan.position()));
  if (at_live) failpoint::at("after-attach");
  parts_.attached(sweep.place.partition);
}

// What was read and found no room is read again by the next sweep.
void Sweeper::forget_waiting(Sweep& sweep) {
  while (sweep.next_taker < sweep.takers.size()) {
    stay_behind(sweep, sweep.takers[sweep.next_taker]);
  }
  sweep.takers.clear();
  sweep.next_taker = 0;
  sweep.waiting = kafka::Message{};
}

// --- reading ------------------------------------------------------------------------------------

void Sweeper::on_readable(kafka::Place place) {
  Sweep& sweep = *sweeps_.at(place.partition.value);
  sweep.readable = true;
  parts_.admitted();
}

std::size_t Sweeper::read(std::size_t max) {
  std::size_t count = 0;
  for (std::size_t idle = 0; count < max && idle < active_.size();) {
    if (next_active_ >= active_.size()) next_active_ = 0;
    const std::size_t before = active_.size();
    const std::size_t read = read_from(*active_[next_active_], std::min(kTurn, max - count));
    if (active_.size() == before) ++next_active_;
    idle = read == 0 ? idle + 1 : 0;
    count += read;
  }
  return count;
}

std::size_t Sweeper::read_from(Sweep& sweep, std::size_t max) {
  std::size_t count = 0;
  if (sweep.plan.paused()) {
    if (try_again(sweep) != Went::On) return 0;
    ++count;
  }
  for (; count < max; ++count) {
    if (!sweep.readable || !sweep.plan.sweeping()) return count;
    if (step(sweep) != Went::On) return count;
  }
  return max;
}

Sweeper::Went Sweeper::step(Sweep& sweep) {
  SweepPlan::View view;
  view.live = limit_of(sweep);
  view.following = sweep.cursors->following();
  view.wanted = sweep.plan.position();
  if (sweep.barren >= kBarren) {
    sweep.barren = 0;
    view.wanted = sweep.cursors->next_wanted();
  }
  switch (sweep.plan.next(view)) {
    case SweepPlan::Act::End:
      // Nobody wants what lies between: it is passed as if it had been read.
      if (view.following > 0 && sweep.plan.position() < view.live) {
        sweep.plan.passed(view.live);
        sweep.cursors->passed(view.live);
      }
      end(sweep);
      return Went::Ended;
    case SweepPlan::Act::Jump:
      sweep.plan.passed(*view.wanted);
      sweep.cursors->passed(*view.wanted);
      sweep.readable = false;
      reader_.start(sweep.place, *view.wanted, *this);
      return Went::Waits;
    case SweepPlan::Act::Read:
      return load(sweep);
  }
  return Went::Waits;
}

Sweeper::Went Sweeper::load(Sweep& sweep) {
  kafka::Read read = reader_.next(sweep.place);
  switch (read.found) {
    case kafka::Found::Nothing:
      sweep.readable = false;
      return Went::Waits;
    case kafka::Found::End:
      // The live path may stand behind it: transactions leave marks that nobody reads.
      sweep.plan.passed(read.at);
      sweep.cursors->passed(read.at);
      return Went::On;
    case kafka::Found::Failed:
      return Went::On;
    case kafka::Found::OutOfRange:
      lost(sweep);
      return Went::Waits;
    case kafka::Found::Record:
      break;
  }
  parts_.slab.relay_swept_records_total.add();
  sweep.waiting = std::move(read.message);
  return take(sweep, read.at);
}

Sweeper::Went Sweeper::take(Sweep& sweep, Offset at) {
  const Offset limit = limit_of(sweep);
  if (at >= limit) {
    sweep.waiting = kafka::Message{};
    sweep.plan.passed(limit);
    sweep.cursors->passed(limit);
    end(sweep);
    return Went::Ended;
  }
  auto event = sweep.waiting.event();
  if (!event) {
    parts_.trouble(sweep.place.partition, "offset " + std::to_string(at.value) + ": " +
                                              std::string(describe(event.error())));
    sweep.waiting = kafka::Message{};
    sweep.stopped = true;
    end(sweep);
    return Went::Ended;
  }
  sweep.event = *event;
  offer(sweep);
  sweep.plan.read(!sweep.takers.empty());
  sweep.barren = sweep.takers.empty() ? sweep.barren + 1 : 0;
  return hand_out(sweep);
}

// Retention has taken what an entry still had to get.
void Sweeper::lost(Sweep& sweep) {
  const kafka::Place place = sweep.place;
  sweep.readable = false;
  reader_.stop(place);
  const std::uint32_t generation = sweep.generation;
  reader_.bounds({place}, [this, place, generation](std::span<const kafka::LogBounds> found) {
    go_on_at(place.partition, generation, found.front().start);
  });
}

void Sweeper::go_on_at(Partition partition, std::uint32_t generation, Offset start) {
  Sweep& sweep = *sweeps_.at(partition.value);
  if (sweep.generation != generation || !sweep.plan.sweeping() || sweep.stopped) return;
  const Offset from = sweep.plan.position();
  if (start <= from) {
    log::error("a sweep can not go on: its place is not in the log",
               {{"partition", partition}, {"offset", from}});
    return end(sweep);
  }
  log::error("retention has taken events that were not delivered",
             {{"partition", partition}, {"from", from}, {"to", start}});
  parts_.slab.relay_expired_offsets_total.add(
      static_cast<std::uint64_t>((start.value - from.value)));
  sweep.plan.passed(start);
  sweep.cursors->passed(start);
  reader_.start(sweep.place, start, *this);
}

}  // namespace eventrelay::relay
