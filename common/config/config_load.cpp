#include "common/config/config_load.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "common/config/config_check.hpp"
#include "common/config/config_parse.hpp"
#include "common/config/config_schema.hpp"
#include "common/config/config_units.hpp"
#include "common/config/config_yaml.hpp"

namespace eventrelay {
namespace {

using config::Findings;
using config::Kind;
using config::Parser;
using config::Path;
using config::Row;
using config::Schema;
using config::YamlNode;

constexpr std::size_t kFileMax = 64U << 20;
constexpr std::size_t kFilesMax = 1000;
constexpr std::string_view kVariablePrefix = "eventrelay__";
constexpr std::string_view kInstances = "instances";

std::string read_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text;
  std::error_code unknown;  // of a pipe
  const std::uintmax_t size = std::filesystem::file_size(path, unknown);
  if (!unknown && size <= kFileMax) text.reserve(size);
  std::string block(64 * 1024, '\0');
  while (file && text.size() <= kFileMax) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    text.append(block.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (!file.eof() && text.size() <= kFileMax) {
    throw ConfigError("cannot read the configuration " + path + ": " +
                      (errno != 0 ? std::strerror(errno) : "not a file"));
  }
  if (text.size() > kFileMax) throw ConfigError(path + ": more than 64MiB");
  return text;
}

// The parts of a key given by name: `a.b` of --set, `A__B` of a variable.
// Bounds: as the name.
struct Override {
  std::string place;               // for findings
  std::vector<std::string> parts;  // lower case for a variable
  bool variable = false;           // '_' stands for '.' in an open section
  std::string value;
};

// The row whose key the first parts spell; `used` tells how many.
const Row* match(const Schema& schema, const Override& from, std::size_t at, std::size_t& used) {
  for (const Row& row : schema.rows) {
    std::string spelled;
    for (std::size_t i = at; i < from.parts.size() && spelled.size() < row.key.size(); ++i) {
      spelled.append(spelled.empty() ? "" : ".").append(from.parts[i]);
      if (spelled != row.key) continue;
      used = i + 1 - at;
      return &row;
    }
  }
  return nullptr;
}

// Walks the table along the parts and reads the value there. Thread: one owner.
// Bounds: one override.
class Applier {
 public:
  Applier(const Override& from, Parser& parser, YamlNode node)
      : from_(from), parser_(parser), node_(std::move(node)) {}

  // Returns the full name of the key.
  std::string apply(const Schema& schema, void* owner, std::size_t at, const Path& path) {
    if (at == from_.parts.size()) {
      parser_.section(node_, schema, owner, path);
      return path.text();
    }
    std::size_t used = 0;
    if (const Row* row = match(schema, from_, at, used)) {
      return apply_row(*row, owner, at + used, Path(path, row->key));
    }
    std::string rest;
    for (std::size_t i = at; i < from_.parts.size(); ++i) {
      rest.append(rest.empty() ? "" : ".").append(from_.parts[i]);
    }
    if (!schema.open) {
      parser_.unknown({}, schema, path, rest);
      return path.text();
    }
    if (from_.variable) std::replace(rest.begin(), rest.end(), '_', '.');
    const Path here(path, rest);
    parser_.open_value(node_, *schema.open, owner, here, rest);
    return here.text();
  }

 private:
  std::string apply_row(const Row& row, void* owner, std::size_t at, const Path& path) {
    if (row.kind == Kind::Object) return apply(row.schema(), row.enter(owner, {}), at, path);
    if (at == from_.parts.size()) {
      parser_.value(node_, row, owner, path);
      return path.text();
    }
    if (row.kind == Kind::Map) {
      const Path here(path, from_.parts[at]);
      return apply(row.schema(), row.enter(owner, from_.parts[at]), at + 1, here);
    }
    parser_.unknown({}, Schema{}, path, from_.parts[at]);
    return path.text();
  }

  const Override& from_;
  Parser& parser_;
  YamlNode node_;
};

// Values that begin like a YAML list, map or quote are YAML; all others are taken as they are.
YamlNode override_value(const std::string& text) {
  if (!text.empty() && std::string_view("[{\"'").find(text.front()) != std::string_view::npos) {
    return config::parse_yaml(text);
  }
  YamlNode node;
  node.kind = YamlNode::Kind::Scalar;
  node.text = text;
  return node;
}

std::vector<std::string> split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + separator.size());
  }
}

std::vector<Override> overrides(const ConfigInput& input, Findings& findings) {
  std::vector<Override> out;
  for (const auto& [name, value] : input.environment) {
    const std::string lower = config::ascii_lower(name);
    if (!lower.starts_with(kVariablePrefix)) continue;
    out.push_back(
        {name, split(std::string_view(lower).substr(kVariablePrefix.size()), "__"), true, value});
  }
  for (const std::string& each : input.overrides) {
    const std::size_t equals = each.find('=');
    if (equals == std::string::npos || equals == 0) {
      findings.add("--set", "", "must be key=value, such as relay.inflight_max=100");
      continue;
    }
    out.push_back({"--set", split(std::string_view(each).substr(0, equals), "."), false,
                   each.substr(equals + 1)});
  }
  return out;
}

