// Everything one core owns of ingest: listeners, sessions, receiver, admission, producer.
//
// Owner:   the service; runs on a ShardLoop of its own.
// Thread:  constructor, listen() and endpoints() on the control thread before the loop runs;
//          figures() and ready() from any thread; all else on the shard's thread.
// Bounds:  a share of ingest.memory_max, half for large bodies, half for the producer's queue.
// Errors:  StartError from listen() and the constructor.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "common/process/shard_loop.hpp"
#include "ingest/admission.hpp"
#include "ingest/listener.hpp"
#include "ingest/producer.hpp"
#include "ingest/receive.hpp"
#include "ingest/session.hpp"
#include "ingest/session_pool.hpp"

namespace eventrelay::ingest {

inline constexpr std::chrono::milliseconds kRoundInterval{250};

// Of ingest.memory_max, for the bodies of one shard, and again for its producer's queue: half of
// its part each, but at least two longest bodies.
[[nodiscard]] std::size_t memory_share(const Config& config, unsigned shards) noexcept;

// What a shard gets to work with. Bounds: as the settings.
struct ShardOptions {
  std::shared_ptr<const Settings> settings;
  std::shared_ptr<TlsContext> tls;       // null: plain
  unsigned shards = 1;                   // of the process; the memory is divided by it
  std::size_t connections_max = 65'536;  // of the process
  std::size_t handshakes_max = 1024;     // of the process, likewise
  // Open connections of the process; null: the shard counts its own.
  std::shared_ptr<std::atomic<std::size_t>> connections{};
  // Of an event with its headers; nothing: as the configuration says.
  std::optional<std::size_t> record_bytes_max{};
  const kafka::TopicWatch* topics = nullptr;  // nothing is taken while they do not agree
  SessionLimits limits{};
  VolatileBudget* budget = nullptr;
  trace::TracingPtr tracing{};  // null: off
};

// How a shard stands, as of its last round.
struct ShardFigures {
  std::uint64_t connections = 0;
  std::uint64_t inflight = 0;
  std::uint64_t queue_messages = 0;
  std::uint64_t queue_bytes = 0;
  std::uint64_t oldest_unacknowledged_ms = 0;
  std::uint64_t accept_failures = 0;
  std::uint64_t handshakes = 0;  // in progress
  std::uint64_t handshakes_cut = 0;
  bool stalled = false;
};

// Thread: see above.  Bounds: see above.
class Shard {
 public:
  Shard(ShardLoop& loop, const ShardOptions& options);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  ~Shard();

  // Binds these addresses; a port 0 becomes a real one in endpoints(). The first shard of the
  // process takes them, the others join it.
  void listen(const std::vector<Tcp::endpoint>& addresses, Port port = Port::Take);
  [[nodiscard]] std::vector<Tcp::endpoint> endpoints() const;

  void start();
  // Requests from now on are judged by these settings; those under way keep theirs. The sources
  // are the former ones, compiled as they are.
  void use(std::shared_ptr<const Settings> settings);
  void use_tls(std::shared_ptr<TlsContext> tls);
  // Likewise with other sources, limits and keys.
  void reload(std::shared_ptr<Receiver> receiver, std::shared_ptr<TlsContext> tls);
  // After `delay` takes no clients any more, answers those that are here, flushes; then `done`.
  void drain(Duration delay, std::function<void()> done);

  [[nodiscard]] bool ready() const noexcept { return producer_.ready(); }
  [[nodiscard]] ShardFigures figures() const noexcept;
  [[nodiscard]] Producer& producer() noexcept { return producer_; }
  [[nodiscard]] Admission& admission() noexcept { return admission_; }

 private:
  void round();
  void arm_round();
  void trim(TimePoint now);
  void publish(TimePoint now);
  void continue_drain(TimePoint now);
  void stop_accepting(TimePoint now);
  void flush(TimePoint now);

  ShardLoop& loop_;
  Admission admission_;
  Producer producer_;
  SessionPool sessions_;
  SessionEnvironment environment_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  Timer round_timer_;
  std::function<void()> drained_;
  TimePoint stop_at_{};  // when to stop accepting; then when that was; then when to give up
  TimePoint trimmed_{};
  bool flushed_ = false;
  bool round_armed_ = false;
  std::atomic<std::uint64_t> oldest_ms_{0};
  std::atomic<std::uint64_t> accept_failures_{0};
  std::atomic<std::uint64_t> handshakes_{0};
  std::atomic<std::uint64_t> handshakes_cut_{0};
  std::atomic<bool> stalled_{false};
};

// How long a shard's drain may take at most, from the moment it takes no clients any more.
[[nodiscard]] Duration shard_drain_limit(const Settings& settings) noexcept;

}  // namespace eventrelay::ingest
