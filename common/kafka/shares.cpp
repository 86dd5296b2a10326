#include "common/kafka/shares.hpp"

#include <algorithm>
#include <numeric>

#include "common/base/assert.hpp"

namespace eventrelay::kafka {

std::vector<unsigned> deal(std::span<const std::int32_t> partitions, unsigned shards) {
  EVENTRELAY_ASSERT(shards > 0);
  std::vector<std::size_t> order(partitions.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [partitions](std::size_t left, std::size_t right) {
    return partitions[left] < partitions[right];
  });
  std::vector<unsigned> result(partitions.size());
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    result[order[rank]] = static_cast<unsigned>(rank % shards);
  }
  return result;
}

Shares::Shares(unsigned shards) {
  for (unsigned shard = 0; shard < shards; ++shard) there_.insert(shard);
}

void Shares::ask(ShareStep step) {
  awaited_[static_cast<std::size_t>(step)] = there_;
}

bool Shares::done(ShareStep step, unsigned shard) {
  std::set<unsigned>& awaited = awaited_[static_cast<std::size_t>(step)];
  return awaited.erase(shard) > 0 && awaited.empty();
}

std::vector<ShareStep> Shares::gone(unsigned shard) {
  there_.erase(shard);
  std::vector<ShareStep> over;
  for (std::size_t i = 0; i < kShareSteps; ++i) {
    const auto step = static_cast<ShareStep>(i);
    if (done(step, shard)) over.push_back(step);
  }
  return over;
}

}  // namespace eventrelay::kafka
