#include "common/process/service_host.hpp"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <thread>

#include "common/base/crypto.hpp"
#include "common/http/server_tls.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/build_info.hpp"
#include "common/observe/log.hpp"
#include "common/process/cgroup.hpp"
#include "common/text/json_text.hpp"

namespace eventrelay {

namespace {

constexpr std::chrono::milliseconds kPollUntilReady{20};
constexpr std::chrono::seconds kPollAfterwards{1};
constexpr std::chrono::seconds kReportInterval{60};         // the same reasons again
constexpr std::chrono::seconds kReportChangedInterval{10};  // other reasons
constexpr std::size_t kCertificatesMax = 20;
constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

std::array<std::atomic<std::uint64_t>, 4>& line_counts() noexcept {
  static std::array<std::atomic<std::uint64_t>, 4> counts{};
  return counts;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text.append(text.empty() ? "" : ", ").append(part);
  return text;
}

// {"message": ..., "errors": [line, ...]}
HttpResponse reload_refused(const HttpRequest& request, const std::string& lines) {
  std::vector<std::string> errors;
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = std::min(lines.find('\n', at), lines.size());
    if (end > at) errors.push_back(lines.substr(at, end - at));
    at = end + 1;
  }
  JsonObject body;
  body.text("message", "configuration not loaded, the old one stays").texts("errors", errors);
  body.text("requestId", request.request_id);
  return json_response(400, std::move(body).finish());
}

}  // namespace

void count_log_line(LogLevel level) noexcept {
  line_counts()[static_cast<std::size_t>(level)].fetch_add(1, std::memory_order_relaxed);
}

ServiceHost::ServiceHost(asio::io_context& control, Service& service, HostOptions options)
    : control_(control),
      service_(service),
      options_(std::move(options)),
      slab_(service.exporter().add_slab()),
      tracing_(trace::make_tracing(options_.input.environment,
                                   std::string("eventrelay-").append(service.name()))),
      admin_(control),
      readiness_timer_(control.get_executor()),
      drain_timer_(control.get_executor()) {
  service_.set_tracing(tracing_);
}

ServiceHost::~ServiceHost() = default;

void ServiceHost::start(std::shared_ptr<const Settings> settings) {
  settings_ = std::move(settings);
  if (options_.on_settings) options_.on_settings(*settings_);
  const AdminConfig admin = admin_of(settings_->config, service_.name());
  admin_.set_policy(access_policy());
  admin_.set_on_refused([this] { slab_.admin_refused_total.add(); });
  service_.exporter().add_gauges([this] { return gauges(); });
  warn_of_memory();
  mount_routes();
  for (const std::string& each : settings_->config.warnings) log::warn(each);
  service_.mount(admin_);
  if (options_.extension != nullptr) {
    options_.extension->start(control_.get_executor(), settings_, admin_, slab_);
  }
  admin_.open(admin.listen.empty() ? options_.admin_default : admin.listen);
  reported_ = monotonic_now();
  log::info("starting", {{"service", service_.name()},
                         {"version", build_info().version},
                         {"admin", admin_.address()}});
  start_service();
  started_ = true;
  if (feed_) follow_registry();
  mark_reload(true);
  if (options_.watch) watch_files();
  poll_readiness();
}

void ServiceHost::start_service() {
  if (!options_.serve_while_starting) {
    settings_ = load_registry();
    return service_.start(settings_);
  }
  const auto work = asio::make_work_guard(control_);
  const auto done = std::make_shared<bool>(false);
  std::exception_ptr thrown;
  // What this thread serves meanwhile looks at the settings without the registry.
  std::shared_ptr<const Settings> loaded = settings_;
  std::thread starter([this, done, &thrown, &loaded] {
    try {
      if (service_.needs_brokers()) await_brokers();
      loaded = load_registry();
      service_.start(loaded);
    } catch (...) {
      thrown = std::current_exception();
    }
    asio::post(control_, [done] { *done = true; });
  });
  while (!*done) {
    try {
      control_.run_one();
    } catch (const std::exception& error) {
      log::error("exception in the control loop", {{"what", error.what()}});
    }
  }
  starter.join();
  settings_ = std::move(loaded);
  if (thrown) std::rethrow_exception(thrown);
}

