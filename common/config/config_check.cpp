#include "common/config/config_check.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "common/base/crypto.hpp"
#include "common/base/pem.hpp"
#include "common/base/seal.hpp"
#include "common/config/callback_url.hpp"
#include "common/config/config_rules.hpp"
#include "common/config/config_units.hpp"
#include "common/providers/provider.hpp"

namespace eventrelay::config {
namespace {

// The entry of `node` that `rest` begins with; the longest, because keys may hold dots.
const YamlEntry* step(const YamlNode& node, std::string_view rest) {
  const YamlEntry* best = nullptr;
  for (const YamlEntry& entry : node.entries) {
    if (!rest.starts_with(entry.key)) continue;
    const bool whole = rest.size() == entry.key.size() || rest[entry.key.size()] == '.' ||
                       rest[entry.key.size()] == '[';
    if (whole && (best == nullptr || entry.key.size() > best->key.size())) best = &entry;
  }
  return best;
}

// The mark of the deepest key or item of `path` that the tree has.
Mark locate(const YamlNode& root, std::string_view path) {
  const YamlNode* node = &root;
  Mark mark{1, 1};
  while (!path.empty()) {
    if (path.front() == '[') {
      const std::size_t close = path.find(']');
      const std::optional<std::int64_t> index = parse_integer(path.substr(1, close - 1));
      if (!index || static_cast<std::size_t>(*index) >= node->items.size()) break;
      node = &node->items[static_cast<std::size_t>(*index)];
      mark = node->mark;
      path.remove_prefix(close + 1);
    } else {
      const YamlEntry* const entry = step(*node, path);
      if (entry == nullptr) break;
      mark = entry->mark;
      node = &entry->value;
      path.remove_prefix(entry->key.size());
    }
    if (path.starts_with('.')) path.remove_prefix(1);
  }
  return mark;
}

}  // namespace

// All relations of one configuration. Thread: one owner.  Bounds: for one call.
class CheckOneByOne::Checker {
 public:
  Checker(const Config& config, const Places& places, Findings& findings,
          const PropertyProblem& kafka_property)
      : config_(config), places_(places), findings_(findings), kafka_property_(kafka_property) {}

  // Before what is said of the sources is judged.
  void note(const InstanceConfig& instance) {
    ++noted_;
    if (!instance.oauth_user_id.empty()) with_users_.insert(instance.element);
  }

  void run() {
    kafka();
    ingest();
    ingest_listens();
    relay();
    for (const auto& [element, source] : config_.sources) check_source(element, source);
    for (const InstanceConfig& each : config_.instances) check_instance(each);
    registry();
    seal();
    control();
    provider_urls();
  }

 private:
  void add(const std::string& path, std::string_view problem) {
    if (findings_.about(path)) return;  // what is wrong with it has been told
    findings_.add(findings_.full() ? std::string{} : places_.find(path), path, problem);
  }

  void add_if(const std::string& path, std::string_view problem) {
    if (!problem.empty()) add(path, problem);
  }

  void kafka() {
    for (const auto& [key, value] : config_.kafka.properties) {
      const std::string problem = kafka_property_(key, {value, false});
      if (!problem.empty()) add("kafka." + key, problem);
    }
    for (const auto& [key, value] : config_.kafka.secrets) {
      const std::string problem = kafka_property_(key, {std::string(value.reveal()), true});
      if (!problem.empty()) add("kafka." + key, problem);
    }
    kafka_mechanism();
  }

  // The client library would take Kerberos, and then want a keytab.
  void kafka_mechanism() {
    const auto& all = config_.kafka.properties;
    const auto protocol = all.find("security.protocol");
    if (protocol == all.end() || !ascii_lower(protocol->second).starts_with("sasl")) return;
    const auto named = [](const auto& each) {
      return each.first.starts_with("sasl.mechanism") || each.first.starts_with("sasl.kerberos.");
    };
    if (std::any_of(all.begin(), all.end(), named)) return;
    add("kafka.sasl.mechanism", "required beside kafka.security.protocol " + protocol->second +
                                    ": PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI");
  }

