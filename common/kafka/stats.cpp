#include "common/kafka/stats.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>

namespace eventrelay::kafka {
namespace {

namespace json = boost::json;

// The number at `object[outer][inner]`; 0 where there is none.
std::uint64_t whole(const json::object& object, std::string_view outer,
                    std::string_view inner = {}) {
  const json::value* found = object.if_contains(outer);
  if (found != nullptr && !inner.empty()) {
    const json::object* nested = found->if_object();
    found = nested != nullptr ? nested->if_contains(inner) : nullptr;
  }
  const std::int64_t* number = found != nullptr ? found->if_int64() : nullptr;
  return number != nullptr && *number > 0 ? static_cast<std::uint64_t>(*number) : 0;
}

std::uint64_t growth(std::uint64_t now, std::uint64_t last) {
  return now > last ? now - last : 0;
}

void add_broker(ClientStats& stats, const json::object& broker) {
  stats.tx_retries += whole(broker, "txretries");
  stats.request_timeouts += whole(broker, "req_timeouts");
  const auto throttle_ms = static_cast<double>(whole(broker, "throttle", "avg"));
  const auto round_trip_us = static_cast<double>(whole(broker, "rtt", "p95"));
  stats.throttle_seconds = std::max(stats.throttle_seconds, throttle_ms / 1e3);
  stats.round_trip_seconds = std::max(stats.round_trip_seconds, round_trip_us / 1e6);
}

}  // namespace

std::optional<ClientStats> parse_stats(std::string_view text) {
  boost::system::error_code error;
  const json::value parsed = json::parse(text, error);
  const json::object* root = error ? nullptr : parsed.if_object();
  const json::value* brokers = root != nullptr ? root->if_contains("brokers") : nullptr;
  if (brokers == nullptr || !brokers->is_object()) return std::nullopt;
  ClientStats stats;
  for (const auto& [name, broker] : brokers->get_object()) {
    if (broker.is_object()) add_broker(stats, broker.get_object());
  }
  stats.queued_messages = whole(*root, "msg_cnt");
  stats.sent_bytes = whole(*root, "tx_bytes");
  stats.record_bytes = whole(*root, "txmsg_bytes");
  stats.producer_ids = whole(*root, "eos", "epoch_cnt");
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

// The library compresses where the brokers' versions let it, and does without a word where not; so
// it is measured. Requests and headers come on top of the records: less can only be compressed.
void StatsMeter::judge_compression(const ClientStats& now) {
  constexpr std::uint64_t kEnough = 64 << 10;  // fewer bytes of records say nothing
  const std::uint64_t records = growth(now.record_bytes, judged_.record_bytes);
  if (records < kEnough) return;
  const bool less = growth(now.sent_bytes, judged_.sent_bytes) < records;
  slab_.kafka_compression_active.set(less ? 1 : 0);
  judged_ = now;
}

void StatsMeter::producer(const ClientStats& now) {
  common(now);
  judge_compression(now);
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
