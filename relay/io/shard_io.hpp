// Everything outside of a shard, made for it: one implementation is Asio, Kafka and HTTP, the other
// a simulated world.
//
//   Shard --> ShardIo --> Clock, Loop, GroupMember, PartitionReader, RecordSink, EndpointCaller
//
// Why:     the shard that a simulation kills, stops and moves is the one that ships.
// Owner:   the program or test that runs the shard; outlives it.
// Thread:  shard thread, or the control thread before the loop runs.
// Bounds:  a handful of parts per shard, made at its start.
// Errors:  StartError where a part can not be made.
#pragma once

#include <cstdint>
#include <memory>

#include "relay/io/clock.hpp"
#include "relay/io/endpoint_caller.hpp"
#include "relay/io/kafka.hpp"
#include "relay/io/loop.hpp"

namespace eventrelay::relay {

// Thread: see the head of this file.  Bounds: likewise.
class ShardIo {
 public:
  virtual ~ShardIo();
  [[nodiscard]] virtual const Clock& clock() const = 0;
  [[nodiscard]] virtual Loop& loop() = 0;
  // Another one with each call, of 64 bits that nobody can foresee, except in a simulation.
  [[nodiscard]] virtual std::uint64_t make_seed() = 0;
  [[nodiscard]] virtual std::unique_ptr<GroupMember> make_member(
      const kafka::ConsumerOptions& options, kafka::ConsumerHandler& handler) = 0;
  [[nodiscard]] virtual std::unique_ptr<PartitionReader> make_reader(
      kafka::ReaderOptions options) = 0;
  [[nodiscard]] virtual std::unique_ptr<RecordSink> make_sink(const kafka::ProducerLimits& limits,
                                                              kafka::ReportSink& reports) = 0;
  [[nodiscard]] virtual std::unique_ptr<EndpointCaller> make_caller(AttemptSink& sink) = 0;
};

}  // namespace eventrelay::relay
