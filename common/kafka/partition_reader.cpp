#include "common/kafka/partition_reader.hpp"

#include <algorithm>

#include "common/base/assert.hpp"
#include "common/kafka/assignment.hpp"
#include "common/kafka/commit_gate.hpp"
#include "common/kafka/commits.hpp"
#include "common/kafka/reader_handle.hpp"
#include "common/kafka/wakeup.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {
namespace {

// Looks although nothing woke the shard: a lost wake-up is found.
constexpr int kPartitionBits = 20;

std::int32_t number_of(TopicPartition place) noexcept {
  return (std::int32_t{place.topic} << kPartitionBits) | place.partition.value;
}

TopicPartition place_of(std::int32_t number) noexcept {
  return {static_cast<std::uint16_t>(number >> kPartitionBits),
          Partition{number & ((1 << kPartitionBits) - 1)}};
}

// One place that is being read.
struct Reading {
  TopicPartition place;
  LogSink* sink = nullptr;  // null: not read now
  ReaderHandle::SharedQueue queue;
  bool drained = true;    // the reader found nothing and waits to be told
  std::size_t taken = 0;  // bytes since then
};

}  // namespace

// Everything behind PartitionReader; handlers of the loop keep it alive until they have run.
// Thread: shard thread.  Bounds: ReaderOptions.
class PartitionReader::Impl : public ClientTurns<Impl> {
 public:
  Impl(Executor executor, const KafkaConfig& config, ReaderOptions options, metrics::Slab& slab)
      : ClientTurns(executor),
        options_(std::move(options)),
        slab_(slab),
        handle_(std::make_shared<ReaderHandle>(config, options_, wakeup().descriptor())),
        readings_(options_.topics.size()) {}

  void end();
  void start(TopicPartition place, Offset from, LogSink& sink);
  void stop(TopicPartition place);
  [[nodiscard]] bool reading(TopicPartition place) const noexcept { return find(place) != nullptr; }
  [[nodiscard]] Read next(TopicPartition place);
  [[nodiscard]] std::optional<Watermarks> watermarks_of(TopicPartition place) const {
    if (find(place) == nullptr) return std::nullopt;
    return kafka::known_watermarks(handle_->client(), handle_->topic(place), place.partition);
  }
  void ask(Question question) { handle_->ask(std::move(question)); }
  void commit_async(std::span<const ReadCommit> commits);
  [[nodiscard]] bool committing() const noexcept { return gate_.busy(monotonic_now()); }
  [[nodiscard]] bool commit_sync(std::span<const ReadCommit> commits);

 private:
  friend class ClientTurns<Impl>;
  [[nodiscard]] Duration tick_interval() const noexcept { return kTick; }
  void on_numbers(std::span<const std::int32_t> numbers);
  void tick();
  void serve();
  void on_event(rd_kafka_event_t* event);
  void tell_readable(Reading& one);
  [[nodiscard]] Reading* find(TopicPartition place) const noexcept;
  Reading& slot(TopicPartition place);
  void let_go(Reading& one);
  [[nodiscard]] Read failed(TopicPartition place, const rd_kafka_message_t& message);
  [[nodiscard]] PartitionsPtr list_of(std::span<const ReadCommit> commits) const;

  const ReaderOptions options_;
  metrics::Slab& slab_;
  CommitGate gate_;
  std::shared_ptr<ReaderHandle> handle_;
  std::vector<std::vector<std::unique_ptr<Reading>>> readings_;  // by topic, then partition
  std::vector<Reading*> active_;
};

void PartitionReader::Impl::end() {
  stop_turns();
  for (Reading* one : active_) let_go(*one);
  active_.clear();
  handle_->detach();
  retire(std::exchange(handle_, nullptr));
  wakeup().close();
}

// --- places -------------------------------------------------------------------------------------

Reading* PartitionReader::Impl::find(TopicPartition place) const noexcept {
  if (place.topic >= readings_.size() || place.partition.value < 0) return nullptr;
  const auto& of_topic = readings_[place.topic];
  const auto index = static_cast<std::size_t>(place.partition.value);
  if (index >= of_topic.size() || of_topic[index] == nullptr) return nullptr;
  return of_topic[index]->sink == nullptr ? nullptr : of_topic[index].get();
}

