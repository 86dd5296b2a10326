#include "common/kafka/properties.hpp"

#include "common/base/start_error.hpp"
#include "common/config/config.hpp"
#include "common/kafka/handle.hpp"

namespace eventrelay::kafka {

std::string property_problem(const std::string& key, const config::OpenValue& value) {
  KafkaConfig one;
  if (value.secret) {
    one.secrets.emplace(key, Secret(value.text));
  } else {
    one.properties.insert_or_assign(key, value.text);
  }
  try {
    (void)make_conf(one, Role::Consumer, {});
  } catch (const StartError& problem) {
    std::string text = problem.what();
    const std::string prefix = "kafka." + key + ": ";
    if (text.starts_with(prefix)) text.erase(0, prefix.size());
    return text;
  }
  return {};
}

}  // namespace eventrelay::kafka
