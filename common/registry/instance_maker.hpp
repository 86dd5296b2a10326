// From what a file or a document says of an instance to the value that services work with.
//
// Why:     100 000 instances say mostly the same; what one of the last few has said is shared
//          with it instead of kept again.
// Owner:   the reader of a file or the follower of the documents, for as long as it reads.
// Thread:  one owner.
// Bounds:  kRecentMax deliveries and as many filters are remembered.
// Errors:  std::invalid_argument naming the instance and the key that is wrong.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "common/registry/instance.hpp"

namespace eventrelay {

inline constexpr std::size_t kRecentMax = 32;

// Thread: one owner.  Bounds: see the head of this file.
class InstanceMaker {
 public:
  // `any_port`: relay.allow_private_addresses, with which a callback may have any port.
  explicit InstanceMaker(AnyPort any_port) : any_port_(any_port) {}

  // Takes what it can out of `config`.
  [[nodiscard]] InstancePtr make(InstanceConfig&& config);

 private:
  struct Parts;

  [[nodiscard]] Subscription make_subscription(Parts&& parts);

  AnyPort any_port_;
  std::vector<std::shared_ptr<const DeliveryConfig>> deliveries_;  // the last one used in front
  std::vector<std::shared_ptr<const FilterConfig>> filters_;       // likewise
};

}  // namespace eventrelay
