// What a configuration takes from outside its text: environment variables and files of secrets.
//
// Thread:  any.
// Bounds:  kSecretMax bytes of a file.
// Errors:  a problem as text, which names the variable or the file and never what is in it.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace eventrelay::config {

inline constexpr std::size_t kSecretMax = 64 * 1024;  // bytes

using Environment = std::map<std::string, std::string>;

// Replaces ${VAR}, ${VAR:-x} and $$; puts the problem into `problem`, which names the variable.
[[nodiscard]] std::string substitute(std::string_view text, const Environment& environment,
                                     std::string& problem);

// The bytes of a file without its last line end. Puts the problem into `problem`.
[[nodiscard]] std::string read_secret_file(const std::string& path, std::string& problem);

}  // namespace eventrelay::config
