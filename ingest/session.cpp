#include "ingest/session.hpp"

#include <algorithm>
#include <boost/asio/write.hpp>
#include <cstring>
#include <utility>

#include "common/base/assert.hpp"
#include "common/observe/log.hpp"
#include "ingest/sources.hpp"

namespace eventrelay::ingest {

namespace {

// A chunked body is read in steps of this; what the client sends behind it fits the first block.
constexpr std::size_t kChunkedStep = kBlockBytes;
constexpr std::string_view kEndOfHead = "\r\n\r\n";

}  // namespace

Session::Session(SessionEnvironment& environment)
    : environment_(environment),
      socket_(environment.executor),
      input_(environment.admission.bytes(), environment.blocks) {}

Session::~Session() = default;

// What a handler of this session throws, for want of memory as a rule, costs this client alone.
template <class Work>
void Session::guarded(Work work) noexcept {
  try {
    work();
  } catch (const std::exception& error) {
    environment_.pool.note_failure(error.what());
    close();
  }
}

void Session::open(Socket socket, std::size_t place) {
  socket_ = std::move(socket);
  place_ = place;
  const TimePoint now = monotonic_now();
  if (environment_.tls) {
    state_ = State::Handshake;
    set_deadline(now + environment_.limits.head);
    if (!environment_.pool.begin_handshake(*this)) return close();
    return handshake();
  }
  begin_request(now, environment_.limits.head);
  start_read();
}

asio::ip::address Session::peer() const noexcept {
  ErrorCode error;
  const Tcp::endpoint endpoint = socket_.remote_endpoint(error);
  return error ? asio::ip::address{} : endpoint.address();
}

void Session::begin_request(TimePoint now, Duration patience) {
  state_ = State::Head;
  head_begun_ = head_done_ = body_done_ = forgotten_ = false;
  keep_alive_ = true;
  since_ = now;
  set_deadline(now + patience);
}

void Session::go_on(Next next) {
  while (next == Next::Again) next = state_ == State::Head ? read_head() : read_body();
  if (next == Next::Read) start_read();
}

// Empty lines before a request (RFC 9112 2.2), as old clients send behind a body. They belong to
// no request, so that the time to wait for one goes on. True: nothing else is here yet.
bool Session::only_empty_lines() {
  while (input_.unread().starts_with("\r\n")) {
    input_.end_head(2);
    input_.consume(0);
  }
  return input_.empty() || input_.unread() == "\r";
}

Session::Next Session::read_head() {
  if (input_.empty()) return Next::Read;
  if (!head_begun_) {
    if (only_empty_lines()) {
      const bool room = !input_.free_space().empty() || input_.make_room();
      return room ? Next::Read : reject(IngestError::MemoryBudget);
    }
    head_ = &environment_.head;
    head_->begin();
  }
  const auto progress = head_->parser->feed(input_.unread());
  if (!progress) return reject(progress.error());
  if (*progress == HeadParser::Progress::NeedMore) return await_head();
  input_.end_head(head_->parser->size());
  head_begun_ = head_done_ = true;
  keep_alive_ = head_->gate.head().keep_alive;
  return on_head();
}

Session::Next Session::await_head() {
  if (!head_begun_) {
    head_begun_ = true;
    set_deadline(monotonic_now() + environment_.limits.head);
    keep_head();
    head_->begin();  // what is there is read once more, in the head's own place
    return Next::Again;
  }
  if (!input_.free_space().empty()) return Next::Read;
  if (!input_.make_room()) return reject(IngestError::MemoryBudget);
  head_->begin();  // the head has moved: every view is taken anew
  return Next::Again;
}

void Session::keep_head() {
  if (own_head_) return;
  own_head_ = std::make_unique<HeadWork>(head_->gate);
  head_ = own_head_.get();
}

Session::Next Session::on_head() {
  since_ = monotonic_now();
  received_ = wall_now();
  RequestTracer* const tracer = environment_.tracer.get();
  if (tracer != nullptr) trace_ = tracer->begin(head_->gate.head(), environment_.tls != nullptr);
  if (environment_.phase == Phase::Flushing) return reject(IngestError::Draining);
  const IncomingHead& head = head_->gate.head();
  const auto route = environment_.receiver->route(head);
  if (!route) return reject(route.error());
  route_ = *route;
  if (trace_) trace_route();
  if (head.chunked && !route_.chunked) return reject(IngestError::TransferEncoding);
  if (head.content_length > route_.body_max) return reject(IngestError::BodyTooLarge);
  if (!admitted()) return reject(IngestError::KafkaUnavailable);
  if (!request_.hold(environment_.admission.requests(), 1) ||
      !input_.reserve_body(head.content_length)) {
    return reject(IngestError::MemoryBudget);
  }
  state_ = State::Body;
  if (head.chunked) {
    chunks_.emplace(route_.body_max);
    coded_bytes_ = 0;
  } else if (input_.after_head().size() >= head.content_length) {
    return on_body(head.content_length);
  }
  receiver_ = environment_.receiver;
  set_deadline(since_ + environment_.limits.body);
  keep_head();
  if (head.expect_continue) return send(continue_bytes(), Then::ReadBody);
  return Next::Again;
}

void Session::trace_route() {
  route_.trace = &trace_->record();
  const std::string_view target = head_->gate.head().target;
  std::string route = environment_.receiver->settings().config.ingest.base_path;
  route.append(route_.instance != nullptr ? "/events/{element}/{instance}" : "/events/{element}");
  trace_->routed(route, target.substr(0, target.find('?')));
}

bool Session::admitted() {
  // A record in a partition that the relay can not take over would wait without anybody noticing.
  if (environment_.topics != nullptr && environment_.topics->held()) return false;
  const KafkaState state = environment_.producer.state_for(route_.instance, since_);
  switch (environment_.admission.admit(state, since_)) {
    case Admission::Verdict::Admit:
      return true;
    case Admission::Verdict::Probe:
      return probe_.hold(environment_.admission.probes(), 1);
    case Admission::Verdict::Reject:
      break;
  }
  return false;
}

Session::Next Session::read_body() {
  if (chunks_) return read_chunks();
  const std::size_t there = input_.after_head().size();
  const std::size_t size = head_->gate.head().content_length;
  if (there >= size) return on_body(size);
  const auto granted = std::chrono::seconds{static_cast<std::int64_t>(there) / kBodyRate};
  set_deadline(since_ + environment_.limits.body + granted);
  return Next::Read;
}

Session::Next Session::read_chunks() {
  // What lies behind the head: the body so far, moved together, then coded bytes just received.
  const std::span<char> there = input_.after_head();
  const std::size_t body = chunks_->body_size();
  const std::string_view coded(there.data() + body, there.size() - body);
  const auto used = chunks_->decode(coded, there.data() + body);
  if (!used) return reject(used.error());
  coded_bytes_ += *used;
  const std::size_t size = chunks_->body_size();
  const std::size_t rest = coded.size() - *used;
  std::memmove(there.data() + size, coded.data() + *used, rest);
  input_.keep_after_head(size + rest);
  if (chunks_->done()) return on_body(size);
  const auto granted = std::chrono::seconds{static_cast<std::int64_t>(coded_bytes_) / kBodyRate};
  set_deadline(since_ + environment_.limits.body + granted);
  if (input_.free_space().size() >= kChunkedStep) return Next::Read;
  const std::size_t wanted = std::min(2 * size, route_.body_max) + 2 * kChunkedStep;
  return input_.reserve_body(wanted) ? Next::Read : reject(IngestError::MemoryBudget);
}

Session::Next Session::on_body(std::size_t size) {
  body_done_ = true;
  body_size_ = size;
  environment_.slab.ingest_request_body_bytes.observe(std::uint64_t{size});
  Receiver& receiver = receiver_ ? *receiver_ : *environment_.receiver;
  const std::string_view body(input_.after_head().data(), size);
  const auto received = receiver.receive(head_->gate.head(), route_, body, received_);
  if (!received) return reject(received.error());
  if (received->keys.any()) route_.meter->verified(received->keys);
  if (!received->events.empty()) return store(received->events);
  const After after = after_answer();
  if (received->handshake) environment_.slab.ingest_handshakes_total.add(*received->handshake);
  if (received->not_stored) note_not_stored(*received->not_stored, received->reason);
  if (!received->reason.empty()) {
    const auto out = answer_space(answer_bytes_max(0));
    return answer(metrics::Code::k200, render_nothing_stored(received->reason, after, out), after);
  }
  const auto out =
      answer_space(answer_bytes_max(0) + received->reply.size() + received->fields.size());
  return answer(metrics::Code::k200, render_reply(received->reply, received->fields, after, out),
                after);
}

Session::Next Session::store(std::span<const Event> events) {
  ids_.resize(events.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    EVENTRELAY_ASSERT(events[i].id.size() == kEventIdSize);
    std::memcpy(ids_[i].data(), events[i].id.data(), kEventIdSize);
  }
  if (trace_) trace_->sending(environment_.tracer->topic(), events);
  const auto ticket = environment_.producer.write(events, *this);
  if (!ticket) return reject(ticket.error());
  ticket_ = *ticket;
  route_.meter->heard(received_);
  state_ = State::Waiting;
  set_deadline(since_ + route_.ack_timeout);
  forget_input();
  return Next::Stop;
}

void Session::on_settled(Settled settled) {
  EVENTRELAY_ASSERT(state_ == State::Waiting);
  guarded([this, settled] { answer_settled(settled); });
}

void Session::answer_settled(Settled settled) {
  if (trace_) trace_->settled(settled);
  switch (settled) {
    case Settled::Stored: {
      const After after = after_answer();
      const auto out = answer_space(answer_bytes_max(ids_.size()));
      return go_on(answer(metrics::Code::k202, render_accepted(ids_, after, out), after));
    }
    case Settled::TooLarge:
      return go_on(reject(IngestError::EventTooLarge));
    case Settled::Unavailable:
      return go_on(reject(IngestError::KafkaUnavailable));
  }
}

Session::Next Session::reject(IngestError error) {
  const AnswerRow& row = answer_row(error);
  if (head_done_ && !body_done_) pass_over_body();
  environment_.slab.ingest_rejected_total.add(row.reject);
  const bool keep = body_done_ && row.after == After::Keep && after_answer() == After::Keep;
  ErrorAnswer answered{.request_id = ++environment_.last_request_id,
                       .after = keep ? After::Keep : After::Close,
                       .allow = {}};
  log_refused(row, answered.request_id);
  if (error == IngestError::MethodNotAllowed) {
    answered.allow = environment_.receiver->allowed_methods(head_->gate.head());
  }
  std::string_view bytes = render_error(error, answered, answer_space(kAnswerBytesMax));
  // No HEAD is ever accepted. A body behind its answer would be read as the next answer.
  const bool no_body = head_done_ && head_ != nullptr && head_->gate.head().method == Method::Head;
  if (no_body) bytes = bytes.substr(0, bytes.find(kEndOfHead) + kEndOfHead.size());
  return answer(row.code, bytes, answered.after);
}

// Logs the path without its query, which may hold a token. A session that waits for Kafka has given
// its head back, so its line has no path.
void Session::log_refused(const AnswerRow& row, std::uint64_t request_id) const {
  constexpr std::size_t kPathMax = 200;
  std::string_view path;
  if (head_done_ && head_ != nullptr) path = head_->gate.head().target;
  path = path.substr(0, path.find('?')).substr(0, kPathMax);
  log::info("request refused", {{"status", row.status},
                                {"reason", row.message},
                                {"path", path},
                                {"requestId", request_id_text(request_id)}});
}

// The provider is told 200, so nobody would look for these events without a line.
void Session::note_not_stored(metrics::NotStored why, std::string_view reason) {
  environment_.slab.ingest_not_stored_total.add(why);
  const auto calls = route_.meter->not_stored(why, monotonic_now());
  if (!calls) return;
  const bool odd = why == metrics::NotStored::NoUserParameter;
  log::write(odd ? LogLevel::Warn : LogLevel::Info, "a genuine call had nothing to store",
             {{"source", route_.source->element}, {"reason", reason}, {"calls", *calls}});
}

// The body was received whole and is not needed: the next request begins behind it.
void Session::pass_over_body() {
  const IncomingHead& head = head_->gate.head();
  if (head.chunked || input_.after_head().size() < head.content_length) return;
  body_done_ = true;
  body_size_ = head.content_length;
}

Session::Next Session::answer(metrics::Code code, std::string_view bytes, After after) {
  const TimePoint now = monotonic_now();
  environment_.slab.ingest_requests_total.add(code);
  if (trace_) end_trace(metrics::kCodeWords[static_cast<std::size_t>(code)]);
  if (head_done_) environment_.slab.ingest_request_duration_seconds.observe(now - since_);
  since_ = now;
  request_.release();
  probe_.release();
  if (after == After::Keep) forget_input();
  return send(bytes, after == After::Keep ? Then::NextRequest : Then::Linger);
}

void Session::end_trace(std::string_view code) {
  trace_->end(code);
  trace_.reset();
}

void Session::forget_input() {
  if (std::exchange(forgotten_, true)) return;
  EVENTRELAY_ASSERT(!reading_);
  input_.consume(body_size_);
  receiver_.reset();
  chunks_.reset();
  forget_head();
}

void Session::forget_head() noexcept {
  head_ = nullptr;
  own_head_.reset();
}

After Session::after_answer() const noexcept {
  const bool keep = keep_alive_ && environment_.phase == Phase::Serving;
  return keep ? After::Keep : After::Close;
}

std::span<char> Session::answer_space(std::size_t bytes) {
  if (environment_.answer.size() < bytes) environment_.answer.resize(bytes);
  return environment_.answer;
}

// The session's side that touches the socket: handshake, reads, writes, and the gentle end.

// An operation counts as under way once it has been begun without a throw; its handler never runs
// before that.
void Session::handshake() {
  tls_ = std::make_unique<ClientTls>(socket_, *environment_.tls);
  tls_->async_handshake(asio::ssl::stream_base::server, [this](ErrorCode error) {
    --handlers_;
    if (state_ == State::Closed) return give_back();
    environment_.pool.end_handshake(*this);
    if (error) return close();
    guarded([this] {
      begin_request(monotonic_now(), environment_.limits.head);
      start_read();
    });
  });
  ++handlers_;
}

void Session::start_read() {
  // More room than is expected: a read that does not fill it has emptied the socket, and the
  // next one waits for the poller without trying first.
  std::span<char> room = input_.free_space();
  if (chunks_ && room.size() > kBlockBytes) room = room.first(kBlockBytes);
  EVENTRELAY_ASSERT(!room.empty());
  const auto buffer = asio::buffer(room.data(), room.size());
  const auto done = [this](ErrorCode error, std::size_t bytes) { on_read(error, bytes); };
  if (tls_) {
    tls_->async_read_some(buffer, done);
  } else {
    socket_.async_read_some(buffer, done);
  }
  ++handlers_;
  reading_ = true;
}

void Session::read_now() noexcept {
  --handlers_;
  if (state_ == State::Closed) return give_back();
  if (state_ == State::Head) guarded([this] { start_read(); });
}

void Session::on_read(ErrorCode error, std::size_t bytes) {
  --handlers_;
  reading_ = false;
  switch (state_) {
    case State::Head:
    case State::Body:
      if (error) return close();
      input_.commit(bytes);
      return guarded([this] { go_on(Next::Again); });
    case State::Lingering:
      return guarded([&] { on_discarded(error, bytes); });
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
  if (tls_) {
    asio::async_write(*tls_, rest, done);
  } else {
    asio::async_write(socket_, rest, done);
  }
  ++handlers_;
  return Next::Stop;
}

void Session::on_written(ErrorCode error) {
  --handlers_;
  if (state_ == State::Closed) return give_back();
  if (error) return close();
  guarded([this] { go_on(sent()); });
}

Session::Next Session::sent() {
  switch (then_) {
    case Then::ReadBody:
      state_ = State::Body;
      set_deadline(since_ + environment_.limits.body);
      return Next::Again;
    case Then::NextRequest:
      begin_request(since_, environment_.limits.idle);
      if (!input_.empty()) return Next::Again;
      environment_.pool.read_later(*this);
      ++handlers_;
      return Next::Stop;
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
  tls_->async_shutdown([this](ErrorCode) {
    --handlers_;
    if (state_ == State::Closed) return give_back();
    guarded([this] { half_close(); });
  });
  ++handlers_;
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
  socket_.async_read_some(asio::buffer(space.data(), space.size()),
                          [this](ErrorCode error, std::size_t bytes) { on_read(error, bytes); });
  ++handlers_;
  reading_ = true;
}

void Session::on_discarded(ErrorCode error, std::size_t bytes) {
  discarded_ += bytes;
  if (error || discarded_ > environment_.limits.linger_bytes) return close();
  discard();
}

void Session::on_deadline(TimePoint) {
  guarded([this] { end_patience(); });
}

void Session::end_patience() {
  switch (state_) {
    case State::Head:
      // No bytes received: close without an answer.
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
}

void Session::close_if_idle(TimePoint before) {
  if (state_ == State::Head && input_.empty() && since_ <= before) {
    guarded([this] { linger(); });
  }
}

void Session::close() {
  if (state_ == State::Closed) return;
  if (state_ == State::Waiting) environment_.producer.abandon(ticket_);
  if (state_ == State::Handshake) environment_.pool.end_handshake(*this);
  state_ = State::Closed;
  if (trace_) end_trace({});
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
