#include "ingest/sources.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

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
  std::vector<Secret> keys = config.keys;
  if (scheme->proof == providers::Proof::ClientState && config.token) keys.push_back(*config.token);
  try {
    source.window = window_of(config, *scheme);
    source.origin = ingest.public_url;
    source.verifier.emplace(*scheme, keys, source.window, source.origin);
  } catch (const std::runtime_error& problem) {
    throw std::runtime_error("sources." + element + ".keys: " + problem.what());
  }
  source.provider = providers::find_provider(element);
  if (source.provider == nullptr) source.provider = providers::provider_of_scheme(scheme->name);
  if (source.provider == nullptr) {
    throw std::runtime_error("sources." + element + ".scheme: `" + config.scheme +
                             "` belongs to no element");
  }
  source.handshake =
      config.handshake.empty()
          ? source.provider->handshake
          : providers::handshake_named(config.handshake).value_or(providers::Handshake::None);
  if (config.token) source.token = *config.token;
  source.v1_enabled = source.provider->form == providers::NormalForm::Box && config.v1_enabled;
  if (config.v1_token) source.v1_token = *config.v1_token;
  source.body_max = config.body_max.value_or(ingest.body_max);
  source.meter = &source_meter(element);
  source.ack_timeout = config.ack_timeout.value_or(ingest.ack_timeout);
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

providers::Verifier own_verifier(const CompiledSource& source, const Instance& instance) {
  const providers::Scheme& scheme = source.verifier->scheme();
  try {
    return providers::Verifier(scheme, instance.vendor_keys, source.window, source.origin);
  } catch (const std::runtime_error&) {
    return providers::Verifier(scheme, {}, source.window, source.origin);
  }
}

bool same_sources(const Settings& a, const Settings& b) {
  return a.registry.sources() == b.registry.sources() &&
         a.config.ingest.body_max == b.config.ingest.body_max &&
         a.config.ingest.ack_timeout == b.config.ingest.ack_timeout &&
         a.config.ingest.chunked == b.config.ingest.chunked &&
         a.config.ingest.public_url == b.config.ingest.public_url;
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
