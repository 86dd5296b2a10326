#include "common/registry/document.hpp"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <stdexcept>
#include <utility>

#include "common/base/crypto.hpp"
#include "common/config/config_instances_schema.hpp"
#include "common/config/config_json.hpp"

namespace eventrelay {
namespace {

namespace boost_json = boost::json;
using Kind = DocumentError::Kind;

constexpr int kVersion = 1;
// On the stack; a document that needs more takes the rest from the heap.
constexpr std::size_t kParseBytes = 16U * 1024;
constexpr std::string_view kSealed = "sealed";
constexpr std::string_view kCleanup = "cleanup/";
constexpr std::array<std::string_view, 3> kStateWords{"active", "deleted", "no_session"};

// A secret that does not open; ends decode_document.
struct NotOpened : std::invalid_argument {
  NotOpened() : std::invalid_argument("a sealed value does not open with its master key") {}
};

// Reads members with a type each; the first problem is kept. Thread: one call.
class Members {
 public:
  Members(const boost_json::object& object, const config::ReadSecret& secret)
      : object_(object), secret_(secret) {}

  template <class T>
  void whole(std::string_view name, T& out) {
    const boost_json::value* const value = find(name);
    if (value == nullptr) return;
    boost::system::error_code error;
    const auto number = value->to_number<std::int64_t>(error);
    if (error.failed() || number < 0) return bad(name);
    out = static_cast<T>(number);
  }
  void time(std::string_view name, WallTime& out) {
    std::int64_t ms = unix_ms(out);
    whole(name, ms);
    out = WallTime{std::chrono::milliseconds{ms}};
  }
  void flag(std::string_view name, bool& out) {
    const boost_json::value* const value = find(name);
    if (value == nullptr) return;
    if (!value->is_bool()) return bad(name);
    out = value->get_bool();
  }
  void text(std::string_view name, std::string& out) {
    const boost_json::value* const value = find(name);
    if (value == nullptr) return;
    if (!value->is_string()) return bad(name);
    out.assign(value->get_string().data(), value->get_string().size());
  }
  void secret(std::string_view name, Secret& out) {
    const boost_json::value* const value = find(name);
    if (value == nullptr) return;
    std::optional<std::string> plain = secret_(*value);
    if (!plain) return bad(name);
    out = Secret(*std::move(plain));
  }
  [[nodiscard]] const boost_json::value* find(std::string_view name) const {
    return object_.if_contains({name.data(), name.size()});
  }
  void bad(std::string_view name) {
    if (problem_.empty()) problem_ = std::string(name) + ": has the wrong type";
  }
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

