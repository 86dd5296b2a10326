#include "common/kafka/compacted_reader.hpp"

#include <librdkafka/rdkafka.h>

#include <utility>

#include "common/base/start_error.hpp"
#include "common/kafka/handle.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {
namespace {

Defaults reader_defaults() {
  return {{"group.id", "eventrelay-registry"},  // for the library's sake; nobody joins it
          {"isolation.level", "read_committed"},
          {"enable.partition.eof", "true"},
          {"fetch.wait.max.ms", "200"},
          {"queued.max.messages.kbytes", "16384"}};
}

std::string text_of(const void* bytes, std::size_t size) {
  return {static_cast<const char*>(bytes), size};
}

}  // namespace

// Thread: one owner.
class CompactedReader::Impl {
 public:
  Impl(const KafkaConfig& config, const std::string& topic)
      : topic_(topic),
        client_(make_client(make_conf(config, Role::Consumer, reader_defaults()), Role::Consumer)) {
    rd_kafka_poll_set_consumer(client_.get());
    const PartitionsPtr partitions(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(partitions.get(), topic.c_str(), 0)->offset =
        RD_KAFKA_OFFSET_BEGINNING;
    const auto error = rd_kafka_assign(client_.get(), partitions.get());
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      throw StartError("topic " + topic + ": " + rd_kafka_err2str(error));
    }
  }
  ~Impl() { rd_kafka_consumer_close(client_.get()); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  CompactedRead next(Duration limit) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
    const MessagePtr message(rd_kafka_consumer_poll(client_.get(), static_cast<int>(ms)));
    CompactedRead out;
    if (!message) return out;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      out.kind = ReadKind::End;
      out.record.offset = message->offset;
      return out;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (!is_no_news(message->err)) {
        log::warn("the registry can not be read now",
                  {{"topic", topic_}, {"error", rd_kafka_message_errstr(message.get())}});
      }
      return out;
    }
    out.kind = ReadKind::Record;
    out.record.offset = message->offset;
    out.record.key = text_of(message->key, message->key_len);
    if (message->payload != nullptr) out.record.value = text_of(message->payload, message->len);
    return out;
  }

 private:
  std::string topic_;
  ClientPtr client_;
};

CompactedReader::CompactedReader(const KafkaConfig& config, const std::string& topic)
    : impl_(std::make_unique<Impl>(config, topic)) {}
CompactedReader::~CompactedReader() = default;

CompactedRead CompactedReader::next(Duration limit) {
  return impl_->next(limit);
}

}  // namespace eventrelay::kafka
