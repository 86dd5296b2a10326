// The session's side that touches the socket: handshake, reads, writes, and the gentle end.
#include <boost/asio/write.hpp>

#include "common/assert.hpp"
#include "ingest/session.hpp"

namespace eventrelay::ingest {

void Session::handshake() {
  tls_ = std::make_unique<ClientTls>(socket_, *environment_.tls);
  ++handlers_;
  tls_->async_handshake(asio::ssl::stream_base::server, [this](ErrorCode error) {
    --handlers_;
    if (state_ == State::Closed) return give_back();
    if (error) return close();
    begin_request(monotonic_now(), environment_.limits.head);
    start_read();
  });
}

void Session::start_read() {
  // More room than is expected: a read that does not fill it has emptied the socket, and the
  // next one waits for the poller without trying first.
  std::span<char> room = input_.free_space();
  if (chunks_ && room.size() > kBlockBytes) room = room.first(kBlockBytes);
  EVENTRELAY_ASSERT(!room.empty());
  const auto buffer = asio::buffer(room.data(), room.size());
  const auto done = [this](ErrorCode error, std::size_t bytes) { on_read(error, bytes); };
  ++handlers_;
  reading_ = true;
  if (tls_) return tls_->async_read_some(buffer, done);
  socket_.async_read_some(buffer, done);
}

void Session::on_read(ErrorCode error, std::size_t bytes) {
  --handlers_;
  reading_ = false;
  switch (state_) {
    case State::Head:
    case State::Body:
      if (error) return close();
      input_.commit(bytes);
      return go_on(Next::Again);
    case State::Lingering:
      return on_discarded(error, bytes);
    case State::Closed:
      return give_back();
    case State::Writing:  // a timeout is being answered; what comes now is thrown away
    case State::Handshake:
    case State::Waiting:
      return;
  }
}

Session::Next Session::send(std::string_view bytes, Then then) {
  then_ = then;
  if (!tls_) {
    ErrorCode error;
    const std::size_t written = socket_.write_some(asio::buffer(bytes.data(), bytes.size()), error);
    if (error && error != asio::error::would_block) {
      close();
      return Next::Stop;
    }
    bytes.remove_prefix(written);
    if (bytes.empty()) return sent();
  }
  state_ = State::Writing;
  set_deadline(monotonic_now() + environment_.limits.write);
  rest_.assign(bytes.begin(), bytes.end());
  const auto rest = asio::buffer(rest_);
  const auto done = [this](ErrorCode error, std::size_t) { on_written(error); };
  ++handlers_;
  if (tls_) {
    asio::async_write(*tls_, rest, done);
  } else {
    asio::async_write(socket_, rest, done);
  }
  return Next::Stop;
}

void Session::on_written(ErrorCode error) {
  --handlers_;
  if (state_ == State::Closed) return give_back();
  if (error) return close();
  go_on(sent());
}

Session::Next Session::sent() {
  switch (then_) {
    case Then::ReadBody:
      state_ = State::Body;
      set_deadline(since_ + environment_.limits.body);
      return Next::Again;
    case Then::NextRequest:
      begin_request(since_, environment_.limits.idle);
      return Next::Again;
    case Then::Linger:
      break;
  }
  linger();
  return Next::Stop;
}

// Closing with bytes unread would reset the connection, and the answer with it.
void Session::linger() {
  state_ = State::Lingering;
  discarded_ = 0;
  set_deadline(monotonic_now() + environment_.limits.linger);
  if (!tls_ || reading_) return half_close();
  ++handlers_;
  tls_->async_shutdown([this](ErrorCode) {
    --handlers_;
    if (state_ == State::Closed) return give_back();
    half_close();
  });
}

void Session::half_close() {
  ErrorCode error;
  socket_.shutdown(Socket::shutdown_send, error);
  if (error) return close();
  if (!reading_) discard();
}

// Below TLS as well: only the end of the stream matters.
void Session::discard() {
  auto& space = environment_.discard;
  ++handlers_;
  reading_ = true;
  socket_.async_read_some(asio::buffer(space.data(), space.size()),
                          [this](ErrorCode error, std::size_t bytes) { on_read(error, bytes); });
}

void Session::on_discarded(ErrorCode error, std::size_t bytes) {
  discarded_ += bytes;
  if (error || discarded_ > environment_.limits.linger_bytes) return close();
  discard();
}

void Session::on_deadline(TimePoint now) {
  switch (state_) {
    case State::Head:
      // Nobody is told anything who has asked for nothing.
      return input_.empty() ? close() : go_on(reject(IngestError::HeadTimeout));
    case State::Body:
      return go_on(reject(IngestError::BodyTimeout));
    case State::Waiting:
      environment_.producer.abandon(ticket_);
      return go_on(reject(IngestError::KafkaUnavailable));
    case State::Handshake:
    case State::Writing:
    case State::Lingering:
      return close();
    case State::Closed:
      return set_deadline(TimePoint::max());
  }
  static_cast<void>(now);
}

void Session::close_if_idle(TimePoint before) {
  if (state_ == State::Head && input_.empty() && since_ <= before) linger();
}

void Session::close() {
  if (state_ == State::Closed) return;
  if (state_ == State::Waiting) environment_.producer.abandon(ticket_);
  state_ = State::Closed;
  set_deadline(TimePoint::max());
  request_.release();
  probe_.release();
  receiver_.reset();
  ErrorCode ignored;
  socket_.close(ignored);
  give_back();
}

void Session::give_back() {
  if (handlers_ > 0) return;
  tls_.reset();
  forget_head();
  chunks_.reset();
  input_.clear();
  ids_.clear();
  ids_.shrink_to_fit();
  rest_ = {};
  environment_.pool.release(*this);
}

}  // namespace eventrelay::ingest
