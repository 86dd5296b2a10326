#include "common/trace/trace_settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "common/config/config_load.hpp"
#include "common/providers/incoming_head.hpp"
#include "common/text/percent.hpp"
#include "common/text/utf8.hpp"

namespace eventrelay::trace {

namespace {

constexpr std::size_t kShownMax = 200;
constexpr std::size_t kNameMax = 255;
constexpr std::size_t kHeaderValueMax = 8192;
constexpr std::int64_t kTimeoutMsMax = 600'000;
constexpr std::int64_t kTimeoutMsDefault = 10'000;

using Pairs = std::vector<std::pair<std::string, std::string>>;

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t size = first_character(text).size;
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

// RFC 9110 5.6.2.
bool is_field_name(std::string_view name) noexcept {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [=](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kOthers.find(c) != std::string_view::npos;
  });
}

bool is_field_value(std::string_view value) noexcept {
  return !value.empty() && value.size() <= kHeaderValueMax &&
         std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c <= 0x7E; });
}

// What the request says of itself.
bool is_own_field(std::string_view name) noexcept {
  constexpr std::string_view kOwn[] = {"host",       "content-type",      "content-length",
                                       "connection", "transfer-encoding", "accept",
                                       "te",         "upgrade",           "expect"};
  return std::any_of(std::begin(kOwn), std::end(kOwn),
                     [name](std::string_view each) { return equal_without_case(each, name); });
}

std::optional<std::string> percent_decoded_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text.front() != '%') {
      out.push_back(text.front());
      text.remove_prefix(1);
      continue;
    }
    const auto byte = percent_decoded(text);
    if (!byte) return std::nullopt;
    out.push_back(*byte);
    text.remove_prefix(3);
  }
  return out;
}

// A value that may be shown, cut.
std::string shown(std::string_view value) {
  std::string out = "'";
  for (const char c : value.substr(0, kShownMax)) out.push_back(c >= 0x20 && c <= 0x7E ? c : '?');
  return out.append(value.size() > kShownMax ? "...'" : "'");
}

// The variables, read one by one; what is wrong with them is collected. Thread: start.
// Bounds: as the environment.
class Reader {
 public:
  explicit Reader(const std::map<std::string, std::string>& environment)
      : environment_(environment) {}

  // Empty: not set, or set to nothing, which is the same.
  [[nodiscard]] std::string_view get(std::string_view name) const {
    const auto found = environment_.find(std::string(name));
    return found == environment_.end() ? std::string_view{} : trimmed(found->second);
  }
  // That of traces, else that of all signals. Leaves its name in `name`.
  [[nodiscard]] std::string_view of_traces(std::string_view what, std::string& name) const {
    name = std::string("OTEL_EXPORTER_OTLP_TRACES_").append(what);
    const std::string_view own = get(name);
    if (!own.empty()) return own;
    name = std::string("OTEL_EXPORTER_OTLP_").append(what);
    return get(name);
  }
  void wrong(std::string_view name, std::string_view what) {
    findings_.append(findings_.empty() ? "" : "\n").append(name).append(": ").append(what);
  }
  void end() const {
    if (!findings_.empty()) throw ConfigError(findings_);
  }

  [[nodiscard]] bool disabled();
  [[nodiscard]] bool exporter_off();
  [[nodiscard]] Sampler sampler();
  void endpoint(TraceSettings& out);
  void headers(TraceSettings& out);
  [[nodiscard]] Duration timeout();
  void resource(std::string_view service, TraceSettings& out);
  void refuse_what_is_not_there();

 private:
  // key=value[,key=value...], values percent-encoded. Nothing: a finding was made.
  [[nodiscard]] std::optional<Pairs> pairs(std::string_view name, std::string_view text,
                                           std::size_t most);

  const std::map<std::string, std::string>& environment_;
  std::string findings_;
};

bool Reader::disabled() {
  constexpr std::string_view kName = "OTEL_SDK_DISABLED";
  const std::string_view value = get(kName);
  if (equal_without_case(value, "true")) return true;
  if (!value.empty() && !equal_without_case(value, "false")) {
    wrong(kName, shown(value) + " is neither true nor false");
  }
  return false;
}