Reading& PartitionReader::Impl::slot(TopicPartition place) {
  EVENTRELAY_ASSERT(place.topic < readings_.size() && place.partition.value >= 0 &&
                    place.partition.value < (1 << kPartitionBits));
  auto& of_topic = readings_[place.topic];
  const auto index = static_cast<std::size_t>(place.partition.value);
  if (index >= of_topic.size()) of_topic.resize(index + 1);
  if (of_topic[index] == nullptr) of_topic[index] = std::make_unique<Reading>();
  return *of_topic[index];
}

void PartitionReader::Impl::let_go(Reading& one) {
  rd_kafka_queue_io_event_enable(one.queue.get(), -1, nullptr, 0);
  one.queue.reset();  // with what was read ahead, once the library has let go of it as well
  one.sink = nullptr;
}

void PartitionReader::Impl::start(TopicPartition place, Offset from, LogSink& sink) {
  Reading& one = slot(place);
  if (one.sink != nullptr) {
    let_go(one);
  } else {
    active_.push_back(&one);
  }
  // A queue of its own each time: what the former one still gets is never seen.
  one = Reading{place, &sink, handle_->make_queue(number_of(place))};
  handle_->start(place, from, one.queue);
}

void PartitionReader::Impl::stop(TopicPartition place) {
  Reading* one = find(place);
  if (one == nullptr) return;
  let_go(*one);
  std::erase(active_, one);
  handle_->stop(place);
}

// --- reading ------------------------------------------------------------------------------------

void PartitionReader::Impl::on_numbers(std::span<const std::int32_t> numbers) {
  for (const std::int32_t number : numbers) {
    if (stopped()) return;
    if (number < 0) continue;
    Reading* one = find(place_of(number));
    if (one != nullptr && one->drained) tell_readable(*one);
  }
  serve();
}

void PartitionReader::Impl::tell_readable(Reading& one) {
  one.drained = false;
  one.sink->on_readable(one.place);
}

void PartitionReader::Impl::tick() {
  // By index: the sink may start and stop places while it is told.
  for (std::size_t i = 0; i < active_.size() && !stopped(); ++i) {
    Reading& one = *active_[i];
    if (one.drained && rd_kafka_queue_length(one.queue.get()) > 0) tell_readable(one);
  }
  serve();
}

void PartitionReader::Impl::serve() {
  while (!stopped()) {
    const EventPtr event{rd_kafka_queue_poll(handle_->events(), 0)};
    if (!event) break;
    on_event(event.get());
  }
  if (stopped()) return;
  for (Question& question : handle_->answers()) {
    if (stopped()) return;
    if (question.positions) question.positions(question.found_positions);
    if (question.watermarks) question.watermarks(question.found_watermarks);
  }
}

void PartitionReader::Impl::on_event(rd_kafka_event_t* event) {
  const auto type = rd_kafka_event_type(event);
  if (type == RD_KAFKA_EVENT_OFFSET_COMMIT) {
    // Positions are not said again: a replay of what was parked in those seconds is all it costs.
    (void)gate_.answered();
    if (const char* reason = commit_failure(event)) {
      log::warn("kafka commit was refused", {{"group", options_.group}, {"reason", reason}});
    }
    return;
  }
  if (type != RD_KAFKA_EVENT_ERROR) return;
  const auto code = rd_kafka_event_error(event);
  if (is_no_news(code)) return;
  slab_.kafka_consumer_errors_total.add();
  log::warn("kafka reader reports an error",
            {{"error", rd_kafka_err2name(code)}, {"text", rd_kafka_event_error_string(event)}});
}

Read PartitionReader::Impl::next(TopicPartition place) {
  Reading* one = find(place);
  if (one == nullptr) return {};
  MessagePtr message{rd_kafka_consume_queue(one->queue.get(), 0)};
  if (!message) {
    one->drained = true;
    // The queue was near its limit, so the library may have stopped asking for more.
    if (std::exchange(one->taken, 0) >= options_.prefetch_bytes / 4) handle_->nudge(place);
    return {};
  }
  const Offset at{message->offset};
  switch (message->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      one->taken += message->len + message->key_len;
      return {Found::Record, at, Message{message.release()}, {}};
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      return {Found::End, at, Message{}, {}};
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      return {Found::OutOfRange, at, Message{}, {}};
    default:
      return failed(place, *message);
  }
}

