// Reads the lists and secrets of a configuration; the rest of config_parse.
#include <algorithm>
#include <utility>

#include "common/config_parse.hpp"
#include "common/config_units.hpp"

namespace eventrelay::config {
namespace {

constexpr std::chrono::milliseconds kDelayMin{10};
constexpr std::chrono::milliseconds kDelayMax = std::chrono::hours{24 * 7};
constexpr std::size_t kNumbersMax = 100;

// Collects the full names of all keys below `schema`.
void all_keys(const Schema& schema, const std::string& prefix, std::vector<std::string>& out) {
  for (const Row& row : schema.rows) {
    const std::string name = prefix + std::string(row.key);
    out.push_back(name);
    if (row.kind == Kind::Object) all_keys(row.schema(), name + ".", out);
  }
}

// The key of `schema` that looks most like `key`; empty when none does.
std::string nearest_here(const Schema& schema, std::string_view key) {
  std::size_t best = std::max<std::size_t>(2, key.size() / 3) + 1;
  std::string found;
  for (const Row& row : schema.rows) {
    const std::size_t distance = edit_distance(ascii_lower(key), row.key);
    if (distance >= best || distance >= row.key.size()) continue;
    best = distance;
    found = row.key;
  }
  return found;
}

// A key of another section with the very same name: the line stands in the wrong place.
std::string elsewhere(std::string_view key) {
  std::vector<std::string> names;
  all_keys(root_schema(), "", names);
  const std::string tail = "." + std::string(key);
  const auto found = std::find_if(names.begin(), names.end(),
                                  [&](const std::string& name) { return name.ends_with(tail); });
  return found == names.end() ? std::string{} : *found;
}

}  // namespace

std::vector<std::chrono::milliseconds> retry_profile(std::string_view word) {
  // Offsets from the first failure are powers of 8 and of 4 seconds; a wait is their difference.
  std::int64_t factor = 0;
  if (word == "ce") factor = 8;
  if (word == "ce-legacy") factor = 4;
  std::vector<std::chrono::milliseconds> waits;
  const int steps = factor == 8 ? 5 : 9;
  std::int64_t before = 0;
  std::int64_t offset = 1;
  for (int i = 0; factor != 0 && i < steps; ++i) {
    offset *= factor;
    waits.emplace_back((offset - before) * 1000);
    before = offset;
  }
  return waits;
}

void Findings::add(std::string_view place, std::string_view path, std::string_view problem) {
  ++count_;
  if (lines_.size() >= kFindingsMax) return;
  paths_.emplace_back(path);
  std::string line(place);
  if (!path.empty()) line.append(line.empty() ? "" : ": ").append(path);
  lines_.push_back(line.append(line.empty() ? "" : ": ").append(problem));
}

bool Findings::about(std::string_view path) const {
  return std::any_of(paths_.begin(), paths_.end(),
                     [&](const std::string& told) { return told.starts_with(path); });
}

std::string Findings::text() const {
  std::string out;
  for (const std::string& line : lines_) out.append(out.empty() ? "" : "\n").append(line);
  if (count_ > lines_.size()) {
    out.append("\nand ").append(std::to_string(count_ - lines_.size())).append(" more");
  }
  return out;
}

std::string Path::text() const {
  if (parent_ == nullptr) return {};
  std::string out = parent_->text();
  if (index_) return out.append("[").append(std::to_string(*index_)).append("]");
  return out.append(out.empty() ? "" : ".").append(key_);
}

void Parser::unknown(Mark mark, const Schema& schema, const Path& parent, std::string_view key) {
  std::string nearest = nearest_here(schema, key);
  if (!nearest.empty()) {
    nearest = Path(parent, nearest).text();
  } else {
    nearest = elsewhere(key);
  }
  finding(mark, Path(parent, key),
          nearest.empty() ? "unknown key" : "unknown key, did you mean " + nearest + "?");
}

bool Parser::count_fits(const YamlNode& node, const Row& row, const Path& path) {
  const std::size_t count =
      node.kind == YamlNode::Kind::Map ? node.entries.size() : node.items.size();
  const auto size = static_cast<double>(count);
  if (row.high < row.low || (size >= row.low && size <= row.high)) return true;
  finding(node.mark, path, std::to_string(count) + " entries (allowed: " + bound_text(row) + ")");
  return false;
}

std::optional<Value> Parser::texts(const YamlNode& node, const Row& row, const Path& path) {
  std::vector<std::string> out;
  if (node.kind == YamlNode::Kind::Scalar && row.kind == Kind::TextOrTexts) {
    Text text = scalar(node, path);
    if (!text || !fits(node, row, *text, path)) return std::nullopt;
    out.push_back(std::move(*text));
    return out;
  }
  if (!kind_is(node, YamlNode::Kind::List, path) || !count_fits(node, row, path)) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Path here(path, i);
    Text text = scalar(node.items[i], here);
    if (!text || !fits(node.items[i], row, *text, here)) return std::nullopt;
    out.push_back(std::move(*text));
  }
  return out;
}

