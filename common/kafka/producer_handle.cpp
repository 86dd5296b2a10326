#include "common/kafka/producer_handle.hpp"

#include <unistd.h>

#include <algorithm>

#include "common/base/start_error.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {
namespace {

constexpr std::chrono::milliseconds kMetadataTimeout{1000};
constexpr std::chrono::milliseconds kMetadataPause{100};
constexpr std::chrono::milliseconds kFlushSlice{100};
constexpr std::int32_t kWakeNumber = -1;

Defaults limits_of(const ProducerLimits& limits) {
  // Ours count first and exactly; the library's are a little wider and never met.
  const std::size_t kbytes = std::clamp<std::size_t>(limits.queue_bytes / 1024 * 2, 64, 2097151);
  const std::size_t messages = std::clamp<std::size_t>(limits.queue_messages, 1, 9'999'999) + 1;
  const std::size_t record = std::clamp<std::size_t>(limits.record_bytes_max, 1000, 999'000'000);
  Defaults settings{{"queue.buffering.max.kbytes", std::to_string(kbytes)},
                    {"queue.buffering.max.messages", std::to_string(messages)},
                    {"message.max.bytes", std::to_string(record + 1024)}};  // headers' own framing
  // What waits has waited before it is handed over.
  if (limits.gather > Duration::zero()) settings.emplace_back("linger.ms", "0");
  return settings;
}

// Partitions of the topic; 0 if nobody could say.
std::int32_t ask_partitions(rd_kafka_t* client, rd_kafka_topic_t* topic) {
  const rd_kafka_metadata_t* raw = nullptr;
  const auto error =
      rd_kafka_metadata(client, 0, topic, &raw, static_cast<int>(kMetadataTimeout.count()));
  const MetadataPtr metadata{raw};
  const char* reason = nullptr;
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    reason = rd_kafka_err2str(error);
  } else if (metadata->topic_cnt != 1 || metadata->topics[0].partition_cnt == 0) {
    reason = "no partitions";
  } else if (metadata->topics[0].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    reason = rd_kafka_err2str(metadata->topics[0].err);
  }
  if (reason == nullptr) return metadata->topics[0].partition_cnt;
  log::warn("kafka topic is not known yet",
            {{"topic", rd_kafka_topic_name(topic)}, {"reason", reason}});
  return 0;
}

}  // namespace

ProducerHandle::ProducerHandle(const KafkaConfig& config, const ProducerLimits& limits,
                               int wake_descriptor)
    : wake_descriptor_(wake_descriptor) {
  ConfPtr conf = make_conf(config, Role::Producer, limits_of(limits));
  rd_kafka_conf_set_events(conf.get(),
                           RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS);
  client_ = make_client(std::move(conf), Role::Producer);
  reports_.reset(rd_kafka_queue_get_main(client_.get()));
  rd_kafka_queue_io_event_enable(reports_.get(), wake_descriptor, &kWakeNumber, sizeof kWakeNumber);
}

ProducerHandle::~ProducerHandle() {
  detach();
  {
    const std::lock_guard lock{mutex_};
    ending_ = true;
    ending_changed_.notify_all();
  }
  if (primer_.joinable()) primer_.join();
  if (flusher_.joinable()) flusher_.join();
  topics_.clear();
  reports_.reset();
}

void ProducerHandle::detach() {
  rd_kafka_queue_io_event_enable(reports_.get(), -1, nullptr, 0);
  const std::lock_guard lock{mutex_};
  wake_descriptor_ = -1;
}

void ProducerHandle::open_topic(const std::string& name) {
  TopicPtr topic{rd_kafka_topic_new(client_.get(), name.c_str(), nullptr)};
  if (!topic) {
    throw StartError("kafka topic \"" + name + "\": " + rd_kafka_err2str(rd_kafka_last_error()));
  }
  std::unique_lock lock{mutex_};
  topics_.push_back(std::move(topic));
  partitions_.emplace_back(0);
  primed_.store(false, std::memory_order_release);
  if (std::exchange(priming_, true)) return;
  if (primer_.joinable()) primer_.join();  // it has ended: priming_ was its last word
  primer_ = std::thread{[this] { prime(); }};
}

void ProducerHandle::prime() {
  std::unique_lock lock{mutex_};
  while (!ending_ && known_topics_ < topics_.size()) {
    rd_kafka_topic_t* topic = topics_[known_topics_].get();
    lock.unlock();
    const std::int32_t known = ask_partitions(client_.get(), topic);
    lock.lock();
    if (known > 0) {
      partitions_[known_topics_].store(known, std::memory_order_relaxed);
      ++known_topics_;
    } else {
      ending_changed_.wait_for(lock, kMetadataPause, [this] { return ending_; });
    }
  }
  priming_ = false;
  if (ending_) return;
  primed_.store(true, std::memory_order_release);
  // Under the lock: detach() must not return while the descriptor is being written.
  if (wake_descriptor_ >= 0) (void)!::write(wake_descriptor_, &kWakeNumber, sizeof kWakeNumber);
}

void ProducerHandle::begin_flush() {
  if (flusher_.joinable()) return;
  flusher_ = std::thread{[this] {
    const int slice = static_cast<int>(kFlushSlice.count());
    while (rd_kafka_flush(client_.get(), slice) == RD_KAFKA_RESP_ERR__TIMED_OUT) {
      const std::lock_guard lock{mutex_};
      if (ending_) return;
    }
  }};
}

EventPtr ProducerHandle::poll() const noexcept {
  return EventPtr{rd_kafka_queue_poll(reports_.get(), 0)};
}

}  // namespace eventrelay::kafka
