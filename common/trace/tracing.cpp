#include "common/trace/tracing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "common/base/random.hpp"
#include "common/base/start_error.hpp"
#include "common/config/config_load.hpp"
#include "common/http/client_tls.hpp"
#include "common/observe/log.hpp"
#include "common/trace/otlp.hpp"

namespace eventrelay::trace {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
// Beyond the deadline, for a request that ends with it.
constexpr std::chrono::milliseconds kStopGrace{200};

// What is to be done with a batch after a try.
enum class Verdict : std::uint8_t { Stored, Again, Refused };

Verdict verdict_of(const ExchangeResult& result) noexcept {
  if (!result) {
    return result.error().error == ExchangeError::Unreadable ? Verdict::Refused : Verdict::Again;
  }
  switch (result->status) {
    case 429:
    case 502:
    case 503:
    case 504:
      return Verdict::Again;
    default:
      return result->status >= 200 && result->status < 300 ? Verdict::Stored : Verdict::Refused;
  }
}

// Whole seconds, else nothing: a date is not looked at.
std::optional<Duration> asked_wait(std::string_view retry_after) noexcept {
  std::uint32_t seconds = 0;
  const char* const end = retry_after.data() + retry_after.size();
  const auto read = std::from_chars(retry_after.data(), end, seconds);
  if (read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  return std::chrono::seconds{seconds};
}

std::string reason_of(const ExchangeResult& result) {
  return result ? fmt::format("status {}", result->status) : result.error().what;
}

}  // namespace

// What the exporter's thread works with. Thread: the exporter's, except where it is said.
struct Tracing::State {
  State(TraceSettings given, std::shared_ptr<TlsContext> context_of_tls, ExportTempo given_tempo)
      : settings(std::move(given)), tls(std::move(context_of_tls)), tempo(given_tempo) {}

  void work();
  Task<void> run();
  Task<void> send(std::vector<Span> batch);
  Task<void> pause(Duration wait);
  void wake();  // any thread
  void end(TimePoint at);
  [[nodiscard]] ExchangeRequest request_of(const std::vector<Span>& batch) const;
  [[nodiscard]] bool batch_waits();
  [[nodiscard]] std::vector<Span> take();
  [[nodiscard]] Duration time_left() const;
  void note_answer(const ExchangeAnswer& answer, std::size_t spans);
  void note_dropped(std::size_t spans, const std::string& reason);

  const TraceSettings settings;
  const std::shared_ptr<TlsContext> tls;
  const ExportTempo tempo;
  asio::io_context context{1};
  Timer timer{context.get_executor()};
  Random random{random_seed()};
  bool stopping = false;
  TimePoint deadline{};  // once it is stopping
  bool told = false;     // that spans are not taken; until some are again

  std::mutex queues_mutex;  // guards the deque, not the queues
  std::deque<SpanQueue> queues;
  std::atomic<bool> woken{false};
  std::atomic<std::uint64_t> dropped{0};  // behind the queues
  std::atomic<std::size_t> in_hand{0};    // taken from the queues, and not settled

