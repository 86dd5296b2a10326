// The whole ingest policy as two calls: at the head (route) and at the body (verify, normalise).
//
// Why:     everything a provider can get wrong is decided here, without a socket or a clock.
// Owner:   the shard; it holds keyed MAC contexts and a JSON parser.
// Thread:  shard-local.
// Bounds:  at most kEventsMax events a request (Box V1 fan-out); no allocation per event once warm.
// Errors:  IngestError, see answer.hpp.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/event.hpp"
#include "common/base/expected.hpp"
#include "common/observe/metrics_list.hpp"
#include "common/observe/trace_context.hpp"
#include "common/providers/incoming_head.hpp"
#include "common/registry/settings.hpp"
#include "ingest/answer.hpp"
#include "ingest/source_meter.hpp"

namespace eventrelay::ingest {

inline constexpr std::size_t kEventsMax = 256;
// Bytes that must be readable behind the body; simdjson loads whole vectors.
inline constexpr std::size_t kBodyPadding = 64;

struct CompiledSource;  // one element's verification, ready to run

// Where a request goes. Bounds: pointers into the current settings.
struct Route {
  CompiledSource* source = nullptr;
  const Instance* instance = nullptr;  // null: app-wide URL, the body or a field names it
  std::string_view query;              // of the target, without '?'
  std::size_t body_max = 0;
  SourceMeter* meter = nullptr;  // to be told of each genuine event and of the keys that verify
  Duration ack_timeout{};        // how long the client is let wait for Kafka
  const TraceContext* trace = nullptr;  // of the records of a sampled request; outlives receive()
  bool chunked = false;                 // may this source use Transfer-Encoding: chunked?
  bool v1 = false;                      // a Box V1 call, proven by its token alone
  bool handshake = false;               // the provider asks whether this address is willing
};

// What to write, or why there is nothing to write.
// Bounds: valid until the next call of receive().
struct Received {
  std::span<const Event> events;  // empty: answer 200 with `reason`, or with `reply` without one
  std::string_view reason;
  std::string_view reply;   // handshake: body of the 200 as text/plain
  std::string_view fields;  // handshake: further header lines with their ends
  std::optional<metrics::HandshakeKind> handshake{};
  std::optional<metrics::NotStored> not_stored{};
  providers::KeySet keys{};  // of the source or the instance that have verified it
};

// Thread: shard-local.  Bounds: as the settings.
class Receiver {
 public:
  // Throws std::runtime_error naming the source that cannot be used; start and reload only.
  explicit Receiver(std::shared_ptr<const Settings> settings);
  // With the compiled sources and the buffers of `before`, which both go on to use by turns:
  // the sources of both settings are the same, see same_sources(). Never fails.
  Receiver(const Receiver& before, std::shared_ptr<const Settings> settings);
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  ~Receiver();

  [[nodiscard]] Expected<Route, IngestError> route(const IncomingHead& head);
  // `body` is followed by kBodyPadding readable bytes; it and `head` outlive the result.
  [[nodiscard]] Expected<Received, IngestError> receive(const IncomingHead& head,
                                                        const Route& route, std::string_view body,
                                                        WallTime now);
  // For the Allow header behind a MethodNotAllowed.
  [[nodiscard]] std::string_view allowed_methods(const IncomingHead& head);
  [[nodiscard]] const Settings& settings() const noexcept;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
  std::shared_ptr<const Settings> settings_;
};

}  // namespace eventrelay::ingest
