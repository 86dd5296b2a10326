#include "ingest/session_pool.hpp"

#include <utility>

#include "common/base/assert.hpp"
#include "ingest/session.hpp"

namespace eventrelay::ingest {

SessionPool::SessionPool(SessionEnvironment& environment, std::size_t max)
    : environment_(environment), max_(max) {
  spare_.reserve(kSpareSessions);
}

SessionPool::~SessionPool() = default;

void SessionPool::adopt(Socket socket) {
  EVENTRELAY_ASSERT(!full());
  std::unique_ptr<Session> session;
  if (spare_.empty()) {
    session = std::make_unique<Session>(environment_);
  } else {
    session = std::move(spare_.back());
    spare_.pop_back();
  }
  Session& opened = *session;
  deadlines_.push_back(TimePoint::max());
  open_.push_back(std::move(session));
  opened.open(std::move(socket), open_.size() - 1);
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
  if (spare_.size() < kSpareSessions) spare_.push_back(std::move(closed));
}

void SessionPool::sweep(TimePoint now) {
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
