// eventrelay registry: list, export, import and reseal the registry in Kafka.
//
// Why:     it works beside a running control process: the role is taken, the change is one
//          transaction, and the role is given back with it.
// Thread:  main.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/command/command.hpp"
#include "cli/command/config_flags.hpp"
#include "common/base/crypto.hpp"
#include "common/config/config_instances_schema.hpp"
#include "common/config/config_json.hpp"
#include "common/kafka/topics.hpp"
#include "common/registry/document.hpp"
#include "common/registry/feed.hpp"
#include "common/registry/writer.hpp"
#include "common/text/json_text.hpp"

namespace eventrelay::cli {
namespace {

using kafka::KeyedRecord;

struct RegistryFlags {
  std::shared_ptr<ConfigInput> input;
  std::string file;
  bool json = false;
  bool secrets = false;
  bool dry_run = false;
  bool replace = false;
};

// Everything that is in the topic, decoded.
struct Content {
  std::map<std::uint64_t, Document> documents;
  std::map<std::string, std::string> values;  // of all keys, as written
  std::uint64_t last_id = 0;
};

std::shared_ptr<const Settings> settings_of(const RegistryFlags& flags) {
  auto settings = load_settings(*flags.input);
  if (settings->config.registry != "topic") {
    throw Failure(Exit::Config, "registry: is file; these commands are for `registry: topic`");
  }
  const auto create = settings->config.topics.create ? kafka::Create::Yes : kafka::Create::No;
  (void)kafka::ensure_topics(settings->config.kafka, kafka::topic_plan(settings->config), create);
  return settings;
}

Content read_all(const Config& config, const Keyring& keys) {
  RegistryFollower follower(config.kafka, registry_topic(config));
  Content out;
  for (RegistryRecord& record : follower.load()) {
    if (record.key == kIdsKey) {
      out.last_id = std::max(out.last_id, decode_ids(*record.value).value_or(0));
    } else if (const auto id = instance_of(record.key)) {
      out.last_id = std::max(out.last_id, *id);
      auto document = decode_document(record.key, *record.value, keys);
      if (!document) {
        throw Failure(Exit::Failed, "instance " + record.key + ": " + document.error().what);
      }
      out.documents.emplace(*id, *std::move(document));
    }
    out.values.emplace(std::move(record.key), std::move(*record.value));
  }
  return out;
}

// Takes the control role for one change, and gives it back with it. Thread: main.
class Change {
 public:
  explicit Change(const Config& config)
      : writer_(config.kafka, registry_topic(config), kafka::topic_name(config.topics, "control")) {
    std::string id(8, '\0');
    crypto::random_bytes(id.data(), id.size());
    process_ = "cli-" + crypto::hex(id);
    const kafka::WriteReport taken = writer_.fence();
    if (taken.outcome != kafka::WriteOutcome::Written) {
      throw Failure(Exit::Failed, "the control role can not be taken: " + taken.reason);
    }
  }

  // All or none.
  void write(std::vector<KeyedRecord> records) {
    records.push_back(released());
    const kafka::WriteReport report = writer_.write(records);
    if (report.outcome != kafka::WriteOutcome::Written) {
      throw Failure(Exit::Failed, "nothing was written: " + report.reason);
    }
  }

