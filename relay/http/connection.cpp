#include "relay/http/connection.hpp"

#include <algorithm>
#include <boost/asio/write.hpp>
#include <utility>

#include "common/base/assert.hpp"
#include "common/http/client_tls.hpp"
#include "common/process/failpoint.hpp"
#include "relay/http/http_pool.hpp"

namespace eventrelay::relay {

using Action = Delivery::Action;

Connection::Connection(HttpPool& pool, std::shared_ptr<Endpoint> endpoint, const Executor& executor,
                       TimePoint now)
    : pool_(pool),
      endpoint_(std::move(endpoint)),
      socket_(executor),
      slot_(now),
      begun_(now),
      phase_deadline_(now + pool.options().lookup_timeout) {}

Connection::~Connection() = default;

// Not inline: GCC 12 takes the count for freed memory where several pointers end in one function.
void intrusive_ptr_release(Connection* connection) noexcept {
  if (--connection->references_ == 0) delete connection;
}

// --- dial ---------------------------------------------------------------------------------------

void Connection::open(Exchange& exchange) {
  exchange_ = &exchange;
  if (!endpoint_->key.port_allowed) return fail(TransportError::Blocked);
  pool_.look_up(*this);
}

void Connection::resolved(const Resolved& answer) {
  if (state_ != State::Resolving) return;
  const Self self(this);
  const TimePoint now = monotonic_now();
  // What a name server takes is not the endpoint's time.
  exchange_->deadline += now - begun_;
  phase_deadline_ = TimePoint::max();
  if (answer->addresses.empty()) return fail(TransportError::Dns, answer->reason);
  if (!endpoint_->allows(answer->addresses)) return fail(TransportError::Blocked);
  for (const auto& address : dial_order(answer->addresses, endpoint_->memory)) {
    targets_.emplace_back(address, endpoint_->key.port);
  }
  std::reverse(targets_.begin(), targets_.end());
  state_ = State::Dialing;
  dial_next(now);
}

// Begins with the next address beside those under way: a dead one must not hold up the others.
void Connection::dial_next(TimePoint now) {
  while (!targets_.empty()) {
    if (dials_.size() >= kDialsAtOnce) {
      dial_timed_out_ = true;
      dials_.erase(dials_.begin());
    }
    const Tcp::endpoint target = targets_.back();
    targets_.pop_back();
    if (!dial(target, now)) continue;
    next_dial_ = targets_.empty() ? TimePoint::max() : now + pool_.options().next_address;
    return;
  }
  next_dial_ = TimePoint::max();
  if (dials_.empty()) dials_failed();
}

// False: this address can not even be tried.
bool Connection::dial(const Tcp::endpoint& target, TimePoint now) {
  Dial fresh{Socket(pool_.executor()), target, dialed_++, now};
  ErrorCode ignored;
  fresh.socket.open(target.protocol(), dial_error_);
  if (dial_error_) return false;
  fresh.socket.non_blocking(true, ignored);
  fresh.socket.set_option(Tcp::no_delay(true), ignored);
  dials_.push_back(std::move(fresh));
  dials_.back().socket.async_connect(
      target, [self = Self(this), dial_number = dials_.back().name](ErrorCode result) {
        self->on_connected(dial_number, result);
      });
  return true;
}

void Connection::on_connected(std::uint32_t dial_number, ErrorCode error) {
  if (state_ != State::Dialing) return;
  const auto it = std::find_if(dials_.begin(), dials_.end(),
                               [dial_number](const Dial& one) { return one.name == dial_number; });
  if (it == dials_.end()) return;  // given up
  if (error) {
    dial_error_ = error;
    dials_.erase(it);
    return dial_next(monotonic_now());
  }
  socket_ = std::move(it->socket);
  target_ = it->target;
  dials_.clear();
  targets_.clear();
  next_dial_ = TimePoint::max();
  // What was judged is what must be at the other end.
  const Tcp::endpoint peer = socket_.remote_endpoint(error);
  if (error) return fail(TransportError::Connect, error.message());
  if (peer != target_) return fail(TransportError::Blocked);
  failpoint::at("after-connect");
  if (exchange_->delivery.on_dialed() == Action::Handshake) return handshake();
  ready();
}

void Connection::expire_dials(TimePoint now) {
  const std::size_t gone = std::erase_if(
      dials_, [&](const Dial& one) { return now >= one.begun + pool_.options().connect_timeout; });
  if (gone > 0) dial_timed_out_ = true;
  if (now >= next_dial_ || dials_.empty()) dial_next(now);
}

void Connection::dials_failed() {
  if (!dial_timed_out_) return fail(TransportError::Connect, dial_error_.message());
  fail(TransportError::Timeout, "no address accepts a connection in time");
}

void Connection::handshake() {
  state_ = State::Handshaking;
  phase_deadline_ = monotonic_now() + pool_.options().tls_timeout;
  if (endpoint_->tls == nullptr) {
    return fail(TransportError::Tls, "ca_file or client_cert can not be used");
  }
  tls_ = std::make_unique<TlsStream>(std::move(socket_), *endpoint_->tls);
  if (!prepare_client(*tls_, endpoint_->key.host)) return fail(TransportError::Tls);
  tls_->async_handshake(TlsStream::client,
                        [self = Self(this)](ErrorCode result) { self->on_handshake(result); });
}

void Connection::on_handshake(ErrorCode error) {
  if (state_ != State::Handshaking) return;
  if (error) return fail(TransportError::Tls, tls_problem(*tls_, error));
  static_cast<void>(exchange_->delivery.on_secured());
  ready();
}

void Connection::ready() {
  phase_deadline_ = TimePoint::max();
  send(*exchange_);
  pool_.arm_later(*this);
}

// --- exchange -----------------------------------------------------------------------------------

bool Connection::acquire(TimePoint now) {
  if (slot_.acquire(now, pool_.options().slot) == PoolSlot::Action::Keep) return true;
  close();
  return false;
}

void Connection::send(Exchange& exchange) {
  exchange_ = &exchange;
  state_ = State::Busy;
  written_ = told_written_ = false;
  pool_.write_later(*this);
}

// A failed write is not reported: the armed read hears of it too, and of an answer that came
// before the connection broke.
void Connection::write() {
  if (state_ != State::Busy) return;
  tls_ != nullptr ? write_joined() : write_first();
}

void Connection::write_first() {
  Exchange::Parts parts = exchange_->compose();
  ErrorCode error;
  const std::size_t sent = write_now(parts, error);
  if (error && error != asio::error::would_block && error != asio::error::try_again) return;
  advance(parts, error ? 0 : sent);
  if (written_) return on_written();
  keep_unsent(parts);
  write_rest();
}

void Connection::write_rest() {
  socket_.async_write_some(unsent_, [self = Self(this)](ErrorCode result, std::size_t bytes) {
    if (result || self->state_ != State::Busy) return;
    self->advance(self->unsent_, bytes);
    if (!self->written_) return self->write_rest();
    std::string().swap(self->joined_);
    self->on_written();
  });
}

// One piece is cheaper to send as one.
std::size_t Connection::write_now(const Exchange::Parts& parts, ErrorCode& error) {
  const bool one = std::all_of(parts.begin() + 1, parts.end(),
                               [](const auto& part) { return part.size() == 0; });
  return one ? socket_.write_some(parts.front(), error) : socket_.write_some(parts, error);
}

// Copies the parts that the next request will overwrite.
void Connection::keep_unsent(const Exchange::Parts& parts) {
  unsent_ = parts;
  joined_.clear();
  joined_.reserve(parts[0].size() + parts[1].size() + parts[3].size());
  for (const std::size_t i : {0U, 1U, 3U}) {
    const std::size_t at = joined_.size();
    joined_.append(static_cast<const char*>(parts[i].data()), parts[i].size());
    unsent_[i] = asio::const_buffer(joined_.data() + at, parts[i].size());
  }
}

void Connection::advance(Exchange::Parts& parts, std::size_t bytes) {
  written_ = true;
  for (asio::const_buffer& part : parts) {
    const std::size_t gone = std::min(bytes, part.size());
    part += gone;
    bytes -= gone;
    if (part.size() > 0) written_ = false;
  }
}

void Connection::write_joined() {
  joined_.clear();
  for (const asio::const_buffer& part : exchange_->compose()) {
    joined_.append(static_cast<const char*>(part.data()), part.size());
  }
  asio::async_write(*tls_, asio::buffer(joined_),
                    [self = Self(this)](ErrorCode error, std::size_t) {
                      if (error || self->state_ != State::Busy) return;
                      self->written_ = true;
                      self->on_written();
                    });
}

void Connection::on_written() {
  if (std::exchange(told_written_, true)) return;
  failpoint::at("after-send");
  static_cast<void>(exchange_->delivery.on_written());
}

void Connection::arm_read() {
  if (reading_ || state_ == State::Closed) return;
  reading_ = true;
  const auto space = asio::buffer(reader_.space(), reader_.space_bytes());
  auto handler = [self = Self(this)](ErrorCode error, std::size_t bytes) {
    self->on_read(error, bytes);
  };
  if (tls_ != nullptr) {
    tls_->async_read_some(space, std::move(handler));
  } else {
    socket_.async_read_some(space, std::move(handler));
  }
}

void Connection::on_read(ErrorCode error, std::size_t bytes) {
  reading_ = false;
  if (state_ == State::Closed) return;
  // An idle connection has nothing to say; if it does, its next answer could not be trusted.
  if (state_ == State::Idle) return close();
  Delivery& delivery = exchange_->delivery;
  if (!error) {
    on_written();  // an endpoint may answer before it has read everything
    proceed(reader_.received(bytes, delivery, pool_.wall()));
  } else {
    on_read_error(error);
  }
  if (state_ != State::Closed) pool_.arm_later(*this);
}

void Connection::on_read_error(ErrorCode error) {
  Delivery& delivery = exchange_->delivery;
  const bool alert = error.category() == asio::error::get_ssl_category();
  // A server of TLS 1.3 refuses a missing certificate behind the handshake, with an alert or by
  // closing.
  if (tls_ != nullptr && !reader_.touched() && (alert || lacks_certificate(*tls_))) {
    exchange_->detail = tls_problem(*tls_, error);
    return proceed(delivery.on_error(TransportError::Tls));
  }
  exchange_->detail = error.message();
  proceed(error == asio::error::eof ? reader_.ended(delivery) : reader_.broken(delivery));
}

void Connection::proceed(Action action) {
  if (action == Action::Done) return finish();
  if (action != Action::Dial) return;
  Exchange* const exchange = std::exchange(exchange_, nullptr);
  close();
  pool_.dial_again(endpoint_, *exchange);
}

void Connection::finish() {
  Exchange* const exchange = std::exchange(exchange_, nullptr);
  const Result result = exchange->delivery.result();
  // Next time the address that answered comes first, and one that did not comes last.
  if (result.status != 0) {
    endpoint_->memory.note_answer(target_.address());
  } else if (target_.port() != 0 && slot_.uses() == 1) {
    endpoint_->memory.note_failure(target_.address());
  }
  const bool reusable = written_ && state_ == State::Busy && exchange->delivery.reusable();
  if (pool_.keep(*this, slot_, reusable)) {
    reader_.reset();
    state_ = State::Idle;
  } else {
    close();
  }
  exchange->on_done(result);
}

// --- end ----------------------------------------------------------------------------------------

void Connection::fail(TransportError error, std::string_view detail) {
  const Self self(this);
  EVENTRELAY_ASSERT(exchange_ != nullptr);
  exchange_->detail = detail;
  proceed(exchange_->delivery.on_error(error));
}

void Connection::close() {
  if (state_ == State::Closed) return;
  const Self self(this);
  if (state_ == State::Idle) pool_.forget_idle(*this);
  state_ = State::Closed;
  exchange_ = nullptr;
  slot_.close();
  dials_.clear();
  targets_.clear();
  ErrorCode ignored;
  (tls_ != nullptr ? tls_->next_layer() : socket_).close(ignored);
  pool_.remove(*this);
}

TimePoint Connection::due() const noexcept {
  if (state_ == State::Idle) return slot_.expires_at(pool_.options().slot);
  return state_ == State::Busy ? exchange_->deadline : TimePoint::min();
}

void Connection::expire(TimePoint now) {
  if (state_ == State::Idle) {
    if (now >= slot_.expires_at(pool_.options().slot)) close();
    return;
  }
  if (exchange_ == nullptr) return;
  if (state_ == State::Resolving) {
    if (now >= phase_deadline_) fail(TransportError::Dns, "the name servers do not answer in time");
    return;
  }
  if (now >= exchange_->deadline || now >= phase_deadline_) return fail(TransportError::Timeout);
  if (state_ == State::Dialing) expire_dials(now);
}

}  // namespace eventrelay::relay
