#include "ingest/receive.hpp"

#include <array>
#include <cstring>

#include "common/base/assert.hpp"
#include "common/base/crypto.hpp"
#include "common/observe/trace_context.hpp"
#include "common/providers/box_v1.hpp"
#include "common/providers/normalizer.hpp"
#include "common/providers/shared_token.hpp"
#include "ingest/event_id.hpp"
#include "ingest/routes.hpp"
#include "ingest/sources.hpp"

namespace eventrelay::ingest {

namespace {

constexpr std::string_view kForm = "application/x-www-form-urlencoded";
constexpr std::string_view kElementInstances = "Element-Instances";
constexpr std::string_view kEventsDisabled = "events are disabled for this instance";
constexpr std::string_view kNoUserKnown = "no user of this call belongs to an instance";

static_assert(kBodyPadding >= json::kPadding);

Unexpected<IngestError> refuse(IngestError error) noexcept {
  return Unexpected<IngestError>(error);
}

// Bits for trace ids and for what is random in UUIDv7: unguessable once, cheap for ever after
// (xoshiro256**, prng.di.unimi.it). Nothing that must stay secret is made of them.
// Thread: one owner.  Bounds: 32 bytes.
class Random {
 public:
  Random() { crypto::random_bytes(reinterpret_cast<char*>(state_.data()), sizeof(state_)); }

  std::uint64_t next() noexcept {
    const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

 private:
  static std::uint64_t rotate(std::uint64_t x, unsigned n) noexcept {
    return x << n | x >> (64U - n);
  }
  std::array<std::uint64_t, 4> state_{};
};

// The media type without parameters.
std::string_view media_type(std::string_view content_type) noexcept {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return type;
}

bool is_form(const IncomingHead& head) noexcept {
  return equal_without_case(media_type(head.content_type), kForm);
}

// JSON by its name, or by no name at all.
bool is_json(const IncomingHead& head) noexcept {
  const std::string_view type = media_type(head.content_type);
  const auto ends_with = [type](std::string_view end) {
    return type.size() > end.size() &&
           equal_without_case(type.substr(type.size() - end.size()), end);
  };
  return type.empty() || ends_with("/json") || ends_with("+json");
}

// Box V1 comes as a GET, as a form, or as a POST with nothing but a query.
bool is_box_v1(const IncomingHead& head, const CompiledSource& source, std::string_view query) {
  if (!source.v1_enabled) return false;
  if (head.method == Method::Get || is_form(head)) return true;
  return head.content_length == 0 && !head.chunked && !query.empty();
}

}  // namespace

// Thread: one shard.  Bounds: kEventsMax events with their texts, made once.
class Receiver::Impl {
 public:
  explicit Impl(std::shared_ptr<const Settings> given)
      : settings(std::move(given)), sources(*settings) {}

  Expected<Route, IngestError> route(const IncomingHead& head);
  Expected<Received, IngestError> receive_json(const IncomingHead& head, const Route& route,
                                               std::string_view body, WallTime now);
  Expected<Received, IngestError> receive_v1(const IncomingHead& head, const Route& route,
                                             std::string_view body, WallTime now);

  CompiledSource* source(std::string_view element) { return sources.find(element); }

  std::shared_ptr<const Settings> settings;

 private:
  Expected<void, IngestError> find_targets(const IncomingHead& head, const Route& route);
  Expected<void, IngestError> find_users(const providers::BoxV1Event& call);
  // Once each; false when there is no room for another.
  bool add_target(const Instance* instance);
  Received make_events(const IncomingHead& head, const providers::Normalised& fields,
                       std::string_view body, WallTime now);

