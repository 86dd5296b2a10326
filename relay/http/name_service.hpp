// Who turns a name into addresses: c-ares in the product, a script in tests.
//
// Why:     the resolver's cache, its lifetimes and bounds are tested without a name server.
// Owner:   the resolver.  Thread: ask() from any; answers come on a thread of the service.
// Bounds:  none of its own: the resolver asks once per name at a time.
// Errors:  a value: an answer without addresses says why in `reason`.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/http/types.hpp"

namespace eventrelay::relay {

using Addresses = std::vector<asio::ip::address>;

// What one lookup found. Bounds: the resolver keeps kAddressesMax addresses.
struct LookupAnswer {
  Addresses addresses{};
  std::optional<Duration> ttl{};  // nothing: not told
  std::string reason{};           // why there is no address, in the words of the library
  bool passing = false;           // no answer for now, as opposed to "there is no such name"
};

// Thread: see the head of this file.
class NameService {
 public:
  using Done = std::function<void(LookupAnswer)>;

  virtual ~NameService() = default;

  // `done` runs exactly once unless stop() comes first, and never inside this call.
  virtual void ask(const std::string& host, Done done) = 0;
  // After it no answer comes any more.
  virtual void stop() = 0;
};

}  // namespace eventrelay::relay
