// One shard's loop, turned by the test itself, with clients that note down what they are told.
//
// Thread:  the test's own; nothing here waits without looking.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/kafka/consumer_client.hpp"
#include "common/kafka/group_client.hpp"
#include "common/kafka/producer_client.hpp"
#include "common/kafka/tools/mock_cluster.hpp"

namespace eventrelay::kafka::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The loop of a shard.
struct Loop {
  asio::io_context context{1};
  metrics::Slab slab;

  // Turns the loop until `condition`; false if it did not come true within `limit`.
  bool until(const std::function<bool()>& condition, Duration limit = seconds{20}) {
    const TimePoint end = monotonic_now() + limit;
    while (!condition()) {
      if (monotonic_now() >= end) return false;
      context.restart();
      context.run_one_for(milliseconds{10});
    }
    return true;
  }
  // Turns the loop for a time in which nothing is expected to happen.
  void pass(Duration time) {
    (void)until([] { return false; }, time);
  }
};

struct Reports final : ReportSink {
  std::vector<std::uint64_t> order;
  std::map<std::uint64_t, Stored> by_token;
  bool more_come = true;

  [[nodiscard]] bool others_may_come() const noexcept override { return more_come; }
  void on_stored(std::uint64_t token, Stored stored) override {
    order.push_back(token);
    by_token[token] = stored;
  }
  [[nodiscard]] std::size_t count(Stored stored) const {
    std::size_t n = 0;
    for (const auto& [token, what] : by_token) n += what == stored ? 1U : 0U;
    return n;
  }
};

inline KafkaConfig config_for(const MockCluster& cluster,
                              std::map<std::string, std::string> more = {}) {
  KafkaConfig config;
  config.properties = std::move(more);
  // The embedded broker waits nearly that long for members that may still join a rebalance.
  config.properties.emplace("session.timeout.ms", "4000");
  config.properties.emplace("heartbeat.interval.ms", "500");
  config.properties["bootstrap.servers"] = cluster.bootstrap_servers();
  return config;
}

// A group member that reads all it may and notes it, or one shard's share of `group`.
struct Member final : ConsumerHandler {
  Member(Loop& turned, const KafkaConfig& config, ConsumerOptions options)
      : loop(turned),
        own(std::make_unique<GroupClient>(turned.context.get_executor(), config, options,
                                          turned.slab)),
        client(turned.context.get_executor(), *own, 0, *this, turned.slab) {}
  Member(Loop& turned, GroupClient& group, unsigned shard)
      : loop(turned), client(turned.context.get_executor(), group, shard, *this, turned.slab) {}

  Loop& loop;
  std::unique_ptr<GroupClient> own;
  std::map<Partition, Assigned> owned;
  std::map<Partition, std::vector<std::int64_t>> read;
  std::set<Partition> held;
  std::function<void(Message&)> on_message = [](const Message&) {};
  std::map<std::uint64_t, bool> confirmed;
  std::vector<std::string> commit_failures;
  std::vector<std::string> fatal;
  int assignments = 0;
  int revocations = 0;
  bool release_at_once = true;
  ConsumerClient client;  // last: it calls the rest

  void on_assigned(std::span<const Assigned> partitions) override {
    ++assignments;
    owned.clear();
    for (const Assigned& one : partitions) owned.emplace(one.partition, one);
  }
  void on_revoking(std::span<const Partition>, Loss) override {
    ++revocations;
    owned.clear();
    if (release_at_once) client.release();
  }
  void on_readable(Partition partition) override { drain(partition); }
  void on_confirmed(std::uint64_t token, bool accepted) override { confirmed[token] = accepted; }
  void on_commit_failed(std::string_view reason) override { commit_failures.emplace_back(reason); }
  void on_fatal(std::string_view reason) override { fatal.emplace_back(reason); }

  void drain(Partition partition) {
    if (held.contains(partition)) return;
    while (auto message = client.next(partition)) {
      read[partition].push_back(message->offset().value);
      on_message(*message);
    }
  }
  [[nodiscard]] std::size_t total() const {
    std::size_t n = 0;
    for (const auto& [partition, offsets] : read) n += offsets.size();
    return n;
  }
  bool close() {
    bool closed = false;
    client.close(monotonic_now() + seconds{10}, [&closed] { closed = true; });
    return loop.until([&closed] { return closed; });
  }
};

// A producer with one topic.
struct Writer {
  Writer(Loop& turned, const KafkaConfig& config, const std::string& topic,
         ProducerLimits limits = {})
      : loop(turned), client(turned.context.get_executor(), config, limits, reports, turned.slab) {
    client.add_topic(topic);
  }

  Loop& loop;
  Reports reports;
  ProducerClient client;

  bool ready() {
    return loop.until([this] { return client.ready(); });
  }
  Queued write(std::uint64_t token, std::string_view value, std::int32_t partition = -1) {
    ProduceRecord record;
    record.key = "427236";
    record.value = value;
    record.partition = partition;
    return client.produce(0, record, token);
  }
  bool settled() {
    return loop.until([this] { return client.pending().count() == 0; });
  }
};

}  // namespace eventrelay::kafka::testing
