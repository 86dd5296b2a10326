// Reads a configuration: defaults < file < EVENTRELAY__SECTION__KEY < --set, then checks it whole.
//
// Why:     a typo must stop the start, not change the behaviour.
// Thread:  any; blocking file reads, start and reload only.
// Bounds:  file 64 MiB; 100 000 instances.
// Errors:  ConfigError: every finding with file, line, column, key, value, bound and nearest key.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/config.hpp"
#include "common/config/config_check.hpp"

namespace eventrelay {

// One or more findings, one per line in what(). Thread: any.  Bounds: kFindingsMax findings.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct ConfigInput {
  std::string path;                                // empty = no file
  std::optional<std::string> text;                 // instead of the file, for tests and dev
  std::vector<std::string> overrides;              // key=value, from --set
  std::map<std::string, std::string> environment;  // the process environment, or a test's
};

// Reads and checks all keys; the properties of the Kafka client are judged by `kafka_property`.
// Throws ConfigError.
[[nodiscard]] Config load_config(const ConfigInput& input,
                                 const config::PropertyProblem& kafka_property);

// The same with each instance handed over as soon as it is judged, in the order of the file, and
// kept nowhere: what a large file needs while it is read is hardly more than its text. Nothing
// where that can not be done: a key is wrong or odd, or the instances are not a list of blocks.
// Then load_config() tells, and what was handed over counts for nothing.
using InstanceTaker = std::function<void(const Config& config, InstanceConfig&& instance)>;
[[nodiscard]] std::optional<Config> load_one_by_one(const ConfigInput& input,
                                                    const config::PropertyProblem& kafka_property,
                                                    const InstanceTaker& take);

// The `instances:` of a file of its own, judged as if they stood in `base`. Throws ConfigError.
[[nodiscard]] std::vector<InstanceConfig> load_instances(const std::string& path,
                                                         const Config& base);

enum class ShowSecrets : bool { No, Yes };
// `instances:` as YAML that loads again; secrets as *** unless they are shown.
[[nodiscard]] std::string print_instances(const std::vector<InstanceConfig>& instances,
                                          ShowSecrets show);

// The effective configuration as YAML; secrets as ***, so it loads once they are given anew.
[[nodiscard]] std::string print_config(const Config& config);

// Every key with its sentence, default and bound, for --help and the docs.
[[nodiscard]] std::string describe_keys();

// The table of keys as a JSON Schema, one line. It tells keys, types and bounds; what needs the
// environment, a file or another key is judged by load_config alone.
enum class SchemaDraft : std::uint8_t { Seven, Of2020 };
[[nodiscard]] std::string config_json_schema(SchemaDraft draft);

// Keys that differ between two configurations but only take effect at a restart.
[[nodiscard]] std::vector<std::string> restart_only_changes(const Config& before,
                                                            const Config& after);

// The files that a configuration is read from: itself and those it names for a secret or a
// certificate; as far as the file can be parsed.
[[nodiscard]] std::vector<std::string> files_of(const ConfigInput& input);

// The environment of this process.
[[nodiscard]] std::map<std::string, std::string> process_environment();

}  // namespace eventrelay