  void ingest() {
    if (config_.ingest.tls && config_.ingest.tls->cert.empty()) {
      add("ingest.tls.cert", "required beside ingest.tls.key");
    }
    if (config_.ingest.tls && config_.ingest.tls->key.empty()) {
      add("ingest.tls.key", "required beside ingest.tls.cert");
    }
    add_if("ingest.memory_max",
           too_small(config_.ingest.memory_max, config_.ingest.body_max, "ingest.body_max"));
  }

  // What can not hold four of the largest bodies stands still with a few clients.
  [[nodiscard]] static std::string too_small(std::size_t memory, std::size_t body,
                                             const std::string& of) {
    if (memory >= 4 * body) return {};
    return print_size(static_cast<std::int64_t>(memory)) + " is below 4 x " + of + " (" +
           print_size(static_cast<std::int64_t>(body)) + ")";
  }

  // Would one process that listens on both be refused the second? An address of all interfaces
  // takes the port of each.
  [[nodiscard]] static bool share_a_port(std::string_view a, std::string_view b) {
    const auto split = [](std::string_view text) {
      const std::size_t colon = text.rfind(':');
      std::string_view host = text.substr(0, colon);
      if (host.empty()) host = "0.0.0.0";
      if (host == "localhost") host = "127.0.0.1";
      return std::pair(host, text.substr(colon + 1));
    };
    const auto [host, port] = split(a);
    const auto [other, other_port] = split(b);
    if (port != other_port || port == "0") return false;
    const bool v6 = host.starts_with('[');
    const std::string_view every = v6 ? "[::]" : "0.0.0.0";
    return host == other || (v6 == other.starts_with('[') && (host == every || other == every));
  }

  // One port can not be listened on twice by one process.
  void ingest_listens() {
    const std::vector<std::string>& all = config_.ingest.listen;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto end = all.begin() + std::ptrdiff_t(i);
      const auto first = std::find_if(all.begin(), end,
                                      [&](const auto& each) { return share_a_port(each, all[i]); });
      if (first == end) continue;
      add("ingest.listen[" + std::to_string(i) + "]",
          all[i] + (*first == all[i] ? " is given twice" : " has the same port as " + *first));
    }
    const std::string& own = config_.ingest.admin.listen;
    const std::string& admin = own.empty() ? config_.admin.listen : own;
    if (admin.empty()) return;
    const auto taken = [&](const auto& each) { return share_a_port(each, admin); };
    if (std::none_of(all.begin(), all.end(), taken)) return;
    add(own.empty() ? "admin.listen" : "ingest.admin.listen",
        admin + " is in ingest.listen as well");
  }

  // What ingest takes, the relay has to hold.
  void relay() {
    add_if("relay.memory_max",
           too_small(config_.relay.memory_max, config_.ingest.body_max, "ingest.body_max"));
  }

