#include "relay/http/http_pool.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <exception>

#include "common/base/assert.hpp"
#include "common/config/endpoint_guard.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::relay {

namespace {

constexpr Duration kPurgeInterval = std::chrono::seconds(30);

Address judged_form(const asio::ip::address& address) {
  return address.is_v4() ? Address::v4(address.to_v4().to_bytes())
                         : Address::v6(address.to_v6().to_bytes());
}

}  // namespace

bool Endpoint::allows(const Addresses& addresses) const {
  std::array<Address, Resolver::kAddressesMax> judged;
  EVENTRELAY_ASSERT(addresses.size() <= judged.size());
  std::transform(addresses.begin(), addresses.end(), judged.begin(), judged_form);
  const EndpointGuard guard(GuardConfig{key.allow_private, false, {}});
  const Judgement verdict = guard.judge_answers({judged.data(), addresses.size()});
  if (verdict.zone == Zone::Public) return true;
  log::warn("endpoint has an address that may not be called",
            {{"host", key.host}, {"rule", verdict.rule}});
  return false;
}

HttpPool::HttpPool(const Executor& executor, Resolver& resolver, const PoolOptions& options)
    : executor_(executor), resolver_(resolver), options_(options), timer_(executor) {}

HttpPool::~HttpPool() {
  shutdown();
}

std::shared_ptr<Endpoint> HttpPool::endpoint(const EndpointKey& key) {
  std::weak_ptr<Endpoint>& known = endpoints_[key];
  if (auto found = known.lock()) return found;
  auto fresh = std::make_shared<Endpoint>();
  fresh->key = key;
  if (key.tls) fresh->tls = tls_for(key);
  known = fresh;
  return fresh;
}

std::shared_ptr<TlsContext> HttpPool::tls_for(const EndpointKey& key) {
  auto& known = contexts_[{key.ca_file, key.client_cert}];
  if (auto found = known.lock()) return found;
  try {
    auto fresh = make_client_tls(ClientTlsConfig{key.ca_file, key.client_cert});
    known = fresh;
    return fresh;
  } catch (const std::exception& error) {
    log::error("endpoint has no usable TLS files", {{"host", key.host}, {"reason", error.what()}});
    return nullptr;
  }
}

void HttpPool::start(const std::shared_ptr<Endpoint>& endpoint, Exchange& exchange) {
  EVENTRELAY_ASSERT(!shut_);
  exchange.detail.clear();
  auto& idle = endpoint->idle;
  while (!idle.empty()) {
    Connection& connection = *idle.back();
    if (!connection.acquire(now_)) continue;  // it has left the list
    idle.pop_back();
    --idle_;
    static_cast<void>(exchange.delivery.start(Delivery::Connection::Pooled));
    look_at(exchange.deadline);
    return connection.send(exchange);
  }
  static_cast<void>(exchange.delivery.start(Delivery::Connection::None));
  open(endpoint, exchange);
}

void HttpPool::dial_again(const std::shared_ptr<Endpoint>& endpoint, Exchange& exchange) {
  ++stats_.stale;
  open(endpoint, exchange);
}

// Posted, so that a dial which fails at once is not heard of inside start().
void HttpPool::open(const std::shared_ptr<Endpoint>& endpoint, Exchange& exchange) {
  now_ = monotonic_now();
  wall_ = wall_now();
  ++stats_.dials;
  const boost::intrusive_ptr<Connection> fresh(new Connection(*this, endpoint, executor_, now_));
  fresh->place = connections_.size();
  fresh->number = ++numbers_;
  fresh->reserve(exchange);
  connections_.push_back(fresh);
  look_at(TimePoint::min());
  arm_deadline_check();
  asio::post(executor_, [fresh, &exchange] {
    if (fresh->state() != Connection::State::Closed) fresh->open(exchange);
  });
}

void HttpPool::cancel(const Exchange& exchange) {
  const auto it = std::find_if(connections_.begin(), connections_.end(),
                               [&exchange](const auto& item) { return item->runs(exchange); });
  EVENTRELAY_ASSERT(it != connections_.end());
  const boost::intrusive_ptr<Connection> connection = *it;
  connection->close();
}