// Brokers may come later than this process, and a refusal may be mended at their side: the process
// lives, is not ready and says why, once a minute or when the reason becomes another one.
void ServiceHost::await_brokers() {
  TimePoint told{};
  std::string reason;
  kafka::await_brokers(settings_->config.kafka, [&](const std::string& why) {
    const TimePoint now = monotonic_now();
    if (now - told >= kReportInterval || (why != reason && now - told >= kReportChangedInterval)) {
      log::error("Kafka is not reached, the service waits for it",
                 {{"service", service_.name()}, {"reason", why}});
      told = now;
      reason = why;
    }
    const std::lock_guard lock(waiting_mutex_);
    waiting_ = why;
    return true;
  });
  const std::lock_guard lock(waiting_mutex_);
  waiting_.clear();
}

// Reads the registry to its end before the service sees its first event: an event of an instance
// that is not known yet would be refused, or skipped.
std::shared_ptr<const Settings> ServiceHost::load_registry() {
  const Config& config = settings_->config;
  if (config.registry != "topic") return settings_;
  const auto create = config.topics.create ? kafka::Create::Yes : kafka::Create::No;
  (void)kafka::ensure_topics(config.kafka, kafka::topic_plan(config), create);
  feed_ = std::make_unique<RegistryFeed>(config);
  const TimePoint begin = monotonic_now();
  loaded_ = feed_->load();
  std::shared_ptr<const Settings> whole =
      update_settings(*settings_, feed_->changes(loaded_))->settings;
  const auto passed =
      std::chrono::duration_cast<std::chrono::milliseconds>(monotonic_now() - begin);
  log::info("registry read", {{"service", service_.name()},
                              {"instances", whole->registry.size()},
                              {"unreadable", feed_->unreadable()},
                              {"ms", std::int64_t{passed.count()}}});
  return whole;
}

void ServiceHost::follow_registry() {
  registry_position_ = feed_->position();
  if (options_.extension != nullptr) {
    options_.extension->on_records(std::move(loaded_), registry_position_);
  }
  loaded_ = {};
  // What reading all of it needed goes back: it is as much as what is kept.
  ::malloc_trim(0);
  const std::weak_ptr<bool> alive = alive_;
  RegistryFeed* const feed = feed_.get();
  feed_->follow(
      [this, alive, feed, executor = control_.get_executor()](std::vector<RegistryRecord> records) {
        const std::int64_t now_at = feed->position();
        asio::post(executor, [this, alive, now_at, records = std::move(records)] {
          if (!alive.expired()) take_records(records, now_at);
        });
      });
  slab_.registry_instances.set(static_cast<double>(settings_->registry.size()));
  slab_.registry_unreadable_documents.set(static_cast<double>(feed_->unreadable()));
}

void ServiceHost::take_records(const std::vector<RegistryRecord>& records, std::int64_t position) {
  registry_position_ = position;
  take_changes(feed_->changes(records));
  if (options_.extension != nullptr) options_.extension->on_records(records, position);
}

// One instance that the service refuses must not hold up the others of its batch.
void ServiceHost::take_changes(const Changes& changes) {
  slab_.registry_unreadable_documents.set(static_cast<double>(feed_->unreadable()));
  if (changes.empty() || draining_) return;
  std::size_t taken = 0;
  if (!apply(changes)) {
    taken = changes.size();
  } else if (changes.size() > 1) {
    for (const Change& each : changes) taken += apply({each}) ? 0U : 1U;
  }
  slab_.registry_changes_total.add(taken);
  slab_.registry_instances.set(static_cast<double>(settings_->registry.size()));
}

void ServiceHost::mount_routes() {
  const auto get = [this](const char* path, Access access, RouteHandler handler) {
    admin_.add({"GET", path, access, std::move(handler)});
  };
  const auto probe = [this](const char* path, RouteHandler handler) {
    Route route{"GET", path, Access::Open, std::move(handler)};
    route.produces.clear();  // a probe is told whatever it accepts
    admin_.add(std::move(route));
  };
  probe("/healthz",
        at_once([](const HttpRequest&) { return json_response(200, R"({"healthy":true})"); }));
  probe("/readyz", at_once([this](const HttpRequest&) {
          const std::vector<std::string> why = reasons();
          JsonObject body;
          body.flag("ready", why.empty()).texts("reasons", why);
          return json_response(why.empty() ? 200 : 503, std::move(body).finish());
        }));
  Route scrape{"GET", "/metrics", Access::Scrape, at_once([this](const HttpRequest&) {
                 HttpResponse response = json_response(200, metrics());
                 response.content_type = kMetricsType;
                 return response;
               })};
  scrape.produces.clear();  // a scraper that asks for another form takes this one
  admin_.add(std::move(scrape));
  get("/version", Access::Token,
      at_once([](const HttpRequest&) { return json_response(200, version_json()); }));
  get("/api/v1/status", Access::Token, at_once([this](const HttpRequest& request) {
        return started_ ? json_response(200, status()) : error_response(request, 503, "starting");
      }));
  admin_.add({"POST", "/-/reload", Access::Token, at_once([this](const HttpRequest& request) {
                const std::optional<std::string> error = reload();
                return error ? reload_refused(request, *error)
                             : json_response(200, R"({"reloaded":true})");
              })});
}

