// A shard's outside as it is in production: the loop is Asio, Kafka is the client library, and
// endpoints are called over HTTP.
//
// Owner:   the service, one per shard; outlives the shard.
// Thread:  as ShardIo.  Bounds: as the parts.
// Errors:  StartError from the parts that can not be made.
#pragma once

#include <memory>

#include "common/http/types.hpp"
#include "common/kafka/group_client.hpp"
#include "common/observe/metrics.hpp"
#include "common/registry/settings.hpp"
#include "common/trace/tracing.hpp"
#include "relay/http/resolver.hpp"
#include "relay/io/shard_io.hpp"

namespace eventrelay::relay {

// Thread: see the head of this file.  Bounds: likewise.
class RealIo final : public ShardIo {
 public:
  // `resolver` may be null if no caller is made, `tracing` if it is off. The configuration is that
  // of the start. `leader`: of the first shard, in whose loop the group member works that all
  // shards of the process share, made before the others ask for theirs; null: this is the first.
  RealIo(Executor executor, std::shared_ptr<const Settings> settings, metrics::Slab& slab,
         Resolver* resolver, trace::TracingPtr tracing = nullptr, RealIo* leader = nullptr);
  ~RealIo() override;

  [[nodiscard]] const Clock& clock() const override { return clock_; }
  [[nodiscard]] Loop& loop() override { return *loop_; }
  [[nodiscard]] std::uint64_t make_seed() override;
  [[nodiscard]] std::unique_ptr<GroupMember> make_member(const kafka::ConsumerOptions& options,
                                                         kafka::ConsumerHandler& handler) override;
  [[nodiscard]] std::unique_ptr<PartitionReader> make_reader(kafka::ReaderOptions options) override;
  [[nodiscard]] std::unique_ptr<RecordSink> make_sink(const kafka::ProducerLimits& limits,
                                                      kafka::ReportSink& reports) override;
  [[nodiscard]] std::unique_ptr<EndpointCaller> make_caller(AttemptSink& sink) override;

 private:
  Executor executor_;
  std::shared_ptr<const Settings> settings_;
  metrics::Slab& slab_;
  Resolver* resolver_;
  trace::TracingPtr tracing_;
  RealIo* leader_;
  std::unique_ptr<kafka::GroupClient> group_;  // of the leader
  Clock clock_;
  std::unique_ptr<Loop> loop_;
};

}  // namespace eventrelay::relay
