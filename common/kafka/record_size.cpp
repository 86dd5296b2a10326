#include "common/kafka/record_size.hpp"

#include <algorithm>

namespace eventrelay::kafka {

std::size_t body_bytes_max(const Config& config) noexcept {
  std::size_t longest = config.ingest.body_max;
  for (const auto& [element, source] : config.sources) {
    longest = std::max(longest, source.body_max.value_or(0));
  }
  return longest;
}

std::size_t accepted_bytes_max(const Config& config) noexcept {
  return body_bytes_max(config) + kHeadersBytes;
}

std::size_t events_message_bytes(const Config& config) noexcept {
  return accepted_bytes_max(config) + kBatchBytes;
}

std::size_t parked_message_bytes(const Config& config) noexcept {
  return events_message_bytes(config) + kParkedBytes;
}

// Half of what parking may add is left for the batch around it.
std::size_t parked_bytes_max(const Config& config) noexcept {
  return events_message_bytes(config) + kParkedBytes / 2;
}

}  // namespace eventrelay::kafka
