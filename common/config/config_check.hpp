// What no single key can tell: relations between keys, and defaults that depend on another key.
//
// Owner:   the loader, for the time of one load.
// Thread:  one owner.
// Bounds:  O(keys); a place is searched only for a finding.
// Errors:  findings, each at the key that is to be changed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/config/config.hpp"
#include "common/config/config_parse.hpp"

namespace eventrelay::config {

// Where a key was given: its line in the file, or the override. Thread: one owner.
// Bounds: one entry per override; the whole tree of the file once something is looked for.
class Places {
 public:
  // `tree` reads the file once more, all of it: the loader keeps no tree.
  Places(std::string file, std::function<YamlNode()> tree)
      : file_(std::move(file)), tree_(std::move(tree)) {}

  void overridden(std::string path, std::string place) {
    overrides_[std::move(path)] = std::move(place);
  }
  // Of `path`, or of what it would stand in.
  [[nodiscard]] std::string find(std::string_view path) const;

 private:
  std::string file_;
  std::function<YamlNode()> tree_;
  mutable std::optional<YamlNode> root_;
  std::map<std::string, std::string, std::less<>> overrides_;
};

// Defaults that depend on other keys.
void resolve(Config& config);
void resolve(InstanceConfig& instance);

// What is wrong with a property of the Kafka client, empty when nothing is. The client library is
// above this folder, so its judgement comes in from outside.
using PropertyProblem = std::function<std::string(const std::string& key, const OpenValue& value)>;

void check(const Config& config, const Places& places, Findings& findings,
           const PropertyProblem& kafka_property);

// The same for instances that come one by one and are kept by nobody. What it is made of must live
// as long. Thread: one owner.  Bounds: an entry for each instance.
class CheckOneByOne {
 public:
  CheckOneByOne(const Config& config, const Places& places, Findings& findings,
                const PropertyProblem& kafka_property);
  CheckOneByOne(const CheckOneByOne&) = delete;
  CheckOneByOne& operator=(const CheckOneByOne&) = delete;
  ~CheckOneByOne();

  // The next one of the file.
  void instance(const InstanceConfig& instance);
  // All other keys. Pre: no instance follows.
  void rest();

 private:
  class Checker;
  friend void check(const Config& config, const Places& places, Findings& findings,
                    const PropertyProblem& kafka_property);

  std::unique_ptr<Checker> checker_;
};

}  // namespace eventrelay::config