  Sources sources;
  providers::Normalizer normalizer;
  providers::BoxV1Parser v1;
  providers::BoxV1Id v1_id{};
  EventIds ids;
  Random chance;
  std::array<const Instance*, kEventsMax> targets{};
  std::size_t target_count = 0;
  std::array<Event, kEventsMax> events;
  std::array<EventIdText, kEventsMax> id_texts{};
  std::array<char, TraceparentText::kSize> traceparent{};
};

Expected<Route, IngestError> Receiver::Impl::route(const IncomingHead& head) {
  const auto path = parse_event_path(head.target, settings->config.ingest.base_path);
  if (!path) return refuse(path.error());
  CompiledSource* const source = sources.find(path->element);
  if (source == nullptr) return refuse(IngestError::UnknownElement);

  Route route;
  route.source = source;
  route.query = path->query;
  route.body_max = source->body_max;
  route.clock = source->clock;
  route.ack_timeout = source->ack_timeout;
  route.chunked = source->chunked;
  if (path->instance) {
    route.instance = settings->registry.find(*path->instance);
    if (route.instance == nullptr || route.instance->element != path->element) {
      return refuse(IngestError::UnknownInstance);
    }
  }
  const bool box_v1 = is_box_v1(head, *source, path->query);
  if (head.method != Method::Post && !box_v1) return refuse(IngestError::MethodNotAllowed);
  if (head.chunked && !source->chunked) return refuse(IngestError::TransferEncoding);
  if (head.content_length > source->body_max) return refuse(IngestError::BodyTooLarge);
  // The type goes into a record header, so what could not stand there is not a type.
  const bool typed = box_v1 || is_json(head);
  if (!typed || providers::header_text(head.content_type).size() != head.content_type.size()) {
    return refuse(IngestError::ContentType);
  }
  return route;
}

bool Receiver::Impl::add_target(const Instance* instance) {
  for (std::size_t i = 0; i < target_count; ++i) {
    if (targets[i] == instance) return true;
  }
  if (target_count == kEventsMax) return false;
  targets[target_count++] = instance;
  return true;
}

// The instances of a JSON call: the one of its URL, those of its header, or the only one there is.
// Box names no instance in its bodies, so two instances behind one application-wide URL without
// that header cannot be told apart: they need a URL each.
Expected<void, IngestError> Receiver::Impl::find_targets(const IncomingHead& head,
                                                         const Route& route) {
  target_count = 0;
  if (route.instance != nullptr) {
    add_target(route.instance);
    return {};
  }
  const std::size_t named = head.count(kElementInstances);
  if (named > 1) return refuse(IngestError::DuplicateHeader);
  if (named == 0) {
    if (route.source->only_instance == nullptr) return refuse(IngestError::UnknownInstance);
    add_target(route.source->only_instance);
    return {};
  }
  const auto list = parse_named_instances(head.find(kElementInstances));
  if (!list) return refuse(list.error());
  for (std::size_t i = 0; i < list->count; ++i) {
    const Instance* const instance = settings->registry.find(list->ids[i]);
    if (instance == nullptr || instance->element != route.source->element) {
      return refuse(IngestError::UnknownInstance);
    }
    add_target(instance);
  }
  return {};
}

// Refuses a call for more instances than one request may serve: a part of them would be a loss.
Expected<void, IngestError> Receiver::Impl::find_users(const providers::BoxV1Event& call) {
  target_count = 0;
  for (std::size_t i = 0; i < call.user_count; ++i) {
    for (const Instance* instance : settings->registry.by_user("box", call.users[i])) {
      if (!add_target(instance)) return refuse(IngestError::MemoryBudget);
    }
  }
  return {};
}

Received Receiver::Impl::make_events(const IncomingHead& head, const providers::Normalised& fields,
                                     std::string_view body, WallTime now) {
  // A trace begins here: what a sender on the open network claims to be part of is not believed.
  TraceSeed seed;
  const std::array<std::uint64_t, 3> bits{chance.next(), chance.next(), chance.next()};
  std::memcpy(seed.trace.data(), bits.data(), seed.trace.size());
  std::memcpy(seed.span.data(), &bits[2], seed.span.size());
  const TraceparentText trace(start_trace(seed));
  std::memcpy(traceparent.data(), trace.view().data(), traceparent.size());

  std::size_t count = 0;
  for (std::size_t i = 0; i < target_count; ++i) {
    const Instance& instance = *targets[i];
    if (!instance.events_enabled) continue;
    id_texts[count] = fields.provider_id.empty()
                          ? ids.next(now, chance.next())
                          : derived_event_id(instance.id, fields.provider_id);
    Event& event = events[count];
    event.id = {id_texts[count].data(), id_texts[count].size()};
    event.provider_id = fields.provider_id;
    event.element = instance.element;
    event.instance = instance.id;
    event.event_type = fields.event_type;
    event.object_type = fields.object_type;
    event.object_id = fields.object_id;
    event.date = fields.date;
    event.received = now;
    event.content_type = head.content_type;
    event.traceparent = {traceparent.data(), traceparent.size()};
    event.body = body;
    ++count;
  }
  Received received;
  received.events = {events.data(), count};
  if (count == 0) received.reason = target_count == 0 ? kNoUserKnown : kEventsDisabled;
  return received;
}

Expected<Received, IngestError> Receiver::Impl::receive_json(const IncomingHead& head,
                                                             const Route& route,
                                                             std::string_view body, WallTime now) {
  providers::Verifier& verifier = *route.source->verifier;
  if (const auto genuine = verifier.verify(head, body, now); !genuine) {
    return refuse(ingest_error(genuine.error()));
  }
  if (const auto found = find_targets(head, route); !found) return refuse(found.error());
  const providers::Scheme& scheme = verifier.scheme();
  auto fields = route.source->box ? normalizer.box_v2(body)
                                  : normalizer.generic(body, scheme.stable_id_field);
  if (!fields) return refuse(ingest_error(fields.error()));
  if (scheme.stable_id_field.empty() && !scheme.id.empty()) {
    fields->provider_id = providers::header_text(head.find(scheme.id));
  }
  return make_events(head, *fields, body, now);
}

Expected<Received, IngestError> Receiver::Impl::receive_v1(const IncomingHead& head,
                                                           const Route& route,
                                                           std::string_view body, WallTime now) {
  const std::string_view form = is_form(head) && head.method == Method::Post ? body : route.query;
  const auto call = v1.parse(form);
  if (!call) return refuse(ingest_error(call.error()));
  if (!providers::token_matches(route.source->v1_token, (*call)->token)) {
    return refuse(IngestError::TokenWrong);
  }
  if (route.instance != nullptr) {
    target_count = 0;
    add_target(route.instance);
  } else if (const auto found = find_users(**call); !found) {
    return refuse(found.error());
  }
  v1_id = providers::box_v1_provider_id(route.source->element, **call, now);
  const providers::Normalised fields{.provider_id = {v1_id.data(), v1_id.size()},
                                     .event_type = providers::box_v1_event_type((*call)->event),
                                     .object_type = providers::header_text((*call)->item_type),
                                     .object_id = providers::header_text((*call)->item_id),
                                     .date = {}};
  Received received = make_events(head, fields, form, now);
  // A query is stored as the form that it is.
  for (std::size_t i = 0; i < received.events.size(); ++i) {
    if (!is_form(head)) events[i].content_type = kForm;
  }
  return received;
}

Receiver::Receiver(std::shared_ptr<const Settings> settings)
    : impl_(std::make_unique<Impl>(std::move(settings))) {}
Receiver::~Receiver() = default;

Expected<Route, IngestError> Receiver::route(const IncomingHead& head) {
  return impl_->route(head);
}

Expected<Received, IngestError> Receiver::receive(const IncomingHead& head, const Route& route,
                                                  std::string_view body, WallTime now) {
  EVENTRELAY_ASSERT(route.source != nullptr);
  return is_box_v1(head, *route.source, route.query) ? impl_->receive_v1(head, route, body, now)
                                                     : impl_->receive_json(head, route, body, now);
}

std::string_view Receiver::allowed_methods(const IncomingHead& head) {
  const auto path = parse_event_path(head.target, settings().config.ingest.base_path);
  const CompiledSource* const source = path ? impl_->source(path->element) : nullptr;
  return source != nullptr && source->v1_enabled ? "GET, POST" : "POST";
}

const Settings& Receiver::settings() const noexcept {
  return *impl_->settings;
}

}  // namespace eventrelay::ingest