  void check_source(const std::string& element, const SourceConfig& source) {
    const std::string path = "sources." + element;
    const providers::Provider* const built_in = providers::find_provider(element);
    if (source.scheme.empty() && built_in == nullptr) {
      add(path + ".scheme", "required because " + element + " is not a built-in element");
    }
    if (!source.scheme.empty() && providers::find_scheme(source.scheme) == nullptr) {
      std::string known;
      for (const providers::Scheme& each : providers::schemes())
        known.append(known.empty() ? "" : ", ").append(each.name);
      const std::string shown = may_be_secret(source.scheme) ? "what is given" : source.scheme;
      add(path + ".scheme", shown + " is not one of " + known);
    }
    const std::size_t memory = std::min(config_.ingest.memory_max, config_.relay.memory_max);
    if (source.body_max && 4 * *source.body_max > memory) {
      add(path + ".body_max", print_size(static_cast<std::int64_t>(*source.body_max)) +
                                  " is above a quarter of memory_max (" +
                                  print_size(static_cast<std::int64_t>(memory)) + ")");
    }
    if (source.v1_enabled && !source.v1_token) {
      add(path + ".v1.token", "required because v1.enabled is true and V1 is not signed");
    }
    if (source.v1_enabled) check_v1_users(path, element);
    const std::string_view scheme =
        !source.scheme.empty() || built_in == nullptr ? source.scheme : built_in->schemes.front();
    const auto* const row = providers::find_scheme(scheme);
    const bool by_token = row != nullptr && row->proof == providers::Proof::ClientState;
    if (by_token && source.keys.empty() && !source.token) {
      add(path + ".token", "required because " + std::string(scheme) + " has no signature");
    }
    if (source.keys.empty() && !source.v1_enabled && !by_token) {
      add(path + ".keys", "at least one is required");
    }
    if (source.keys.size() == providers::kKeysMax && by_token && source.token) {
      add(path + ".token", "one too many beside three keys");
    }
  }

  void registry() {
    if (config_.registry == "topic" && noted_ > 0) {
      add("registry", "topic and instances: exclude each other");
    }
  }

  void seal() {
    if (config_.registry == "topic" && config_.seal.keys.empty()) {
      add("seal.keys", "required because registry is topic");
    }
    std::unordered_map<std::string_view, std::size_t> ids;
    for (std::size_t i = 0; i < config_.seal.keys.size(); ++i) {
      const MasterKeyConfig& each = config_.seal.keys[i];
      const std::string path = "seal.keys[" + std::to_string(i) + "]";
      if (each.id.empty()) {
        add(path + ".id", "required");
      } else if (const auto [first, fresh] = ids.emplace(each.id, i); !fresh) {
        add(path + ".id",
            each.id + " is given twice, first in seal.keys[" + std::to_string(first->second) + "]");
      }
      if (!each.key) {
        add(path + ".key", "required");
      } else if (!master_key_bytes(each.key->reveal())) {
        add(path + ".key", "is not 32 bytes in base64; `eventrelay keygen seal` makes one");
      }
    }
  }

  void control() {
    const ControlConfig& control = config_.control;
    const std::string why = " because control.enabled is true";
    if (control.enabled && config_.registry != "topic") {
      add("registry", "must be topic" + why + "; the file's instances belong to the file");
    }
    if (control.enabled && control.organizations.empty()) {
      add("control.organizations", "required" + why);
    }
    if (control.enabled && config_.ingest.public_url.empty()) {
      add("ingest.public_url", "required" + why + "; providers call it");
    }
    const DeliveryConfig& defaults = control.delivery_defaults;
    const std::string under = "control.delivery_defaults.";
    if (!defaults.ca_file.empty()) add_if(under + "ca_file", authorities_problem(defaults.ca_file));
    if (!defaults.client_cert.empty()) {
      add_if(under + "client_cert", client_certificate_problem(defaults.client_cert));
    }
    for (std::size_t i = 0; i < control.organizations.size(); ++i) {
      const std::string path = "control.organizations[" + std::to_string(i) + "]";
      const OrganizationConfig& each = control.organizations[i];
      unique(path, "organization", each.id);
      if (!each.secret) add(path + ".secret", "required");
      if (each.accounts.empty()) add(path + ".accounts", "at least one is required");
      for (std::size_t j = 0; j < each.accounts.size(); ++j) {
        check_account(path + ".accounts[" + std::to_string(j) + "]", each.accounts[j]);
      }
    }
  }

