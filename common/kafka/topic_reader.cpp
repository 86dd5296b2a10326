#include "common/kafka/topic_reader.hpp"

#include <librdkafka/rdkafka.h>

#include <stdexcept>

#include "common/kafka/handle.hpp"
#include "common/start_error.hpp"

namespace eventrelay::kafka {
namespace {

constexpr int kMetadataLimitMs = 10'000;

std::int64_t place(From from) {
  return from == From::Beginning ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
}

}  // namespace

// Thread: one owner.
class TopicReader::Impl {
 public:
  Impl(const KafkaConfig& config, const std::string& topic, From from) {
    const Defaults defaults{{"group.id", "eventrelay-reader"},
                            {"queued.max.messages.kbytes", "1024"}};
    client_ = make_client(make_conf(config, Role::Consumer, defaults), Role::Consumer);
    rd_kafka_poll_set_consumer(client_.get());
    const TopicPtr handle(rd_kafka_topic_new(client_.get(), topic.c_str(), nullptr));
    const rd_kafka_metadata_t* raw = nullptr;
    const auto error = rd_kafka_metadata(client_.get(), 0, handle.get(), &raw, kMetadataLimitMs);
    const MetadataPtr metadata(raw);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) refuse(topic, error);
    const auto& found = metadata->topics[0];
    if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) refuse(topic, found.err);
    const PartitionsPtr partitions(rd_kafka_topic_partition_list_new(found.partition_cnt));
    for (int i = 0; i < found.partition_cnt; ++i) {
      rd_kafka_topic_partition_list_add(partitions.get(), topic.c_str(), found.partitions[i].id)
          ->offset = place(from);
    }
    const auto assigned = rd_kafka_assign(client_.get(), partitions.get());
    if (assigned != RD_KAFKA_RESP_ERR_NO_ERROR) refuse(topic, assigned);
  }

  std::optional<Message> next(Duration limit) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
    rd_kafka_message_t* raw = rd_kafka_consumer_poll(client_.get(), static_cast<int>(ms));
    if (raw == nullptr) return std::nullopt;
    if (raw->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      const MessagePtr failed(raw);
      throw std::runtime_error(std::string("Kafka: ") + rd_kafka_message_errstr(raw));
    }
    return Message(raw);
  }

 private:
  [[noreturn]] static void refuse(const std::string& topic, rd_kafka_resp_err_t error) {
    throw StartError("topic " + topic + ": " + rd_kafka_err2str(error) +
                     "; check the name, and that the broker is up");
  }

  ClientPtr client_;
};

TopicReader::TopicReader(const KafkaConfig& config, const std::string& topic, From from)
    : impl_(std::make_unique<Impl>(config, topic, from)) {}
TopicReader::~TopicReader() = default;

std::optional<Message> TopicReader::next(Duration limit) {
  return impl_->next(limit);
}

}  // namespace eventrelay::kafka
