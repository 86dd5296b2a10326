#include "common/kafka/tools/mock_cluster.hpp"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <future>
#include <vector>

#include "common/base/start_error.hpp"
#include "common/kafka/handle.hpp"

namespace eventrelay::kafka {

namespace {

constexpr Duration kGoodbye = std::chrono::seconds{1};

}  // namespace

struct MockCluster::State {
  using ClusterPtr =
      std::unique_ptr<rd_kafka_mock_cluster_t, Destroy<rd_kafka_mock_cluster_destroy>>;

  ClientPtr client;  // only the cluster's host; never connects
  ClusterPtr cluster;
};

MockCluster::MockCluster(int brokers) : state_(std::make_unique<State>()) {
  ConfPtr conf{rd_kafka_conf_new()};
  rd_kafka_conf_set_log_cb(conf.get(), nullptr);
  state_->client = make_client(std::move(conf), Role::Admin);
  state_->cluster.reset(rd_kafka_mock_cluster_new(state_->client.get(), brokers));
  if (!state_->cluster) throw StartError("embedded kafka: cannot listen on 127.0.0.1");
}

MockCluster::~MockCluster() {
  // Clients that are on their way out would complain about a broker that went before them.
  (void)wait_retired(kGoodbye);
}

std::string MockCluster::bootstrap_servers() const {
  return rd_kafka_mock_cluster_bootstraps(state_->cluster.get());
}

void MockCluster::create_topic(const std::string& name, int partitions) {
  const auto error = rd_kafka_mock_topic_create(state_->cluster.get(), name.c_str(), partitions, 1);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    throw StartError("embedded kafka: topic \"" + name + "\": " + rd_kafka_err2str(error));
  }
}

void MockCluster::create_topics(const std::vector<std::pair<std::string, int>>& topics) {
  std::vector<std::future<void>> made;
  made.reserve(topics.size());
  for (const auto& topic : topics) {
    made.push_back(std::async(std::launch::async,
                              [this, &topic] { create_topic(topic.first, topic.second); }));
  }
  for (auto& one : made) one.get();
}

void MockCluster::fail_requests(std::int16_t api, int error, std::size_t count) {
  const std::vector<rd_kafka_resp_err_t> errors(count, static_cast<rd_kafka_resp_err_t>(error));
  rd_kafka_mock_push_request_errors_array(state_->cluster.get(), api, errors.size(), errors.data());
}

void MockCluster::set_round_trip(int broker, std::chrono::milliseconds delay) {
  rd_kafka_mock_broker_set_rtt(state_->cluster.get(), broker, static_cast<int>(delay.count()));
}

void MockCluster::set_leader(const std::string& topic, int partition, int broker) {
  rd_kafka_mock_partition_set_leader(state_->cluster.get(), topic.c_str(), partition, broker);
}

void MockCluster::set_down(int broker) {
  rd_kafka_mock_broker_set_down(state_->cluster.get(), broker);
}

void MockCluster::set_up(int broker) {
  rd_kafka_mock_broker_set_up(state_->cluster.get(), broker);
}

}  // namespace eventrelay::kafka
