#include "relay/park/delay_topics.hpp"

#include <algorithm>
#include <utility>

#include "common/base/assert.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"
#include "relay/io/broker_clock.hpp"
#include "relay/log/committer.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::size_t kTurn = 64;                    // records of one step before the loop's turn
constexpr Duration kLook = std::chrono::seconds(1);  // wall time may be set, so it is asked again
constexpr Duration kRenew = std::chrono::hours(1);   // a broker forgets positions nobody renews
// A record ends a fetch at once; this is what nothing costs, and what a start may wait for.
constexpr Duration kFetchWait = std::chrono::milliseconds(500);
// The watch of the topics tells of a log that has begun anew within this time of its first record.
constexpr Duration kRestartTold = std::chrono::seconds(10);

kafka::ReaderOptions reader_options(const Config& config) {
  kafka::ReaderOptions options;
  options.group = config.relay.group + ".delays";
  for (const milliseconds delay : config.retry.delays) {
    options.topics.push_back(kafka::topic_name(config.topics, "retry." + kafka::delay_word(delay)));
  }
  options.prefetch_bytes = kDelayPrefetch;
  options.fetch_wait = kFetchWait;
  return options;
}

}  // namespace

DelayTopics::DelayTopics(ShardIo& io, const Config& config, DelayParts parts)
    : loop_(io.loop()),
      clock_(io.clock()),
      parts_(std::move(parts)),
      steps_(config.retry.delays),
      reader_(io.make_reader(reader_options(config))),
      timer_(loop_.make_timer()) {}

DelayTopics::~DelayTopics() = default;

// --- assignment ---------------------------------------------------------------------------------

void DelayTopics::assign(std::span<const Partition> partitions) {
  std::vector<kafka::TopicPartition> places;
  for (const Partition partition : partitions) {
    if (std::find(owned_.begin(), owned_.end(), partition) != owned_.end()) continue;
    owned_.push_back(partition);
    auto& all_delayed = delayed_[partition.value];
    if (all_delayed == nullptr) {
      all_delayed = std::make_unique<DelayPartitions>();
      for (std::size_t step = 0; step < steps_.size(); ++step) {
        all_delayed->emplace_back(
            kafka::TopicPartition{static_cast<std::uint16_t>(step), partition}, parts_.window);
      }
    }
    for (const DelayPartition& delayed : *all_delayed) places.push_back(delayed.place);
  }
  if (places.empty()) return;
  reader_->positions(std::move(places), [this](std::span<const kafka::ReadPosition> positions) {
    for (const kafka::ReadPosition& position : positions) open(position);
    poll_later();
  });
}

void DelayTopics::open(const kafka::ReadPosition& position) {
  const Partition partition = position.place.partition;
  const bool owned = std::find(owned_.begin(), owned_.end(), partition) != owned_.end();
  DelayPartition& delayed = delayed_of(position.place);
  if (!owned || delayed.reading || shut_) return;
  delayed.reading = true;
  delayed.readable = true;
  delayed.changed = false;
  delayed.stopped.clear();
  delayed.position = position.committed.value_or(Offset{0});
  delayed.ledger.assign(position.committed);
  if (!position.metadata.empty()) delayed.ledger.restore(position.metadata);
  reader_->start(delayed.place, position.committed.value_or(kafka::kLogStart), *this);
}

void DelayTopics::stop_reading(Partition partition) {
  std::erase(owned_, partition);  // positions that come late open nothing
  const auto found = delayed_.find(partition.value);
  if (found == delayed_.end()) return;
  for (DelayPartition& delayed : *found->second) {
    if (delayed.reading) reader_->stop(delayed.place);
    delayed.reading = false;
    if (HeldRecord* const head = std::exchange(delayed.head, nullptr)) free(*head, End::NotDone);
  }
}

bool DelayTopics::busy(Partition partition) const {
  const auto found = delayed_.find(partition.value);
  return found != delayed_.end() &&
         std::any_of(found->second->begin(), found->second->end(),
                     [](const DelayPartition& delayed) { return delayed.held > 0; });
}

