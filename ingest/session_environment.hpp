// What the sessions of one shard share, and the times and amounts a client is granted.
//
// Owner:   the shard, which swaps the receiver and moves the phase on.
// Thread:  shard-local.
// Bounds:  stated per field.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/http/tls_stream.hpp"
#include "common/http/types.hpp"
#include "common/kafka/topic_watch.hpp"
#include "common/observe/metrics.hpp"
#include "ingest/admission.hpp"
#include "ingest/head_parser.hpp"
#include "ingest/input_buffer.hpp"
#include "ingest/producer.hpp"
#include "ingest/receive.hpp"
#include "ingest/request_trace.hpp"
#include "ingest/session_pool.hpp"

namespace eventrelay::ingest {

// Times and amounts a client is granted.
struct SessionLimits {
  Duration head = std::chrono::seconds{5};    // from the first byte, or from the connection
  Duration body = std::chrono::seconds{10};   // to begin with; each kBodyRate bytes add a second
  Duration idle = std::chrono::seconds{30};   // between requests
  Duration write = std::chrono::seconds{10};  // one answer
  Duration linger = std::chrono::seconds{2};  // to take the last answer
  std::size_t linger_bytes = 4U << 20;        // read and thrown away meanwhile
};
inline constexpr std::int64_t kBodyRate = 1024;  // bytes a second

// How far the end of the service has come.
enum class Phase : std::uint8_t {
  Serving,
  Closing,   // requests are served, their answers close the connection
  Flushing,  // requests are refused
};

// What the sessions of a shard share. Bounds: one per shard.
struct SessionEnvironment {
  Executor executor;
  std::shared_ptr<Receiver> receiver;  // swapped by a reload; a request keeps the one it began with
  Admission& admission;
  Producer& producer;
  SessionPool& pool;
  metrics::Slab& slab;
  std::shared_ptr<TlsContext> tls;  // null: plain
  SessionLimits limits{};
  Phase phase = Phase::Serving;
  std::uint64_t last_request_id = 0;
  const kafka::TopicWatch* topics = nullptr;  // may be null
  std::unique_ptr<RequestTracer> tracer{};    // null: tracing is off
  HeadWork head;                              // of the request that is being read now
  BlockPool blocks{};
  std::vector<char> answer{};             // that is being sent now
  std::array<char, 16 * 1024> discard{};  // what lingering connections still send
};

}  // namespace eventrelay::ingest