AccessPolicy ServiceHost::access_policy() const {
  AccessPolicy policy;
  const AdminConfig admin = admin_of(settings_->config, service_.name());
  policy.token = admin.token;
  policy.hosts = admin.hosts;
  policy.open_scrape =
      std::find(admin.open.begin(), admin.open.end(), "metrics") != admin.open.end();
  return policy;
}

std::vector<std::string> ServiceHost::reasons() const {
  std::vector<std::string> why;
  if (!started_) {
    {
      const std::lock_guard lock(waiting_mutex_);
      if (!waiting_.empty()) return {waiting_};
    }
    if (settings_ && settings_->config.registry == "topic") {
      return {"registry: it is not read to its end yet"};
    }
    return {"starting"};
  }
  why = service_.not_ready();
  if (feed_) {
    const std::vector<std::string> more = feed_->not_ready();
    why.insert(why.end(), more.begin(), more.end());
  }
  if (options_.extension != nullptr) {
    const std::vector<std::string> more = options_.extension->not_ready();
    why.insert(why.end(), more.begin(), more.end());
  }
  if (!is_alive()) why.emplace_back("loop: a shard has not come round for some seconds");
  if (draining_ && std::find(why.begin(), why.end(), "draining") == why.end()) {
    why.insert(why.begin(), "draining");
  }
  return why;
}

bool ServiceHost::is_alive() const {
  return service_.silent_for() < kSilentLimit;
}

Duration ServiceHost::flush_limit() const noexcept {
  return tracing_ ? Duration{trace::Tracing::kFlushTime} : Duration::zero();
}

// Counted by looks and not by the clock: a process that was stopped as a whole is not stuck.
void ServiceHost::check_alive() {
  if (is_alive()) {
    silent_polls_ = 0;
  } else if (++silent_polls_ == (kStuckLimit - kSilentLimit) / kPollAfterwards &&
             options_.on_stuck) {
    options_.on_stuck("a shard's loop has not come round for " +
                      std::to_string(kStuckLimit.count()) + " s");
  }
}

void ServiceHost::poll_readiness() {
  if (was_ready_) service_.on_second();
  const std::vector<std::string> why = reasons();
  if (was_ready_) check_alive();
  ready_ = why.empty();
  slab_.ready.set(ready_ ? 1 : 0);
  if (ready_ && !was_ready_) {
    was_ready_ = true;
    on_first_ready();
  } else if (!ready_ && !draining_) {
    report_not_ready(why);
  }
  readiness_timer_.expires_after(was_ready_ ? Duration{kPollAfterwards}
                                            : Duration{kPollUntilReady});
  readiness_timer_.async_wait([this](ErrorCode error) {
    if (!error) poll_readiness();
  });
}

void ServiceHost::on_first_ready() {
  const std::string listen = service_.listen();
  const std::string admin = admin_.address();
  if (listen.empty()) {
    log::info("ready",
              {{"service", service_.name()}, {"admin", admin}, {"shards", service_.shards()}});
  } else {
    log::info("ready", {{"service", service_.name()},
                        {"listen", listen},
                        {"admin", admin},
                        {"shards", service_.shards()}});
  }
  if (options_.on_ready) options_.on_ready();
}

void ServiceHost::report_not_ready(const std::vector<std::string>& reasons) {
  const TimePoint now = monotonic_now();
  const std::string text = joined(reasons);
  const bool same = text == reported_reasons_;
  if (now - reported_ < (same ? kReportInterval : kReportChangedInterval)) return;
  reported_ = now;
  reported_reasons_ = text;
  log::warn("not ready", {{"service", service_.name()}, {"reasons", text}});
}