void HttpPool::look_up(Connection& connection) {
  const std::string& host = connection.endpoint()->key.host;
  if (const Resolved known = resolver_.find(host)) return connection.resolved(known);
  resolver_.lookup(host, executor_, [this, number = connection.number](const Resolved& answer) {
    // By number: the connection may have run into its deadline meanwhile.
    const auto it = std::find_if(connections_.begin(), connections_.end(),
                                 [number](const auto& item) { return item->number == number; });
    if (it == connections_.end()) return;
    const boost::intrusive_ptr<Connection> waiting = *it;
    waiting->resolved(answer);
  });
}

bool HttpPool::keep(Connection& connection, PoolSlot& slot, bool reusable) {
  auto& idle = connection.endpoint()->idle;
  const auto count = static_cast<std::uint32_t>(idle.size());
  const bool room = idle_ < options_.idle_in_all;
  const PoolSlot::Release release{reusable && room, count, options_.idle_per_endpoint};
  if (slot.release(release, now_, options_.slot) == PoolSlot::Action::Close) return false;
  idle.push_back(&connection);
  ++idle_;
  look_at(slot.expires_at(options_.slot));
  return true;
}

void HttpPool::write_later(Connection& connection) {
  to_write_.emplace_back(&connection);
  post_round();
}

void HttpPool::arm_later(Connection& connection) {
  to_arm_then_.emplace_back(&connection);
  post_round();
}

void HttpPool::post_round() {
  if (std::exchange(round_posted_, true)) return;
  asio::post(executor_, [this] { round(); });
}

// Requests leave together, behind what was ready to be handled: an endpoint, or the network card,
// is woken once for many of them. The reactor tries a read at once, before it waits; right behind
// the write that attempt is wasted, a round later the answer is often there and nothing waits.
void HttpPool::round() {
  round_posted_ = false;
  taken_.swap(to_arm_);
  for (const auto& item : taken_) item->arm_read();
  taken_.clear();
  taken_.swap(to_write_);
  for (const auto& item : taken_) item->write();
  taken_.clear();
  to_arm_.swap(to_arm_then_);
  if (!to_arm_.empty()) post_round();
}

void HttpPool::forget_idle(Connection& connection) {
  auto& idle = connection.endpoint()->idle;
  const auto it = std::find(idle.rbegin(), idle.rend(), &connection);
  EVENTRELAY_ASSERT(it != idle.rend());
  idle.erase(std::prev(it.base()));
  --idle_;
}

void HttpPool::remove(Connection& connection) {
  const std::size_t place = connection.place;
  EVENTRELAY_ASSERT(place < connections_.size() && connections_[place].get() == &connection);
  if (place + 1 != connections_.size()) {
    std::swap(connections_[place], connections_.back());
    connections_[place]->place = place;
  }
  connections_.pop_back();
}

void HttpPool::arm_deadline_check() {
  if (check_armed_ || connections_.empty() || shut_) return;
  check_armed_ = true;
  timer_.expires_after(options_.deadline_check);
  timer_.async_wait([this](ErrorCode error) {
    if (error || shut_) return;
    check_armed_ = false;
    check_deadlines(monotonic_now());
    arm_deadline_check();
  });
}

void HttpPool::check_deadlines(TimePoint now) {
  now_ = now;
  wall_ = wall_now();
  if (now >= look_due_) {
    // Backwards: one that ends is replaced by the last, which has been looked at.
    for (std::size_t i = connections_.size(); i-- > 0;) {
      if (i < connections_.size()) connections_[i]->expire(now);
    }
    look_due_ = TimePoint::max();
    for (const auto& connection : connections_) look_at(connection->due());
  }
  if (now < purge_due_) return;
  purge_due_ = now + kPurgeInterval;
  std::erase_if(contexts_, [](const auto& item) { return item.second.expired(); });
  std::erase_if(endpoints_, [](const auto& item) { return item.second.expired(); });
}

void HttpPool::shutdown() {
  if (shut_) return;
  shut_ = true;
  timer_.cancel();
  to_write_.clear();
  to_arm_.clear();
  to_arm_then_.clear();
  while (!connections_.empty()) connections_.back()->close();
}

}  // namespace eventrelay::relay
