#include "common/observe/kafka_version.hpp"

#include <librdkafka/rdkafka.h>

namespace eventrelay::kafka {

std::string_view library_version() noexcept {
  return rd_kafka_version_str();
}

}  // namespace eventrelay::kafka
