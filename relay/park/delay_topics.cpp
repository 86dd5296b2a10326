#include "relay/park/delay_topics.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "common/base/assert.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"
#include "relay/log/committer.hpp"
#include "relay/record/due_clock.hpp"

namespace eventrelay::relay {

namespace {

// What is due and unfinished of one step and partition, at most.
constexpr LedgerBounds kWindow{.count_max = 1024, .span_max = 1 << 14};
constexpr std::size_t kTurn = 64;                    // records of one step before the loop's turn
constexpr Duration kLook = std::chrono::seconds(1);  // wall time may be set, so it is asked again
constexpr Duration kRenew = std::chrono::hours(1);   // a broker forgets positions nobody renews
// A record ends a fetch at once; this is what nothing costs, and what a start may wait for.
constexpr Duration kFetchWait = std::chrono::milliseconds(500);
constexpr std::size_t kPrefetch = 128U << 10;

kafka::ReaderOptions reader_options(const Config& config) {
  kafka::ReaderOptions options;
  options.group = config.relay.group + ".delays";
  for (const milliseconds delay : config.retry.delays) {
    options.topics.push_back(kafka::topic_name(config.topics, "retry." + kafka::delay_word(delay)));
  }
  options.prefetch_bytes = kPrefetch;
  options.fetch_wait = kFetchWait;
  return options;
}

}  // namespace

DelayTopics::Queue::Queue(kafka::Place where) : place(where), ledger(kWindow) {}

DelayTopics::DelayTopics(Executor executor, const Config& config, DelayParts parts)
    : executor_(executor),
      parts_(std::move(parts)),
      steps_(config.retry.delays),
      reader_(executor, config.kafka, reader_options(config), parts_.slab),
      timer_(executor) {}

DelayTopics::~DelayTopics() = default;

// --- assignment ---------------------------------------------------------------------------------

void DelayTopics::assign(std::span<const Partition> partitions) {
  std::vector<kafka::Place> places;
  for (const Partition partition : partitions) {
    if (std::find(owned_.begin(), owned_.end(), partition) != owned_.end()) continue;
    owned_.push_back(partition);
    auto& queues = queues_[partition.value];
    if (queues == nullptr) {
      queues = std::make_unique<Queues>();
      for (std::size_t step = 0; step < steps_.size(); ++step) {
        queues->emplace_back(kafka::Place{static_cast<std::uint16_t>(step), partition});
      }
    }
    for (const Queue& queue : *queues) places.push_back(queue.place);
  }
  if (places.empty()) return;
  reader_.positions(std::move(places), [this](std::span<const kafka::ReadPosition> positions) {
    for (const kafka::ReadPosition& position : positions) open(position);
    poll_later();
  });
}

void DelayTopics::open(const kafka::ReadPosition& position) {
  const Partition partition = position.place.partition;
  const bool owned = std::find(owned_.begin(), owned_.end(), partition) != owned_.end();
  Queue& queue = queue_of(position.place);
  if (!owned || queue.reading || shut_) return;
  queue.reading = true;
  queue.readable = true;
  queue.changed = false;
  queue.stopped.clear();
  queue.ledger.assign(position.committed);
  if (!position.metadata.empty()) queue.ledger.restore(position.metadata);
  reader_.start(queue.place, position.committed.value_or(kafka::kLogStart), *this);
}

void DelayTopics::stop_reading(Partition partition) {
  std::erase(owned_, partition);  // positions that come late open nothing
  const auto found = queues_.find(partition.value);
  if (found == queues_.end()) return;
  for (Queue& queue : *found->second) {
    if (queue.reading) reader_.stop(queue.place);
    queue.reading = false;
    if (HeldRecord* const head = std::exchange(queue.head, nullptr)) free(*head, End::NotDone);
  }
}

bool DelayTopics::busy(Partition partition) const {
  const auto found = queues_.find(partition.value);
  return found != queues_.end() && std::any_of(found->second->begin(), found->second->end(),
                                               [](const Queue& queue) { return queue.held > 0; });
}

void DelayTopics::drop(Partition partition) {
  stop_reading(partition);
  const auto found = queues_.find(partition.value);
  if (found == queues_.end()) return;
  // Ends the epoch: what is still in flight can not touch the next assignment's ledger.
  for (Queue& queue : *found->second) queue.ledger.assign(std::nullopt);
}

// --- reading ------------------------------------------------------------------------------------

void DelayTopics::on_readable(kafka::Place place) {
  queue_of(place).readable = true;
  poll_later();
}

void DelayTopics::poll() {
  if (shut_) return;
  for (const Partition partition : owned_) {
    for (Queue& queue : *queues_.at(partition.value)) serve(queue);
  }
  arm();
  if (std::exchange(admitted_, false)) parts_.admitted();
}

void DelayTopics::poll_later() {
  if (std::exchange(posted_, true)) return;
  asio::post(executor_, [this] {
    posted_ = false;
    poll();
  });
}

void DelayTopics::arm() {
  std::optional<WallTime> due;
  for (const Partition partition : owned_) {
    for (const Queue& queue : *queues_.at(partition.value)) {
      if (queue.head == nullptr) continue;
      const WallTime head_due = *queue.head->event.parked->due;
      if (!due || head_due < *due) due = head_due;
    }
  }
  if (!due) return;
  // What is due and still here waits for room: the shard asks again now and then.
  const milliseconds wait = *due - due_now();
  if (wait <= milliseconds::zero()) return;
  timer_.expires_after(std::min<Duration>(wait, kLook));
  timer_.async_wait([this](ErrorCode error) {
    if (!error) poll();
  });
}

void DelayTopics::serve(Queue& queue) {
  for (std::size_t count = 0; count < kTurn; ++count) {
    if (!queue.reading || !queue.stopped.empty()) return;
    if (queue.head == nullptr && load(queue) == Went::Waits) return;
    if (queue.head != nullptr && place_head(queue) == Went::Waits) return;
  }
  poll_later();
}

DelayTopics::Went DelayTopics::load(Queue& queue) {
  if (!queue.readable || parts_.outbox.blocked(queue.place.partition)) return Went::Waits;
  kafka::Read read = reader_.next(queue.place);
  switch (read.found) {
    case kafka::Found::Record:
      return take(queue, std::move(read.message));
    case kafka::Found::End:
      return Went::On;
    case kafka::Found::Nothing:
      queue.readable = false;
      return Went::Waits;
    case kafka::Found::OutOfRange:
      restart(queue, read.at);
      return Went::Waits;
    case kafka::Found::Failed:
      log::warn("a delay topic can not be read", {{"partition", queue.place.partition},
                                                  {"step", queue.place.topic},
                                                  {"reason", read.reason}});
      return Went::Waits;
  }
  return Went::Waits;
}

DelayTopics::Went DelayTopics::take(Queue& queue, kafka::Message message) {
  const Offset offset = message.offset();
  const auto event = message.event();
  if (!event || !event->parked || !event->parked->due) {
    stop(queue,
         "offset " + std::to_string(offset.value) + ": " +
             std::string(event ? "record has no er-sub or no er-due" : describe(event.error())));
    return Went::Waits;
  }
  HeldRecord& record = records_.take();
  record.event = *event;
  record.partition = queue.place.partition;
  record.offset = offset;
  record.bytes = cost_of(message);
  record.message = std::move(message);
  // Written by a clock that was ahead, it would wait longer than its topic is for, jitter included.
  WallTime& due = *record.event.parked->due;
  due = std::min(due, due_now() + steps_[queue.place.topic] * 3 / 2);
  record.origin = this;
  record.place = queue.place.topic;
  ++queue.held;
  queue.head = &record;
  return Went::On;
}

void DelayTopics::stop(Queue& queue, std::string reason) {
  log::error("delay topic stopped: a record can not be read",
             {{"partition", queue.place.partition},
              {"step", kafka::delay_word(steps_[queue.place.topic])},
              {"reason", reason}});
  queue.stopped = std::move(reason);
}

// The position is not in the log: retention was faster than this group, or the topic is a new one.
void DelayTopics::restart(Queue& queue, Offset at) {
  log::error("delay topic lost its position and is read from its start",
             {{"partition", queue.place.partition},
              {"step", kafka::delay_word(steps_[queue.place.topic])},
              {"offset", at}});
  parts_.slab.kafka_consumer_errors_total.add();
  queue.ledger.assign(std::nullopt);
  reader_.start(queue.place, kafka::kLogStart, *this);
}

DelayTopics::Went DelayTopics::begin(Queue& queue, HeldRecord& record) {
  using Begin = OffsetLedger::Begin;
  Begin begun = queue.ledger.begin(record.offset);
  if (begun == Begin::Backwards) {
    queue.ledger.assign(record.offset);
    begun = queue.ledger.begin(record.offset);
  }
  if (begun == Begin::Full) return Went::Waits;
  queue.changed = true;
  if (begun == Begin::AlreadyDone) {
    queue.head = nullptr;
    free(record, End::Done);
    return Went::On;
  }
  record.begun = true;
  record.epoch = queue.ledger.epoch();
  return Went::On;
}

// --- one record ---------------------------------------------------------------------------------

DelayTopics::Went DelayTopics::place_head(Queue& queue) {
  HeldRecord& record = *queue.head;
  const ParkedState& state = *record.event.parked;
  const WallTime now = due_now();
  if (*state.due > now) {
    record.copy_out();  // or its whole fetch answer waits with it
    return Went::Waits;
  }
  if (!record.begun) {
    if (begin(queue, record) == Went::Waits) return Went::Waits;
    if (queue.head == nullptr) return Went::On;  // done before a restart
  }
  Lane* const lane = parts_.subscriptions.find(record.event.instance, state.subscription);
  if (lane == nullptr) {
    parts_.slab.relay_parked_dropped_total.add();
    queue.head = nullptr;
    free(record, End::Done);
    return Went::On;
  }
  if (parts_.is_off(state.subscription, record.partition)) {
    park_again(queue, now, steps_.size() - 1);  // until it is switched on again
    return Went::On;
  }
  if (lane->jobs >= lane->config.jobs_max) {
    park_again(queue, now);
    return Went::On;
  }
  const JobState job{state.attempts_made, EntryId{}, state.first_failure, true};
  const std::array<Lane*, 1> lanes{{lane}};
  if (parts_.scheduler.admit(record, lanes, job) == Admitted::Full) return Went::Waits;
  queue.head = nullptr;
  admitted_ = true;
  return Went::On;
}

// Nobody behind it waits for a queue that is full; it has not been tried, so nothing is counted.
void DelayTopics::park_again(Queue& queue, WallTime now, std::size_t step) {
  HeldRecord& record = *std::exchange(queue.head, nullptr);
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
    stop((*queues_.at(record.partition.value))[record.place], "a record is too large to be kept");
  }
  free(record, receipt == Receipt::Written ? End::Done : End::NotDone);
}