  std::mutex done_mutex;  // guards done
  std::condition_variable ended;
  bool done = false;
  std::thread thread;
};

// The thread itself. What an exception ends, for want of memory as a rule, begins anew.
void Tracing::State::work() {
  for (bool whole = false; !whole;) {
    asio::co_spawn(context, run(), [](std::exception_ptr thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
    try {
      context.run();
      whole = true;
    } catch (const std::exception& error) {
      log::error("exception in the exporter of spans", {{"what", error.what()}});
      note_dropped(in_hand.exchange(0), "an exception");
    }
  }
  const std::lock_guard lock(done_mutex);
  done = true;
  ended.notify_all();
}

void Tracing::State::wake() {
  if (woken.exchange(true)) return;
  asio::post(context, [this] {
    woken = false;
    timer.cancel();
  });
}

void Tracing::State::end(TimePoint at) {
  stopping = true;
  deadline = at;
  timer.cancel();
}

bool Tracing::State::batch_waits() {
  const std::lock_guard lock(queues_mutex);
  return std::any_of(queues.begin(), queues.end(),
                     [](const SpanQueue& queue) { return queue.size() >= kBatchMax; });
}

std::vector<Span> Tracing::State::take() {
  std::vector<Span> batch;
  batch.reserve(kBatchMax);
  const std::lock_guard lock(queues_mutex);
  for (SpanQueue& queue : queues) queue.take(batch, kBatchMax);
  in_hand = batch.size();
  return batch;
}

Duration Tracing::State::time_left() const {
  return std::max(deadline - monotonic_now(), Duration::zero());
}

Task<void> Tracing::State::run() {
  while (true) {
    if (!stopping && !batch_waits()) co_await pause(tempo.interval);
    std::vector<Span> batch = take();
    while (!batch.empty()) {
      co_await send(std::move(batch));
      in_hand = 0;
      batch.clear();
      // What is less than a batch waits for its time, unless there is none.
      if (stopping || batch_waits()) batch = take();
    }
    if (stopping) co_return;
  }
}

// Ends early when a batch waits, and when the end has come.
Task<void> Tracing::State::pause(Duration wait) {
  ErrorCode ignored;
  timer.expires_after(wait);
  co_await timer.async_wait(asio::redirect_error(kAwait, ignored));
}

ExchangeRequest Tracing::State::request_of(const std::vector<Span>& batch) const {
  ExchangeRequest request;
  request.method = "POST";
  request.target = settings.target;
  request.headers.emplace_back("Content-Type", "application/x-protobuf");
  request.headers.emplace_back("Accept", "application/x-protobuf");
  for (const auto& [name, value] : settings.headers) {
    request.headers.emplace_back(name, std::string(value.reveal()));
  }
  request.body = encode_spans(settings.resource, batch);
  return request;
}

Task<void> Tracing::State::send(std::vector<Span> batch) {
  const std::size_t spans = batch.size();
  const ExchangeRequest request = request_of(batch);
  batch = std::vector<Span>();
  Duration wait = tempo.first_wait;
  for (unsigned tried = 1;; ++tried) {
    const Duration timeout = stopping ? std::min(settings.timeout, time_left()) : settings.timeout;
    if (stopping && timeout == Duration::zero()) co_return note_dropped(spans, "the process ends");
    const ExchangeResult result =
        co_await exchange(context.get_executor(), settings.origin, tls, request, timeout);
    const Verdict verdict = verdict_of(result);
    if (verdict == Verdict::Stored) co_return note_answer(*result, spans);
    if (verdict == Verdict::Refused || tried >= tempo.tries || stopping) {
      co_return note_dropped(spans, reason_of(result));
    }
    // Between a half and the whole, so that the processes of a fleet do not come at once.
    Duration next =
        wait / 2 +
        Duration(static_cast<std::int64_t>(random.unit() * static_cast<double>(wait.count() / 2)));
    if (result) next = std::max(next, asked_wait(result->retry_after).value_or(next));
    next = std::min(next, tempo.longest_wait);
    wait = std::min(2 * wait, tempo.longest_wait);
    for (const TimePoint due = monotonic_now() + next; !stopping && monotonic_now() < due;) {
      co_await pause(due - monotonic_now());  // a batch that waits wakes it: it sleeps on
    }
  }
}

// Spans that a collector has rejected are not sent again: it would reject them again.
void Tracing::State::note_answer(const ExchangeAnswer& answer, std::size_t spans) {
  const Rejected rejected = decode_answer(answer.body);
  if (rejected.spans > 0) {
    return note_dropped(static_cast<std::size_t>(std::min<std::uint64_t>(rejected.spans, spans)),
                        fmt::format("rejected: {}", rejected.reason));
  }
  if (std::exchange(told, false)) log::info("the collector takes spans again");
}

void Tracing::State::note_dropped(std::size_t spans, const std::string& reason) {
  dropped.fetch_add(spans, kRelaxed);
  if (std::exchange(told, true)) return;
  log::warn("spans are dropped: the collector does not take them",
            {{"collector", settings.origin.authority}, {"reason", reason}, {"spans", spans}});
}

Tracing::Tracing(TraceSettings settings, std::shared_ptr<TlsContext> tls, ExportTempo tempo)
    : state_(std::make_shared<State>(std::move(settings), std::move(tls), tempo)) {
  state_->thread = std::thread([state = state_.get()] { state->work(); });
}

Tracing::~Tracing() {
  stop(monotonic_now());
}

const Sampler& Tracing::sampler() const noexcept {
  return state_->settings.sampler;
}

SpanQueue& Tracing::add_queue() {
  const std::lock_guard lock(state_->queues_mutex);
  return state_->queues.emplace_back([state = state_.get()] { state->wake(); });
}

SpanCounts Tracing::counts() const {
  SpanCounts counts;
  counts.dropped = state_->dropped.load(kRelaxed);
  const std::lock_guard lock(state_->queues_mutex);
  for (const SpanQueue& queue : state_->queues) {
    counts.ended += queue.ended();
    counts.dropped += queue.dropped();
  }
  return counts;
}

void Tracing::stop(TimePoint deadline) {
  if (std::exchange(stopped_, true)) return;
  asio::post(state_->context, [state = state_.get(), deadline] { state->end(deadline); });
  bool in_order = false;
  {
    std::unique_lock lock(state_->done_mutex);
    in_order =
        state_->ended.wait_until(lock, deadline + kStopGrace, [this] { return state_->done; });
  }
  if (!in_order) state_->context.stop();
  state_->thread.join();
  std::size_t left = in_order ? 0 : state_->in_hand.load();
  for (const SpanQueue& queue : state_->queues) left += queue.size();
  if (left > 0) state_->note_dropped(left, "the process ends");
  // A thread of the loop may be inside a look-up of a name that takes long, and destroying the loop
  // would wait for it. The process ends, so the loop is left to the system instead.
  static auto* const abandoned = new std::vector<std::shared_ptr<State>>();
  if (!in_order) abandoned->push_back(state_);
}

namespace {

// Null for a collector without TLS. The certificate's variable is at fault for a file that can not
// be used.
std::shared_ptr<TlsContext> tls_for(const TraceSettings& settings) {
  if (!settings.origin.tls) return nullptr;
  try {
    return make_client_tls({settings.ca_file, {}});
  } catch (const StartError& problem) {
    throw ConfigError(fmt::format("{}: {}", settings.ca_variable, problem.what()));
  }
}

}  // namespace

TracingPtr make_tracing(const std::map<std::string, std::string>& environment,
                        std::string_view service) {
  auto settings = read_trace_settings(environment, service);
  if (!settings) return nullptr;
  std::shared_ptr<TlsContext> tls = tls_for(*settings);
  return std::make_shared<Tracing>(std::move(*settings), std::move(tls));
}

void check_tracing(const std::map<std::string, std::string>& environment) {
  const auto settings = read_trace_settings(environment, "eventrelay");
  if (settings) (void)tls_for(*settings);
}

}  // namespace eventrelay::trace