void apply_overrides(const ConfigInput& input, Config& out, config::Places& places,
                     Findings& findings) {
  for (const Override& each : overrides(input, findings)) {
    Parser parser({each.place, false, &input.environment}, findings);
    try {
      Applier applier(each, parser, override_value(each.value));
      const Path root;
      places.overridden(applier.apply(config::root_schema(), &out, 0, root), each.place);
    } catch (const config::YamlError&) {
      std::string key;
      for (const std::string& part : each.parts) key.append(key.empty() ? "" : ".").append(part);
      findings.add(each.place, key, "the value is not YAML; put it in quotes");
    }
  }
}

// Every plain text that leads to a regular file: of all that a configuration may say, only paths
// do.
void collect_files(const YamlNode& node, std::vector<std::string>& files) {
  if (node.kind == YamlNode::Kind::Scalar && files.size() < kFilesMax) {
    std::error_code error;
    const bool is_path = node.text.find('/') != std::string::npos && node.text.size() < 4096;
    if (is_path && std::filesystem::is_regular_file(node.text, error)) files.push_back(node.text);
  }
  for (const YamlNode& item : node.items) collect_files(item, files);
  for (const config::YamlEntry& entry : node.entries) collect_files(entry.value, files);
}

// What `input` says over `out`.
Config load_over(Config out, const ConfigInput& input,
                 const config::PropertyProblem& kafka_property) {
  const std::string name = input.path.empty() ? "configuration" : input.path;
  Findings findings;
  Parser parser({name, true, &input.environment}, findings);
  const std::string text = input.text           ? *input.text
                           : input.path.empty() ? std::string{}
                                                : read_file(input.path);
  const Path top;
  const Path list(top, kInstances);
  const Row& row = *config::root_schema().find(kInstances);
  const config::ItemSink sink{kInstances, [&](std::size_t index, const YamlNode& item) {
                                if (static_cast<double>(index) >= row.high) return;
                                parser.item(item, row, &out, list, index);
                              }};
  YamlNode root;
  try {
    root = config::parse_yaml(text, &sink);
  } catch (const config::YamlError& problem) {
    throw ConfigError(name + ":" + std::to_string(problem.mark.line) + ":" +
                      std::to_string(problem.mark.column) + ": not YAML: " + problem.what());
  }
  // A file cut short while it was written must not count as a wish to drop everything.
  if (!input.path.empty() && root.kind == YamlNode::Kind::Null) {
    throw ConfigError(name + ": is empty (expected at least `version: 1`)");
  }
  parser.section(root, config::root_schema(), &out, top);
  config::Places places(name, [&text] { return config::parse_yaml(text); });
  apply_overrides(input, out, places, findings);
  config::resolve(out);
  config::check(out, places, findings, kafka_property);
  if (!findings.empty()) throw ConfigError(findings.text());
  out.warnings = findings.take_warnings();
  return out;
}

// --- one by one ---------------------------------------------------------------------------------

// The list stands there as a block: `text` is cut in three. What is taken for the end of the list
// may not be it; the two readings of what is around it tell.
struct AroundList {
  std::string text;  // without the list
  bool found = false;
};

AroundList around_list(const std::string& text) {
  AroundList around;
  const std::string key = "\n" + std::string(kInstances) + ":";
  const std::size_t at = text.find(key);
  if (at == std::string::npos) return around;
  std::size_t line = text.find('\n', at + 1);
  if (text.find_first_not_of(" \t\r", at + key.size()) != line) return around;
  // A line that begins with anything else is a key of the top level.
  while (line + 1 < text.size() &&
         std::string_view(" -#\t\r\n").find(text[line + 1]) != std::string_view::npos) {
    line = text.find('\n', line + 1);
    if (line == std::string::npos) line = text.size();
  }
  around.found = true;
  around.text = text.substr(0, at + 1);
  if (line < text.size()) around.text += text.substr(line + 1);
  return around;
}

bool same_tree(const YamlNode& a, const YamlNode& b);

bool same_entry(const config::YamlEntry& a, const config::YamlEntry& b) {
  return a.key == b.key && same_tree(a.value, b.value);
}

// Lines and columns aside.
bool same_tree(const YamlNode& a, const YamlNode& b) {
  return a.kind == b.kind && a.quoted == b.quoted && a.text == b.text && a.taken == b.taken &&
         std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), same_tree) &&
         std::equal(a.entries.begin(), a.entries.end(), b.entries.begin(), b.entries.end(),
                    same_entry);
}

// Reads what is around the list first, and then the whole with one instance at a time in memory.
// Thread: one owner.  Bounds: the text, and one instance.
class OneByOne {
 public:
  OneByOne(const ConfigInput& input, const config::PropertyProblem& kafka_property,
           const InstanceTaker& take)
      : input_(input), kafka_property_(kafka_property), take_(take) {}

