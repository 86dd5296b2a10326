#include "ingest/receive.hpp"

#include <array>
#include <charconv>
#include <cstring>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/assert.hpp"
#include "common/base/random.hpp"
#include "common/observe/trace_context.hpp"
#include "common/providers/box_v1.hpp"
#include "common/providers/handshake.hpp"
#include "common/providers/normalizer.hpp"
#include "common/providers/shared_token.hpp"
#include "common/text/json_mask.hpp"
#include "ingest/event_id.hpp"
#include "ingest/routes.hpp"
#include "ingest/sources.hpp"

namespace eventrelay::ingest {

namespace {

constexpr std::size_t kOwnVerifiersMax = 100'000;
constexpr std::size_t kMaskedKept = 1U << 20U;  // bytes of a buffer that is kept for the next body
constexpr std::string_view kForm = "application/x-www-form-urlencoded";
constexpr std::string_view kElementInstances = "Element-Instances";
constexpr std::string_view kEventsDisabled = "events are disabled for this instance";
constexpr std::string_view kNoUserKnown = "no user of this call belongs to an instance";
constexpr std::string_view kNoUserNamed = "the call has no parameter userId";

static_assert(kBodyPadding >= json::kPadding);

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

// Ingest takes what the element sends, told by the type that comes with it.
bool fits(const IncomingHead& head, const CompiledSource& source) noexcept {
  switch (source.provider->bodies) {
    case providers::Bodies::JsonOrForm:
      return is_json(head) || is_form(head);
    case providers::Bodies::JsonOrAny:
      return is_json(head) || head.count("ce-id") > 0;
    case providers::Bodies::Json:
      break;
  }
  return is_json(head);
}

std::optional<metrics::HandshakeKind> kind_of(providers::Handshake handshake) noexcept {
  switch (handshake) {
    case providers::Handshake::Dropbox:
      return metrics::HandshakeKind::Dropbox;
    case providers::Handshake::Slack:
      return metrics::HandshakeKind::Slack;
    case providers::Handshake::Meta:
      return metrics::HandshakeKind::Meta;
    case providers::Handshake::Graph:
      return metrics::HandshakeKind::Graph;
    case providers::Handshake::CloudEvents:
      return metrics::HandshakeKind::CloudEvents;
    case providers::Handshake::Github:
      return metrics::HandshakeKind::Github;
    case providers::Handshake::None:
      break;
  }
  return std::nullopt;
}

// Box V1 comes as a GET, as a form, or as a POST with nothing but a query.
bool is_box_v1(const IncomingHead& head, const CompiledSource& source, const Instance* instance,
               std::string_view query) {
  const bool box = source.provider->form == providers::NormalForm::Box;
  const bool own = box && instance != nullptr && !instance->vendor_token.empty();
  if (!source.v1_enabled && !own) return false;
  if (head.method == Method::Get) return true;
  if (head.method != Method::Post) return false;
  if (is_form(head)) return true;
  return head.content_length == 0 && !head.chunked && !query.empty();
}

}  // namespace

// Thread: one shard.  Bounds: kEventsMax events with their texts, made once.
class Receiver::Impl {
 public:
  explicit Impl(const Settings& settings) : sources(settings) {}

  Expected<Route, IngestError> route(const Settings& settings, const IncomingHead& head);
  Expected<Received, IngestError> receive_handshake(const IncomingHead& head, const Route& route);
  Expected<Received, IngestError> receive_signed(const Registry& registry, const IncomingHead& head,
                                                 const Route& route, std::string_view body,
                                                 WallTime now);
  Expected<Received, IngestError> receive_v1(const Registry& registry, const IncomingHead& head,
                                             const Route& route, std::string_view body,
                                             WallTime now);

  CompiledSource* source(std::string_view element) { return sources.find(element); }
  // Of the request that is received next: what its records carry. Null: a trace of their own.
  void use_trace(const TraceContext* context) noexcept { trace = context; }

 private:
  // The verifier of an instance's own keys, made at its first event with them.
  struct OwnVerifier {
    std::vector<Secret> keys;
    providers::Verifier verifier;
  };
  // One event to write: whose it is, and which part of the body it is about.
  struct Share {
    const Instance* instance = nullptr;
    std::size_t part = 0;
  };

