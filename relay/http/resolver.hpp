// DNS for the whole process: a few threads that may block, behind a cache that answers at once.
//
// Why:     a lookup blocks for seconds when a name server is away, and a shard never blocks; one
//          question per name is enough for all shards and all connections that ask meanwhile.
// Owner:   the service; shards borrow it.  Thread: any, guarded by one mutex (dials only).
// Bounds:  entries_max names cached, waiting_max questions open; beyond that the answer is "no".
// Errors:  a name that does not resolve is an empty address list, kept for `negative`.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/http/types.hpp"

namespace eventrelay::relay {

using Addresses = std::vector<asio::ip::address>;
// Shared and immutable; empty = the name has no address.
using Resolved = std::shared_ptr<const Addresses>;

// What one lookup found. Bounds: kAddressesMax addresses are kept.
struct LookupAnswer {
  Addresses addresses;
  std::optional<Duration> ttl;  // nothing: the resolver library does not tell
};

using Lookup = std::function<LookupAnswer(const std::string& host)>;

struct ResolverOptions {
  unsigned threads = 4;              // lookups that may block at once
  std::size_t entries_max = 10'000;  // names kept; about 200 bytes each
  std::size_t waiting_max = 1'000;   // questions open; each may block a thread for seconds
  Duration ttl_floor = std::chrono::seconds(5);
  Duration ttl_ceiling = std::chrono::seconds(60);
  Duration ttl_unknown = std::chrono::seconds(30);
  Duration negative = std::chrono::seconds(5);
  Lookup lookup;  // empty = getaddrinfo; tests inject theirs
};

// Thread: any.  Bounds: see the head of this file.
class Resolver {
 public:
  static constexpr std::size_t kAddressesMax = 16;
  using Done = std::function<void(Resolved)>;

  explicit Resolver(ResolverOptions options);
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  ~Resolver();

  // An IP literal or a cached answer; null when lookup() has to be asked.
  [[nodiscard]] Resolved find(const std::string& host) const;
  // `done` runs on `executor`, exactly once unless stop() comes first.
  void lookup(const std::string& host, const Executor& executor, Done done);
  // After it nothing is posted any more. Waits a second for blocked threads, then leaves them.
  void stop();

 private:
  struct State;
  static void work(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;
};

// Asks the system. Blocks.
[[nodiscard]] LookupAnswer system_lookup(const std::string& host);

}  // namespace eventrelay::relay
