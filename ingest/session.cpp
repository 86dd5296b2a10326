#include "ingest/session.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/assert.hpp"

namespace eventrelay::ingest {

namespace {

// A chunked body is read in steps of this; what the client sends behind it fits the first block.
constexpr std::size_t kChunkedStep = kBlockBytes;

}  // namespace

Session::Session(SessionEnvironment& environment)
    : environment_(environment),
      socket_(environment.executor),
      input_(environment.admission.bytes(), environment.blocks) {}

Session::~Session() = default;

void Session::open(Socket socket, std::size_t place) {
  socket_ = std::move(socket);
  place_ = place;
  const TimePoint now = monotonic_now();
  if (environment_.tls) {
    state_ = State::Handshake;
    set_deadline(now + environment_.limits.head);
    return handshake();
  }
  begin_request(now, environment_.limits.head);
  start_read();
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

Session::Next Session::read_head() {
  if (input_.empty()) return Next::Read;
  if (!head_begun_) {
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
  if (environment_.phase == Phase::Flushing) return reject(IngestError::Draining);
  const RequestHead& head = head_->gate.head();
  const auto route = environment_.receiver->route(head);
  if (!route) return reject(route.error());
  route_ = *route;
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

bool Session::admitted() {
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
  if (!received->events.empty()) return store(received->events);
  const After after = after_answer();
  if (received->reply.empty()) {
    const auto out = answer_space(answer_bytes_max(0));
    return answer(metrics::Code::k200, render_nothing_stored(received->reason, after, out), after);
  }
  const auto out = answer_space(answer_bytes_max(0) + received->reply.size());
  return answer(metrics::Code::k200, render_reply(received->reply, after, out), after);
}

Session::Next Session::store(std::span<const Event> events) {
  ids_.resize(events.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    EVENTRELAY_ASSERT(events[i].id.size() == kEventIdSize);
    std::memcpy(ids_[i].data(), events[i].id.data(), kEventIdSize);
  }
  const auto ticket = environment_.producer.write(events, *this);
  if (!ticket) return reject(ticket.error());
  ticket_ = *ticket;
  state_ = State::Waiting;
  set_deadline(since_ + environment_.ack_timeout);
  forget_input();
  return Next::Stop;
}

void Session::on_settled(Settled settled) {
  EVENTRELAY_ASSERT(state_ == State::Waiting);
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
  if (error == IngestError::MethodNotAllowed) {
    answered.allow = environment_.receiver->allowed_methods(head_->gate.head());
  }
  return answer(row.code, render_error(error, answered, answer_space(kAnswerBytesMax)),
                answered.after);
}

// A body that is here, only nobody wants it: the next request is where it should be.
void Session::pass_over_body() {
  const RequestHead& head = head_->gate.head();
  if (head.chunked || input_.after_head().size() < head.content_length) return;
  body_done_ = true;
  body_size_ = head.content_length;
}

Session::Next Session::answer(metrics::Code code, std::string_view bytes, After after) {
  const TimePoint now = monotonic_now();
  environment_.slab.ingest_requests_total.add(code);
  if (head_done_) environment_.slab.ingest_request_duration_seconds.observe(now - since_);
  since_ = now;
  request_.release();
  probe_.release();
  if (after == After::Keep) forget_input();
  return send(bytes, after == After::Keep ? Then::NextRequest : Then::Linger);
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

}  // namespace eventrelay::ingest
