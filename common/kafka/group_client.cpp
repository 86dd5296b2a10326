#include "common/kafka/group_client.hpp"

#include "common/kafka/group.hpp"

namespace eventrelay::kafka {

GroupClient::GroupClient(Executor leader, const KafkaConfig& config, const ConsumerOptions& options,
                         metrics::Slab& slab)
    : group_(std::make_shared<Group>(leader, config, options, slab)) {
  group_->begin();
}

GroupClient::~GroupClient() {
  group_->end();
}

}  // namespace eventrelay::kafka
