// What the client library's report says of a record.
//
// Why:     only what is surely in the log may be answered 2xx.
// Thread:  any.  Bounds: O(1).  Errors: none; what cannot be read is Rejected.
#pragma once

#include <optional>

#include "common/base/clock.hpp"
#include "common/kafka/handle.hpp"
#include "common/kafka/producer_client.hpp"

namespace eventrelay::kafka {

[[nodiscard]] Stored stored_from(const rd_kafka_message_t& message) noexcept;
// When its broker appended it; nothing: the topic keeps the time of who wrote it, or the broker's
// clock was never set.
[[nodiscard]] std::optional<WallTime> appended_at(const rd_kafka_message_t& message) noexcept;

}  // namespace eventrelay::kafka
