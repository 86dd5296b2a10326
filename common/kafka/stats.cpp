#include "common/kafka/stats.hpp"

#include <simdjson.h>

#include <algorithm>

namespace eventrelay::kafka {
namespace {

std::uint64_t whole(simdjson::simdjson_result<simdjson::dom::element> found) {
  std::int64_t value = 0;
  return found.get(value) == simdjson::SUCCESS && value > 0 ? static_cast<std::uint64_t>(value) : 0;
}

std::uint64_t growth(std::uint64_t now, std::uint64_t last) {
  return now > last ? now - last : 0;
}

}  // namespace

std::optional<ClientStats> parse_stats(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS) return std::nullopt;
  simdjson::dom::object brokers;
  if (root["brokers"].get(brokers) != simdjson::SUCCESS) return std::nullopt;
  ClientStats stats;
  for (const auto& [name, broker] : brokers) {
    stats.tx_retries += whole(broker["txretries"]);
    stats.request_timeouts += whole(broker["req_timeouts"]);
    const auto throttle_ms = static_cast<double>(whole(broker["throttle"]["avg"]));
    const auto round_trip_us = static_cast<double>(whole(broker["rtt"]["p95"]));
    stats.throttle_seconds = std::max(stats.throttle_seconds, throttle_ms / 1e3);
    stats.round_trip_seconds = std::max(stats.round_trip_seconds, round_trip_us / 1e6);
  }
  stats.queued_messages = whole(root["msg_cnt"]);
  stats.producer_ids = whole(root["eos"]["epoch_cnt"]);
  return stats;
}

void StatsMeter::common(const ClientStats& now) {
  slab_.kafka_tx_retries_total.add(growth(now.tx_retries, last_.tx_retries));
  slab_.kafka_request_timeouts_total.add(growth(now.request_timeouts, last_.request_timeouts));
  // Both clients of a shard write this gauge: only a change is written, so a client that is not
  // throttled does not hide one that is.
  if (now.throttle_seconds != last_.throttle_seconds) {
    slab_.kafka_throttle_seconds.set(now.throttle_seconds);
  }
}

void StatsMeter::producer(const ClientStats& now) {
  common(now);
  slab_.kafka_producer_queue_messages.set(static_cast<double>(now.queued_messages));
  slab_.kafka_broker_rtt_seconds.set(now.round_trip_seconds);
  // The first producer id is no bump.
  slab_.kafka_producer_epoch_bumps_total.add(
      growth(std::max<std::uint64_t>(now.producer_ids, 1),
             std::max<std::uint64_t>(last_.producer_ids, 1)));
  last_ = now;
}

void StatsMeter::consumer(const ClientStats& now) {
  common(now);  // its round trips contain the wait for new records: not a figure of the broker
  last_ = now;
}

}  // namespace eventrelay::kafka