 private:
  [[nodiscard]] KeyedRecord released() const {
    return {std::string(kRoleKey), encode_role({process_, false}, wall_now())};
  }
  kafka::TransactionWriter writer_;
  std::string process_;
};

Exit list(const RegistryFlags& flags) {
  const auto settings = settings_of(flags);
  const Content content = read_all(settings->config, keyring_of(settings->config.seal));
  if (!flags.json)
    fmt::print("{:>12}  {:<12} {:<8} {:<10} {}\n", "ID", "ELEMENT", "ENABLED", "KEY", "NAME");
  std::string out = "[";
  for (const auto& [id, document] : content.documents) {
    const std::string key = master_key_of(content.values.at(record_key(id)));
    const bool enabled = !document.disabled;
    if (flags.json) {
      JsonObject one;
      one.number("id", id)
          .text("element", document.instance.element)
          .text("name", document.instance.name)
          .flag("enabled", enabled)
          .text("masterKey", key);
      if (out.size() > 1) out += ',';
      out += std::move(one).finish();
    } else {
      fmt::print("{:>12}  {:<12} {:<8} {:<10} {}\n", id, document.instance.element,
                 enabled ? "yes" : "no", key, document.instance.name);
    }
  }
  if (flags.json) fmt::print("{}]\n", out);
  return Exit::Ok;
}

Exit export_all(const RegistryFlags& flags) {
  const auto settings = settings_of(flags);
  Content content = read_all(settings->config, keyring_of(settings->config.seal));
  std::vector<InstanceConfig> instances;
  for (auto& [id, document] : content.documents) instances.push_back(std::move(document.instance));
  fmt::print("{}", print_instances(instances, flags.secrets ? ShowSecrets::Yes : ShowSecrets::No));
  return Exit::Ok;
}

// The instance with everything that a file can say, for comparing only.
std::string comparable(const InstanceConfig& instance) {
  static const InstanceConfig kDefaults;
  return boost::json::serialize(
      config::to_json(config::instance_schema(), &instance, &kDefaults, [](std::string_view plain) {
        return boost::json::value(boost::json::string_view(plain.data(), plain.size()));
      }));
}

Exit import_all(const RegistryFlags& flags) {
  const auto settings = settings_of(flags);
  const Config& config = settings->config;
  const Keyring keys = keyring_of(config.seal);
  std::vector<InstanceConfig> wanted = load_instances(flags.file, config);
  std::optional<Change> change;
  if (!flags.dry_run) change.emplace(config);
  // Read behind the take-over: nothing can be written by another process meanwhile.
  Content content = read_all(config, keys);
  std::vector<KeyedRecord> records;
  std::size_t added = 0;
  std::size_t changed = 0;
  std::size_t unchanged = 0;
  std::size_t deleted = 0;
  std::uint64_t last = content.last_id;
  for (InstanceConfig& each : wanted) {
    const auto known = content.documents.find(each.id);
    last = std::max(last, each.id);
    Document document;
    if (known != content.documents.end()) {
      if (comparable(known->second.instance) == comparable(each)) {
        ++unchanged;
        content.documents.erase(known);
        continue;
      }
      document = std::move(known->second);
      content.documents.erase(known);
      ++changed;
    } else {
      document.created = wall_now();
      ++added;
    }
    document.instance = std::move(each);
    std::string value = encode_document(document, keys);
    if (value.size() > kDocumentMax) {
      throw Failure(Exit::Config,
                    fmt::format("instance {}: takes more than 64 KiB", document.instance.id));
    }
    records.push_back({record_key(document.instance.id), std::move(value)});
  }
  if (flags.replace) {
    for (auto& [id, document] : content.documents) {
      ++deleted;
      records.push_back({record_key(id), std::nullopt});
      if (!document.oauth) continue;
      document.deleted = wall_now();
      const std::string key = cleanup_key(id);
      records.push_back({key, encode_document(document, keys, key)});
    }
  }
  if (last > content.last_id) records.push_back({std::string(kIdsKey), encode_ids(last)});
  if (change) change->write(std::move(records));
  fmt::print("{} added, {} changed, {} unchanged", added, changed, unchanged);
  if (flags.replace) fmt::print(", {} deleted", deleted);
  fmt::print("{}\n", flags.dry_run ? " (dry run: nothing was written)" : "");
  return Exit::Ok;
}

Exit reseal(const RegistryFlags& flags) {
  const auto settings = settings_of(flags);
  const Config& config = settings->config;
  const Keyring keys = keyring_of(config.seal);
  Change change(config);
  const Content content = read_all(config, keys);
  std::vector<KeyedRecord> records;
  for (const auto& [key, value] : content.values) {
    if (!instance_of(key) && !cleanup_of(key)) continue;
    if (master_key_of(value) == keys.first_id()) continue;
    const auto document = decode_document(key, value, keys);
    if (!document) throw Failure(Exit::Failed, key + ": " + document.error().what);
    records.push_back({key, encode_document(*document, keys, key)});
  }
  const std::size_t count = records.size();
  change.write(std::move(records));
  fmt::print("{} resealed under {}\n", count, keys.first_id());
  return Exit::Ok;
}

}  // namespace

void add_registry(CLI::App& app, Run& run) {
  CLI::App* registry = app.add_subcommand("registry", "The instances that are kept in Kafka");
  registry->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, Exit (*action)(const RegistryFlags&)) {
    CLI::App* const command = registry->add_subcommand(name, what);
    const auto flags = std::make_shared<RegistryFlags>();
    flags->input = add_config_flags(*command);
    command->callback([flags, action, &run] { run = [flags, action] { return action(*flags); }; });
    return std::make_pair(command, flags);
  };
  const auto listing = add("list", "Print id, element, name, enabled and master key of each", list);
  listing.first->add_flag("--json", listing.second->json, "As JSON");
  const auto exporting = add("export", "Print `instances:` as YAML", export_all);
  exporting.first->add_flag("--secrets", exporting.second->secrets,
                            "With the secrets; without it they are ***");
  const auto importing =
      add("import", "Write the `instances:` of a file into the topic, all or none", import_all);
  importing.first->add_option("file", importing.second->file, "INSTANCES.yaml")->required();
  importing.first->add_flag("--dry-run", importing.second->dry_run, "Only say what would change");
  importing.first->add_flag("--replace", importing.second->replace,
                            "Delete the instances that are not in the file");
  (void)add("reseal", "Seal again, under the first master key, what others have sealed", reseal);
}

}  // namespace eventrelay::cli
