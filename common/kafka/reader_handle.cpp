#include "common/kafka/reader_handle.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/base/assert.hpp"
#include "common/base/start_error.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {
namespace {

// Short, so that a handle that must end does not wait for it; a broker answers in milliseconds.
constexpr int kAskMs = 2000;
constexpr std::chrono::milliseconds kAskPause{100};
constexpr int kNudgeMs = 100;
constexpr int kWarmUpMs = 2000;
constexpr std::size_t kPrefetchMin = 64U << 10;
constexpr std::size_t kTopicsMax = 64;

void set_fixed(rd_kafka_conf_t* conf, const char* key, const std::string& value) {
  std::array<char, 256> why{};
  const auto result = rd_kafka_conf_set(conf, key, value.c_str(), why.data(), why.size());
  EVENTRELAY_ASSERT(result == RD_KAFKA_CONF_OK);
}

// What must hold whatever the user set_fixed for the member of the group.
ConfPtr conf_of(KafkaConfig config, const ReaderOptions& options) {
  config.properties.erase("group.instance.id");  // it names the member, which is another client
  ConfPtr conf = make_conf(config, Role::Consumer, {{"group.id", options.group}});
  const std::size_t share = std::max(options.prefetch_bytes, kPrefetchMin);
  const std::size_t fetch = std::min<std::size_t>(share / 2, 1U << 20);
  const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(options.fetch_wait);
  set_fixed(conf.get(), "auto.offset.reset", "error");  // where to go on is the caller's decision
  set_fixed(conf.get(), "enable.partition.eof", "true");
  set_fixed(conf.get(), "isolation.level", "read_committed");
  set_fixed(conf.get(), "queued.max.messages.kbytes", std::to_string((share - fetch) / 1024));
  set_fixed(conf.get(), "queued.min.messages",
            std::to_string(std::max<std::size_t>(share / 256, 1000)));
  set_fixed(conf.get(), "fetch.message.max.bytes", std::to_string(fetch));
  set_fixed(conf.get(), "fetch.wait.max.ms", std::to_string(wait.count()));
  rd_kafka_conf_set_events(conf.get(), RD_KAFKA_EVENT_ERROR);
  return conf;
}

}  // namespace

ReaderHandle::ReaderHandle(const KafkaConfig& config, const ReaderOptions& options,
                           int wake_descriptor)
    : names_(options.topics), wake_descriptor_(wake_descriptor) {
  EVENTRELAY_ASSERT(!names_.empty() && names_.size() <= kTopicsMax);
  client_ = make_client(conf_of(config, options), Role::Consumer);
  events_.reset(rd_kafka_queue_get_main(client_.get()));
  for (const std::string& name : names_) {
    topics_.emplace_back(rd_kafka_topic_new(client_.get(), name.c_str(), nullptr));
    if (topics_.back()) continue;
    throw StartError("topic \"" + name + "\": " + rd_kafka_err2str(rd_kafka_last_error()));
  }
  rd_kafka_queue_io_event_enable(events_.get(), wake_descriptor, &kReaderEvents,
                                 sizeof kReaderEvents);
  command_thread_ = std::thread{[this] { run_commands(); }};
}

