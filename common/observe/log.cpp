#include "common/observe/log.hpp"

#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "common/base/clock.hpp"
#include "common/observe/log_format.hpp"
#include "common/observe/log_limit.hpp"

namespace eventrelay::log {
namespace {

// Writes lines that are already formatted. Thread: as its sink.  Bounds: one line.
class AsIs : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    out.append(message.payload.begin(), message.payload.end());
    out.push_back('\n');
  }
  [[nodiscard]] std::unique_ptr<formatter> clone() const override {
    return std::make_unique<AsIs>();
  }
};

// The settings that configure() makes.
struct Setup {
  bool json = true;
  std::string component = "eventrelay";
  std::function<void(LogLevel)> on_line;
};

bool wants_json(LogFormat format) {
  if (format == LogFormat::Auto) return ::isatty(STDERR_FILENO) == 0;
  return format == LogFormat::Json;
}

// Everything behind the free functions. Thread: any.  Bounds: as the limit.
class Log {
 public:
  Log() : sink_("eventrelay", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    sink_.set_formatter(std::make_unique<AsIs>());
    sink_.set_level(spdlog::level::trace);
    auto setup = std::make_shared<Setup>();
    setup->json = wants_json(LogFormat::Auto);
    setup_ = std::move(setup);
  }

  void configure(LogLevel level, std::shared_ptr<const Setup> setup) {
    const std::scoped_lock lock(mutex_);
    setup_ = std::move(setup);
    level_.store(level, std::memory_order_relaxed);
  }

  [[nodiscard]] bool enabled(LogLevel level) const noexcept {
    return level >= level_.load(std::memory_order_relaxed);
  }

  void write(Line line) {
    std::shared_ptr<const Setup> setup;
    {
      const std::scoped_lock lock(mutex_);
      const LineLimit::Verdict verdict = limit_.admit(line.message, monotonic_now());
      if (!verdict.pass) return;
      line.suppressed = verdict.suppressed;
      setup = setup_;
    }
    line.time = wall_now();
    line.component = setup->component;
    const std::string text = setup->json ? json_line(line) : text_line(line);
    sink_.log(spdlog::level::info, spdlog::string_view_t(text.data(), text.size()));
    if (setup->on_line) setup->on_line(line.level);
  }

 private:
  std::mutex mutex_;
  std::atomic<LogLevel> level_{LogLevel::Info};
  std::shared_ptr<const Setup> setup_;
  LineLimit limit_;
  spdlog::logger sink_;
};

Log& the_log() {
  // Never destroyed: threads that end after main() may still write a line.
  static Log* const log = new Log;
  return *log;
}

}  // namespace

void configure(const LogConfig& config, std::string_view component,
               std::function<void(LogLevel)> on_line) {
  auto setup = std::make_shared<Setup>();
  setup->json = wants_json(config.format);
  setup->component = std::string(component);
  setup->on_line = std::move(on_line);
  the_log().configure(config.level, std::move(setup));
}

void write(LogLevel level, std::string_view message, Fields fields) {
  Log& log = the_log();
  if (!log.enabled(level)) return;
  Line line;
  line.level = level;
  line.message = message;
  line.fields = fields;
  log.write(line);
}

}  // namespace eventrelay::log
