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
  source.chunked = config.chunked.value_or(ingest.chunked);
  return source;
}

}  // namespace

Sources::Sources(const Settings& settings) {
  for (const auto& [element, config] : settings.registry.sources()) {
    by_element_.emplace(element, compile(element, config, settings.config.ingest));
  }
}

CompiledSource* Sources::find(std::string_view element) noexcept {
  const auto found = by_element_.find(element);
  return found == by_element_.end() ? nullptr : &found->second;
}

bool same_sources(const Settings& a, const Settings& b) {
  return a.registry.sources() == b.registry.sources() &&
         a.config.ingest.body_max == b.config.ingest.body_max &&
         a.config.ingest.chunked == b.config.ingest.chunked;
}

bool any_source_chunked(const Settings& settings) noexcept {
  const auto& sources = settings.registry.sources();
  const bool all = settings.config.ingest.chunked;
  return std::any_of(sources.begin(), sources.end(),
                     [all](const auto& one) { return one.second.chunked.value_or(all); });
}

}  // namespace eventrelay::ingest
