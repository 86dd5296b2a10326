// One keep-alive connection to an endpoint, driven by callbacks: dial, TLS, write, read, again.
//
//   Resolving -> Dialing -> Handshaking -> Busy <-> Idle -> Closed
//
// Why:     an exchange must cost two system calls: one write of all its parts, and one read that is
//          armed when the answer may be there. Between exchanges a read is always armed, so
//          an endpoint that closes an idle connection is noticed before the next request.
// Owner:   HttpPool; kept alive by its pending handlers.
// Thread:  shard thread.
// Bounds:  one exchange at a time; the buffer of ResponseReader; kDialsAtOnce sockets that dial.
// Errors:  told to the exchange's delivery, which decides; nothing throws.
#pragma once

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/http/tls_stream.hpp"
#include "common/http/types.hpp"
#include "relay/http/delivery.hpp"
#include "relay/http/pool_slot.hpp"
#include "relay/http/resolver.hpp"
#include "relay/http/response.hpp"

namespace eventrelay::relay {

class HttpPool;
struct Endpoint;

// One request and what hears of its end; lives in the caller until on_done().
//
// Why:     a request is composed when it is written, and all of them in one place: the bytes of
//          those that wait for their answers would not fit the core's cache.
// Thread:  shard thread.  Bounds: four buffers.
class Exchange {
 public:
  using Parts = std::array<asio::const_buffer, 4>;

  Exchange() : delivery(Delivery::Scheme::Http, {}) {}

  TimePoint deadline{};  // from dial to the last byte; moved by what the lookup of a name takes
  Delivery delivery;     // fresh for each attempt
  std::string detail;    // what went wrong in the words of the library; empty: nothing to add

  // The request, sent in this order as one write; asked for again if it must be sent once more. The
  // third part stays where it is until on_done(), the others until anybody's next call.
  [[nodiscard]] virtual Parts compose() = 0;
  virtual void on_done(const Result& result) = 0;

 protected:
  ~Exchange() = default;
};

// Thread: shard thread.  Bounds: see the head of this file.
class Connection final {
 public:
  static constexpr std::size_t kDialsAtOnce = 4;  // beyond it the oldest is given up for the next

  enum class State : std::uint8_t { Resolving, Dialing, Handshaking, Busy, Idle, Closed };

  Connection(HttpPool& pool, std::shared_ptr<Endpoint> endpoint, const Executor& executor,
             TimePoint now);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // What open() will be called for.
  void reserve(Exchange& exchange) { exchange_ = &exchange; }
  // Looks up, judges, connects, then sends.
  void open(Exchange& exchange);
  // The answer to the lookup that open() began.
  void resolved(const Resolved& addresses);
  // Sends on a connection that is Idle. Pre: acquire() was true.
  void send(Exchange& exchange);
  // False: too old, and closed now.
  [[nodiscard]] bool acquire(TimePoint now);
  // Writes what send() has been given; the pool calls it.
  void write();
  // Reads as soon as there is something, unless it does already.
  void arm_read();
  // Ends whatever is under way, without a call of on_done().
  void close();
  // Ends what is overdue.
  void expire(TimePoint now);
  // Nothing of it is overdue before; long past while it dials.
  [[nodiscard]] TimePoint due() const noexcept;

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] bool runs(const Exchange& exchange) const noexcept {
    return exchange_ == &exchange;
  }
  [[nodiscard]] const std::shared_ptr<Endpoint>& endpoint() const noexcept { return endpoint_; }

  std::size_t place = 0;     // the pool's place for it
  std::uint64_t number = 0;  // the pool's name for it, never used twice

 private:
  using Self = boost::intrusive_ptr<Connection>;
  friend void intrusive_ptr_add_ref(Connection* connection) noexcept { ++connection->references_; }
  friend void intrusive_ptr_release(Connection* connection) noexcept;

  // One address that is being connected to. Bounds: one socket.
  struct Dial {
    Socket socket;
    Tcp::endpoint target;
    std::uint32_t name;
    TimePoint begun;
  };

  void dial_next(TimePoint now);
  [[nodiscard]] bool dial(const Tcp::endpoint& target, TimePoint now);
  void on_connected(std::uint32_t dial_number, ErrorCode error);
  void expire_dials(TimePoint now);
  void dials_failed();
  void handshake();
  void on_handshake(ErrorCode error);
  void ready();
  [[nodiscard]] std::size_t write_now(const Exchange::Parts& parts, ErrorCode& error);
  void write_first();
  void write_rest();
  void keep_unsent(const Exchange::Parts& parts);
  void advance(Exchange::Parts& parts, std::size_t bytes);
  void write_joined();
  void on_written();
  void on_read(ErrorCode error, std::size_t bytes);
  void on_read_error(ErrorCode error);
  void finish();
  void fail(TransportError error, std::string_view detail = {});
  void proceed(Delivery::Action action);

  std::uint32_t references_ = 0;
  HttpPool& pool_;
  std::shared_ptr<Endpoint> endpoint_;
  Socket socket_;
  std::unique_ptr<TlsStream> tls_;  // owns the socket once TLS begins
  State state_ = State::Resolving;
  bool written_ = false;       // the request has left whole
  bool told_written_ = false;  // the delivery knows, or has been told early
  bool reading_ = false;       // a read is armed
  Exchange* exchange_ = nullptr;
  Exchange::Parts unsent_;  // of a request that did not leave at once
  std::string joined_;  // TLS: the request as one piece, so that it is one record; else see above
  ResponseReader reader_;
  PoolSlot slot_;
  TimePoint begun_;                     // of the lookup
  TimePoint phase_deadline_;            // of the lookup, then of the handshake
  std::vector<Tcp::endpoint> targets_;  // judged; the last one is dialled next
  std::vector<Dial> dials_;             // oldest first
  std::uint32_t dialed_ = 0;            // names the next one
  TimePoint next_dial_ = TimePoint::max();
  bool dial_timed_out_ = false;
  ErrorCode dial_error_;
  Tcp::endpoint target_;  // the connection's other end
};

}  // namespace eventrelay::relay