  // Client secrets and tokens go there.
  void provider_urls() {
    if (!config_.control.enabled) return;
    const BoxProviderConfig& box = config_.providers.box;
    const std::array<std::pair<const char*, const std::string*>, 4> urls{
        {{"authorize_url", &box.authorize_url},
         {"token_url", &box.token_url},
         {"revoke_url", &box.revoke_url},
         {"api_url", &box.api_url}}};
    for (const auto& [name, url] : urls) {
      const std::string path = std::string("providers.box.").append(name);
      if (findings_.about(path)) continue;
      const CallbackUrl parsed = parse_callback_url(*url, true);
      if (parsed.tls || is_loopback(parsed.host)) continue;
      findings_.warn(places_.find(path), path,
                     "is plain HTTP: secrets and tokens can be read on the way");
    }
  }

  void check_account(const std::string& path, const AccountConfig& account) {
    unique(path, "account", account.id);
    if (account.users.empty()) add(path + ".users", "at least one is required");
    for (std::size_t i = 0; i < account.users.size(); ++i) {
      const UserConfig& user = account.users[i];
      const std::string here = path + ".users[" + std::to_string(i) + "]";
      unique(here, "user", user.id);
      if (!user.secret) {
        add(here + ".secret", "required");
      } else if (!user_secrets_.insert(user.secret->reveal()).second) {
        add(here + ".secret", "is the secret of another user as well");
      }
    }
  }

  void unique(const std::string& path, const std::string& kind, std::uint64_t id) {
    if (id == 0) return add(path + ".id", "required");
    if (!numbers_.insert(kind + " " + std::to_string(id)).second) {
      add(path + ".id", "there are two of " + kind + " " + std::to_string(id));
    }
  }

 public:
  // The next one.
  void check_instance(const InstanceConfig& instance) {
    const std::size_t index = checked_++;
    const std::string path = "instances[" + std::to_string(index) + "]";
    if (instance.id == 0) {
      add(path + ".id", "required");
    } else if (const auto [first, fresh] = ids_.emplace(instance.id, index); !fresh) {
      add(path + ".id", std::to_string(instance.id) + " is given twice, first in instances[" +
                            std::to_string(first->second) + "]");
    }
    if (instance.element.empty()) {
      add(path + ".element", "required");
    } else if (providers::find_provider(instance.element) == nullptr &&
               config_.sources.find(instance.element) == config_.sources.end()) {
      add(path + ".element",
          instance.element + " is neither built in nor described in sources" + near(instance));
    } else if (config_.registry == "file" && !config_.sources.empty() &&
               config_.sources.find(instance.element) == config_.sources.end()) {
      findings_.warn(places_.find(path + ".element"), path + ".element",
                     "sources has no " + instance.element + ", so ingest takes no event of it");
    }
    const std::string key = path + ".configuration.event.notification.";
    const std::string misspelt = check_further_keys(path + ".configuration.", instance);
    if (instance.events_enabled && instance.callback_url.empty()) {
      add(key + "callback.url",
          "required because event.notification.enabled is true" +
              (misspelt.empty() ? "" : "; " + misspelt + " looks like it but is another key"));
    }
    check_events_come_as(path + ".configuration.", instance);
    check_url(key + "callback.url", instance.callback_url, instance.delivery);
    check_signature(path, key + "signature.key", instance.delivery, instance.signature_key);
    check_delays(path, instance.delivery);
    check_subscriptions(path, instance);
  }

 private:
  // Polling is not offered: an instance that asks for it would wait for events that never come.
  void check_events_come_as(const std::string& prefix, const InstanceConfig& instance) {
    for (const auto& [key, value] : instance.configuration) {
      if (key == "event.poller.refresh_interval" || key == "event.poller.configuration") {
        add(prefix + key, "polling is not offered by this version");
      } else if (key == "event.vendor.type" && value != "webhook" && value != "webhooks") {
        add(prefix + key, value == "polling"
                              ? "polling is not offered by this version; allowed: webhook"
                              : "is not one of webhook, webhooks");
      }
    }
  }

  // A V1 call names users only: where no instance has a user, it is accepted and reaches nobody.
  void check_v1_users(const std::string& path, const std::string& element) {
    if (config_.registry != "file" || with_users_.find(element) != with_users_.end()) return;
    const std::string key = path + ".v1.enabled";
    findings_.warn(places_.find(key), key,
                   "no instance of " + element +
                       " has oauth.user.id, so a V1 call at the URL without an instance belongs to "
                       "nobody");
  }

