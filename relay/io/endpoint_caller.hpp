// Who performs attempts: sends the request of a job to its endpoint and tells how that ended.
//
// Why:     dispatch decides what is sent and when; sockets, TLS and names are one exchangeable
//          part.
// Owner:   the shard.  Thread: shard thread.
// Bounds:  one attempt per job in flight. Two virtual calls per attempt: its start and its end.
// Errors:  every attempt ends with one on_attempt_end().
#pragma once

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/base/clock.hpp"

namespace eventrelay::relay {

struct Endpoint;
struct EndpointKey;
struct Job;
struct Result;
struct Target;
using TargetPtr = boost::intrusive_ptr<Target>;

// Hears how attempts end. Thread: shard thread.
class AttemptSink {
 public:
  virtual void on_attempt_end(Job& job, const Result& result, TimePoint now) = 0;

 protected:
  ~AttemptSink() = default;
};

// What a caller has open, and what it has done since start.
struct CallerStats {
  std::size_t connections = 0;
  std::size_t idle = 0;
  std::uint64_t dials = 0;
  std::uint64_t stale = 0;  // requests sent again because a kept connection turned out closed
};

// Thread: shard thread.  Bounds: see the head of this file.
class EndpointCaller {
 public:
  virtual ~EndpointCaller();
  // What attempts with this key share; may block on certificate files that are new.
  [[nodiscard]] virtual std::shared_ptr<Endpoint> endpoint(const EndpointKey& key) = 0;
  // Begins one attempt; its end comes later, never inside this call. The job, and the bytes of its
  // event, stay until then.
  virtual void start(Job& job, const TargetPtr& target, TimePoint now) = 0;
  // The attempt ends without on_attempt_end(): what it has sent may have arrived. Pre: it is under
  // way.
  virtual void cancel(Job& job) = 0;
  // Attempts under way end without on_attempt_end().
  virtual void shutdown() = 0;
  [[nodiscard]] virtual CallerStats stats() const = 0;
};

}  // namespace eventrelay::relay
