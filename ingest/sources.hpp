// The configured sources, compiled: scheme found, keys in their MAC contexts, limits settled.
//
// Why:     what can be wrong with a source is found at start or reload, not at the first event.
// Owner:   the Receiver of a shard; contexts are never shared.
// Thread:  made by anyone, used by one shard.
// Bounds:  as the configuration.
// Errors:  std::runtime_error naming the source, while it is made.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/providers/provider.hpp"
#include "common/providers/scheme.hpp"
#include "common/registry/settings.hpp"
#include "ingest/source_meter.hpp"

namespace eventrelay::ingest {

// One element's verification, ready to run. Bounds: kKeysMax contexts.
struct CompiledSource {
  std::string element;
  std::optional<providers::Verifier> verifier;
  providers::Window window{};
  std::string origin;                             // ingest.public_url, which some schemes sign
  const providers::Provider* provider = nullptr;  // of the element, else of the scheme; never null
  providers::Handshake handshake = providers::Handshake::None;
  Secret token;             // Meta's verify token
  bool v1_enabled = false;  // Box V1 calls, proven by v1_token alone
  Secret v1_token;          // empty: no V1 call can prove itself
  std::size_t body_max = 0;
  Duration ack_timeout{};
  SourceMeter* meter = nullptr;
  bool chunked = false;
};

// Thread: one shard.  Bounds: as the configuration.
class Sources {
 public:
  explicit Sources(const Settings& settings);

  // Null for an element that is not configured.
  [[nodiscard]] CompiledSource* find(std::string_view element) noexcept;

 private:
  std::map<std::string, CompiledSource, std::less<>> by_element_;
};

// The verifier of an instance's own keys. One that the scheme can not read proves nothing, nor does
// the source's in its place.
[[nodiscard]] providers::Verifier own_verifier(const CompiledSource& source,
                                               const Instance& instance);

// Would Sources of both be the same?
[[nodiscard]] bool same_sources(const Settings& a, const Settings& b);

// The longest time that any source lets its clients wait for Kafka.
[[nodiscard]] Duration longest_ack_timeout(const Settings& settings) noexcept;

// May any source take `Transfer-Encoding: chunked`? For the gate, which knows no source yet.
[[nodiscard]] bool any_source_chunked(const Settings& settings) noexcept;

}  // namespace eventrelay::ingest
