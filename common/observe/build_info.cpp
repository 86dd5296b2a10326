#include "common/observe/build_info.hpp"

#include <boost/version.hpp>

#include "common/base/crypto.hpp"
#include "common/observe/kafka_version.hpp"
#include "common/text/json_text.hpp"
#include "common/text/json_version.hpp"
#include "eventrelay_commit.h"  // written by CMake

namespace eventrelay {

namespace {

std::string boost_version() {
  return std::to_string(BOOST_VERSION / 100'000) + '.' +
         std::to_string(BOOST_VERSION / 100 % 1000) + '.' + std::to_string(BOOST_VERSION % 100);
}

std::string compiler_version() {
#if defined(__clang__)
  return "Clang " __clang_version__;
#else
  return "GCC " __VERSION__;
#endif
}

}  // namespace

const BuildInfo& build_info() {
  static const BuildInfo info{EVENTRELAY_VERSION,
                              kCommit,
                              compiler_version(),
                              std::string{kafka::library_version()},
                              boost_version(),
                              std::string{json_library_version()},
                              std::string{crypto::library_version()}};
  return info;
}

std::string version_line(std::string_view program) {
  const BuildInfo& build = build_info();
  return std::string{program} + ' ' + build.version + " (" + build.commit + ", " + build.compiler +
         ')';
}

std::string version_json() {
  const BuildInfo& build = build_info();
  JsonObject object;
  object.text("version", build.version)
      .text("commit", build.commit)
      .text("compiler", build.compiler)
      .text("librdkafka", build.librdkafka)
      .text("boost", build.boost)
      .text("simdjson", build.simdjson)
      .text("openssl", build.openssl);
  return std::move(object).finish();
}

}  // namespace eventrelay
