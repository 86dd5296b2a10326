#include "ingest/sources.hpp"

#include <algorithm>
#include <stdexcept>

namespace eventrelay::ingest {

namespace {

providers::Window window_of(const SourceConfig& config, const providers::Scheme& scheme) {
  return {.past = config.window_past.value_or(scheme.window.past),
          .future = config.window_future.value_or(scheme.window.future)};
}

CompiledSource compile(const std::string& element, const SourceConfig& config,
                       const IngestConfig& ingest) {
  const providers::Scheme* const scheme = providers::find_scheme(config.scheme);
  if (scheme == nullptr) {
    throw std::runtime_error("sources." + element + ".scheme: `" + config.scheme +
                             "` is not a scheme; see eventrelay verify --help for the list");
  }
  CompiledSource source;
  source.element = element;
  try {
    source.verifier.emplace(*scheme, config.keys, window_of(config, *scheme));
  } catch (const std::runtime_error& problem) {
    throw std::runtime_error("sources." + element + ".keys: " + problem.what());
  }
  source.box = scheme->name == "box-v2";
  source.v1_enabled = source.box && config.v1_enabled;
  if (config.v1_token) source.v1_token = *config.v1_token;
  source.body_max = config.body_max.value_or(ingest.body_max);
  source.clock = &source_clock(element);
  source.ack_timeout = config.ack_timeout.value_or(ingest.ack_timeout);
  source.chunked = config.chunked.value_or(ingest.chunked);
  return source;
}

}  // namespace

Sources::Sources(const Settings& settings) {
  for (const auto& [element, config] : settings.registry.sources()) {
    by_element_.emplace(element, compile(element, config, settings.config.ingest));
  }
  std::map<std::string_view, std::size_t> counts;
  for (const auto& instance : settings.registry.instances()) {
    CompiledSource* const source = find(instance->element);
    if (source == nullptr) continue;
    source->only_instance = ++counts[instance->element] == 1 ? instance.get() : nullptr;
  }
}

CompiledSource* Sources::find(std::string_view element) noexcept {
  const auto found = by_element_.find(element);
  return found == by_element_.end() ? nullptr : &found->second;
}

Duration longest_ack_timeout(const Settings& settings) noexcept {
  Duration longest = settings.config.ingest.ack_timeout;
  for (const auto& [element, source] : settings.registry.sources()) {
    if (source.ack_timeout) longest = std::max<Duration>(longest, *source.ack_timeout);
  }
  return longest;
}

bool any_source_chunked(const Settings& settings) noexcept {
  const auto& sources = settings.registry.sources();
  const bool all = settings.config.ingest.chunked;
  return std::any_of(sources.begin(), sources.end(),
                     [all](const auto& one) { return one.second.chunked.value_or(all); });
}

}  // namespace eventrelay::ingest