ReaderHandle::~ReaderHandle() {
  detach();
  {
    const std::lock_guard lock{mutex_};
    ending_ = true;
  }
  changed_.notify_all();
  command_thread_.join();
  if (question_thread_.joinable()) question_thread_.join();
  commands_.clear();
  // A place that is still read keeps the client from ending for ever.
  while (!reading_.empty()) {
    const auto [topic, partition] = *reading_.begin();
    end_reading({topic, Partition{partition}});
  }
  topics_.clear();
  events_.reset();
  rd_kafka_destroy_flags(client_.release(), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

void ReaderHandle::detach() {
  rd_kafka_queue_io_event_enable(events_.get(), -1, nullptr, 0);
  const std::lock_guard lock{mutex_};
  wake_descriptor_ = -1;
}

ReaderHandle::SharedQueue ReaderHandle::make_queue(std::int32_t number) const {
  SharedQueue queue(rd_kafka_queue_new(client_.get()), Destroy<rd_kafka_queue_destroy>{});
  rd_kafka_queue_io_event_enable(queue.get(), wake_descriptor_, &number, sizeof number);
  return queue;
}

// --- commands -----------------------------------------------------------------------------------

void ReaderHandle::start(TopicPartition place, Offset from, SharedQueue queue) {
  EVENTRELAY_ASSERT(place.topic < topics_.size());
  push({What::Start, place, from, std::move(queue)});
}

void ReaderHandle::stop(TopicPartition place) {
  push({What::Stop, place, Offset{}, nullptr});
}

void ReaderHandle::nudge(TopicPartition place) {
  push({What::Nudge, place, Offset{}, nullptr});
}

void ReaderHandle::push(Command command) {
  {
    const std::lock_guard lock{mutex_};
    commands_.push_back(std::move(command));
  }
  changed_.notify_all();
}

void ReaderHandle::run_commands() {
  bool warm = false;
  for (;;) {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return ending_ || !commands_.empty(); });
    if (ending_) return;
    Command command = std::move(commands_.front());
    commands_.pop_front();
    lock.unlock();
    if (!std::exchange(warm, true)) {
      const auto error = learn_topics(kWarmUpMs);
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        log::warn("kafka topics are not known yet", {{"reason", rd_kafka_err2str(error)}});
      }
    }
    execute(command);
  }
}

// Without it the library looks for the leaders of a topic it has just met only once a second.
rd_kafka_resp_err_t ReaderHandle::learn_topics(int limit_ms) const {
  const rd_kafka_metadata_t* raw = nullptr;
  const auto error = rd_kafka_metadata(client_.get(), 0, nullptr, &raw, limit_ms);
  const MetadataPtr metadata(raw);
  return error;
}

void ReaderHandle::execute(Command& command) {
  const TopicPartition place = command.place;
  switch (command.what) {
    case What::Start: {
      end_reading(place);
      const int failed =
          rd_kafka_consume_start_queue(topics_[place.topic].get(), place.partition.value,
                                       command.from.value, command.queue.get());
      if (failed == 0) {
        reading_.emplace(place.topic, place.partition.value);
        break;
      }
      log::error("kafka partition can not be read",
                 {{"topic", topic(place)},
                  {"partition", place.partition},
                  {"reason", rd_kafka_err2str(rd_kafka_last_error())}});
      break;
    }
    case What::Stop:
      end_reading(place);
      break;
    case What::Nudge:
      (void)list_offsets({&command.place, 1}, kLogEnd.value, kNudgeMs);
      break;
  }
}

void ReaderHandle::end_reading(TopicPartition place) {
  if (reading_.erase({place.topic, place.partition.value}) == 0) return;
  if (rd_kafka_consume_stop(topics_[place.topic].get(), place.partition.value) == 0) return;
  log::error("reading a kafka partition could not be stopped",
             {{"topic", topic(place)},
              {"partition", place.partition},
              {"reason", rd_kafka_err2str(rd_kafka_last_error())}});
}

// --- questions ----------------------------------------------------------------------------------

void ReaderHandle::ask(Question question) {
  {
    const std::lock_guard lock{mutex_};
    // The oldest question is dropped: when so many are unanswered, its asker has given up.
    if (questions_.size() == kQuestionsMax) questions_.pop_front();
    questions_.push_back(std::move(question));
    if (!question_thread_.joinable()) question_thread_ = std::thread{[this] { run_questions(); }};
  }
  changed_.notify_all();
}

std::vector<Question> ReaderHandle::answers() {
  const std::lock_guard lock{mutex_};
  return std::exchange(answers_, {});
}

