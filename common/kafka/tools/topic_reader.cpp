#include "common/kafka/tools/topic_reader.hpp"

#include <librdkafka/rdkafka.h>

#include <stdexcept>

#include "common/base/start_error.hpp"
#include "common/kafka/handle.hpp"

namespace eventrelay::kafka {
namespace {

constexpr int kMetadataLimitMs = 10'000;

std::int64_t place(From from) {
  return from == From::Beginning ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
}

Defaults defaults_for(std::size_t topics) {
  return {{"group.id", "eventrelay-reader"},
          {"queued.max.messages.kbytes", topics > 1 ? "128" : "1024"}};
}

// The library goes on by itself after these.
}  // namespace

// Thread: one owner.
class TopicReader::Impl {
 public:
  Impl(const KafkaConfig& config, const std::vector<std::string>& topics, From from,
       std::optional<WallTime> since = {})
      : client_(make_client(make_conf(config, Role::Consumer, defaults_for(topics.size())),
                            Role::Consumer)) {
    rd_kafka_poll_set_consumer(client_.get());
    const PartitionsPtr partitions(rd_kafka_topic_partition_list_new(16));
    for (const std::string& topic : topics) {
      const auto error = add(topic, place(from), *partitions);
      const bool absent = error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR && (!absent || topics.size() == 1)) {
        refuse(topic, error);
      }
    }
    if (partitions->cnt == 0) {
      refuse(topics.front() + " and the others", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    }
    if (since) {
      for (int i = 0; i < partitions->cnt; ++i) partitions->elems[i].offset = unix_ms(*since);
      const auto found =
          rd_kafka_offsets_for_times(client_.get(), partitions.get(), kMetadataLimitMs);
      if (found != RD_KAFKA_RESP_ERR_NO_ERROR) refuse(topics.front(), found);
    }
    const auto assigned = rd_kafka_assign(client_.get(), partitions.get());
    if (assigned != RD_KAFKA_RESP_ERR_NO_ERROR) refuse(topics.front(), assigned);
  }

  std::optional<Message> next(Duration limit) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
    rd_kafka_message_t* raw = rd_kafka_consumer_poll(client_.get(), static_cast<int>(ms));
    if (raw == nullptr) return std::nullopt;
    if (raw->err == RD_KAFKA_RESP_ERR_NO_ERROR) return Message(raw);
    const MessagePtr failed(raw);
    if (is_no_news(raw->err)) return std::nullopt;
    throw std::runtime_error(std::string("Kafka: ") + rd_kafka_message_errstr(raw));
  }

 private:
  rd_kafka_resp_err_t add(const std::string& topic, std::int64_t offset,
                          rd_kafka_topic_partition_list_t& partitions) {
    const TopicPtr handle(rd_kafka_topic_new(client_.get(), topic.c_str(), nullptr));
    if (!handle) return rd_kafka_last_error();
    const rd_kafka_metadata_t* raw = nullptr;
    const auto error = rd_kafka_metadata(client_.get(), 0, handle.get(), &raw, kMetadataLimitMs);
    const MetadataPtr metadata(raw);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return error;
    const auto& found = metadata->topics[0];
    if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) return found.err;
    for (int i = 0; i < found.partition_cnt; ++i) {
      rd_kafka_topic_partition_list_add(&partitions, topic.c_str(), found.partitions[i].id)
          ->offset = offset;
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
  }

  [[noreturn]] static void refuse(const std::string& topic, rd_kafka_resp_err_t error) {
    throw StartError("topic " + topic + ": " + rd_kafka_err2str(error) +
                     "; check the name, and that the broker is up");
  }

  ClientPtr client_;
};

TopicReader::TopicReader(const KafkaConfig& config, const std::string& topic, From from)
    : TopicReader(config, std::vector<std::string>{topic}, from) {}
TopicReader::TopicReader(const KafkaConfig& config, const std::string& topic, WallTime since)
    : impl_(std::make_unique<Impl>(config, std::vector<std::string>{topic}, From::End, since)) {}
TopicReader::TopicReader(const KafkaConfig& config, const std::vector<std::string>& topics,
                         From from)
    : impl_(std::make_unique<Impl>(config, topics, from)) {}
TopicReader::~TopicReader() = default;

std::optional<Message> TopicReader::next(Duration limit) {
  return impl_->next(limit);
}

}  // namespace eventrelay::kafka
