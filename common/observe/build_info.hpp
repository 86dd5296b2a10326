// What this build is: version, commit and compiler, and the libraries it runs with.
//
// Thread: any; constants of the process.  Bounds: a few hundred bytes.
#pragma once

#include <string>
#include <string_view>

namespace eventrelay {

// Versions as text; libraries as loaded where they say so at run time.
struct BuildInfo {
  std::string version;
  std::string commit;  // `unknown` when built outside its repository
  std::string compiler;
  std::string librdkafka;
  std::string boost;
  std::string simdjson;
  std::string openssl;
};

[[nodiscard]] const BuildInfo& build_info();

// `eventrelay-ingest 0.1.0 (1a2b3c4, GCC 12.2.0)`, without a line end.
[[nodiscard]] std::string version_line(std::string_view program);

// One JSON object with every field.
[[nodiscard]] std::string version_json();

}  // namespace eventrelay
