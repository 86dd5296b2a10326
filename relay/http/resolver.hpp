// DNS for the whole process: a cache that answers at once before a name service that never blocks.
//
// Why:     one question per name is enough for all shards and all connections that ask meanwhile,
//          and an answer that has just expired is better than a wait: it serves while the new one
//          is fetched, and while no name server answers (RFC 8767).
// Owner:   the service; shards borrow it.  Thread: any, guarded by one mutex (dials only).
// Bounds:  entries_max names cached, waiting_max waiters; beyond that the answer is "no".
// Errors:  a name that does not resolve is an answer without addresses, kept for `negative`.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "common/base/clock.hpp"
#include "common/http/types.hpp"
#include "relay/http/name_service.hpp"

namespace eventrelay::relay {

// Bounds: Resolver::kAddressesMax addresses.
struct NameAnswer {
  Addresses addresses{};  // empty = the name has no address
  std::string reason{};   // why there is none, in the words of the library
};
using Resolved = std::shared_ptr<const NameAnswer>;

struct ResolverOptions {
  std::size_t entries_max = 10'000;   // names kept; about 200 bytes each
  std::size_t waiting_max = 100'000;  // attempts that wait for an answer; about 100 bytes each
  Duration ttl_floor = std::chrono::seconds(5);
  Duration ttl_ceiling = std::chrono::seconds(60);
  Duration ttl_unknown = std::chrono::seconds(30);
  Duration negative = std::chrono::seconds(5);
  Duration stale_max = std::chrono::hours(1);  // how long an expired answer still serves
  std::shared_ptr<NameService> names{};        // null = c-ares with the system's configuration
};

// Thread: any.  Bounds: see the head of this file.
class Resolver {
 public:
  static constexpr std::size_t kAddressesMax = 16;
  using Done = std::function<void(Resolved)>;

  // Throws StartError if name lookups can not begin.
  explicit Resolver(ResolverOptions options);
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  ~Resolver();

  // An IP literal or a cached answer; null when lookup() has to be asked. An expired answer is
  // given and asked for anew.
  [[nodiscard]] Resolved find(const std::string& host);
  // `done` runs on `executor`, exactly once unless stop() comes first.
  void lookup(const std::string& host, const Executor& executor, Done done);
  // After it nothing is posted any more.
  void stop();

 private:
  struct State;

  std::shared_ptr<NameService> names_;
  std::shared_ptr<State> state_;
};

}  // namespace eventrelay::relay
