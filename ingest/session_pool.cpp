#include "ingest/session_pool.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <map>
#include <utility>

#include "common/base/assert.hpp"
#include "common/observe/log.hpp"
#include "ingest/session.hpp"

namespace eventrelay::ingest {

namespace {

// Handshakes after whose end freed memory is handed back: a page table walk for each of them would
// cost more than the memory.
constexpr std::size_t kTrimAfter = 512;

}  // namespace

SessionPool::SessionPool(SessionEnvironment& environment, SessionPoolLimits limits)
    : environment_(environment), limits_(std::move(limits)), spare_(kSpareSessions) {
  if (!limits_.open) limits_.open = std::make_shared<std::atomic<std::size_t>>(0);
  handshakes_.reserve(limits_.handshakes);
}

SessionPool::~SessionPool() {
  limits_.open->fetch_sub(open_.size(), std::memory_order_relaxed);
}

void SessionPool::adopt(Socket socket) {
  std::unique_ptr<Session> session = spare_.take();
  if (!session) session = std::make_unique<Session>(environment_);
  Session& opened = *session;
  open_.push_back(std::move(session));
  try {
    deadlines_.push_back(TimePoint::max());
  } catch (...) {
    open_.pop_back();
    throw;
  }
  limits_.open->fetch_add(1, std::memory_order_relaxed);
  try {
    opened.open(std::move(socket), open_.size() - 1);
  } catch (...) {
    opened.close();
    throw;
  }
}

bool SessionPool::begin_handshake(Session& session) {
  if (handshakes_.size() >= limits_.handshakes) cut_a_handshake();
  Budget& bytes = environment_.admission.bytes();
  while (!session.handshake_units().hold(bytes, kHandshakeBytes)) {
    if (handshakes_.empty()) return false;  // bodies have all of it
    cut_a_handshake();
  }
  handshakes_.push_back(&session);
  return true;
}

void SessionPool::end_handshake(Session& session) noexcept {
  const auto place = std::find(handshakes_.begin(), handshakes_.end(), &session);
  if (place == handshakes_.end()) return;
  handshakes_.erase(place);
  session.handshake_units().release();
  ++ended_handshakes_;
}

// The oldest of the address that has most of them.
void SessionPool::cut_a_handshake() {
  std::map<asio::ip::address, std::pair<std::size_t, Session*>> by_address;
  const std::pair<std::size_t, Session*>* most = nullptr;
  for (Session* const each : handshakes_) {
    auto& [count, oldest] = by_address[each->peer()];
    if (++count == 1) oldest = each;
  }
  for (const auto& [address, share] : by_address) {
    if (most == nullptr || share.first > most->first) most = &share;
  }
  EVENTRELAY_ASSERT(most != nullptr);
  ++handshakes_cut_;
  most->second->close();
}

void SessionPool::note_failure(std::string_view what) noexcept {
  ++failures_;
  try {
    log::warn("a client can not be served", {{"reason", what}});
  } catch (const std::exception&) {
    return;  // the line may fail for the same reason
  }
}

bool SessionPool::wants_trim() noexcept {
  if (ended_handshakes_ < kTrimAfter || handshakes_.size() > kTrimAfter / 4) return false;
  ended_handshakes_ = 0;
  return true;
}

void SessionPool::release(Session& session) noexcept {
  const std::size_t place = session.place();
  EVENTRELAY_ASSERT(open_[place].get() == &session);
  std::unique_ptr<Session> closed = std::move(open_[place]);
  if (place + 1 < open_.size()) {
    open_[place] = std::move(open_.back());
    open_[place]->move_place(place);
    deadlines_[place] = deadlines_.back();
  }
  open_.pop_back();
  deadlines_.pop_back();
  limits_.open->fetch_sub(1, std::memory_order_relaxed);
  spare_.give_back(std::move(closed));
}

void SessionPool::read_later(Session& session) {
  readers_.push_back(&session);
  if (readers_.size() > 1) return;
  try {
    asio::post(environment_.executor, [this] { begin_reads(); });
  } catch (...) {
    readers_.clear();
    throw;
  }
}

void SessionPool::begin_reads() noexcept {
  reading_.swap(readers_);
  for (Session* const each : reading_) each->read_now();
  reading_.clear();
}

void SessionPool::check_deadlines(TimePoint now) {
  // From the back: whatever takes the place of a released session has been looked at.
  for (std::size_t i = deadlines_.size(); i-- > 0;) {
    if (i < deadlines_.size() && deadlines_[i] <= now) open_[i]->on_deadline(now);
  }
}

void SessionPool::close_idle(TimePoint before) {
  for (std::size_t i = open_.size(); i-- > 0;) {
    if (i < open_.size()) open_[i]->close_if_idle(before);
  }
}

void SessionPool::close_all() {
  for (std::size_t i = open_.size(); i-- > 0;) {
    if (i < open_.size()) open_[i]->close();
  }
}

}  // namespace eventrelay::ingest
