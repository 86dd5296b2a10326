#include "relay/http/resolver.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "relay/http/cares_names.hpp"

namespace eventrelay::relay {

namespace {

struct Waiter {
  Executor executor;
  Resolver::Done done;
};

// One name: an answer with its ends, and those who wait for a first or a new one.
struct Entry {
  Resolved answer;  // null while the first lookup runs
  TimePoint until{};
  TimePoint stale_until{};
  bool asking = false;
  std::vector<Waiter> waiters;

  [[nodiscard]] bool fresh(TimePoint now) const { return answer != nullptr && now < until; }
  [[nodiscard]] bool serves_stale(TimePoint now) const {
    return answer != nullptr && !answer->addresses.empty() && now < stale_until;
  }
};

}  // namespace

// Shared with questions under way.
// Thread: all members but `options` under `mutex`.  Bounds: as ResolverOptions.
struct Resolver::State : public std::enable_shared_from_this<Resolver::State> {
  State(ResolverOptions given, NameService& service) : options(std::move(given)), names(service) {}

  void ask(const std::string& host, Entry& entry);
  void answer(const std::string& host, LookupAnswer found);
  void keep(Entry& entry, LookupAnswer found);
  void make_room(TimePoint now);

  const ResolverOptions options;
  NameService& names;  // asked only while the resolver is there
  std::mutex mutex;
  std::unordered_map<std::string, Entry> entries;
  std::size_t waiting = 0;
  bool stopped = false;
};

void Resolver::State::ask(const std::string& host, Entry& entry) {
  if (stopped || std::exchange(entry.asking, true)) return;
  // The name service must not keep the state alive that keeps the service alive.
  names.ask(host, [weak = weak_from_this(), host](LookupAnswer found) {
    if (const auto state = weak.lock()) state->answer(host, std::move(found));
  });
}

void Resolver::State::keep(Entry& entry, LookupAnswer found) {
  const TimePoint now = monotonic_now();
  if (found.addresses.empty() && found.passing && entry.serves_stale(now)) {
    entry.until = now + options.negative;
    return;
  }
  if (found.addresses.size() > kAddressesMax) found.addresses.resize(kAddressesMax);
  const Duration life = found.addresses.empty()
                            ? options.negative
                            : std::clamp(found.ttl.value_or(options.ttl_unknown), options.ttl_floor,
                                         options.ttl_ceiling);
  entry.answer = std::make_shared<const NameAnswer>(
      NameAnswer{std::move(found.addresses), std::move(found.reason)});
  entry.until = now + life;
  entry.stale_until = entry.until + options.stale_max;
}

void Resolver::State::answer(const std::string& host, LookupAnswer found) {
  const std::lock_guard lock(mutex);
  const auto it = entries.find(host);
  if (stopped || it == entries.end()) return;
  Entry& entry = it->second;
  keep(entry, std::move(found));
  entry.asking = false;
  waiting -= entry.waiters.size();
  for (Waiter& waiter : entry.waiters) {
    asio::post(waiter.executor,
               [done = std::move(waiter.done), answer = entry.answer] { done(answer); });
  }
  entry.waiters.clear();
}

// Drops names that no longer serve; if there is none, one that no attempt waits for.
void Resolver::State::make_room(TimePoint now) {
  if (entries.size() < options.entries_max) return;
  std::erase_if(entries, [now](const auto& item) {
    const Entry& entry = item.second;
    return !entry.asking && !entry.fresh(now) && !entry.serves_stale(now);
  });
  if (entries.size() < options.entries_max) return;
  const auto idle = std::find_if(entries.begin(), entries.end(),
                                 [](const auto& item) { return !item.second.asking; });
  if (idle != entries.end()) entries.erase(idle);
}

Resolver::Resolver(ResolverOptions options)
    : names_(options.names != nullptr ? std::exchange(options.names, nullptr)
                                      : std::make_shared<CaresNames>()),
      state_(std::make_shared<State>(std::move(options), *names_)) {}

Resolver::~Resolver() {
  stop();
}

void Resolver::stop() {
  {
    const std::lock_guard lock(state_->mutex);
    if (std::exchange(state_->stopped, true)) return;
    for (auto& [host, entry] : state_->entries) entry.waiters.clear();
    state_->waiting = 0;
  }
  names_->stop();
}

Resolved Resolver::find(const std::string& host) {
  ErrorCode error;
  const auto literal = asio::ip::make_address(host, error);
  if (!error) return std::make_shared<const NameAnswer>(NameAnswer{{literal}, {}});
  const std::lock_guard lock(state_->mutex);
  const auto it = state_->entries.find(host);
  if (it == state_->entries.end()) return nullptr;
  Entry& entry = it->second;
  const TimePoint now = monotonic_now();
  if (entry.fresh(now)) return entry.answer;
  if (!entry.serves_stale(now)) return nullptr;
  const Resolved stale = entry.answer;
  state_->ask(host, entry);
  return stale;
}

void Resolver::lookup(const std::string& host, const Executor& executor, Done done) {
  if (Resolved known = find(host)) {
    asio::post(executor, [done = std::move(done), known] { done(known); });
    return;
  }
  const std::lock_guard lock(state_->mutex);
  if (state_->stopped) return;
  if (state_->waiting >= state_->options.waiting_max) {
    auto none = std::make_shared<const NameAnswer>(NameAnswer{{}, "too many names are asked for"});
    asio::post(executor, [done = std::move(done), none] { done(none); });
    return;
  }
  if (!state_->entries.contains(host)) state_->make_room(monotonic_now());
  Entry& entry = state_->entries[host];
  entry.waiters.push_back(Waiter{executor, std::move(done)});
  ++state_->waiting;
  state_->ask(host, entry);
}

}  // namespace eventrelay::relay
