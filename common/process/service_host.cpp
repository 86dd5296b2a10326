#include "common/process/service_host.hpp"

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <thread>

#include "common/observe/build_info.hpp"
#include "common/observe/log.hpp"
#include "common/text/json_text.hpp"

namespace eventrelay {

namespace {

constexpr std::chrono::milliseconds kPollUntilReady{20};
constexpr std::chrono::seconds kPollAfterwards{1};
constexpr std::chrono::seconds kReportInterval{10};
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
      admin_(control),
      readiness_timer_(control.get_executor()),
      drain_timer_(control.get_executor()) {}

ServiceHost::~ServiceHost() = default;

void ServiceHost::start(std::shared_ptr<const Settings> settings) {
  settings_ = std::move(settings);
  if (options_.on_settings) options_.on_settings(*settings_);
  const AdminConfig admin = admin_of(settings_->config, service_.name());
  admin_.set_policy(access_policy());
  mount_routes();
  for (const std::string& each : settings_->config.warnings) log::warn(each);
  service_.mount(admin_);
  admin_.open(admin.listen.empty() ? options_.admin_default : admin.listen);
  reported_ = monotonic_now();
  log::info("starting", {{"service", service_.name()},
                         {"version", build_info().version},
                         {"admin", admin_.address()}});
  start_service();
  started_ = true;
  mark_reload(true);
  poll_readiness();
}

void ServiceHost::start_service() {
  if (!options_.serve_while_starting) return service_.start(settings_);
  const auto work = asio::make_work_guard(control_);
  const auto done = std::make_shared<bool>(false);
  std::exception_ptr thrown;
  std::thread starter([this, done, &thrown] {
    try {
      service_.start(settings_);
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
  if (thrown) std::rethrow_exception(thrown);
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
        return started_ ? json_response(200, service_.status())
                        : error_response(request, 503, "starting");
      }));
  admin_.add({"POST", "/-/reload", Access::Token, at_once([this](const HttpRequest& request) {
                const std::optional<std::string> error = reload();
                return error ? reload_refused(request, *error)
                             : json_response(200, R"({"reloaded":true})");
              })});
}

AccessPolicy ServiceHost::access_policy() const {
  AccessPolicy policy;
  policy.token = admin_of(settings_->config, service_.name()).token;
  return policy;
}

std::vector<std::string> ServiceHost::reasons() const {
  std::vector<std::string> why;
  if (!started_) return {"starting"};
  why = service_.not_ready();
  if (draining_ && std::find(why.begin(), why.end(), "draining") == why.end()) {
    why.insert(why.begin(), "draining");
  }
  return why;
}

void ServiceHost::poll_readiness() {
  const std::vector<std::string> why = reasons();
  ready_ = why.empty();
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
    log::info("ready", {{"service", service_.name()}, {"admin", admin}});
  } else {
    log::info("ready", {{"service", service_.name()}, {"listen", listen}, {"admin", admin}});
  }
  if (options_.on_ready) options_.on_ready();
}

void ServiceHost::report_not_ready(const std::vector<std::string>& reasons) {
  const TimePoint now = monotonic_now();
  if (now - reported_ < kReportInterval) return;
  reported_ = now;
  log::warn("not ready", {{"service", service_.name()}, {"reasons", joined(reasons)}});
}

std::string ServiceHost::metrics() {
  for (std::size_t i = 0; i < lines_seen_.size(); ++i) {
    const std::uint64_t lines = line_counts()[i].load(std::memory_order_relaxed);
    slab_.log_messages_total.add(static_cast<metrics::Level>(i), lines - lines_seen_[i]);
    lines_seen_[i] = lines;
  }
  return service_.exporter().expose();
}

void ServiceHost::mark_reload(bool took_effect) {
  slab_.config_last_reload_successful.set(took_effect ? 1 : 0);
  if (!took_effect) return;
  slab_.config_last_reload_success_timestamp_seconds.set(static_cast<double>(unix_ms(wall_now())) /
                                                         1000);
}

std::optional<std::string> ServiceHost::reload() {
  if (!started_ || draining_) return "the service is starting or draining";
  UpdatePtr update;
  try {
    update = reload_settings(options_.input, *settings_);
    service_.use(update);
  } catch (const std::exception& error) {
    mark_reload(false);
    log::error("reload refused, the old configuration stays",
               {{"service", service_.name()}, {"error", error.what()}});
    return error.what();
  }
  const std::vector<std::string> later =
      restart_only_changes(settings_->config, update->settings->config);
  settings_ = update->settings;
  admin_.set_policy(access_policy());
  if (options_.on_settings) options_.on_settings(*settings_);
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
  service_.stop();
  admin_.close();
}

}  // namespace eventrelay
