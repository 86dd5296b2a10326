// Records of a log that is made up, and nobody to send them to.
//
// Thread:  the test's.  Bounds: none.  Errors: none.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/kafka/consumer_client.hpp"
#include "relay/subscriptions/subscriptions.hpp"

namespace eventrelay::relay::test {

// Never answers, for it is never called. Thread: test.
class NoEndpoints final : public EndpointCaller {
 public:
  std::shared_ptr<Endpoint> endpoint(const EndpointKey&) override { return nullptr; }
  void start(Job&, const TargetPtr&, TimePoint) override {}
  void cancel(Job&) override {}
  void shutdown() override {}
  CallerStats stats() const override { return {}; }
};

// An event of `instance`; its id is its offset.
inline kafka::MadeRecord made(Partition partition, std::int64_t offset, std::uint64_t instance) {
  kafka::MadeRecord record;
  record.partition = partition;
  record.offset = Offset{offset};
  record.value = "{}";
  Event event;
  const std::string id = std::to_string(offset);
  event.id = id;
  event.element = "box";
  event.instance = InstanceId{instance};
  event.content_type = "application/json";
  event.body = record.value;
  for (const HeaderField& field : RecordHeaders(event)) {
    record.headers.emplace_back(field.name, field.value);
  }
  return record;
}

}  // namespace eventrelay::relay::test