  // Further keys are kept as they are; one that looks like a known one is a typing error, most of
  // the time, and what it was meant for does not happen. Returns the one that looks like the
  // callback's URL.
  std::string check_further_keys(const std::string& prefix, const InstanceConfig& instance) {
    std::string callback;
    for (const auto& [key, value] : instance.configuration) {
      const std::string_view meant = meant_by(key);
      if (meant.empty()) continue;
      if (meant == kCallbackKey) callback = key;
      findings_.warn(places_.find(prefix + key), prefix + key,
                     "is kept but means nothing here, did you mean " + std::string(meant) + "?");
    }
    return callback;
  }

  // The key that `key` looks like; empty: none. Instances have the same few keys, so each is
  // looked at once: else this would be a third of the time of a large file.
  std::string_view meant_by(const std::string& key) {
    const auto told = meant_.find(key);
    if (told != meant_.end()) return told->second;
    const std::string_view meant = looks_like(key);
    if (meant_.size() < kMeantMax) meant_.emplace(key, meant);
    return meant;
  }

  [[nodiscard]] static std::string_view looks_like(std::string_view key) {
    constexpr std::array<std::string_view, 7> kKnown{"event.notification.enabled",
                                                     kCallbackKey,
                                                     "event.notification.signature.key",
                                                     "oauth.user.id",
                                                     "event.vendor.signature.key",
                                                     "event.vendor.signature.key.secondary",
                                                     "event.vendor.token"};
    constexpr std::size_t kNear = 3;
    const std::string lower = ascii_lower(key);
    for (const std::string_view known : kKnown) {
      const bool tail = lower.find('.') != std::string::npos && known.ends_with("." + lower);
      // event.vendor.type is another key.
      const std::size_t near = known == kKnown.back() ? 2 : kNear;
      if (tail || edit_distance(lower, known) <= near) return known;
    }
    return {};
  }

  [[nodiscard]] static std::string near(const InstanceConfig& instance) {
    for (const providers::Provider& element : providers::providers()) {
      if (edit_distance(element.key, instance.element) <= 2) {
        return std::string(", did you mean ").append(element.key).append("?");
      }
    }
    return {};
  }

  void check_subscriptions(const std::string& parent, const InstanceConfig& instance) {
    std::unordered_map<std::string_view, std::size_t> names;
    for (std::size_t i = 0; i < instance.subscriptions.size(); ++i) {
      const SubscriptionConfig& each = instance.subscriptions[i];
      const std::string path = parent + ".subscriptions[" + std::to_string(i) + "]";
      if (each.name.empty()) {
        add(path + ".name", "required");
      } else if (const auto [first, fresh] = names.emplace(each.name, i); !fresh) {
        add(path + ".name", each.name + " is given twice, first in subscriptions[" +
                                std::to_string(first->second) + "]");
      }
      if (each.url.empty()) add(path + ".url", "required");
      check_url(path + ".url", each.url, each.delivery);
      check_signature(path, path + ".key", each.delivery, each.key);
      check_delays(path, each.delivery);
    }
  }

  void check_url(const std::string& path, const std::string& url, const DeliveryConfig& delivery) {
    if (url.empty()) return;
    const bool any = delivery.allow_private_addresses || config_.relay.allow_private_addresses;
    try {
      check_callback_port(parse_callback_url(url, delivery.allow_http), delivery.ports,
                          any ? AnyPort::Yes : AnyPort::No);
    } catch (const std::invalid_argument& problem) {
      add(path, problem.what());
    }
  }