  // The instance's own keys on its own URL, else the source's.
  providers::Verifier& verifier_of(const Route& route);
  Received answered(providers::Handshake kind, providers::HandshakeAnswer made);
  Expected<Received, IngestError> receive_genuine(const Registry& registry,
                                                  const IncomingHead& head, const Route& route,
                                                  std::string_view body, WallTime now);
  Expected<Received, IngestError> receive_box(const Registry& registry, const IncomingHead& head,
                                              const Route& route, std::string_view body,
                                              WallTime now);
  Expected<Received, IngestError> receive_objects(const Registry& registry,
                                                  const IncomingHead& head, const Route& route,
                                                  std::string_view body, WallTime now);
  Expected<void, IngestError> find_targets(const Registry& registry, const IncomingHead& head,
                                           const Route& route);
  // Shares the objects among the instances that their route values name. False: no object names an
  // instance, or an instance that names no user takes the rest.
  Expected<bool, IngestError> share_by_route(const Registry& registry, const Route& route,
                                             std::size_t objects);
  Expected<void, IngestError> share_by_target(std::size_t objects);
  bool add_share(const Instance* instance, std::size_t part);
  Expected<void, IngestError> find_users(const Registry& registry,
                                         const providers::BoxV1Event& call);
  // An instance is added once; false when there is no room for another.
  bool add_target(const Instance* instance);
  Received make_events(const IncomingHead& head, const providers::Normalised& fields,
                       std::string_view body, WallTime now);

