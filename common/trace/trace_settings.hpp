// Where spans go and which are made, as the standard environment of OpenTelemetry says.
//
// Why:     collectors, samplers and names are set by the same variables in every program of a
//          fleet, so tracing has no key of its own.
// Thread:  start only.
// Bounds:  kTraceHeadersMax headers, kResourceMax attributes; times and ratios as the messages say.
// Errors:  ConfigError, one line per variable that is wrong; a value that may hold a secret is not
//          repeated.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/secret.hpp"
#include "common/http/exchange.hpp"
#include "common/trace/sampler.hpp"

namespace eventrelay::trace {

inline constexpr std::size_t kTraceHeadersMax = 32;
inline constexpr std::size_t kResourceMax = 64;

struct TraceSettings {
  HttpOrigin origin;   // of the collector
  std::string target;  // path of the request
  std::vector<std::pair<std::string, Secret>> headers;
  Duration timeout{};       // of one request
  std::string ca_file;      // empty: the authorities of the system
  std::string ca_variable;  // what names it
  Sampler sampler = Sampler::always_on();
  std::vector<std::pair<std::string, std::string>> resource;  // service.name first
};

// `service`: the name where no variable gives one. Nothing: tracing is off, as without an endpoint.
// Throws ConfigError.
[[nodiscard]] std::optional<TraceSettings> read_trace_settings(
    const std::map<std::string, std::string>& environment, std::string_view service);

}  // namespace eventrelay::trace