void DelayTopics::drop(Partition partition) {
  stop_reading(partition);
  const auto found = delayed_.find(partition.value);
  if (found == delayed_.end()) return;
  // Ends the epoch: what is still in flight can not touch the next assignment's ledger.
  for (DelayPartition& delayed : *found->second) delayed.ledger.assign(std::nullopt);
}

// --- reading ------------------------------------------------------------------------------------

void DelayTopics::on_readable(kafka::TopicPartition place) {
  delayed_of(place).readable = true;
  poll_later();
}

void DelayTopics::poll() {
  if (shut_) return;
  for (const Partition partition : owned_) {
    for (DelayPartition& delayed : *delayed_.at(partition.value)) serve(delayed);
  }
  arm();
  if (std::exchange(admitted_, false)) parts_.admitted();
}

void DelayTopics::poll_later() {
  if (std::exchange(posted_, true)) return;
  loop_.post([this] {
    posted_ = false;
    poll();
  });
}

void DelayTopics::arm() {
  std::optional<WallTime> due;
  for (const Partition partition : owned_) {
    for (const DelayPartition& delayed : *delayed_.at(partition.value)) {
      if (delayed.head == nullptr) continue;
      const WallTime head_due = *delayed.head->event.parked->due;
      if (!due || head_due < *due) due = head_due;
    }
  }
  if (!due) return;
  // What is due and still here waits for room: the shard asks again now and then.
  const milliseconds wait = *due - clock_.due();
  if (wait <= milliseconds::zero()) return;
  timer_->arm(clock_.now() + std::min<Duration>(wait, kLook), [this] { poll(); });
}

void DelayTopics::serve(DelayPartition& delayed) {
  for (std::size_t count = 0; count < kTurn; ++count) {
    if (!delayed.reading || !delayed.stopped.empty()) return;
    if (delayed.head == nullptr && load(delayed) == Progress::Waits) return;
    if (delayed.head != nullptr && place_head(delayed) == Progress::Waits) return;
  }
  poll_later();
}

DelayTopics::Progress DelayTopics::load(DelayPartition& delayed) {
  if (!delayed.readable || parts_.outbox.blocked(delayed.place.partition)) return Progress::Waits;
  kafka::Read read = reader_->next(delayed.place);
  switch (read.found) {
    case kafka::Found::Record:
      return take(delayed, std::move(read.message));
    case kafka::Found::End:
      return Progress::On;
    case kafka::Found::Nothing:
      delayed.readable = false;
      return Progress::Waits;
    case kafka::Found::OutOfRange:
      restart(delayed, read.at);
      return Progress::Waits;
    case kafka::Found::Failed:
      log::warn("a delay topic can not be read",
                {{"partition", delayed.place.partition},
                 {"step", kafka::delay_word(steps_[delayed.place.topic])},
                 {"reason", read.reason}});
      return Progress::Waits;
  }
  return Progress::Waits;
}

DelayTopics::Progress DelayTopics::take(DelayPartition& delayed, kafka::Message message) {
  const Offset offset = message.offset();
  delayed.position = Offset{offset.value + 1};
  const auto event = message.event();
  if (!event || !event->parked || !event->parked->due) {
    stop(delayed,
         "offset " + std::to_string(offset.value) + ": " +
             std::string(event ? "record has no er-sub or no er-due" : describe(event.error())));
    return Progress::Waits;
  }
  HeldRecord& record = records_.take();
  record.event = *event;
  record.partition = delayed.place.partition;
  record.offset = offset;
  record.bytes = cost_of(message);
  record.message = std::move(message);
  WallTime& due = *record.event.parked->due;
  due = judged_due(due, record.message.appended(), steps_[delayed.place.topic], clock_.due());
  record.owner = this;
  record.place = delayed.place.topic;
  ++delayed.held;
  delayed.head = &record;
  return Progress::On;
}

void DelayTopics::stop(DelayPartition& delayed, std::string reason) {
  log::error("delay topic stopped: a record can not be read",
             {{"partition", delayed.place.partition},
              {"step", kafka::delay_word(steps_[delayed.place.topic])},
              {"reason", reason}});
  delayed.stopped = std::move(reason);
}