  void check_signature(const std::string& owner, const std::string& key_path,
                       const DeliveryConfig& delivery, const std::optional<Secret>& key) {
    if (delivery.signature == Signature::Standard) {
      if (key) check_standard_key(key_path, *key);
      for (std::size_t i = 0; i < delivery.keys.size(); ++i) {
        check_standard_key(owner + ".delivery.keys[" + std::to_string(i) + "]", delivery.keys[i]);
      }
    }
    if (delivery.signature == Signature::None || key || !delivery.keys.empty()) return;
    add(key_path, "required because " + owner + ".delivery.signature asks for one");
  }

  // The relay signs with the bytes that the receiver's library decodes from the same text.
  void check_standard_key(const std::string& path, const Secret& key) {
    try {
      const Secret bytes(crypto::key_from_whsec(key.reveal()));  // wiped when this returns
    } catch (const std::runtime_error& problem) {
      add(path, std::string(problem.what()) + ", as signature: standard asks");
    }
  }

  // A wait longer than every delay topic has none to wait in.
  void check_delays(const std::string& owner, const DeliveryConfig& delivery) {
    if (delivery.retry_delays.empty() || config_.retry.delays.empty()) return;
    const std::chrono::milliseconds longest = config_.retry.delays.back();
    const std::chrono::milliseconds asked = delivery.retry_delays.back();
    if (asked <= longest) return;
    add(owner + ".delivery.retry_delays", "a wait of " + print_duration(asked) +
                                              " is longer than the longest of retry.delays (" +
                                              print_duration(longest) + ")");
  }

  static constexpr std::string_view kCallbackKey = "event.notification.callback.url";
  static constexpr std::size_t kMeantMax = 1000;

  const Config& config_;
  const Places& places_;
  Findings& findings_;
  const PropertyProblem& kafka_property_;
  std::unordered_map<std::string, std::string_view> meant_;  // further keys seen before
  std::size_t noted_ = 0;                                    // instances
  std::size_t checked_ = 0;
  std::unordered_set<std::string> with_users_;  // elements of which an instance has a user
  std::unordered_map<std::uint64_t, std::size_t> ids_;
  std::unordered_set<std::string> numbers_;
  std::unordered_set<std::string_view> user_secrets_;
};

namespace {

void resolve_signature(DeliveryConfig& delivery, const std::optional<Secret>& key) {
  if (!delivery.signature_given && !key && delivery.keys.empty()) {
    delivery.signature = Signature::None;
  }
}

}  // namespace

std::string Places::find(std::string_view path) const {
  for (std::string_view part = path; !part.empty();) {
    const auto known = overrides_.find(part);
    if (known != overrides_.end()) return known->second;
    const std::size_t cut = part.find_last_of(".[");
    part = cut == std::string_view::npos ? std::string_view{} : part.substr(0, cut);
  }
  if (!root_) root_ = tree_();
  const Mark mark = locate(*root_, path);
  return file_ + ":" + std::to_string(mark.line) + ":" + std::to_string(mark.column);
}

void resolve(InstanceConfig& instance) {
  resolve_signature(instance.delivery, instance.signature_key);
  for (SubscriptionConfig& each : instance.subscriptions) {
    resolve_signature(each.delivery, each.key);
  }
}

void resolve(Config& config) {
  for (InstanceConfig& instance : config.instances) resolve(instance);
}

void check(const Config& config, const Places& places, Findings& findings,
           const PropertyProblem& kafka_property) {
  CheckOneByOne::Checker checker(config, places, findings, kafka_property);
  for (const InstanceConfig& each : config.instances) checker.note(each);
  checker.run();
}

CheckOneByOne::CheckOneByOne(const Config& config, const Places& places, Findings& findings,
                             const PropertyProblem& kafka_property)
    : checker_(std::make_unique<Checker>(config, places, findings, kafka_property)) {}

CheckOneByOne::~CheckOneByOne() = default;

void CheckOneByOne::instance(const InstanceConfig& instance) {
  checker_->note(instance);
  checker_->check_instance(instance);
}

void CheckOneByOne::rest() {
  checker_->run();
}

}  // namespace eventrelay::config
