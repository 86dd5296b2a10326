// Reads topics from a chosen place without a consumer group: for looking, never for delivering.
//
// Why:     `eventrelay tail` must not join, move or disturb the group that delivers.
// Owner:   a command.  Thread: one; next() blocks up to its limit.
// Bounds:  prefetch of 1 MiB per partition, 128 KiB where several topics are read.
// Errors:  StartError from the constructor; next() throws std::runtime_error on a broker error
//          that does not heal by itself.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/config/config.hpp"
#include "common/kafka/consumer_client.hpp"

namespace eventrelay::kafka {

// Where reading begins, in every partition.
enum class From : std::uint8_t { Beginning, End };

// Thread: one owner.  Bounds: as above.
class TopicReader {
 public:
  TopicReader(const KafkaConfig& config, const std::string& topic, From from);
  // Those of `topics` that exist; it is an error if none does.
  TopicReader(const KafkaConfig& config, const std::vector<std::string>& topics, From from);
  TopicReader(const TopicReader&) = delete;
  TopicReader& operator=(const TopicReader&) = delete;
  ~TopicReader();

  // The next record of any partition; nothing if none came within `limit`.
  [[nodiscard]] std::optional<Message> next(Duration limit);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace eventrelay::kafka