// The position is not in the log: retention was faster than this group, or the topic is a new one.
void DelayTopics::restart(DelayPartition& delayed, Offset at) {
  log::error("delay topic lost its position and is read from its start",
             {{"partition", delayed.place.partition},
              {"step", kafka::delay_word(steps_[delayed.place.topic])},
              {"offset", at}});
  parts_.slab.kafka_consumer_errors_total.add();
  parts_.slab.relay_log_restarts_total.add();
  delayed.ledger.assign(std::nullopt);
  delayed.position = Offset{0};
  delayed.restarted = clock_.now();
  delayed.stopped.clear();  // the record that could not be read is gone
  parts_.outbox.reads_from_start(delayed.place.topic, delayed.place.partition);
  reader_->start(delayed.place, kafka::kLogStart, *this);
}

Offset DelayTopics::position(std::size_t step, Partition partition) const {
  const auto found = delayed_.find(partition.value);
  if (found == delayed_.end()) return Offset{0};
  const DelayPartition& delayed = (*found->second)[step];
  return delayed.reading ? delayed.position : Offset{0};
}

void DelayTopics::begin_anew(std::size_t step, Partition partition, std::optional<Offset> end) {
  const auto found = delayed_.find(partition.value);
  if (found == delayed_.end() || shut_) return;
  DelayPartition& delayed = (*found->second)[step];
  if (!delayed.reading || delayed.position == Offset{0}) return;
  const bool told = delayed.restarted && clock_.now() - *delayed.restarted < kRestartTold;
  if (end && told && delayed.position <= *end) return;
  HeldRecord* const head = std::exchange(delayed.head, nullptr);
  restart(delayed, delayed.position);
  // What was read of the log that is gone is nowhere else any more: it waits in the new one.
  if (head == nullptr) return;
  parts_.outbox.park(*head, *head->event.parked, step,
                     Sender{this, reinterpret_cast<std::uintptr_t>(head)});
}

DelayTopics::Progress DelayTopics::begin(DelayPartition& delayed, HeldRecord& record) {
  using Begin = OffsetLedger::Begin;
  Begin begun = delayed.ledger.begin(record.offset);
  if (begun == Begin::Backwards) {
    delayed.ledger.assign(record.offset);
    begun = delayed.ledger.begin(record.offset);
  }
  if (begun == Begin::Full) return Progress::Waits;
  delayed.changed = true;
  if (begun == Begin::AlreadyDone) {
    delayed.head = nullptr;
    free(record, End::Done);
    return Progress::On;
  }
  record.begun = true;
  record.epoch = delayed.ledger.epoch();
  return Progress::On;
}

// --- one record ---------------------------------------------------------------------------------

DelayTopics::Progress DelayTopics::place_head(DelayPartition& delayed) {
  HeldRecord& record = *delayed.head;
  const ParkedState& state = *record.event.parked;
  const WallTime now = clock_.due();
  if (*state.due > now) {
    record.copy_out();  // or its whole fetch answer waits with it
    return Progress::Waits;
  }
  if (!record.begun) {
    if (begin(delayed, record) == Progress::Waits) return Progress::Waits;
    if (delayed.head == nullptr) return Progress::On;  // done before a restart
  }
  if (parts_.unknown.take_due(record)) {
    delayed.head = nullptr;
    return Progress::On;
  }
  SubscriptionQueue* const queue =
      parts_.subscriptions.find(record.event.instance, state.subscription);
  if (queue == nullptr) {
    parts_.slab.relay_parked_dropped_total.add();
    delayed.head = nullptr;
    free(record, End::Done);
    return Progress::On;
  }
  if (parts_.is_paused(state.subscription, record.partition)) {
    park_again(delayed, now, steps_.size() - 1);  // until it is resumed
    return Progress::On;
  }
  if (queue->jobs >= queue->config.jobs_max) {
    park_again(delayed, now);
    return Progress::On;
  }
  const JobState job{state.attempts_made, CursorId{}, state.first_failure, true};
  const std::array<SubscriptionQueue*, 1> queues{{queue}};
  if (parts_.scheduler.admit(record, queues, job) == Admitted::Full) return Progress::Waits;
  delayed.head = nullptr;
  admitted_ = true;
  return Progress::On;
}