Read PartitionReader::Impl::failed(TopicPartition place, const rd_kafka_message_t& message) {
  slab_.kafka_consumer_errors_total.add();
  Read read{Found::Failed, Offset{message.offset}, Message{}, rd_kafka_message_errstr(&message)};
  log::warn("kafka partition reports an error", {{"topic", handle_->topic(place)},
                                                 {"partition", place.partition},
                                                 {"error", rd_kafka_err2name(message.err)},
                                                 {"text", read.reason}});
  return read;
}

// --- positions ----------------------------------------------------------------------------------

PartitionsPtr PartitionReader::Impl::list_of(std::span<const ReadCommit> commits) const {
  PartitionsPtr list{rd_kafka_topic_partition_list_new(static_cast<int>(commits.size()))};
  for (const ReadCommit& one : commits) {
    add_commit(list.get(), handle_->topic(one.place),
               Commit{one.place.partition, one.next, one.metadata});
  }
  return list;
}

void PartitionReader::Impl::commit_async(std::span<const ReadCommit> commits) {
  if (commits.empty()) return;
  const auto error = rd_kafka_commit_queue(handle_->client(), list_of(commits).get(),
                                           handle_->events(), nullptr, nullptr);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return gate_.sent(monotonic_now());
  log::warn("kafka commit was not sent", {{"group", options_.group},  //
                                          {"reason", rd_kafka_err2str(error)}});
}

bool PartitionReader::Impl::commit_sync(std::span<const ReadCommit> commits) {
  if (commits.empty()) return true;
  const EventPtr event =
      commit_and_wait(handle_->client(), list_of(commits).get(), options_.commit_timeout);
  const char* reason = event ? commit_failure(event.get()) : "no answer in time";
  if (reason != nullptr) {
    log::warn("kafka commit was refused", {{"group", options_.group}, {"reason", reason}});
  }
  return reason == nullptr;
}

PartitionReader::PartitionReader(Executor executor, const KafkaConfig& config,
                                 ReaderOptions options, metrics::Slab& slab)
    : impl_(std::make_shared<Impl>(executor, config, std::move(options), slab)) {
  impl_->begin();
}

PartitionReader::~PartitionReader() {
  impl_->end();
}

void PartitionReader::start(TopicPartition place, Offset from, LogSink& sink) {
  impl_->start(place, from, sink);
}

void PartitionReader::stop(TopicPartition place) {
  impl_->stop(place);
}

bool PartitionReader::reading(TopicPartition place) const noexcept {
  return impl_->reading(place);
}

Read PartitionReader::next(TopicPartition place) {
  return impl_->next(place);
}

std::optional<Watermarks> PartitionReader::known_watermarks(TopicPartition place) const {
  return impl_->watermarks_of(place);
}

void PartitionReader::positions(std::vector<TopicPartition> places,
                                std::function<void(std::span<const ReadPosition>)> done) {
  Question question;
  question.places = std::move(places);
  question.positions = std::move(done);
  impl_->ask(std::move(question));
}

void PartitionReader::watermarks(std::vector<TopicPartition> places,
                                 std::function<void(std::span<const PartitionWatermarks>)> done) {
  Question question;
  question.places = std::move(places);
  question.watermarks = std::move(done);
  impl_->ask(std::move(question));
}

void PartitionReader::offsets_for_times(
    std::vector<TopicPartition> places, WallTime since,
    std::function<void(std::span<const PartitionWatermarks>)> done) {
  Question question;
  question.places = std::move(places);
  question.watermarks = std::move(done);
  question.since = unix_ms(since);
  impl_->ask(std::move(question));
}

void PartitionReader::commit_async(std::span<const ReadCommit> commits) {
  impl_->commit_async(commits);
}

bool PartitionReader::committing() const noexcept {
  return impl_->committing();
}

bool PartitionReader::commit_sync(std::span<const ReadCommit> commits) {
  return impl_->commit_sync(commits);
}

}  // namespace eventrelay::kafka
