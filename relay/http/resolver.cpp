#include "relay/http/resolver.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/basic_endpoint.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

namespace eventrelay::relay {

namespace {

struct Waiter {
  Executor executor;
  Resolver::Done done;
};

// One name: an answer with its end, or the list of those who wait for it.
struct Entry {
  Resolved answer;  // null while the first lookup runs
  TimePoint until{};
  bool asking = false;
  std::vector<Waiter> waiters;
};

}  // namespace

// Shared with the threads, which may outlive the resolver while a lookup blocks.
// Thread: all members under `mutex`.  Bounds: as ResolverOptions.
struct Resolver::State {
  explicit State(ResolverOptions given) : options(std::move(given)) {}

  void answer(const std::string& host, LookupAnswer found);
  void make_room(TimePoint now);

  const ResolverOptions options;
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable ended;
  std::unordered_map<std::string, Entry> entries;
  std::deque<std::string> queue;
  std::size_t waiting = 0;
  unsigned running = 0;
  bool stopped = false;
};

void Resolver::State::answer(const std::string& host, LookupAnswer found) {
  const std::lock_guard lock(mutex);
  const auto it = entries.find(host);
  if (stopped || it == entries.end()) return;
  Entry& entry = it->second;
  if (found.addresses.size() > kAddressesMax) found.addresses.resize(kAddressesMax);
  const Duration life = found.addresses.empty()
                            ? options.negative
                            : std::clamp(found.ttl.value_or(options.ttl_unknown), options.ttl_floor,
                                         options.ttl_ceiling);
  entry.answer = std::make_shared<const Addresses>(std::move(found.addresses));
  entry.until = monotonic_now() + life;
  entry.asking = false;
  waiting -= entry.waiters.size();
  for (Waiter& waiter : entry.waiters) {
    asio::post(waiter.executor,
               [done = std::move(waiter.done), answer = entry.answer] { done(answer); });
  }
  entry.waiters.clear();
}

// Drops what has expired; if nothing has, any one entry that nobody waits for.
void Resolver::State::make_room(TimePoint now) {
  if (entries.size() < options.entries_max) return;
  std::erase_if(
      entries, [now](const auto& item) { return !item.second.asking && item.second.until <= now; });
  if (entries.size() < options.entries_max) return;
  const auto idle = std::find_if(entries.begin(), entries.end(),
                                 [](const auto& item) { return !item.second.asking; });
  if (idle != entries.end()) entries.erase(idle);
}

void Resolver::work(const std::shared_ptr<State>& state) {
  const Lookup lookup = state->options.lookup ? state->options.lookup : Lookup{system_lookup};
  for (;;) {
    std::string host;
    {
      std::unique_lock lock(state->mutex);
      state->wake.wait(lock, [&] { return state->stopped || !state->queue.empty(); });
      if (state->stopped) {
        --state->running;
        state->ended.notify_all();
        return;
      }
      host = std::move(state->queue.front());
      state->queue.pop_front();
    }
    state->answer(host, lookup(host));
  }
}

Resolver::Resolver(ResolverOptions options) : state_(std::make_shared<State>(std::move(options))) {
  const unsigned threads = std::max(1U, state_->options.threads);
  for (unsigned i = 0; i < threads; ++i) {
    {
      const std::lock_guard lock(state_->mutex);
      ++state_->running;
    }
    std::thread([state = state_] { work(state); }).detach();
  }
}

Resolver::~Resolver() {
  stop();
}

void Resolver::stop() {
  std::unique_lock lock(state_->mutex);
  state_->stopped = true;
  for (auto& [host, entry] : state_->entries) entry.waiters.clear();
  state_->waiting = 0;
  state_->wake.notify_all();
  state_->ended.wait_for(lock, std::chrono::seconds(1), [&] { return state_->running == 0; });
}

Resolved Resolver::find(const std::string& host) const {
  ErrorCode error;
  const auto literal = asio::ip::make_address(host, error);
  if (!error) return std::make_shared<const Addresses>(Addresses{literal});
  const std::lock_guard lock(state_->mutex);
  const auto it = state_->entries.find(host);
  if (it == state_->entries.end() || it->second.answer == nullptr) return nullptr;
  return it->second.until > monotonic_now() ? it->second.answer : nullptr;
}

void Resolver::lookup(const std::string& host, const Executor& executor, Done done) {
  if (Resolved known = find(host)) {
    asio::post(executor, [done = std::move(done), known] { done(known); });
    return;
  }
  const std::lock_guard lock(state_->mutex);
  if (state_->stopped) return;
  if (state_->waiting >= state_->options.waiting_max) {
    asio::post(executor, [done = std::move(done)] { done(std::make_shared<const Addresses>()); });
    return;
  }
  if (!state_->entries.contains(host)) state_->make_room(monotonic_now());
  Entry& entry = state_->entries[host];
  entry.waiters.push_back(Waiter{executor, std::move(done)});
  ++state_->waiting;
  if (entry.asking) return;
  entry.asking = true;
  state_->queue.push_back(host);
  state_->wake.notify_one();
}

LookupAnswer system_lookup(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  LookupAnswer answer;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0) return answer;
  for (const addrinfo* item = list; item != nullptr; item = item->ai_next) {
    Tcp::endpoint endpoint;
    if (item->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), item->ai_addr, item->ai_addrlen);
    endpoint.resize(item->ai_addrlen);
    answer.addresses.push_back(endpoint.address());
  }
  ::freeaddrinfo(list);
  return answer;
}

}  // namespace eventrelay::relay
