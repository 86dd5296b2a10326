// An event's headers on their way into and out of a Kafka record.
//
// Thread:  any.  Bounds: one pass; one library allocation per header written.
// Errors:  RecordError.
#pragma once

#include "common/base/event.hpp"
#include "common/kafka/handle.hpp"

namespace eventrelay::kafka {

[[nodiscard]] HeadersPtr to_kafka(const RecordHeaders& headers);
// Bytes the headers take in the record, as the limits count them.
[[nodiscard]] std::size_t size_of(const RecordHeaders& headers) noexcept;
// Views into `message`.
[[nodiscard]] Expected<Event, RecordError> read_event(const rd_kafka_message_t& message);

}  // namespace eventrelay::kafka