  Sources sources;
  std::unordered_map<InstanceId, OwnVerifier> own_verifiers;
  providers::Normalizer normalizer;
  providers::BoxV1Parser v1;
  providers::BoxV1Id v1_id{};
  EventIds ids;
  Random random{random_seed()};  // for trace ids and UUIDv7: nothing that must stay secret
  std::array<const Instance*, kEventsMax> targets{};
  std::size_t target_count = 0;
  std::array<Share, kEventsMax> shares{};
  std::size_t share_count = 0;
  std::size_t parts = 1;
  std::array<std::array<char, 12>, kEventsMax> part_texts{};
  std::string id_of_part;
  json::Scanner handshake_scanner;
  providers::HandshakeAnswer handshake;
  std::string v1_form;
  std::string masked_body;
  std::array<Event, kEventsMax> events;
  std::array<EventIdText, kEventsMax> id_texts{};
  std::array<char, TraceparentText::kSize> traceparent{};
  const TraceContext* trace = nullptr;
};

Expected<Route, IngestError> Receiver::Impl::route(const Settings& settings,
                                                   const IncomingHead& head) {
  const auto path = parse_event_path(head.target, settings.config.ingest.base_path);
  if (!path) return refuse(path.error());
  CompiledSource* const source = sources.find(path->element);
  if (source == nullptr) return refuse(IngestError::UnknownElement);

  Route route;
  route.source = source;
  route.query = path->query;
  route.body_max = source->body_max;
  route.meter = source->meter;
  route.ack_timeout = source->ack_timeout;
  route.chunked = source->chunked;
  if (path->instance) {
    route.instance = settings.registry.find(*path->instance);
    if (route.instance == nullptr || route.instance->element != path->element) {
      return refuse(IngestError::UnknownInstance);
    }
  }
  route.handshake = providers::is_handshake(source->handshake, head, path->query);
  const bool box_v1 = is_box_v1(head, *source, route.instance, path->query);
  route.v1 = box_v1;
  if (head.method != Method::Post && !box_v1 && !route.handshake) {
    return refuse(IngestError::MethodNotAllowed);
  }
  if (head.chunked && !source->chunked) return refuse(IngestError::TransferEncoding);
  if (head.content_length > source->body_max) return refuse(IngestError::BodyTooLarge);
  if (route.handshake) return route;
  // The type goes into a record header, so what could not stand there is not a type.
  const bool typed = box_v1 || fits(head, *source);
  if (!typed || providers::header_text(head.content_type).size() != head.content_type.size()) {
    return refuse(IngestError::ContentType);
  }
  return route;
}

providers::Verifier& Receiver::Impl::verifier_of(const Route& route) {
  providers::Verifier& shared = *route.source->verifier;
  if (route.instance == nullptr || route.instance->vendor_keys.empty()) return shared;
  const Instance& instance = *route.instance;
  const auto known = own_verifiers.find(instance.id);
  if (known != own_verifiers.end()) {
    // The instance's keys may have changed, although the sources are the same.
    if (known->second.keys == instance.vendor_keys) return known->second.verifier;
    own_verifiers.erase(known);
  }
  // Some belong to deleted instances, so all are made again when they are needed.
  if (own_verifiers.size() == kOwnVerifiersMax) own_verifiers.clear();
  OwnVerifier own{instance.vendor_keys, own_verifier(*route.source, instance)};
  return own_verifiers.emplace(instance.id, std::move(own)).first->second.verifier;
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
Expected<void, IngestError> Receiver::Impl::find_targets(const Registry& registry,
                                                         const IncomingHead& head,
                                                         const Route& route) {
  target_count = 0;
  if (route.instance != nullptr) {
    add_target(route.instance);
    return {};
  }
  const std::size_t named = head.count(kElementInstances);
  if (named > 1) return refuse(IngestError::DuplicateHeader);
  if (named == 0) {
    const Instance* const only = registry.only(route.source->element);
    if (only == nullptr) return refuse(IngestError::UnknownInstance);
    add_target(only);
    return {};
  }
  const auto list = parse_named_instances(head.find(kElementInstances));
  if (!list) return refuse(list.error());
  for (std::size_t i = 0; i < list->count; ++i) {
    const Instance* const instance = registry.find(list->ids[i]);
    if (instance == nullptr || instance->element != route.source->element) {
      return refuse(IngestError::UnknownInstance);
    }
    add_target(instance);
  }
  return {};
}

// Refuses a call for more instances than one request may serve: a part of them would be a loss.
Expected<void, IngestError> Receiver::Impl::find_users(const Registry& registry,
                                                       const providers::BoxV1Event& call) {
  target_count = 0;
  for (std::size_t i = 0; i < call.user_count; ++i) {
    for (const InstancePtr& instance : registry.by_user("box", call.users[i])) {
      if (!add_target(instance.get())) return refuse(IngestError::MemoryBudget);
    }
  }
  return {};
}

bool Receiver::Impl::add_share(const Instance* instance, std::size_t part) {
  // Parts come in their order, so an instance that has this one already is the last of the list.
  for (std::size_t i = share_count; i > 0 && shares[i - 1].part == part; --i) {
    if (shares[i - 1].instance == instance) return true;
  }
  if (share_count == kEventsMax) return false;
  shares[share_count++] = Share{instance, part};
  return true;
}

// Each target gets each part. Refuses what would be more events than one request may make.
Expected<void, IngestError> Receiver::Impl::share_by_target(std::size_t objects) {
  parts = (objects + providers::kObjectsPerPart - 1) / providers::kObjectsPerPart;
  share_count = 0;
  for (std::size_t part = 0; part < parts; ++part) {
    for (std::size_t i = 0; i < target_count; ++i) {
      if (!add_share(targets[i], part)) return refuse(IngestError::TooManyObjects);
    }
  }
  return {};
}

// An instance gets the parts in which one of the objects is its own. The only instance of an
// element, if it names no user, gets the parts that no other instance gets.
Expected<bool, IngestError> Receiver::Impl::share_by_route(const Registry& registry,
                                                           const Route& route,
                                                           std::size_t objects) {
  const std::string_view element = route.source->element;
  parts = (objects + providers::kObjectsPerPart - 1) / providers::kObjectsPerPart;
  share_count = 0;
  bool routed = false;
  for (std::size_t i = 0; i < objects; ++i) {
    const auto object = normalizer.object(i);
    if (!object) return refuse(ingest_error(object.error()));
    if (object->route.empty()) continue;
    routed = true;
    for (const InstancePtr& instance : registry.by_user(element, object->route)) {
      if (!add_share(instance.get(), i / providers::kObjectsPerPart)) {
        return refuse(IngestError::TooManyObjects);
      }
    }
  }
  const Instance* const only = registry.only(element);
  const bool open = only != nullptr && only->oauth_user_id.empty();
  return share_count > 0 || (routed && !open);
}

// Makes one event for each share; `fields` are those of the only object, or of none.
Received Receiver::Impl::make_events(const IncomingHead& head, const providers::Normalised& fields,
                                     std::string_view body, WallTime now) {
  // A trace begins here. The sender's trace context is not taken over: anybody may have written it.
  const TraceparentText carried(
      trace != nullptr ? *trace
                       : start_trace(trace_seed({random.next(), random.next(), random.next()})));
  std::memcpy(traceparent.data(), carried.view().data(), traceparent.size());

  std::size_t count = 0;
  for (std::size_t i = 0; i < share_count; ++i) {
    const Instance& instance = *shares[i].instance;
    if (!instance.events_enabled) continue;
    Event& event = events[count];
    event.part = {};
    std::string_view id = fields.provider_id;
    if (parts > 1) {
      auto& text = part_texts[count];
      char* end = std::to_chars(text.data(), text.data() + 5, shares[i].part + 1).ptr;
      *end++ = '/';
      end = std::to_chars(end, text.data() + text.size(), parts).ptr;
      event.part = {text.data(), static_cast<std::size_t>(end - text.data())};
      if (!id.empty()) id = id_of_part.assign(id).append("\n").append(event.part);
    }
    id_texts[count] = id.empty() ? ids.next(now, random.next()) : derived_event_id(instance.id, id);
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
  if (count == 0) {
    received.reason = share_count == 0 ? kNoUserKnown : kEventsDisabled;
    received.not_stored =
        share_count == 0 ? metrics::NotStored::NoUser : metrics::NotStored::Disabled;
  }
  return received;
}

Received Receiver::Impl::answered(providers::Handshake kind, providers::HandshakeAnswer made) {
  handshake = std::move(made);
  Received received;
  received.reason = handshake.reason;
  received.reply = handshake.reply;
  received.fields = handshake.fields;
  received.handshake = kind_of(kind);
  return received;
}

Expected<Received, IngestError> Receiver::Impl::receive_handshake(const IncomingHead& head,
                                                                  const Route& route) {
  const CompiledSource& source = *route.source;
  auto made = providers::answer_handshake(source.handshake, head, route.query, source.token);
  if (!made) return refuse(ingest_error(made.error()));
  return answered(source.handshake, std::move(*made));
}

Expected<Received, IngestError> Receiver::Impl::receive_signed(const Registry& registry,
                                                               const IncomingHead& head,
                                                               const Route& route,
                                                               std::string_view body,
                                                               WallTime now) {
  const auto genuine = verifier_of(route).verify(head, body, now);
  if (!genuine) return refuse(ingest_error(genuine.error()));
  auto received = receive_genuine(registry, head, route, body, now);
  if (received) received->keys = *genuine;
  return received;
}

Expected<Received, IngestError> Receiver::Impl::receive_genuine(const Registry& registry,
                                                                const IncomingHead& head,
                                                                const Route& route,
                                                                std::string_view body,
                                                                WallTime now) {
  CompiledSource& source = *route.source;
  if (source.provider->form == providers::NormalForm::Box) {
    return receive_box(registry, head, route, body, now);
  }
  auto asked = providers::answer_signed_handshake(source.handshake, head, body, handshake_scanner);
  if (!asked) return refuse(ingest_error(asked.error()));
  if (*asked) return answered(source.handshake, std::move(**asked));
  return receive_objects(registry, head, route, body, now);
}

Expected<Received, IngestError> Receiver::Impl::receive_box(const Registry& registry,
                                                            const IncomingHead& head,
                                                            const Route& route,
                                                            std::string_view body, WallTime now) {
  if (const auto found = find_targets(registry, head, route); !found) return refuse(found.error());
  const auto fields = normalizer.box_v2(body);
  if (!fields) return refuse(ingest_error(fields.error()));
  if (const auto shared = share_by_target(1); !shared) return refuse(shared.error());
  return make_events(head, *fields, body, now);
}

Expected<Received, IngestError> Receiver::Impl::receive_objects(const Registry& registry,
                                                                const IncomingHead& head,
                                                                const Route& route,
                                                                std::string_view body,
                                                                WallTime now) {
  const bool form = is_form(head);
  const auto objects = normalizer.read(
      route.source->provider->rules,
      {.head = &head, .body = body, .form = form, .opaque = !form && !is_json(head)});
  if (!objects) return refuse(ingest_error(objects.error()));
  bool routed = false;
  if (route.instance == nullptr && head.count(kElementInstances) == 0) {
    const auto shared = share_by_route(registry, route, *objects);
    if (!shared) return refuse(shared.error());
    routed = *shared;
  }
  if (!routed) {
    if (const auto found = find_targets(registry, head, route); !found)
      return refuse(found.error());
    if (const auto shared = share_by_target(*objects); !shared) return refuse(shared.error());
  }
  providers::Normalised fields;
  fields.provider_id = normalizer.provider_id();
  if (*objects == 1) {
    const auto only = normalizer.object(0);
    if (!only) return refuse(ingest_error(only.error()));
    fields = *only;
  }
  if (route.source->verifier->scheme().proof != providers::Proof::ClientState) {
    return make_events(head, fields, body, now);
  }
  // As with Box V1: anybody who knows the token can forge calls.
  if (masked_body.capacity() > kMaskedKept) std::string().swap(masked_body);
  masked_body.clear();
  append_json_masked(masked_body, body, providers::kClientState);
  return make_events(head, fields, masked_body, now);
}

Expected<Received, IngestError> Receiver::Impl::receive_v1(const Registry& registry,
                                                           const IncomingHead& head,
                                                           const Route& route,
                                                           std::string_view body, WallTime now) {
  const std::string_view sent = is_form(head) && head.method == Method::Post ? body : route.query;
  const auto call = v1.parse(sent);
  if (!call) return refuse(ingest_error(call.error()));
  const bool own = route.instance != nullptr && !route.instance->vendor_token.empty();
  const Secret& token = own ? route.instance->vendor_token : route.source->v1_token;
  if (!providers::token_matches(token, (*call)->token)) {
    return refuse(IngestError::TokenWrong);
  }
  if (route.instance != nullptr) {
    target_count = 0;
    add_target(route.instance);
  } else if (const auto found = find_users(registry, **call); !found) {
    return refuse(found.error());
  }
  if (const auto shared = share_by_target(1); !shared) return refuse(shared.error());
  v1_id = providers::box_v1_provider_id(route.source->element, **call, now);
  const providers::Normalised fields{.provider_id = {v1_id.data(), v1_id.size()},
                                     .event_type = providers::box_v1_event_type((*call)->event),
                                     .object_type = providers::header_text((*call)->item_type),
                                     .object_id = providers::header_text((*call)->item_id),
                                     .date = {},
                                     .route = {}};
  // Anybody who knows the token can forge calls, so it is stored nowhere and reaches no subscriber.
  v1_form.assign(sent.substr(0, (*call)->token_at));
  v1_form.append(sent.substr((*call)->token_at + (*call)->token_size));
  Received received = make_events(head, fields, v1_form, now);
  if (share_count == 0 && !(*call)->users_named) {
    received.reason = kNoUserNamed;
    received.not_stored = metrics::NotStored::NoUserParameter;
  }
  // A query is stored as the form that it is.
  for (std::size_t i = 0; i < received.events.size(); ++i) {
    if (!is_form(head)) events[i].content_type = kForm;
  }
  return received;
}

Receiver::Receiver(std::shared_ptr<const Settings> settings)
    : impl_(std::make_shared<Impl>(*settings)), settings_(std::move(settings)) {}
Receiver::Receiver(const Receiver& before, std::shared_ptr<const Settings> settings)
    : impl_(before.impl_), settings_(std::move(settings)) {}
Receiver::~Receiver() = default;

Expected<Route, IngestError> Receiver::route(const IncomingHead& head) {
  return impl_->route(*settings_, head);
}

Expected<Received, IngestError> Receiver::receive(const IncomingHead& head, const Route& route,
                                                  std::string_view body, WallTime now) {
  EVENTRELAY_ASSERT(route.source != nullptr);
  if (route.handshake) return impl_->receive_handshake(head, route);
  impl_->use_trace(route.trace);
  const Registry& registry = settings_->registry;
  return route.v1 ? impl_->receive_v1(registry, head, route, body, now)
                  : impl_->receive_signed(registry, head, route, body, now);
}

std::string_view Receiver::allowed_methods(const IncomingHead& head) {
  const auto path = parse_event_path(head.target, settings().config.ingest.base_path);
  const CompiledSource* const source = path ? impl_->source(path->element) : nullptr;
  if (source == nullptr) return "POST";
  const auto also = providers::handshake_method(source->handshake);
  if (also == Method::Options) return "OPTIONS, POST";
  return source->v1_enabled || also == Method::Get ? "GET, POST" : "POST";
}

const Settings& Receiver::settings() const noexcept {
  return *settings_;
}

}  // namespace eventrelay::ingest
