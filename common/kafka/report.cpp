#include "common/kafka/report.hpp"

namespace eventrelay::kafka {
namespace {

// When a later record of the partition was taken, the library reports one before it as persisted
// although its own request had failed. A broker that does not know the producer yet takes any first
// sequence, so the record may be nowhere: only one that was given an offset is stored.
bool is_stored(const rd_kafka_message_t& message) noexcept {
  return rd_kafka_message_status(&message) == RD_KAFKA_MSG_STATUS_PERSISTED && message.offset >= 0;
}

}  // namespace

Stored stored_from(const rd_kafka_message_t& message) noexcept {
  switch (message.err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      return is_stored(message) ? Stored::Persisted : Stored::Rejected;
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
      return Stored::TimedOut;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
      return Stored::TooLarge;
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__DESTROY:
      return Stored::Fatal;
    default:
      return Stored::Rejected;
  }
}

std::optional<WallTime> appended_at(const rd_kafka_message_t& message) noexcept {
  // 2020-01-01: a clock that stands before it was never set, and is nobody's common clock. The
  // embedded broker answers 1,234 ms always.
  constexpr std::int64_t kNeverSetMs = 1'577'836'800'000;
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  const auto ms = rd_kafka_message_timestamp(&message, &type);
  if (type != RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME || ms < kNeverSetMs) return std::nullopt;
  return WallTime{std::chrono::milliseconds{ms}};
}

metrics::ProduceFailure failure_of(Queued queued) noexcept {
  switch (queued) {
    case Queued::QueueFull:
      return metrics::ProduceFailure::QueueFull;
    case Queued::TooLarge:
      return metrics::ProduceFailure::TooLarge;
    case Queued::Queued:
    case Queued::Unavailable:
      break;
  }
  return metrics::ProduceFailure::Broker;
}

metrics::ProduceFailure failure_of(Stored stored) noexcept {
  switch (stored) {
    case Stored::TimedOut:
      return metrics::ProduceFailure::Timeout;
    case Stored::TooLarge:
      return metrics::ProduceFailure::TooLarge;
    case Stored::Fatal:
      return metrics::ProduceFailure::Fatal;
    case Stored::Persisted:
    case Stored::Rejected:
      break;
  }
  return metrics::ProduceFailure::Broker;
}

}  // namespace eventrelay::kafka