 private:
  const boost_json::object& object_;
  const config::ReadSecret& secret_;
  std::string problem_;
};

boost_json::array texts(const std::vector<std::string>& list) {
  boost_json::array out;
  for (const std::string& each : list) out.emplace_back(each);
  return out;
}

boost_json::object write(const Webhook& hook) {
  boost_json::object out{{"id", hook.id},
                         {"target", {{"id", hook.target_id}, {"type", hook.target_type}}},
                         {"triggers", texts(hook.triggers)},
                         {"address", hook.address}};
  if (hook.state != WebhookState::Active) {
    const std::string_view word = to_word(hook.state);
    out["state"] = boost_json::string_view(word.data(), word.size());
  }
  if (!hook.reason.empty()) out["reason"] = hook.reason;
  return out;
}

constexpr std::string_view kCallback = "callback";  // no subscription may have this name

void write_pause(std::string_view name, const PauseSetting& pause, boost_json::array& out) {
  if (pause == PauseSetting{}) return;
  boost_json::object one{{"name", boost_json::string_view(name.data(), name.size())}};
  if (pause.paused) one["off"] = true;
  if (pause.resumed != WallTime{}) one["on"] = unix_ms(pause.resumed);
  out.push_back(std::move(one));
}

// Of the subscription of that name; null: there is none any more.
PauseSetting* pause_of(InstanceConfig& instance, std::string_view name) {
  if (name == kCallback) return &instance.callback_pause;
  for (SubscriptionConfig& each : instance.subscriptions) {
    if (each.name == name) return &each.pause;
  }
  return nullptr;
}

bool read_pause(const boost_json::value& value, const config::ReadSecret& secret,
                InstanceConfig& instance) {
  if (!value.is_object()) return false;
  Members members(value.get_object(), secret);
  std::string name;
  PauseSetting pause;
  members.text("name", name);
  members.flag("off", pause.paused);
  members.time("on", pause.resumed);
  if (PauseSetting* const place = pause_of(instance, name)) *place = pause;
  return members.problem().empty();
}

std::optional<Webhook> read_webhook(const boost_json::value& value,
                                    const config::ReadSecret& secret) {
  if (!value.is_object()) return std::nullopt;
  Webhook out;
  Members members(value.get_object(), secret);
  members.text("id", out.id);
  members.text("address", out.address);
  members.text("reason", out.reason);
  std::string state{kStateWords[0]};
  members.text("state", state);
  const auto word = std::find(kStateWords.begin(), kStateWords.end(), state);
  if (word == kStateWords.end()) return std::nullopt;
  out.state = static_cast<WebhookState>(word - kStateWords.begin());
  if (const boost_json::value* const target = members.find("target")) {
    if (!target->is_object()) return std::nullopt;
    Members inner(target->get_object(), secret);
    inner.text("id", out.target_id);
    inner.text("type", out.target_type);
    if (!inner.problem().empty()) return std::nullopt;
  }
  if (const boost_json::value* const triggers = members.find("triggers")) {
    if (!triggers->is_array()) return std::nullopt;
    for (const boost_json::value& each : triggers->get_array()) {
      if (!each.is_string()) return std::nullopt;
      out.triggers.emplace_back(each.get_string());
    }
  }
  if (!members.problem().empty()) return std::nullopt;
  return out;
}

Unexpected<DocumentError> failed(Kind kind, std::string what) {
  return Unexpected<DocumentError>(DocumentError{kind, std::move(what)});
}

// A parsed value that is an object of our version, or why not.
Expected<boost_json::object, DocumentError> open_value(std::string_view value,
                                                       const boost_json::storage_ptr& memory = {}) {
  if (value.size() > kDocumentMax) return failed(Kind::Malformed, "more than 64 KiB");
  boost::system::error_code error;
  boost_json::parse_options options;
  options.max_depth = config::kJsonDepthMax + 4;
  boost_json::value parsed =
      boost_json::parse({value.data(), value.size()}, error, memory, options);
  if (error.failed() || !parsed.is_object()) return failed(Kind::Malformed, "not a JSON object");
  const boost_json::value* const version = parsed.get_object().if_contains("v");
  if (version == nullptr || !version->is_int64()) return failed(Kind::Malformed, "v: missing");
  if (version->get_int64() != kVersion) {
    return failed(Kind::Version, "v: version " + std::to_string(version->get_int64()) +
                                     " is not known to this program");
  }
  return std::move(parsed.get_object());
}

}  // namespace

std::string_view to_word(WebhookState state) noexcept {
  return kStateWords[static_cast<std::size_t>(state)];
}

std::string record_key(std::uint64_t id) {
  return std::to_string(id);
}

std::optional<std::uint64_t> instance_of(std::string_view record_key) noexcept {
  if (record_key.empty() || record_key.front() == '0') return std::nullopt;
  std::uint64_t id = 0;
  const char* const end = record_key.data() + record_key.size();
  const auto [stop, error] = std::from_chars(record_key.data(), end, id);
  if (error != std::errc{} || stop != end || id > kInstanceIdMax) return std::nullopt;
  return id;
}

std::string cleanup_key(std::uint64_t id) {
  return std::string(kCleanup) + std::to_string(id);
}

std::optional<std::uint64_t> cleanup_of(std::string_view record_key) noexcept {
  if (!record_key.starts_with(kCleanup)) return std::nullopt;
  return instance_of(record_key.substr(kCleanup.size()));
}

std::string encode_document(const Document& document, const Keyring& keys) {
  return encode_document(document, keys, record_key(document.instance.id));
}

std::string encode_document(const Document& document, const Keyring& keys, std::string_view key) {
  const config::WriteSecret sealed = [&](std::string_view plain) {
    return boost_json::value{{"sealed", keys.seal(plain, key)}};
  };
  static const InstanceConfig kDefaults;
  boost_json::object out{{"v", kVersion},
                         {"seal", keys.first_id()},
                         {"company", document.company},
                         {"account", document.account},
                         {"user", document.user},
                         {"created", unix_ms(document.created)},
                         {"token", document.token_hash}};
  if (document.disabled) out["disabled"] = true;
  if (document.deleted != WallTime{}) out["deleted"] = unix_ms(document.deleted);
  if (document.external_authentication != "none") {
    out["externalAuthentication"] = document.external_authentication;
  }
  if (!document.problem.empty()) out["problem"] = document.problem;
  if (document.oauth) {
    out["oauth"] = boost_json::object{{"access", sealed(document.oauth->access.reveal())},
                                      {"refresh", sealed(document.oauth->refresh.reveal())},
                                      {"expires", unix_ms(document.oauth->expires)},
                                      {"refreshed", unix_ms(document.oauth->refreshed)}};
  }
  boost_json::array hooks;
  for (const Webhook& each : document.webhooks) hooks.push_back(write(each));
  if (!hooks.empty()) out["webhooks"] = std::move(hooks);
  boost_json::array switches;
  write_pause(kCallback, document.instance.callback_pause, switches);
  for (const SubscriptionConfig& each : document.instance.subscriptions) {
    write_pause(each.name, each.pause, switches);
  }
  if (!switches.empty()) out["switches"] = std::move(switches);
  boost_json::object instance =
      config::to_json(config::instance_schema(), &document.instance, &kDefaults, sealed);
  instance.erase("id");  // it is the record's key
  out["instance"] = std::move(instance);
  return boost_json::serialize(out);
}

Expected<Document, DocumentError> decode_document(std::string_view record_key,
                                                  std::string_view value, const Keyring& keys) {
  std::optional<std::uint64_t> id = instance_of(record_key);
  if (!id) id = cleanup_of(record_key);
  if (!id) return failed(Kind::Malformed, "the record key is not the id of an instance");
  std::array<unsigned char, kParseBytes> bytes;
  boost_json::monotonic_resource memory(bytes.data(), bytes.size());
  Expected<boost_json::object, DocumentError> object = open_value(value, &memory);
  if (!object) return failed(object.error().kind, object.error().what);
  std::string seal;
  const config::ReadSecret opened =
      [&](const boost_json::value& each) -> std::optional<std::string> {
    if (!each.is_object() || each.get_object().size() != 1) return std::nullopt;
    const boost_json::value* const text =
        each.get_object().if_contains({kSealed.data(), kSealed.size()});
    if (text == nullptr || !text->is_string()) return std::nullopt;
    const Expected<Secret, OpenError> plain =
        keys.open(seal, {text->get_string().data(), text->get_string().size()}, record_key);
    if (!plain) throw NotOpened();
    return std::string(plain->reveal());
  };
  Document out;
  try {
    Members members(*object, opened);
    members.text("seal", seal);
    if (!keys.has(seal)) {
      return failed(Kind::MasterKey, "seal: no master key " + seal + " in seal.keys");
    }
    members.whole("company", out.company);
    members.whole("account", out.account);
    members.whole("user", out.user);
    members.time("created", out.created);
    members.text("token", out.token_hash);
    members.flag("disabled", out.disabled);
    members.time("deleted", out.deleted);
    members.text("externalAuthentication", out.external_authentication);
    members.text("problem", out.problem);
    if (const boost_json::value* const oauth = members.find("oauth")) {
      if (!oauth->is_object()) return failed(Kind::Malformed, "oauth: has the wrong type");
      Members inner(oauth->get_object(), opened);
      out.oauth.emplace();
      inner.secret("access", out.oauth->access);
      inner.secret("refresh", out.oauth->refresh);
      inner.time("expires", out.oauth->expires);
      inner.time("refreshed", out.oauth->refreshed);
      if (!inner.problem().empty()) return failed(Kind::Malformed, "oauth." + inner.problem());
    }
    if (const boost_json::value* const hooks = members.find("webhooks")) {
      if (!hooks->is_array()) return failed(Kind::Malformed, "webhooks: has the wrong type");
      for (const boost_json::value& each : hooks->get_array()) {
        std::optional<Webhook> hook = read_webhook(each, opened);
        if (!hook) return failed(Kind::Malformed, "webhooks: one has the wrong type");
        out.webhooks.push_back(*std::move(hook));
      }
    }
    if (!members.problem().empty()) return failed(Kind::Malformed, members.problem());
    const boost_json::value* const instance = members.find("instance");
    if (instance == nullptr) return failed(Kind::Malformed, "instance: missing");
    const std::string problem =
        config::from_json(*instance, config::instance_schema(), &out.instance, opened);
    if (!problem.empty()) {
      const bool sealed = problem == NotOpened().what();
      return failed(sealed ? Kind::Sealed : Kind::Malformed, "instance: " + problem);
    }
    if (const boost_json::value* const switches = members.find("switches")) {
      if (!switches->is_array()) return failed(Kind::Malformed, "switches: has the wrong type");
      for (const boost_json::value& each : switches->get_array()) {
        if (!read_pause(each, opened, out.instance)) {
          return failed(Kind::Malformed, "switches: one has the wrong type");
        }
      }
    }
  } catch (const NotOpened& problem) {
    return failed(Kind::Sealed, problem.what());
  }
  out.instance.id = *id;
  out.instance.disabled = out.disabled;
  out.instance.company = out.company;
  out.instance.account = out.account;
  out.instance.user = out.user;
  return out;
}

Expected<DocumentSummary, DocumentError> summarize_document(std::string_view value,
                                                            const Keyring& keys) {
  static const config::ReadSecret kNoSecret = [](const boost_json::value&) {
    return std::optional<std::string>();
  };
  std::array<unsigned char, kParseBytes> bytes;
  boost_json::monotonic_resource memory(bytes.data(), bytes.size());
  const Expected<boost_json::object, DocumentError> object = open_value(value, &memory);
  if (!object) return failed(object.error().kind, object.error().what);
  DocumentSummary out;
  Members members(*object, kNoSecret);
  std::string seal;
  members.text("seal", seal);
  if (!keys.has(seal)) {
    return failed(Kind::MasterKey, "seal: no master key " + seal + " in seal.keys");
  }
  members.whole("account", out.account);
  members.text("token", out.token_hash);
  std::string problem;
  members.text("problem", problem);
  members.flag("disabled", out.disabled);
  if (!members.problem().empty()) return failed(Kind::Malformed, members.problem());
  out.valid = problem.empty();
  const boost_json::value* const oauth = members.find("oauth");
  if (oauth != nullptr && oauth->is_object() && problem.empty()) {
    Members inner(oauth->get_object(), kNoSecret);
    inner.time("refreshed", out.refreshed);
    if (!inner.problem().empty()) return failed(Kind::Malformed, "oauth." + inner.problem());
  }
  const boost_json::value* const instance = members.find("instance");
  if (instance == nullptr || !instance->is_object()) {
    return failed(Kind::Malformed, "instance: missing");
  }
  Members inner(instance->get_object(), kNoSecret);
  inner.text("element", out.element);
  if (!inner.problem().empty()) return failed(Kind::Malformed, "instance." + inner.problem());
  const boost_json::value* const tags = inner.find("tags");
  if (tags == nullptr || !tags->is_array()) return out;
  for (const boost_json::value& each : tags->get_array()) {
    if (!each.is_string()) return failed(Kind::Malformed, "instance.tags: has the wrong type");
    out.tags.emplace_back(each.get_string());
  }
  return out;
}

std::string master_key_of(std::string_view value) {
  const Expected<boost_json::object, DocumentError> object = open_value(value);
  if (!object) return {};
  const boost_json::value* const seal = object->if_contains("seal");
  return seal != nullptr && seal->is_string() ? std::string(seal->get_string()) : std::string();
}

Keyring keyring_of(const SealConfig& config) {
  std::vector<MasterKey> keys;
  for (const MasterKeyConfig& each : config.keys) {
    const std::optional<Secret> bytes =
        each.key ? master_key_bytes(each.key->reveal()) : std::nullopt;
    keys.push_back({each.id, bytes.value_or(Secret())});
  }
  return Keyring(std::move(keys));
}

std::string new_element_token() {
  std::array<char, 32> bytes{};
  crypto::random_bytes(bytes.data(), bytes.size());
  return crypto::base64({bytes.data(), bytes.size()});
}

std::string element_token_hash(std::string_view token) {
  return crypto::hex(crypto::sha256(token).view());
}

}  // namespace eventrelay
