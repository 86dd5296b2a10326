// One real shard of ingest on loopback, with the embedded broker behind it.
//
// Thread: one owner; the shard runs in its own thread.  Bounds: kPatience per wait.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/kafka/tools/mock_cluster.hpp"
#include "common/observe/metrics.hpp"
#include "common/process/shard_loop.hpp"
#include "ingest/shard.hpp"
#include "tests/component/ingest/client.hpp"
#include "tests/support/eventually.hpp"

namespace eventrelay::ingest::test {

using eventrelay::test::eventually;
using eventrelay::test::kPatience;

// One record as it lies in Kafka.
struct StoredRecord {
  std::string key;
  std::string value;
  std::string id;
  std::string provider_id;
  std::string element;
  std::string content_type;
};

struct RigOptions {
  std::string ingest{};  // further YAML lines of the section `ingest`, e.g. "body_max: 2KiB\n"
  std::string kafka{};   // of the section `kafka`
  std::string primary_key = "primary-key";
  SessionLimits limits{};
  std::string sources{};  // of the source box
  std::size_t connections_max = 10'000;
  std::size_t handshakes_max = 10'000;
  std::uint16_t port = 0;
  Port share = Port::Take;
  Wire wire = Wire::Plain;
  std::string bootstrap{};  // of a real broker; empty: the embedded one
  std::string prefix = "eventrelay.";
  int brokers = 1;  // of the embedded cluster; the last leads the last of the topic's partitions
  std::vector<std::uint64_t> instances{};  // besides the usual ones
};

// Thread: one owner.
class Rig {
 public:
  explicit Rig(RigOptions options = {});
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;
  ~Rig();

  [[nodiscard]] Client client() const { return Client(port_, options_.wire); }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] kafka::MockCluster& cluster() noexcept { return cluster_; }
  [[nodiscard]] metrics::Slab& slab() noexcept { return slab_; }
  [[nodiscard]] Shard& shard() noexcept { return *shard_; }
  // Runs `work` on the shard's thread.
  void on_shard(const std::function<void()>& work) { loop_.call(work); }
  // New settings with this primary key.
  void reload(const std::string& primary_key);
  void begin_drain(Duration delay, std::function<void()> done);
  // The first `count` records of the topic, in no order; fewer if they do not come in time.
  [[nodiscard]] std::vector<StoredRecord> records(std::size_t count);

 private:
  [[nodiscard]] std::string bootstrap() const;
  [[nodiscard]] std::shared_ptr<const Settings> settings(const std::string& primary_key) const;

  RigOptions options_;
  kafka::MockCluster cluster_;
  metrics::Exporter exporter_;
  metrics::Slab& slab_;
  ShardLoop loop_;
  std::unique_ptr<Shard> shard_;
  std::uint16_t port_ = 0;
};

}  // namespace eventrelay::ingest::test