bool Reader::exporter_off() {
  constexpr std::string_view kName = "OTEL_TRACES_EXPORTER";
  const std::string_view value = get(kName);
  if (value == "none") return true;
  if (!value.empty() && value != "otlp") wrong(kName, shown(value) + " is neither otlp nor none");
  return false;
}

// Nobody's trace is gone on with, so a sampler that asks the parent is its own root sampler.
Sampler Reader::sampler() {
  constexpr std::string_view kName = "OTEL_TRACES_SAMPLER";
  constexpr std::string_view kArgument = "OTEL_TRACES_SAMPLER_ARG";
  const std::string_view value = get(kName);
  if (value.empty() || value == "always_on" || value == "parentbased_always_on") {
    return Sampler::always_on();
  }
  if (value == "always_off" || value == "parentbased_always_off") return Sampler::always_off();
  if (value != "traceidratio" && value != "parentbased_traceidratio") {
    wrong(kName, shown(value) +
                     " is none of always_on, always_off, traceidratio, parentbased_always_on, "
                     "parentbased_always_off, parentbased_traceidratio");
    return Sampler::always_off();
  }
  const std::string_view argument = get(kArgument);
  if (argument.empty()) return Sampler::always_on();
  double share = 0;
  const auto read = std::from_chars(argument.data(), argument.data() + argument.size(), share);
  const bool whole = read.ec == std::errc{} && read.ptr == argument.data() + argument.size();
  if (!whole || !(share >= 0 && share <= 1)) {
    wrong(kArgument, shown(argument) + " is not a number from 0 to 1");
    return Sampler::always_off();
  }
  return Sampler::ratio(share);
}

void Reader::endpoint(TraceSettings& out) {
  std::string name;
  const std::string_view url = of_traces("ENDPOINT", name);
  const bool of_traces_alone = name.find("_TRACES_") != std::string::npos;
  try {
    out.origin = parse_origin(url);
  } catch (const std::invalid_argument& problem) {
    // A user name, a password or a token may stand in it.
    const bool telling = url.find_first_of("@?#") != std::string_view::npos;
    return wrong(name, (telling ? std::string("the URL") : shown(url)) + " " + problem.what());
  }
  out.target = out.origin.path;
  if (!of_traces_alone) {
    out.target.append("/v1/traces");
    return;
  }
  // The URL of traces is taken as it is, a slash at its end included.
  const std::size_t last = url.find_last_not_of('/');
  if (!out.target.empty() || last + 1 < url.size()) out.target.append(url.substr(last + 1));
  if (out.target.empty()) out.target = "/";
}

std::optional<Pairs> Reader::pairs(std::string_view name, std::string_view text, std::size_t most) {
  Pairs out;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t comma = text.find(',');
    const std::string_view member = trimmed(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    if (member.empty()) continue;
    const std::size_t equals = member.find('=');
    const std::string_view key = trimmed(member.substr(0, equals));
    if (equals == std::string_view::npos || key.empty()) {
      wrong(name, fmt::format("member {} is not key=value", number));
      return std::nullopt;
    }
    auto value = percent_decoded_text(trimmed(member.substr(equals + 1)));
    if (!value) {
      wrong(name, fmt::format("member {}: a % is not followed by two hexadecimal digits", number));
      return std::nullopt;
    }
    if (out.size() == most) {
      wrong(name, fmt::format("has more than {} members", most));
      return std::nullopt;
    }
    out.emplace_back(key, std::move(*value));
  }
  return out;
}

// Its values are secrets as a rule, so the place of one is told and nothing of its text.
void Reader::headers(TraceSettings& out) {
  std::string name;
  const std::string_view text = of_traces("HEADERS", name);
  const auto read = pairs(name, text, kTraceHeadersMax);
  if (!read) return;
  for (std::size_t i = 0; i < read->size(); ++i) {
    const auto& [key, value] = (*read)[i];
    if (!is_field_name(key)) {
      return wrong(name, fmt::format("header {}: its name is not that of an HTTP header", i + 1));
    }
    if (is_own_field(key)) {
      return wrong(name, fmt::format("header {}: {} is set by the exporter itself", i + 1, key));
    }
    if (!is_field_value(value)) {
      return wrong(name, fmt::format("header {}: its value is not 1 to {} visible ASCII characters",
                                     i + 1, kHeaderValueMax));
    }
    out.headers.emplace_back(key, Secret(value));
  }
}