std::optional<Value> Parser::numbers(const YamlNode& node, const Row& row, const Path& path) {
  if (!kind_is(node, YamlNode::Kind::List, path)) return std::nullopt;
  if (node.items.size() > kNumbersMax) {
    finding(node.mark, path, "more than " + std::to_string(kNumbersMax) + " entries");
    return std::nullopt;
  }
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Path here(path, i);
    const Text text = scalar(node.items[i], here);
    if (!text) return std::nullopt;
    const std::optional<Value> one = number(node.items[i], row, *text, here);
    if (!one) return std::nullopt;
    out.push_back(std::get<std::int64_t>(*one));
  }
  return out;
}

std::optional<Value> Parser::delays(const YamlNode& node, const Row& row, const Path& path) {
  if (node.kind == YamlNode::Kind::Scalar) {
    const Text word = scalar(node, path);
    if (!word) return std::nullopt;
    if (!retry_profile(*word).empty()) return *word;
    finding(node.mark, path, "must be a list of durations, ce or ce-legacy");
    return std::nullopt;
  }
  if (!kind_is(node, YamlNode::Kind::List, path) || !count_fits(node, row, path)) {
    return std::nullopt;
  }
  Row each;
  each.kind = Kind::Duration;
  each.low = static_cast<double>(kDelayMin.count());
  each.high = static_cast<double>(kDelayMax.count());
  std::vector<std::chrono::milliseconds> out;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Path here(path, i);
    const Text text = scalar(node.items[i], here);
    if (!text) return std::nullopt;
    const std::optional<Value> one = number(node.items[i], each, *text, here);
    if (!one) return std::nullopt;
    const auto delay = std::get<std::chrono::milliseconds>(*one);
    if (!out.empty() && delay <= out.back()) {
      finding(node.items[i].mark, here,
              print_duration(delay) + " is not above " + print_duration(out.back()) +
                  "; delays must be ascending");
      return std::nullopt;
    }
    out.push_back(delay);
  }
  return out;
}

std::optional<Value> Parser::secrets(const YamlNode& node, const Row& row, const Path& path) {
  if (!kind_is(node, YamlNode::Kind::List, path) || !count_fits(node, row, path)) {
    return std::nullopt;
  }
  std::vector<Secret> out;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    std::optional<Secret> one = secret(node.items[i], PlainText::IsSecret, Path(path, i));
    if (!one) return std::nullopt;
    out.push_back(std::move(*one));
  }
  return out;
}

std::optional<Secret> Parser::secret(const YamlNode& node, PlainText plain, const Path& path) {
  if (node.kind == YamlNode::Kind::Map && node.entries.size() == 1) {
    return secret_from(node.entries.front(), path);
  }
  if (node.kind != YamlNode::Kind::Scalar) {
    const std::string first = plain == PlainText::IsPath ? "a path" : "a text";
    finding(node.mark, path, "must be " + first + ", {file: path} or {env: NAME}");
    return std::nullopt;
  }
  Text text = scalar(node, path);
  if (!text) return std::nullopt;
  std::string problem;
  if (*text == kMask) {
    problem = "is masked (***); give the secret itself";
  } else if (plain == PlainText::IsPath) {
    text = read_secret_file(*text, problem);
  } else if (text->empty()) {
    problem = "an empty secret";
  } else if (text->size() > kSecretMax) {
    problem = "a secret of more than 65536 bytes";
  }
  if (problem.empty()) return Secret(std::move(*text));
  finding(node.mark, path, problem);
  return std::nullopt;
}

std::optional<Secret> Parser::secret_from(const YamlEntry& entry, const Path& path) {
  if (entry.key != "file" && entry.key != "env") {
    finding(entry.mark, path, entry.key + ": must be a text, {file: path} or {env: NAME}");
    return std::nullopt;
  }
  const Text name = scalar(entry.value, Path(path, entry.key));
  if (!name) return std::nullopt;
  std::string problem;
  std::string bytes;
  if (entry.key == "file") {
    bytes = read_secret_file(*name, problem);
  } else if (const auto known = origin_.environment->find(*name);
             known == origin_.environment->end()) {
    problem = "the environment variable " + *name + " is not set";
  } else if (known->second.empty()) {
    problem = "the environment variable " + *name + " is empty";
  } else if (known->second.size() > kSecretMax) {
    problem = "the environment variable " + *name + " holds more than 65536 bytes";
  } else {
    bytes = known->second;
  }
  if (problem.empty()) return Secret(std::move(bytes));
  finding(entry.mark, path, problem);
  return std::nullopt;
}

}  // namespace eventrelay::config