std::string ServiceHost::status() const {
  std::string out = service_.status();
  if (feed_ && out.ends_with('}')) {
    JsonObject registry;
    registry.number("instances", std::uint64_t{settings_->registry.size()})
        .number("unreadable", std::uint64_t{feed_->unreadable()})
        .number("position", std::int64_t{feed_->position()});
    out.pop_back();
    out += ",\"registry\":" + std::move(registry).finish();
    const std::string control =
        options_.extension != nullptr ? options_.extension->status() : std::string();
    if (!control.empty()) out += ",\"control\":" + control;
    out += '}';
  }
  return out;
}

std::string ServiceHost::metrics() {
  for (std::size_t i = 0; i < lines_seen_.size(); ++i) {
    const std::uint64_t lines = line_counts()[i].load(std::memory_order_relaxed);
    slab_.log_messages_total.add(static_cast<metrics::Level>(i), lines - lines_seen_[i]);
    lines_seen_[i] = lines;
  }
  slab_.ready.set(reasons().empty() ? 1 : 0);
  return service_.exporter().expose();
}

void ServiceHost::mark_reload(bool took_effect) {
  slab_.config_last_reload_successful.set(took_effect ? 1 : 0);
  if (!took_effect) return;
  note_settings();
  slab_.config_last_reload_success_timestamp_seconds.set(static_cast<double>(unix_ms(wall_now())) /
                                                         1000);
}

std::optional<std::string> ServiceHost::reload() {
  if (!started_ || draining_) return "the service is starting or draining";
  if (options_.on_reload_begin) options_.on_reload_begin();
  std::optional<std::string> error = take_settings();
  if (options_.on_reload_end) options_.on_reload_end();
  // What a wrong file names is watched as well: its next change may be the cure.
  if (options_.watch) watch_files();
  return error;
}

void ServiceHost::watch_files() {
  if (!file_watch_) {
    file_watch_.emplace(control_.get_executor(), [this] {
      log::info("a configuration file has changed", {{"service", service_.name()}});
      (void)reload();  // logs and counts by itself
    });
  }
  file_watch_->watch(files_of(options_.input));
}

// Both are asked for at once, so that an operator who sets one sees the other.
void ServiceHost::warn_of_memory() const {
  const std::optional<std::uint64_t> limit = cgroup_limits().memory;
  if (!limit) return;
  const std::uint64_t needed = service_.memory_wanted(*settings_);
  if (needed <= *limit) return;
  log::warn("memory_max and the buffers of the Kafka client do not fit the control group's limit",
            {{"service", service_.name()}, {"wanted_bytes", needed}, {"limit_bytes", *limit}});
}

std::vector<metrics::ScrapedGauge> ServiceHost::gauges() const {
  std::vector<metrics::ScrapedGauge> all;
  const Config& config = settings_->config;
  const bool ingest = service_.name() == "ingest";
  metrics::ScrapedGauge memory = metrics::scraped("memory_limit_bytes", {});
  memory.samples.push_back({"memory_max", static_cast<double>(ingest ? config.ingest.memory_max
                                                                     : config.relay.memory_max)});
  if (const auto limit = cgroup_limits().memory) {
    memory.samples.push_back({"cgroup", static_cast<double>(*limit)});
  }
  all.push_back(std::move(memory));
  all.push_back(metrics::scraped("config_hash_info", {{config_hash_, 1}}));
  const trace::SpanCounts spans = tracing_ ? tracing_->counts() : trace::SpanCounts{};
  all.push_back(metrics::scraped("trace_spans_total", {{"", static_cast<double>(spans.ended)}}));
  all.push_back(
      metrics::scraped("trace_spans_dropped_total", {{"", static_cast<double>(spans.dropped)}}));
  metrics::ScrapedGauge ends = metrics::scraped("tls_certificate_expiry_timestamp_seconds", {});
  for (const auto& [file, end] : certificate_ends_) {
    ends.samples.push_back({file, static_cast<double>(unix_ms(end)) / 1000});
  }
  if (!ends.samples.empty()) all.push_back(std::move(ends));
  return all;
}