void ReaderHandle::run_questions() {
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !questions_.empty(); });
    if (ending_) return;
    Question question = std::move(questions_.front());
    questions_.pop_front();
    lock.unlock();
    const bool answered = answer(question);
    lock.lock();
    if (!answered) {
      questions_.push_back(std::move(question));  // behind the others: it may never be answered
      if (changed_.wait_for(lock, kAskPause, [this] { return ending_; })) return;
      continue;
    }
    answers_.push_back(std::move(question));
    // Under the lock: detach() must not return while the descriptor is being written.
    if (wake_descriptor_ < 0) continue;
    (void)!::write(wake_descriptor_, &kReaderAnswers, sizeof kReaderAnswers);
  }
}

bool ReaderHandle::answer(Question& question) const {
  return question.positions ? answer_positions(question) : answer_watermarks(question);
}

bool ReaderHandle::answer_positions(Question& question) const {
  const PartitionsPtr list{
      rd_kafka_topic_partition_list_new(static_cast<int>(question.places.size()))};
  for (const TopicPartition& place : question.places) {
    rd_kafka_topic_partition_list_add(list.get(), topic(place).c_str(), place.partition.value);
  }
  auto error = rd_kafka_committed(client_.get(), list.get(), kAskMs);
  for (int i = 0; error == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; ++i) {
    error = list->elems[i].err;
  }
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    log::warn("committed positions of the group are not known yet",
              {{"reason", rd_kafka_err2str(error)}});
    return false;
  }
  // The library may have sorted the list.
  for (const TopicPartition& place : question.places) {
    ReadPosition& position = question.found_positions.emplace_back();
    position.place = place;
    const rd_kafka_topic_partition_t* found =
        rd_kafka_topic_partition_list_find(list.get(), topic(place).c_str(), place.partition.value);
    if (found == nullptr || found->offset < 0) continue;
    position.committed = Offset{found->offset};
    position.metadata.assign(static_cast<const char*>(found->metadata), found->metadata_size);
  }
  return true;
}

// Not rd_kafka_query_watermark_offsets(): without an answer it waits far past its limit.
PartitionsPtr ReaderHandle::list_offsets(std::span<const TopicPartition> places, std::int64_t which,
                                         int limit_ms) const {
  PartitionsPtr list{rd_kafka_topic_partition_list_new(static_cast<int>(places.size()))};
  for (const TopicPartition& place : places) {
    rd_kafka_topic_partition_list_add(list.get(), topic(place).c_str(), place.partition.value)
        ->offset = which;
  }
  // Such a version has forgotten the leaders, and its own wait for them may miss the answer.
  if (keeps_freed_topics(rd_kafka_version())) (void)learn_topics(limit_ms);
  auto error = rd_kafka_offsets_for_times(client_.get(), list.get(), limit_ms);
  for (int i = 0; error == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; ++i) {
    error = list->elems[i].err;
  }
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return list;
  if (limit_ms == kAskMs) {
    log::warn("first and last offsets of partitions are not known yet",
              {{"reason", rd_kafka_err2str(error)}});
  }
  return nullptr;
}

bool ReaderHandle::answer_watermarks(Question& question) const {
  const PartitionsPtr starts = list_offsets(question.places, question.since, kAskMs);
  const PartitionsPtr ends =
      starts ? list_offsets(question.places, kLogEnd.value, kAskMs) : nullptr;
  if (!ends) return false;
  for (const TopicPartition& place : question.places) {
    const auto* start = rd_kafka_topic_partition_list_find(starts.get(), topic(place).c_str(),
                                                           place.partition.value);
    const auto* end =
        rd_kafka_topic_partition_list_find(ends.get(), topic(place).c_str(), place.partition.value);
    EVENTRELAY_ASSERT(start != nullptr && end != nullptr);
    // Nothing was written since then: reading begins at the end of the log.
    const std::int64_t from = start->offset < 0 ? end->offset : start->offset;
    question.found_watermarks.push_back({place, Offset{from}, Offset{end->offset}});
  }
  return true;
}

}  // namespace eventrelay::kafka