// So that nothing behind it waits for a queue that is full. It was not tried, so no attempt counts.
void DelayTopics::park_again(DelayPartition& delayed, WallTime now, std::size_t step) {
  HeldRecord& record = *std::exchange(delayed.head, nullptr);
  ParkedState state = *record.event.parked;
  state.due = now + steps_[step];
  parts_.outbox.park(record, state, step, Sender{this, reinterpret_cast<std::uintptr_t>(&record)});
}

void DelayTopics::on_receipt(std::uint64_t token, Receipt receipt) {
  HeldRecord& record = *reinterpret_cast<HeldRecord*>(static_cast<std::uintptr_t>(token));
  if (receipt == Receipt::Written && parts_.budget != nullptr) {
    parts_.budget->add(record.event.body.size());
  }
  // It is as large as it was when it was read: too large only if its topic was changed meanwhile.
  if (receipt == Receipt::TooLarge) {
    stop((*delayed_.at(record.partition.value))[record.place], "a record is too large to be kept");
  }
  free(record, receipt == Receipt::Written ? End::Done : End::NotDone);
}

void DelayTopics::settled(HeldRecord& record, End end) {
  free(record, end);
  poll_later();
}

void DelayTopics::free(HeldRecord& record, End end) {
  DelayPartition& delayed = (*delayed_.at(record.partition.value))[record.place];
  if (end == End::Done) {
    if (record.begun) delayed.ledger.finish(record.offset, record.epoch);
    if (parts_.budget != nullptr) parts_.budget->give_back(record.event.body.size());
    delayed.changed = true;
  }
  --delayed.held;
  records_.free(record);
}

// --- commits ------------------------------------------------------------------------------------

void DelayTopics::collect(DelayPartition& delayed) {
  const std::optional<Offset> next = delayed.ledger.committable();
  if (!delayed.changed || !next) return;
  delayed.changed = false;
  commits_.push_back({delayed.place, *next, delayed.ledger.encode_ranges(kMetadataMax)});
}

void DelayTopics::commit() {
  if (reader_->committing()) return;  // the next one covers this
  const TimePoint now = clock_.now();
  const bool renew = now - renewed_ >= kRenew;
  if (renew) renewed_ = now;
  commits_.clear();
  for (const Partition partition : owned_) {
    for (DelayPartition& delayed : *delayed_.at(partition.value)) {
      delayed.changed = delayed.changed || renew;
      if (delayed.reading) collect(delayed);
    }
  }
  if (!commits_.empty()) reader_->commit_async(commits_);
}

bool DelayTopics::commit_and_wait(std::span<const Partition> partitions) {
  commits_.clear();
  for (const Partition partition : partitions) {
    const auto found = delayed_.find(partition.value);
    if (found == delayed_.end()) continue;
    for (DelayPartition& delayed : *found->second) {
      // An earlier commit may still be on its way or lost: the last word is always said.
      delayed.changed = true;
      collect(delayed);
    }
  }
  return commits_.empty() || reader_->commit_sync(commits_);
}

void DelayTopics::append_lags(std::vector<std::int64_t>& lags) const {
  const std::size_t first = lags.size();
  lags.resize(first + steps_.size());
  for (const Partition partition : owned_) {
    for (const DelayPartition& delayed : *delayed_.at(partition.value)) {
      const auto log = delayed.reading ? reader_->known_watermarks(delayed.place) : std::nullopt;
      if (!log) continue;
      // What waits for its time was read and is not begun.
      const Offset next = delayed.head != nullptr ? delayed.head->offset : delayed.position;
      const Offset done = delayed.ledger.committable().value_or(next);
      const Offset from = std::max(done, log->start);
      if (log->end > from) lags[first + delayed.place.topic] += log->end.value - from.value;
    }
  }
}

void DelayTopics::append_stopped(std::vector<std::string>& reasons) const {
  for (const Partition partition : owned_) {
    for (const DelayPartition& delayed : *delayed_.at(partition.value)) {
      if (delayed.stopped.empty()) continue;
      reasons.push_back("delay " + kafka::delay_word(steps_[delayed.place.topic]) +
                        " of partition " + std::to_string(partition.value) +
                        " stopped: " + delayed.stopped);
    }
  }
}

void DelayTopics::shutdown() {
  shut_ = true;
  timer_->cancel();
}

}  // namespace eventrelay::relay