void DelayTopics::settled(HeldRecord& record, End end) {
  free(record, end);
  poll_later();
}

void DelayTopics::free(HeldRecord& record, End end) {
  Queue& queue = (*queues_.at(record.partition.value))[record.place];
  if (end == End::Done) {
    if (record.begun) queue.ledger.finish(record.offset, record.epoch);
    if (parts_.budget != nullptr) parts_.budget->give_back(record.event.body.size());
    queue.changed = true;
  }
  --queue.held;
  records_.free(record);
}

// --- commits ------------------------------------------------------------------------------------

void DelayTopics::collect(Queue& queue) {
  const std::optional<Offset> next = queue.ledger.committable();
  if (!queue.changed || !next) return;
  queue.changed = false;
  commits_.push_back({queue.place, *next, queue.ledger.encode_ranges(kMetadataMax)});
}

void DelayTopics::commit() {
  if (reader_.committing()) return;  // the next one covers this
  const TimePoint now = monotonic_now();
  const bool renew = now - renewed_ >= kRenew;
  if (renew) renewed_ = now;
  commits_.clear();
  for (const Partition partition : owned_) {
    for (Queue& queue : *queues_.at(partition.value)) {
      queue.changed = queue.changed || renew;
      if (queue.reading) collect(queue);
    }
  }
  if (!commits_.empty()) reader_.commit_async(commits_);
}

bool DelayTopics::commit_and_wait(std::span<const Partition> partitions) {
  commits_.clear();
  for (const Partition partition : partitions) {
    const auto found = queues_.find(partition.value);
    if (found == queues_.end()) continue;
    for (Queue& queue : *found->second) {
      // An earlier commit may still be on its way or lost: the last word is always said.
      queue.changed = true;
      collect(queue);
    }
  }
  return commits_.empty() || reader_.commit_sync(commits_);
}

void DelayTopics::append_stopped(std::vector<std::string>& reasons) const {
  for (const Partition partition : owned_) {
    for (const Queue& queue : *queues_.at(partition.value)) {
      if (queue.stopped.empty()) continue;
      reasons.push_back("delay " + kafka::delay_word(steps_[queue.place.topic]) + " of partition " +
                        std::to_string(partition.value) + " stopped: " + queue.stopped);
    }
  }
}

void DelayTopics::shutdown() {
  shut_ = true;
  timer_.cancel();
}

}  // namespace eventrelay::relay