// What a scrape tells of the settings, worked out once: printing them takes a while.
void ServiceHost::note_settings() {
  const crypto::Mac hash = crypto::sha256(print_config(settings_->config));
  config_hash_ = crypto::hex(hash.view()).substr(0, 16);
  certificate_ends_.clear();
  const auto note = [this](const std::string& file) {
    if (file.empty() || certificate_ends_.size() >= kCertificatesMax) return;
    if (certificate_ends_.find(file) != certificate_ends_.end()) return;
    if (const auto end = certificate_end(file)) certificate_ends_[file] = *end;
  };
  const Config& config = settings_->config;
  const auto client = config.kafka.properties.find("ssl.certificate.location");
  if (client != config.kafka.properties.end()) note(client->second);
  if (service_.name() == "ingest") {
    if (config.ingest.tls) note(config.ingest.tls->cert);
    return;
  }
  settings_->registry.for_each([&note](const Instance& instance) {
    for (const Subscription& each : instance.subscriptions) note(each.delivery->client_cert);
  });
}

std::optional<std::string> ServiceHost::take_settings() {
  UpdatePtr update;
  try {
    // With a feed the instances are the registry's, whatever the file says.
    update = feed_ ? reload_configuration(options_.input, *settings_)
                   : reload_settings(options_.input, *settings_);
    service_.use(update);
  } catch (const std::exception& error) {
    mark_reload(false);
    log::error("reload refused, the old configuration stays",
               {{"service", service_.name()}, {"error", error.what()}});
    return error.what();
  }
  std::vector<std::string> later =
      restart_only_changes(settings_->config, update->settings->config);
  // It is merged into each instance where it is made; those of the registry are not made again.
  if (feed_ && settings_->config.relay.allow_private_addresses !=
                   update->settings->config.relay.allow_private_addresses) {
    later.emplace_back("relay.allow_private_addresses");
  }
  settings_ = update->settings;
  admin_.set_policy(access_policy());
  if (options_.on_settings) options_.on_settings(*settings_);
  if (options_.extension != nullptr) options_.extension->on_settings(settings_);
  if (feed_) take_records(feed_->use(settings_->config), registry_position_);
  mark_reload(true);
  log::info("configuration reloaded",
            {{"service", service_.name()}, {"changed_instances", update->changes.size()}});
  for (const std::string& each : settings_->config.warnings) log::warn(each);
  if (!later.empty()) {
    log::warn("changed keys take effect at the next start",
              {{"service", service_.name()}, {"keys", joined(later)}});
  }
  return std::nullopt;
}

std::optional<std::string> ServiceHost::apply(Changes changes) {
  if (!started_ || draining_) return "the service is starting or draining";
  try {
    const UpdatePtr update = update_settings(*settings_, std::move(changes));
    service_.use(update);
    settings_ = update->settings;
  } catch (const std::exception& error) {
    log::error("changed instances refused, the former ones stay",
               {{"service", service_.name()}, {"error", error.what()}});
    return error.what();
  }
  return std::nullopt;
}

void ServiceHost::drain(std::function<void(Drained)> done) {
  if (draining_) return;
  draining_ = true;
  ready_ = false;
  drained_ = std::move(done);
  log::info("draining", {{"service", service_.name()}});
  drain_timer_.expires_after(service_.drain_limit());
  drain_timer_.async_wait([this](ErrorCode error) {
    if (!error) finish_drain(Drained::LimitReached);
  });
  const std::weak_ptr<bool> alive = alive_;
  service_.drain([this, alive, executor = control_.get_executor()] {
    asio::post(executor, [this, alive] {
      if (!alive.expired()) finish_drain(Drained::Complete);
    });
  });
}

void ServiceHost::finish_drain(Drained how) {
  if (!drained_) return;
  drain_timer_.cancel();
  if (how == Drained::Complete) {
    log::info("drained", {{"service", service_.name()}});
  } else {
    log::error("drain limit reached, work is left", {{"service", service_.name()}});
  }
  const std::function<void(Drained)> done = std::move(drained_);
  drained_ = nullptr;
  done(how);
}

void ServiceHost::stop() {
  readiness_timer_.cancel();
  drain_timer_.cancel();
  if (file_watch_) file_watch_->stop();
  if (feed_) feed_->stop();
  if (options_.extension != nullptr) options_.extension->stop();
  service_.stop();
  if (tracing_) tracing_->stop(monotonic_now() + flush_limit());
  admin_.close();
}

}  // namespace eventrelay
