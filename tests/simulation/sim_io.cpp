#include "sim_io.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "common/base/assert.hpp"
#include "common/base/event.hpp"
#include "relay/http/deliverer.hpp"
#include "relay/record/held_record.hpp"

namespace eventrelay::relay::simulation {

namespace {

// A wait whose number has passed does not run. Thread: one.
class SimTimer final : public LoopTimer {
 public:
  SimTimer(World& world, LifePtr life) : world_(world), life_(std::move(life)) {}
  ~SimTimer() override { cancel(); }

  void arm(TimePoint at, std::function<void()> task) override {
    const std::uint64_t number = ++*number_;
    world_.clock.after(at - world_.clock.now(), life_,
                       [number, last = number_, task = std::move(task)] {
                         if (*last == number) task();
                       });
  }
  void cancel() override { ++*number_; }

 private:
  World& world_;
  LifePtr life_;
  std::shared_ptr<std::uint64_t> number_ = std::make_shared<std::uint64_t>(0);
};

// What a topic's name says of it.
Log log_of(const std::string& name) {
  for (int step = 0; step < kStepCount; ++step) {
    const std::string word = std::to_string(kSteps[World::at(step)] / seconds{1}) + "s";
    if (name.ends_with("retry." + word)) return {Log::Kind::Retry, 0, step};
  }
  if (name.ends_with("state")) return {Log::Kind::State, 0, 0};
  if (name.ends_with("dead")) return {Log::Kind::Dead, 0, 0};
  if (name.ends_with("attempts") || name.ends_with("sums")) return {Log::Kind::Attempts, 0, 0};
  if (name.ends_with("events")) return {Log::Kind::Events, 0, 0};
  throw std::invalid_argument("the world has no topic " + name);
}

std::int64_t offset_of(const Event& event) {
  std::int64_t offset = -1;
  std::from_chars(event.id.data(), event.id.data() + event.id.size(), offset);
  return offset;
}

}  // namespace

std::unique_ptr<LoopTimer> SimLoop::make_timer() {
  return std::make_unique<SimTimer>(world_, life_);
}

// --- the group -----------------------------------------------------------------------------------

void SimGroup::assign(int partition, std::uint64_t generation) {
  steps_.push_back({Step::Kind::Assign, partition, generation, nullptr});
  work();
}

void SimGroup::revoke(int partition, std::function<void()> released) {
  steps_.push_back({Step::Kind::Revoke, partition, 0, std::move(released)});
  work();
}

void SimGroup::lose(int partition) {
  steps_.push_back({Step::Kind::Lose, partition, 0, nullptr});
  work();
}

SimMember* SimGroup::share_of(int partition) const {
  for (SimMember* const share : shares_) {
    if (share->has(partition)) return share;
  }
  return nullptr;
}

void SimGroup::work() {
  if (std::exchange(working_, true)) return;
  while (!releasing_ && !steps_.empty()) {
    Step step = std::move(steps_.front());
    steps_.pop_front();
    perform(std::move(step));
  }
  working_ = false;
}

void SimGroup::perform(Step step) {
  if (step.kind == Step::Kind::Assign) {
    // Another process may have got it while this step waited for its turn.
    if (world_.owner[World::at(step.partition)] != life_) return;
    if (world_.generations[World::at(step.partition)] != step.generation) return;
    // Another shard than the last time, if there is one.
    const auto turn = static_cast<std::uint64_t>(step.partition) + step.generation;
    shares_[turn % shares_.size()]->take(step.partition, step.generation);
    return;
  }
  SimMember* const share = share_of(step.partition);
  if (share == nullptr) {
    if (step.released) step.released();
    return;
  }
  world_.note(step.kind == Step::Kind::Revoke ? "revoked" : "lost", life_->worker, step.partition);
  releasing_ = true;
  released_ = std::move(step.released);
  share->give_up(step.partition,
                 step.kind == Step::Kind::Revoke ? kafka::Loss::Revoked : kafka::Loss::Lost);
}

void SimGroup::released(int partition) {
  EVENTRELAY_ASSERT(releasing_);
  releasing_ = false;
  world_.note("released", life_->worker, partition);
  if (const auto released = std::exchange(released_, nullptr)) released();
  work();
}

void SimGroup::close(std::function<void()> done) {
  closed_.push_back(std::move(done));
  if (closed_.size() < shares_.size()) return;
  steps_.clear();
  for (SimMember* const share : shares_) {
    releasing_ = true;
    share->give_up_all();
  }
  for (auto& each : std::exchange(closed_, {})) {
    world_.clock.after(Duration{}, life_, std::move(each));
  }
}

void SimMember::take(int partition, std::uint64_t generation) {
  const Committed& known = world_.committed[World::at(partition)];
  positions_[partition] = MemberPosition{known.offset.value_or(Offset{0}).value, generation, false};
  life_->stays[partition] = generation;
  world_.known_to[World::at(partition)] = World::end_of(known);
  world_.note("assigned", life_->worker, partition);
  const kafka::Assigned assigned{Partition{partition}, known.offset, known.metadata};
  handler_.on_assigned({&assigned, 1});
}

void SimMember::give_up(int partition, kafka::Loss loss) {
  leaving_ = partition;
  const Partition leaving{partition};
  handler_.on_revoking({&leaving, 1}, loss);
}

void SimMember::give_up_all() {
  std::vector<Partition> all;
  for (const auto& [partition, place] : positions_) all.push_back(Partition{partition});
  handler_.on_revoking(all, kafka::Loss::Revoked);
  positions_.clear();
}

void SimMember::read_anew(Partition partition) {
  const auto it = positions_.find(partition.value);
  if (it != positions_.end()) it->second.next = 0;
}

void SimMember::release() {
  positions_.erase(leaving_);
  group_.released(leaving_);
}

void SimMember::close(TimePoint, std::function<void()> done) {
  group_.close(std::move(done));
}

std::optional<kafka::Message> SimMember::next(Partition partition) {
  const auto it = positions_.find(partition.value);
  if (it == positions_.end()) return std::nullopt;
  MemberPosition& position = it->second;
  const auto& log = world_.logs[World::at(partition.value)];
  if (position.next < world_.log_end(partition.value)) {
    return kafka::Message(log[static_cast<std::size_t>(position.next++)].record);
  }
  if (position.next < std::ssize(log) && !std::exchange(position.waits, true)) {
    const TimePoint produced = log[static_cast<std::size_t>(position.next)].produced;
    world_.clock.after(produced - world_.clock.now(), life_, [this, partition] {
      const auto known = positions_.find(partition.value);
      if (known == positions_.end()) return;
      known->second.waits = false;
      handler_.on_readable(partition);
    });
  }
  return std::nullopt;
}

std::optional<kafka::Watermarks> SimMember::watermarks(Partition partition) const {
  if (!positions_.contains(partition.value)) return std::nullopt;
  return kafka::Watermarks{Offset{0}, Offset{world_.log_end(partition.value)}};
}

Committed SimMember::told(const kafka::Commit& commit) const {
  const auto it = positions_.find(commit.partition.value);
  if (world_.fault == Fault::CommitLive && it != positions_.end()) {
    return {Offset{it->second.next}, {}};
  }
  return {commit.next, commit.metadata};
}

void SimMember::commit_async(std::span<const kafka::Commit> commits) {
  for (const kafka::Commit& commit : commits) {
    const int partition = commit.partition.value;
    const auto it = positions_.find(partition);
    const std::uint64_t generation = it == positions_.end() ? 0 : it->second.generation;
    ++on_their_way_;
    const std::uint64_t number = ++commits_;
    const auto accepted = std::make_shared<bool>(false);
    world_.write(
        life_, World::Topic::Commit, partition,
        [partition, generation, number, now = told(commit), accepted, waited = waited_,
         life = life_, &world = world_] {
          const bool over = (*waited)[partition] > number &&
                            world.owner[World::at(partition)] == life &&
                            world.generations[World::at(partition)] == generation;
          *accepted = over || world.commit_events(life, partition, generation, now);
        },
        [this, accepted] {
          --on_their_way_;
          if (!*accepted) handler_.on_commit_failed("the group has given the partition away");
        });
  }
}

// What was sent before goes over the same connection, so it has landed before.
bool SimMember::commit_sync(std::span<const kafka::Commit> commits) {
  bool all = true;
  for (const kafka::Commit& commit : commits) {
    const int partition = commit.partition.value;
    const auto it = positions_.find(partition);
    const bool taken = it != positions_.end() &&
                       world_.commit_events(life_, partition, it->second.generation, told(commit));
    if (taken) (*waited_)[partition] = ++commits_;
    all = taken && all;
  }
  return all;
}

// The group takes it from its owner alone, and not for a former stay of it.
bool SimMember::confirm(const std::string&, const kafka::Commit& commit, std::uint64_t token) {
  const int partition = commit.partition.value;
  const auto it = positions_.find(partition);
  const std::uint64_t generation = it == positions_.end() ? 0 : it->second.generation;
  const auto accepted = std::make_shared<bool>(world_.fault == Fault::OwnUnconfirmed);
  world_.write(
      life_, World::Topic::Commit, partition,
      [partition, generation, accepted, life = life_, &world = world_] {
        const bool owns = world.owner[World::at(partition)] == life &&
                          world.generations[World::at(partition)] == generation;
        *accepted = *accepted || owns;
      },
      [this, token, accepted] { handler_.on_confirmed(token, *accepted); });
  return true;
}

// --- readers -------------------------------------------------------------------------------------

SimReader::SimReader(World& world, LifePtr life, const std::vector<std::string>& topics)
    : world_(world), life_(std::move(life)), watcher_(++world.watchers_made) {
  for (const std::string& name : topics) logs_.push_back(log_of(name));
  world_.watchers[watcher_] = [this](const Log& log) { grew(log); };
}

SimReader::~SimReader() {
  world_.watchers.erase(watcher_);
}

std::int64_t SimReader::end_of(kafka::TopicPartition place) const {
  const Log& log = logs_[place.topic];
  const int partition = place.partition.value;
  switch (log.kind) {
    case Log::Kind::Events:
      return world_.log_end(partition);
    case Log::Kind::State:
      return std::ssize(world_.state[World::at(partition)]);
    case Log::Kind::Retry:
      return std::ssize(world_.parked[World::at(partition)][World::at(log.step)]);
    case Log::Kind::Dead:
    case Log::Kind::Attempts:
      break;
  }
  return 0;
}

const kafka::MadeRecord& SimReader::record_of(kafka::TopicPartition place, ReaderPosition& at) {
  const Log& log = logs_[place.topic];
  const int partition = place.partition.value;
  const auto next = static_cast<std::size_t>(at.next++);
  switch (log.kind) {
    case Log::Kind::Events:
      return world_.logs[World::at(partition)][next].record;
    case Log::Kind::Retry:
      return world_.parked[World::at(partition)][World::at(log.step)][next].record;
    case Log::Kind::State:
    case Log::Kind::Dead:
    case Log::Kind::Attempts:
      break;
  }
  return unfenced(at, world_.state[World::at(partition)][next]);
}

// Rows that compaction has taken; planted: as if one key stood for all cursors of a subscription.
bool SimReader::skips(kafka::TopicPartition place, const ReaderPosition& at) const {
  if (logs_[place.topic].kind != Log::Kind::State || at.next >= end_of(place)) return false;
  const auto partition = World::at(place.partition.value);
  const auto& log = world_.state[partition];
  const auto next = static_cast<std::size_t>(at.next);
  if (world_.compacted[partition][next]) return true;
  if (world_.fault != Fault::OneKey || at.end_told) return false;
  const auto name_of = [](const kafka::MadeRecord& record) {
    return std::string_view(record.key).substr(0, record.key.rfind('@'));
  };
  for (std::size_t later = next + 1; later < log.size(); ++later) {
    if (name_of(log[later]) == name_of(log[next])) return true;
  }
  return false;
}

// Planted: what a former owner wrote late looks as if the last one had written it.
const kafka::MadeRecord& SimReader::unfenced(ReaderPosition& at, const kafka::MadeRecord& record) {
  if (record.key == kOwnerKey) {
    if (const auto mark = decode_owner(record.value))
      at.highest = std::max(at.highest, mark->epoch);
    return record;
  }
  if (world_.fault != Fault::NoFencing || at.end_told || record.value.empty()) return record;
  auto state = decode_state(record.value);
  EVENTRELAY_ASSERT(state.has_value());
  if (state->epoch >= at.highest) return record;
  state->epoch = at.highest;
  kafka::MadeRecord& changed = changed_.emplace_back(record);
  changed.value = encode(*state);
  return changed;
}

void SimReader::start(kafka::TopicPartition place, Offset from, kafka::LogSink& sink) {
  ReaderPosition& at = positions_[{place.topic, place.partition.value}];
  const auto over = at.sink == nullptr ? std::make_shared<bool>(false) : at.over;
  at = ReaderPosition{
      std::max<std::int64_t>(from.value, 0), &sink, ++serials_, false, false, 0, over};
  const bool state = logs_[place.topic].kind == Log::Kind::State;
  wake_later(place, state ? world_.ms(5, 60) : world_.ms(1, 20));
}

void SimReader::stop(kafka::TopicPartition place) {
  const auto it = positions_.find({place.topic, place.partition.value});
  if (it == positions_.end()) return;
  it->second.sink = nullptr;
  it->second.serial = ++serials_;
}

void SimReader::wake_later(kafka::TopicPartition place, Duration delay) {
  ReaderPosition& at = positions_.at({place.topic, place.partition.value});
  world_.clock.after(delay, life_, [this, place, serial = at.serial] {
    ReaderPosition& now = positions_.at({place.topic, place.partition.value});
    if (now.serial != serial || now.sink == nullptr) return;
    now.waits = false;
    now.sink->on_readable(place);
  });
}

void SimReader::grew(const Log& log) {
  if (!life_->alive) return;
  for (std::size_t topic = 0; topic < logs_.size(); ++topic) {
    if (logs_[topic].kind != log.kind || logs_[topic].step != log.step) continue;
    const auto it = positions_.find({static_cast<int>(topic), log.partition});
    if (it == positions_.end() || it->second.sink == nullptr) continue;
    wake_later({static_cast<std::uint16_t>(topic), Partition{log.partition}}, world_.ms(1, 20));
  }
}

kafka::Read SimReader::next(kafka::TopicPartition place) {
  ReaderPosition& at = positions_.at({place.topic, place.partition.value});
  if (at.sink == nullptr) return {};
  while (skips(place, at)) ++at.next;
  const std::int64_t end = end_of(place);
  if (at.next < end) {
    const Offset offset{at.next};
    return {kafka::Found::Record, offset, kafka::Message(record_of(place, at)), {}};
  }
  if (!std::exchange(at.end_told, true)) return {kafka::Found::End, Offset{at.next}, {}, {}};
  const int partition = place.partition.value;
  const auto& events = world_.logs[World::at(partition)];
  const bool more = logs_[place.topic].kind == Log::Kind::Events && at.next < std::ssize(events);
  if (more && !std::exchange(at.waits, true)) {
    wake_later(place, events[static_cast<std::size_t>(at.next)].produced - world_.clock.now());
  }
  return {};
}

void SimReader::positions(std::vector<kafka::TopicPartition> places, PositionsDone done) {
  world_.clock.after(
      world_.ms(5, 60), life_, [this, places = std::move(places), done = std::move(done)] {
        std::vector<kafka::ReadPosition> found;
        for (const kafka::TopicPartition place : places) {
          const Committed& told = world_.delays_committed[World::at(place.partition.value)]
                                                         [World::at(logs_[place.topic].step)];
          found.push_back({place, told.offset, told.metadata});
        }
        done(found);
      });
}

std::optional<kafka::Watermarks> SimReader::known_watermarks(kafka::TopicPartition place) const {
  return kafka::Watermarks{Offset{0}, Offset{end_of(place)}};
}

void SimReader::watermarks(std::vector<kafka::TopicPartition> places, WatermarksDone done) {
  world_.clock.after(world_.ms(1, 20), life_,
                     [this, places = std::move(places), done = std::move(done)] {
                       std::vector<kafka::PartitionWatermarks> found;
                       for (const kafka::TopicPartition place : places) {
                         found.push_back({place, Offset{0}, Offset{end_of(place)}});
                       }
                       done(found);
                     });
}

void SimReader::offsets_for_times(std::vector<kafka::TopicPartition> places, WallTime since,
                                  WatermarksDone done) {
  world_.clock.after(
      world_.ms(1, 20), life_, [this, since, places = std::move(places), done = std::move(done)] {
        std::vector<kafka::PartitionWatermarks> found;
        for (const kafka::TopicPartition place : places) {
          found.push_back(
              {place, world_.written_since(place.partition.value, since), Offset{end_of(place)}});
        }
        done(found);
      });
}

Committed SimReader::told(const kafka::ReadCommit& commit) {
  const ReaderPosition& at = positions_.at({commit.place.topic, commit.place.partition.value});
  if (world_.fault == Fault::DelayCommitsHead) return {Offset{at.next}, {}};
  return {commit.next, commit.metadata};
}

void SimReader::commit_async(std::span<const kafka::ReadCommit> commits) {
  for (const kafka::ReadCommit& commit : commits) {
    const int partition = commit.place.partition.value;
    const int step = logs_[commit.place.topic].step;
    const ReaderPosition& at = positions_.at({commit.place.topic, partition});
    ++on_their_way_;
    world_.write(
        life_, World::Topic::Commit, kPartitions + partition * kStepCount + step,
        [partition, step, now = told(commit), over = at.over, life = life_,
         stay = life_->stays[partition], &world = world_] {
          if (!*over) world.commit_delay(life, stay, partition, step, now);
        },
        [this] { --on_their_way_; });
  }
}

bool SimReader::commit_sync(std::span<const kafka::ReadCommit> commits) {
  for (const kafka::ReadCommit& commit : commits) {
    const int partition = commit.place.partition.value;
    ReaderPosition& at = positions_.at({commit.place.topic, partition});
    *std::exchange(at.over, std::make_shared<bool>(false)) = true;
    world_.commit_delay(life_, life_->stays[partition], partition, logs_[commit.place.topic].step,
                        told(commit));
  }
  return true;
}

namespace {

// Planted: the position of a cursor is what was read of the log, whatever is still under way.
std::string at_reread(const std::string& value) {
  const auto record = decode_state(value);
  if (!record) return value;  // a tombstone or a mark
  BacklogCursor cursor;
  cursor.reread = record->position;
  if (record->end) cursor.end = *record->end;
  if (!CursorBook::restore(cursor, record->ranges)) return value;
  StateRecord changed = *record;
  changed.position = cursor.reread;
  changed.ranges.clear();
  return encode(changed);
}

}  // namespace

// --- records -------------------------------------------------------------------------------------

std::size_t SimSink::add_topic(const std::string& name) {
  topics_.push_back(log_of(name));
  return topics_.size() - 1;
}

void SimSink::write(World::Topic topic, int partition, std::uint64_t token,
                    std::function<void()> land) {
  const bool at_once = topic == World::Topic::Retry && world_.fault == Fault::SettleBeforeParked;
  const auto report = [this, token] { reports_.on_stored(token, kafka::Stored::Persisted); };
  if (at_once) world_.clock.after(Duration{}, life_, report);
  world_.write(life_, topic, partition, std::move(land),
               at_once ? std::function<void()>([] {}) : report);
}

kafka::Queued SimSink::produce(std::size_t topic, const kafka::ProduceRecord& given,
                               std::uint64_t token) {
  const Log& log = topics_[topic];
  const int partition = given.partition;
  kafka::MadeRecord record;
  record.partition = Partition{partition};
  record.key = given.key;
  record.value = given.value;
  if (log.kind == Log::Kind::Attempts) return kafka::Queued::Queued;
  if (log.kind == Log::Kind::State) {
    if (world_.fault == Fault::PositionAtReread) record.value = at_reread(record.value);
    write(World::Topic::State, partition, token,
          [partition, record = std::move(record), life = life_, &world = world_] {
            world.put_state(life, partition, record);
          });
    return kafka::Queued::Queued;
  }
  RecordReader reader;
  for (const HeaderField& field : *given.headers) {
    record.headers.emplace_back(field.name, field.value);
    reader.accept(field.name, field.value);
  }
  const auto event = reader.finish(given.value);
  EVENTRELAY_ASSERT(event && event->parked);
  const int sub = world_.sub_of(event->parked->subscription);
  const std::int64_t at = offset_of(*event);
  if (log.kind == Log::Kind::Dead) {
    write(World::Topic::Dead, partition, token,
          [sub, at, life = life_, &world = world_] { world.dead_letter(life, sub, at); });
    return kafka::Queued::Queued;
  }
  ParkRecord park;
  park.at = at;
  park.subscriber = sub;
  park.due = *event->parked->due;
  park.record = std::move(record);
  write(World::Topic::Retry, partition, token,
        [partition, step = log.step, park = std::move(park), life = life_,
         stay = life_->stays[partition],
         &world = world_] { world.park(life, stay, partition, step, park); });
  return kafka::Queued::Queued;
}

void SimSink::drain(TimePoint, std::function<void()> done) {
  world_.clock.after(Duration{}, life_, std::move(done));
}

// --- endpoints -----------------------------------------------------------------------------------

std::shared_ptr<Endpoint> SimCaller::endpoint(const EndpointKey& key) {
  auto endpoint = std::make_shared<Endpoint>();
  endpoint->key = key;
  return endpoint;
}

void SimCaller::start(Job& job, const TargetPtr& target, TimePoint) {
  const int sub = world_.sub_of(target->id);
  const std::int64_t at = offset_of(job.held->event);
  world_.note("send", life_->worker, sub, at);
  if (++in_flight_[sub] > kConcurrency) world_.breach("a subscription has more than its slots");
  const Reply reply = world_.call(life_, sub, at);
  if (reply.took) {
    // The endpoint has the event a little before the relay hears so, even if the relay dies.
    const int partition = world_.subs[World::at(sub)].partition;
    const std::uint64_t stay = life_->stays[partition];
    world_.clock.after(reply.after - reply.after / 4,
                       [life = life_, sub, at, partition, stay, &world = world_] {
                         world.took(life, sub, at, stay == world.stays[World::at(partition)]);
                       });
  }
  const std::uint64_t number = ++numbers_;
  attempts_.emplace(number, Attempt{&job, sub});
  world_.clock.after(reply.after, life_, [this, number, reply] { end(number, reply); });
}

// What was sent may have arrived: took() is still to come.
void SimCaller::cancel(Job& job) {
  const auto it = std::find_if(attempts_.begin(), attempts_.end(),
                               [&job](const auto& one) { return one.second.job == &job; });
  EVENTRELAY_ASSERT(it != attempts_.end());
  world_.note("cancel", life_->worker, it->second.sub, offset_of(job.held->event));
  --in_flight_[it->second.sub];
  attempts_.erase(it);
}

void SimCaller::end(std::uint64_t number, const Reply& reply) {
  const auto it = attempts_.find(number);
  if (it == attempts_.end()) return;
  Job& job = *it->second.job;
  --in_flight_[it->second.sub];
  attempts_.erase(it);
  Result result;
  result.retry = reply.retry;
  result.took = reply.after;
  switch (reply.retry) {
    case RetryClass::Delivered:
      result.outcome = metrics::Outcome::Ok;
      break;
    case RetryClass::Retry:
      result.outcome = reply.after >= kHang ? metrics::Outcome::Timeout : metrics::Outcome::Http5xx;
      break;
    case RetryClass::Gone:
      result.outcome = metrics::Outcome::Gone;
      break;
    case RetryClass::Fatal:
      result.outcome = metrics::Outcome::Http4xx;
      break;
  }
  if (world_.fault != Fault::IgnoreRetryAfter) result.retry_after = reply.retry_after;
  sink_.on_attempt_end(job, result, world_.clock.now());
}

// --- the whole -----------------------------------------------------------------------------------

std::unique_ptr<GroupMember> SimIo::make_member(const kafka::ConsumerOptions&,
                                                kafka::ConsumerHandler& handler) {
  return std::make_unique<SimMember>(world_, life_, group_, handler);
}

std::unique_ptr<PartitionReader> SimIo::make_reader(kafka::ReaderOptions options) {
  return std::make_unique<SimReader>(world_, life_, options.topics);
}

std::unique_ptr<RecordSink> SimIo::make_sink(const kafka::ProducerLimits&,
                                             kafka::ReportSink& reports) {
  return std::make_unique<SimSink>(world_, life_, reports);
}

std::unique_ptr<EndpointCaller> SimIo::make_caller(AttemptSink& sink) {
  return std::make_unique<SimCaller>(world_, life_, sink);
}

}  // namespace eventrelay::relay::simulation
