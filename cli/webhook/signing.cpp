#include "cli/webhook/signing.hpp"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>

#include "cli/command/command.hpp"
#include "cli/command/words.hpp"

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
  std::vector<std::string> known;
  for (const auto& scheme : providers::schemes()) known.emplace_back(scheme.name);
  throw Failure(Exit::Usage, "no signature scheme `" + std::string(name) + "`" +
                                 or_meant(name, known) + "; there are " + scheme_names());
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

std::string uri_signed_for(const std::string& url) {
  const std::size_t host = url.find("://");
  return host == std::string::npos ? url : "https" + url.substr(host);
}

void require_uri(const providers::Scheme& scheme, const std::string& uri) {
  if (!providers::signs(scheme, providers::Piece::Uri)) return;
  const std::string name(scheme.name);
  if (uri.empty()) throw Failure(Exit::Usage, name + " signs the URI; give it with --uri");
  if (uri.rfind("https://", 0) != 0 && uri.rfind("http://", 0) != 0) {
    throw Failure(Exit::Usage, "--uri `" + uri + "`: " + name +
                                   " signs the whole URI; it begins with https:// or http://");
  }
}

void require_id(const providers::Scheme& scheme, const std::string& id) {
  if (!providers::signs(scheme, providers::Piece::Id) || !id.empty()) return;
  throw Failure(Exit::Usage, std::string(scheme.name) + " signs the id; give it with --id");
}

std::string judge(const providers::Scheme& scheme, const std::vector<Secret>& keys,
                  const Signed& message, WallTime now) {
  IncomingHead head;
  head.method = message.method == "GET"       ? Method::Get
                : message.method == "POST"    ? Method::Post
                : message.method == "OPTIONS" ? Method::Options
                                              : Method::Other;
  // A URI is its origin, which the verifier is told, and the target of the request.
  const std::string_view uri = message.target;
  const std::size_t host = uri.find("://");
  const bool whole = host != std::string_view::npos && uri.front() != '/';
  const std::size_t path = whole ? std::min(uri.find_first_of("/?", host + 3), uri.size()) : 0;
  head.target = uri.substr(path);
  for (const auto& [name, value] : message.headers) {
    if (!head.add(name, value)) break;
    if (equal_without_case(name, "content-type")) head.content_type = value;
  }
  providers::Verifier verifier(scheme, keys, scheme.window, std::string(uri.substr(0, path)));
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
