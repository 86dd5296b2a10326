// Tracing of one service: the sampler, the queues that spans come through, and the thread that
// sends them to the collector.
//
//   shard: Span -> SpanQueue --+
//   shard: Span -> SpanQueue --+--> exporter thread: batch -> OTLP -> POST -> collector
//
// Why:     a collector that is slow, full or down costs spans, which are counted, and nothing else:
//          no event waits for it, and no thread that serves one.
// Owner:   ServiceHost; the service holds it as long as it has threads that put spans.
// Thread:  constructor, add_queue() and stop() by the owner; the rest by any.
// Bounds:  kQueueMax spans a queue and one batch. A batch is sent when kBatchMax spans wait or
//          ExportTempo::interval has passed; 429, 502, 503, 504 and a connection that breaks are
//          tried again ExportTempo::tries times in all, then it is dropped. stop() ends in time.
// Errors:  ConfigError from make_tracing(); later none, what is not taken is counted and logged.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/trace/span_queue.hpp"
#include "common/trace/trace_settings.hpp"

namespace eventrelay::trace {

// When to send and how often to try.
struct ExportTempo {
  Duration interval = std::chrono::seconds{5};
  unsigned tries = 5;                                // of one batch
  Duration first_wait = std::chrono::seconds{1};     // before the second try; doubles with each
  Duration longest_wait = std::chrono::seconds{30};  // also of a Retry-After
};

// Spans since the start.
struct SpanCounts {
  std::uint64_t ended = 0;    // of sampled traces
  std::uint64_t dropped = 0;  // of those: no collector has taken them, or will
};

// Thread: see the head of this file.  Bounds: likewise.
class Tracing {
 public:
  // Begins the exporter's thread. `tls` is used for an https collector.
  Tracing(TraceSettings settings, std::shared_ptr<TlsContext> tls, ExportTempo tempo = {});
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;
  ~Tracing();  // as stop() at once

  [[nodiscard]] const Sampler& sampler() const noexcept;
  // A queue for one more thread; lives as long as this object.
  [[nodiscard]] SpanQueue& add_queue();
  // Sends what waits, until `deadline` at the latest; what is left then is dropped. Nobody puts
  // spans any more. Once.
  void stop(TimePoint deadline);
  [[nodiscard]] SpanCounts counts() const;

  // How long an orderly end waits for the collector.
  static constexpr std::chrono::seconds kFlushTime{2};

 private:
  struct State;
  std::shared_ptr<State> state_;
  bool stopped_ = false;
};

using TracingPtr = std::shared_ptr<Tracing>;

// Null: tracing is off. Throws ConfigError.
[[nodiscard]] TracingPtr make_tracing(const std::map<std::string, std::string>& environment,
                                      std::string_view service);
// What make_tracing() would find wrong, without beginning anything. Throws ConfigError.
void check_tracing(const std::map<std::string, std::string>& environment);

}  // namespace eventrelay::trace
