#include "cli/signing.hpp"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>

#include "cli/command.hpp"

namespace eventrelay::cli {
namespace {

constexpr std::size_t kKeyMax = 64U << 10;

Secret key_from(const std::string& flag) {
  std::string key = flag;
  if (!flag.empty() && flag.front() == '@') {
    key = read_file(flag.substr(1));
    while (!key.empty() && (key.back() == '\n' || key.back() == '\r')) key.pop_back();
  }
  if (key.empty()) throw Failure(Exit::Usage, "--key is empty; give the key, or @FILE");
  if (key.size() > kKeyMax) throw Failure(Exit::Usage, "--key is longer than 64 KiB");
  return Secret(std::move(key));
}

}  // namespace

std::string scheme_names() {
  std::string names;
  for (const auto& scheme : providers::schemes()) {
    names += (names.empty() ? "" : ", ") + std::string(scheme.name);
  }
  return names;
}

const providers::Scheme& scheme_named(std::string_view name) {
  if (const providers::Scheme* scheme = providers::find_scheme(name)) return *scheme;
  throw Failure(Exit::Usage,
                "no signature scheme `" + std::string(name) + "`; there are " + scheme_names());
}

std::vector<Secret> keys_from(const std::vector<std::string>& flags) {
  if (flags.size() > providers::kKeysMax) {
    throw Failure(Exit::Usage, "--key is given " + std::to_string(flags.size()) +
                                   " times (allowed: 1.." + std::to_string(providers::kKeysMax) +
                                   ")");
  }
  std::vector<Secret> keys;
  keys.reserve(flags.size());
  for (const auto& flag : flags) keys.push_back(key_from(flag));
  return keys;
}

std::string judge(const providers::Scheme& scheme, const std::vector<Secret>& keys,
                  const Signed& message, WallTime now) {
  IncomingHead head;
  head.method = message.method == "GET" ? Method::Get : Method::Post;
  // A scheme that signs the URI reads it as https, Host and target.
  const std::string_view uri = message.target;
  const std::size_t host = uri.rfind("https://", 0) == 0 ? 8 : std::string_view::npos;
  const std::size_t path = host == 8 ? std::min(uri.find('/', host), uri.size()) : 0;
  head.target = uri.substr(path);
  if (host == 8) head.fields[head.field_count++] = {"Host", uri.substr(host, path - host)};
  for (const auto& [name, value] : message.headers) {
    if (head.field_count == kHeadFieldsMax) break;
    head.fields[head.field_count++] = {name, value};
  }
  providers::Verifier verifier(scheme, keys, scheme.window);
  const auto verdict = verifier.verify(head, message.body, now);
  return verdict ? std::string() : std::string(providers::describe(verdict.error()));
}

std::string read_stdin() {
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Failure(Exit::Usage, path + ": cannot be read");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace eventrelay::cli
