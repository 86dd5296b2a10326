#include "relay/shard_status.hpp"

#include <algorithm>
#include <string_view>

#include "common/kafka/topics.hpp"
#include "common/text/json_text.hpp"

namespace eventrelay::relay {

namespace {

std::string_view word_of(PartitionState::Hold hold) {
  switch (hold) {
    case PartitionState::Hold::Window:
      return "window full";
    case PartitionState::Hold::Queue:
      return "queue full";
    case PartitionState::Hold::Write:
      return "write";
    case PartitionState::Hold::State:
      return "state";
    case PartitionState::Hold::No:
      break;
  }
  return "";
}

std::string print_partition(unsigned shard, const PartitionStatus& partition) {
  JsonObject object;
  object.number("partition", std::int64_t{partition.partition})
      .number("shard", std::uint64_t{shard})
      .number("committed", partition.committed)
      .number("position", partition.position)
      .number("unfinished", std::uint64_t{partition.unfinished});
  if (partition.hold != PartitionState::Hold::No) {
    object.text("held_back", word_of(partition.hold));
  }
  if (!partition.blocked.empty()) object.text("reason", partition.blocked);
  if (!partition.stopped.empty()) object.text("stopped", partition.stopped);
  return std::move(object).finish();
}

std::string print_failing(const Failing& failing) {
  JsonObject object;
  object.text("subscription", failing.subscription)
      .text("outcome", metrics::kOutcomeWords[static_cast<std::size_t>(failing.last)])
      .number("waiting", failing.waiting)
      .number("failures", failing.failures)
      .number("oldest_pending_ms", unix_ms(failing.oldest_pending))
      .number("next_attempt_ms", unix_ms(failing.next_attempt));
  if (!failing.detail.empty()) object.text("reason", failing.detail);
  return std::move(object).finish();
}

std::string print_missed(const Missed& missed) {
  return std::move(JsonObject{}
                       .number("instance", missed.instance.value)
                       .number("events", missed.events)
                       .number("since_ms", unix_ms(missed.since)))
      .finish();
}

void append_item(std::string& list, const std::string& item) {
  if (list.size() > 1) list += ',';
  list += item;
}

std::string print_partitions(const std::vector<ShardStatus>& shards) {
  std::string list = "[";
  for (const ShardStatus& shard : shards) {
    for (const PartitionStatus& partition : shard.partitions) {
      append_item(list, print_partition(shard.shard, partition));
    }
  }
  return list += ']';
}

std::string print_failing_of(const std::vector<ShardStatus>& shards) {
  std::vector<Failing> all;
  for (const ShardStatus& shard : shards) {
    all.insert(all.end(), shard.failing.begin(), shard.failing.end());
  }
  std::sort(all.begin(), all.end(),
            [](const Failing& a, const Failing& b) { return a.oldest_pending < b.oldest_pending; });
  if (all.size() > kFailingMax) all.resize(kFailingMax);
  std::string list = "[";
  for (const Failing& failing : all) append_item(list, print_failing(failing));
  return list += ']';
}

std::string print_missed_of(const std::vector<ShardStatus>& shards) {
  std::vector<Missed> all;
  for (const ShardStatus& shard : shards) {
    all.insert(all.end(), shard.missed.begin(), shard.missed.end());
  }
  std::sort(all.begin(), all.end(),
            [](const Missed& a, const Missed& b) { return a.since < b.since; });
  if (all.size() > kMissedShown) all.resize(kMissedShown);
  std::string list = "[";
  for (const Missed& missed : all) append_item(list, print_missed(missed));
  return list += ']';
}

std::string print_cursor(const BacklogLine& backlog) {
  const StateRecord& record = backlog.cursor.record;
  JsonObject object;
  object.text("subscription", record.subscription);
  if (record.object) object.text("object", *record.object);
  object.text("state", shown_name(record.state))
      .text("reason", record.reason)
      .number("partition", std::int64_t{backlog.partition})
      .number("from", record.from.value)
      .number("cursor", record.position.value);
  if (record.end) object.number("end", record.end->value);
  object.number("distance", backlog.distance)
      .number("under_way", backlog.cursor.under_way)
      .number("since_ms", unix_ms(record.since))
      .number("age_seconds", std::chrono::duration<double>(backlog.age).count());
  if (record.due) object.number("due_ms", unix_ms(*record.due));
  if (record.attempt > 0) object.number("attempt", std::uint64_t{record.attempt});
  return std::move(object).finish();
}

std::string print_backlog(const std::vector<ShardStatus>& shards) {
  BacklogStatus sum;
  for (const ShardStatus& shard : shards) {
    const BacklogStatus& backlog = shard.backlog;
    sum.counts.detached += backlog.counts.detached;
    sum.counts.paused += backlog.counts.paused;
    sum.counts.blocked += backlog.counts.blocked;
    sum.counts.replays += backlog.counts.replays;
    sum.counts.attached += backlog.counts.attached;
    sum.catch_ups += backlog.catch_ups;
    sum.near_log_start += backlog.near_log_start;
    sum.events += backlog.events;
    sum.oldest.insert(sum.oldest.end(), backlog.oldest.begin(), backlog.oldest.end());
  }
  std::sort(sum.oldest.begin(), sum.oldest.end(), [](const BacklogLine& a, const BacklogLine& b) {
    return a.cursor.record.since < b.cursor.record.since;
  });
  if (sum.oldest.size() > kBacklogMax) sum.oldest.resize(kBacklogMax);
  std::string list = "[";
  for (const BacklogLine& cursor : sum.oldest) append_item(list, print_cursor(cursor));
  list += ']';
  return std::move(JsonObject{}
                       .number("detached", std::uint64_t{sum.counts.detached})
                       .number("paused", std::uint64_t{sum.counts.paused})
                       .number("blocked", std::uint64_t{sum.counts.blocked})
                       .number("replays", std::uint64_t{sum.counts.replays})
                       .number("attached", std::uint64_t{sum.counts.attached})
                       .number("catch_up_reads", std::uint64_t{sum.catch_ups})
                       .number("near_log_start", std::uint64_t{sum.near_log_start})
                       .number("events", sum.events)
                       .raw("oldest", list))
      .finish();
}

}  // namespace

void append_reasons(const ShardStatus& status, std::vector<std::string>& reasons) {
  const std::string shard = "shard " + std::to_string(status.shard) + ": ";
  if (!status.fatal.empty()) reasons.push_back(shard + status.fatal);
  if (!status.joined) reasons.push_back(shard + "has not joined the consumer group");
  reasons.insert(reasons.end(), status.stopped_delays.begin(), status.stopped_delays.end());
  if (status.draining) reasons.push_back(shard + "draining");
  for (const PartitionStatus& partition : status.partitions) {
    if (!partition.blocked.empty()) {
      reasons.push_back("partition " + std::to_string(partition.partition) +
                        " waits for a write: " + partition.blocked);
    }
    if (partition.stopped.empty()) continue;
    reasons.push_back("partition " + std::to_string(partition.partition) +
                      " stopped: " + partition.stopped);
  }
}

std::vector<metrics::ScrapedGauge> backlog_gauges(const std::vector<ShardStatus>& shards,
                                                  WallTime now) {
  std::vector<SubscriptionBacklog> largest;
  std::vector<SubscriptionBacklog> longest;
  // A subscription's events have one partition, so one shard: nothing is to be added up.
  for (const ShardStatus& shard : shards) {
    const BacklogStatus& backlog = shard.backlog;
    largest.insert(largest.end(), backlog.largest.begin(), backlog.largest.end());
    longest.insert(longest.end(), backlog.longest.begin(), backlog.longest.end());
  }
  metrics::ScrapedGauge events = metrics::scraped("relay_subscription_backlog_events", {});
  metrics::ScrapedGauge age = metrics::scraped("relay_subscription_oldest_pending_seconds", {});
  for (const SubscriptionBacklog& one : largest_of(std::move(largest))) {
    events.samples.push_back({one.subscription, static_cast<double>(one.events)});
  }
  for (const SubscriptionBacklog& one : longest_of(std::move(longest))) {
    age.samples.push_back(
        {one.subscription, std::chrono::duration<double>(now - one.since).count()});
  }
  metrics::ScrapedGauge most = metrics::scraped("relay_subscription_backlog_events_max", {});
  metrics::ScrapedGauge oldest =
      metrics::scraped("relay_subscription_oldest_pending_seconds_max", {});
  if (!events.samples.empty()) most.samples.push_back({{}, events.samples.front().value});
  if (!age.samples.empty()) oldest.samples.push_back({{}, age.samples.front().value});
  return {std::move(events), std::move(age), std::move(most), std::move(oldest)};
}

metrics::ScrapedGauge lag_gauge(const std::vector<ShardStatus>& shards,
                                std::span<const std::chrono::milliseconds> delays) {
  metrics::ScrapedGauge gauge = metrics::scraped("kafka_consumer_lag_messages", {});
  for (std::size_t i = 0; i <= delays.size(); ++i) {
    std::int64_t sum = 0;
    for (const ShardStatus& shard : shards) sum += i < shard.lag.size() ? shard.lag[i] : 0;
    gauge.samples.push_back({i == 0 ? "events" : "retry." + kafka::delay_word(delays[i - 1]),
                             static_cast<double>(sum)});
  }
  return gauge;
}

std::string print_status(const std::vector<ShardStatus>& shards) {
  ShardStatus sum;
  for (const ShardStatus& shard : shards) {
    sum.in_flight += shard.in_flight;
    sum.jobs += shard.jobs;
    sum.held_bytes += shard.held_bytes;
    sum.connections += shard.connections;
    sum.idle_connections += shard.idle_connections;
    sum.dials += shard.dials;
    sum.resent += shard.resent;
    sum.unmatched += shard.unmatched;
    sum.already_done += shard.already_done;
  }
  JsonObject object;
  object.number("shards", static_cast<std::uint64_t>(shards.size()))
      .number("in_flight", sum.in_flight)
      .number("queued", sum.jobs - std::min(sum.jobs, sum.in_flight))
      .number("held_bytes", sum.held_bytes)
      .number("connections", sum.connections)
      .number("connections_idle", sum.idle_connections)
      .number("dials", sum.dials)
      .number("resent", sum.resent)
      .number("unmatched", sum.unmatched)
      .raw("unknown_instances", print_missed_of(shards))
      .number("already_done", sum.already_done)
      .raw("partitions", print_partitions(shards))
      .raw("failing", print_failing_of(shards))
      .raw("backlog", print_backlog(shards));
  return std::move(object).finish();
}

}  // namespace eventrelay::relay
