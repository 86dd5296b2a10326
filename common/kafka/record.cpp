#include "common/kafka/record.hpp"

#include <algorithm>
#include <utility>

#include "common/kafka/consumer_client.hpp"
#include "common/kafka/report.hpp"

namespace eventrelay::kafka {

HeadersPtr to_kafka(const RecordHeaders& headers) {
  HeadersPtr result{rd_kafka_headers_new(headers.size())};
  for (const HeaderField& field : headers) {
    rd_kafka_header_add(result.get(), field.name.data(), static_cast<ssize_t>(field.name.size()),
                        field.value.data(), static_cast<ssize_t>(field.value.size()));
  }
  return result;
}

std::size_t size_of(const RecordHeaders& headers) noexcept {
  std::size_t bytes = 0;
  for (const HeaderField& field : headers) bytes += field.name.size() + field.value.size();
  return bytes;
}

Expected<Event, RecordError> read_event(const rd_kafka_message_t& message) {
  RecordReader reader;
  rd_kafka_headers_t* headers = nullptr;  // stays the message's own
  if (rd_kafka_message_headers(&message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    for (std::size_t i = 0;
         rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i) {
      reader.accept(name, {static_cast<const char*>(value), size});
    }
  }
  return reader.finish({static_cast<const char*>(message.payload), message.len});
}

Message& Message::operator=(Message&& other) noexcept {
  if (this != &other) {
    if (raw_ != nullptr) rd_kafka_message_destroy(raw_);
    raw_ = std::exchange(other.raw_, nullptr);
    made_ = std::exchange(other.made_, nullptr);
  }
  return *this;
}

Message::~Message() {
  if (raw_ != nullptr) rd_kafka_message_destroy(raw_);
}

Partition Message::partition() const noexcept {
  return made_ != nullptr ? made_->partition : Partition{raw_->partition};
}

Offset Message::offset() const noexcept {
  return made_ != nullptr ? made_->offset : Offset{raw_->offset};
}

std::string_view Message::key() const noexcept {
  if (made_ != nullptr) return made_->key;
  return {static_cast<const char*>(raw_->key), raw_->key_len};
}

std::string_view Message::value() const noexcept {
  if (made_ != nullptr) return made_->value;
  return {static_cast<const char*>(raw_->payload), raw_->len};
}

std::string_view Message::topic() const noexcept {
  if (made_ != nullptr) return made_->topic;
  return rd_kafka_topic_name(raw_->rkt);
}

WallTime Message::stamped() const noexcept {
  if (made_ != nullptr) return made_->stamped;
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  const auto ms = rd_kafka_message_timestamp(raw_, &type);
  return WallTime{std::chrono::milliseconds{type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? 0 : ms}};
}

std::optional<WallTime> Message::appended() const noexcept {
  return made_ == nullptr ? appended_at(*raw_) : std::nullopt;
}

Expected<Event, RecordError> Message::event() const {
  if (made_ == nullptr) return read_event(*raw_);
  RecordReader reader;
  for (const auto& [name, value] : made_->headers) reader.accept(name, value);
  return reader.finish(made_->value);
}

Expected<Event, RecordError> Message::event(std::span<char> room) {
  Expected<Event, RecordError> event = std::as_const(*this).event();
  if (made_ != nullptr || !event) return event;
  std::size_t total = 0;
  for_each_header_text(*event, [&total](std::string_view& text) { total += text.size(); });
  if (total > room.size()) return event;
  char* at = room.data();
  for_each_header_text(*event, [&at](std::string_view& text) {
    char* const end = std::copy(text.begin(), text.end(), at);
    text = {at, text.size()};
    at = end;
  });
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_detach_headers(raw_, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    rd_kafka_headers_destroy(headers);
  }
  return event;
}

}  // namespace eventrelay::kafka