Duration Reader::timeout() {
  std::string name;
  const std::string_view value = of_traces("TIMEOUT", name);
  if (value.empty()) return std::chrono::milliseconds{kTimeoutMsDefault};
  std::int64_t ms = 0;
  const auto read = std::from_chars(value.data(), value.data() + value.size(), ms);
  const bool whole = read.ec == std::errc{} && read.ptr == value.data() + value.size();
  if (!whole || ms < 1 || ms > kTimeoutMsMax) {
    wrong(name, fmt::format("{} is not a whole number of milliseconds from 1 to {}", shown(value),
                            kTimeoutMsMax));
  }
  return std::chrono::milliseconds{ms};
}

void Reader::resource(std::string_view service, TraceSettings& out) {
  constexpr std::string_view kName = "OTEL_SERVICE_NAME";
  constexpr std::string_view kAttributes = "OTEL_RESOURCE_ATTRIBUTES";
  constexpr std::string_view kServiceName = "service.name";
  std::string own(get(kName));
  if (own.size() > kNameMax || !is_utf8(own)) {
    wrong(kName, fmt::format("is not UTF-8 of at most {} bytes", kNameMax));
  }
  const auto given = pairs(kAttributes, get(kAttributes), kResourceMax);
  if (!given) return;
  Pairs all{{std::string(kServiceName), std::string(service)},
            {"service.version", EVENTRELAY_VERSION},
            {"telemetry.sdk.name", "eventrelay"},
            {"telemetry.sdk.language", "cpp"},
            {"telemetry.sdk.version", EVENTRELAY_VERSION}};
  for (std::size_t i = 0; i < given->size(); ++i) {
    const auto& [key, value] = (*given)[i];
    if (key.size() > kNameMax || value.size() > kNameMax || !is_utf8(key) || !is_utf8(value)) {
      return wrong(kAttributes,
                   fmt::format("member {} is not UTF-8 of at most {} bytes on either side", i + 1,
                               kNameMax));
    }
    const auto same = std::find_if(all.begin(), all.end(),
                                   [&name = key](const auto& each) { return each.first == name; });
    if (same == all.end()) {
      all.emplace_back(key, value);
    } else {
      same->second = value;
    }
  }
  if (!own.empty()) all.front().second = std::move(own);
  out.resource = std::move(all);
}

// An operator who sets one of these expects an effect that it does not have here.
void Reader::refuse_what_is_not_there() {
  std::string name;
  const std::string_view protocol = of_traces("PROTOCOL", name);
  if (!protocol.empty() && protocol != "http/protobuf") {
    wrong(name, shown(protocol) + " is not to be had; http/protobuf is the only protocol");
  }
  const std::string_view compression = of_traces("COMPRESSION", name);
  if (!compression.empty() && compression != "none") {
    wrong(name, shown(compression) + " is not to be had; none is the only one");
  }
  for (const std::string_view what : {"CLIENT_CERTIFICATE", "CLIENT_KEY"}) {
    if (!of_traces(what, name).empty()) {
      wrong(name, "a certificate can not be shown to the collector");
    }
  }
}

}  // namespace

std::optional<TraceSettings> read_trace_settings(
    const std::map<std::string, std::string>& environment, std::string_view service) {
  Reader reader(environment);
  if (reader.disabled()) return std::nullopt;
  // A wrong value is told whether or not there is an endpoint yet.
  TraceSettings out;
  const bool off = reader.exporter_off();
  out.sampler = reader.sampler();
  out.timeout = reader.timeout();
  reader.headers(out);
  reader.resource(service, out);
  std::string name;
  const bool to_a_collector = !off && !reader.of_traces("ENDPOINT", name).empty();
  if (to_a_collector) {
    reader.endpoint(out);
    out.ca_file = reader.of_traces("CERTIFICATE", out.ca_variable);
    reader.refuse_what_is_not_there();
  }
  reader.end();
  if (!to_a_collector) return std::nullopt;
  return out;
}

}  // namespace eventrelay::trace