  std::optional<Config> load() {
    const std::string text = input_.text ? *input_.text : read_file(input_.path);
    AroundList around = around_list(text);
    if (!around.found) return std::nullopt;
    // Where something is to be told of a line, all is read again by load_config().
    config::Places places({}, [] { return YamlNode{}; });
    Config out;
    Parser parser({"", true, &input_.environment}, findings_);
    const YamlNode root = config::parse_yaml(around.text);
    if (root.find(kInstances) != nullptr || overridden()) return std::nullopt;
    parser.section(root, config::root_schema(), &out, Path{});
    apply_overrides(input_, out, places, findings_);
    if (!findings_.empty()) return std::nullopt;
    config::CheckOneByOne check(out, places, findings_, kafka_property_);
    YamlNode whole = read_list(text, out, parser, check);
    const std::size_t others = std::erase_if(
        whole.entries, [](const config::YamlEntry& each) { return each.key == kInstances; });
    if (!well() || others != 1 || !same_tree(root, whole)) return std::nullopt;
    check.rest();
    if (!well()) return std::nullopt;
    return out;
  }

 private:
  [[nodiscard]] bool well() const { return findings_.empty() && findings_.warnings() == 0; }

  // Is the list given by a variable or by --set?
  [[nodiscard]] bool overridden() {
    const std::vector<Override> all = overrides(input_, findings_);
    return std::any_of(all.begin(), all.end(),
                       [](const Override& each) { return each.parts.front() == kInstances; });
  }

  YamlNode read_list(const std::string& text, const Config& out, Parser& parser,
                     config::CheckOneByOne& check) {
    const Path top;
    const Path list(top, kInstances);
    const Row& row = *config::root_schema().find(kInstances);
    Config one;
    const config::ItemSink sink{kInstances, [&](std::size_t index, const YamlNode& item) {
                                  if (!well()) return;
                                  one.instances.clear();
                                  parser.item(item, row, &one, list, index);
                                  if (static_cast<double>(index) >= row.high) return refuse();
                                  if (one.instances.size() != 1) return refuse();
                                  config::resolve(one.instances.front());
                                  check.instance(one.instances.front());
                                  if (well()) take_(out, std::move(one.instances.front()));
                                }};
    return config::parse_yaml(text, &sink);
  }

  void refuse() { findings_.add("", kInstances, "is to be read as a whole"); }

  const ConfigInput& input_;
  const config::PropertyProblem& kafka_property_;
  const InstanceTaker& take_;
  Findings findings_;
};

}  // namespace

std::optional<Config> load_one_by_one(const ConfigInput& input,
                                      const config::PropertyProblem& kafka_property,
                                      const InstanceTaker& take) {
  if (!input.text && input.path.empty()) return std::nullopt;
  try {
    return OneByOne(input, kafka_property, take).load();
  } catch (const config::YamlError&) {
    return std::nullopt;
  } catch (const std::invalid_argument&) {
    return std::nullopt;  // `take` refuses an instance
  }
}

std::vector<std::string> files_of(const ConfigInput& input) {
  std::vector<std::string> files;
  if (!input.path.empty()) files.push_back(input.path);
  const config::ItemSink sink{
      kInstances, [&files](std::size_t, const YamlNode& item) { collect_files(item, files); }};
  try {
    if (input.text || !input.path.empty()) {
      collect_files(config::parse_yaml(input.text ? *input.text : read_file(input.path), &sink),
                    files);
    }
  } catch (const std::runtime_error&) {
    return files;  // of a file that can not be read only the file itself is known
  }
  return files;
}

Config load_config(const ConfigInput& input, const config::PropertyProblem& kafka_property) {
  return load_over(Config{}, input, kafka_property);
}

std::vector<InstanceConfig> load_instances(const std::string& path, const Config& base) {
  Config under;
  under.sources = base.sources;
  under.relay.allow_private_addresses = base.relay.allow_private_addresses;
  under.retry = base.retry;
  ConfigInput input;
  input.path = path;
  input.environment = process_environment();
  std::erase_if(input.environment, [](const auto& each) {
    return config::ascii_lower(each.first).starts_with(kVariablePrefix);
  });
  const config::PropertyProblem none = [](const std::string&, const config::OpenValue&) {
    return std::string();
  };
  return load_over(std::move(under), input, none).instances;
}

AdminConfig admin_of(const Config& config, std::string_view name) {
  const AdminConfig& own = name == "relay" ? config.relay.admin : config.ingest.admin;
  AdminConfig admin = config.admin;
  if (!own.listen.empty()) admin.listen = own.listen;
  if (own.token) admin.token = own.token;
  if (!own.hosts.empty()) admin.hosts = own.hosts;
  if (!own.open.empty()) admin.open = own.open;
  return admin;
}

std::map<std::string, std::string> process_environment() {
  std::map<std::string, std::string> out;
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
    const std::string_view pair(*each);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;
    out.emplace(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return out;
}

}  // namespace eventrelay
